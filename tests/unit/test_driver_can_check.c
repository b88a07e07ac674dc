/* SPDX-License-Identifier: Apache-2.0 */
#include "can_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "util.h"

/* Options of a bus besides its interface, those of a sensor "s", and what is said of them; NULL:
   nothing. FILE stands for the file of tests/data. */
static const struct {
	const char *bus, *sensor, *complaint;
} cases[] = {
	{"FILE", "message: Engine_1, signal: Speed", NULL},
	{"FILE", "message: Engine_1, signal: Phase", NULL}, /* the short name */
	{"FILE", "message: EEC1, signal: EngSpeed, source: 0", NULL},
	{"", "id: 0, start_bit: 0, length: 1", NULL},
	{"", "id: 1, start_bit: 7, length: 64, byte_order: big", NULL},
	{"fd: true", "id: 1, start_bit: 504, length: 8", NULL},
	{"", "pgn: 0xfeca, start_bit: 14272, length: 8", NULL},
	{"bitrate: 250000, listen_only: true", "id: 1, start_bit: 0, length: 1", NULL},

	{"", "",
		"s: which value? message and signal name one of the bus's dbc; id or pgn with "
		"start_bit and length do it without"},
	{"", "message: Engine_1, signal: Speed",
		"s: message: the bus needs dbc: the file that this message is in"},
	{"FILE", "message: Engine_1",
		"s: message: message and signal go together: signal is missing"},
	{"FILE", "signal: Speed", "s: signal: message and signal go together: message is missing"},
	{"FILE", "message: engine1, signal: Speed",
		"s: message: FILE has no message \"engine1\"; did you mean \"Engine_1\"?"},
	{"FILE", "message: Gearbox, signal: Speed", "s: message: FILE has no message \"Gearbox\""},
	{"FILE", "message: Engine_1, signal: Sped",
		"s: signal: message Engine_1 has no signal \"Sped\"; did you mean \"Speed\"?"},
	{"FILE", "message: Engine_1, signal: Speed, id: 0x100",
		"s: id: message and signal of the DBC file say this: leave one or the other out"},
	{"FILE", "message: Engine_1, signal: Speed, length: 16",
		"s: length: message and signal of the DBC file say this: leave one or the other "
		"out"},
	{"FILE", "message: Engine_1, signal: Speed, source: 1",
		"s: source: message Engine_1 is none of SAE J1939, it comes from one node"},
	{"FILE", "message: Floats, signal: Energy",
		"s: message: Floats is a message of CAN FD: the bus needs fd: true"},
	{"", "id: 1, pgn: 0xfeca, start_bit: 0, length: 8",
		"s: pgn: id says already which message: leave one of them out"},
	{"", "id: 1, source: 3, start_bit: 0, length: 8",
		"s: source: is for pgn: an id has its source in it"},
	{"", "pgn: 0xef12, start_bit: 0, length: 8",
		"s: pgn: 0xef12 has a destination in its last byte: the group is 0xef00"},
	{"", "pgn: 0xfeca, extended: true, start_bit: 0, length: 8",
		"s: extended: is for id: a parameter group always is"},
	{"", "id: 1, length: 8", "s: start_bit: is needed with id"},
	{"", "pgn: 0xfeca, start_bit: 8", "s: length: is needed with pgn"},
	{"", "id: 1, start_bit: 60, length: 8",
		"s: start_bit: the signal ends in byte 9, and a frame of a bus without fd: true has "
		"at most 8"},
	{"fd: true", "id: 1, start_bit: 511, length: 8, byte_order: big", NULL},
	{"fd: true", "id: 1, start_bit: 510, length: 8, byte_order: big",
		"s: start_bit: the signal ends in byte 65, and a frame has at most 64"},
	{"", "id: 1, start_bit: 0, length: 16, float: true",
		"s: length: a float has 32 or 64 bits"},
	{"", "id: 1, start_bit: 0, length: 32, float: true, signed: true",
		"s: signed: a float always is: leave it out"},
	{"", "id: 1, start_bit: 0, length: 8, multiplexor_start_bit: 8",
		"s: multiplexor_start_bit: needs multiplexor_value as well"},
	{"", "id: 1, start_bit: 0, length: 8, multiplexor_value: 8",
		"s: multiplexor_value: needs multiplexor_start_bit as well"},
	{"",
		"id: 1, start_bit: 0, length: 8, multiplexor_start_bit: 8, multiplexor_length: 3, "
		"multiplexor_value: 8",
		"s: multiplexor_value: 8 does not fit into 3 bits"},
	{"", "id: 1, start_bit: 0, length: 8, multiplexor_start_bit: 60, multiplexor_value: 8",
		"s: multiplexor_start_bit: the signal ends in byte 9, and a frame of a bus without "
		"fd: true has at most 8"},
	{"listen_only: true", "id: 1, start_bit: 0, length: 8",
		"bus: listen_only: needs bitrate: without it the interface stays as it is"},
	{"interface: can 0", "id: 1, start_bit: 0, length: 8",
		"bus: interface: no interface can have this name"},
	{"dbc: /nonexistent/a.dbc", "message: A, signal: B",
		"bus: dbc: /nonexistent/a.dbc: No such file or directory"},
};

/* A text with the file's path for FILE. */
static char *with_file(const char *text, const char *prefix)
{
	const char *at = text ? strstr(text, "FILE") : NULL;

	return at ? xasprintf("%.*s%s%s/tests/data/engine.dbc%s", (int)(at - text), text, prefix,
			    getenv("SOURCE_DIR"), at + 4)
		  : xstrdup(text ? text : "");
}

static void test_options_that_do_not_go_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *bus = with_file(cases[i].bus, "dbc: ");
		_cleanup_(freep) char *complaint = with_file(cases[i].complaint, "");
		struct can_fixture *c = can_fixture_new(bus);
		size_t n;

		(void)can_fixture_add(c, "s", NS_PER_S, cases[i].sensor);
		n = fake_bus_check(c->fake);
		for (size_t k = 0; n != (cases[i].complaint != NULL) && k < n; k++) {
			print_message("# %s\n", c->fake->complaints[k]);
		}
		assert_int_equal(n, cases[i].complaint ? 1 : 0);
		if (cases[i].complaint && !fake_bus_complained(c->fake, complaint)) {
			fail_msg("%s: %s: said %s", cases[i].bus, cases[i].sensor,
				c->fake->complaints[0]);
		}
		if (cases[i].complaint && strncmp(cases[i].complaint, "s:", 2) == 0) {
			/* and if it was opened all the same, it would not work by half */
			assert_int_equal(fake_bus_open(c->fake), -EINVAL);
		}
		can_fixture_free(c);
	}
}

static void test_problems_of_the_file(void **state)
{
	char path[] = "/tmp/test-driver-can-XXXXXX";
	static const char text[] = "VERSION \"\"\n"
				   "BO_ 1 A: 8 N\n"
				   " SG_ Good : 0|8@1+ (1,0) [0|0] \"\" N\n"
				   " SG_ Bad : 0|80@1+ (1,0) [0|0] \"\" N\n";
	_cleanup_(freep) char *options = NULL;
	_cleanup_(freep) char *where = NULL;
	struct can_fixture *c;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	options = xasprintf("dbc: %s", path);
	c = can_fixture_new(options);
	(void)can_fixture_add(c, "s", NS_PER_S, "message: A, signal: Good");
	assert_int_equal(fake_bus_check(c->fake), 1);
	where = xasprintf("bus: dbc: %s:4: ", path);
	assert_memory_equal(c->fake->complaints[0], where, strlen(where));
	/* who runs already goes on with what is good */
	assert_int_equal(fake_bus_open(c->fake), 0);
	assert_int_equal(unlink(path), 0);
	can_fixture_free(c);
}

static void test_the_real_driver(void **state)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));
	struct fake_bus *f = fake_bus_new(directory, "can", "interface: no-such-can");
	int r;

	(void)state;
	(void)fake_bus_add(f, "s", NS_PER_S, "id: 1, start_bit: 0, length: 8");
	assert_int_equal(fake_bus_check(f), 0);
	r = fake_bus_open(f);
	/* where the kernel has no CAN, it says so */
	assert_true(r == -ENODEV || r == -EAFNOSUPPORT || r == -EPROTONOSUPPORT);
	assert_string_equal(f->violation, "");
	fake_bus_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_that_do_not_go_together),
		cmocka_unit_test(test_problems_of_the_file),
		cmocka_unit_test(test_the_real_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
