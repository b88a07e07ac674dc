/* SPDX-License-Identifier: Apache-2.0 */
#include "modbus_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util.h"

static int handle(
	void *ctx, const struct modbus_server_request *request, union modbus_server_values *values)
{
	struct slave *slave = ctx;
	uint32_t end = (uint32_t)request->address + request->count;

	if (slave->n_requests < SLAVE_REQUESTS_MAX) {
		slave->requests[slave->n_requests++] = *request;
	}
	if (slave->stop_at_request) {
		slave->stop = true;
	}
	if (request->address < slave->refused_to && end > slave->refused_from) {
		return slave->refused_code;
	}
	if (slave->most && request->count > slave->most) {
		return slave->most_code;
	}
	switch (request->function) {
	case 1:
	case 2:
		memcpy(values->bits, slave->bits[request->function - 1] + request->address,
			request->count);
		break;
	default:
		memcpy(values->registers,
			slave->registers[request->function - 3] + request->address,
			request->count * sizeof(uint16_t));
		break;
	}
	if (slave->busy_answers && slave->behaviour[request->unit] && --slave->busy_answers == 0) {
		slave->behaviour[request->unit] = MODBUS_SERVER_VALUES;
		return 6;
	}
	return slave->behaviour[request->unit];
}

void slave_restart(struct slave *slave)
{
	struct modbus_server *server = modbus_server_new(slave->port, handle, slave);
	pid_t pid;

	assert_non_null(server);
	slave->port = modbus_server_port(server);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(modbus_server_run(server) < 0);
	}
	slave->pid = pid; /* not before: the child shares it */
	modbus_server_free(server);
}

void slave_kill(struct slave *slave)
{
	(void)kill(slave->pid, SIGKILL);
	(void)waitpid(slave->pid, NULL, 0);
	slave->pid = 0;
}

struct slave *slave_new(void)
{
	struct slave *slave = mmap(
		NULL, sizeof(*slave), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(slave != MAP_FAILED);
	for (uint32_t i = 0; i < 65536; i++) {
		slave->registers[HOLDING][i] = (uint16_t)i;
		slave->registers[INPUT][i] = (uint16_t)~i;
		slave->bits[0][i] = i % 3 == 0;
		slave->bits[1][i] = i % 5 == 0;
	}
	slave_restart(slave);
	return slave;
}

void slave_free(struct slave *slave)
{
	if (slave->pid) {
		slave_kill(slave);
	}
	(void)munmap(slave, sizeof(*slave));
}

void slave_forget(struct slave *slave)
{
	slave->n_requests = 0;
}

size_t slave_requests_to(const struct slave *slave, uint8_t unit)
{
	size_t n = 0;

	for (size_t i = 0; i < slave->n_requests; i++) {
		n += slave->requests[i].unit == unit;
	}
	return n;
}

struct fake_bus *slave_bus(const struct slave *slave, const char *options)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));
	_cleanup_(freep) char *address = xasprintf(
		"host: 127.0.0.1, response_timeout: 5s, port: %d", slave->port);
	struct fake_bus *f = fake_bus_new(directory, "modbus", address);

	fake_bus_set(f, options);
	return f;
}

void bus_round(struct fake_bus *f)
{
	fake_bus_forget(f);
	if (!f->is_open) {
		assert_int_equal(0, fake_bus_open(f));
	}
	assert_int_equal(0, fake_bus_round(f));
}

void assert_value(const struct fake_bus *f, const struct scg_sensor *sensor, double value)
{
	const struct fake_result *result = fake_bus_result(f, sensor);

	assert_non_null(result);
	if (!result->is_good) {
		fail_msg("%s: %s", sensor->name, result->reason);
	}
	if (!(result->value == value || (isnan(result->value) && isnan(value)))) {
		fail_msg("%s: %.17g, not %.17g", sensor->name, result->value, value);
	}
}

void assert_failed(const struct fake_bus *f, const struct scg_sensor *sensor, const char *reason)
{
	const struct fake_result *result = fake_bus_result(f, sensor);

	assert_non_null(result);
	assert_false(result->is_good);
	assert_string_equal(reason, result->reason);
}

void bus_done(struct fake_bus *f)
{
	fake_bus_close(f);
	assert_string_equal("", f->violation);
	fake_bus_free(f);
}
