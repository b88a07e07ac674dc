/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "tools.h"

/*
 * The tool `scan`: which addresses answer, and which of the known chips that could be. A step is
 * one address. Nothing is sent that could do harm: presence is asked for as i2cdetect does, and an
 * identification register is read only where no known chip would take the number of the register
 * for a command, unless a person wants it.
 */

enum { SCAN_FIRST, SCAN_LAST, SCAN_IDENTIFY, N_SCAN_OPTIONS };
enum { IDENTIFY_CAREFULLY, IDENTIFY_ALWAYS, IDENTIFY_NEVER };
static const char *const identify_words[] = {"carefully", "always", "never", NULL};

#define LIST_MAX 192

static const struct scg_option options_table[N_SCAN_OPTIONS] = {
	[SCAN_FIRST] = {.name = "first",
		.type = SCG_INT,
		.fallback = "0x08",
		.min = I2C_ADDRESS_MIN,
		.max = I2C_ADDRESS_MAX,
		.help = "First address to ask."},
	[SCAN_LAST] = {.name = "last",
		.type = SCG_INT,
		.fallback = "0x77",
		.min = I2C_ADDRESS_MIN,
		.max = I2C_ADDRESS_MAX,
		.help = "Last address to ask."},
	[SCAN_IDENTIFY] = {.name = "identify",
		.type = SCG_CHOICE,
		.fallback = "carefully",
		.choices = identify_words,
		.help = "Read the registers that tell chips apart: carefully leaves out addresses "
			"where a known chip might take that for a command, always does not."},
};

/* Chips that could be at an address, by CHIP_... */
struct candidates {
	int64_t all[N_CHIPS];
	uint32_t n;
	bool take_commands;
};

static struct candidates find_candidates(uint16_t address)
{
	struct candidates found = {.n = 0};

	for (int64_t i = CHIP_NONE + 1; i < N_CHIPS; i++) {
		const struct i2c_chip *chip = i2c_chip_get(i);

		if (i2c_chip_has_address(chip, address)) {
			found.all[found.n++] = i;
			found.take_commands = found.take_commands || chip->takes_commands;
		}
	}
	return found;
}

/* Whether the identification is the chip's; it is not if it cannot be read. */
static bool identify(struct i2c_bus *b, uint16_t address, const struct i2c_chip *chip)
{
	uint8_t data[I2C_READ_MAX];
	const struct i2c_step *step = chip->init;
	const struct i2c_exchange x = {
		.target = {.address = address},
		.write = step->write,
		.n_write = step->n_write,
		.read = data,
		.n_read = step->n_read,
	};

	return i2c_adapter_exchange(&b->adapter, &x) == 0 && i2c_chip_test(&step->configured, data);
}

/* Leaves those that it can be. True if one was recognised, which then is left alone. */
static bool narrow(struct i2c_bus *b, uint16_t address, struct candidates *c)
{
	struct candidates kept = {.take_commands = c->take_commands};

	for (uint32_t i = 0; i < c->n; i++) {
		const struct i2c_chip *chip = i2c_chip_get(c->all[i]);

		if (!chip->has_identity) {
			kept.all[kept.n++] = c->all[i];
		} else if (identify(b, address, chip)) {
			*c = (struct candidates){.all = {c->all[i]}, .n = 1};
			return true;
		}
	}
	*c = kept;
	return false;
}

static void tell_stanza(struct scg_bus *bus, uint16_t address, const struct candidates *c)
{
	const struct i2c_chip *chip = c->n == 1 ? i2c_chip_get(c->all[0]) : NULL;
	const char *name = c->n == 1 ? i2c_chip_names[c->all[0]] : "CHIP";
	uint8_t n = chip ? chip->n_channels : 1;

	for (uint8_t i = 0; i < n; i++) {
		const char *channel = chip ? chip->channels[i].name : "CHANNEL";

		bus->host->tell(bus, SCG_TELL_STANZA, "- slug: %s_%02x_%s", chip ? name : "chip",
			address, chip ? channel : "value");
		bus->host->tell(bus, SCG_TELL_STANZA, "  bus: %s", bus->name);
		bus->host->tell(bus, SCG_TELL_STANZA, "  interval: 10s");
		if (c->n == 0) {
			bus->host->tell(bus, SCG_TELL_STANZA,
				"  options: {address: 0x%02x, register: REGISTER, width: 1}",
				address);
		} else {
			bus->host->tell(bus, SCG_TELL_STANZA,
				"  options: {address: 0x%02x, chip: %s, channel: %s}", address,
				name, channel);
		}
	}
}

static void tell_chip(
	struct scg_bus *bus, uint16_t address, const struct candidates *c, bool is_recognised)
{
	char list[LIST_MAX] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < c->n && used < sizeof(list); i++) {
		int n = snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "",
			i2c_chip_names[c->all[i]]);

		used += n > 0 ? (size_t)n : 0;
	}
	if (c->n == 0) {
		bus->host->tell(
			bus, SCG_TELL_RESULT, "0x%02x: answers; no chip of this driver", address);
	} else if (is_recognised) {
		bus->host->tell(bus, SCG_TELL_RESULT, "0x%02x: is %s, says its identification",
			address, list);
	} else {
		bus->host->tell(
			bus, SCG_TELL_RESULT, "0x%02x: answers; could be %s", address, list);
	}
	tell_stanza(bus, address, c);
}

/* The chip of the configuration that has the address: it may be at work, and is left alone. */
static const struct i2c_device *find_configured(const struct i2c_bus *b, uint16_t address)
{
	for (uint32_t i = 0; i < b->n_devices; i++) {
		const struct i2c_target *target = &b->devices[i].target;

		if (target->address == address && !target->is_ten_bit) {
			return &b->devices[i];
		}
	}
	return NULL;
}

static void tell_configured(struct scg_bus *bus, const struct i2c_device *device)
{
	char name[32];

	i2c_setup_describe(device, name, sizeof(name));
	bus->host->tell(bus, SCG_TELL_RESULT, "%s: is in the configuration, %s", name,
		device->misses > 0 ? "and does not answer as it should" : "and left alone");
}

/* 0, or a negative errno that ends the scan. */
static int ask(struct i2c_bus *b, uint16_t address, int64_t how)
{
	struct scg_bus *bus = b->bus;
	struct candidates c;
	char owner[80];
	bool is_recognised = false;
	int r = i2c_adapter_probe(&b->adapter, address);

	if (r == -EBUSY) {
		i2c_sysfs_owner(b->adapter.number, address, owner, sizeof(owner));
		bus->host->tell(bus, SCG_TELL_RESULT, "0x%02x: belongs to %s: read it there",
			address, owner);
		b->n_found++;
		return 0;
	}
	if (r == -ETIMEDOUT) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"0x%02x: the bus does not move: a chip holds a line down, or pull-up "
			"resistors are missing",
			address);
		return r;
	}
	if (r < 0) {
		return r == -ENODEV || r == -EOPNOTSUPP ? r : 0;
	}
	b->n_found++;
	c = find_candidates(address);
	if (how == IDENTIFY_ALWAYS || (how == IDENTIFY_CAREFULLY && !c.take_commands)) {
		is_recognised = narrow(b, address, &c);
	}
	tell_chip(bus, address, &c, is_recognised);
	return 0;
}

static int step(struct scg_bus *bus, const union scg_value *options, uint64_t number)
{
	struct i2c_bus *b = bus->data;
	uint16_t first = (uint16_t)options[SCAN_FIRST].i, last = (uint16_t)options[SCAN_LAST].i;
	uint16_t address = (uint16_t)(first + number);
	const struct i2c_device *device;
	int r = 0;

	if (first > last) {
		bus->host->complain(
			bus, NULL, "last", "0x%02x comes before the first, 0x%02x", last, first);
		return -EINVAL;
	}
	if (number == 0) {
		b->n_found = 0;
	}
	device = find_configured(b, address);
	if (device) {
		b->n_found++;
		tell_configured(bus, device);
	} else {
		r = ask(b, address, options[SCAN_IDENTIFY].i);
	}
	if (r < 0) {
		return r;
	}
	bus->host->tell(bus, SCG_TELL_PROGRESS, "address 0x%02x of 0x%02x, %u found", address, last,
		b->n_found);
	if (address < last) {
		return 1;
	}
	if (b->n_found == 0) {
		bus->host->tell(bus, SCG_TELL_RESULT,
			"nobody answers from 0x%02x to 0x%02x: check power, SDA and SCL", first,
			last);
	}
	return 0;
}

const struct scg_tool i2c_scan = {
	.options = options_table,
	.n_options = N_SCAN_OPTIONS,
	.step = step,
};
