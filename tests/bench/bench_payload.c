/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an entry of a bulk upload costs to write, against json-c and against snprintf with
 * gmtime_r, in the same run: processor time and bytes an entry, for values with one decimal, for
 * 32-bit floats and for doubles of full length.
 */
#include "payload.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#define ENTRIES 1000
#define ROUNDS  5

static const int64_t first_us = INT64_C(1698400800000000);

static double cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static size_t with_payload(const double *values)
{
	static struct text t;

	t.size = 0;
	payload_history_begin(&t);
	for (int i = 0; i < ENTRIES; i++) {
		(void)payload_history_add(
			&t, SIZE_MAX, values[i], first_us + i * 60 * US_PER_S, true);
	}
	payload_history_end(&t);
	return t.size;
}

static void format_time(char *buf, size_t size, int64_t us)
{
	time_t seconds = (time_t)(us / US_PER_S);
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	(void)snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(us % US_PER_S / US_PER_MS));
}

static size_t with_snprintf(const double *values)
{
	static char text[ENTRIES * 100];
	char timestamp[80];
	size_t size = 0;

	for (int i = 0; i < ENTRIES; i++) {
		format_time(timestamp, sizeof(timestamp), first_us + i * 60 * US_PER_S);
		size += (size_t)snprintf(text + size, sizeof(text) - size,
			"%c{\"value\":%.17g,\"timestamp\":\"%s\"}", i ? ',' : '[', values[i],
			timestamp);
	}
	return size + 1;
}

static size_t with_json_c(const double *values)
{
	struct json_object *root = json_object_new_array_ext(ENTRIES);
	char timestamp[80];
	size_t size;

	for (int i = 0; i < ENTRIES; i++) {
		struct json_object *entry = json_object_new_object();

		format_time(timestamp, sizeof(timestamp), first_us + i * 60 * US_PER_S);
		(void)json_object_object_add_ex(entry, "value", json_object_new_double(values[i]),
			JSON_C_OBJECT_ADD_CONSTANT_KEY);
		(void)json_object_object_add_ex(entry, "timestamp",
			json_object_new_string(timestamp), JSON_C_OBJECT_ADD_CONSTANT_KEY);
		(void)json_object_array_add(root, entry);
	}
	(void)json_object_to_json_string_length(root, JSON_C_TO_STRING_PLAIN, &size);
	(void)json_object_put(root);
	return size;
}

static double measure(const char *values_name, const char *name, size_t (*write)(const double *),
	const double *values)
{
	double best = INFINITY;
	size_t size = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = cpu_ns();

		for (int i = 0; i < 200; i++) {
			size = write(values);
		}
		best = fmin(best, (cpu_ns() - start) / (200.0 * ENTRIES));
	}
	printf("%-14s %-9s %7.1f ns %6.1f B", values_name, name, best, (double)size / ENTRIES);
	return best;
}

int main(void)
{
	static double decimals[ENTRIES], floats[ENTRIES], doubles[ENTRIES];
	static const struct {
		const char *name;
		const double *values;
	} rows[] = {
		{"one decimal", decimals}, {"32-bit floats", floats}, {"full doubles", doubles}};

	for (int i = 0; i < ENTRIES; i++) {
		double value = 20 + 10 * sin(i);

		decimals[i] = round(value * 10) / 10;
		floats[i] = (double)(float)value;
		doubles[i] = value;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		double ours = measure(rows[i].name, "payload", with_payload, rows[i].values);

		printf("\n");
		printf("  x %.1f\n",
			measure(rows[i].name, "snprintf", with_snprintf, rows[i].values) / ours);
		printf("  x %.1f\n",
			measure(rows[i].name, "json-c", with_json_c, rows[i].values) / ours);
	}
	return 0;
}
