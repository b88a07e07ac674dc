/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_VALUE_H
#define I2C_VALUE_H

/*
 * A whole number somewhere in the bytes that a chip gave.
 */

#include <stdbool.h>
#include <stdint.h>

struct i2c_field {
	uint8_t at;     /* first byte */
	uint8_t width;  /* bytes, 1 to 4 */
	uint8_t shift;  /* to the right, before the mask */
	bool is_little; /* the low byte comes first */
	bool is_signed; /* the highest bit of the mask is the sign */
	uint32_t mask;  /* 0: all bits that the shift leaves */
};

int64_t i2c_field_get(const struct i2c_field *field, const uint8_t *data);
/* Bits that there are after the shift, as a mask; 0 if it leaves none. */
uint32_t i2c_field_bits(const struct i2c_field *field);

#endif
