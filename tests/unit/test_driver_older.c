/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver built at level 1, with the header of that time, under the daemon of today.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "driver.h"
#include "util.h"

_Static_assert(SCG_ABI_LEVEL > 1, "this needs the newer header");

static double last_value;
static unsigned n_reports;

static void report(struct scg_bus *bus, struct scg_sensor *sensor, int64_t time_ns, double value,
	uint32_t quality)
{
	last_value = value;
	n_reports++;
}

static void test_older_driver_works(void **state)
{
	static const struct scg_host host = {.abi = SCG_ABI_LEVEL, .report = report};
	union scg_value bus_options[] = {{.s = "/dev/one"}};
	union scg_value sensor_options[] = {{.i = 42}};
	struct scg_sensor sensor = {.name = "temp", .options = sensor_options};
	struct scg_sensor *sensors[] = {&sensor};
	struct scg_bus bus = {.host = &host,
		.name = "one",
		.options = bus_options,
		.sensors = sensors,
		.n_sensors = 1,
		.fd = -1};
	_cleanup_(freep) char *error = NULL;
	const struct scg_driver *driver = driver_find("level-one", &error);

	assert_null(error);
	assert_non_null(driver);
	assert_int_equal(driver->abi, 1);
	/* what comes after the end of its own structure is not read as ours */
	assert_null(driver->plan);
	assert_null(driver->scan);
	assert_null(driver->probe);
	assert_int_equal(driver->open(&bus), 0);
	assert_int_equal(driver->poll(&bus, sensors, 1), 0);
	driver->close(&bus);
	assert_int_equal(n_reports, 1);
	assert_true(last_value == 42);
}

static void test_newer_driver_is_refused(void **state)
{
	_cleanup_(freep) char *error = NULL;

	assert_null(driver_find("too-new", &error));
	assert_non_null(strstr(error, "built for driver ABI 3, this daemon has 2"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_older_driver_works),
		cmocka_unit_test(test_newer_driver_is_refused),
	};
	_cleanup_(freep) char *directory = xasprintf("%s/tests/unit/drivers", getenv("BUILD_DIR"));

	driver_add_directory(directory);
	return cmocka_run_group_tests_name("driver_older", tests, NULL, NULL);
}
