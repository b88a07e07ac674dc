/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

/* Whole numbers of so many decimal digits are exact in a double. */
#define DECIMAL_DIGITS 15

enum kind { KIND_UNSIGNED, KIND_SIGNED, KIND_FLOAT, KIND_BOOL, KIND_BCD, KIND_MOD10, KIND_TEXT };

static const struct {
	uint8_t width, kind;
} types[N_TYPES] = {
	[TYPE_INT16] = {1, KIND_SIGNED},
	[TYPE_UINT16] = {1, KIND_UNSIGNED},
	[TYPE_INT32] = {2, KIND_SIGNED},
	[TYPE_UINT32] = {2, KIND_UNSIGNED},
	[TYPE_INT64] = {4, KIND_SIGNED},
	[TYPE_UINT64] = {4, KIND_UNSIGNED},
	[TYPE_FLOAT32] = {2, KIND_FLOAT},
	[TYPE_FLOAT64] = {4, KIND_FLOAT},
	[TYPE_BOOL] = {1, KIND_BOOL},
	[TYPE_INT48] = {3, KIND_SIGNED},
	[TYPE_UINT48] = {3, KIND_UNSIGNED},
	[TYPE_BCD16] = {1, KIND_BCD},
	[TYPE_BCD32] = {2, KIND_BCD},
	[TYPE_BCD48] = {3, KIND_BCD},
	[TYPE_BCD64] = {4, KIND_BCD},
	[TYPE_MOD10_32] = {2, KIND_MOD10},
	[TYPE_MOD10_48] = {3, KIND_MOD10},
	[TYPE_MOD10_64] = {4, KIND_MOD10},
	[TYPE_STRING] = {1, KIND_TEXT},
};

/*
 * A register is sent high byte first ([AP] 4.2); how a device lays a longer value over registers is
 * its own affair. All orders in use are made of these: bytes swapped in each register, registers
 * from the last to the first, registers swapped in each pair, pairs swapped.
 */
enum { SWAP_BYTES = 1, REVERSE = 2, SWAP_REGISTERS = 4, SWAP_PAIRS = 8 };

static const uint8_t orders[N_ORDERS] = {
	[ORDER_ABCD] = 0,
	[ORDER_CDAB] = REVERSE,
	[ORDER_BADC] = SWAP_BYTES,
	[ORDER_DCBA] = REVERSE | SWAP_BYTES,
	[ORDER_ABCDEFGH] = 0,
	[ORDER_GHEFCDAB] = REVERSE,
	[ORDER_BADCFEHG] = SWAP_BYTES,
	[ORDER_HGFEDCBA] = REVERSE | SWAP_BYTES,
	[ORDER_CDABGHEF] = SWAP_REGISTERS,
	[ORDER_EFGHABCD] = SWAP_PAIRS,
	[ORDER_DCBAHGFE] = SWAP_REGISTERS | SWAP_BYTES,
	[ORDER_FEHGBADC] = SWAP_PAIRS | SWAP_BYTES,
};

struct modbus_value modbus_value_of(const union scg_value *options)
{
	struct modbus_value value = {
		.type = (uint8_t)options[SENSOR_TYPE].i,
		.order = (uint8_t)options[SENSOR_ORDER].i,
		.bit = (int8_t)options[SENSOR_BIT].i,
		.bits = (uint8_t)options[SENSOR_BITS].i,
	};

	if (options[SENSOR_NO_VALUE].s) {
		/* modbus_check() complains about it. */
		(void)modbus_value_set_marker(&value, options[SENSOR_NO_VALUE].s);
	}
	return value;
}

uint32_t modbus_value_width(struct modbus_value value)
{
	return types[value.type].width;
}

bool modbus_value_has_bits(struct modbus_value value)
{
	uint8_t kind = types[value.type].kind;

	return kind == KIND_SIGNED || kind == KIND_UNSIGNED || kind == KIND_BOOL;
}

bool modbus_value_order_fits(struct modbus_value value)
{
	return value.order < ORDER_ABCDEFGH || types[value.type].width == 4;
}

/* The lowest `n` bits, 1 to 64. */
static uint64_t mask(uint32_t n)
{
	return n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
}

static int parse_hex(const char *text, uint64_t *ret)
{
	size_t n = strspn(text, "0123456789abcdefABCDEF");
	uint64_t raw = 0;

	if (n == 0 || text[n] != '\0') {
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t digit = (uint8_t)text[i];

		if (raw >> 60) {
			return -ERANGE;
		}
		/* Letters differ from digits in bit 6, and count from 1 in the lowest four. */
		raw = raw << 4 | ((digit & 0xfu) + (digit & 0x40 ? 9 : 0));
	}
	*ret = raw;
	return 0;
}

static int parse_decimal(const char *text, double *ret)
{
	bool is_negative = text[0] == '-';
	const char *digits = text + is_negative;
	size_t n = strspn(digits, "0123456789");
	double number = 0;

	if (n == 0 || digits[n] != '\0') {
		return -EINVAL;
	}
	if (n > DECIMAL_DIGITS) {
		return -E2BIG;
	}
	for (size_t i = 0; i < n; i++) {
		number = 10 * number + (digits[i] - '0');
	}
	*ret = is_negative ? -number : number;
	return 0;
}

/* The type can have this value at all. */
static bool can_be(const struct modbus_value *value, double number)
{
	uint32_t n = value->bit >= 0 ? value->bits : 16u * types[value->type].width;
	uint64_t half_raw = UINT64_C(1) << (n - 1);
	double half = (double)half_raw;

	switch (types[value->type].kind) {
	case KIND_SIGNED:
		if (value->bit < 0 || n > 1) {
			return number >= -half && number < half;
		}
		return number >= 0 && number < 2;
	case KIND_UNSIGNED:
		return number >= 0 && number < 2 * half;
	case KIND_BCD:
		return number >= 0;
	default:
		return true;
	}
}

int modbus_value_set_marker(struct modbus_value *value, const char *text)
{
	uint64_t raw;
	double number;
	int r;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		r = parse_hex(text + 2, &raw);
		if (r == 0 && raw > mask(16u * types[value->type].width)) {
			r = -ERANGE;
		}
		if (r == 0) {
			value->marker = MARKER_RAW;
			value->marker_raw = raw;
		}
		return r;
	}
	r = parse_decimal(text, &number);
	if (r == 0 && !can_be(value, number)) {
		r = -ERANGE;
	}
	if (r == 0) {
		value->marker = MARKER_NUMBER;
		value->marker_number = number;
	}
	return r;
}

/* Where on the wire the register is that is number `i` of the value, from the highest. */
static uint32_t place(uint32_t i, uint32_t width, uint8_t order)
{
	if (order & REVERSE) {
		return width - 1 - i;
	}
	if (order & SWAP_REGISTERS) {
		return i ^ 1;
	}
	return order & SWAP_PAIRS ? i ^ 2 : i;
}

/* The registers of a value as one number. */
static uint64_t gather(const struct modbus_value *value, const uint8_t *bytes)
{
	uint32_t width = types[value->type].width;
	uint8_t order = orders[value->order];
	uint64_t raw = 0;

	/* An order that does not fit was refused; it must not lead astray. */
	if (!modbus_value_order_fits(*value)) {
		order &= SWAP_BYTES;
	}
	for (uint32_t i = 0; i < width; i++) {
		const uint8_t *two = bytes + (size_t)2 * place(i, width, order);
		uint8_t high = two[order & SWAP_BYTES ? 1 : 0];
		uint8_t low = two[order & SWAP_BYTES ? 0 : 1];

		raw = raw << 16 | (uint64_t)high << 8 | low;
	}
	return raw;
}

static double as_float(uint64_t raw, uint32_t width)
{
	uint32_t raw32 = (uint32_t)raw;
	float value32;
	double value64;

	if (width == 2) {
		memcpy(&value32, &raw32, sizeof(value32));
		return (double)value32;
	}
	memcpy(&value64, &raw, sizeof(value64));
	return value64;
}

/* The lowest `n` bits as a number in two's complement. */
static double as_signed(uint64_t raw, uint32_t n)
{
	uint64_t sign = UINT64_C(1) << (n - 1);

	return raw & sign ? -(double)((~raw & mask(n)) + 1) : (double)raw;
}

/* A single bit has no sign. */
static double as_field(const struct modbus_value *value, uint64_t raw)
{
	uint64_t field = raw >> value->bit & mask(value->bits);

	return types[value->type].kind == KIND_SIGNED && value->bits > 1
		       ? as_signed(field, value->bits)
		       : (double)field;
}

static int as_bcd(uint64_t raw, uint32_t width, double *ret)
{
	uint64_t number = 0;

	for (uint32_t i = 4 * width; i-- > 0;) {
		uint64_t digit = raw >> 4 * i & 0xf;

		if (digit > 9) {
			return -EBADMSG;
		}
		number = 10 * number + digit;
	}
	*ret = (double)number;
	return 0;
}

/* Four decimal digits a register, each with the sign of the whole. */
static int as_mod10(uint64_t raw, uint32_t width, double *ret)
{
	int64_t number = 0;

	for (uint32_t i = width; i-- > 0;) {
		int64_t group = (int16_t)(raw >> 16 * i);

		if (group < -9999 || group > 9999) {
			return -EBADMSG;
		}
		number = 10000 * number + group;
	}
	*ret = (double)number;
	return 0;
}

static int decode(const struct modbus_value *value, uint64_t raw, double *ret)
{
	uint32_t width = types[value->type].width;

	if (value->bit >= 0) {
		*ret = as_field(value, raw);
		return 0;
	}
	switch (types[value->type].kind) {
	case KIND_SIGNED:
		*ret = as_signed(raw, 16 * width);
		return 0;
	case KIND_FLOAT:
		*ret = as_float(raw, width);
		return 0;
	case KIND_BOOL:
		*ret = raw != 0;
		return 0;
	case KIND_BCD:
		return as_bcd(raw, width, ret);
	case KIND_MOD10:
		return as_mod10(raw, width, ret);
	default:
		*ret = (double)raw;
		return 0;
	}
}

int modbus_value_decode(const struct modbus_value *value, const uint8_t *bytes, double *ret)
{
	uint64_t raw = gather(value, bytes);
	double number;
	int r;

	if (value->marker == MARKER_RAW && raw == value->marker_raw) {
		return -ENODATA;
	}
	r = decode(value, raw, &number);
	if (r < 0) {
		return r;
	}
	if (value->marker == MARKER_NUMBER && number == value->marker_number) {
		return -ENODATA;
	}
	*ret = number;
	return 0;
}

void modbus_value_explain(
	const struct modbus_value *value, const uint8_t *bytes, int r, char *text, size_t size)
{
	uint32_t width = types[value->type].width;
	uint64_t raw = gather(value, bytes);
	int digits = (int)(4 * width);

	if (r != -ENODATA) {
		(void)snprintf(text, size, "0x%0*" PRIX64 " is no %s", digits, raw,
			types[value->type].kind == KIND_BCD
				? "BCD number: a digit is above 9"
				: "mod10 number: a register is beyond 9999");
	} else if (value->marker == MARKER_RAW) {
		(void)snprintf(text, size, "the device says that it has no value (0x%0*" PRIX64 ")",
			digits, raw);
	} else {
		(void)snprintf(text, size, "the device says that it has no value (%.0f)",
			value->marker_number);
	}
}
