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

/* One request, and what came of it. */
struct modbus_exchange {
	struct modbus_pdu request;
	uint8_t unit;
	/* TCP: an earlier request may still keep a gateway busy, and the unit is worth to wait
	   until it has got over that. */
	bool is_trusted;
	/* RTU: after silence the whole line is left to the unit for `quiet_ns`, for it may be late;
	   else only its own next request waits so long. */
	bool may_be_late;
	int64_t limit_ns; /* how long to wait for the answer, besides the time on the wire */
	int64_t quiet_ns; /* RTU: after silence, how long an answer may still come */

	struct modbus_pdu answer; /* written if MODBUS_ANSWERED, as is the next one */
	int64_t turn_ns;          /* the time that it took the unit, without that on the wire */
};

struct modbus_transport {
	/* 0 and *ret_link, or a negative errno. May block; looks at stopping(). */
	int (*open)(struct scg_bus *bus, void **ret_link);
	/* Sends the request and waits for the answer. An enum modbus_outcome, or a negative errno
	   if the link is gone. */
	int (*exchange)(void *link, struct modbus_exchange *x);
	/* Goes over to the line settings of these options of a bus. 0 or a negative errno. NULL:
	   they are not ours to set. */
	int (*tune)(void *link, const union scg_value *options);
	void (*close)(void *link);
};

extern const struct modbus_transport modbus_tcp;
extern const struct modbus_transport modbus_rtu;     /* on a serial port */
extern const struct modbus_transport modbus_rtu_tcp; /* through a serial device server */

#endif
