/* SPDX-License-Identifier: Apache-2.0 */
#include "chips.h"

/* --- ADS1115 and ADS1015 --- */

/*
 * ADS111x, SBAS444D 9.6.3, and ADS101x, SBAS473E 8.6.3: one conversion, started by writing the
 * configuration. The data rate is the one they start with: 128 and 1600 samples a second, 10 % more
 * or less. The comparator is off (COMP_QUE) and its mode, which then means nothing, is not the
 * default, so that a chip that was reset shows it. Twelve bits are left-aligned in sixteen.
 */
#define ADS_CONFIG_LOW 0x93
#define ADS_STEPS(wait)                                                                            \
	{                                                                                          \
		{.write = {0x01, 0, ADS_CONFIG_LOW}, .n_write = 3, .wait_us = (wait)},             \
			{I2C_READ(0x01, 2), .ready = {.width = 1, .mask = 0x80, .value = 0x80},    \
				.configured = {.at = 1,                                            \
					.width = 1,                                                \
					.mask = 0xff,                                              \
					.value = ADS_CONFIG_LOW}},                                 \
			{I2C_READ(0x00, 2)},                                                       \
	}

static const struct i2c_choice ads_full_scales[] = {
	{4.096, 1}, {6.144, 0}, {2.048, 2}, {1.024, 3}, {0.512, 4}, {0.256, 5}, {0, 0}};

static int get_ads_voltage(const struct i2c_input *in, double *ret)
{
	const struct i2c_field field = {.at = 2, .width = 2, .is_signed = true};

	*ret = (double)i2c_field_get(&field, in->data) * in->settings->full_scale / 32768;
	return 0;
}

/* Bits of the high byte: start, multiplexer, gain, single shot. */
static void prepare_ads(const struct i2c_channel *channel, const struct i2c_settings *settings,
	struct i2c_step *steps)
{
	uint8_t gain = i2c_chip_choose(ads_full_scales, settings->full_scale)->code;

	steps[0].write[1] = (uint8_t)(0x80 | channel->code << 4 | gain << 1 | 0x01);
}

#define ADS_CHANNEL(inputs, multiplexer)                                                           \
	{                                                                                          \
		.name = (inputs), .unit = "V", .code = (multiplexer), .group = 0,                  \
		.formula = get_ads_voltage                                                         \
	}
static const struct i2c_channel ads_channels[] = {
	ADS_CHANNEL("a0", 4),
	ADS_CHANNEL("a1", 5),
	ADS_CHANNEL("a2", 6),
	ADS_CHANNEL("a3", 7),
	ADS_CHANNEL("a0-a1", 0),
	ADS_CHANNEL("a0-a3", 1),
	ADS_CHANNEL("a1-a3", 2),
	ADS_CHANNEL("a2-a3", 3),
};

static const struct i2c_step ads1115_steps[] = ADS_STEPS(8800);
static const struct i2c_group ads1115_groups[] = {{ads1115_steps, 3}};
const struct i2c_chip i2c_ads1115 = {
	.first = 0x48,
	.last = 0x4b,
	.groups = ads1115_groups,
	.channels = ads_channels,
	.n_channels = 8,
	.full_scales = ads_full_scales,
	.prepare = prepare_ads,
};

static const struct i2c_step ads1015_steps[] = ADS_STEPS(800);
static const struct i2c_group ads1015_groups[] = {{ads1015_steps, 3}};
const struct i2c_chip i2c_ads1015 = {
	.first = 0x48,
	.last = 0x4b,
	.groups = ads1015_groups,
	.channels = ads_channels,
	.n_channels = 8,
	.full_scales = ads_full_scales,
	.prepare = prepare_ads,
};

/* --- INA219 and INA226 --- */

/*
 * INA219, SBOS448G 8.6.3, and INA226, SBOS547A 7.6: registers 1 and 2 are the voltages at the shunt
 * and of the bus. Both measure by themselves after a start, over the whole range. Current and power
 * are computed here from the same two numbers: the chips' own registers for them are zero until
 * they are told of the shunt, and again after each reset.
 */
#define INA_SHUNT                                                                                  \
	{                                                                                          \
		.at = 0, .width = 2, .is_signed = true                                             \
	}

static const struct i2c_step ina_steps[] = {{I2C_READ(0x01, 2)}, {I2C_READ(0x02, 2)}};
static const struct i2c_group ina_groups[] = {{ina_steps, 2}};
static const struct i2c_field ina_shunt = INA_SHUNT;
static const struct i2c_field ina219_bus = {.at = 2, .width = 2, .shift = 3};
static const struct i2c_field ina226_bus = {.at = 2, .width = 2, .mask = 0x7fff};
#define INA219_SHUNT_V 10e-6
#define INA219_BUS_V   4e-3
#define INA226_SHUNT_V 2.5e-6
#define INA226_BUS_V   1.25e-3

static int get_ina219_current(const struct i2c_input *in, double *ret)
{
	*ret = (double)i2c_field_get(&ina_shunt, in->data) * INA219_SHUNT_V / in->settings->shunt;
	return 0;
}

static int get_ina219_power(const struct i2c_input *in, double *ret)
{
	int r = get_ina219_current(in, ret);

	*ret *= (double)i2c_field_get(&ina219_bus, in->data) * INA219_BUS_V;
	return r;
}

static int get_ina226_current(const struct i2c_input *in, double *ret)
{
	*ret = (double)i2c_field_get(&ina_shunt, in->data) * INA226_SHUNT_V / in->settings->shunt;
	return 0;
}

static int get_ina226_power(const struct i2c_input *in, double *ret)
{
	int r = get_ina226_current(in, ret);

	*ret *= (double)i2c_field_get(&ina226_bus, in->data) * INA226_BUS_V;
	return r;
}

static const struct i2c_channel ina219_channels[] = {
	{.name = "bus_voltage",
		.unit = "V",
		.field = {.at = 2, .width = 2, .shift = 3},
		.scale = INA219_BUS_V},
	{.name = "shunt_voltage", .unit = "V", .field = INA_SHUNT, .scale = INA219_SHUNT_V},
	{.name = "current", .unit = "A", .formula = get_ina219_current},
	{.name = "power", .unit = "W", .formula = get_ina219_power},
};
const struct i2c_chip i2c_ina219 = {
	.first = 0x40,
	.last = 0x4f,
	.groups = ina_groups,
	.channels = ina219_channels,
	.n_channels = 4,
	.shunt = 0.1,
};

/* Register 0xff is the identification, whose lowest four bits are the revision. */
static const struct i2c_step ina226_init[] = {
	{I2C_READ(0xff, 2), .configured = {.width = 2, .mask = 0xfff0, .value = 0x2260}},
};
static const struct i2c_channel ina226_channels[] = {
	{.name = "bus_voltage",
		.unit = "V",
		.field = {.at = 2, .width = 2, .mask = 0x7fff},
		.scale = INA226_BUS_V},
	{.name = "shunt_voltage", .unit = "V", .field = INA_SHUNT, .scale = INA226_SHUNT_V},
	{.name = "current", .unit = "A", .formula = get_ina226_current},
	{.name = "power", .unit = "W", .formula = get_ina226_power},
};
const struct i2c_chip i2c_ina226 = {
	.first = 0x40,
	.last = 0x4f,
	.has_identity = true,
	.init = ina226_init,
	.n_init = 1,
	.groups = ina_groups,
	.channels = ina226_channels,
	.n_channels = 4,
	.shunt = 0.1,
};

/* --- MCP3421 --- */

/*
 * DS22003E, 5.1 to 5.3 and 4.9: one conversion at 3.75, 15, 60 or 240 samples a second; the
 * configuration comes after the number, its highest bit 0 once the number is new.
 */
static const struct i2c_choice mcp3421_full_scales[] = {
	{2.048, 0}, {1.024, 1}, {0.512, 2}, {0.256, 3}, {0, 0}};
static const struct i2c_choice mcp3421_bits[] = {{16, 2}, {18, 3}, {14, 1}, {12, 0}, {0, 0}};

/* The sign fills the bits that a number of fewer bits leaves. */
static int get_mcp3421_voltage(const struct i2c_input *in, double *ret)
{
	uint8_t bits = in->settings->bits;
	const struct i2c_field field = {.width = bits > 16 ? 3 : 2, .is_signed = true};

	*ret = (double)i2c_field_get(&field, in->data) * 2 * in->settings->full_scale /
	       (double)(1 << bits);
	return 0;
}

static void prepare_mcp3421(const struct i2c_channel *channel, const struct i2c_settings *settings,
	struct i2c_step *steps)
{
	static const uint32_t waits_us[] = {4600, 18500, 74000, 295000};
	uint8_t rate = i2c_chip_choose(mcp3421_bits, settings->bits)->code;
	uint8_t gain = i2c_chip_choose(mcp3421_full_scales, settings->full_scale)->code;
	uint8_t config = (uint8_t)(rate << 2 | gain), size = settings->bits > 16 ? 3 : 2;

	(void)channel; /* it has one */
	steps[0].write[0] = 0x80 | config;
	steps[0].wait_us = waits_us[rate];
	steps[1].n_read = size + 1;
	steps[1].ready = (struct i2c_test){.at = size, .width = 1, .mask = 0x80, .value = 0};
	steps[1].configured = (struct i2c_test){
		.at = size, .width = 1, .mask = 0x7f, .value = config};
}

static const struct i2c_step mcp3421_steps[] = {{.n_write = 1}, {.patience_us = 100000}};
static const struct i2c_group mcp3421_groups[] = {{mcp3421_steps, 2}};
static const struct i2c_channel mcp3421_channels[] = {
	{.name = "voltage", .unit = "V", .formula = get_mcp3421_voltage},
};
const struct i2c_chip i2c_mcp3421 = {
	.first = 0x68,
	.last = 0x6f,
	.takes_commands = true,
	.groups = mcp3421_groups,
	.channels = mcp3421_channels,
	.n_channels = 1,
	.full_scales = mcp3421_full_scales,
	.bits = mcp3421_bits,
	.prepare = prepare_mcp3421,
};

/* --- PCF8591 --- */

/* NXP data sheet Rev. 7, 8.2 and 8.4: the control byte picks the input; the first byte that is read
   is the conversion before. */
static int get_pcf8591_voltage(const struct i2c_input *in, double *ret)
{
	*ret = (double)in->data[1] * in->settings->reference / 256;
	return 0;
}

static void prepare_pcf8591(const struct i2c_channel *channel, const struct i2c_settings *settings,
	struct i2c_step *steps)
{
	(void)settings; /* none of them is the chip's */
	steps[0].write[0] = channel->code;
}

static const struct i2c_step pcf8591_steps[] = {{I2C_READ(0, 2)}};
static const struct i2c_group pcf8591_groups[] = {{pcf8591_steps, 1}};
#define PCF8591_CHANNEL(input, number)                                                             \
	{                                                                                          \
		.name = (input), .unit = "V", .code = (number), .formula = get_pcf8591_voltage     \
	}
static const struct i2c_channel pcf8591_channels[] = {
	PCF8591_CHANNEL("a0", 0),
	PCF8591_CHANNEL("a1", 1),
	PCF8591_CHANNEL("a2", 2),
	PCF8591_CHANNEL("a3", 3),
};
const struct i2c_chip i2c_pcf8591 = {
	.first = 0x48,
	.last = 0x4f,
	.takes_commands = true,
	.groups = pcf8591_groups,
	.channels = pcf8591_channels,
	.n_channels = 4,
	.reference = 3.3,
	.prepare = prepare_pcf8591,
};
