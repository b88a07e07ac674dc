/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

/*
 * What to do when a chip does not give what was hoped for, so that one that is broken, or was
 * pulled out, costs the others on the bus a bounded share of its time.
 *
 * What fails quickly is tried a second time before anything fails: a transfer may be disturbed. A
 * chip that does not become ready has had its time.
 * After three failures in a row the chip rests, for an interval at first and twice as long each
 * time. After each failure it is configured anew: it may have been without power.
 */

#define NS_PER_S       INT64_C(1000000000)
#define REST_MIN_NS    NS_PER_S
#define REST_MAX_NS    (60 * NS_PER_S)
#define MISSES_TO_REST 3u
/* What takes longer than this is not tried twice: the adapter waits a second or two for a bus that
   does not move. */
#define SLOW_NS (NS_PER_S / 10)

struct explanation {
	int error;
	const char *counter; /* NULL: nothing that happens on the bus */
	const char *text;
};

static const struct explanation explanations[] = {
	{-ENXIO, "not_acknowledged",
		"nobody answers: check power, wiring and address, or the chip refuses the command"},
	{-ETIMEDOUT, "bus_held",
		"the bus does not move: a chip holds a line down, or pull-up resistors are missing"},
	{-EBADMSG, "checksum", "the checksum (PEC) is wrong"},
	{RUN_CHECKSUM, "checksum", "the checksum is wrong"},
	{RUN_NOT_READY, "not_ready", "the measurement does not become ready"},
	{RUN_RESET, "resets", "the chip was reset and is configured again"},
	{RUN_OTHER, "other_chip", "another chip answers: its identification is a different one"},
	{-EOPNOTSUPP, NULL,
		"this adapter cannot transfer that: it knows SMBus calls only, or no ten-bit "
		"addresses"},
};

static const struct explanation broken_off = {
	-EIO, "broken_off", "the transfer broke off: noise, or a chip that hangs"};

static const struct explanation *explain(int error)
{
	for (uint32_t i = 0; i < SCG_COUNT(explanations); i++) {
		if (explanations[i].error == error) {
			return &explanations[i];
		}
	}
	return &broken_off;
}

static void fail_due(struct i2c_bus *b, uint32_t begin, uint32_t end, const char *reason)
{
	for (uint32_t i = begin; i < end; i++) {
		if (i2c_is_due(b, &b->sensors[i])) {
			b->bus->host->fail(b->bus, b->sensors[i].sensor, reason);
			b->sensors[i].due = b->generation - 1;
			b->n_dealt++;
		}
	}
}

static void fail_device(struct i2c_bus *b, const struct i2c_device *device, const char *reason)
{
	fail_due(b, b->measures[device->begin].begin, b->measures[device->end - 1].end, reason);
}

bool i2c_health_rests(struct i2c_bus *b, const struct i2c_sensor *sensor, int64_t now_ns)
{
	const struct i2c_device *device = sensor->measure->device;

	if (device->misses < MISSES_TO_REST || now_ns >= device->rest_until_ns) {
		return false;
	}
	b->bus->host->fail(b->bus, sensor->sensor, device->reason);
	b->n_dealt++;
	return true;
}

void i2c_health_good(struct i2c_device *device)
{
	device->misses = 0;
	device->rest_ns = 0;
}

static void rest(struct i2c_device *device, int64_t interval_ns, int64_t now_ns)
{
	int64_t most_ns = interval_ns > REST_MAX_NS ? interval_ns : REST_MAX_NS;

	device->rest_ns = device->rest_ns ? 2 * device->rest_ns : interval_ns;
	if (device->rest_ns < REST_MIN_NS) {
		device->rest_ns = REST_MIN_NS;
	}
	if (device->rest_ns > most_ns) {
		device->rest_ns = most_ns;
	}
	device->rest_until_ns = now_ns + device->rest_ns;
}

/* The address is the kernel's, which is no fault of the chip, and costs the bus nothing. */
static void fail_owned(struct i2c_bus *b, const struct i2c_device *device, const char *name)
{
	char owner[80], reason[I2C_REASON_MAX];

	i2c_sysfs_owner(b->adapter.number, device->target.address, owner, sizeof(owner));
	(void)snprintf(reason, sizeof(reason),
		"%s: %s has this address: read it there, or take the chip from it", name, owner);
	fail_device(b, device, reason);
}

void i2c_health_bad(struct i2c_bus *b, struct i2c_device *device, const struct i2c_measure *measure,
	int error, int64_t took_ns, int64_t now_ns)
{
	const struct explanation *why = explain(error);
	char name[32], reason[I2C_REASON_MAX];

	device->is_configured = false;
	i2c_setup_describe(device, name, sizeof(name));
	if (error == -EBUSY) {
		fail_owned(b, device, name);
		return;
	}
	if (why->counter) {
		b->bus->host->count(b->bus, why->counter, 1);
	}
	device->misses += device->misses < MISSES_TO_REST;
	if (device->misses == 1 && why->counter && error != RUN_NOT_READY && took_ns < SLOW_NS) {
		return; /* what was due stays due */
	}
	if (device->misses < MISSES_TO_REST) {
		(void)snprintf(reason, sizeof(reason), "%s: %s", name, why->text);
		fail_due(b, measure->begin, measure->end, reason);
		return;
	}
	rest(device, b->sensors[measure->begin].sensor->interval_ns, now_ns);
	(void)snprintf(device->reason, sizeof(device->reason), "%s: %s; asked again every %g s",
		name, why->text, (double)device->rest_ns / (double)NS_PER_S);
	fail_device(b, device, device->reason);
}
