/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_WIRE_H
#define MODBUS_WIRE_H

/*
 * What a request takes of the link, from the options alone: bytes at this speed, and silences. Pure
 * functions.
 *
 * Citations: [SERIAL] MODBUS over Serial Line Specification and Implementation Guide V1.02, [AP]
 * MODBUS Application Protocol Specification V1.1b3.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensocan-driver.h"

#define MODBUS_RTU_REQUEST 8 /* bytes of all requests that read, with unit and checksum */
#define MODBUS_RTU_ANSWER                                                                          \
	5 /* bytes of an answer beside its data: unit, function, count; checksum */

/* Bytes of data in the answer to a request for so many bits or registers, [AP] 6.1 to 6.4. */
static inline uint32_t modbus_data_size(bool is_bits, uint32_t count)
{
	return is_bits ? (count + 7) / 8 : 2 * count;
}

struct modbus_wire {
	int64_t byte_ns;  /* a byte of an answer's data; 0 on TCP, where it hardly matters */
	int64_t frame_ns; /* request and answer without data, and the silence before the request */
	int64_t turn_ns;  /* what an ordinary slave takes from the request to its answer */
	int64_t least_ns; /* and what it takes at the least */
};

struct modbus_wire modbus_wire_of(const union scg_value *options);
/* The request with its answer, without the time that the slave takes. */
int64_t modbus_wire_ns(const struct modbus_wire *wire, bool is_bits, uint32_t count);

/* "9600 baud, 8E1": of a serial line. */
void modbus_wire_describe(const union scg_value *options, char *text, size_t size);

/* Of a serial line, here or behind a device server: a character, and the silence that ends a frame
   ([SERIAL] 2.5.1.1), as long as the option request_gap at least before a request. */
int64_t modbus_wire_character_ns(const union scg_value *options);
int64_t modbus_wire_silence_ns(const union scg_value *options);
int64_t modbus_wire_gap_ns(const union scg_value *options);

#endif
