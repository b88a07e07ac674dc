/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Modbus slave on libmodbus for the system tests and the benchmarks: TCP on 127.0.0.1, or RTU.
 *
 *     slave_libmodbus [--port PORT | --rtu DEVICE] [--units N] [--registers N] [--counter]
 *                     [--silent UNIT]... [--delay MS] [--refuse FROM-TO=CODE]
 *
 * Units 1 to N (default 10) have N registers each (default 1000) in every table; beyond them a
 * request gets exception 11 (unit) or 2 (register). A register, holding and input alike, always is
 * (1000 * unit + register) modulo 65536; a coil or a discrete input is the lowest bit of that.
 * Prints "listening PORT" when it is ready; PORT 0, the default, is a free one.
 *
 * --rtu DEVICE          makes a pseudo-terminal, with DEVICE a symbolic link to it, and is unit 1
 * on that line; prints "listening DEVICE". When it ends, the port is unplugged
 * --counter             a register is how often it was read, this time included, modulo 65536: a
 *                       reader that misses none sees each number from 1 on once
 * --silent UNIT         never answers for that unit
 * --delay MS            waits before each answer; other requests wait with it, as on a serial line
 * --refuse FROM-TO=CODE answers requests that touch registers FROM to TO by exception CODE
 *
 * SIGUSR1, and the end by SIGTERM or SIGINT, print "requests R registers Q connections C": what was
 * asked for so far, and how often somebody connected. SIGUSR2 makes all units silent, and the next
 * one lets them speak again.
 */
#include "modbus_server.h"

#include <errno.h>
#include <getopt.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define EXCEPTION_ADDRESS 2
#define EXCEPTION_TARGET  11
#define TABLES            4

struct slave {
	const char *device; /* NULL: TCP */
	int64_t units, registers, delay_ms;
	bool is_counter;
	bool is_silent[256];
	int64_t refuse_from, refuse_to; /* inclusive; from > to: none */
	int refuse_code;
	uint16_t *counts; /* [TABLES][units][registers], for is_counter */
};

/* Touched by signal handlers. */
static struct modbus_server *server;
static _Atomic unsigned long long n_requests, n_registers;
static _Atomic bool all_silent;

static uint16_t next_value(
	struct slave *slave, const struct modbus_server_request *request, int64_t at)
{
	size_t table = request->function - 1u;
	size_t row = table * (size_t)slave->units + request->unit - 1u;

	if (slave->is_counter) {
		return ++slave->counts[row * (size_t)slave->registers + (size_t)at];
	}
	return (uint16_t)(1000 * request->unit + at);
}

static int handle(
	void *ctx, const struct modbus_server_request *request, union modbus_server_values *values)
{
	struct slave *slave = ctx;
	int64_t begin = request->address, end = begin + request->count;

	n_requests++;
	n_registers += request->count;
	if (slave->is_silent[request->unit] || all_silent) {
		return MODBUS_SERVER_SILENT;
	}
	if (slave->delay_ms > 0) {
		const struct timespec delay = {.tv_sec = slave->delay_ms / 1000,
			.tv_nsec = (long)(slave->delay_ms % 1000) * 1000000};

		(void)nanosleep(&delay, NULL); /* a signal only shortens it */
	}
	if (request->unit < 1 || request->unit > slave->units) {
		return EXCEPTION_TARGET;
	}
	if (begin <= slave->refuse_to && end > slave->refuse_from) {
		return slave->refuse_code;
	}
	if (end > slave->registers) {
		return EXCEPTION_ADDRESS;
	}
	for (int64_t at = begin; at < end; at++) {
		uint16_t value = next_value(slave, request, at);

		if (request->function <= 2) {
			values->bits[at - begin] = value & 1;
		} else {
			values->registers[at - begin] = value;
		}
	}
	return MODBUS_SERVER_VALUES;
}

/* Async-signal-safe. */
static void print_counts(void)
{
	char text[96];
	char *end = text + sizeof(text);
	unsigned long long numbers[] = {modbus_server_connections(server), n_registers, n_requests};
	static const char *const words[] = {" connections ", " registers ", "requests "};
	ssize_t written;

	*--end = '\n';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		do {
			*--end = (char)('0' + numbers[i] % 10);
			numbers[i] /= 10;
		} while (numbers[i]);
		end -= strlen(words[i]);
		memcpy(end, words[i], strlen(words[i]));
	}
	written = write(STDOUT_FILENO, end, (size_t)(text + sizeof(text) - end));
	(void)written; /* nobody reads: nothing to be done */
}

static void on_signal(int signal)
{
	int saved = errno;

	if (signal == SIGUSR1) {
		print_counts();
	} else if (signal == SIGUSR2) {
		all_silent = !all_silent;
	} else {
		modbus_server_stop(server);
	}
	errno = saved;
}

_Noreturn static void usage(void)
{
	(void)fputs("usage: slave_libmodbus [--port PORT | --rtu DEVICE] [--units N]\n"
		    "    [--registers N] [--counter] [--silent UNIT]... [--delay MS]\n"
		    "    [--refuse FROM-TO=CODE]\n",
		stderr);
	exit(64);
}

static int64_t parse_number(const char *text, int64_t min, int64_t max)
{
	int64_t number = 0;

	if (!text || parse_i64(text, &number) < 0 || number < min || number > max) {
		usage();
	}
	return number;
}

/* FROM-TO=CODE */
static void parse_refuse(struct slave *slave, char *text)
{
	char *rest = text;
	const char *from = strsep(&rest, "-");
	const char *to = strsep(&rest, "=");

	slave->refuse_from = parse_number(from, 0, 65535);
	slave->refuse_to = parse_number(to, slave->refuse_from, 65535);
	slave->refuse_code = (int)parse_number(rest, 1, 11);
}

static int parse_arguments(int argc, char **argv, struct slave *slave)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},
		{"rtu", required_argument, NULL, 't'},
		{"units", required_argument, NULL, 'u'},
		{"registers", required_argument, NULL, 'n'},
		{"counter", no_argument, NULL, 'c'},
		{"silent", required_argument, NULL, 's'},
		{"delay", required_argument, NULL, 'd'},
		{"refuse", required_argument, NULL, 'r'},
		{0},
	};
	int port = 0, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'p':
			port = (int)parse_number(optarg, 0, 65535);
			break;
		case 't':
			slave->device = optarg;
			break;
		case 'u':
			slave->units = parse_number(optarg, 1, 255);
			break;
		case 'n':
			slave->registers = parse_number(optarg, 1, 65536);
			break;
		case 'c':
			slave->is_counter = true;
			break;
		case 's':
			slave->is_silent[parse_number(optarg, 0, 255)] = true;
			break;
		case 'd':
			slave->delay_ms = parse_number(optarg, 0, 60000);
			break;
		case 'r':
			parse_refuse(slave, optarg);
			break;
		default:
			usage();
		}
	}
	if (optind != argc) {
		usage();
	}
	return port;
}

/* One end of the pair stays open unused, or the other would hang up whenever the gateway does. */
static struct modbus_server *new_rtu(struct slave *slave)
{
	struct termios raw = {0};
	char name[64];
	int line, other;

	cfmakeraw(&raw);
	raw.c_cflag |= CREAD;
	if (openpty(&line, &other, name, &raw, NULL) < 0) {
		return NULL;
	}
	(void)unlink(slave->device); /* what a killed one left behind */
	if (symlink(name, slave->device) < 0) {
		return NULL;
	}
	return modbus_server_new_rtu(line, 1, handle, slave);
}

static void print_ready(const struct slave *slave)
{
	if (slave->device) {
		(void)printf("listening %s\n", slave->device);
	} else {
		(void)printf("listening %d\n", modbus_server_port(server));
	}
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	struct slave slave = {.units = 10, .registers = 1000, .refuse_to = -1};
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int port = parse_arguments(argc, argv, &slave);
	int r;

	if (slave.is_counter) {
		slave.counts = xcalloc(TABLES * (size_t)slave.units * (size_t)slave.registers,
			sizeof(*slave.counts));
	}
	server = slave.device ? new_rtu(&slave) : modbus_server_new(port, handle, &slave);
	if (!server) {
		perror("slave_libmodbus");
		return 1;
	}
	if (sigaction(SIGUSR1, &action, NULL) < 0 || sigaction(SIGUSR2, &action, NULL) < 0 ||
		sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0) {
		perror("slave_libmodbus");
		return 1;
	}
	print_ready(&slave);
	r = modbus_server_run(server);
	print_counts();
	modbus_server_free(server);
	free(slave.counts);
	return r < 0;
}
