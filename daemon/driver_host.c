/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

static void ignore_report(struct scg_bus *bus, struct scg_sensor *sensor, int64_t time_ns,
	double value, uint32_t quality)
{
}

static void ignore_failure(struct scg_bus *bus, struct scg_sensor *sensor, const char *reason)
{
}

static void ignore_complaint(const struct scg_bus *bus, const struct scg_sensor *sensor,
	const char *option, const char *format, ...)
{
}

static void ignore_text(const struct scg_bus *bus, uint32_t kind, const char *format, ...)
{
}

static int32_t never_stopping(const struct scg_bus *bus)
{
	return 0;
}

static void ignore_link(const struct scg_bus *bus, const char *link, const char *advice)
{
}

static void ignore_request(const struct scg_bus *bus, const char *what, uint32_t n_sensors,
	int64_t interval_ns, int64_t least_ns, int64_t likely_ns)
{
}

static void ignore_count(struct scg_bus *bus, const char *name, uint64_t n)
{
}

const struct scg_host driver_deaf_host = {
	.abi = SCG_ABI_LEVEL,
	.report = ignore_report,
	.fail = ignore_failure,
	.complain = ignore_complaint,
	.log = ignore_text,
	.stopping = never_stopping,
	.plan_link = ignore_link,
	.plan_request = ignore_request,
	.tell = ignore_text,
	.count = ignore_count,
};
