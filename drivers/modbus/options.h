/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_OPTIONS_H
#define MODBUS_OPTIONS_H

/*
 * What can be said about a Modbus bus and its sensors in the configuration, and what of it does not
 * go together.
 *
 * Citation: [AP] MODBUS Application Protocol Specification V1.1b3.
 */

#include <stdbool.h>

#include "sensocan-driver.h"

#define MODBUS_ADDRESSES      65536u /* in each table, [AP] 4.4 */
#define MODBUS_READ_REGISTERS 125    /* most in one request, [AP] 6.3 */
#define MODBUS_READ_BITS      2000   /* most in one request, [AP] 6.1 */

enum {
	BUS_TRANSPORT,
	BUS_HOST,
	BUS_PORT,
	BUS_CONNECT_TIMEOUT,
	BUS_DEVICE,
	BUS_BAUD,
	BUS_PARITY,
	BUS_DATA_BITS,
	BUS_STOP_BITS,
	BUS_RS485,
	BUS_RESPONSE_TIMEOUT,
	BUS_REQUEST_GAP,
	BUS_MAX_REGISTERS,
	BUS_MAX_BITS,
	BUS_MAX_GAP,
	N_BUS_OPTIONS
};

enum {
	SENSOR_UNIT,
	SENSOR_TABLE,
	SENSOR_REGISTER,
	SENSOR_TYPE,
	SENSOR_ORDER,
	SENSOR_BIT,
	SENSOR_BITS,
	SENSOR_NO_VALUE,
	N_SENSOR_OPTIONS
};

/* In the order of the choices in options.c. */
enum { TRANSPORT_TCP, TRANSPORT_RTU, TRANSPORT_RTU_TCP };
enum { TABLE_HOLDING, TABLE_INPUT, TABLE_COIL, TABLE_DISCRETE };

/* The words of the choices, ended by NULL. */
extern const char *const modbus_tables[];
extern const char *const modbus_types[];
extern const char *const modbus_orders[];
extern const struct scg_option modbus_bus_options[N_BUS_OPTIONS];
extern const struct scg_option modbus_sensor_options[N_SENSOR_OPTIONS];
void modbus_check(struct scg_bus *bus);

static inline bool modbus_is_bit_table(uint8_t table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

#endif
