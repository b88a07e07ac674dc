/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_OPTIONS_H
#define I2C_OPTIONS_H

/*
 * What can be said about an I2C bus and its sensors in the configuration, and what of it does not
 * go together.
 */

#include <stdbool.h>

#include "sensocan-driver.h"

#define I2C_ADDRESS_MIN     0x08 /* below and above are addresses with a meaning of their own, */
#define I2C_ADDRESS_MAX     0x77 /* UM10204 3.1.12 */
#define I2C_ADDRESS_TEN_MAX 0x3ff
#define I2C_COMMAND_MAX     8u

enum { BUS_DEVICE, BUS_FREQUENCY, N_BUS_OPTIONS };

enum {
	SENSOR_ADDRESS,
	SENSOR_TEN_BIT,
	SENSOR_CHIP,
	SENSOR_CHANNEL,
	SENSOR_FULL_SCALE,
	SENSOR_BITS,
	SENSOR_SHUNT,
	SENSOR_REFERENCE,
	SENSOR_REGISTER,
	SENSOR_REGISTER_WIDTH,
	SENSOR_WIDTH,
	SENSOR_BYTE_ORDER,
	SENSOR_SIGNED,
	SENSOR_SHIFT,
	SENSOR_MASK,
	SENSOR_COMMAND,
	SENSOR_DELAY,
	SENSOR_AUTO_INCREMENT,
	SENSOR_PEC,
	N_SENSOR_OPTIONS
};

/* In the order of the choices in options.c. */
enum { ORDER_BIG, ORDER_LITTLE };

extern const struct scg_option i2c_bus_options[N_BUS_OPTIONS];
extern const struct scg_option i2c_sensor_options[N_SENSOR_OPTIONS];

/* The bytes of "2400", "0x2400" or "24 00": how many, -EINVAL if it is none of these, -E2BIG if
   there are too many. */
int i2c_options_command(const char *text, uint8_t ret_bytes[I2C_COMMAND_MAX]);

/* check() of the driver. */
void i2c_check(struct scg_bus *bus);

#endif
