/* SPDX-License-Identifier: Apache-2.0 */
/* What the Modbus driver says of a bus before it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"
#include "util.h"

static struct fake_bus *new_bus(const char *options)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));

	return fake_bus_new(directory, "modbus", options);
}

static void add_run(struct fake_bus *f, int unit, int from, int to, int64_t interval_ns)
{
	for (int i = from; i < to; i++) {
		char name[32], options[48];

		(void)snprintf(name, sizeof(name), "u%d r%d", unit, i);
		(void)snprintf(options, sizeof(options), "unit: %d, register: %d", unit, i);
		(void)fake_bus_add(f, name, interval_ns, options);
	}
}

static void done(struct fake_bus *f)
{
	assert_string_equal("", f->violation);
	fake_bus_free(f);
}

/* 9600 8N1: a character takes 1 s / 960, silence 3.5 of them; request 8, answer 5 and the data. */
static void the_line_is_computed_from_bits(void **state)
{
	struct fake_bus *f = new_bus(
		"transport: rtu, device: /dev/null, baud: 9600, parity: none, stop_bits: 1");
	int64_t expected_ns = (8 + 5 + 40) * (NS_PER_S / 960) + 2 * (NS_PER_S / 960) * 7 / 2;

	add_run(f, 3, 100, 120, NS_PER_S);
	assert_int_equal(1, fake_bus_plan(f));
	assert_string_equal("unit 3, holding 100 to 119", f->requests[0].what);
	assert_int_equal(20, f->requests[0].n_sensors);
	assert_int_equal(NS_PER_S, f->requests[0].interval_ns);
	assert_true(llabs(f->requests[0].least_ns - expected_ns) < 1000);
	assert_true(f->requests[0].likely_ns > f->requests[0].least_ns);
	assert_string_equal("9600 baud, 8N1", f->link);
	done(f);
}

/* A hole is read through where that costs less than another request. */
static void holes_follow_from_the_wire(void **state)
{
	static const struct {
		int hole;
		size_t n_requests;
	} cases[] = {{1, 1}, {8, 1}, {40, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_bus *f = new_bus("transport: rtu, device: /dev/null, baud: 9600");

		add_run(f, 1, 0, 10, NS_PER_S);
		add_run(f, 1, 10 + cases[i].hole, 20 + cases[i].hole, NS_PER_S);
		assert_int_equal(cases[i].n_requests, fake_bus_plan(f));
		done(f);
	}
}

/* Every tenth time the slow ones ride along with the fast one: they cost their bytes, not a request
   of their own. */
static void slow_sensors_cost_what_they_add(void **state)
{
	struct fake_bus *f = new_bus("transport: rtu, device: /dev/null, baud: 9600");
	double alone, together;

	add_run(f, 1, 0, 1, NS_PER_S);
	assert_int_equal(1, fake_bus_plan(f));
	alone = fake_bus_least(f);
	fake_bus_free(f);

	f = new_bus("transport: rtu, device: /dev/null, baud: 9600");
	add_run(f, 1, 0, 1, NS_PER_S);
	add_run(f, 1, 1, 11, 10 * NS_PER_S);
	assert_int_equal(2, fake_bus_plan(f));
	together = fake_bus_least(f);
	/* 20 bytes of 11 bits every 10 s */
	assert_true(together - alone > 0.0022 && together - alone < 0.0024);
	done(f);
}

static void a_line_that_is_too_slow_gets_advice(void **state)
{
	struct fake_bus *f = new_bus("transport: rtu, device: /dev/null, baud: 1200, parity: none");

	for (int unit = 1; unit <= 5; unit++) {
		add_run(f, unit, 0, 20, NS_PER_S);
	}
	assert_int_equal(5, fake_bus_plan(f));
	assert_true(fake_bus_least(f) > 1);
	assert_non_null(f->advice);
	assert_non_null(strstr(f->advice, "9600 baud would be busy for 31 % of its time"));
	assert_non_null(strstr(f->advice, "intervals 3.2 times as long"));
	done(f);
}

static void a_network_takes_no_time_for_sure(void **state)
{
	struct fake_bus *f = new_bus("host: 10.0.0.5");

	add_run(f, 1, 0, 200, NS_PER_S);
	assert_int_equal(2, fake_bus_plan(f));
	assert_true(fake_bus_least(f) == 0);
	assert_true(fake_bus_likely(f) > 0.005 && fake_bus_likely(f) < 0.05);
	assert_string_equal("10.0.0.5, port 502", f->link);
	assert_string_equal("longer intervals, or a second bus for some of the units", f->advice);
	done(f);
}

/* Planning is part of every check: hostile numbers must not hold it up. */
static void ten_thousand_intervals_are_planned(void **state)
{
	struct fake_bus *f = new_bus("host: 10.0.0.5");
	size_t n;

	for (int i = 0; i < 10000; i++) {
		char name[32], options[32];

		(void)snprintf(name, sizeof(name), "r%d", i);
		(void)snprintf(options, sizeof(options), "register: %d", i);
		(void)fake_bus_add(f, name, NS_PER_S + i, options);
	}
	n = fake_bus_plan(f);
	assert_true(n >= 80 && n <= 64 * 81);
	done(f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_is_computed_from_bits),
		cmocka_unit_test(holes_follow_from_the_wire),
		cmocka_unit_test(slow_sensors_cost_what_they_add),
		cmocka_unit_test(a_line_that_is_too_slow_gets_advice),
		cmocka_unit_test(a_network_takes_no_time_for_sure),
		cmocka_unit_test(ten_thousand_intervals_are_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
