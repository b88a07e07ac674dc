/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stdio.h>

#include "request.h"

/* Fits a terminal of 100 columns. */
#define LINE_MAX 104
/* Hardly any device means a number beyond these. */
#define FLOAT_LEAST  1e-6
#define FLOAT_MOST   1e10
#define INTEGER_MOST 1e15

enum { SHOW_REGISTERS, SHOW_FLOAT32, SHOW_INT32, SHOW_UINT32, SHOW_FLOAT64, SHOW_INT64, N_SHOWN };

/* A table with a row for each register and a column for each order. */
static const struct {
	const char *title;
	uint8_t type;
	int width, digits; /* of a column, and of a float */
} tables[N_SHOWN] = {
	[SHOW_FLOAT32] = {"float32", TYPE_FLOAT32, 16, 7},
	[SHOW_INT32] = {"int32", TYPE_INT32, 16, 0},
	[SHOW_UINT32] = {"uint32", TYPE_UINT32, 16, 0},
	[SHOW_FLOAT64] = {"float64", TYPE_FLOAT64, 21, 12},
	[SHOW_INT64] = {"int64", TYPE_INT64, 21, 0},
};

static double magnitude(double value)
{
	return value < 0 ? -value : value;
}

/* NaN is not. */
static bool is_plausible(uint8_t type, double value)
{
	double size = magnitude(value);

	if (type == TYPE_FLOAT32 || type == TYPE_FLOAT64) {
		return value == 0 || (size >= FLOAT_LEAST && size < FLOAT_MOST);
	}
	return size < INTEGER_MOST;
}

static void show_bits(struct scg_bus *bus, const struct modbus_probe *p)
{
	const struct scg_host *host = bus->host;

	host->tell(bus, SCG_TELL_RESULT, "%8s  value", "");
	for (uint32_t i = 0; i < p->count; i++) {
		host->tell(bus, SCG_TELL_RESULT, "%8u  %s", p->address + i,
			p->is_there[i] ? (p->data[2 * i] ? "1" : "0") : "does not exist");
	}
}

static char printable(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
}

static void show_register(struct scg_bus *bus, const struct modbus_probe *p, uint32_t i)
{
	const uint8_t *two = p->data + (size_t)2 * i;
	uint16_t raw = (uint16_t)(two[0] << 8 | two[1]);
	char bits[20];
	size_t n = 0;

	if (!p->is_there[i]) {
		bus->host->tell(bus, SCG_TELL_RESULT, "%8u  does not exist", p->address + i);
		return;
	}
	for (int bit = 15; bit >= 0; bit--) {
		bits[n++] = raw >> bit & 1 ? '1' : '0';
		if (bit % 4 == 0 && bit > 0) {
			bits[n++] = ' ';
		}
	}
	bits[n] = '\0';
	bus->host->tell(bus, SCG_TELL_RESULT, "%8u  0x%04X  %6d  %6u  %s  %c%c", p->address + i,
		raw, (int16_t)raw, raw, bits, printable(two[0]), printable(two[1]));
}

static void show_registers(struct scg_bus *bus, const struct modbus_probe *p)
{
	const struct scg_host *host = bus->host;

	host->tell(bus, SCG_TELL_RESULT, "unit %u, %ss %u to %u:", p->unit,
		modbus_table_name(p->table), p->address, p->address + p->count - 1);
	if (modbus_is_bit_table(p->table)) {
		show_bits(bus, p);
		return;
	}
	host->tell(bus, SCG_TELL_RESULT, "%8s  %6s  %6s  %6s  %-19s  text", "", "hex", "int16",
		"uint16", "bits 15 to 0");
	for (uint32_t i = 0; i < p->count; i++) {
		show_register(bus, p, i);
	}
	if (p->n_there == p->count) {
		return;
	}
	host->tell(bus, SCG_TELL_RESULT, "%u of %u: refused in one request, given one by one.",
		p->n_there, p->count);
}

/* One row of the table: false if there is nothing in it worth a line. */
static bool format_row(const struct modbus_probe *p, uint32_t n, uint32_t i, char line[LINE_MAX])
{
	struct modbus_value value = {.type = tables[n].type, .bit = -1};
	struct modbus_value other = {.type = TYPE_INT32, .bit = -1};
	size_t size = (size_t)snprintf(line, LINE_MAX, "%8u", p->address + i);
	bool is_worth = false;

	for (int order = ORDER_ABCD; order <= ORDER_DCBA; order++) {
		double number, same;
		const char *dash = NULL;

		value.order = other.order = (uint8_t)order;
		if (!modbus_probe_value(p, i, value, &number)) {
			return false;
		}
		if (!is_plausible(value.type, number)) {
			dash = "-";
		} else if (n == SHOW_UINT32 && modbus_probe_value(p, i, other, &same) &&
			   same == number) {
			dash = "";
		}
		is_worth = is_worth || !dash;
		size += (size_t)(dash ? snprintf(line + size, LINE_MAX - size, "%*s",
						tables[n].width, dash)
				      : snprintf(line + size, LINE_MAX - size, "%*.*g",
						tables[n].width,
						tables[n].digits ? tables[n].digits : 20, number));
	}
	return is_worth;
}

static void show_table(struct scg_bus *bus, const struct modbus_probe *p, uint32_t n)
{
	const struct scg_host *host = bus->host;
	int width = tables[n].width;
	bool is_begun = false;
	char line[LINE_MAX];

	for (uint32_t i = 0; i < p->count; i++) {
		if (!format_row(p, n, i, line)) {
			continue;
		}
		if (!is_begun) {
			host->tell(bus, SCG_TELL_RESULT, "%s", "");
			host->tell(bus, SCG_TELL_RESULT, "%8s%*s%*s%*s%*s", tables[n].title, width,
				"ABCD", width, "CDAB", width, "BADC", width, "DCBA");
			is_begun = true;
		}
		host->tell(bus, SCG_TELL_RESULT, "%s", line);
	}
}

bool modbus_probe_show(struct scg_bus *bus, const struct modbus_probe *p, uint32_t n)
{
	if (n == SHOW_REGISTERS) {
		show_registers(bus, p);
		return !modbus_is_bit_table(p->table);
	}
	if (n < N_SHOWN) {
		show_table(bus, p, n);
		return true;
	}
	bus->host->tell(bus, SCG_TELL_RESULT, "%s", "");
	return false;
}
