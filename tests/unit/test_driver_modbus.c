/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus driver against a slave that behaves: what it makes of the registers, and what it asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "modbus_fixture.h"
#include "util.h"

static int setup(void **state)
{
	*state = slave_new();
	return 0;
}

static int teardown(void **state)
{
	slave_free(*state);
	return 0;
}

/* A sensor per register named in `registers`, all holding registers of unit 1. */
static void add_registers(struct fake_bus *f, const int *registers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char name[16], options[32];

		(void)snprintf(name, sizeof(name), "r%d", registers[i]);
		(void)snprintf(options, sizeof(options), "register: %d", registers[i]);
		(void)fake_bus_add(f, name, NS_PER_S, options);
	}
}

static void assert_request(const struct slave *slave, size_t i, uint8_t unit, uint8_t function,
	uint16_t address, uint16_t count)
{
	assert_true(i < slave->n_requests);
	assert_int_equal(unit, slave->requests[i].unit);
	assert_int_equal(function, slave->requests[i].function);
	assert_int_equal(address, slave->requests[i].address);
	assert_int_equal(count, slave->requests[i].count);
}

/* The order of the bytes on the wire in letters, as manuals print it; types have 1, 2, 4 registers.
 */
static const char *const letters[4][3] = {
	{"AB", "ABCD", "ABCDEFGH"},
	{"AB", "CDAB", "GHEFCDAB"},
	{"BA", "BADC", "BADCFEHG"},
	{"BA", "DCBA", "HGFEDCBA"},
};
static const char *const orders[] = {"ABCD", "CDAB", "BADC", "DCBA"};
static const char *const types[] = {
	"int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"};
static const size_t widths[] = {1, 1, 2, 2, 4, 4, 2, 4};

/* Writes a random value of a type to the slave and returns what has to be read. */
static double write_random(uint16_t *registers, size_t type, size_t order)
{
	size_t size = 2 * widths[type];
	const char *wire = letters[order][size / 4];
	uint8_t big_endian[8];
	union {
		uint64_t u64;
		int64_t i64;
		double f64;
	} wide = {0};
	union {
		uint32_t u32;
		int32_t i32;
		float f32;
	} half;

	for (size_t i = 0; i < size; i++) {
		big_endian[i] = (uint8_t)rand();
		wide.u64 = wide.u64 << 8 | big_endian[i];
	}
	for (size_t i = 0; i < size; i += 2) {
		registers[i / 2] = (uint16_t)(big_endian[wire[i] - 'A'] << 8 |
					      big_endian[wire[i + 1] - 'A']);
	}
	half.u32 = (uint32_t)wide.u64;
	switch (type) {
	case 0:
		return wide.u64 < 0x8000 ? (double)wide.u64 : (double)wide.u64 - 65536;
	case 2:
		return half.i32;
	case 4:
		return (double)wide.i64;
	case 6:
		return (double)half.f32;
	case 7:
		return wide.f64;
	default:
		return (double)wide.u64;
	}
}

static void all_types_and_orders_are_read(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	double expected[8][4][2];
	uint32_t at = 7;

	srand(1);
	for (size_t type = 0; type < 8; type++) {
		for (size_t order = 0; order < 4; order++) {
			for (int table = HOLDING; table <= INPUT; table++) {
				char name[64], options[128];

				(void)snprintf(name, sizeof(name), "%s %s %d", types[type],
					orders[order], table);
				(void)snprintf(options, sizeof(options),
					"table: %s, register: %u, type: %s, order: %s",
					table == INPUT ? "input" : "holding", at, types[type],
					orders[order]);
				(void)fake_bus_add(f, name, NS_PER_S, options);
			}
			at += (uint32_t)widths[type] + (uint32_t)rand() % 3;
		}
	}
	for (int round = 0; round < 100; round++) {
		uint32_t i = 0;

		for (size_t type = 0; type < 8; type++) {
			for (size_t order = 0; order < 4; order++) {
				for (int table = HOLDING; table <= INPUT; table++, i++) {
					int64_t address = f->sensors[i]->options[2].i;

					expected[type][order][table] = write_random(
						&slave->registers[table][address], type, order);
				}
			}
		}
		bus_round(f);
		i = 0;
		for (size_t type = 0; type < 8; type++) {
			for (size_t order = 0; order < 4; order++) {
				for (int table = HOLDING; table <= INPUT; table++, i++) {
					assert_value(
						f, f->sensors[i], expected[type][order][table]);
				}
			}
		}
	}
	bus_done(f);
}

static void bits_are_read(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	struct scg_sensor *coil = fake_bus_add(
		f, "coil", 1, "table: coil, register: 9, type: bool");
	struct scg_sensor *off = fake_bus_add(f, "off", 1, "table: coil, register: 10");
	struct scg_sensor *last = fake_bus_add(f, "last", 1, "table: discrete, register: 65535");
	struct scg_sensor *bit = fake_bus_add(f, "bit", 1, "register: 65535, bit: 15, type: bool");
	struct scg_sensor *swapped = fake_bus_add(
		f, "swapped", 1, "register: 65535, bit: 7, order: BADC");

	slave->registers[HOLDING][65535] = 0x8000;
	bus_round(f);
	assert_value(f, coil, 1);
	assert_value(f, off, 0);
	assert_value(f, last, 1);
	assert_value(f, bit, 1);
	assert_value(f, swapped, 1);
	assert_int_equal(3, slave->n_requests);
	bus_done(f);
}

static void neighbours_share_a_request(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "max_gap: 0");
	static const int registers[] = {12, 10, 11, 20, 21, 9};

	add_registers(f, registers, ARRAY_SIZE(registers));
	(void)fake_bus_add(f, "long", NS_PER_S, "register: 22, type: float64");
	bus_round(f);
	assert_int_equal(2, slave->n_requests);
	assert_request(slave, 0, 1, 3, 9, 4);
	assert_request(slave, 1, 1, 3, 20, 6);
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		assert_value(f, f->sensors[i], registers[i]);
	}
	bus_done(f);
}

static void holes_are_read_through_up_to_max_gap(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "max_gap: 5");
	static const int registers[] = {0, 6, 13};

	add_registers(f, registers, ARRAY_SIZE(registers));
	bus_round(f);
	assert_int_equal(2, slave->n_requests);
	assert_request(slave, 0, 1, 3, 0, 7);
	assert_request(slave, 1, 1, 3, 13, 1);
	bus_done(f);
}

static void holes_are_free_on_tcp_by_default(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	static const int registers[] = {0, 124, 125};

	add_registers(f, registers, ARRAY_SIZE(registers));
	bus_round(f);
	assert_int_equal(2, slave->n_requests);
	/* Of the ways to ask twice the one with the fewest registers. */
	assert_request(slave, 0, 1, 3, 0, 1);
	assert_request(slave, 1, 1, 3, 124, 2);
	bus_done(f);
}

static void values_are_never_split(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "max_registers: 10");
	struct scg_sensor *first = fake_bus_add(f, "first", 1, "register: 0");
	struct scg_sensor *wide = fake_bus_add(f, "wide", 1, "register: 7, type: uint64");

	bus_round(f);
	assert_value(f, first, 0);
	assert_value(f, wide, (double)(UINT64_C(0x0007000800090000) + 10));
	assert_int_equal(2, slave->n_requests);
	assert_request(slave, 1, 1, 3, 7, 4);
	bus_done(f);
}

static void units_and_tables_are_asked_apart(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	(void)fake_bus_add(f, "a", 1, "unit: 2, register: 1");
	(void)fake_bus_add(f, "b", 1, "unit: 1, register: 2");
	(void)fake_bus_add(f, "c", 1, "unit: 1, register: 3, table: input");
	(void)fake_bus_add(f, "d", 1, "unit: 1, register: 4");
	bus_round(f);
	assert_int_equal(3, slave->n_requests);
	assert_request(slave, 0, 2, 3, 1, 1);
	assert_request(slave, 1, 1, 3, 2, 3);
	assert_request(slave, 2, 1, 4, 3, 1);
	bus_done(f);
}

static void a_call_makes_one_request_for_the_most_urgent(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");
	struct scg_sensor *due[3];

	due[2] = fake_bus_add(f, "a", 1, "register: 0");
	due[1] = fake_bus_add(f, "b", 1, "register: 500");
	due[0] = fake_bus_add(f, "c", 1, "register: 1000");
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_poll(f, due, 3));
	assert_int_equal(1, slave->n_requests);
	assert_request(slave, 0, 1, 3, 1000, 1);
	assert_int_equal(1, f->n_results);
	bus_done(f);
}

static void what_is_not_due_is_a_hole(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "max_gap: 1");
	static const int registers[] = {0, 1, 2, 3, 4, 5};
	struct scg_sensor *due[3];

	add_registers(f, registers, ARRAY_SIZE(registers));
	due[0] = f->sensors[0];
	due[1] = f->sensors[2];
	due[2] = f->sensors[5];
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_poll(f, due, 3));
	assert_request(slave, 0, 1, 3, 0, 3);
	assert_int_equal(2, f->n_results);
	bus_done(f);
}

/* The fewest requests there can be, found without the driver's method: over all registers of all
   units from the left. */
static size_t fewest_requests(
	const struct fake_bus *f, uint32_t max_registers, uint32_t max_gap, uint32_t space)
{
	size_t n = 0;

	for (int64_t unit = 1; unit <= 3; unit++) {
		uint32_t begin = 0, end = 0;
		bool is_open = false;

		for (uint32_t at = 0; at < space; at++) {
			for (uint32_t width = 1; width <= 4; width *= 2) {
				bool wanted = false;

				for (uint32_t i = 0; i < f->bus.n_sensors; i++) {
					const union scg_value *o = f->sensors[i]->options;

					wanted = wanted || (o[0].i == unit && o[2].i == at &&
								   widths[o[3].i] == width);
				}
				if (!wanted) {
					continue;
				}
				if (!is_open || at > end + max_gap ||
					MAX(end, at + width) - begin > max_registers) {
					is_open = true;
					begin = at;
					end = at;
					n++;
				}
				end = MAX(end, at + width);
			}
		}
	}
	return n;
}

static void random_plans_are_right_and_the_shortest(void **state)
{
	enum { SPACE = 400 };
	struct slave *slave = *state;

	srand(2);
	for (int trial = 0; trial < 60; trial++) {
		uint32_t max_registers = 4 + (uint32_t)rand() % 122;
		uint32_t max_gap = (uint32_t)rand() % 20;
		char options[64];
		struct fake_bus *f;

		(void)snprintf(options, sizeof(options), "max_registers: %u, max_gap: %u",
			max_registers, max_gap);
		f = slave_bus(slave, options);
		for (int i = 0; i < 60; i++) {
			char sensor[64];

			(void)snprintf(sensor, sizeof(sensor), "unit: %d, register: %d, type: %s",
				1 + rand() % 3, rand() % (SPACE - 4),
				(const char *[]){"uint16", "uint32", "uint64"}[rand() % 3]);
			(void)fake_bus_add(f, sensor, NS_PER_S, sensor);
		}
		slave_forget(slave);
		bus_round(f);
		for (uint32_t i = 0; i < f->bus.n_sensors; i++) {
			const union scg_value *o = f->sensors[i]->options;
			uint64_t raw = 0;

			for (size_t j = 0; j < widths[o[3].i]; j++) {
				raw = raw << 16 | (uint64_t)(o[2].i + (int64_t)j);
			}
			assert_value(f, f->sensors[i], (double)raw);
		}
		for (size_t i = 0; i < slave->n_requests; i++) {
			assert_true(slave->requests[i].count <= max_registers);
		}
		assert_int_equal(
			fewest_requests(f, max_registers, max_gap, SPACE), slave->n_requests);
		assert_int_equal(f->bus.n_sensors, f->n_results);
		bus_done(f);
	}
}

static void a_bus_without_sensors_opens(void **state)
{
	struct fake_bus *f = slave_bus(*state, "host: localhost");

	assert_int_equal(0, fake_bus_check(f));
	assert_int_equal(0, fake_bus_open(f));
	bus_done(f);
}

static void check_says_what_cannot_work(void **state)
{
	struct fake_bus *f = slave_bus(*state, "max_registers: 2");

	(void)fake_bus_add(f, "a", 1, "register: 0, type: bool");
	(void)fake_bus_add(f, "b", 1, "register: 0, type: float64");
	(void)fake_bus_add(f, "c", 1, "register: 65535, type: float32");
	(void)fake_bus_add(f, "d", 1, "register: 0, type: float32, bit: 3");
	(void)fake_bus_add(f, "e", 1, "register: 0, type: int32, table: coil");
	(void)fake_bus_add(f, "f", 1, "register: 0, bit: 2, table: discrete");
	(void)fake_bus_add(f, "fine", 1, "register: 65535, bit: 2");
	assert_int_equal(6, fake_bus_check(f));
	assert_true(fake_bus_complained(f,
		"a: type: bool in table holding needs bit: which of the register's bits, 0 to 15"));
	assert_true(fake_bus_complained(f,
		"b: type: float64 takes 4 registers in one request, but the bus has max_registers "
		"2"));
	assert_true(fake_bus_complained(f,
		"c: register: float32 takes 2 registers from here, but the last register is "
		"65535"));
	assert_true(fake_bus_complained(f,
		"d: bit: picks bits of an integer: type must be bool, intN or uintN, not float32"));
	assert_true(fake_bus_complained(f,
		"e: type: int32 does not fit a coil, which is a single bit: leave it out, or "
		"bool"));
	assert_true(fake_bus_complained(
		f, "f: bit: picks a bit of a register, but table discrete has no registers"));
	fake_bus_set(f, "transport: tcp, host: , device: /dev/null");
	assert_int_equal(8, fake_bus_check(f));
	assert_true(fake_bus_complained(
		f, "bus: host: transport tcp needs the name or the address of the slave"));
	assert_true(fake_bus_complained(
		f, "bus: device: is for transport rtu, but this bus has transport tcp"));
	bus_done(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_types_and_orders_are_read),
		TEST(bits_are_read),
		TEST(neighbours_share_a_request),
		TEST(holes_are_read_through_up_to_max_gap),
		TEST(holes_are_free_on_tcp_by_default),
		TEST(values_are_never_split),
		TEST(units_and_tables_are_asked_apart),
		TEST(a_call_makes_one_request_for_the_most_urgent),
		TEST(what_is_not_due_is_a_hole),
		TEST(random_plans_are_right_and_the_shortest),
		TEST(a_bus_without_sensors_opens),
		TEST(check_says_what_cannot_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
