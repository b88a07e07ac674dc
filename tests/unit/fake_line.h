/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_LINE_H
#define FAKE_LINE_H

/*
 * A serial line without a port and without waiting, in the place of the driver's line.c and
 * serial.c: RTU frames go over a pair of sockets, and time passes only while the driver waits. What
 * the slave sends is put on the line beforehand, each piece at its time. One line, one thread.
 *
 * All files of such a program are compiled with clock_gettime defined as fake_line_clock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modbus/transport.h"

#define FAKE_LINE_FRAME_MAX 300

/* Called when a whole request is on the line: fake_line_send() what the slave does. */
typedef void fake_line_slave(void *ctx, const uint8_t *request, size_t size);

struct fake_line_result {
	int outcome;     /* of exchange() */
	int64_t took_ns; /* on the line's clock */
	struct modbus_pdu answer;
};

/* Opens rtu.c on a line with these options; the rest have their defaults. */
void fake_line_open(int64_t baud, int64_t timeout_ns, fake_line_slave *slave, void *ctx);
void fake_line_close(void);
/* How long the next requests leave the line to a late answer; the time-out if this is not called.
 */
void fake_line_set_quiet(int64_t quiet_ns);
struct fake_line_result fake_line_read(
	uint8_t unit, uint8_t function, uint16_t address, uint16_t count, bool may_be_late);

/* Puts bytes on the line `after_ns` from the end of the request. None: the other end hangs up. */
void fake_line_send(int64_t after_ns, const uint8_t *bytes, size_t size);
/* Appends the checksum. The new size. */
size_t fake_line_seal(uint8_t *frame, size_t size);
/* What arrived since the last request was written. */
const uint8_t *fake_line_received(size_t *ret_size);
/* The shortest silence before a request since fake_line_open(). */
int64_t fake_line_least_silence_ns(void);
/* Calls of the driver that wait, since fake_line_open(). */
size_t fake_line_waits(void);

#endif
