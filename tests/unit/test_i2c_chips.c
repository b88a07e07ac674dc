/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every chip of the I2C driver against what goes over its bus: tests/data/i2c/chips.txt, which says
 * how it is to be read. The driver has to write and read exactly that, in this order.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"
#include "fake_i2c.h"
#include "i2c/chip.h"
#include "util.h"

#define EXCHANGES_MAX 16
#define VALUES_MAX    4
#define BYTES_MAX     40

struct exchange {
	uint8_t write[BYTES_MAX], read[BYTES_MAX];
	size_t n_write, n_read;
};

struct record {
	int line;
	char chip[16], options[64];
	uint16_t address;
	struct exchange exchanges[EXCHANGES_MAX];
	size_t n_exchanges, at;
	char channels[VALUES_MAX][32];
	double values[VALUES_MAX];
	size_t n_values;
	bool is_wrong; /* something else was asked */
};

/* Bytes in hexadecimal digits up to another character. */
static size_t take_bytes(const char **text, uint8_t *bytes)
{
	size_t n = 0;
	unsigned byte;
	int length;

	while (n < BYTES_MAX && sscanf(*text, " %2x%n", &byte, &length) == 1) {
		bytes[n++] = (uint8_t)byte;
		*text += length;
	}
	return n;
}

static void take_exchange(struct record *record, const char *text)
{
	struct exchange *x = &record->exchanges[record->n_exchanges++];

	assert_true(record->n_exchanges <= EXCHANGES_MAX);
	if (*text == '>') {
		text++;
		x->n_write = take_bytes(&text, x->write);
		text += strspn(text, " ");
	}
	if (*text == '<') {
		text++;
		x->n_read = take_bytes(&text, x->read);
	}
	assert_true(*text == '\n' && x->n_write + x->n_read > 0);
}

static void take_value(struct record *record, const char *text)
{
	size_t i = record->n_values++;
	char number[32];

	assert_true(i < VALUES_MAX);
	assert_int_equal(2, sscanf(text, "%31s %31s", record->channels[i], number));
	assert_int_equal(0, parse_double(number, &record->values[i]));
}

/* Fills the record with what follows its line; false at the end of the file. The line after it is
   left in `line`. */
static bool next_record(FILE *file, char line[256], int *number, struct record *ret)
{
	unsigned address;
	int length = 0;

	*ret = (struct record){.line = *number};
	if (sscanf(line, "chip %15s %x%n", ret->chip, &address, &length) != 2) {
		return false;
	}
	ret->address = (uint16_t)address;
	(void)snprintf(ret->options, sizeof(ret->options), "%.*s",
		(int)strcspn(line + length, "\n"), line + length);
	while (fgets(line, 256, file)) {
		++*number;
		if (strncmp(line, "chip ", 5) == 0) {
			return true;
		}
		if (*line == '<' || *line == '>') {
			take_exchange(ret, line);
		} else if (*line != '#' && *line != '\n') {
			take_value(ret, line);
		}
	}
	*line = '\0';
	return true;
}

static int replay(
	struct fake_chip *chip, const uint8_t *write, size_t n_write, uint8_t *read, size_t n_read)
{
	struct record *record = chip->data;
	const struct exchange *x = &record->exchanges[record->at];

	if (record->at == record->n_exchanges || x->n_write != n_write || x->n_read != n_read ||
		(n_write > 0 && memcmp(x->write, write, n_write) != 0)) {
		record->is_wrong = true;
		return -EIO;
	}
	if (n_read > 0) {
		memcpy(read, x->read, n_read);
	}
	record->at++;
	return 0;
}

static void expect(const struct record *record, struct fake_bus *f)
{
	for (uint32_t i = 0; i < record->n_values; i++) {
		const struct fake_result *result = fake_bus_result(f, f->sensors[i]);

		if (!result->is_good || fabs(result->value - record->values[i]) >
						1e-8 * (1 + fabs(result->value))) {
			fail_msg("line %d, %s %s: %.9f instead of %.9f%s%s", record->line,
				record->chip, record->channels[i], result->value, record->values[i],
				result->is_good ? "" : "; ", result->reason);
		}
	}
}

static void play(struct record *record)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));
	struct fake_bus *f = fake_bus_new(directory, "i2c", "device: " FAKE_I2C_DEVICE);
	struct fake_chip chip = {.address = record->address, .transfer = replay, .data = record};

	fake_i2c_reset(FAKE_I2C_RAW);
	fake_i2c_add(&chip);
	for (size_t i = 0; i < record->n_values; i++) {
		_cleanup_(freep) char *options = xasprintf("address: %d, chip: %s, channel: %s%s%s",
			record->address, record->chip, record->channels[i],
			*record->options ? "," : "", record->options);

		(void)fake_bus_add(f, record->channels[i], NS_PER_S, options);
	}
	assert_int_equal(0, fake_bus_check(f));
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_round(f));
	if (record->is_wrong || record->at < record->n_exchanges) {
		fail_msg("line %d, %s: the exchange %zu is not what the driver wanted",
			record->line, record->chip, record->at + 1);
	}
	expect(record, f);
	assert_string_equal("", f->violation);
	fake_bus_free(f);
}

static void chips_give_what_their_records_say(void **state)
{
	_cleanup_(freep) char *path = xasprintf(
		"%s/tests/data/i2c/chips.txt", getenv("SOURCE_DIR"));
	FILE *file = fopen(path, "re");
	bool is_there[N_CHIPS] = {true};
	struct record record;
	char line[256] = "";
	int number = 0;

	(void)state;
	assert_non_null(file);
	while (strncmp(line, "chip ", 5) != 0 && fgets(line, sizeof(line), file)) {
		number++;
	}
	while (next_record(file, line, &number, &record)) {
		for (int i = 0; i < N_CHIPS; i++) {
			is_there[i] |= strcmp(i2c_chip_names[i], record.chip) == 0;
		}
		play(&record);
	}
	(void)fclose(file);
	for (int i = 0; i < N_CHIPS; i++) {
		if (!is_there[i]) {
			fail_msg("there is no record of %s", i2c_chip_names[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chips_give_what_their_records_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
