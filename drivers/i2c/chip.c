/* SPDX-License-Identifier: Apache-2.0 */
#include "chip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chips.h"
#include "crc8.h"

const char *const i2c_chip_names[N_CHIPS + 1] = {
	[CHIP_NONE] = "none",
	[CHIP_ADS1015] = "ads1015",
	[CHIP_ADS1115] = "ads1115",
	[CHIP_AHT20] = "aht20",
	[CHIP_BH1750] = "bh1750",
	[CHIP_BME280] = "bme280",
	[CHIP_BMP280] = "bmp280",
	[CHIP_HTU21D] = "htu21d",
	[CHIP_INA219] = "ina219",
	[CHIP_INA226] = "ina226",
	[CHIP_LM75] = "lm75",
	[CHIP_LM75B] = "lm75b",
	[CHIP_LPS22] = "lps22",
	[CHIP_MCP3421] = "mcp3421",
	[CHIP_MCP9808] = "mcp9808",
	[CHIP_PCF8591] = "pcf8591",
	[CHIP_SCD4X] = "scd4x",
	[CHIP_SHT3X] = "sht3x",
	[CHIP_SHT4X] = "sht4x",
	[CHIP_SI7021] = "si7021",
	[CHIP_TMP102] = "tmp102",
	[CHIP_TMP105] = "tmp105",
	[CHIP_TMP117] = "tmp117",
	[CHIP_TMP75] = "tmp75",
	[CHIP_VEML7700] = "veml7700",
};

static const struct i2c_chip *const chips[N_CHIPS] = {
	[CHIP_ADS1015] = &i2c_ads1015,
	[CHIP_ADS1115] = &i2c_ads1115,
	[CHIP_AHT20] = &i2c_aht20,
	[CHIP_BH1750] = &i2c_bh1750,
	[CHIP_BME280] = &i2c_bme280,
	[CHIP_BMP280] = &i2c_bmp280,
	[CHIP_HTU21D] = &i2c_htu21d,
	[CHIP_INA219] = &i2c_ina219,
	[CHIP_INA226] = &i2c_ina226,
	[CHIP_LM75] = &i2c_lm75,
	[CHIP_LM75B] = &i2c_lm75b,
	[CHIP_LPS22] = &i2c_lps22,
	[CHIP_MCP3421] = &i2c_mcp3421,
	[CHIP_MCP9808] = &i2c_mcp9808,
	[CHIP_PCF8591] = &i2c_pcf8591,
	[CHIP_SCD4X] = &i2c_scd4x,
	[CHIP_SHT3X] = &i2c_sht3x,
	[CHIP_SHT4X] = &i2c_sht4x,
	[CHIP_SI7021] = &i2c_si7021,
	[CHIP_TMP102] = &i2c_tmp102,
	[CHIP_TMP105] = &i2c_tmp105,
	[CHIP_TMP117] = &i2c_tmp117,
	[CHIP_TMP75] = &i2c_tmp75,
	[CHIP_VEML7700] = &i2c_veml7700,
};

const struct i2c_chip *i2c_chip_get(int64_t chip)
{
	return chips[chip];
}

bool i2c_chip_has_address(const struct i2c_chip *chip, uint16_t address)
{
	return (address >= chip->first && address <= chip->last) ||
	       (address >= chip->second_first && address <= chip->second_last);
}

const struct i2c_channel *i2c_chip_find_channel(const struct i2c_chip *chip, const char *name)
{
	for (uint8_t i = 0; i < chip->n_channels; i++) {
		if (strcmp(chip->channels[i].name, name) == 0) {
			return &chip->channels[i];
		}
	}
	return NULL;
}

void i2c_chip_list_channels(const struct i2c_chip *chip, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (uint8_t i = 0; i < chip->n_channels && used < size; i++) {
		int n = snprintf(ret_text + used, size - used, "%s%s", i > 0 ? ", " : "",
			chip->channels[i].name);

		used += n > 0 ? (size_t)n : 0;
	}
}

const struct i2c_choice *i2c_chip_choose(const struct i2c_choice *choices, double value)
{
	if (!choices || value == 0) {
		return choices;
	}
	for (; choices->value != 0; choices++) {
		if (choices->value == value) {
			return choices;
		}
	}
	return NULL;
}

struct i2c_settings i2c_chip_settings(
	const struct i2c_chip *chip, const struct i2c_settings *wanted)
{
	const struct i2c_choice *full_scale = i2c_chip_choose(
		chip->full_scales, wanted->full_scale);
	const struct i2c_choice *bits = i2c_chip_choose(chip->bits, wanted->bits);

	return (struct i2c_settings){
		.full_scale = full_scale ? full_scale->value : 0,
		.bits = bits ? (uint8_t)bits->value : 0,
		.shunt = wanted->shunt != 0 ? wanted->shunt : chip->shunt,
		.reference = wanted->reference != 0 ? wanted->reference : chip->reference,
	};
}

bool i2c_chip_test(const struct i2c_test *test, const uint8_t *data)
{
	const struct i2c_field field = {.at = test->at, .width = test->width, .mask = test->mask};

	return test->width == 0 ||
	       (i2c_field_get(&field, data) == (int64_t)test->value) != test->is_not;
}

bool i2c_chip_check(uint8_t check, const uint8_t *data, uint8_t n)
{
	uint8_t initial = check == CHECK_ALL_ZERO ? 0 : 0xff;
	uint8_t length = check == CHECK_WORDS ? 3 : n;

	if (check == CHECK_NONE) {
		return true;
	}
	for (uint8_t at = 0; at + length <= n; at = (uint8_t)(at + length)) {
		const uint8_t *part = data + at;

		if (i2c_crc8(CRC8_SENSIRION, initial, part, length - 1u) != part[length - 1]) {
			return false;
		}
	}
	return true;
}

int i2c_chip_value(const struct i2c_channel *channel, const struct i2c_input *in, double *ret)
{
	int64_t number;

	if (channel->formula) {
		return channel->formula(in, ret);
	}
	number = i2c_field_get(&channel->field, in->data);
	if (channel->has_no_value && number == channel->no_value) {
		return -ENODATA;
	}
	*ret = (double)number * channel->scale + channel->offset;
	return 0;
}
