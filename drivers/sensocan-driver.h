/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENSOCAN_DRIVER_H
#define SENSOCAN_DRIVER_H

/*
 * The driver interface of sensocan-gateway.
 *
 * A driver is code for one kind of bus: it reads sensors and reports what it read. It is a shared
 * object that exports one constant, `const struct scg_driver scg_driver_1`, and links to nothing
 * of the gateway: whatever it may ask of the daemon it gets as a table of functions, struct
 * scg_host. This file is all that a driver includes. It is plain C11 and C++.
 *
 * What a driver does not do: it has no configuration file, no scaling, no schedule, no time stamps
 * to format, no threads, no logging of failures, no notion of where readings go. The daemon does
 * these once for all drivers.
 *
 * Life of a bus
 * -------------
 *  1. The daemon loads `<name>.so`, finds `scg_driver_1`, and checks `abi` and `name`.
 *  2. It reads the configuration against the driver's option tables: unknown options, wrong types
 *     and values out of range are refused with file, line and column before the driver runs.
 *  3. check(bus), if there is one: relations between options that a range cannot say. No
 *     hardware and no network; a file that an option names may be read. This runs also for
 * `sensocan-gateway check`, and then nothing below follows. plan(bus), if there is one: what the
 * sensors will take of the bus's time. No I/O either.
 *  4. open(bus): acquire the hardware. On failure everything is released again; the daemon calls
 *     open() again after a growing delay, for ever.
 *  5. poll(bus, due, n_due) whenever sensors are due, and dispatch(bus) whenever the descriptor
 *     that open() left in bus->fd is readable. Either may be NULL, not both.
 *     Between these calls a person may ask for a scan or a probe: the step() of a tool.
 *  6. close(bus), exactly once for each open() that succeeded: because poll() or dispatch() said
 *     that the link is gone, because nothing on the bus answered for three rounds, because the
 *     configuration changed, or because the daemon stops. After it, 4 may follow.
 *
 * Threads
 * -------
 * All calls for one bus come from one thread. Two buses may run the same driver at the same time:
 * keep state in bus->data and sensor->data, never in mutable static variables. A driver starts no
 * threads, installs no signal handlers, and never sees a signal.
 *
 * Blocking
 * --------
 * open(), poll() and step() may block, at most 5 seconds at a time without a call into the host
 * table (each call counts as progress). Between transactions ask host->stopping(bus) and return
 * soon when it is true. dispatch(), check() and plan() never wait.
 *
 * Memory
 * ------
 * Strings and arrays that the daemon passes in stay valid from open() to close(), and those given
 * to check() for the duration of the call. Text that a driver passes in is copied. A driver returns
 * -ENOMEM when memory is short; it never ends the process.
 *
 * Growth
 * ------
 * Structures only grow at the end, and a comment in them marks what each level added. A driver says
 * in `abi` at which level it was built; a daemon takes drivers at or below its own level. So a
 * driver never has to test whether a host function exists. A breaking change would be a new symbol.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The level of this header. Level 1: the first. Level 2: plan, scan, probe and count. */
#define SCG_ABI_LEVEL 2u

/* Number of elements of an array, for the option tables. */
#define SCG_COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

#if defined(__GNUC__)
#define SCG_EXPORT          __attribute__((visibility("default")))
#define SCG_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#else
#define SCG_EXPORT
#define SCG_PRINTF(fmt, va)
#endif

/* Type of an option, and the member of union scg_value that holds its value. */
#define SCG_INT      1u /* i: a whole number; YAML may say 0x1f */
#define SCG_NUMBER   2u /* d: any finite number */
#define SCG_BOOL     3u /* i: 0 or 1; YAML says true or false */
#define SCG_STRING   4u /* s: UTF-8; NULL if absent */
#define SCG_CHOICE   5u /* i: index into choices[] */
#define SCG_DURATION 6u /* i: nanoseconds; YAML says 250ms, 10s, 5min, 1h, 7d */

/* Flags of an option. */
#define SCG_REQUIRED 0x1u /* no default: the user must give it */
#define SCG_SECRET   0x2u /* never printed or logged */
#define SCG_FILE                                                                                   \
	0x4u /* SCG_STRING: the name of a file that the driver reads; a relative one is            \
		made to begin at the configuration, and reload opens the bus again                 \
		when the file has changed. Level 2 */

/* Quality of a reading. */
#define SCG_GOOD      0u
#define SCG_UNCERTAIN 1u /* the device itself doubts the value */

/* Levels for scg_host.log. */
#define SCG_LOG_WARNING 4u /* may heal by itself */
#define SCG_LOG_NOTICE  5u /* a change of state */
#define SCG_LOG_INFO    6u
#define SCG_LOG_DEBUG   7u

/* Names that a bus may have for scg_host.count. */
#define SCG_COUNTERS_MAX 16u

/* Kinds of what a tool says, for scg_host.tell. */
#define SCG_TELL_RESULT   1u /* a line for people, printed at once */
#define SCG_TELL_STANZA   2u /* a line of YAML for `sensors:`, printed together at the end */
#define SCG_TELL_PROGRESS 3u /* what is being done; the next one takes its place */

/* One option's value; which member counts follows from the option's type. */
union scg_value {
	int64_t i;
	double d;
	const char *s;
};

/*
 * One row of a driver's option table. Index the table by an enum with designated initialisers and
 * use the same enum to index the values:
 *
 *     enum { BUS_HOST, BUS_PORT };
 *     static const struct scg_option bus_options[] = {
 *         [BUS_PORT] = { .name = "port", .type = SCG_INT, .fallback = "502",
 *                        .min = 1, .max = 65535, .help = "TCP port." },
 *     };
 *     ... bus->options[BUS_PORT].i ...
 *
 * From this one table come the checks, the conversion, the defaults, the help of
 * `sensocan-gateway drivers NAME` and the manual page.
 */
struct scg_option {
	const char *name;     /* lower case, words joined by '_' */
	uint32_t type;        /* SCG_INT ... */
	uint32_t flags;       /* SCG_REQUIRED ... */
	const char *fallback; /* default as it would stand in YAML; NULL only for a required
				 option or for a string that may be absent */
	double min, max;      /* range, both inclusive, for SCG_INT, SCG_NUMBER (unit below) and
				 SCG_DURATION (seconds); 0 and 0: no limit but the type's.
				 For SCG_STRING max is the longest length in bytes */
	const char *const *choices; /* SCG_CHOICE: the words, ended by NULL */
	const char *unit;           /* "bit/s", "registers" ...; NULL if it has none */
	const char *help;           /* one or more sentences, ended by full stops */
	uintptr_t reserved[4];      /* zero */
};

struct scg_bus;
struct scg_host;

/*
 * One value on a bus. Made by the daemon; only `data` is the driver's to write.
 */
struct scg_sensor {
	const char *name;               /* for messages: unique on this bus */
	const union scg_value *options; /* indexed as scg_driver.sensor_options */
	int64_t interval_ns;            /* how often a reading is wanted */
	void *data;                     /* the driver's; NULL before each open() and in check() */
};

/*
 * One bus: a link and the sensors on it. Made by the daemon; the driver writes `data` and `fd`.
 */
struct scg_bus {
	const struct scg_host *host;
	const char *name;
	const union scg_value *options; /* indexed as scg_driver.bus_options */
	struct scg_sensor **sensors;    /* array of n_sensors pointers */
	uint32_t n_sensors;
	int32_t fd; /* written by open(): descriptor that dispatch() waits for, or left at -1.
		       The driver closes it in close(). Several? Hand out an epoll descriptor */
	void *data; /* the driver's; NULL before each open() and in check() */
};

/*
 * What a driver may call, and only from inside its own callbacks.
 */
struct scg_host {
	uint32_t abi;      /* level of the daemon, never below the driver's own */
	uint32_t reserved; /* zero */

	/*
	 * A value was read. `time_ns` is CLOCK_REALTIME in nanoseconds at the moment at which the
	 * value was true as nearly as can be known: the arrival of the answer, the kernel's receive
	 * time of a frame; 0 means now. `value` is unscaled; a NaN or an infinity makes the sensor
	 * bad. `quality` is SCG_GOOD or SCG_UNCERTAIN. All reports of one callback form one batch:
	 * reporting one by one costs nothing. From dispatch() one report a sensor and interval
	 * is taken, and passed over what comes earlier by more than an eighth of the interval or
	 * 100 ms.
	 */
	void (*report)(struct scg_bus *bus, struct scg_sensor *sensor, int64_t time_ns,
		double value, uint32_t quality);

	/*
	 * The sensor could not be read this time; `reason` says why in words for a person ("unit 3:
	 * no answer within 500 ms"). The daemon logs only changes, so call it each time.
	 */
	void (*fail)(struct scg_bus *bus, struct scg_sensor *sensor, const char *reason);

	/*
	 * Only from check(): the configuration cannot work; and from step 0 of a tool, about its
	 * options. `sensor` is NULL for the bus's own options; `option` names the option at fault
	 * or is NULL. May be called many times; the daemon adds file, line and column.
	 */
	void (*complain)(const struct scg_bus *bus, const struct scg_sensor *sensor,
		const char *option, const char *format, ...) SCG_PRINTF(4, 5);

	/* A line in the log, `level` being SCG_LOG_...; the daemon adds the name of the bus. */
	void (*log)(const struct scg_bus *bus, uint32_t level, const char *format, ...)
		SCG_PRINTF(3, 4);

	/* Not 0 when the call in progress should return soon. Cheap. */
	int32_t (*stopping)(const struct scg_bus *bus);

	/* Level 1 ends here. */

	/*
	 * Only from plan(): what the link is, in words that go after "at" ("9600 bit/s, 8E1"), and
	 * what would help if it is too slow ("a higher baud"). The texts are copied.
	 */
	void (*plan_link)(const struct scg_bus *bus, const char *link, const char *advice);

	/*
	 * Only from plan(): a transaction that is made once every `interval_ns` for `n_sensors`
	 * sensors. It keeps the bus busy for at least `least_ns`, which is what the link itself
	 * needs whoever answers, and probably for `likely_ns`. `what` says which one ("unit 3,
	 * holding 100 to 131"). A bus that needs more than its time at the least is refused.
	 */
	void (*plan_request)(const struct scg_bus *bus, const char *what, uint32_t n_sensors,
		int64_t interval_ns, int64_t least_ns, int64_t likely_ns);

	/* Only from the step() of a tool: a line without its end, `kind` being SCG_TELL_... */
	void (*tell)(const struct scg_bus *bus, uint32_t kind, const char *format, ...)
		SCG_PRINTF(3, 4);

	/*
	 * `n` more of something that the driver counts about the bus, for people who want to know
	 * how well it does: frames, checksums that were wrong. `name` is of [a-z_], at most 31 of
	 * them, and copied; a bus has at most SCG_COUNTERS_MAX names. With n == 0 it is shown as
	 * well. Not for each frame: add up, and say it once a second or so.
	 */
	void (*count)(struct scg_bus *bus, const char *name, uint64_t n);

	/* Level 2 ends here. */
};

/*
 * Something that a person asks of a bus, beside its readings: `sensocan-gateway scan` and `probe`.
 * It runs on an open bus, step by step, and the daemon polls between the steps.
 */
struct scg_tool {
	const struct scg_option *options; /* on the command line as --name VALUE; may be NULL */
	uint32_t n_options;
	uint32_t reserved; /* zero */

	/*
	 * Does step number `step`, counted from 0: one transaction or so, under the rules for
	 * poll(). What it found it says by host->tell(). 1 if there is another step, 0 if this was
	 * the last, -EINVAL after host->complain() about an option (in step 0, with sensor NULL),
	 * or another negative errno if it failed; the bus stays open in any case. A tool may never
	 * be asked for its next step, or begin again with step 0. It leaves the link as poll()
	 * expects it.
	 */
	int (*step)(struct scg_bus *bus, const union scg_value *options, uint64_t step);
};

/*
 * A driver.
 */
struct scg_driver {
	uint32_t abi;        /* SCG_ABI_LEVEL of the header it was built with */
	uint32_t reserved;   /* zero */
	const char *name;    /* the name of the file without ".so", and of `driver:` in YAML */
	const char *version; /* its own, for people */
	const char *summary; /* one line without a full stop */

	const struct scg_option *bus_options;    /* `options:` of a bus; may be NULL */
	const struct scg_option *sensor_options; /* `options:` of a sensor; may be NULL */
	uint32_t n_bus_options;
	uint32_t n_sensor_options;

	/*
	 * Optional. Looks at options, complains by host->complain(). No hardware and no network; a
	 * file that an option names may be read. `bus` and its sensors are not to be written. Must
	 * also accept combinations that it complained about.
	 */
	void (*check)(struct scg_bus *bus);

	/*
	 * Acquires the hardware. 0, or a negative errno after releasing all that it had acquired; a
	 * reason that errno cannot say goes to host->log() at SCG_LOG_DEBUG. A slave that does not
	 * answer is no reason to fail here: that is poll()'s to find out.
	 */
	int (*open)(struct scg_bus *bus);

	/*
	 * These sensors are due, the one with the earliest deadline first. Reads some or all of
	 * them, the first unless its device has to be waited for, in as few transactions as the
	 * protocol allows; report()s or fail()s each one that it dealt with and returns 0. A call
	 * may deal with none, because a request has to be made again or a device is busy, but not
	 * a hundred calls in a row. What it dealt with neither way stays
	 * due, and the daemon calls again at once: so read one request's worth and return, and a
	 * long round of slow sensors never holds up a fast one. Reporting sensors that are not due
	 * is allowed. The silence of one slave is not an error of the bus: fail() its sensors and
	 * return 0. A driver remembers by itself which slaves are silent, and asks these more
	 * rarely. A negative errno only when the link itself is gone (unplugged, connection lost):
	 * the daemon then marks what was due as failed, calls close(), and open() after a delay.
	 */
	int (*poll)(struct scg_bus *bus, struct scg_sensor *const *due, uint32_t n_due);

	/*
	 * bus->fd is readable. Takes what is there, a few hundred frames at most, reports, and
	 * returns 0 without ever waiting. A negative errno as for poll().
	 */
	int (*dispatch)(struct scg_bus *bus);

	/* Releases everything that open() acquired, also after poll() or dispatch() failed. */
	void (*close)(struct scg_bus *bus);

	/* Level 1 ends here. */

	/*
	 * Optional. Says from the options alone, by host->plan_link() and host->plan_request(),
	 * what reading the sensors will take of the bus. As check(): no I/O, nothing is written.
	 * Called only if check() had nothing to complain about.
	 */
	void (*plan)(struct scg_bus *bus);

	const struct scg_tool *scan;  /* finds what is on the bus; NULL: it cannot */
	const struct scg_tool *probe; /* shows one place in all ways to read it; NULL: it cannot */

	/* Level 2 ends here. */
};

/* The symbol that a driver exports. */
extern SCG_EXPORT const struct scg_driver scg_driver_1;

#ifdef __cplusplus
}
#endif

#endif
