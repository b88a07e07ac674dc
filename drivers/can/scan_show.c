/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "j1939.h"
#include "scan.h"

#define LINE_MAX    400
#define STANZAS_MAX 500
#define BYTES_SHOWN 16

static int compare(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	/* the flag of 29 bits is above the identifier: the standard ones come first */
	return (x->can_id > y->can_id) - (x->can_id < y->can_id);
}

/* Whether nodes speak SAE J1939: its everyday parameter groups, from SAE J1939-71 and -21. */
static bool is_j1939(const struct can_scan *s)
{
	static const uint32_t common[] = {0xec00, 0xee00, 0xf003, 0xf004, 0xfeca, 0xfee5, 0xfee9,
		0xfeee, 0xfeef, 0xfef1, 0xfef2, 0xfef5, 0xfef6, 0xfef7};

	for (uint32_t i = 0; i < s->n_seen; i++) {
		uint32_t pgn = j1939_parse(s->seen[i].can_id & CAN_EFF_MASK).pgn;

		for (uint32_t k = 0; s->seen[i].can_id & CAN_EFF_FLAG && k < SCG_COUNT(common);
			k++) {
			if (pgn == common[k]) {
				return true;
			}
		}
	}
	return false;
}

/* The message of the DBC file with this identifier; NULL if there is none. */
static const struct dbc_message *find_message(const struct can_bus *c, uint32_t can_id)
{
	uint32_t n = 0, id = can_id & CAN_EFF_MASK;
	bool extended = can_id & CAN_EFF_FLAG;
	const struct dbc_message *all = c->wanted.dbc ? dbc_messages(c->wanted.dbc, &n) : NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (all[i].extended != extended) {
			continue;
		}
		if (all[i].id == id ||
			(all[i].j1939 && j1939_parse(all[i].id).pgn == j1939_parse(id).pgn)) {
			return &all[i];
		}
	}
	return NULL;
}

/* Bytes as "01 ff", and "..." for what is more. */
static const char *format_bytes(char text[3 * BYTES_SHOWN + 4], const uint8_t *bytes, uint8_t size)
{
	size_t used = 0, limit = 3 * BYTES_SHOWN + 4;

	text[0] = '\0';
	for (uint8_t i = 0; i < size && i < BYTES_SHOWN; i++) {
		used += (size_t)snprintf(
			text + used, limit - used, "%s%02x", i ? " " : "", bytes[i]);
	}
	if (size > BYTES_SHOWN) {
		(void)snprintf(text + used, limit - used, "...");
	}
	return text;
}

static const char *format_id(char text[16], uint32_t can_id)
{
	(void)snprintf(
		text, 16, can_id & CAN_EFF_FLAG ? "0x%08x" : "0x%03x", can_id & CAN_EFF_MASK);
	return text;
}

static void show_identifier(const struct can_bus *c, const struct can_scan *s,
	const struct seen *seen, const struct dbc_message *message, bool j1939)
{
	char id[16], group[64] = "", size[24], last[3 * BYTES_SHOWN + 4],
		     changed[3 * BYTES_SHOWN + 4];
	double seconds = (double)(s->end_ns - s->begin_ns) / 1e9;

	if (j1939 && seen->can_id & CAN_EFF_FLAG) {
		struct j1939_id parsed = j1939_parse(seen->can_id & CAN_EFF_MASK);

		(void)snprintf(
			group, sizeof(group), ", PGN 0x%x from %u", parsed.pgn, parsed.source);
	}
	(void)snprintf(size, sizeof(size), "%u", seen->most);
	if (seen->least != seen->most) {
		(void)snprintf(size, sizeof(size), "%u to %u", seen->least, seen->most);
	}
	c->bus->host->tell(c->bus, SCG_TELL_RESULT,
		"%s%s%s%s: %.3g/s, %s bytes%s; last %s, changing %s", format_id(id, seen->can_id),
		group, message ? ", " : "", message ? message->name : "", (double)seen->n / seconds,
		size,
		seen->is_remote ? ", remote"
		: seen->is_own  ? ", sent by this machine"
				: "",
		format_bytes(last, seen->data, seen->size),
		format_bytes(changed, seen->changed, seen->size));
}

static bool is_in(uint64_t bits, const struct dbc_signal *signal)
{
	for (uint32_t i = 0; i < signal->n_ranges; i++) {
		if (bits >= signal->ranges[i].first && bits <= signal->ranges[i].last) {
			return true;
		}
	}
	return false;
}

/* Whether the last frame has it, by its length and its multiplexors. */
static bool is_there(const struct seen *seen, const struct dbc_signal *signal)
{
	struct decoder d;

	if (decode_prepare(&signal->layout, false, &d) < 0 || d.n_bytes > seen->size) {
		return false;
	}
	for (; signal->selected_by; signal = signal->selected_by) {
		if (decode_prepare(&signal->selected_by->layout, false, &d) < 0 ||
			d.n_bytes > seen->size || !is_in(decode_bits(&d, seen->data), signal)) {
			return false;
		}
	}
	return true;
}

static void show_signal(const struct can_bus *c, const struct seen *seen,
	const struct dbc_message *message, const struct dbc_signal *signal)
{
	struct decoder d;
	double value = 0;

	if (!is_there(seen, signal) || decode_prepare(&signal->layout, message->j1939, &d) < 0) {
		return;
	}
	if (decode_signal(&d, seen->data, &value)) {
		const char *text = signal->layout.type >= DECODE_FLOAT
					   ? NULL
					   : dbc_value_text(signal,
						     decode_raw(&d, decode_bits(&d, seen->data)));

		c->bus->host->tell(c->bus, SCG_TELL_RESULT, "    %s %.10g%s%s%s%s%s", signal->name,
			value, *signal->unit ? " " : "", signal->unit, text ? " (" : "",
			text ? text : "", text ? ")" : "");
	} else {
		c->bus->host->tell(c->bus, SCG_TELL_RESULT, "    %s: %s", signal->name,
			decode_meaning_text(decode_meaning(&d, decode_bits(&d, seen->data))));
	}
}

/* A name for a sensor: what is no letter and no digit becomes '_'. */
static void tell_slug(const struct can_bus *c, const char *first, const char *second)
{
	char slug[LINE_MAX];

	(void)snprintf(slug, sizeof(slug), "%s_%s", first, second);
	for (char *p = slug; *p; p++) {
		*p = (char)(isalnum((unsigned char)*p) ? tolower((unsigned char)*p) : '_');
	}
	c->bus->host->tell(c->bus, SCG_TELL_STANZA, "- slug: %s", slug);
}

static uint32_t show_message(const struct can_bus *c, const struct seen *seen,
	const struct dbc_message *message, uint32_t n_stanzas)
{
	for (uint32_t i = 0; i < message->n_signals; i++) {
		const struct dbc_signal *signal = &message->signals[i];

		show_signal(c, seen, message, signal);
		if (n_stanzas++ < STANZAS_MAX) {
			/* the short names: they need no quotes */
			tell_slug(c, message->name, signal->name);
			c->bus->host->tell(c->bus, SCG_TELL_STANZA,
				"  options: {message: %s, signal: %s}", message->short_name,
				signal->short_name);
		}
	}
	return n_stanzas;
}

/* A message that is not described: its first byte that changes. */
static void tell_first_byte(const struct can_bus *c, const struct seen *seen, bool j1939)
{
	char id[16], where[64];
	uint32_t byte = 0;

	while (byte + 1 < seen->size && seen->changed[byte] == 0) {
		byte++;
	}
	byte = byte < seen->size && seen->changed[byte] ? byte : 0;
	(void)snprintf(where, sizeof(where), "id: %s", format_id(id, seen->can_id));
	if (j1939 && seen->can_id & CAN_EFF_FLAG) {
		struct j1939_id parsed = j1939_parse(seen->can_id & CAN_EFF_MASK);

		(void)snprintf(
			where, sizeof(where), "pgn: 0x%x, source: %u", parsed.pgn, parsed.source);
	} else if (seen->can_id & CAN_EFF_FLAG) {
		(void)snprintf(where, sizeof(where), "id: %s, extended: true", id);
	}
	c->bus->host->tell(c->bus, SCG_TELL_STANZA, "- slug: can_%s_byte_%u",
		format_id(id, seen->can_id) + 2, byte);
	c->bus->host->tell(c->bus, SCG_TELL_STANZA, "  options: {%s, start_bit: %u, length: 8}",
		where, 8 * byte);
}

static void show_totals(const struct can_bus *c, const struct can_scan *s)
{
	const struct scg_host *host = c->bus->host;

	host->tell(c->bus, SCG_TELL_RESULT, "%llu frames with %u identifiers in %.3g s",
		(unsigned long long)s->n_frames, s->n_seen,
		(double)(s->end_ns - s->begin_ns) / 1e9);
	if (s->n_frames == 0) {
		host->tell(c->bus, SCG_TELL_RESULT,
			"nothing: is the bit rate right, is anybody else on the bus?");
	}
	if (s->n_own > 0) {
		host->tell(c->bus, SCG_TELL_RESULT,
			"%llu of them were sent by this machine: no sensor data without "
			"own_frames: true",
			(unsigned long long)s->n_own);
	}
	if (s->n_errors > 0) {
		host->tell(c->bus, SCG_TELL_RESULT, "%llu error frames of the controller",
			(unsigned long long)s->n_errors);
	}
	if (s->n_lost + s->n_unseen > 0) {
		host->tell(c->bus, SCG_TELL_RESULT,
			"%llu frames were missed, %llu had more identifiers than can be listed",
			(unsigned long long)s->n_lost, (unsigned long long)s->n_unseen);
	}
}

void can_scan_show(struct can_bus *c, struct can_scan *s)
{
	bool j1939 = is_j1939(s);
	uint32_t n_stanzas = 0;

	qsort(s->seen, s->n_seen, sizeof(*s->seen), compare);
	for (uint32_t i = 0; i < s->n_seen; i++) {
		const struct seen *seen = &s->seen[i];
		const struct dbc_message *message = find_message(c, seen->can_id);

		show_identifier(c, s, seen, message, j1939);
		if (message) {
			n_stanzas = show_message(c, seen, message, n_stanzas);
		} else if (seen->size > 0 && n_stanzas++ < STANZAS_MAX) {
			tell_first_byte(c, seen, j1939);
		}
	}
	show_totals(c, s);
}
