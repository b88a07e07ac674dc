/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "chip.h"
#include "options.h"
#include "value.h"

#define LIST_MAX 160

static void check_address(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;
	const struct i2c_chip *chip = i2c_chip_get(options[SENSOR_CHIP].i);
	int address = (int)options[SENSOR_ADDRESS].i;

	if (options[SENSOR_TEN_BIT].i) {
		if (chip) {
			bus->host->complain(bus, sensor, "ten_bit", "%s has an address of 7 bits",
				i2c_chip_names[options[SENSOR_CHIP].i]);
		}
	} else if (address < I2C_ADDRESS_MIN || address > I2C_ADDRESS_MAX) {
		bus->host->complain(bus, sensor, "address",
			"0x%02x is no address of a chip, expected 0x%02x to 0x%02x (a datasheet "
			"that says more has the bit for reading in it: half of it)",
			address, I2C_ADDRESS_MIN, I2C_ADDRESS_MAX);
	} else if (chip && !i2c_chip_has_address(chip, (uint16_t)address)) {
		uint8_t last = chip->second_last ? chip->second_last : chip->last;
		char list[LIST_MAX];

		if (last == chip->first) {
			(void)snprintf(list, sizeof(list), "0x%02x", last);
		} else {
			(void)snprintf(list, sizeof(list), "0x%02x %s 0x%02x", chip->first,
				chip->second_last ? "or" : "to", last);
		}
		bus->host->complain(bus, sensor, "address", "0x%02x, but %s is at %s", address,
			i2c_chip_names[options[SENSOR_CHIP].i], list);
	}
}

/* --- sensors of a chip --- */

static void check_channel(
	const struct scg_bus *bus, const struct scg_sensor *sensor, const struct i2c_chip *chip)
{
	const char *chip_name = i2c_chip_names[sensor->options[SENSOR_CHIP].i];
	const char *name = sensor->options[SENSOR_CHANNEL].s;
	char list[LIST_MAX];

	i2c_chip_list_channels(chip, list, sizeof(list));
	if (!name && chip->n_channels > 1) {
		bus->host->complain(bus, sensor, "channel", "missing: %s has %s", chip_name, list);
	} else if (name && !i2c_chip_find_channel(chip, name)) {
		bus->host->complain(bus, sensor, "channel", "\"%s\" is none of %s, which has %s",
			name, chip_name, list);
	}
}

/* A setting that has a list of values in the chip. */
static void check_choice(const struct scg_bus *bus, const struct scg_sensor *sensor,
	const char *option, const struct i2c_choice *choices, double value)
{
	const char *chip = i2c_chip_names[sensor->options[SENSOR_CHIP].i];
	char list[LIST_MAX] = "";
	size_t used = 0;

	if (value == 0 || i2c_chip_choose(choices, value)) {
		return;
	}
	if (!choices) {
		bus->host->complain(bus, sensor, option, "%s has no such setting", chip);
		return;
	}
	for (uint32_t i = 0; choices[i].value != 0; i++) {
		int n = snprintf(list + used, sizeof(list) - used, "%s%g", i > 0 ? ", " : "",
			choices[i].value);

		used += n > 0 ? (size_t)n : 0;
	}
	bus->host->complain(bus, sensor, option, "%s cannot have %g, only %s", chip, value, list);
}

/* Options that are for raw registers, and the value that means that they were not given. */
static void check_no_raw(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	static const struct {
		uint32_t option;
		int64_t unset;
	} raw[] = {{SENSOR_REGISTER, -1}, {SENSOR_REGISTER_WIDTH, 1}, {SENSOR_WIDTH, 1},
		{SENSOR_BYTE_ORDER, ORDER_BIG}, {SENSOR_SIGNED, 0}, {SENSOR_SHIFT, 0},
		{SENSOR_MASK, 0}, {SENSOR_DELAY, 0}, {SENSOR_AUTO_INCREMENT, 0}, {SENSOR_PEC, 0}};

	for (uint32_t i = 0; i < SCG_COUNT(raw); i++) {
		if (sensor->options[raw[i].option].i != raw[i].unset) {
			bus->host->complain(bus, sensor, i2c_sensor_options[raw[i].option].name,
				"is for raw registers, and this sensor has chip %s",
				i2c_chip_names[sensor->options[SENSOR_CHIP].i]);
		}
	}
	if (sensor->options[SENSOR_COMMAND].s) {
		bus->host->complain(bus, sensor, "command",
			"is for raw registers, and this sensor has chip %s",
			i2c_chip_names[sensor->options[SENSOR_CHIP].i]);
	}
}

static void check_chip_sensor(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;
	const struct i2c_chip *chip = i2c_chip_get(options[SENSOR_CHIP].i);
	const char *name = i2c_chip_names[options[SENSOR_CHIP].i];

	check_channel(bus, sensor, chip);
	check_choice(bus, sensor, "full_scale", chip->full_scales, options[SENSOR_FULL_SCALE].d);
	check_choice(bus, sensor, "bits", chip->bits, (double)options[SENSOR_BITS].i);
	if (options[SENSOR_SHUNT].d != 0 && chip->shunt == 0) {
		bus->host->complain(bus, sensor, "shunt", "%s has no such setting", name);
	}
	if (options[SENSOR_REFERENCE].d != 0 && chip->reference == 0) {
		bus->host->complain(bus, sensor, "reference", "%s has no such setting", name);
	}
	check_no_raw(bus, sensor);
}

/* --- raw registers --- */

static void check_no_chip(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	static const char text[] = "is for chips that the driver knows: chip says which";
	const union scg_value *options = sensor->options;

	if (options[SENSOR_CHANNEL].s) {
		bus->host->complain(bus, sensor, "channel", "%s", text);
	}
	if (options[SENSOR_FULL_SCALE].d != 0) {
		bus->host->complain(bus, sensor, "full_scale", "%s", text);
	}
	if (options[SENSOR_BITS].i != 0) {
		bus->host->complain(bus, sensor, "bits", "%s", text);
	}
	if (options[SENSOR_SHUNT].d != 0) {
		bus->host->complain(bus, sensor, "shunt", "%s", text);
	}
	if (options[SENSOR_REFERENCE].d != 0) {
		bus->host->complain(bus, sensor, "reference", "%s", text);
	}
}

static void check_command(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const char *command = sensor->options[SENSOR_COMMAND].s;
	uint8_t bytes[I2C_COMMAND_MAX];
	int r = command ? i2c_options_command(command, bytes) : 0;

	if (r == -E2BIG) {
		bus->host->complain(bus, sensor, "command", "%s has more than %u bytes", command,
			I2C_COMMAND_MAX);
	} else if (r < 0) {
		bus->host->complain(bus, sensor, "command",
			"\"%s\" is not two hexadecimal digits for each byte, as 0x2400", command);
	}
	if (!command && sensor->options[SENSOR_DELAY].i != 0) {
		bus->host->complain(
			bus, sensor, "delay", "is the time after a command, and there is none");
	}
}

static void check_raw_sensor(const struct scg_bus *bus, const struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;
	const struct i2c_field field = {.width = (uint8_t)options[SENSOR_WIDTH].i,
		.shift = (uint8_t)options[SENSOR_SHIFT].i};
	uint32_t bits = i2c_field_bits(&field), mask = (uint32_t)options[SENSOR_MASK].i;

	check_no_chip(bus, sensor);
	check_command(bus, sensor);
	if (bits == 0) {
		bus->host->complain(bus, sensor, "shift",
			"%u leaves nothing of a width of %u bytes", field.shift, field.width);
	} else if (mask & ~bits) {
		bus->host->complain(bus, sensor, "mask",
			"0x%x has bits that are not there: the shift leaves 0x%x", mask, bits);
	}
	if (options[SENSOR_REGISTER].i > 255 && options[SENSOR_REGISTER_WIDTH].i == 1) {
		bus->host->complain(bus, sensor, "register",
			"%d does not fit into one byte: register_width: 2",
			(int)options[SENSOR_REGISTER].i);
	}
	if (options[SENSOR_REGISTER].i < 0 && options[SENSOR_AUTO_INCREMENT].i) {
		bus->host->complain(
			bus, sensor, "auto_increment", "needs a register to count from");
	}
	if (options[SENSOR_AUTO_INCREMENT].i && options[SENSOR_COMMAND].s) {
		bus->host->complain(bus, sensor, "auto_increment",
			"is for registers that are read without a command");
	}
}

/* --- all of them --- */

static int compare_places(const void *left, const void *right)
{
	const struct scg_sensor *const *a = left, *const *b = right;
	int64_t one = (*a)->options[SENSOR_ADDRESS].i * 2 + (*a)->options[SENSOR_TEN_BIT].i;
	int64_t two = (*b)->options[SENSOR_ADDRESS].i * 2 + (*b)->options[SENSOR_TEN_BIT].i;

	return (one > two) - (one < two);
}

/* Two chips at one address answer at the same time, or one of them is not there. */
static void check_places(const struct scg_bus *bus)
{
	const struct scg_sensor **sorted = calloc((size_t)bus->n_sensors + 1, sizeof(*sorted));

	if (!sorted) {
		return; /* open() will say it */
	}
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		sorted[i] = bus->sensors[i];
	}
	qsort(sorted, bus->n_sensors, sizeof(struct scg_sensor *), compare_places);
	for (uint32_t i = 1; i < bus->n_sensors; i++) {
		int64_t before = sorted[i - 1]->options[SENSOR_CHIP].i;
		int64_t chip = sorted[i]->options[SENSOR_CHIP].i;

		if (before != chip && compare_places(&sorted[i - 1], &sorted[i]) == 0) {
			bus->host->complain(bus, sorted[i], "chip",
				"%s, but at the same address %s has %s", i2c_chip_names[chip],
				sorted[i - 1]->name, i2c_chip_names[before]);
		}
	}
	free(sorted);
}

void i2c_check(struct scg_bus *bus)
{
	for (uint32_t i = 0; i < bus->n_sensors; i++) {
		const struct scg_sensor *sensor = bus->sensors[i];

		check_address(bus, sensor);
		if (sensor->options[SENSOR_CHIP].i != CHIP_NONE) {
			check_chip_sensor(bus, sensor);
		} else {
			check_raw_sensor(bus, sensor);
		}
	}
	check_places(bus);
}
