/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_FIXTURE_H
#define MODBUS_FIXTURE_H

/*
 * A Modbus slave in a process of its own, which says in shared memory what it was asked, and a bus
 * of the driver that talks to it. Change the slave only while no request is under way.
 */

#include <sys/types.h>

#include "fake_host.h"
#include "modbus_server.h"

/* Tables as the sensor option counts them. */
enum { HOLDING, INPUT, COIL, DISCRETE };

#define SLAVE_REQUESTS_MAX 4096

struct slave {
	pid_t pid; /* 0: not running */
	int port;
	uint16_t registers[2][65536];      /* HOLDING, INPUT: the same for all units */
	uint8_t bits[2][65536];            /* COIL, DISCRETE */
	int behaviour[256];                /* by unit: what the handler returns */
	uint32_t refused_from, refused_to; /* [from, to): exception refused_code */
	int refused_code;
	int busy_answers;     /* after so many the behaviour of a unit is honest again; 0: never */
	unsigned most;        /* registers that it takes in one request; 0: no limit */
	int most_code;        /* what it returns for more */
	bool stop_at_request; /* sets `stop` at the next one */
	_Atomic bool stop;    /* for fake_bus.stop */
	struct modbus_server_request requests[SLAVE_REQUESTS_MAX];
	size_t n_requests; /* since slave_forget() */
};

struct slave *slave_new(void);
void slave_free(struct slave *slave);
/* The process is gone, and back on the same port. */
void slave_kill(struct slave *slave);
void slave_restart(struct slave *slave);
void slave_forget(struct slave *slave);
size_t slave_requests_to(const struct slave *slave, uint8_t unit);

/* A bus of the driver for this slave; further options overrule. */
struct fake_bus *slave_bus(const struct slave *slave, const char *options);
/* Opens if need be, one round of all sensors; must succeed. */
void bus_round(struct fake_bus *f);
/* The test fails unless that is the last that was said of the sensor. */
void assert_value(const struct fake_bus *f, const struct scg_sensor *sensor, double value);
void assert_failed(const struct fake_bus *f, const struct scg_sensor *sensor, const char *reason);
/* Frees; the test fails if the driver broke a rule. */
void bus_done(struct fake_bus *f);

#endif
