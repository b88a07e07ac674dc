/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "line.h"
#include "request.h"
#include "tools.h"
#include "transport.h"

/*
 * The tool `scan`: asks each unit for one register; whatever it answers, an exception included,
 * says that it is there. On a serial line of our own the settings of the line can be gone through
 * as well. A step is one unit at one setting, and puts the line back as it was.
 */

#define UNITS    256u
#define LIST_MAX 16u
#define PARITIES 3u

enum {
	SCAN_UNITS,
	SCAN_BAUDS,
	SCAN_PARITIES,
	SCAN_TABLE,
	SCAN_REGISTER,
	SCAN_TIMEOUT,
	N_SCAN_OPTIONS
};

static const struct scg_option options_table[N_SCAN_OPTIONS] = {
	[SCAN_UNITS] = {.name = "units",
		.type = SCG_STRING,
		.fallback = "1-247",
		.max = 255,
		.help = "Units to ask: numbers and ranges, as 1-10,17,100-110."},
	[SCAN_BAUDS] = {.name = "bauds",
		.type = SCG_STRING,
		.max = 255,
		.help = "RTU: speeds to try, as 9600,19200. Without it that of the bus."},
	[SCAN_PARITIES] = {.name = "parities",
		.type = SCG_STRING,
		.max = 255,
		.help = "RTU: parities to try, as even,none,odd. Without it that of the bus."},
	[SCAN_TABLE] = {.name = "table",
		.type = SCG_CHOICE,
		.fallback = "holding",
		.choices = modbus_tables,
		.help = "The table to ask for. A unit that has not got it refuses, and so is "
			"found as well."},
	[SCAN_REGISTER] = {.name = "register",
		.type = SCG_INT,
		.fallback = "0",
		.max = MODBUS_ADDRESSES - 1,
		.help = "The register to ask for, from 0, as on the wire."},
	[SCAN_TIMEOUT] = {.name = "timeout",
		.type = SCG_DURATION,
		.fallback = "300ms",
		.min = 0.01,
		.max = 5,
		.help = "How long to wait for each unit. A gateway may take a second or more to "
			"find out that a unit behind it does not answer."},
};

/* What is gone through. */
struct job {
	uint8_t units[UNITS];
	int64_t bauds[LIST_MAX], parities[PARITIES];
	uint32_t n_units, n_bauds, n_parities;
};

/* The next word of a list that is separated by commas; false at its end. */
static bool next_word(const char **text, char word[32])
{
	size_t size;

	if (!*text || !**text) {
		return false;
	}
	size = strcspn(*text, ",");
	(void)snprintf(word, 32, "%.*s", (int)(size < 31 ? size : 31), *text);
	*text += size;
	*text += **text == ',';
	return true;
}

/* A number of at most 7 digits, and where it ends; -1: there is none. */
static int64_t take_number(const char **text)
{
	int64_t number = 0;
	const char *at = *text;

	while (*at >= '0' && *at <= '9' && at - *text < 7) {
		number = 10 * number + (*at++ - '0');
	}
	if (at == *text) {
		return -1;
	}
	*text = at;
	return number;
}

static bool take_units(const char *word, bool wanted[UNITS])
{
	int64_t first = take_number(&word), last = first;

	if (*word == '-') {
		word++;
		last = take_number(&word);
	}
	if (first < 0 || last < first || last >= (int64_t)UNITS || *word) {
		return false;
	}
	for (int64_t i = first; i <= last; i++) {
		wanted[i] = true;
	}
	return true;
}

static int parse_units(struct scg_bus *bus, const char *text, struct job *job)
{
	bool wanted[UNITS] = {false};
	char word[32];

	while (next_word(&text, word)) {
		if (!take_units(word, wanted)) {
			bus->host->complain(bus, NULL, "units",
				"\"%s\" is neither a unit nor a range of units, expected "
				"numbers from 0 to 255 as in 1-10,17",
				word);
			return -EINVAL;
		}
	}
	if (wanted[0] && bus->options[BUS_TRANSPORT].i != TRANSPORT_TCP) {
		bus->host->complain(bus, NULL, "units",
			"0 is the broadcast address of a serial line: no slave answers");
		return -EINVAL;
	}
	for (uint32_t i = 0; i < UNITS; i++) {
		if (wanted[i]) {
			job->units[job->n_units++] = (uint8_t)i;
		}
	}
	if (job->n_units == 0) {
		bus->host->complain(bus, NULL, "units", "there is none to ask");
		return -EINVAL;
	}
	return 0;
}

static int parse_bauds(struct scg_bus *bus, const char *text, struct job *job)
{
	char word[32], rates[256];

	while (next_word(&text, word)) {
		const char *at = word;
		int64_t baud = take_number(&at);

		if (*at || !modbus_serial_has_rate(baud) || job->n_bauds == LIST_MAX) {
			modbus_serial_list_rates(rates, sizeof(rates));
			bus->host->complain(bus, NULL, "bauds",
				"\"%s\": expected at most %u speeds of %s", word, LIST_MAX, rates);
			return -EINVAL;
		}
		job->bauds[job->n_bauds++] = baud;
	}
	if (job->n_bauds == 0) {
		job->bauds[job->n_bauds++] = bus->options[BUS_BAUD].i;
	}
	return 0;
}

static int parse_parities(struct scg_bus *bus, const char *text, struct job *job)
{
	char word[32];

	while (next_word(&text, word)) {
		const char *const *names = modbus_bus_options[BUS_PARITY].choices;
		uint32_t i = 0;

		while (names[i] && strcmp(names[i], word) != 0) {
			i++;
		}
		if (!names[i] || job->n_parities == PARITIES) {
			bus->host->complain(bus, NULL, "parities",
				"\"%s\": expected at most three of none, even and odd", word);
			return -EINVAL;
		}
		job->parities[job->n_parities++] = i;
	}
	if (job->n_parities == 0) {
		job->parities[job->n_parities++] = bus->options[BUS_PARITY].i;
	}
	return 0;
}

/* Parsed anew in each step: that is nothing beside a request. */
static int parse(struct scg_bus *bus, const union scg_value *options, struct job *ret)
{
	const struct modbus_bus *b = bus->data;
	int r;

	*ret = (struct job){0};
	if (!b->transport->tune && (options[SCAN_BAUDS].s || options[SCAN_PARITIES].s)) {
		bus->host->complain(bus, NULL, options[SCAN_BAUDS].s ? "bauds" : "parities",
			"only a serial port of this machine can be set, and the bus has "
			"transport %s",
			modbus_bus_options[BUS_TRANSPORT].choices[bus->options[BUS_TRANSPORT].i]);
		return -EINVAL;
	}
	r = parse_units(bus, options[SCAN_UNITS].s, ret);
	if (r == 0) {
		r = parse_bauds(bus, options[SCAN_BAUDS].s, ret);
	}
	if (r == 0) {
		r = parse_parities(bus, options[SCAN_PARITIES].s, ret);
	}
	return r;
}

/* "at 9600 baud, 8E1", or "" where that is not known here. */
static void describe_setting(
	const struct scg_bus *bus, const union scg_value *settings, char text[48])
{
	char line[40];

	text[0] = '\0';
	if (bus->options[BUS_TRANSPORT].i != TRANSPORT_TCP) {
		modbus_wire_describe(settings, line, sizeof(line));
		(void)snprintf(text, 48, " at %s", line);
	}
}

static void tell_stanza(struct scg_bus *bus, const union scg_value *options, uint8_t unit)
{
	uint32_t address = (uint32_t)options[SCAN_REGISTER].i;

	bus->host->tell(bus, SCG_TELL_STANZA, "- slug: unit_%u_register_%u", unit, address);
	bus->host->tell(bus, SCG_TELL_STANZA, "  bus: %s", bus->name);
	bus->host->tell(bus, SCG_TELL_STANZA, "  interval: 10s");
	bus->host->tell(bus, SCG_TELL_STANZA, "  options: {unit: %u, table: %s, register: %u}",
		unit, modbus_tables[options[SCAN_TABLE].i], address);
}

static void tell_answer(struct scg_bus *bus, const union scg_value *options, const char *setting,
	bool is_own, const struct modbus_exchange *x)
{
	const char *name = modbus_table_name((uint8_t)options[SCAN_TABLE].i);
	int code = modbus_request_judge(&x->request, &x->answer);
	double turn_ms = (double)x->turn_ns / 1e6;
	unsigned int address = (unsigned int)options[SCAN_REGISTER].i;
	unsigned int value = x->answer.bytes[2];

	if (code > 0) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"unit %u%s: is there (answers in %.0f ms), but refuses %s %u: %s "
			"(exception %d)",
			x->unit, setting, turn_ms, name, address,
			modbus_exception_name((uint8_t)code), code);
	} else if (code < 0) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"unit %u%s: is there, but does not answer what it is asked", x->unit,
			setting);
	} else {
		if (!modbus_is_bit_table((uint8_t)options[SCAN_TABLE].i)) {
			value = value << 8 | x->answer.bytes[3];
		} else {
			value &= 1;
		}
		bus->host->tell(bus, SCG_TELL_RESULT,
			"unit %u%s: answers in %.0f ms, %s %u is %u (0x%04x)", x->unit, setting,
			turn_ms, name, address, value, value);
		/* Of a line that is set otherwise nothing could be read. */
		if (is_own) {
			tell_stanza(bus, options, x->unit);
		}
	}
}

/* A gateway says with these that it has got nobody of that number. */
static bool is_absent(const struct modbus_exchange *x)
{
	int code = modbus_request_judge(&x->request, &x->answer);

	return code == EXCEPTION_PATH || code == EXCEPTION_TARGET;
}

static bool is_own(const struct modbus_bus *b, const union scg_value *settings)
{
	return settings[BUS_BAUD].i == b->bus->options[BUS_BAUD].i &&
	       settings[BUS_PARITY].i == b->bus->options[BUS_PARITY].i;
}

static int ask(struct modbus_bus *b, const union scg_value *options,
	const union scg_value *settings, uint8_t unit)
{
	struct modbus_exchange x = {
		.request = modbus_request_read(
			(uint8_t)options[SCAN_TABLE].i, (uint32_t)options[SCAN_REGISTER].i, 1),
		.unit = unit,
		.limit_ns = options[SCAN_TIMEOUT].i,
		.quiet_ns = options[SCAN_TIMEOUT].i,
	};
	struct scg_bus *bus = b->bus;
	char setting[48];
	int r = b->transport->exchange(b->link, &x);

	describe_setting(bus, settings, setting);
	if (r == MODBUS_ANSWERED && !is_absent(&x)) {
		b->n_found++;
		tell_answer(bus, options, setting, is_own(b, settings), &x);
	} else if (r == MODBUS_DAMAGED || r == MODBUS_NONSENSE) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"unit %u%s: something comes, but no answer that can be read: noise, wrong "
			"line settings, or two units with this number",
			unit, setting);
	}
	return r < 0 ? r : 0;
}

/* With the line at `settings`. -EINVAL if it cannot be so. */
static int ask_at(struct modbus_bus *b, const union scg_value *options,
	const union scg_value *settings, uint8_t unit)
{
	int r, back;

	if (is_own(b, settings)) {
		return ask(b, options, settings, unit);
	}
	r = b->transport->tune(b->link, settings);
	if (r == 0) {
		r = ask(b, options, settings, unit);
		r = r == -EINVAL ? -EIO : r;
	}
	back = b->transport->tune(b->link, b->bus->options);
	return back < 0 ? back : r;
}

static int step(struct scg_bus *bus, const union scg_value *options, uint64_t number)
{
	struct modbus_bus *b = bus->data;
	union scg_value settings[N_BUS_OPTIONS];
	char setting[48];
	struct job job;
	uint64_t n_steps, at;
	int r = parse(bus, options, &job);

	if (r < 0) {
		return r;
	}
	n_steps = (uint64_t)job.n_units * job.n_bauds * job.n_parities;
	if (number == 0) {
		b->n_found = 0;
	}
	if (number >= n_steps) {
		return 0;
	}
	at = number / job.n_units;
	memcpy(settings, bus->options, sizeof(settings));
	settings[BUS_BAUD].i = job.bauds[at / job.n_parities];
	settings[BUS_PARITY].i = job.parities[at % job.n_parities];
	describe_setting(bus, settings, setting);
	bus->host->tell(bus, SCG_TELL_PROGRESS, "%llu of %llu: unit %u%s, %u found",
		(unsigned long long)number + 1, (unsigned long long)n_steps,
		job.units[number % job.n_units], setting, b->n_found);
	r = ask_at(b, options, settings, job.units[number % job.n_units]);
	if (r == -EINVAL) {
		if (number % job.n_units == 0) {
			bus->host->tell(bus, SCG_TELL_RESULT, "left out: the port cannot do%s",
				setting + 3);
		}
		r = 0;
	}
	if (r < 0 || number + 1 < n_steps) {
		return r < 0 ? r : 1;
	}
	if (b->n_found == 0) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"no unit has answered: check power, wiring (A and B swapped?), %s",
			b->transport->tune ? "and try --bauds 9600,19200,38400,115200 "
					     "--parities even,none,odd"
					   : "and try a longer --timeout");
	}
	return 0;
}

const struct scg_tool modbus_scan = {
	.options = options_table,
	.n_options = N_SCAN_OPTIONS,
	.step = step,
};
