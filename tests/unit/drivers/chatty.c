/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for the tests of plan, scan and probe: its sensors cost what their options say, and its
 * scan does on the bus what its own options say. The probe cannot fail.
 */
#include "sensocan-driver.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#ifndef NAME
#define NAME "chatty"
#endif
#ifndef NOTE
#define NOTE "note"
#endif

enum { BUS_PATH, BUS_LINK };
enum { SENSOR_LEAST, SENSOR_LIKELY };
enum { SCAN_ACT, SCAN_STEPS, SCAN_LINES, SCAN_WAIT, SCAN_NOTE };
enum { PROBE_UNIT };
enum { ACT_COUNT, ACT_FAIL, ACT_COMPLAIN, ACT_BLOCK };

#define NS_PER_S INT64_C(1000000000)

static const struct scg_option bus_options[] = {
	[BUS_PATH] = {.name = "path",
		.type = SCG_STRING,
		.flags = SCG_FILE,
		.fallback = "/",
		.help = "What must exist for the bus to open."},
	[BUS_LINK] = {.name = "link",
		.type = SCG_BOOL,
		.fallback = "true",
		.help = "Whether the plan says what the link is."},
};

static const struct scg_option sensor_options[] = {
	[SENSOR_LEAST] = {.name = "least",
		.type = SCG_DURATION,
		.fallback = "0s",
		.help = "What a reading takes at the least."},
	[SENSOR_LIKELY] = {.name = "likely",
		.type = SCG_DURATION,
		.fallback = "0s",
		.help = "What a reading probably takes."},
};

static const char *const acts[] = {"count", "fail", "complain", "block", NULL};

static const struct scg_option scan_options[] = {
	[SCAN_ACT] = {.name = "act",
		.type = SCG_CHOICE,
		.fallback = "count",
		.choices = acts,
		.help = "What the last step does."},
	[SCAN_STEPS] = {.name = "steps",
		.type = SCG_INT,
		.fallback = "3",
		.min = 1,
		.max = 1000000,
		.help = "How many."},
	[SCAN_LINES] = {.name = "lines_a_step",
		.type = SCG_INT,
		.fallback = "1",
		.min = 0,
		.max = 1000000,
		.help = "How many results a step has."},
	[SCAN_WAIT] = {.name = "wait",
		.type = SCG_DURATION,
		.fallback = "0s",
		.max = 5,
		.help = "How long a step takes."},
	[SCAN_NOTE] = {.name = NOTE,
		.type = SCG_STRING,
		.max = 40,
		.help = "What each result ends with."},
};

static const struct scg_option probe_options[] = {
	[PROBE_UNIT] = {.name = "unit",
		.type = SCG_INT,
		.flags = SCG_REQUIRED,
		.min = 1,
		.max = 247,
		.help = "Which one."},
};

static void chatty_plan(struct scg_bus *bus)
{
	if (bus->options[BUS_LINK].i) {
		bus->host->plan_link(bus, "9600 baud, 8E1", "talk less, or faster");
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		const struct scg_sensor *sensor = bus->sensors[i];

		bus->host->plan_request(bus, sensor->name, 1, sensor->interval_ns,
			sensor->options[SENSOR_LEAST].i, sensor->options[SENSOR_LIKELY].i);
	}
}

static int chatty_open(struct scg_bus *bus)
{
	return access(bus->options[BUS_PATH].s, F_OK) == 0 ? 0 : -errno;
}

static int chatty_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	for (uint32_t i = 0; i < n_due; i++) {
		bus->host->report(bus, due[i], 0, 1, SCG_GOOD);
	}
	return 0;
}

static void chatty_close(struct scg_bus *bus)
{
	bus->data = NULL;
}

/* Until the time is over or the step should end; without `ns` until it should end. */
static void wait_ns(const struct scg_bus *bus, int64_t ns)
{
	const struct timespec slice = {.tv_nsec = 1000000};

	for (int64_t left = ns; (ns == 0 || left > 0) && !bus->host->stopping(bus);
		left -= slice.tv_nsec) {
		(void)nanosleep(&slice, NULL); /* a signal only shortens it */
	}
}

static int finish(struct scg_bus *bus, int64_t act)
{
	switch (act) {
	case ACT_FAIL:
		return -EIO;
	case ACT_BLOCK:
		wait_ns(bus, 0);
		break;
	default:
		break;
	}
	bus->host->tell(bus, SCG_TELL_STANZA, "- slug: first");
	bus->host->tell(bus, SCG_TELL_STANZA, "  options: {least: 1ms}");
	return 0;
}

static int chatty_scan(struct scg_bus *bus, const union scg_value *options, uint64_t step)
{
	uint64_t steps = (uint64_t)options[SCAN_STEPS].i;
	const char *note = options[SCAN_NOTE].s;

	if (options[SCAN_ACT].i == ACT_COMPLAIN) {
		bus->host->complain(bus, NULL, "steps", "%d are too many today", (int)steps);
		bus->host->complain(bus, NULL, NULL, "come again tomorrow");
		return -EINVAL;
	}
	bus->host->tell(
		bus, SCG_TELL_PROGRESS, "step %u of %u", (unsigned)step + 1, (unsigned)steps);
	for (int64_t i = 0; i < options[SCAN_LINES].i; i++) {
		bus->host->tell(bus, SCG_TELL_RESULT, "step %u: here is something%s%s",
			(unsigned)step, note ? " " : "", note ? note : "");
	}
	if (options[SCAN_WAIT].i > 0) {
		wait_ns(bus, options[SCAN_WAIT].i);
	}
	return step + 1 < steps ? 1 : finish(bus, options[SCAN_ACT].i);
}

static int chatty_probe(struct scg_bus *bus, const union scg_value *options, uint64_t step)
{
	bus->host->tell(bus, SCG_TELL_RESULT, "unit %d is there", (int)options[PROBE_UNIT].i);
	return 0;
}

static const struct scg_tool scan = {
	.options = scan_options, .n_options = SCG_COUNT(scan_options), .step = chatty_scan};
static const struct scg_tool probe = {
	.options = probe_options, .n_options = SCG_COUNT(probe_options), .step = chatty_probe};

const struct scg_driver scg_driver_1 = {
	.abi = SCG_ABI_LEVEL,
	.name = NAME,
	.version = "1.0",
	.summary = "Says what it is told to say",
	.bus_options = bus_options,
	.sensor_options = sensor_options,
	.n_bus_options = SCG_COUNT(bus_options),
	.n_sensor_options = SCG_COUNT(sensor_options),
	.open = chatty_open,
	.poll = chatty_poll,
	.close = chatty_close,
	.plan = chatty_plan,
	.scan = &scan,
	.probe = &probe,
};
