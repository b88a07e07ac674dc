/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "payload.h"
#include "plan.h"
#include "util.h"

/* More requests than this that are alike make one line. */
#define ALIKE_MAX 3

static double share_of(const struct plan_request *r)
{
	return (double)r->likely_ns / (double)r->interval_ns;
}

static int compare_i64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* 0 if they take the same. */
static int compare_cost(const struct plan_request *a, const struct plan_request *b)
{
	int r = compare_i64(a->interval_ns, b->interval_ns);

	r = r ? r : compare_i64(a->likely_ns, b->likely_ns);
	r = r ? r : compare_i64(a->least_ns, b->least_ns);
	return r ? r : compare_i64(a->n_sensors, b->n_sensors);
}

/* What takes most comes first; what takes the same stays together, in the driver's order. */
static int compare_requests(const void *left, const void *right)
{
	const struct plan_request *a = *(struct plan_request *const *)left;
	const struct plan_request *b = *(struct plan_request *const *)right;
	int r;

	if (share_of(a) != share_of(b)) {
		return share_of(a) > share_of(b) ? -1 : 1;
	}
	r = compare_cost(a, b);
	return r ? r : (a > b) - (a < b);
}

static struct plan_request **sort_requests(const struct plan *plan)
{
	struct plan_request **sorted = xcalloc(plan->n, sizeof(*sorted));

	for (size_t i = 0; i < plan->n; i++) {
		sorted[i] = &plan->requests[i];
	}
	if (plan->n > 1) {
		qsort(sorted, plan->n, sizeof(*sorted), compare_requests);
	}
	return sorted;
}

/* A link that costs nothing, as TCP does at the least, is no matter of nanoseconds. */
static const char *show_duration(char buf[FORMAT_MAX], int64_t ns)
{
	return ns > 0 ? format_duration(buf, ns) : "0 s";
}

static void print_request(const struct plan_request *r)
{
	char every[FORMAT_MAX], least[FORMAT_MAX], likely[FORMAT_MAX];

	(void)printf("  %8s %8" PRIu32 " %9s %9s %8.2f %%  %s\n",
		format_duration(every, r->interval_ns), r->n_sensors,
		show_duration(least, r->least_ns), show_duration(likely, r->likely_ns),
		100 * share_of(r), r->what);
}

static void print_requests(const struct plan *plan)
{
	_cleanup_(freep) struct plan_request **sorted = sort_requests(plan);

	(void)printf("  %8s %8s %9s %9s %10s  %s\n", "EVERY", "SENSORS", "AT LEAST", "PROBABLY",
		"SHARE", "REQUEST");
	for (size_t i = 0, end; i < plan->n; i = end) {
		end = i + 1;
		while (end < plan->n && compare_cost(sorted[i], sorted[end]) == 0) {
			end++;
		}
		if (end - i > ALIKE_MAX) {
			print_request(sorted[i]);
			(void)printf("  and %zu more like it, the last: %s; %.2f %% in all\n",
				end - i - 1, sorted[end - 1]->what,
				100 * share_of(sorted[i]) * (double)(end - i));
			continue;
		}
		for (size_t k = i; k < end; k++) {
			print_request(sorted[k]);
		}
	}
}

static void print_plan(const struct bus_config *bus, const struct plan *plan)
{
	(void)printf("%s (%s)%s%s: ", bus->name, bus->driver->name, plan->link ? " at " : "",
		plan->link ? plan->link : "");
	if (!plan->is_known) {
		(void)printf("the driver does not say what its requests take\n");
	} else if (plan->n == 0) {
		(void)printf("no requests\n");
	} else {
		(void)printf("%zu request%s, busy %.1f %% at the least, %.0f %% probably\n",
			plan->n, plan->n == 1 ? "" : "s", 100 * plan->least, 100 * plan->likely);
		print_requests(plan);
	}
	if (plan->likely > 1) {
		(void)printf("  What would help: %s\n", plan_advice(plan));
	}
}

static struct json_object *new_text(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

/* In the shortest form: 0.6, and not 0.59999999999999998. */
static struct json_object *new_number(double value)
{
	char text[PAYLOAD_NUMBER_MAX + 1];

	text[payload_number(text, value)] = '\0';
	return json_object_new_double_s(value, text);
}

static struct json_object *new_seconds(int64_t ns)
{
	return new_number((double)ns / (double)NS_PER_S);
}

static struct json_object *describe_requests(const struct plan *plan)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < plan->n; i++) {
		const struct plan_request *r = &plan->requests[i];
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "what", new_text(r->what));
		json_object_object_add(object, "sensors", json_object_new_int64(r->n_sensors));
		json_object_object_add(object, "interval_s", new_seconds(r->interval_ns));
		json_object_object_add(object, "least_s", new_seconds(r->least_ns));
		json_object_object_add(object, "likely_s", new_seconds(r->likely_ns));
		json_object_array_add(list, object);
	}
	return list;
}

static struct json_object *describe_plan(const struct bus_config *bus, const struct plan *plan)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", new_text(bus->name));
	json_object_object_add(object, "driver", new_text(bus->driver->name));
	json_object_object_add(object, "sensors", json_object_new_int64(bus->n_sensors));
	json_object_object_add(object, "link", new_text(plan->link));
	json_object_object_add(object, "advice", new_text(plan->advice));
	if (plan->is_known) {
		json_object_object_add(object, "least", new_number(plan->least));
		json_object_object_add(object, "likely", new_number(plan->likely));
		json_object_object_add(object, "requests", describe_requests(plan));
	} else {
		json_object_object_add(object, "least", NULL);
		json_object_object_add(object, "likely", NULL);
		json_object_object_add(object, "requests", NULL);
	}
	return object;
}

static void show_plans(
	const struct config *config, const struct bus_config *only, bool json, bool *ret_too_much)
{
	struct json_object *buses = json ? json_object_new_array() : NULL;
	struct json_object *root = NULL;

	*ret_too_much = false;
	for (uint32_t i = 0; i < config->n_buses; i++) {
		const struct bus_config *bus = config->buses[i];
		struct plan plan;

		if (only && bus != only) {
			continue;
		}
		plan_make(bus, &plan);
		*ret_too_much = *ret_too_much || plan.least > 1;
		if (json) {
			json_object_array_add(buses, describe_plan(bus, &plan));
		} else {
			print_plan(bus, &plan);
		}
		plan_clear(&plan);
	}
	if (json) {
		root = json_object_new_object();
		json_object_object_add(root, "buses", buses);
		(void)puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN));
		(void)json_object_put(root); /* the last reference */
	}
}

int command_plan(const struct command_options *options)
{
	_cleanup_(config_unrefp) struct config *config = command_load_overloaded(
		options->config_file, true);
	const struct bus_config *only = NULL;
	bool too_much;

	if (!config) {
		return EXIT_BAD_CONFIG;
	}
	if (options->bus) {
		only = command_find_bus(config, options->bus);
		if (!only) {
			return EXIT_BAD_USAGE;
		}
	}
	show_plans(config, only, options->json, &too_much);
	return too_much ? EXIT_BAD_CONFIG : EXIT_DONE;
}
