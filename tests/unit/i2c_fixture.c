/* SPDX-License-Identifier: Apache-2.0 */
#include "i2c_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util.h"

struct fake_bus *i2c_bus_new(void)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));

	fake_i2c_reset(FAKE_I2C_RAW);
	return fake_bus_new(directory, "i2c", "device: " FAKE_I2C_DEVICE);
}

void i2c_bus_free(struct fake_bus *f)
{
	fake_bus_close(f);
	assert_string_equal("", f->violation);
	fake_bus_free(f);
}

struct scg_sensor *i2c_bus_add(struct fake_bus *f, const char *options)
{
	_cleanup_(freep) char *name = xasprintf("s%u", f->bus.n_sensors);

	return fake_bus_add(f, name, NS_PER_S, options);
}

int i2c_bus_round(struct fake_bus *f)
{
	if (!f->is_open) {
		assert_int_equal(0, fake_bus_open(f));
	}
	fake_bus_forget(f);
	return fake_bus_round(f);
}

double i2c_bus_value(struct fake_bus *f, uint32_t sensor)
{
	const struct fake_result *result = fake_bus_result(f, f->sensors[sensor]);

	assert_non_null(result);
	if (!result->is_good) {
		fail_msg("sensor %u: %s", sensor, result->reason);
	}
	return result->value;
}

const char *i2c_bus_reason(struct fake_bus *f, uint32_t sensor)
{
	const struct fake_result *result = fake_bus_result(f, f->sensors[sensor]);

	assert_non_null(result);
	assert_false(result->is_good);
	return result->reason;
}

static int transfer_sht3x(
	struct fake_chip *chip, const uint8_t *write, size_t n_write, uint8_t *read, size_t n_read)
{
	static const uint8_t answer[] = {0x66, 0x66, 0x93, 0x66, 0x66, 0x93};
	struct fake_sht3x *sht = container_of(chip, struct fake_sht3x, chip);

	if (n_write == 2 && memcmp(write, "\x24\x00", 2) == 0 && n_read == 0) {
		sht->n_triggers++;
		sht->ready_ns = fake_i2c.now_ns + 15 * NS_PER_MS;
		return 0;
	}
	if (n_write > 0 || n_read != sizeof(answer) || sht->ready_ns == 0 ||
		fake_i2c.now_ns < sht->ready_ns) {
		return -ENXIO;
	}
	sht->ready_ns = 0;
	memcpy(read, answer, n_read);
	read[5] ^= sht->is_corrupt;
	return 0;
}

void fake_sht3x_add(struct fake_sht3x *sht, uint16_t address)
{
	*sht = (struct fake_sht3x){.chip = {.address = address, .transfer = transfer_sht3x}};
	fake_i2c_add(&sht->chip);
}
