/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_OPTIONS_H
#define CAN_OPTIONS_H

/*
 * What can be said about a CAN bus and its sensors in the configuration. What of it does not go
 * together is found in wanted.c, which makes signals of it.
 */

#include "sensocan-driver.h"

#define CAN_INTERFACE_MAX 15u /* IFNAMSIZ, without the NUL */

enum {
	BUS_INTERFACE,
	BUS_DBC,
	BUS_FD,
	BUS_BITRATE,
	BUS_LISTEN_ONLY,
	BUS_OWN_FRAMES,
	N_BUS_OPTIONS
};

enum {
	SENSOR_MESSAGE,
	SENSOR_SIGNAL,
	SENSOR_ID,
	SENSOR_EXTENDED,
	SENSOR_PGN,
	SENSOR_SOURCE,
	SENSOR_START_BIT,
	SENSOR_LENGTH,
	SENSOR_BYTE_ORDER,
	SENSOR_SIGNED,
	SENSOR_FLOAT,
	SENSOR_MULTIPLEXOR_START_BIT,
	SENSOR_MULTIPLEXOR_LENGTH,
	SENSOR_MULTIPLEXOR_VALUE,
	SENSOR_SAMPLE,
	N_SENSOR_OPTIONS
};

/* In the order of the choices in options.c. */
enum { ORDER_LITTLE, ORDER_BIG };

extern const struct scg_option can_bus_options[N_BUS_OPTIONS];
extern const struct scg_option can_sensor_options[N_SENSOR_OPTIONS];

#endif
