/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_host.h"
#include "util.h"

static struct fake_bus *sim_bus(const char *options)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));

	return fake_bus_new(directory, "sim", options);
}

static void run(struct fake_bus *f, int rounds)
{
	assert_int_equal(0, fake_bus_open(f));
	for (int i = 0; i < rounds; i++) {
		assert_int_equal(0, fake_bus_round(f));
	}
}

static void done(struct fake_bus *f)
{
	fake_bus_close(f);
	assert_string_equal("", f->violation);
	fake_bus_free(f);
}

/* What the help promises, from the time of the reading; the phase is the sensor's own. */
static double expected(const char *waveform, double at)
{
	switch (waveform[0]) {
	case 's':
		return waveform[1] == 'i' ? sin(2 * M_PI * at) : (at < 0.5 ? 1 : -1);
	default:
		return 2 * at - 1;
	}
}

static void waveforms_follow_the_clock(void **state)
{
	static const char *const waveforms[] = {"sine", "square", "ramp"};

	for (size_t i = 0; i < ARRAY_SIZE(waveforms); i++) {
		_cleanup_(freep) char *options = xasprintf(
			"waveform: %s, period: 7ms, amplitude: 10, mean: 100", waveforms[i]);
		struct fake_bus *f = sim_bus("");
		double phase = NAN;

		(void)fake_bus_add(f, "a", 1, options);
		/* A ramp of the same name has the same phase, and shows it. */
		(void)fake_bus_add(f, "a", 1, "waveform: ramp, period: 7ms");
		run(f, 500);
		assert_int_equal(1000, f->n_results);
		for (size_t j = 0; j < f->n_results; j += 2) {
			const struct fake_result *wave = &f->results[j], *ramp = wave + 1;
			double at = (ramp->value + 1) / 2;
			double of_time = (double)(ramp->time_ns % 7000000) / 7e6;

			assert_true(
				fabs(wave->value - 100 - 10 * expected(waveforms[i], at)) < 1e-6);
			if (isnan(phase)) {
				phase = at - of_time;
			}
			/* The phase never moves, but for whole turns. */
			assert_true(fabs(remainder(at - of_time - phase, 1)) < 1e-6);
		}
		done(f);
	}
}

static void random_fills_its_range(void **state)
{
	struct fake_bus *f = sim_bus("");
	double sum = 0, least = 1, most = -1;

	(void)fake_bus_add(f, "a", 1, "waveform: random");
	run(f, 2000);
	for (size_t i = 0; i < f->n_results; i++) {
		least = fmin(least, f->results[i].value);
		most = fmax(most, f->results[i].value);
		sum += f->results[i].value;
	}
	assert_true(least >= -1 && least < -0.9);
	assert_true(most <= 1 && most > 0.9);
	assert_true(fabs(sum / 2000) < 0.1);
	done(f);
}

static void a_constant_is_its_mean(void **state)
{
	struct fake_bus *f = sim_bus("");
	struct scg_sensor *sensor = fake_bus_add(f, "a", 1, "waveform: constant, mean: 4.5");

	run(f, 1);
	assert_true(fake_bus_result(f, sensor)->value == 4.5);
	done(f);
}

static void a_counter_counts_readings(void **state)
{
	struct fake_bus *f = sim_bus("");

	(void)fake_bus_add(f, "a", 1, "waveform: counter, mean: 5");
	run(f, 10);
	for (size_t i = 0; i < 10; i++) {
		assert_true(f->results[i].value == 5 + (double)i);
	}
	fake_bus_forget(f);
	fake_bus_close(f);
	run(f, 1);
	assert_true(f->results[0].value == 5);
	done(f);
}

static void failures_come_from_the_seed(void **state)
{
	struct fake_bus *same[3] = {sim_bus("seed: 7"), sim_bus("seed: 7"), sim_bus("seed: 8")};
	size_t n_failed = 0, n_different = 0;

	for (size_t i = 0; i < 3; i++) {
		(void)fake_bus_add(same[i], "a", 1, "fail: 0.3");
		run(same[i], 1000);
	}
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(same[0]->results[i].is_good, same[1]->results[i].is_good);
		n_failed += !same[0]->results[i].is_good;
		n_different += same[0]->results[i].is_good != same[2]->results[i].is_good;
	}
	assert_in_range(n_failed, 200, 400);
	assert_true(n_different > 0);
	for (size_t i = 0; i < 3; i++) {
		done(same[i]);
	}
}

static void a_stop_request_ends_a_delay(void **state)
{
	static const _Atomic bool stop = true;
	struct fake_bus *f = sim_bus("delay: 60s");

	(void)fake_bus_add(f, "a", 1, "");
	f->stop = &stop;
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_poll(f, f->sensors, 1));
	assert_int_equal(0, f->n_results);
	done(f);
}

static void the_plan_counts_delays(void **state)
{
	struct fake_bus *f = sim_bus("delay: 500ms");

	(void)fake_bus_add(f, "a", 2 * NS_PER_S, "");
	(void)fake_bus_add(f, "b", NS_PER_S, "");
	(void)fake_bus_add(f, "c", 2 * NS_PER_S, "");
	assert_int_equal(fake_bus_plan(f), 2);
	assert_string_equal(f->link, "0.5 s a request");
	assert_int_equal(f->requests[0].interval_ns, NS_PER_S);
	assert_int_equal(f->requests[0].n_sensors, 1);
	assert_int_equal(f->requests[1].n_sensors, 2);
	assert_true(fabs(fake_bus_least(f) - 0.5) < 1e-9);
	assert_true(fabs(fake_bus_likely(f) - 0.75) < 1e-9);
	done(f);
}

static void without_sensors_there_are_no_requests(void **state)
{
	struct fake_bus *f = sim_bus("");

	assert_int_equal(fake_bus_plan(f), 0);
	done(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waveforms_follow_the_clock),
		cmocka_unit_test(random_fills_its_range),
		cmocka_unit_test(a_constant_is_its_mean),
		cmocka_unit_test(a_counter_counts_readings),
		cmocka_unit_test(failures_come_from_the_seed),
		cmocka_unit_test(a_stop_request_ends_a_delay),
		cmocka_unit_test(the_plan_counts_delays),
		cmocka_unit_test(without_sensors_there_are_no_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
