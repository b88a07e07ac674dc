/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_CHIPS_H
#define I2C_CHIPS_H

/*
 * The tables of all chips, in files by what they measure. Each names the datasheet that it is made
 * from.
 */

#include "chip.h"

/* What most registers are read by: their number, and so many bytes. */
#define I2C_READ(number, size) .write = {(number)}, .n_write = 1, .n_read = (size)

/* thermometers.c */
extern const struct i2c_chip i2c_lm75, i2c_lm75b, i2c_mcp9808, i2c_tmp102, i2c_tmp105, i2c_tmp117,
	i2c_tmp75;
/* hygrometers.c */
extern const struct i2c_chip i2c_aht20, i2c_htu21d, i2c_scd4x, i2c_sht3x, i2c_sht4x, i2c_si7021;
/* barometers.c */
extern const struct i2c_chip i2c_bme280, i2c_bmp280, i2c_lps22;
/* meters.c */
extern const struct i2c_chip i2c_ads1015, i2c_ads1115, i2c_ina219, i2c_ina226, i2c_mcp3421,
	i2c_pcf8591;
/* light.c */
extern const struct i2c_chip i2c_bh1750, i2c_veml7700;

#endif
