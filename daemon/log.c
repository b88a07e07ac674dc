/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define MESSAGE_MAX 1024
#define FIELDS_MAX  6

static _Atomic int max_level = LOG_LEVEL_INFO;
static bool to_journald;

/* systemd tells in JOURNAL_STREAM which descriptor is connected to journald (systemd.exec(5)). */
static bool stderr_is_journald(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char expected[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0) {
		return false;
	}
	(void)snprintf(
		expected, sizeof(expected), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, expected) == 0;
}

void log_open(enum log_level level)
{
	atomic_store(&max_level, (int)level);
	to_journald = stderr_is_journald();
}

void log_set_max_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

enum log_level log_max_level(void)
{
	return (enum log_level)atomic_load_explicit(&max_level, memory_order_relaxed);
}

bool log_is_journald(void)
{
	return to_journald;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_NOTICE:
		return "notice";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "unknown";
}

/* "bus rs485-0: sensor temp_01: text", on one line, cut to what fits. */
_printf_(3, 0) static void compose(
	char text[MESSAGE_MAX], const struct log_subject *subject, const char *format, va_list args)
{
	const struct {
		const char *kind, *name;
	} parts[] = {
		{"bus", subject ? subject->bus : NULL},
		{"device", subject ? subject->device : NULL},
		{"sensor", subject ? subject->sensor : NULL},
	};
	size_t length = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (parts[i].name && length < MESSAGE_MAX) {
			length += (size_t)snprintf(text + length, MESSAGE_MAX - length,
				"%s %s: ", parts[i].kind, parts[i].name);
		}
	}
	if (length < MESSAGE_MAX) {
		(void)vsnprintf(text + length, MESSAGE_MAX - length, format, args);
	}
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ') {
			*p = ' ';
		}
	}
}

struct field_list {
	char text[FIELDS_MAX][MESSAGE_MAX + 16];
	struct iovec iov[FIELDS_MAX];
	int n;
};

static void add_field(struct field_list *fields, const char *name, const char *value)
{
	int length;

	if (!value || fields->n >= FIELDS_MAX) {
		return;
	}
	length = snprintf(fields->text[fields->n], sizeof(fields->text[0]), "%s=%s", name, value);
	fields->iov[fields->n].iov_base = fields->text[fields->n];
	fields->iov[fields->n].iov_len = MIN((size_t)length, sizeof(fields->text[0]) - 1);
	fields->n++;
}

static int send_to_journald(
	enum log_level level, const struct log_subject *subject, const char *text)
{
	struct field_list fields = {.n = 0};
	char priority[4];

	(void)snprintf(priority, sizeof(priority), "%d", (int)level & 7);
	add_field(&fields, "MESSAGE", text);
	add_field(&fields, "PRIORITY", priority);
	if (subject) {
		add_field(&fields, "MESSAGE_ID", subject->message_id);
		add_field(&fields, "SENSOCAN_BUS", subject->bus);
		add_field(&fields, "SENSOCAN_DEVICE", subject->device);
		add_field(&fields, "SENSOCAN_SENSOR", subject->sensor);
	}
	return sd_journal_sendv(fields.iov, fields.n);
}

static void write_to_stderr(enum log_level level, const char *text)
{
	char line[MESSAGE_MAX + 80], now[FORMAT_MAX];
	int length;

	length = snprintf(line, sizeof(line), "%s %s: %s\n",
		format_timestamp(now, now_realtime_ns() / NS_PER_US, true), level_name(level),
		text);
	/* one write, so that lines of several threads do not mix; if stderr is gone nobody can be
	 * told */
	if (write(STDERR_FILENO, line, MIN((size_t)length, sizeof(line) - 1)) < 0) {
		return;
	}
}

void log_messagev(
	enum log_level level, const struct log_subject *subject, const char *format, va_list args)
{
	char text[MESSAGE_MAX];
	int saved = errno;

	if (level > log_max_level()) {
		return;
	}
	compose(text, subject, format, args);
	if (!to_journald || send_to_journald(level, subject, text) < 0) {
		write_to_stderr(level, text);
	}
	errno = saved;
}

void log_message(enum log_level level, const struct log_subject *subject, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_messagev(level, subject, format, args);
	va_end(args);
}
