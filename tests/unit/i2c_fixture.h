/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_FIXTURE_H
#define I2C_FIXTURE_H

/*
 * The I2C driver on a fake adapter: a bus for a test, and a chip of two bytes.
 */

#include "fake_host.h"
#include "fake_i2c.h"

/* Resets the fake to an adapter that can do everything. */
struct fake_bus *i2c_bus_new(void);
/* Closes it; the driver has kept the rules. */
void i2c_bus_free(struct fake_bus *f);
struct scg_sensor *i2c_bus_add(struct fake_bus *f, const char *options);
/* Opens the bus if need be, and makes a round. */
int i2c_bus_round(struct fake_bus *f);
/* The value of a sensor in the last round, which has to be good. */
double i2c_bus_value(struct fake_bus *f, uint32_t sensor);
/* Why it has none. */
const char *i2c_bus_reason(struct fake_bus *f, uint32_t sensor);

/* An SHT3x at 25 degrees and 40 percent, which measures for 15 ms and is not ready before. */
struct fake_sht3x {
	struct fake_chip chip;
	int64_t ready_ns;
	uint32_t n_triggers;
	bool is_corrupt;
};

void fake_sht3x_add(struct fake_sht3x *sht, uint16_t address);

#endif
