/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan.h"

#include <math.h>

#include "config.h"

struct said {
	const char *what;
	uint32_t n_sensors;
	int64_t interval_ns, least_ns, likely_ns;
};

/* What the played driver says. */
static struct {
	const char *link, *advice;
	struct said requests[4];
	uint32_t n;
	uint32_t n_sensors_seen;
	int64_t interval_seen;
} play;

static void played_plan(struct scg_bus *bus)
{
	play.n_sensors_seen = bus->n_sensors;
	play.interval_seen = bus->n_sensors > 0 ? bus->sensors[0]->interval_ns : 0;
	bus->host->plan_link(bus, "300 baud", "forgotten");
	bus->host->plan_link(bus, play.link, play.advice);
	for (uint32_t i = 0; i < play.n; i++) {
		const struct said *r = &play.requests[i];

		bus->host->plan_request(
			bus, r->what, r->n_sensors, r->interval_ns, r->least_ns, r->likely_ns);
	}
	/* allowed, and without effect here */
	bus->host->complain(bus, NULL, NULL, "no");
	bus->host->tell(bus, SCG_TELL_RESULT, "no");
	bus->host->log(bus, SCG_LOG_DEBUG, "%d", bus->host->stopping(bus));
}

static struct plan make_plan(const struct said *requests, uint32_t n)
{
	static const struct scg_driver driver = {
		.abi = SCG_ABI_LEVEL, .name = "played", .plan = played_plan};
	struct sensor_config sensor = {.name = "s", .interval_ns = 7};
	struct sensor_config *sensors[] = {&sensor};
	struct bus_config config = {
		.name = "one", .driver = &driver, .sensors = sensors, .n_sensors = 1};
	struct plan plan;

	play.n = n;
	for (uint32_t i = 0; i < n; i++) {
		play.requests[i] = requests[i];
	}
	plan_make(&config, &plan);
	return plan;
}

static char *describe(int64_t interval_ns, int64_t least_ns)
{
	const struct said request = {"r", 1, interval_ns, least_ns, least_ns};
	struct plan plan = make_plan(&request, 1);
	char *text = plan_describe_excess(&plan, plan.least);

	plan_clear(&plan);
	return text;
}

static void test_sums(void **state)
{
	const struct said requests[] = {
		{"a", 3, NS_PER_S, 100 * NS_PER_MS, 200 * NS_PER_MS},
		{"b", 1, 10 * NS_PER_S, NS_PER_S, 2 * NS_PER_S},
		{"c", 1, 500 * NS_PER_MS, 0, 0},
	};
	struct plan plan = make_plan(requests, 3);

	assert_true(plan.is_known);
	assert_int_equal(play.n_sensors_seen, 1);
	assert_int_equal(play.interval_seen, 7);
	assert_int_equal(plan.n, 3);
	assert_string_equal(plan.requests[0].what, "a");
	assert_int_equal(plan.requests[0].n_sensors, 3);
	assert_true(fabs(plan.least - 0.2) < 1e-12);
	assert_true(fabs(plan.likely - 0.4) < 1e-12);
	assert_int_equal(plan.shortest_ns, 500 * NS_PER_MS);
	plan_clear(&plan);
	assert_int_equal(plan.n, 0);
}

static void test_numbers_that_cannot_be(void **state)
{
	const struct said requests[] = {
		{"zero", 1, 0, NS_PER_S, NS_PER_S},
		{"negative", 1, INT64_MIN, INT64_MAX, INT64_MAX},
		{NULL, 0, INT64_MAX, INT64_MIN, INT64_MIN},
		{"likely below least", UINT32_MAX, 1, INT64_MAX, 5},
	};
	struct plan plan = make_plan(requests, 4);
	_cleanup_(freep) char *text = plan_describe_excess(&plan, plan.least);

	assert_int_equal(plan.n, 2);
	assert_string_equal(plan.requests[0].what, "");
	assert_int_equal(plan.requests[0].least_ns, 0);
	assert_int_equal(plan.requests[0].likely_ns, 0);
	assert_true(plan.requests[1].likely_ns == INT64_MAX);
	assert_true(isfinite(plan.least) && plan.least > 1e18);
	assert_true(plan.likely == plan.least);
	assert_non_null(text);
	plan_clear(&plan);
}

static void test_a_driver_without_plan(void **state)
{
	static const struct scg_driver driver = {.abi = 1, .name = "old"};
	struct bus_config config = {.name = "one", .driver = &driver};
	struct plan plan;

	plan_make(&config, &plan);
	assert_false(plan.is_known);
	assert_true(plan.least == 0 && plan.likely == 0);
	plan_clear(&plan);
}

static void check_excess(int64_t interval_ns, int64_t least_ns, const char *expected)
{
	_cleanup_(freep) char *text = describe(interval_ns, least_ns);

	assert_string_equal(text, expected);
}

static void test_excess_in_words(void **state)
{
	play.link = "9600 baud, 8E1";
	play.advice = "a higher baud";
	check_excess(
		NS_PER_S, 1740 * NS_PER_MS, "1.7 s of every 1 s at 9600 baud, 8E1: a higher baud");
	/* a short interval is told as a second's worth, a long one as it is */
	check_excess(100 * NS_PER_MS, 150 * NS_PER_MS,
		"1.5 s of every 1 s at 9600 baud, 8E1: a higher baud");
	check_excess(
		NS_PER_MIN, 75 * NS_PER_S, "75.0 s of every 60 s at 9600 baud, 8E1: a higher baud");
	play.link = play.advice = NULL;
	/* never "1.0 s of every 1 s" */
	check_excess(NS_PER_S, 1020 * NS_PER_MS,
		"1.02 s of every 1 s: longer intervals, or fewer sensors");
	check_excess(
		NS_PER_S, NS_PER_S + 1, "1.001 s of every 1 s: longer intervals, or fewer sensors");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_numbers_that_cannot_be),
		cmocka_unit_test(test_a_driver_without_plan),
		cmocka_unit_test(test_excess_in_words),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
