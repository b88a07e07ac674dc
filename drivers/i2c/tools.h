/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_TOOLS_H
#define I2C_TOOLS_H

/*
 * What a person may ask of an I2C bus beside its readings.
 */

#include "sensocan-driver.h"

/* plan() of the driver. */
void i2c_forecast(struct scg_bus *bus);

extern const struct scg_tool i2c_scan; /* which addresses answer, and what it could be */

#endif
