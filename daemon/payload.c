/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <math.h>
#include <string.h>

void text_clear(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}

void text_reserve(struct text *t, size_t more)
{
	size_t capacity = t->capacity ? t->capacity : 256;

	if (more <= t->capacity - t->size) {
		return;
	}
	while (capacity - t->size < more) {
		capacity *= 2;
	}
	t->data = xreallocarray(t->data, capacity, 1);
	t->capacity = capacity;
}

/* Appends to where there is room. */
#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)
static inline char *put(char *p, const char *s, size_t size)
{
	memcpy(p, s, size);
	return p + size;
}

void text_append(struct text *t, const char *s)
{
	size_t size = strlen(s);

	text_reserve(t, size);
	(void)put(t->data + t->size, s, size);
	t->size += size;
}

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
				 "25262728293031323334353637383940414243444546474849"
				 "50515253545556575859606162636465666768697071727374"
				 "75767778798081828384858687888990919293949596979899";

static inline char *put_two(char *p, unsigned value)
{
	return put(p, two_digits + 2 * (size_t)value, 2);
}

static inline char *put_number(char *p, double value)
{
	return p + payload_number(p, value);
}

/* 1970-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z; what is outside becomes the nearer end. */
#define TIMESTAMP_MAX_US (INT64_C(253402300800) * US_PER_S - 1)

/*
 * Year, month, day from the days since 1970, by arithmetic on years that start in March, so that
 * the leap day is the last (H. Hinnant, "chrono-compatible low-level date algorithms",
 * civil_from_days).
 */
static char *put_date(char *p, uint32_t days_since_1970)
{
	uint32_t days = days_since_1970 + 719468; /* from 0000-03-01 */
	uint32_t era = days / 146097;             /* of 400 years */
	uint32_t day = days % 146097;
	uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint32_t day_of_year = day - (365 * year + year / 4 - year / 100);
	uint32_t month = (5 * day_of_year + 2) / 153; /* 0 is March */

	year += 400 * era + (month >= 10 ? 1 : 0);
	p = put_two(p, year / 100);
	p = put_two(p, year % 100);
	*p++ = '-';
	p = put_two(p, month < 10 ? month + 3 : month - 9);
	*p++ = '-';
	return put_two(p, day_of_year - (153 * month + 2) / 5 + 1);
}

static char *put_timestamp(char *p, int64_t realtime_us, bool milliseconds)
{
	uint64_t us = (uint64_t)CLAMP(realtime_us, INT64_C(0), TIMESTAMP_MAX_US);
	uint64_t seconds = us / US_PER_S;
	uint32_t of_day = (uint32_t)(seconds % 86400);
	uint32_t ms = (uint32_t)(us % US_PER_S) / US_PER_MS;

	p = put_date(p, (uint32_t)(seconds / 86400));
	*p++ = 'T';
	p = put_two(p, of_day / 3600);
	*p++ = ':';
	p = put_two(p, of_day / 60 % 60);
	*p++ = ':';
	p = put_two(p, of_day % 60);
	if (milliseconds) {
		*p++ = '.';
		*p++ = (char)('0' + ms / 100);
		p = put_two(p, ms % 100);
	}
	*p++ = 'Z';
	return p;
}

char *payload_topic_batch(const char *tenant, const char *device_uuid)
{
	return xasprintf("tenant/%s/device/%s", tenant, device_uuid);
}

char *payload_topic_single(const char *tenant, const char *device_uuid, const char *sensor)
{
	return xasprintf("tenant/%s/device/%s/sensor/%s", tenant, device_uuid, sensor);
}

char *payload_topic_history(const char *tenant, const char *device_uuid, const char *sensor_uuid)
{
	return xasprintf("tenant/%s/device/%s/sensors/%s", tenant, device_uuid, sensor_uuid);
}

/* A JSON string without its quotes (RFC 8259 7); at most six bytes for one of `s`. */
static char *put_escaped(char *p, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
		} else if (c < 0x20) {
			p = PUT(p, "\\u00");
			*p++ = (char)('0' + (c >> 4));
			*p++ = "0123456789abcdef"[c & 15];
		} else {
			*p++ = (char)c;
		}
	}
	return p;
}

/* Keeps what was written behind the text, up to `end`, if the whole stays within `limit`. */
static bool keep(struct text *t, const char *end, size_t closing, size_t limit)
{
	size_t size = (size_t)(end - t->data);

	if (size + closing > limit) {
		return false;
	}
	t->size = size;
	return true;
}

void payload_batch_begin(struct text *t)
{
	text_append(t, "{\"data\":[");
}

bool payload_batch_add(
	struct text *t, size_t limit, const char *slug, const char *uuid, double value)
{
	const char *name = slug ? slug : uuid;
	char *p;

	text_reserve(t, 6 * strlen(name) + PAYLOAD_NUMBER_MAX + 64);
	p = t->data + t->size;
	if (p[-1] != '[') {
		*p++ = ',';
	}
	p = slug ? PUT(p, "{\"sensor_slug\":\"") : PUT(p, "{\"sensor_uuid\":\"");
	p = put_escaped(p, name);
	p = PUT(p, "\",\"value\":");
	p = put_number(p, value);
	*p++ = '}';
	return keep(t, p, PAYLOAD_BATCH_END_MAX, limit);
}

void payload_batch_end(struct text *t, double battery)
{
	char *p;

	text_reserve(t, PAYLOAD_BATCH_END_MAX);
	p = t->data + t->size;
	*p++ = ']';
	if (!isnan(battery)) {
		p = PUT(p, ",\"battery_voltage\":");
		p = put_number(p, battery);
	}
	*p++ = '}';
	t->size = (size_t)(p - t->data);
}

void payload_single(
	struct text *t, double value, int64_t realtime_us, bool milliseconds, double battery)
{
	char *p;

	text_reserve(t, PAYLOAD_SINGLE_MAX);
	p = t->data + t->size;
	p = PUT(p, "{\"value\":");
	p = put_number(p, value);
	if (realtime_us != INT64_MIN) {
		p = PUT(p, ",\"timestamp\":\"");
		p = put_timestamp(p, realtime_us, milliseconds);
		*p++ = '"';
	}
	if (!isnan(battery)) {
		p = PUT(p, ",\"battery_voltage\":");
		p = put_number(p, battery);
	}
	*p++ = '}';
	t->size = (size_t)(p - t->data);
}

void payload_history_begin(struct text *t)
{
	text_append(t, "[");
}

bool payload_history_add(
	struct text *t, size_t limit, double value, int64_t realtime_us, bool milliseconds)
{
	char *p;

	text_reserve(t, PAYLOAD_HISTORY_ENTRY_MAX);
	p = t->data + t->size;
	if (p[-1] != '[') {
		*p++ = ',';
	}
	p = PUT(p, "{\"value\":");
	p = put_number(p, value);
	p = PUT(p, ",\"timestamp\":\"");
	p = put_timestamp(p, realtime_us, milliseconds);
	p = PUT(p, "\"}");
	return keep(t, p, 1, limit);
}

void payload_history_end(struct text *t)
{
	text_append(t, "]");
}
