/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool_job.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "log.h"
#include "thread.h"

/* A driver played by the test. Each step says "step N"; what else it does is told here. */
static struct {
	_Atomic int open_result, poll_result, step_result; /* step: of the last one */
	_Atomic int64_t last_step;                         /* number of the last one */
	_Atomic bool block;                                /* a step waits until stopping() */
	_Atomic bool slow_poll;                            /* poll() takes 5 ms */
	_Atomic unsigned text_size;                        /* what else a step says */
	_Atomic unsigned steps, polls, opens, closes;
} play;

enum { OPTION_UNIT, OPTION_SWEEP, OPTION_WAIT_TIME, OPTION_NAME };

static const struct scg_option options[] = {
	[OPTION_UNIT] = {.name = "unit",
		.type = SCG_INT,
		.flags = SCG_REQUIRED,
		.min = 1,
		.max = 247,
		.help = "Which."},
	[OPTION_SWEEP] = {.name = "sweep",
		.type = SCG_BOOL,
		.fallback = "false",
		.help = "All of them."},
	[OPTION_WAIT_TIME] = {.name = "wait_time",
		.type = SCG_DURATION,
		.fallback = "1s",
		.help = "How long."},
	[OPTION_NAME] = {.name = "name", .type = SCG_STRING, .max = 20, .help = "Whose."},
};

static int played_open(struct scg_bus *bus)
{
	int r = play.open_result;

	play.opens += r == 0;
	return r;
}

static int played_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	const struct timespec moment = {.tv_nsec = 5000000};

	if (play.slow_poll) {
		(void)nanosleep(&moment, NULL);
	}
	for (uint32_t i = 0; i < n_due; i++) {
		bus->host->report(bus, due[i], 0, 1, SCG_GOOD);
	}
	play.polls++;
	return play.poll_result;
}

static void played_close(struct scg_bus *bus)
{
	play.closes++;
}

static int played_step(struct scg_bus *bus, const union scg_value *values, uint64_t step)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	play.steps++;
	bus->host->tell(bus, SCG_TELL_PROGRESS, "at step %u", (unsigned)step);
	bus->host->tell(bus, SCG_TELL_RESULT, "step %u of unit %d", (unsigned)step,
		(int)values[OPTION_UNIT].i);
	for (unsigned said = 0; said < play.text_size; said += 500) {
		bus->host->tell(bus, SCG_TELL_RESULT, "%500s", "");
	}
	while (play.block && !bus->host->stopping(bus)) {
		(void)nanosleep(&moment, NULL);
	}
	if ((int64_t)step < play.last_step) {
		return 1;
	}
	if (play.step_result == -EINVAL) {
		bus->host->complain(bus, NULL, "unit", "%d is taken", 7);
		bus->host->complain(bus, NULL, NULL, "go away");
	}
	bus->host->tell(bus, SCG_TELL_STANZA, "- slug: x");
	return play.step_result;
}

static const struct scg_tool scan = {
	.options = options, .n_options = SCG_COUNT(options), .step = played_step};

static const struct scg_driver driver = {
	.abi = SCG_ABI_LEVEL,
	.name = "played",
	.open = played_open,
	.poll = played_poll,
	.close = played_close,
	.scan = &scan,
};

/* --- options --- */

static void check_options(
	const struct option_word *words, size_t n, const char *name, const char *expected)
{
	struct problems problems = {0};
	struct tool_job *job = tool_job_new(&driver, name, words, n, &problems);
	char text[500] = "";

	for (size_t i = 0; i < problems.n; i++) {
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n",
			problems.list[i].text);
	}
	assert_true((job != NULL) == (problems.n == 0));
	assert_string_equal(text, expected);
	tool_job_unref(job);
	problems_clear(&problems);
}

#define CHECK_OPTIONS(expected, ...)                                                               \
	do {                                                                                       \
		const struct option_word words_[] = {__VA_ARGS__};                                 \
		check_options(words_, ARRAY_SIZE(words_), "scan", expected);                       \
	} while (0)

static void test_options(void **state)
{
	CHECK_OPTIONS("", {"unit", "3"});
	CHECK_OPTIONS("", {"unit", "0x10"}, {"sweep", NULL}, {"wait-time", "5min"}, {"name", ""});
	CHECK_OPTIONS("", {"unit", "3"}, {"sweep", "true"}, {"wait_time", "0"}, {"name", "null"});
}

static void test_options_that_are_wrong(void **state)
{
	check_options(NULL, 0, "scan", "scan: unit: missing, expected a whole number, 1 to 247\n");
	check_options(NULL, 0, "probe", "probe: the driver played has none\n");
	check_options(NULL, 0, "paint", "paint: the driver played has none\n");
	CHECK_OPTIONS("scan: unit: \"abc\" does not fit, expected a whole number, 1 to 247\n",
		{"unit", "abc"});
	CHECK_OPTIONS("scan: unit: 300 is out of range, expected 1 to 247\n", {"unit", "300"});
	CHECK_OPTIONS(
		"scan: unit: without a value, expected a whole number, 1 to 247\n", {"unit", NULL});
	CHECK_OPTIONS("scan: unit: given twice, expected once\n", {"unit", "3"}, {"unit", "4"});
	CHECK_OPTIONS("scan: wait_time: 5 has no unit such as s or min, expected a duration such "
		      "as 250ms, 10s, 5min, 1h, 7d\n",
		{"unit", "3"}, {"wait-time", "5"});
	CHECK_OPTIONS("scan: swep: unknown option, did you mean sweep?\n"
		      "scan: colour: unknown option, expected one of: unit, sweep, wait_time, "
		      "name\n",
		{"swep", "3"}, {"colour", NULL});
	CHECK_OPTIONS("scan: name: 21 bytes is too long, expected at most 20 bytes\n",
		{"unit", "3"}, {"name", "123456789012345678901"});
	/* what only begins as an option is not it */
	CHECK_OPTIONS("scan: : unknown option, expected one of: unit, sweep, wait_time, name\n",
		{"", "3"});
	CHECK_OPTIONS("scan: uni: unknown option, did you mean unit?\n", {"uni", "3"});
}

/* --- text --- */

static struct tool_job *new_job(void)
{
	const struct option_word words[] = {{"unit", "7"}};
	struct problems problems = {0};
	struct tool_job *job = tool_job_new(&driver, "scan", words, 1, &problems);

	assert_non_null(job);
	return job;
}

static void check_taken(struct tool_job *job, const char *expected, bool expected_end)
{
	bool is_end;
	_cleanup_(freep) char *text = tool_job_take(job, &is_end);

	assert_string_equal(text ? text : "", expected);
	assert_int_equal(is_end, expected_end);
}

static void test_text(void **state)
{
	struct tool_job *job = new_job();

	check_taken(job, "", false);
	tool_job_say(job, TOOL_PROGRESS, "looking");
	tool_job_say(job, TOOL_RESULT, "one");
	tool_job_say(job, TOOL_PROGRESS, "still looking");
	tool_job_say(job, TOOL_STANZA, "- two\n\x1b[31m");
	check_taken(job, "r one\ns - two??[31m\np still looking\n", false);
	check_taken(job, "", false);
	tool_job_say(job, TOOL_PROGRESS, "nearly");
	tool_job_end(job, 64);
	/* what is being done is of no interest when it has been done */
	check_taken(job, "e 64\n", true);
	tool_job_unref(job);
}

static void test_descriptor_says_when(void **state)
{
	struct tool_job *job = new_job();
	struct pollfd fd = {.fd = tool_job_fd(job), .events = POLLIN};

	assert_int_equal(poll(&fd, 1, 0), 0);
	tool_job_say(job, TOOL_RESULT, "one");
	assert_int_equal(poll(&fd, 1, 0), 1);
	check_taken(job, "r one\n", false);
	assert_int_equal(poll(&fd, 1, 0), 0);
	tool_job_end(job, 0);
	assert_int_equal(poll(&fd, 1, 0), 1);
	tool_job_unref(job);
}

static void test_text_has_limits(void **state)
{
	struct tool_job *job = new_job();
	char line[501] = "", *text;
	bool is_end;

	memset(line, 'x', sizeof(line) - 1);
	assert_true(tool_job_has_room(job));
	for (int i = 0; i < 200; i++) {
		tool_job_say(job, TOOL_RESULT, line);
	}
	assert_false(tool_job_has_room(job));
	assert_false(tool_job_must_end(job));
	for (int i = 0; i < 5000; i++) {
		tool_job_say(job, TOOL_RESULT, line);
	}
	assert_true(tool_job_must_end(job));
	assert_false(tool_job_is_cancelled(job));
	tool_job_end(job, 1);
	text = tool_job_take(job, &is_end);
	assert_in_range(strlen(text), 1000000, 1100000);
	assert_true(is_end);
	assert_string_equal(text + strlen(text) - 4, "e 1\n");
	assert_true(tool_job_has_room(job));
	free(text);
	tool_job_unref(job);
}

/* --- on a bus --- */

static struct {
	struct config config;
	struct bus_config bus_config;
	struct device_config device;
	struct sensor_config sensor;
	struct sensor_config *sensors[1];
	struct clock_state *clock;
	struct bus *bus;
	char *text; /* what jobs have said */
} f;

static void ignore_readings(void *ctx, const struct reading *readings, size_t n, bool round_end)
{
}

static void start(int64_t interval_ns)
{
	static const struct bus_output output = {.readings = ignore_readings};

	memset(&play, 0, sizeof(play));
	memset(&f, 0, sizeof(f));
	play.last_step = 2;
	f.config.refs = 2; /* ours, never given up: it was not made by config_load() */
	f.device.name = "boiler";
	f.sensor = (struct sensor_config){.name = "s",
		.device = &f.device,
		.interval_ns = interval_ns,
		.scale = 1,
		.decimals = -1,
		.min = -INFINITY,
		.max = INFINITY};
	f.sensors[0] = &f.sensor;
	f.bus_config = (struct bus_config){
		.name = "line", .driver = &driver, .sensors = f.sensors, .n_sensors = 1};
	f.clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	f.bus = bus_new(&f.config, &f.bus_config, f.clock, &output);
	f.text = xstrdup("");
	assert_int_equal(bus_start(f.bus), 0);
}

/* What is being done may stand between any two lines: without these the others are certain. */
static void drop_progress(char *text)
{
	char *to = text, *rest = text, *line;

	while ((line = strsep(&rest, "\n")) && rest) {
		if (line[0] != TOOL_PROGRESS) {
			size_t length = strlen(line);

			memmove(to, line, length);
			to[length] = '\n';
			to += length + 1;
		}
	}
	*to = '\0';
}

/* Takes what the job says until its end, ten seconds at the most for each piece. */
static void follow(struct tool_job *job)
{
	struct pollfd fd = {.fd = tool_job_fd(job), .events = POLLIN};
	bool is_end = false;

	while (!is_end) {
		_cleanup_(freep) char *before = f.text;
		_cleanup_(freep) char *text = NULL;

		assert_int_equal(poll(&fd, 1, 10000), 1);
		text = tool_job_take(job, &is_end);
		f.text = xasprintf("%s%s", before, text ? text : "");
	}
	drop_progress(f.text);
}

static void finish(void)
{
	bus_request_stop(f.bus);
	assert_int_equal(bus_join(f.bus, now_monotonic_ns() + 5 * NS_PER_S), 0);
	assert_int_equal(play.opens, play.closes);
	bus_free(f.bus);
	clock_free(f.clock);
	free(f.text);
}

#define wait_for(condition)                                                                        \
	do {                                                                                       \
		int64_t until_ = now_monotonic_ns() + 10 * NS_PER_S;                               \
		while (!(condition) && now_monotonic_ns() < until_) {                              \
			(void)poll(NULL, 0, 1);                                                    \
		}                                                                                  \
		assert_true(condition);                                                            \
	} while (0)

static void run_job(void)
{
	struct tool_job *job = new_job();

	assert_int_equal(bus_start_tool(f.bus, job), 0);
	follow(job);
	tool_job_unref(job);
}

static void test_steps_to_the_end(void **state)
{
	start(NS_PER_H);
	run_job();
	assert_int_equal(play.steps, 3);
	assert_non_null(strstr(f.text, "r step 0 of unit 7\n"));
	assert_non_null(strstr(f.text, "r step 2 of unit 7\ns - slug: x\ne 0\n"));
	/* and once more */
	run_job();
	assert_int_equal(play.steps, 6);
	finish();
}

static void test_polling_goes_on(void **state)
{
	struct tool_job *job;
	unsigned polls;

	start(2 * NS_PER_MS);
	play.last_step = INT64_MAX;
	job = new_job();
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	wait_for(play.steps > 10);
	polls = play.polls;
	/* nobody takes what it says: it pauses, and polling does not */
	wait_for(!tool_job_has_room(job));
	wait_for(play.polls > polls + 20);
	assert_false(tool_job_must_end(job));
	tool_job_cancel(job);
	follow(job);
	assert_non_null(strstr(f.text, "m scan: bus line: interrupted\ne 1\n"));
	tool_job_unref(job);
	finish();
}

static void test_pause_ends_when_the_text_is_taken(void **state)
{
	struct tool_job *job;
	unsigned steps;
	bool is_end;

	start(NS_PER_H);
	play.last_step = 20;
	play.text_size = 30000;
	job = new_job();
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	wait_for(!tool_job_has_room(job));
	steps = play.steps;
	assert_true(steps < 20);
	free(tool_job_take(job, &is_end));
	assert_false(is_end);
	wait_for(play.steps > steps);
	follow(job);
	assert_non_null(strstr(f.text, "\ne 0\n"));
	assert_int_equal(play.steps, 21);
	tool_job_unref(job);
	finish();
}

static void test_a_bus_that_never_rests(void **state)
{
	unsigned polls;

	start(NS_PER_MS);
	play.slow_poll = true;
	play.last_step = 1;
	polls = play.polls;
	wait_for(play.polls > polls + 2); /* from here on something is always due */
	polls = play.polls;
	run_job();
	assert_int_equal(play.steps, 2);
	/* a second's worth goes before each step */
	assert_true(play.polls > polls + 10);
	assert_non_null(strstr(f.text, "\ne 0\n"));
	finish();
}

static void test_a_step_that_says_too_much(void **state)
{
	struct tool_job *job = new_job();

	start(NS_PER_H);
	play.text_size = 3000000;
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	wait_for(tool_job_must_end(job));
	follow(job);
	assert_int_equal(play.steps, 1);
	assert_non_null(strstr(f.text,
		"m scan: bus line: ended, because it says more than can be passed on\ne 1\n"));
	tool_job_unref(job);
	finish();
}

static void test_failures(void **state)
{
	start(NS_PER_H);
	play.step_result = -EIO;
	run_job();
	assert_non_null(strstr(f.text, "m scan: bus line: Input/output error\ne 1\n"));
	play.step_result = -EINVAL;
	play.last_step = 0;
	run_job();
	assert_non_null(strstr(f.text, "m scan: unit: 7 is taken\nm scan: go away\n"));
	assert_string_equal(f.text + strlen(f.text) - 5, "e 64\n");
	/* the bus stays open in any case */
	assert_int_equal(play.opens, 1);
	assert_int_equal(play.closes, 0);
	finish();
}

static void test_one_at_a_time(void **state)
{
	struct tool_job *first = new_job(), *second = new_job(), *third = new_job();

	start(NS_PER_H);
	play.block = true;
	assert_int_equal(bus_start_tool(f.bus, first), 0);
	wait_for(play.steps == 1);
	assert_int_equal(bus_start_tool(f.bus, second), -EBUSY);
	/* the place of one that is about to end is free */
	tool_job_cancel(first);
	assert_int_equal(bus_start_tool(f.bus, second), 0);
	assert_int_equal(bus_start_tool(f.bus, third), -EBUSY);
	play.block = false;
	follow(first);
	assert_non_null(strstr(f.text, "m scan: bus line: interrupted\ne 1\n"));
	follow(second);
	assert_non_null(strstr(f.text, "\ne 0\n"));
	tool_job_unref(first);
	tool_job_unref(second);
	tool_job_unref(third);
	finish();
}

static void test_nobody_waits_for_it(void **state)
{
	struct tool_job *job = new_job();

	start(NS_PER_H);
	play.block = true;
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	wait_for(play.steps == 1);
	/* as when a client goes away: the bus's thread has the last reference */
	tool_job_cancel(job);
	tool_job_unref(job);
	play.block = false;
	run_job();
	finish();
}

static void test_a_bus_that_is_down(void **state)
{
	struct tool_job *job = new_job();
	struct bus_status status;

	start(NS_PER_H);
	play.open_result = -ENODEV;
	play.poll_result = -EIO;
	bus_request_stop(f.bus);
	assert_int_equal(bus_join(f.bus, now_monotonic_ns() + 5 * NS_PER_S), 0);
	assert_int_equal(bus_start_tool(f.bus, job), -ENETDOWN);
	finish();

	start(5 * NS_PER_MS);
	play.open_result = -ENODEV;
	play.poll_result = -EIO; /* whichever it meets first */
	do {
		bus_get_status(f.bus, &status);
		(void)poll(NULL, 0, 1);
	} while (status.state != BUS_DOWN);
	assert_int_equal(bus_start_tool(f.bus, job), -ENETDOWN);
	tool_job_unref(job);
	finish();
}

static void test_a_bus_that_goes_down(void **state)
{
	struct tool_job *job = new_job();

	start(5 * NS_PER_MS);
	play.last_step = INT64_MAX;
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	wait_for(play.steps > 1);
	play.poll_result = -ENODEV;
	follow(job);
	assert_non_null(strstr(f.text, "m scan: bus line: No such device\ne 1\n"));
	tool_job_unref(job);
	finish();
}

static void test_stop_ends_it(void **state)
{
	struct tool_job *job = new_job();

	start(NS_PER_H);
	play.block = true;
	play.last_step = 0;
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	wait_for(play.steps == 1);
	bus_request_stop(f.bus);
	follow(job);
	/* that its step has returned 0 does not mean that it was done */
	assert_non_null(strstr(f.text,
		"m scan: bus line: it was stopped, by a signal or a new configuration\ne 1\n"));
	tool_job_unref(job);
	finish();
}

static void test_tools_only(void **state)
{
	static const struct bus_output output = {.readings = ignore_readings};
	struct tool_job *job = new_job();

	start(NS_PER_H);
	finish();
	memset(&play, 0, sizeof(play));
	play.last_step = 2;
	f.sensor.interval_ns = NS_PER_MS;
	f.clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	f.bus = bus_new(&f.config, &f.bus_config, f.clock, &output);
	f.text = xstrdup("");
	bus_set_tools_only(f.bus);
	assert_int_equal(bus_start(f.bus), 0);
	assert_int_equal(bus_start_tool(f.bus, job), 0);
	follow(job);
	assert_non_null(strstr(f.text, "\ne 0\n"));
	assert_int_equal(play.polls, 0);
	tool_job_unref(job);
	finish();
}

static int be_quiet(void **state)
{
	log_open(LOG_LEVEL_ERROR);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_options_that_are_wrong),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_descriptor_says_when),
		cmocka_unit_test(test_text_has_limits),
		cmocka_unit_test(test_steps_to_the_end),
		cmocka_unit_test(test_polling_goes_on),
		cmocka_unit_test(test_pause_ends_when_the_text_is_taken),
		cmocka_unit_test(test_a_bus_that_never_rests),
		cmocka_unit_test(test_a_step_that_says_too_much),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_nobody_waits_for_it),
		cmocka_unit_test(test_a_bus_that_is_down),
		cmocka_unit_test(test_a_bus_that_goes_down),
		cmocka_unit_test(test_stop_ends_it),
		cmocka_unit_test(test_tools_only),
	};

	return cmocka_run_group_tests_name("tool", tests, be_quiet, NULL);
}
