/* SPDX-License-Identifier: Apache-2.0 */
#include "can/table.h"

#include <errno.h>
#include <linux/can.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "util.h"

/* "name=value" or "name!meaning" of all that was reported. */
static char reported[4096];

static void note(void *ctx, void *owner, enum decode_meaning meaning, double value)
{
	size_t size = strlen(reported);

	(void)ctx;
	if (meaning == DECODE_DATA) {
		(void)snprintf(reported + size, sizeof(reported) - size, "%s=%g ",
			(const char *)owner, value);
	} else {
		(void)snprintf(reported + size, sizeof(reported) - size, "%s!%d ",
			(const char *)owner, (int)meaning);
	}
}

static const char *frame(const struct table *t, uint32_t can_id, const uint8_t *data, uint32_t size)
{
	/* as much as is promised, and no more */
	uint8_t *padded = xcalloc(1, size + DECODE_PADDING);
	uint32_t n, n_reported = 0;

	memcpy(padded, data, size);
	reported[0] = '\0';
	n = table_frame(t, can_id, padded, size, note, NULL);
	for (const char *p = reported; *p; p++) {
		n_reported += *p == ' ';
	}
	assert_int_equal(n, n_reported);
	free(padded);
	return reported;
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define BYTE(at)                                                                                   \
	{                                                                                          \
		.start = 8 * (at), .length = 8, .factor = 1                                        \
	}

static void test_who_gets_what(void **state)
{
	static const struct table_entry entries[] = {
		{.kind = TABLE_STANDARD, .id = 0x123, .layout = BYTE(0), .owner = (void *)"a"},
		{.kind = TABLE_EXTENDED, .id = 0x123, .layout = BYTE(0), .owner = (void *)"b"},
		{.kind = TABLE_STANDARD, .id = 0x123, .layout = BYTE(1), .owner = (void *)"c"},
		{.kind = TABLE_STANDARD, .id = 0, .layout = BYTE(0), .owner = (void *)"d"},
		{.kind = TABLE_GROUP,
			.id = 61444,
			.source = TABLE_ANY_SOURCE,
			.layout = BYTE(3),
			.j1939 = true,
			.owner = (void *)"e"},
		{.kind = TABLE_GROUP,
			.id = 61444,
			.source = 0x17,
			.layout = BYTE(4),
			.owner = (void *)"f"},
	};
	struct table *t;

	(void)state;
	assert_int_equal(table_new(entries, ARRAY_SIZE(entries), &t), 0);
	assert_string_equal(frame(t, 0x123, BYTES(1, 2)), "a=1 c=2 ");
	assert_string_equal(frame(t, 0x123, BYTES(1)), "a=1 c!5 ");
	assert_string_equal(frame(t, 0x123 | CAN_EFF_FLAG, BYTES(3)), "b=3 ");
	assert_string_equal(frame(t, 0, BYTES(4)), "d=4 ");
	assert_string_equal(frame(t, 0x124, BYTES(4)), "");
	assert_string_equal(frame(t, 0x124 | CAN_EFF_FLAG, BYTES(4)), "");
	assert_string_equal(frame(t, 0x123 | CAN_RTR_FLAG, BYTES(1, 2)), "");
	assert_string_equal(frame(t, 0x123 | CAN_ERR_FLAG, BYTES(1, 2)), "");
	assert_string_equal(frame(t, 0x0cf00400 | CAN_EFF_FLAG, BYTES(0, 0, 0, 9, 8)), "e=9 ");
	assert_string_equal(frame(t, 0x18f00417 | CAN_EFF_FLAG, BYTES(0, 0, 0, 9, 8)), "e=9 f=8 ");
	assert_string_equal(
		frame(t, 0x18f00417 | CAN_EFF_FLAG, BYTES(0, 0, 0, 255, 255)), "e!3 f=255 ");
	table_free(t);
	assert_int_equal(table_new(NULL, 0, &t), 0);
	assert_string_equal(frame(t, 0x123, BYTES(1, 2)), "");
	assert_string_equal(frame(t, 0x123 | CAN_EFF_FLAG, BYTES(1, 2)), "");
	table_free(t);
}

static void test_groups_of_several_frames(void **state)
{
	static const struct table_entry entry = {.kind = TABLE_GROUP,
		.id = 65226,
		.source = TABLE_ANY_SOURCE,
		.layout = BYTE(1784),
		.owner = (void *)"a"};
	uint8_t *data = xcalloc(1, 1785 + DECODE_PADDING);
	struct table *t;

	(void)state;
	data[1784] = 7;
	assert_int_equal(table_new(&entry, 1, &t), 0);
	reported[0] = '\0';
	assert_int_equal(table_group(t, 65226, 3, data, 1785, note, NULL), 1);
	assert_int_equal(table_group(t, 65227, 3, data, 1785, note, NULL), 0);
	assert_string_equal(reported, "a=7 ");
	table_free(t);
	free(data);
}

static void ignore(void *ctx, bool is_error, const char *file, uint32_t line, const char *text)
{
}

/* Signals of a file: pages, floats, J1939. */
static void test_signals_of_a_dbc(void **state)
{
	static const char *const wanted[][2] = {{"Pages", "Page"}, {"Pages", "Volt"},
		{"Pages", "Amp"}, {"Nested", "Deep"}, {"Nested", "Wide"}, {"EEC1", "EngSpeed"},
		{"Floats", "Pressure"}};
	_cleanup_(freep) char *path = xasprintf("%s/tests/data/engine.dbc", getenv("SOURCE_DIR"));
	struct table_condition conditions[ARRAY_SIZE(wanted)][DBC_MAX_DEPTH];
	struct table_entry entries[ARRAY_SIZE(wanted)];
	struct dbc *dbc;
	struct table *t;

	(void)state;
	assert_int_equal(dbc_load(path, ignore, NULL, &dbc), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct dbc_message *m = dbc_find_message(dbc, wanted[i][0]);

		table_entry_of(m, dbc_find_signal(m, wanted[i][1]), conditions[i], &entries[i]);
		entries[i].owner = (void *)wanted[i][1];
	}
	assert_int_equal(table_new(entries, ARRAY_SIZE(entries), &t), 0);
	assert_string_equal(frame(t, 300, BYTES(0, 230, 0, 0)), "Page=0 Volt=23 ");
	assert_string_equal(frame(t, 300, BYTES(1, 0xf6, 0xff, 0)), "Page=1 Amp=-1 ");
	assert_string_equal(frame(t, 300, BYTES(2, 0, 0, 0)), "Page=2 ");
	assert_string_equal(frame(t, 300, BYTES(0, 0)), "Page=0 Volt!5 ");
	/* Outer is 3 and Inner 2; Inner alone is not enough */
	assert_string_equal(frame(t, 301, BYTES(0x23, 9, 8)), "Deep=9 ");
	assert_string_equal(frame(t, 301, BYTES(0x22, 9, 8)), "Wide=8 ");
	assert_string_equal(frame(t, 301, BYTES(0x27, 9, 8)), "Wide=8 ");
	assert_string_equal(frame(t, 301, BYTES(0x24, 9, 8)), "");
	assert_string_equal(
		frame(t, 0x0cf00400 | CAN_EFF_FLAG, BYTES(0, 0, 0, 0x68, 0x13)), "EngSpeed=621 ");
	assert_string_equal(
		frame(t, 0x0cf00400 | CAN_EFF_FLAG, BYTES(0, 0, 0, 0xff, 0xff)), "EngSpeed!3 ");
	assert_string_equal(frame(t, 257, BYTES(0, 0, 0x20, 0x40)), "Pressure=2.5 ");
	assert_string_equal(frame(t, 257, BYTES(0, 0, 0xc0, 0x7f)), "Pressure!4 ");
	table_free(t);
	dbc_free(dbc);
}

/* Many messages: each finds its own signals. */
static void test_many_messages(void **state)
{
	static struct table_entry entries[6000];
	static char names[ARRAY_SIZE(entries)][8];
	struct table *t;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(entries); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%u", i);
		entries[i] = (struct table_entry){.kind = TABLE_EXTENDED,
			.id = i * 0x10000 + 5,
			.layout = BYTE(0),
			.owner = names[i]};
	}
	assert_int_equal(table_new(entries, ARRAY_SIZE(entries), &t), 0);
	for (uint32_t i = 0; i < ARRAY_SIZE(entries); i++) {
		char expected[16];

		(void)snprintf(expected, sizeof(expected), "%u=1 ", i);
		assert_string_equal(frame(t, (i * 0x10000 + 5) | CAN_EFF_FLAG, BYTES(1)), expected);
		assert_string_equal(frame(t, (i * 0x10000 + 6) | CAN_EFF_FLAG, BYTES(1)), "");
	}
	table_free(t);
}

static void test_no_such_layout(void **state)
{
	static const struct dbc_range range = {0, 0};
	struct table_condition condition = {
		.selector = {.length = 32, .type = DECODE_FLOAT}, .ranges = &range, .n_ranges = 1};
	struct table_entry entry = {.kind = TABLE_STANDARD, .layout = {.length = 65}};
	struct table *t = NULL;

	(void)state;
	assert_int_equal(table_new(&entry, 1, &t), -EINVAL);
	entry.layout.length = 8;
	entry.conditions = &condition;
	entry.n_conditions = 1;
	assert_int_equal(table_new(&entry, 1, &t), -EINVAL);
	assert_null(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_gets_what),
		cmocka_unit_test(test_groups_of_several_frames),
		cmocka_unit_test(test_signals_of_a_dbc),
		cmocka_unit_test(test_many_messages),
		cmocka_unit_test(test_no_such_layout),
	};

	return cmocka_run_group_tests_name("can_table", tests, NULL, NULL);
}
