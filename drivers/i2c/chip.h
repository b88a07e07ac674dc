/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_CHIP_H
#define I2C_CHIP_H

/*
 * What a chip is: where it answers, what is sent to it and read from it, step by step, and how its
 * bytes become values. A chip is a table of these structures; only what no table can say is a
 * function beside it. Values are in degrees Celsius, percent of relative humidity, and else in SI
 * units.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value.h"

#define I2C_STEP_WRITE_MAX 8u
#define I2C_STEPS_MAX      4u
#define I2C_DATA_MAX       64u /* bytes of all steps together */

/* A checksum that is part of what was read. */
enum i2c_check {
	CHECK_NONE,
	CHECK_WORDS,    /* each two bytes are followed by CRC-8 0x31 that begins with 0xff */
	CHECK_ALL,      /* the last byte is that of all before it */
	CHECK_ALL_ZERO, /* the same, and it begins with 0 */
};

/* About the first bytes that a step has read, as a number with the high byte first: with `mask` it
   has to be `value`, or anything else. */
struct i2c_test {
	uint8_t at, width; /* width 0: there is no test */
	bool is_not;
	uint16_t mask, value;
};

/*
 * One step: writes, waits, reads, each of them optional. Without a wait write and read are one
 * combined transfer. A step that only reads comes after one that waited: a chip that does not
 * acknowledge there is not ready yet. What steps have read stands one after the other.
 */
struct i2c_step {
	uint8_t write[I2C_STEP_WRITE_MAX];
	uint8_t n_write, n_read;
	uint8_t check;              /* enum i2c_check */
	struct i2c_test ready;      /* if not, the step is made again for a while */
	struct i2c_test configured; /* if not, the chip was reset, or it is another one */
	uint32_t wait_us;           /* after the write; never less than the chip's longest */
	uint32_t patience_us;       /* how long it may be not ready; 0: some time */
};

/* What the configuration says about a sensor of a chip; 0: nothing. */
struct i2c_settings {
	double full_scale; /* V */
	double shunt;      /* Ohm */
	double reference;  /* V */
	uint8_t bits;
};

/* A setting that a chip can have, and its code. */
struct i2c_choice {
	double value;
	uint8_t code;
};

struct i2c_input {
	const uint8_t *data;
	const uint8_t *memory; /* what the steps of `init` have read */
	const struct i2c_settings *settings;
};

struct i2c_channel {
	const char *name, *unit;
	uint8_t group; /* channels of a group are read together */
	uint8_t code;  /* what prepare() makes of it */
	/* value = number * scale + offset; */
	struct i2c_field field;
	double scale, offset;
	bool has_no_value; /* this number says that there is none */
	int64_t no_value;
	/* or this: 0, -ENODATA if the chip says that there is no value, -ERANGE if it is beyond
	   what the chip can measure. */
	int (*formula)(const struct i2c_input *in, double *ret);
};

struct i2c_group {
	const struct i2c_step *steps;
	uint8_t n;
};

struct i2c_chip {
	uint8_t first, last, second_first, second_last; /* addresses; a second range or 0, 0 */
	bool has_identity;   /* the first step of `init` tells it from all others */
	bool takes_commands; /* a byte sent to it may be more than the number of a register */
	const struct i2c_step *init; /* when it is new, or was away, or was reset */
	uint8_t n_init;
	const struct i2c_group *groups;
	const struct i2c_channel *channels;
	uint8_t n_channels;
	/* Settings that it has; the first is the default, value 0 ends the list. */
	const struct i2c_choice *full_scales, *bits;
	double shunt, reference; /* defaults; 0: it has none */
	/* Puts channel and settings, which are complete, into the steps of the group. */
	void (*prepare)(const struct i2c_channel *channel, const struct i2c_settings *settings,
		struct i2c_step *steps);
};

/* The choices of the option `chip`, in the order of i2c_chip_names. */
enum {
	CHIP_NONE, /* a raw register */
	CHIP_ADS1015,
	CHIP_ADS1115,
	CHIP_AHT20,
	CHIP_BH1750,
	CHIP_BME280,
	CHIP_BMP280,
	CHIP_HTU21D,
	CHIP_INA219,
	CHIP_INA226,
	CHIP_LM75,
	CHIP_LM75B,
	CHIP_LPS22,
	CHIP_MCP3421,
	CHIP_MCP9808,
	CHIP_PCF8591,
	CHIP_SCD4X,
	CHIP_SHT3X,
	CHIP_SHT4X,
	CHIP_SI7021,
	CHIP_TMP102,
	CHIP_TMP105,
	CHIP_TMP117,
	CHIP_TMP75,
	CHIP_VEML7700,
	N_CHIPS
};

extern const char *const i2c_chip_names[N_CHIPS + 1]; /* ended by NULL */
/* NULL for CHIP_NONE. */
const struct i2c_chip *i2c_chip_get(int64_t chip);

bool i2c_chip_has_address(const struct i2c_chip *chip, uint16_t address);
/* NULL if there is none of that name. */
const struct i2c_channel *i2c_chip_find_channel(const struct i2c_chip *chip, const char *name);
/* The names of its channels: "temperature, humidity". */
void i2c_chip_list_channels(const struct i2c_chip *chip, char *ret_text, size_t size);
/* The choice of that value; the default for 0; NULL if there is none. */
const struct i2c_choice *i2c_chip_choose(const struct i2c_choice *choices, double value);
/* The settings with the chip's defaults. */
struct i2c_settings i2c_chip_settings(
	const struct i2c_chip *chip, const struct i2c_settings *wanted);
bool i2c_chip_test(const struct i2c_test *test, const uint8_t *data);
/* Is the checksum of what a step has read right? */
bool i2c_chip_check(uint8_t check, const uint8_t *data, uint8_t n);
/* The value of a channel. 0 or as i2c_channel.formula. */
int i2c_chip_value(const struct i2c_channel *channel, const struct i2c_input *in, double *ret);

#endif
