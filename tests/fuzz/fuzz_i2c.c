/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any answers to the I2C driver, with every channel of every chip and some registers on one bus. A
 * transfer takes one byte that says how it ends, and then what the chip gives. The driver must
 * neither leave its buffers nor be at work for ever, report no value that is not finite, and say
 * why there is none. Time passes when the driver sleeps.
 */
#include "fuzz.h"

#include <errno.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "i2c/chip.h"
#include "i2c/options.h"

#define SENSORS_MAX 64
#define POLLS_MAX   400
#define CALLS_MAX   4000

static const uint8_t *input;
static size_t input_size;
static int64_t now_ns = 1000000000;
static uint32_t n_calls;

static uint8_t take(void)
{
	if (input_size == 0) {
		return 0;
	}
	input_size--;
	return *input++;
}

/* The headers have these names too: the build renames the functions everywhere. */
int fuzz_clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	*ret = (struct timespec){.tv_sec = now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
	return 0;
}

int fuzz_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	FUZZ_REQUIRE(time->tv_sec == 0 && time->tv_nsec > 0 && time->tv_nsec < 1000000000);
	now_ns += time->tv_nsec;
	return 0;
}

static int answer(struct i2c_rdwr_ioctl_data *data)
{
	static const int errors[] = {ENXIO, EREMOTEIO, EIO, ETIMEDOUT, EAGAIN, ENODEV, EBUSY};
	uint8_t how = take();

	n_calls++;
	now_ns += 300000;
	if (how >= 0xf0) {
		errno = errors[how % (sizeof(errors) / sizeof(errors[0]))];
		return -1;
	}
	for (uint32_t i = 0; i < data->nmsgs; i++) {
		for (uint16_t j = 0; data->msgs[i].flags & I2C_M_RD && j < data->msgs[i].len; j++) {
			data->msgs[i].buf[j] = take();
		}
	}
	return how == 0xef ? 0 : (int)data->nmsgs;
}

int fuzz_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *argument;

	(void)fd;
	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (request == I2C_FUNCS) {
		*(unsigned long *)argument = I2C_FUNC_I2C | I2C_FUNC_10BIT_ADDR;
	}
	return request == I2C_RDWR ? answer(argument) : 0;
}

/* --- the daemon's part --- */

static bool is_done[SENSORS_MAX];
static struct scg_sensor sensors[SENSORS_MAX], *list[SENSORS_MAX];
static union scg_value options[SENSORS_MAX][N_SENSOR_OPTIONS];

static void host_report(struct scg_bus *bus, struct scg_sensor *sensor, int64_t time_ns,
	double value, uint32_t quality)
{
	(void)bus;
	FUZZ_REQUIRE(isfinite(value) && time_ns == now_ns && quality == SCG_GOOD);
	is_done[sensor - sensors] = true;
}

static void host_fail(struct scg_bus *bus, struct scg_sensor *sensor, const char *reason)
{
	(void)bus;
	FUZZ_REQUIRE(*reason);
	is_done[sensor - sensors] = true;
}

static void host_log(const struct scg_bus *bus, uint32_t level, const char *format, ...)
{
	(void)bus;
	(void)level;
	(void)format;
}

static int32_t host_stopping(const struct scg_bus *bus)
{
	(void)bus;
	return n_calls > CALLS_MAX;
}

static void host_count(struct scg_bus *bus, const char *name, uint64_t n)
{
	(void)bus;
	FUZZ_REQUIRE(*name && n > 0);
}

static const struct scg_host host = {
	.abi = SCG_ABI_LEVEL,
	.report = host_report,
	.fail = host_fail,
	.log = host_log,
	.stopping = host_stopping,
	.count = host_count,
};

static union scg_value *add_sensor(uint32_t *n, int64_t address, int64_t chip)
{
	union scg_value *o = options[*n];

	memset(o, 0, sizeof(options[0]));
	o[SENSOR_ADDRESS].i = address;
	o[SENSOR_CHIP].i = chip;
	o[SENSOR_REGISTER].i = -1;
	o[SENSOR_REGISTER_WIDTH].i = o[SENSOR_WIDTH].i = 1;
	sensors[*n] = (struct scg_sensor){.name = "s", .options = o, .interval_ns = 1000000000};
	list[*n] = &sensors[*n];
	++*n;
	FUZZ_REQUIRE(*n < SENSORS_MAX);
	return o;
}

static uint32_t add_sensors(void)
{
	uint32_t n = 0;

	for (int64_t i = CHIP_NONE + 1; i < N_CHIPS; i++) {
		const struct i2c_chip *chip = i2c_chip_get(i);

		for (uint8_t j = 0; j < chip->n_channels; j++) {
			add_sensor(&n, chip->first, i)[SENSOR_CHANNEL].s = chip->channels[j].name;
		}
	}
	for (int64_t i = 0; i < 4; i++) {
		union scg_value *o = add_sensor(&n, 0x20, CHIP_NONE);

		o[SENSOR_REGISTER].i = 2 * i;
		o[SENSOR_WIDTH].i = 1 + i;
		o[SENSOR_SIGNED].i = i & 1;
		o[SENSOR_PEC].i = i == 3;
		o[SENSOR_AUTO_INCREMENT].i = i < 2;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const union scg_value bus_options[N_BUS_OPTIONS] = {
		[BUS_DEVICE] = {.s = "/dev/null"}, [BUS_FREQUENCY] = {.i = 100000}};
	struct scg_bus bus = {
		.host = &host, .name = "fuzz", .options = bus_options, .sensors = list, .fd = -1};
	struct scg_sensor *due[SENSORS_MAX];
	int r = 0;

	input = data;
	input_size = size;
	n_calls = 0;
	bus.n_sensors = add_sensors();
	FUZZ_REQUIRE(scg_driver_1.open(&bus) == 0);
	while (input_size > 0 && r == 0 && n_calls < CALLS_MAX) {
		uint32_t n_due = bus.n_sensors;

		memset(is_done, 0, sizeof(is_done));
		for (int i = 0; n_due > 0 && r == 0 && n_calls < CALLS_MAX; i++) {
			FUZZ_REQUIRE(i < POLLS_MAX * (int)bus.n_sensors);
			n_due = 0;
			for (uint32_t j = 0; j < bus.n_sensors; j++) {
				if (!is_done[j]) {
					due[n_due++] = list[j];
				}
			}
			r = n_due > 0 ? scg_driver_1.poll(&bus, due, n_due) : 0;
			FUZZ_REQUIRE(r <= 0);
		}
		now_ns += 1000000000;
	}
	scg_driver_1.close(&bus);
	return 0;
}
