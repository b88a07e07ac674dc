/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_VALUE_H
#define MODBUS_VALUE_H

/*
 * Registers into numbers: types, orders of bytes and words, single bits. Pure functions.
 *
 * Citation: [AP] MODBUS Application Protocol Specification V1.1b3.
 */

#include <stdint.h>

#include "sensocan-driver.h"

#define MODBUS_WIDTH_MAX 4u /* registers of the widest type */

/* In the order of the choices in options.c. */
enum {
	TYPE_INT16,
	TYPE_UINT16,
	TYPE_INT32,
	TYPE_UINT32,
	TYPE_INT64,
	TYPE_UINT64,
	TYPE_FLOAT32,
	TYPE_FLOAT64,
	TYPE_BOOL
};
enum { ORDER_ABCD, ORDER_CDAB, ORDER_BADC, ORDER_DCBA };

/* How a value lies in its registers. */
struct modbus_value {
	uint8_t type, order;
	int8_t bit;
};

/* From the options of a sensor of a table of registers. */
struct modbus_value modbus_value_of(const union scg_value *options);
/* Registers that a value takes, 1 to MODBUS_WIDTH_MAX. */
uint32_t modbus_value_width(struct modbus_value value);
/* The value in `bytes`, two for each of its registers as they came. */
double modbus_value_decode(struct modbus_value value, const uint8_t *bytes);

#endif
