/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_INTERNAL_H
#define I2C_INTERNAL_H

/*
 * The inside of the I2C driver: what it remembers of a bus, of the chips on it and of what is read
 * from them together. setup.c makes it from the options; i2c.c picks what is due; run.c takes one
 * chip from step to step, and never waits itself, so that the waits of different chips overlap;
 * health.c judges what came of it.
 */

#include <stdbool.h>

#include "adapter.h"
#include "chip.h"
#include "options.h"
#include "sensocan-driver.h"

#define I2C_REASON_MAX 192u

enum i2c_phase {
	PHASE_IDLE,
	PHASE_INIT,    /* its `init` is on the way, for the measurement that comes then */
	PHASE_MEASURE, /* the steps of the measurement are */
};

/* What is read from one chip at once, for sensors[begin..end) of the bus. */
struct i2c_measure {
	struct i2c_device *device;
	uint32_t begin, end;
	uint8_t n_steps;
	struct i2c_step steps[I2C_STEPS_MAX];
};

/* One chip. */
struct i2c_device {
	struct i2c_target target;
	int64_t chip_id;             /* CHIP_... */
	const struct i2c_chip *chip; /* NULL: raw registers */
	uint32_t begin, end;         /* its measurements are measures[begin..end) of the bus */

	/* Where it is (run.c). */
	enum i2c_phase phase;
	struct i2c_measure *measure;
	uint8_t step;
	bool is_written;          /* the step has written and waits to read */
	bool is_configured;       /* `init` was done, and nothing says that it is lost */
	int64_t next_ns;          /* monotonic: nothing to be done before */
	int64_t give_up_ns;       /* it is not ready: until when that is all right; 0: it is */
	uint32_t visited;         /* i2c_bus.generation of the last look */
	uint8_t n_data, n_memory; /* what was read in the phase, and in `init` */
	uint8_t data[I2C_DATA_MAX], memory[I2C_DATA_MAX];

	/* How it behaves (health.c). */
	uint32_t misses; /* failures since it last gave values */
	int64_t rest_until_ns, rest_ns;
	char reason[I2C_REASON_MAX]; /* why it rests */
};

struct i2c_sensor {
	struct scg_sensor *sensor;
	struct i2c_measure *measure;
	const struct i2c_channel *channel; /* of the chip; NULL: `field` */
	struct i2c_settings settings;
	struct i2c_field field;
	uint32_t due; /* equals i2c_bus.generation if due in this call of poll() */
};

struct i2c_bus {
	struct scg_bus *bus;
	struct i2c_adapter adapter;
	struct i2c_sensor *sensors; /* sorted by chip and measurement */
	struct i2c_measure *measures;
	struct i2c_device *devices;
	uint32_t n_sensors, n_measures, n_devices;
	uint32_t generation;
	uint32_t n_dealt;     /* sensors reported or failed in this call of poll() */
	uint32_t n_naps;      /* calls in a row that had to wait */
	uint64_t n_transfers; /* not yet counted */
	int64_t counted_ns;
	uint32_t n_found; /* by the tool scan */
};

/* --- setup.c --- */

/* Fills what `b` has from b->bus. 0 or -ENOMEM; i2c_setup_free() in either case. Writes nothing to
   the bus's sensors. */
int i2c_setup_new(struct i2c_bus *b);
void i2c_setup_free(struct i2c_bus *b);
/* "0x76 (bme280)" */
void i2c_setup_describe(const struct i2c_device *device, char *ret_text, size_t size);

/* --- run.c --- */

enum i2c_event {
	RUN_WAITS,   /* come back at device->next_ns */
	RUN_DONE,    /* device->data has what the measurement read; the device is idle */
	RUN_FAILED,  /* *ret_error says how; the device is idle */
	RUN_STOPPED, /* the daemon wants to stop; nothing has changed */
};

/* What can be wrong besides the errors of the adapter. */
#define RUN_CHECKSUM  (-EILSEQ) /* of the chip's own */
#define RUN_NOT_READY (-EAGAIN)
#define RUN_RESET     (-ECONNRESET)  /* it has lost its configuration */
#define RUN_OTHER     (-EMEDIUMTYPE) /* it is another chip */

void i2c_run_begin(struct i2c_device *device, struct i2c_measure *measure);
/* Does what can be done without waiting. */
enum i2c_event i2c_run(struct i2c_bus *b, struct i2c_device *device, int *ret_error);

/* --- health.c --- */

/* True if the chip rests, and the sensor was failed for it. */
bool i2c_health_rests(struct i2c_bus *b, const struct i2c_sensor *sensor, int64_t now_ns);
void i2c_health_good(struct i2c_device *device);
/* A measurement has failed and took so long. What was due of it stays due, and is tried again, or
   was failed. */
void i2c_health_bad(struct i2c_bus *b, struct i2c_device *device, const struct i2c_measure *measure,
	int error, int64_t took_ns, int64_t now_ns);

/* --- i2c.c --- */

int64_t i2c_now_ns(void); /* monotonic */

static inline bool i2c_is_due(const struct i2c_bus *b, const struct i2c_sensor *sensor)
{
	return sensor->due == b->generation;
}

#endif
