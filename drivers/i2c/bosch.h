/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_BOSCH_H
#define I2C_BOSCH_H

/*
 * The compensation of BMP280 and BME280 in the integer form of their datasheets: pressure with 64
 * bits (BMP280, 3.11.3 and 8.1; BME280, 4.2.3). Whatever the calibration holds, nothing overflows.
 */

#include <stdint.h>

struct bosch_calibration {
	uint16_t t1, p1;
	int16_t t2, t3, p2, p3, p4, p5, p6, p7, p8, p9;
	uint8_t h1, h3;
	int16_t h2, h4, h5;
	int8_t h6;
};

/* `low`: registers 0x88 to 0x9f, and with `high` to 0xa1; `high`: 0xe1 to 0xe7, or NULL. */
void bosch_calibration_read(const uint8_t *low, const uint8_t *high, struct bosch_calibration *ret);

/* From the registers 0xf7 on: degrees Celsius, Pa, percent. 0, or -ENODATA if it was not
   measured. */
int bosch_temperature(const struct bosch_calibration *c, const uint8_t *data, double *ret);
int bosch_pressure(const struct bosch_calibration *c, const uint8_t *data, double *ret);
int bosch_humidity(const struct bosch_calibration *c, const uint8_t *data, double *ret);

#endif
