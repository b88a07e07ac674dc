/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_REQUEST_H
#define MODBUS_REQUEST_H

/*
 * The requests that read a table, and what comes back. Pure functions.
 *
 * Citation: [AP] MODBUS Application Protocol Specification V1.1b3.
 */

#include <stdint.h>

#include "transport.h"

/* [AP] 7 */
enum modbus_exception {
	EXCEPTION_FUNCTION = 1,
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	EXCEPTION_ACKNOWLEDGE = 5,
	EXCEPTION_BUSY = 6,
	EXCEPTION_PATH = 10,
	EXCEPTION_TARGET = 11,
};

/* Reads `count` registers or bits of `table` from `address`. */
struct modbus_pdu modbus_request_read(uint8_t table, uint32_t address, uint32_t count);

/* What `answer` is to a request that reads: 0, with the data from answer->bytes + 2; the code of an
   exception; or -EBADMSG, an answer to something else. */
int modbus_request_judge(const struct modbus_pdu *request, const struct modbus_pdu *answer);

/* "illegal data address" */
const char *modbus_exception_name(uint8_t code);
/* "holding register" */
const char *modbus_table_name(uint8_t table);

#endif
