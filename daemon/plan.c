/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <math.h>
#include <stdlib.h>

#include "config.h"
#include "driver.h"

/* For drivers that do not say what would help. */
#define GENERAL_ADVICE "longer intervals, or fewer sensors"

/* A bus as its driver sees it in plan(), with a host that only takes notes. */
struct planned_bus {
	struct scg_bus bus;
	struct scg_host host;
	struct plan *plan;
};

static struct plan *plan_of(const struct scg_bus *bus)
{
	return container_of(bus, const struct planned_bus, bus)->plan;
}

static void take_link(const struct scg_bus *bus, const char *link, const char *advice)
{
	struct plan *plan = plan_of(bus);

	free(plan->link);
	free(plan->advice);
	plan->link = xstrdup(link);
	plan->advice = xstrdup(advice);
}

/* The numbers are the driver's: whatever they are, sums stay finite and nobody divides by zero. */
static void take_request(const struct scg_bus *bus, const char *what, uint32_t n_sensors,
	int64_t interval_ns, int64_t least_ns, int64_t likely_ns)
{
	struct plan *plan = plan_of(bus);
	struct plan_request request = {
		.n_sensors = n_sensors,
		.interval_ns = interval_ns,
		.least_ns = MAX(least_ns, 0),
		.likely_ns = MAX(likely_ns, MAX(least_ns, 0)),
	};

	if (interval_ns <= 0) {
		return; /* a mistake of the driver, and no reason to refuse a configuration */
	}
	request.what = xstrdup(what ? what : "");
	GROW(plan->requests, plan->n, plan->capacity);
	plan->requests[plan->n++] = request;
	plan->least += (double)request.least_ns / (double)interval_ns;
	plan->likely += (double)request.likely_ns / (double)interval_ns;
	if (plan->shortest_ns == 0 || interval_ns < plan->shortest_ns) {
		plan->shortest_ns = interval_ns;
	}
}

void plan_make(const struct bus_config *config, struct plan *ret)
{
	uint32_t n = config->n_sensors;
	_cleanup_(freep) struct scg_sensor *sensors = xcalloc(n, sizeof(*sensors));
	_cleanup_(freep) struct scg_sensor **list = xcalloc(n, sizeof(*list));
	struct planned_bus b = {
		.bus = {.host = &b.host,
			.name = config->name,
			.options = config->options,
			.sensors = list,
			.n_sensors = n,
			.fd = -1},
		.host = driver_deaf_host,
		.plan = ret,
	};

	*ret = (struct plan){.is_known = config->driver->plan != NULL};
	if (!config->driver->plan) {
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		sensors[i] = (struct scg_sensor){.name = config->sensors[i]->name,
			.options = config->sensors[i]->options,
			.interval_ns = config->sensors[i]->interval_ns};
		list[i] = &sensors[i];
	}
	b.host.plan_link = take_link;
	b.host.plan_request = take_request;
	config->driver->plan(&b.bus);
}

void plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		free(plan->requests[i].what);
	}
	free(plan->requests);
	free(plan->link);
	free(plan->advice);
	*plan = (struct plan){0};
}

const char *plan_advice(const struct plan *plan)
{
	return plan->advice ? plan->advice : GENERAL_ADVICE;
}

/* Seconds with as many digits as it takes to see that they are more than `limit`. */
static char *format_needed(double seconds, double limit)
{
	for (int digits = 1; digits < 3; digits++) {
		double unit = pow(10, digits);

		if (round(seconds * unit) / unit > limit) {
			return xasprintf("%.*f s", digits, seconds);
		}
	}
	return xasprintf("%.3f s", ceil(seconds * 1e3) / 1e3);
}

char *plan_describe_excess(const struct plan *plan, double share)
{
	double of = (double)MAX(plan->shortest_ns, NS_PER_S) / (double)NS_PER_S;
	_cleanup_(freep) char *needed = format_needed(share * of, of);

	return xasprintf("%s of every %.15g s%s%s: %s", needed, of, plan->link ? " at " : "",
		plan->link ? plan->link : "", plan_advice(plan));
}
