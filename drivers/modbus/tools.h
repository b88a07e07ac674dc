/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_TOOLS_H
#define MODBUS_TOOLS_H

/*
 * What a person may ask of a Modbus bus beside its readings.
 */

#include "sensocan-driver.h"

/* plan() of the driver. */
void modbus_forecast(struct scg_bus *bus);

extern const struct scg_tool modbus_scan;  /* which units there are */
extern const struct scg_tool modbus_probe; /* some registers in all ways to read them */

#endif
