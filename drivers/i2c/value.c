/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

uint32_t i2c_field_bits(const struct i2c_field *field)
{
	return field->shift < 8 * field->width
		       ? UINT32_MAX >> (32 - 8 * field->width + field->shift)
		       : 0;
}

int64_t i2c_field_get(const struct i2c_field *field, const uint8_t *data)
{
	uint32_t mask = i2c_field_bits(field) & (field->mask ? field->mask : UINT32_MAX);
	uint32_t sign = mask & ~(mask >> 1);
	uint32_t bits = 0;

	for (uint32_t i = 0; i < field->width; i++) {
		uint32_t at = field->is_little ? field->width - 1 - i : i;

		bits = bits << 8 | data[field->at + at];
	}
	bits = bits >> field->shift & mask;
	/* a mask with holes has more than one such bit; the highest is the sign */
	while (sign & (sign - 1)) {
		sign &= sign - 1;
	}
	if (field->is_signed && bits & sign) {
		return (int64_t)bits - 2 * (int64_t)sign;
	}
	return bits;
}
