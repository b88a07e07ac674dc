/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_UTIL_H
#define SCG_UTIL_H

/*
 * Small things that every module needs: clean-up of locals, allocation that ends the process
 * instead of failing, strict conversion of text to numbers, clocks. Nothing here knows of the
 * gateway. All functions may be called from any thread.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define CLAMP(x, low, high)             MAX((low), MIN((x), (high)))
#define _printf_(fmt, va)               __attribute__((format(printf, fmt, va)))
#define _unused_                        __attribute__((unused))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)
#define US_PER_MS  INT64_C(1000)
#define US_PER_S   INT64_C(1000000)
#define MS_PER_S   INT64_C(1000)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_H   (60 * NS_PER_MIN)
#define NS_PER_D   (24 * NS_PER_H)

/*
 * Clean-up of locals: `_cleanup_(freep) char *text = ...;` releases at the end of the block;
 * `*ret_text = steal_ptr(text);` hands out instead.
 */
#define _cleanup_(f) __attribute__((cleanup(f)))
#define steal_ptr(ptr)                                                                             \
	({                                                                                         \
		__typeof__(ptr) stolen_ = (ptr);                                                   \
		(ptr) = NULL;                                                                      \
		stolen_;                                                                           \
	})
/* Defines `void function_p(type **p)`, the clean-up handler that calls function(*p). */
#define DEFINE_CLEANUP(type, function)                                                             \
	static inline void function##p(type *p)                                                    \
	{                                                                                          \
		if (*p) {                                                                          \
			function(*p);                                                              \
		}                                                                                  \
	}

void freep(void *ptr_to_ptr);
void closep(int *fd); /* closes if >= 0 */

/* Allocation. Never NULL: the process aborts, systemd restarts it, and the journal has the rest. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *ptr, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) _printf_(1, 2);
char *xvasprintf(const char *format, va_list args) _printf_(1, 0);

/*
 * Makes room for one more element of an array that grows by doubling: call before array[n++].
 * `array` and `capacity` are lvalues.
 */
#define GROW(array, n, capacity)                                                                   \
	do {                                                                                       \
		if ((n) >= (capacity)) {                                                           \
			(capacity) = (capacity) ? 2 * (capacity) : 8;                              \
			(array) = xreallocarray((array), (capacity), sizeof(*(array)));            \
		}                                                                                  \
	} while (0)

/*
 * Text to number. The whole text must be the number: no leading or trailing white space, no
 * overflow, no NaN or infinity, whatever the locale. 0, -EINVAL (no such number) or -ERANGE;
 * *ret is untouched on failure.
 */
int parse_i64(const char *text, int64_t *ret);   /* 42, -7, 0x1f; 010 is refused */
int parse_double(const char *text, double *ret); /* 1, -2.5, 1e3 */
int parse_bool(const char *text, bool *ret);     /* true, false; nothing else */
int parse_duration_ns(
	const char *text, int64_t *ret);        /* 250ms 10s 5min 1h 7d, and 0; also us; 1.5s */
int parse_size(const char *text, int64_t *ret); /* 512 64KiB 512MiB 1GiB; 0 */
bool is_uuid(const char *text);                 /* 8-4-4-4-12 hexadecimal digits */
bool is_utf8(const char *text, size_t size);

/*
 * Number to text for people: "250 ms", "1 min 30 s"; "64 KiB". Writes into `buf` and returns it.
 * _yaml forms give what the parse functions read back exactly: "250ms", "90s", "64KiB".
 */
#define FORMAT_MAX 40
char *format_duration(char buf[FORMAT_MAX], int64_t ns);
char *format_duration_yaml(char buf[FORMAT_MAX], int64_t ns);
char *format_size(char buf[FORMAT_MAX], int64_t bytes);
/* "2023-10-27T10:00:00Z", with `milliseconds` "2023-10-27T10:00:00.123Z"; truncates, never rounds.
 */
char *format_timestamp(char buf[FORMAT_MAX], int64_t realtime_us, bool milliseconds);

/* Reads until `size` bytes are there or the end is reached. How many, or a negative errno. */
ssize_t read_fully(int fd, void *buf, size_t size);

/* Clocks, in nanoseconds. */
int64_t now_monotonic_ns(void); /* for waits, schedules, time limits */
int64_t now_boottime_ns(void);  /* goes on during suspend: for the time of a reading */
int64_t now_realtime_ns(void);  /* the wall clock: only for time stamps */

/* A random number in [0, limit]; not for secrets. */
int64_t random_below(int64_t limit);

/* FNV-1a, for comparing configurations and hash tables; start with HASH_INIT. */
#define HASH_INIT UINT64_C(0xcbf29ce484222325)
uint64_t hash_bytes(uint64_t hash, const void *data, size_t size);
uint64_t hash_string(uint64_t hash, const char *s); /* NULL and "" differ */

#endif
