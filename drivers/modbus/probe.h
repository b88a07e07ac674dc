/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_PROBE_H
#define MODBUS_PROBE_H

/*
 * The inside of the tool `probe`: what it has read (probe.c), the tables that it shows of that
 * (probe_show.c), and the search for the reading that a display shows (probe_expect.c).
 */

#include "internal.h"

#define PROBE_REGISTERS_MAX 125u

enum probe_phase { PROBE_READ_ALL, PROBE_READ_EACH, PROBE_SHOW };

struct modbus_probe {
	uint8_t unit, table;
	uint32_t address, count;
	double expect, tolerance; /* 0: nothing is expected */
	enum probe_phase phase;
	uint32_t next; /* register to read, or table to show */
	uint32_t n_there;
	bool is_there[PROBE_REGISTERS_MAX];
	uint8_t data[2 * PROBE_REGISTERS_MAX]; /* two bytes a register; a bit is 0 or 1 in both */
};

/* All registers of `value` that begin with number `i` of the block have been read. */
bool modbus_probe_has(const struct modbus_probe *p, uint32_t i, struct modbus_value value);
/* The value that begins with number `i`. False if there is none. */
bool modbus_probe_value(
	const struct modbus_probe *p, uint32_t i, struct modbus_value value, double *ret);

/* Shows table number `n`. False if that was the last. */
bool modbus_probe_show(struct scg_bus *bus, const struct modbus_probe *p, uint32_t n);
/* Shows what would read as p->expect, the likeliest first. */
void modbus_probe_expect(struct scg_bus *bus, const struct modbus_probe *p);
/* The lines for `sensors:`; type and order for registers only. */
void modbus_probe_stanza(struct scg_bus *bus, const struct modbus_probe *p, uint32_t i,
	const char *type, const char *order, double scale);

#endif
