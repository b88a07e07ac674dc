/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void freep(void *ptr_to_ptr)
{
	free(*(void **)ptr_to_ptr);
}

void closep(int *fd)
{
	if (*fd >= 0) {
		(void)close(
			*fd); /* a descriptor that only was read from, or one that was given up */
	}
}

static void *check_allocation(void *ptr)
{
	if (!ptr) {
		(void)fputs("out of memory\n", stderr);
		abort();
	}
	return ptr;
}

void *xmalloc(size_t size)
{
	return check_allocation(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return check_allocation(calloc(n ? n : 1, size ? size : 1));
}

void *xreallocarray(void *ptr, size_t n, size_t size)
{
	return check_allocation(reallocarray(ptr, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return s ? check_allocation(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return check_allocation(strndup(s, n));
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	return text;
}

char *xvasprintf(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
	}
	return check_allocation(text);
}

int parse_i64(const char *text, int64_t *ret)
{
	const char *digits = text;
	bool hexadecimal;
	intmax_t value;
	char *end;

	if (*digits == '-' || *digits == '+') {
		digits++;
	}
	hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	if (hexadecimal ? !isxdigit((unsigned char)digits[2])
			: !isdigit((unsigned char)digits[0])) {
		return -EINVAL;
	}
	/* 010 is eight to YAML 1.1 and ten to YAML 1.2: whoever wrote it should say what is meant
	 */
	if (!hexadecimal && digits[0] == '0' && digits[1] != '\0') {
		return -EINVAL;
	}
	errno = 0;
	value = strtoimax(text, &end, hexadecimal ? 16 : 10);
	if (*end != '\0') {
		return -EINVAL;
	}
	if (errno == ERANGE || value < INT64_MIN || value > INT64_MAX) {
		return -ERANGE;
	}
	*ret = value;
	return 0;
}

static locale_t c_locale;

static void make_c_locale(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

int parse_double(const char *text, double *ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *p = text;
	double value;
	char *end;

	(void)pthread_once(&once, make_c_locale);
	if (*p == '-' || *p == '+') {
		p++;
	}
	/* strtod would take "inf", "nan" and hexadecimal; nobody writes a scale like that on
	 * purpose */
	if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1]))) {
		return -EINVAL;
	}
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		return -EINVAL;
	}
	errno = 0;
	value = c_locale ? strtod_l(text, &end, c_locale) : strtod(text, &end);
	if (*end != '\0') {
		return -EINVAL;
	}
	if (!isfinite(value)) {
		return -ERANGE;
	}
	*ret = value;
	return 0;
}

int parse_bool(const char *text, bool *ret)
{
	if (strcmp(text, "true") == 0) {
		*ret = true;
	} else if (strcmp(text, "false") == 0) {
		*ret = false;
	} else {
		return -EINVAL;
	}
	return 0;
}

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit duration_units[] = {
	{"d", NS_PER_D},
	{"h", NS_PER_H},
	{"min", NS_PER_MIN},
	{"s", NS_PER_S},
	{"ms", NS_PER_MS},
	{"us", NS_PER_US},
	{"ns", 1},
};

static const struct unit size_units[] = {
	{"GiB", INT64_C(1) << 30},
	{"MiB", INT64_C(1) << 20},
	{"KiB", INT64_C(1) << 10},
	{"", 1},
};

/* A number without sign, digits with or without a fraction, and one of the units. */
static int parse_with_unit(const char *text, const struct unit *units, size_t n, int64_t *ret)
{
	size_t length = strspn(text, "0123456789.");
	const struct unit *unit = NULL;
	char number[FORMAT_MAX];
	int64_t whole;
	double value;
	int r;

	if (length == 0 || length >= sizeof(number)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(text + length, units[i].name) == 0) {
			unit = &units[i];
		}
	}
	memcpy(number, text, length);
	number[length] = '\0';
	if (!unit) {
		/* zero is zero in any unit */
		if (strcmp(text, "0") != 0) {
			return -EINVAL;
		}
		*ret = 0;
		return 0;
	}
	if (!strchr(number, '.')) {
		r = parse_i64(number, &whole);
		if (r < 0) {
			return r;
		}
		return __builtin_mul_overflow(whole, unit->factor, ret) ? -ERANGE : 0;
	}
	r = parse_double(number, &value);
	if (r < 0) {
		return r;
	}
	value *= (double)unit->factor;
	if (value >= 9.2e18) {
		return -ERANGE;
	}
	*ret = llround(value);
	return 0;
}

int parse_duration_ns(const char *text, int64_t *ret)
{
	int64_t value;
	int r = parse_with_unit(text, duration_units, ARRAY_SIZE(duration_units), &value);

	if (r == 0) {
		*ret = value;
	}
	return r;
}

int parse_size(const char *text, int64_t *ret)
{
	int64_t value;
	int r = parse_with_unit(text, size_units, ARRAY_SIZE(size_units), &value);

	if (r == 0) {
		*ret = value;
	}
	return r;
}

bool is_uuid(const char *text)
{
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i])) {
			return false;
		}
	}
	return text[36] == '\0';
}

bool is_utf8(const char *text, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + size;

	while (p < end) {
		uint32_t code, least;
		int more;

		if (*p < 0x80) {
			p++;
			continue;
		}
		if ((*p & 0xe0) == 0xc0) {
			code = *p & 0x1f;
			more = 1;
			least = 0x80;
		} else if ((*p & 0xf0) == 0xe0) {
			code = *p & 0x0f;
			more = 2;
			least = 0x800;
		} else if ((*p & 0xf8) == 0xf0) {
			code = *p & 0x07;
			more = 3;
			least = 0x10000;
		} else {
			return false;
		}
		if (end - p <= more) {
			return false;
		}
		for (int i = 1; i <= more; i++) {
			if ((p[i] & 0xc0) != 0x80) {
				return false;
			}
			code = code << 6 | (p[i] & 0x3f);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
			return false;
		}
		p += more + 1;
	}
	return true;
}

char *format_duration(char buf[FORMAT_MAX], int64_t ns)
{
	static const struct unit units[] = {
		{"d", NS_PER_D}, {"h", NS_PER_H}, {"min", NS_PER_MIN}, {"s", NS_PER_S}};
	size_t length = 0;
	int parts = 0;

	if (ns < NS_PER_S) {
		double value = (double)ns;
		const char *unit = "ns";

		if (ns >= NS_PER_MS) {
			value /= (double)NS_PER_MS;
			unit = "ms";
		} else if (ns >= NS_PER_US) {
			value /= (double)NS_PER_US;
			unit = "us";
		}
		(void)snprintf(buf, FORMAT_MAX, "%.3g %s", value, unit);
		return buf;
	}
	if (ns < 10 * NS_PER_S && ns % NS_PER_S != 0) {
		(void)snprintf(buf, FORMAT_MAX, "%.3g s", (double)ns / (double)NS_PER_S);
		return buf;
	}
	/* the two greatest parts are enough for people */
	for (size_t i = 0; i < ARRAY_SIZE(units) && parts < 2; i++) {
		int64_t count = ns / units[i].factor;

		ns %= units[i].factor;
		if (count > 0) {
			length += (size_t)snprintf(buf + length, FORMAT_MAX - length,
				"%s%" PRId64 " %s", parts ? " " : "", count, units[i].name);
			parts++;
		} else if (parts) {
			break;
		}
	}
	return buf;
}

static char *format_with_unit(char *buf, int64_t value, const struct unit *units, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (value != 0 && value % units[i].factor == 0) {
			(void)snprintf(buf, FORMAT_MAX, "%" PRId64 "%s", value / units[i].factor,
				units[i].name);
			return buf;
		}
	}
	(void)snprintf(buf, FORMAT_MAX, "%" PRId64, value);
	return buf;
}

char *format_duration_yaml(char buf[FORMAT_MAX], int64_t ns)
{
	return format_with_unit(buf, ns, duration_units, ARRAY_SIZE(duration_units));
}

char *format_size(char buf[FORMAT_MAX], int64_t bytes)
{
	return format_with_unit(buf, bytes, size_units, ARRAY_SIZE(size_units));
}

char *format_timestamp(char buf[FORMAT_MAX], int64_t realtime_us, bool milliseconds)
{
	int64_t us = realtime_us % US_PER_S;
	time_t seconds = (time_t)(realtime_us / US_PER_S);
	struct tm tm;
	size_t length;

	if (us < 0) {
		us += US_PER_S;
		seconds--;
	}
	if (!gmtime_r(&seconds, &tm)) {
		memset(&tm, 0, sizeof(tm));
		tm.tm_mday = 1;
		tm.tm_year = 70;
	}
	length = strftime(buf, FORMAT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	if (milliseconds) {
		(void)snprintf(buf + length, FORMAT_MAX - length, ".%03dZ", (int)(us / US_PER_MS));
	} else {
		(void)snprintf(buf + length, FORMAT_MAX - length, "Z");
	}
	return buf;
}

ssize_t read_fully(int fd, void *buf, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t r = read(fd, (char *)buf + n, size - n);

		if (r < 0 && errno == EINTR) {
			continue;
		}
		if (r < 0) {
			return -errno;
		}
		if (r == 0) {
			break;
		}
		n += (size_t)r;
	}
	return (ssize_t)n;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts); /* cannot fail for the clocks used here */
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t now_monotonic_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

int64_t now_boottime_ns(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

int64_t now_realtime_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

int64_t random_below(int64_t limit)
{
	uint64_t value;

	if (limit <= 0) {
		return 0;
	}
	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value)) {
		/* early boot without entropy: spreading a fleet by the clock's low digits will do
		 */
		value = (uint64_t)now_boottime_ns() * UINT64_C(6364136223846793005);
		value ^= value >> 29;
	}
	return (int64_t)(value % ((uint64_t)limit + 1));
}

uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++) {
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	}
	return hash;
}

uint64_t hash_string(uint64_t hash, const char *s)
{
	if (!s) {
		return hash_bytes(hash, "\xff", 1);
	}
	return hash_bytes(hash, s, strlen(s) + 1);
}
