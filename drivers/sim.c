/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated sensors: for trying out the gateway without hardware, and for tests. A value follows
 * from the options and the time alone, or from the number of the reading where the help says so:
 * two buses with the same seed and the same sensor names read the same.
 */
#include "sensocan-driver.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BUS_SEED, BUS_DELAY, N_BUS_OPTIONS };
enum {
	SENSOR_WAVEFORM,
	SENSOR_PERIOD,
	SENSOR_AMPLITUDE,
	SENSOR_MEAN,
	SENSOR_FAIL,
	N_SENSOR_OPTIONS
};
enum {
	WAVEFORM_SINE,
	WAVEFORM_SQUARE,
	WAVEFORM_RAMP,
	WAVEFORM_RANDOM,
	WAVEFORM_CONSTANT,
	WAVEFORM_COUNTER
};

#define NS_PER_S INT64_C(1000000000)
#define PI       3.14159265358979323846
/* Looks this often during a delay whether the daemon stops. */
#define SLICE_NS (NS_PER_S / 10)

static const char *const waveforms[] = {
	"sine", "square", "ramp", "random", "constant", "counter", NULL};

static const struct scg_option bus_options[N_BUS_OPTIONS] = {
	[BUS_SEED] = {.name = "seed",
		.type = SCG_INT,
		.fallback = "1",
		.min = 0,
		.max = 4294967295.0,
		.help = "Another seed gives other random values, failures and phases."},
	[BUS_DELAY] = {.name = "delay",
		.type = SCG_DURATION,
		.fallback = "0s",
		.max = 60,
		.help = "How long a request takes, as on a slow bus."},
};

static const struct scg_option sensor_options[N_SENSOR_OPTIONS] = {
	[SENSOR_WAVEFORM] = {.name = "waveform",
		.type = SCG_CHOICE,
		.fallback = "sine",
		.choices = waveforms,
		.help = "How the value moves around the mean. A random value is another at each "
			"reading. A counter ignores amplitude and period: it is the mean at the "
			"first reading and one more at each further one, and begins anew when the "
			"bus is opened."},
	[SENSOR_PERIOD] = {.name = "period",
		.type = SCG_DURATION,
		.fallback = "60s",
		.min = 0.001,
		.max = 31536000,
		.help = "Length of a wave."},
	[SENSOR_AMPLITUDE] = {.name = "amplitude",
		.type = SCG_NUMBER,
		.fallback = "1",
		.help = "Largest distance from the mean."},
	[SENSOR_MEAN] = {.name = "mean",
		.type = SCG_NUMBER,
		.fallback = "0",
		.help = "Middle of the wave."},
	[SENSOR_FAIL] = {.name = "fail",
		.type = SCG_NUMBER,
		.fallback = "0",
		.min = 0,
		.max = 1,
		.help = "Share of the readings that fail, from the seed and the number of the "
			"reading."},
};

struct sim_sensor {
	uint64_t key; /* of seed and name */
	uint64_t turn;
	double phase; /* share of a period, from 0 to below 1 */
};

/* SplitMix64: each bit of the result depends on each of the argument. */
static uint64_t scramble(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A number from 0 to below 1. */
static double fraction(uint64_t x)
{
	return (double)(scramble(x) >> 11) * 0x1p-53;
}

static uint64_t sensor_key(int64_t seed, const char *name)
{
	uint64_t key = scramble((uint64_t)seed);

	for (; *name; name++) {
		key = scramble(key ^ (uint8_t)*name);
	}
	return key;
}

static int compare_intervals(const void *left, const void *right)
{
	const int64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/*
 * All sensors that are due share a request. So what is sure are the requests of the shortest
 * interval; those of longer ones may go with them.
 */
static void sim_plan(struct scg_bus *bus)
{
	const int64_t delay_ns = bus->options[BUS_DELAY].i;
	/* One more, because calloc(0) may be NULL. */
	int64_t *intervals = calloc((size_t)bus->n_sensors + 1, sizeof(*intervals));
	char link[64];

	if (!intervals) {
		return;
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		intervals[i] = bus->sensors[i]->interval_ns;
	}
	qsort(intervals, bus->n_sensors, sizeof(*intervals), compare_intervals);
	(void)snprintf(link, sizeof(link), "%g s a request", (double)delay_ns / (double)NS_PER_S);
	bus->host->plan_link(bus, link, "a shorter delay, or longer intervals");
	for (uint32_t i = 0, end; i < bus->n_sensors; i = end) {
		end = i + 1;
		while (end < bus->n_sensors && intervals[end] == intervals[i]) {
			end++;
		}
		bus->host->plan_request(bus, "all that are due", end - i, intervals[i],
			i == 0 ? delay_ns : 0, delay_ns);
	}
	free(intervals);
}

static void sim_close(struct scg_bus *bus)
{
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		bus->sensors[i]->data = NULL;
	}
	free(bus->data);
	bus->data = NULL;
}

static int sim_open(struct scg_bus *bus)
{
	/* One more, because calloc(0) may be NULL. */
	struct sim_sensor *sensors = calloc((size_t)bus->n_sensors + 1, sizeof(*sensors));

	if (!sensors) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		sensors[i].key = sensor_key(bus->options[BUS_SEED].i, bus->sensors[i]->name);
		sensors[i].phase = fraction(sensors[i].key);
		bus->sensors[i]->data = &sensors[i];
	}
	bus->data = sensors;
	return 0;
}

static double sensor_value(
	const union scg_value *options, const struct sim_sensor *s, int64_t time_ns)
{
	int64_t period_ns = options[SENSOR_PERIOD].i;
	double at = fmod((double)(time_ns % period_ns) / (double)period_ns + s->phase, 1);
	double wave = 0;

	switch (options[SENSOR_WAVEFORM].i) {
	case WAVEFORM_SINE:
		wave = sin(2 * PI * at);
		break;
	case WAVEFORM_SQUARE:
		wave = at < 0.5 ? 1 : -1;
		break;
	case WAVEFORM_RAMP:
		wave = 2 * at - 1;
		break;
	case WAVEFORM_RANDOM:
		wave = 2 * fraction(s->key ^ (uint64_t)time_ns) - 1;
		break;
	case WAVEFORM_COUNTER:
		return options[SENSOR_MEAN].d + (double)s->turn;
	default:
		break;
	}
	return options[SENSOR_MEAN].d + options[SENSOR_AMPLITUDE].d * wave;
}

/* False if the daemon stops. */
static int wait_delay(const struct scg_bus *bus)
{
	for (int64_t left = bus->options[BUS_DELAY].i; left > 0; left -= SLICE_NS) {
		int64_t slice = left < SLICE_NS ? left : SLICE_NS;
		const struct timespec time = {.tv_nsec = (long)slice};

		(void)nanosleep(&time, NULL); /* a signal only shortens it */
		if (bus->host->stopping(bus)) {
			return 0;
		}
	}
	return 1;
}

static int sim_poll(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due)
{
	struct timespec now;
	int64_t time_ns;

	if (!wait_delay(bus)) {
		return 0;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	time_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
	for (uint32_t i = 0; i < n_due; i++) {
		const union scg_value *options = due[i]->options;
		struct sim_sensor *s = due[i]->data;

		if (fraction(s->key ^ scramble(s->turn)) < options[SENSOR_FAIL].d) {
			bus->host->fail(bus, due[i], "simulated failure");
		} else {
			bus->host->report(
				bus, due[i], time_ns, sensor_value(options, s, time_ns), SCG_GOOD);
		}
		s->turn++;
	}
	return 0;
}

const struct scg_driver scg_driver_1 = {
	.abi = SCG_ABI_LEVEL,
	.name = "sim",
	.version = DRIVER_VERSION,
	.summary = "Simulated sensors, for trials and tests",
	.bus_options = bus_options,
	.sensor_options = sensor_options,
	.n_bus_options = N_BUS_OPTIONS,
	.n_sensor_options = N_SENSOR_OPTIONS,
	.open = sim_open,
	.poll = sim_poll,
	.close = sim_close,
	.plan = sim_plan,
};
