/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_TRANSPORT_H
#define MODBUS_TRANSPORT_H

/*
 * How a protocol data unit (function code and data, [AP] 4.1) gets to a unit and its answer back.
 * One request is outstanding at a time, and all of them read. A transport knows nothing of sensors.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "internal.h"

enum modbus_outcome {
	MODBUS_ANSWERED, /* the answer is there, from the unit that was asked */
	MODBUS_SILENT,   /* nothing came in time; the link may still be good */
	MODBUS_DAMAGED,  /* bytes came, but no answer is among them */
	MODBUS_NONSENSE, /* an answer, but to another request or from another unit */
	MODBUS_STOPPED,  /* the daemon wants the call back */
};

struct modbus_pdu {
	size_t size;
	uint8_t bytes[MODBUS_PDU_MAX];
};

struct modbus_transport {
	/* 0 and *ret_link, or a negative errno. May block; looks at stopping(). */
	int (*open)(struct scg_bus *bus, void **ret_link);
	/*
	 * Sends `request` to `unit` and waits for the answer. `patient`: the unit answered before.
	 * TCP: an earlier request may still keep a gateway busy, give it the time to get over that.
	 * RTU: if it is silent now it may be late, give it the line for a while. An enum
	 * modbus_outcome, or a negative errno if the link is gone.
	 */
	int (*exchange)(void *link, uint8_t unit, const struct modbus_pdu *request, bool patient,
		struct modbus_pdu *ret_answer);
	void (*close)(void *link);
};

extern const struct modbus_transport modbus_tcp;
extern const struct modbus_transport modbus_rtu;     /* on a serial port */
extern const struct modbus_transport modbus_rtu_tcp; /* through a serial device server */

/* So many registers that nobody asked for take as long on this line as another request. */
uint32_t modbus_rtu_max_gap(const struct scg_bus *bus);

#endif
