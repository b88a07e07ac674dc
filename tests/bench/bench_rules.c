/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as somebody else would plan them, made with the gateway's own driver: it frames, keeps
 * the silences and decodes, and is given exactly those sensors that are to share a request. So
 * plans are compared, and nothing else.
 *
 * Use: bench_rules DRIVERS DURATION OPTIONS PLAN READINGS. OPTIONS of the bus as "key: value, ...".
 * PLAN is a file: lines "sensor OPTIONS", then lines "request N N ...", by the numbers of the
 * sensors from 0, which are gone through again and again. READINGS as for bench_bus.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "../unit/fake_host.h"
#include "util.h"

#define LINE_LENGTH 4096

struct request {
	uint32_t *sensors;
	size_t n, capacity;
};

struct plan {
	struct fake_bus *bus;
	struct request *requests;
	size_t n, capacity;
};

static int add_request(struct plan *plan, char *numbers)
{
	struct request *request;
	char *rest = numbers;

	GROW(plan->requests, plan->n, plan->capacity);
	request = &plan->requests[plan->n++];
	*request = (struct request){0};
	for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " ")) {
		int64_t number;

		if (parse_i64(word, &number) < 0 || number < 0 ||
			number >= plan->bus->bus.n_sensors) {
			return -1;
		}
		GROW(request->sensors, request->n, request->capacity);
		request->sensors[request->n++] = (uint32_t)number;
	}
	return request->n ? 0 : -1;
}

static int load(struct plan *plan, const char *file)
{
	FILE *in = fopen(file, "re");
	char line[LINE_LENGTH], name[16];
	int r = in ? 0 : -1;

	while (r == 0 && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "sensor ", 7) == 0) {
			(void)snprintf(name, sizeof(name), "%u", plan->bus->bus.n_sensors);
			(void)fake_bus_add(plan->bus, name, NS_PER_S, line + 7);
		} else if (strncmp(line, "request ", 8) == 0) {
			r = add_request(plan, line + 8);
		} else {
			r = -1;
		}
	}
	if (in) {
		(void)fclose(in); /* only read */
	}
	return r;
}

/* The driver may take more than one call for them. */
static int make_request(struct plan *plan, const struct request *request, FILE *out)
{
	struct fake_bus *f = plan->bus;
	_cleanup_(freep) struct scg_sensor **due = xcalloc(request->n, sizeof(*due));
	uint32_t n = (uint32_t)request->n;

	for (uint32_t i = 0; i < n; i++) {
		due[i] = f->sensors[request->sensors[i]];
	}
	while (n > 0) {
		int r = fake_bus_poll(f, due, n);
		uint32_t left = 0;

		if (r < 0 || f->violation[0]) {
			fprintf(stderr, "bench_rules: %s\n", r < 0 ? strerror(-r) : f->violation);
			return -1;
		}
		for (uint32_t i = 0; i < n; i++) {
			const struct fake_result *result = fake_bus_result(f, due[i]);

			if (!result) {
				due[left++] = due[i];
			} else if (result->is_good) {
				(void)fprintf(
					out, "%s %" PRId64 "\n", due[i]->name, now_monotonic_ns());
			}
		}
		n = left;
		fake_bus_forget(f);
	}
	return 0;
}

static int run(struct plan *plan, int64_t duration_ns, FILE *out)
{
	int64_t begin_ns = now_monotonic_ns();

	if (fake_bus_open(plan->bus) < 0) {
		fprintf(stderr, "bench_rules: cannot open the bus\n");
		return 1;
	}
	while (now_monotonic_ns() < begin_ns + duration_ns) {
		for (size_t i = 0; i < plan->n; i++) {
			if (make_request(plan, &plan->requests[i], out) < 0) {
				return 1;
			}
		}
	}
	fake_bus_close(plan->bus);
	(void)fprintf(out, "turns %" PRId64 "\n", begin_ns);
	return 0;
}

int main(int argc, char **argv)
{
	const struct sched_param priority = {.sched_priority = 5};
	struct plan plan = {0};
	int64_t duration_ns;
	FILE *out;
	int r;

	if (argc != 6 || parse_duration_ns(argv[2], &duration_ns) < 0) {
		fprintf(stderr, "Use: bench_rules DRIVERS DURATION OPTIONS PLAN READINGS\n");
		return 64;
	}
	plan.bus = fake_bus_new(argv[1], "modbus", argv[3]);
	out = fopen(argv[5], "we");
	if (!out || load(&plan, argv[4]) < 0) {
		fprintf(stderr, "bench_rules: cannot read %s or write %s\n", argv[4], argv[5]);
		return 1;
	}
	/* as bench_bus */
	(void)sched_setscheduler(0, SCHED_FIFO, &priority);
	r = run(&plan, duration_ns, out);
	for (size_t i = 0; i < plan.n; i++) {
		free(plan.requests[i].sensors);
	}
	free(plan.requests);
	fake_bus_free(plan.bus);
	return fclose(out) == 0 ? r : 1;
}
