/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_OBD_H
#define CAN_OBD_H

/*
 * Asking a control unit for values: OBD-II service 01, current data (SAE J1979), and UDS service
 * 22, read data by identifier (ISO 14229-1). Requests and answers are messages of ISO-TP; how these
 * get there is not known here. Nothing has a state.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"

#define OBD_REQUEST_MAX 3u

enum obd_service { OBD_CURRENT_DATA = 0x01, OBD_READ_BY_IDENTIFIER = 0x22 };

struct obd_request {
	uint8_t service; /* enum obd_service */
	uint16_t id;     /* the PID, 8 bits, or the data identifier */
};

enum obd_answer {
	OBD_OTHER,   /* to another request, or none at all */
	OBD_DATA,    /* the values */
	OBD_PENDING, /* the unit works on it: wait up to 5 s more (P2*, ISO 15765-4) */
	OBD_REFUSED  /* no */
};

struct obd_reply {
	const uint8_t *data; /* OBD_DATA: what follows the identifier, in the message */
	size_t size;
	uint8_t code; /* OBD_REFUSED: why; obd_refusal_text() */
};

/* The message that asks; how many bytes. */
size_t obd_encode(const struct obd_request *request, uint8_t ret_message[OBD_REQUEST_MAX]);
/* What a message is to a request; `ret_reply` is written for OBD_DATA and OBD_REFUSED. */
enum obd_answer obd_match(const struct obd_request *request, const uint8_t *message, size_t size,
	struct obd_reply *ret_reply);
/* A response code in words. */
const char *obd_refusal_text(uint8_t code);

/* A value of service 01. A PID may hold several. */
struct obd_value {
	const char *name;
	const char *unit; /* "" if none */
	uint8_t pid;
	struct decode_layout layout; /* in obd_reply.data */
};

/* All values that are known, by PID. */
const struct obd_value *obd_values(size_t *ret_n);
const struct obd_value *obd_find(const char *name); /* NULL: not known */

#endif
