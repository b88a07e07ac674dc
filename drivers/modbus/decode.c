/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

uint32_t modbus_type_width(uint8_t type)
{
	switch (type) {
	case TYPE_INT32:
	case TYPE_UINT32:
	case TYPE_FLOAT32:
		return 2;
	case TYPE_INT64:
	case TYPE_UINT64:
	case TYPE_FLOAT64:
		return 4;
	default:
		return 1;
	}
}

/*
 * The registers of a value as one number. A register is sent high byte first ([AP] 4.2); in which
 * order a device lays a longer value over registers is its own affair: ABCD has the high word
 * first, CDAB the low word, BADC and DCBA swap the bytes of each register as well.
 */
static uint64_t gather(const uint8_t *bytes, uint32_t width, uint8_t order)
{
	bool low_word_first = order == ORDER_CDAB || order == ORDER_DCBA;
	bool swapped = order == ORDER_BADC || order == ORDER_DCBA;
	uint64_t raw = 0;

	for (uint32_t i = 0; i < width; i++) {
		const uint8_t *word = bytes + 2 * (low_word_first ? width - 1 - i : i);
		uint8_t high = word[swapped ? 1 : 0];
		uint8_t low = word[swapped ? 0 : 1];

		raw = raw << 16 | (uint64_t)high << 8 | low;
	}
	return raw;
}

static double as_float32(uint32_t raw)
{
	float value;

	memcpy(&value, &raw, sizeof(value));
	return (double)value;
}

static double as_float64(uint64_t raw)
{
	double value;

	memcpy(&value, &raw, sizeof(value));
	return value;
}

double modbus_decode(const struct modbus_sensor *sensor, const uint8_t *data, uint32_t address)
{
	uint32_t at = sensor->address - address;
	uint64_t raw;

	if (modbus_is_bit_table(sensor->table)) {
		/* The first bit is the lowest of the first byte, [AP] 6.1. */
		return (data[at / 8] >> at % 8) & 1;
	}
	raw = gather(data + 2 * (size_t)at, sensor->end - sensor->address, sensor->order);
	if (sensor->bit >= 0) {
		return (double)(raw >> sensor->bit & 1);
	}
	switch (sensor->type) {
	case TYPE_INT16:
		return (int16_t)raw;
	case TYPE_INT32:
		return (int32_t)raw;
	case TYPE_INT64:
		return (double)(int64_t)raw;
	case TYPE_FLOAT32:
		return as_float32((uint32_t)raw);
	case TYPE_FLOAT64:
		return as_float64(raw);
	case TYPE_BOOL:
		return raw != 0;
	default:
		return (double)raw;
	}
}
