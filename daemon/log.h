/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_LOG_H
#define SCG_LOG_H

/*
 * The log: to journald with structured fields when started by systemd, else lines on stderr.
 *
 * Errors need a person, warnings may heal by themselves, notices are changes of state. A message
 * says what failed, on what, why, and what happens next. Never a password or a payload at info. Log
 * changes, not repetition. Thread safe.
 */

#include <stdarg.h>
#include <stdbool.h>

#include "util.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* What a message is about; each becomes a field of its own, NULL where it does not apply. */
struct log_subject {
	const char *message_id; /* one of LOG_ID_... below, or NULL */
	const char *bus;        /* SENSOCAN_BUS */
	const char *device;     /* SENSOCAN_DEVICE */
	const char *sensor;     /* SENSOCAN_SENSOR */
};

/* Kinds of events that a person may want to search for: `journalctl MESSAGE_ID=...`. */
#define LOG_ID_STARTED           "74d28d65d5634a66ae6d89f4a0dc4b69"
#define LOG_ID_STOPPED           "bade8b4c75f6461e8772783809cf7129"
#define LOG_ID_RELOADED          "2d3673299f23412897dc374becb74f3a"
#define LOG_ID_RELOAD_REFUSED    "0aee3dcc1dc8460f994d4bf3f3835dd0"
#define LOG_ID_BUS_UP            "4ab008c420ea459a9686f7be06893ea0"
#define LOG_ID_BUS_DOWN          "a3b5e777cd4b406abce036016b94682f"
#define LOG_ID_SENSOR_BAD        "b791d0ae5fe742e48b78a54c43f1a4d2"
#define LOG_ID_SENSOR_GOOD       "d0a508a3156049b6a732990c488a8e2b"
#define LOG_ID_TURNS_MISSED      "2db5d72c18964b5387a572f030568030"
#define LOG_ID_CONNECTED         "c4c8b777bddf47e0a08e0565601cca55"
#define LOG_ID_DISCONNECTED      "77b54fdadc6949cbb2223e294d93cfc4"
#define LOG_ID_LOGIN_REFUSED     "84259af4242c46ab83f39c2d6b7a721d"
#define LOG_ID_MESSAGE_REFUSED   "a89830e705ad40bcac7a909be5631c2c"
#define LOG_ID_BACKLOG_DONE      "01ee628ece5340cc8bfed8a6084de319"
#define LOG_ID_READINGS_LOST     "aabdbf5e6de44f3dbfef49e3ba42f1f1"
#define LOG_ID_JOURNAL_FAILING   "605badf33f42449b8811000fefa5af19"
#define LOG_ID_JOURNAL_RECOVERED "e10d48c428ae4308b07adbeb427b4f01"
#define LOG_ID_JOURNAL_DAMAGED   "36e61bdf84564be4a51259c3ef32f6a5"
#define LOG_ID_CLOCK_WAITING     "ab5172f7bd634d17a5faaa51ffe785d3"
#define LOG_ID_CLOCK_SET         "e6b610680c1b4ebda78c4a361ac21c3f"
#define LOG_ID_CLOCK_STEPPED     "df315351afa84e9790fef06f33682c99"
#define LOG_ID_THREAD_STUCK      "f11563c4efb545ec9044e97914bb9a9a"

/*
 * Call once, before other threads start. Goes to journald if stderr is connected to it
 * (JOURNAL_STREAM), else to stderr. Messages above `max_level` are dropped.
 */
void log_open(enum log_level max_level);
void log_set_max_level(enum log_level max_level);
enum log_level log_max_level(void);
/* Messages go to journald, not to a terminal. */
bool log_is_journald(void);

/* `subject` may be NULL. Keeps errno. A line break in the text is written as a space. */
void log_message(enum log_level level, const struct log_subject *subject, const char *format, ...)
	_printf_(3, 4);
void log_messagev(enum log_level level, const struct log_subject *subject, const char *format,
	va_list args) _printf_(3, 0);

#define log_error(...)   log_message(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)  log_message(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)    log_message(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)   log_message(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

#endif
