/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINE_SETUP_H
#define LINE_SETUP_H

/*
 * What bench_line plays: the line, and the slaves on it. From arguments KEY=VALUE; a key with
 * ".UNIT" is for this unit only.
 *
 *     link=PATH            a pseudo-terminal, PATH is made a symbolic link to it; or
 *     server=N             a port for RTU frames, as of a serial device server; or
 *     port=N               a port for Modbus TCP, as of a gateway to the line
 *     record=PATH          where each request is written down
 *     baud=N               speed of the line, 8N1; 0: no line, as slaves with a socket have none
 *     units=N              slaves 1 to N are there, all others are silent
 *     delay[.UNIT]=A-B     from the end of the request to the begin of the answer: evenly from A to
 *                          B. A slave on a line sees the end 3.5 characters after the last byte
 *     dead.UNIT=A-B        silent from A to B after the start; 0s-0s: always
 *     max[.UNIT]=N         most registers in one request, else exception 3
 *     refuse.UNIT=A-B      registers that are not there: exception 2
 *     timeout=A            port: a gateway gives up and answers exception 11 for the silent slave;
 *                          without it says nothing
 *     realtime=BOOL        before all other processes, if allowed
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_UNITS        256
#define LINE_REFUSALS_MAX 64

struct line_unit {
	bool is_there;
	int64_t delay_min_ns, delay_max_ns;
	int64_t dead_from_ns, dead_until_ns; /* after the start */
	uint32_t max_registers;
};

struct line_refusal {
	uint8_t unit;
	uint32_t first, last;
};

struct line_setup {
	const char *link, *record;
	int64_t port, server, baud;
	int64_t timeout_ns; /* 0: none */
	bool realtime;
	struct line_unit units[LINE_UNITS];
	struct line_refusal refusals[LINE_REFUSALS_MAX];
	size_t n_refusals;
};

/* 0, or -EINVAL with *ret_bad the argument at fault. */
int line_setup_parse(struct line_setup *setup, char **arguments, const char **ret_bad);

/* [AP] 7: the exception that the unit answers, 0 if it gives the registers. */
uint8_t line_setup_exception(const struct line_setup *setup, uint8_t unit, uint8_t function,
	uint32_t address, uint32_t count);
bool line_setup_is_silent(const struct line_setup *setup, uint8_t unit, int64_t since_start_ns);

#endif
