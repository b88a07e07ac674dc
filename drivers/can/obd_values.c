/* SPDX-License-Identifier: Apache-2.0 */
/* The values of service 01: SAE J1979-DA, annex B; its bytes A, B, C and D are 0 to 3 here. */
#include <string.h>

#include "obd.h"

/* `bytes` of them from byte `at` on, the high one first. */
#define VALUE(pid, name, at, bytes, factor, offset, unit)                                          \
	{                                                                                          \
		name, unit, pid,                                                                   \
		{                                                                                  \
			factor, offset, 8 * (at) + 7, 8 * (bytes), DECODE_UNSIGNED, true           \
		}                                                                                  \
	}
#define PERCENT (100.0 / 255)
#define TRIM    (100.0 / 128)

static const struct obd_value values[] = {
	{"mil", "", 0x01, {1, 0, 7, 1, DECODE_UNSIGNED, true}},
	{"dtc_count", "", 0x01, {1, 0, 6, 7, DECODE_UNSIGNED, true}},
	VALUE(0x04, "engine_load", 0, 1, PERCENT, 0, "%"),
	VALUE(0x05, "coolant_temperature", 0, 1, 1, -40, "degC"),
	VALUE(0x06, "short_fuel_trim_1", 0, 1, TRIM, -100, "%"),
	VALUE(0x07, "long_fuel_trim_1", 0, 1, TRIM, -100, "%"),
	VALUE(0x08, "short_fuel_trim_2", 0, 1, TRIM, -100, "%"),
	VALUE(0x09, "long_fuel_trim_2", 0, 1, TRIM, -100, "%"),
	VALUE(0x0a, "fuel_pressure", 0, 1, 3, 0, "kPa"),
	VALUE(0x0b, "intake_pressure", 0, 1, 1, 0, "kPa"),
	VALUE(0x0c, "engine_speed", 0, 2, 0.25, 0, "rpm"),
	VALUE(0x0d, "vehicle_speed", 0, 1, 1, 0, "km/h"),
	VALUE(0x0e, "timing_advance", 0, 1, 0.5, -64, "deg"),
	VALUE(0x0f, "intake_temperature", 0, 1, 1, -40, "degC"),
	VALUE(0x10, "air_flow", 0, 2, 0.01, 0, "g/s"),
	VALUE(0x11, "throttle", 0, 1, PERCENT, 0, "%"),
	VALUE(0x1f, "run_time", 0, 2, 1, 0, "s"),
	VALUE(0x21, "distance_with_mil", 0, 2, 1, 0, "km"),
	VALUE(0x22, "fuel_rail_pressure_relative", 0, 2, 0.079, 0, "kPa"),
	VALUE(0x23, "fuel_rail_pressure", 0, 2, 10, 0, "kPa"),
	VALUE(0x2c, "egr_commanded", 0, 1, PERCENT, 0, "%"),
	VALUE(0x2d, "egr_error", 0, 1, TRIM, -100, "%"),
	VALUE(0x2e, "purge_commanded", 0, 1, PERCENT, 0, "%"),
	VALUE(0x2f, "fuel_level", 0, 1, PERCENT, 0, "%"),
	VALUE(0x30, "warm_ups_since_clear", 0, 1, 1, 0, ""),
	VALUE(0x31, "distance_since_clear", 0, 2, 1, 0, "km"),
	{"evap_vapor_pressure", "Pa", 0x32, {0.25, 0, 7, 16, DECODE_SIGNED, true}},
	VALUE(0x33, "barometric_pressure", 0, 1, 1, 0, "kPa"),
	VALUE(0x3c, "catalyst_temperature_1_1", 0, 2, 0.1, -40, "degC"),
	VALUE(0x3d, "catalyst_temperature_2_1", 0, 2, 0.1, -40, "degC"),
	VALUE(0x3e, "catalyst_temperature_1_2", 0, 2, 0.1, -40, "degC"),
	VALUE(0x3f, "catalyst_temperature_2_2", 0, 2, 0.1, -40, "degC"),
	VALUE(0x42, "module_voltage", 0, 2, 0.001, 0, "V"),
	VALUE(0x43, "absolute_load", 0, 2, PERCENT, 0, "%"),
	VALUE(0x44, "lambda_commanded", 0, 2, 2.0 / 65536, 0, ""),
	VALUE(0x45, "throttle_relative", 0, 1, PERCENT, 0, "%"),
	VALUE(0x46, "ambient_temperature", 0, 1, 1, -40, "degC"),
	VALUE(0x47, "throttle_b", 0, 1, PERCENT, 0, "%"),
	VALUE(0x48, "throttle_c", 0, 1, PERCENT, 0, "%"),
	VALUE(0x49, "pedal_d", 0, 1, PERCENT, 0, "%"),
	VALUE(0x4a, "pedal_e", 0, 1, PERCENT, 0, "%"),
	VALUE(0x4b, "pedal_f", 0, 1, PERCENT, 0, "%"),
	VALUE(0x4c, "throttle_commanded", 0, 1, PERCENT, 0, "%"),
	VALUE(0x4d, "time_with_mil", 0, 2, 1, 0, "min"),
	VALUE(0x4e, "time_since_clear", 0, 2, 1, 0, "min"),
	VALUE(0x52, "ethanol", 0, 1, PERCENT, 0, "%"),
	VALUE(0x59, "fuel_rail_pressure_absolute", 0, 2, 10, 0, "kPa"),
	VALUE(0x5a, "pedal_relative", 0, 1, PERCENT, 0, "%"),
	VALUE(0x5b, "hybrid_battery", 0, 1, PERCENT, 0, "%"),
	VALUE(0x5c, "oil_temperature", 0, 1, 1, -40, "degC"),
	VALUE(0x5d, "injection_timing", 0, 2, 1.0 / 128, -210, "deg"),
	VALUE(0x5e, "fuel_rate", 0, 2, 0.05, 0, "L/h"),
	VALUE(0x61, "torque_demanded", 0, 1, 1, -125, "%"),
	VALUE(0x62, "torque", 0, 1, 1, -125, "%"),
	VALUE(0x63, "torque_reference", 0, 2, 1, 0, "Nm"),
	VALUE(0xa6, "odometer", 0, 4, 0.1, 0, "km"),
};

#define N_VALUES (sizeof(values) / sizeof(values[0]))

const struct obd_value *obd_values(size_t *ret_n)
{
	*ret_n = N_VALUES;
	return values;
}

const struct obd_value *obd_find(const char *name)
{
	for (size_t i = 0; i < N_VALUES; i++) {
		if (strcmp(values[i].name, name) == 0) {
			return &values[i];
		}
	}
	return NULL;
}
