/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RTU_SLAVE_H
#define RTU_SLAVE_H

/*
 * A slave for RTU frames in a process of its own, behind a pseudo-terminal or, as a serial device
 * server would be, a TCP port. It writes down in shared memory what it was asked and how long the
 * line was silent before, and plays tricks on request. Change it only while no request is under
 * way.
 *
 * Register r of unit u is 1000 * u + r, holding and input alike; a bit is the lowest bit of that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fake_host.h"

#define RTU_REQUESTS_MAX 4096

enum rtu_trick {
	RTU_HONEST,
	RTU_SILENT,
	RTU_STOP,          /* silent, and sets `stop` */
	RTU_LATE,          /* after delay_ms */
	RTU_SPLIT,         /* byte by byte */
	RTU_ZERO_FIRST,    /* 00 before the answer */
	RTU_NOISE_FIRST,   /* random bytes before the answer */
	RTU_HALF_FIRST,    /* the beginning of the answer, then the whole */
	RTU_ECHO,          /* the request, then the answer */
	RTU_ECHO_ONLY,     /* an adapter that hears itself, and a dead slave */
	RTU_GARBAGE_AFTER, /* random bytes after the answer, in one go */
	RTU_WRONG_CRC,
	RTU_WRONG_UNIT,
	RTU_WRONG_FUNCTION,
	RTU_WRONG_LENGTH, /* a register more than asked for, checksum and all */
	RTU_TRUNCATED,
	RTU_RANDOM,
	RTU_EXCEPTION, /* code 4 */
	RTU_HANG_UP,   /* TCP: closes the connection after an honest answer */
};

struct rtu_request {
	uint8_t unit, function;
	uint16_t address, count;
	int64_t silence_ns; /* since the last byte it sent, or INT64_MAX */
};

struct rtu_slave {
	pid_t pid;
	bool is_tcp;
	int port;                  /* of TCP */
	char directory[32];        /* where `device` is */
	char device[48];           /* symbolic link to the terminal */
	enum rtu_trick trick[256]; /* by unit */
	bool only_once;            /* the next trick is the last one */
	int delay_ms;
	_Atomic bool babble; /* bytes without an end */
	_Atomic bool stop;   /* for fake_bus.stop */
	struct rtu_request requests[RTU_REQUESTS_MAX];
	_Atomic size_t n_requests;
};

struct rtu_slave *rtu_slave_new(bool is_tcp);
void rtu_slave_free(struct rtu_slave *slave);
/* Unplugged, and back under the same name. */
void rtu_slave_kill(struct rtu_slave *slave);
void rtu_slave_restart(struct rtu_slave *slave);
/* The driver's bus for it, 19200 8N1, 300 ms; further options overrule. */
struct fake_bus *rtu_slave_bus(const struct rtu_slave *slave, const char *options);
/* Opens the bus of a line that nobody had before: without the silence that the driver keeps until
   an answer to such a one can no longer come. */
void rtu_slave_open(struct fake_bus *f);
/* A new terminal with a symbolic link to it: the master's end, and the other one raw. */
int rtu_open_terminal(const char *link, int *ret_other);

#endif
