/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

#include <stdbool.h>
#include <string.h>

#include "options.h"

struct modbus_value modbus_value_of(const union scg_value *options)
{
	return (struct modbus_value){
		.type = (uint8_t)options[SENSOR_TYPE].i,
		.order = (uint8_t)options[SENSOR_ORDER].i,
		.bit = (int8_t)options[SENSOR_BIT].i,
	};
}

uint32_t modbus_value_width(struct modbus_value value)
{
	switch (value.type) {
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

double modbus_value_decode(struct modbus_value value, const uint8_t *bytes)
{
	uint64_t raw = gather(bytes, modbus_value_width(value), value.order);

	if (value.bit >= 0) {
		return (double)(raw >> value.bit & 1);
	}
	switch (value.type) {
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
