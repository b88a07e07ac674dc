/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_VALUE_H
#define MODBUS_VALUE_H

/*
 * Registers into numbers: types, orders of bytes and words, fields of bits, and what a device sends
 * when it has no value. Pure functions.
 *
 * Citation: [AP] MODBUS Application Protocol Specification V1.1b3.
 */

#include <stdbool.h>
#include <stddef.h>
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
	TYPE_BOOL,
	TYPE_INT48,
	TYPE_UINT48,
	TYPE_BCD16,
	TYPE_BCD32,
	TYPE_BCD48,
	TYPE_BCD64,
	TYPE_MOD10_32,
	TYPE_MOD10_48,
	TYPE_MOD10_64,
	TYPE_STRING, /* refused by modbus_check() */
	N_TYPES
};
enum {
	ORDER_ABCD,
	ORDER_CDAB,
	ORDER_BADC,
	ORDER_DCBA,
	/* From here for types of 64 bits only. */
	ORDER_ABCDEFGH,
	ORDER_GHEFCDAB,
	ORDER_BADCFEHG,
	ORDER_HGFEDCBA,
	ORDER_CDABGHEF,
	ORDER_EFGHABCD,
	ORDER_DCBAHGFE,
	ORDER_FEHGBADC,
	N_ORDERS
};

/* What stands for "no value". */
enum { MARKER_NONE, MARKER_RAW, MARKER_NUMBER };

/* How a value lies in its registers. */
struct modbus_value {
	uint8_t type, order;
	int8_t bit;   /* the lowest of a field; -1: the whole value */
	uint8_t bits; /* of the field */
	uint8_t marker;
	uint64_t marker_raw;  /* the registers as one number, in the right order */
	double marker_number; /* the number that would be reported */
};

/* From the options of a sensor of a table of registers. A `no_value` that cannot be read is none.
 */
struct modbus_value modbus_value_of(const union scg_value *options);
/* Sets the marker: "0x8000" is MARKER_RAW, "-999" MARKER_NUMBER. -EINVAL: that is neither; -E2BIG:
   too many digits for MARKER_NUMBER; -ERANGE: no value of that type can be so. */
int modbus_value_set_marker(struct modbus_value *value, const char *text);

/* Registers that a value takes, 1 to MODBUS_WIDTH_MAX. */
uint32_t modbus_value_width(struct modbus_value value);
/* The type has a field of bits: intN, uintN, bool. */
bool modbus_value_has_bits(struct modbus_value value);
/* The order is one for as many registers as the type has. */
bool modbus_value_order_fits(struct modbus_value value);

/*
 * The value in `bytes`, two for each of its registers as they came. 0 and *ret; -ENODATA: the
 * device says that it has none; -EBADMSG: the registers hold what the type does not allow.
 */
int modbus_value_decode(const struct modbus_value *value, const uint8_t *bytes, double *ret);
/* In words why there is no value; `r` from modbus_value_decode(). */
void modbus_value_explain(
	const struct modbus_value *value, const uint8_t *bytes, int r, char *text, size_t size);

#endif
