/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define NS_PER_US   INT64_C(1000)
#define PATIENCE_US 50000u
/* Between looks at a chip that is not ready. */
#define LOOK_MIN_NS INT64_C(1000000)
#define LOOKS       16

void i2c_run_begin(struct i2c_device *device, struct i2c_measure *measure)
{
	device->measure = measure;
	device->phase = device->chip && device->chip->init && !device->is_configured
				? PHASE_INIT
				: PHASE_MEASURE;
	device->step = 0;
	device->is_written = false;
	device->next_ns = 0;
	device->give_up_ns = 0;
	device->n_data = 0;
}

static void reset(struct i2c_device *device)
{
	device->phase = PHASE_IDLE;
	device->measure = NULL;
}

/* The part of the step that comes now: its write, its read, or both. */
static int exchange(struct i2c_bus *b, struct i2c_device *device, const struct i2c_step *step)
{
	bool writes = step->n_write > 0 && !device->is_written;
	bool reads = step->n_read > 0 && (!writes || step->wait_us == 0);
	const struct i2c_exchange x = {
		.target = device->target,
		.write = step->write,
		.n_write = writes ? step->n_write : 0,
		.read = device->data + device->n_data,
		.n_read = reads ? step->n_read : 0,
	};

	if (device->n_data + step->n_read > I2C_DATA_MAX) {
		return -EOPNOTSUPP;
	}
	b->n_transfers++;
	return i2c_adapter_exchange(&b->adapter, &x);
}

static const struct i2c_step *steps_of(const struct i2c_device *device, uint8_t *ret_n)
{
	if (device->phase == PHASE_INIT) {
		*ret_n = device->chip->n_init;
		return device->chip->init;
	}
	*ret_n = device->measure->n_steps;
	return device->measure->steps;
}

/* The step is made again a little later, unless that has gone on for too long. */
static int look_again(struct i2c_device *device, const struct i2c_step *step)
{
	int64_t patience_ns = (step->patience_us ? step->patience_us : PATIENCE_US) * NS_PER_US;
	int64_t pause_ns = patience_ns / LOOKS, now_ns = i2c_now_ns();

	if (device->give_up_ns == 0) {
		device->give_up_ns = now_ns + patience_ns;
	}
	if (now_ns >= device->give_up_ns) {
		return RUN_NOT_READY;
	}
	device->is_written = false;
	device->next_ns = now_ns + (pause_ns > LOOK_MIN_NS ? pause_ns : LOOK_MIN_NS);
	return 1;
}

static void wait_after(struct i2c_device *device, const struct i2c_step *step)
{
	if (step->wait_us > 0) {
		device->next_ns = i2c_now_ns() + step->wait_us * NS_PER_US;
	}
}

/* What the step has read. 0, 1 if it is to be made again, or what is wrong. */
static int judge(struct i2c_device *device, const struct i2c_step *step)
{
	const uint8_t *data = device->data + device->n_data;

	if (!i2c_chip_check(step->check, data, step->n_read)) {
		return RUN_CHECKSUM;
	}
	if (!i2c_chip_test(&step->configured, data)) {
		return device->phase == PHASE_INIT ? RUN_OTHER : RUN_RESET;
	}
	if (!i2c_chip_test(&step->ready, data)) {
		return look_again(device, step);
	}
	return 0;
}

/* 0 if there is something to go on with, 1 if the chip needs time, or what is wrong. */
static int do_step(struct i2c_bus *b, struct i2c_device *device, const struct i2c_step *step)
{
	bool waits_to_read = step->n_write > 0 && step->n_read > 0 && step->wait_us > 0;
	int r = exchange(b, device, step);

	/* A chip that is busy does not acknowledge that it shall be read. */
	if (r == -ENXIO && step->n_write == 0 && device->step > 0) {
		return look_again(device, step);
	}
	if (r < 0) {
		return r;
	}
	if (waits_to_read && !device->is_written) {
		device->is_written = true;
		wait_after(device, step);
		return 0;
	}
	if (step->n_read > 0) {
		r = judge(device, step);
		if (r != 0) {
			return r;
		}
		device->n_data = (uint8_t)(device->n_data + step->n_read);
	} else {
		wait_after(device, step);
	}
	device->step++;
	device->is_written = false;
	device->give_up_ns = 0;
	return 0;
}

/* All steps of the phase are done: true if that was the last phase. */
static bool finish_phase(struct i2c_device *device)
{
	if (device->phase == PHASE_MEASURE) {
		return true;
	}
	memcpy(device->memory, device->data, device->n_data);
	device->n_memory = device->n_data;
	device->is_configured = true;
	device->phase = PHASE_MEASURE;
	device->step = 0;
	device->n_data = 0;
	return false;
}

enum i2c_event i2c_run(struct i2c_bus *b, struct i2c_device *device, int *ret_error)
{
	for (;;) {
		uint8_t n;
		const struct i2c_step *steps = steps_of(device, &n);
		int r;

		if (device->next_ns > i2c_now_ns()) {
			return RUN_WAITS;
		}
		if (device->step == n) {
			if (finish_phase(device)) {
				reset(device);
				return RUN_DONE;
			}
			continue;
		}
		if (b->bus->host->stopping(b->bus)) {
			return RUN_STOPPED;
		}
		r = do_step(b, device, &steps[device->step]);
		if (r < 0) {
			reset(device);
			*ret_error = r;
			return RUN_FAILED;
		}
	}
}
