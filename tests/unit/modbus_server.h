/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_SERVER_H
#define MODBUS_SERVER_H

/*
 * A Modbus slave on libmodbus, for tests: accepts any number of TCP connections, or has a serial
 * line; answers the four functions that read, and lets a handler decide how. One thread runs it;
 * the handler is called there. Like a gateway to a serial line it does one request at a time.
 */

#include <stdint.h>

struct modbus_server_request {
	uint8_t unit, function;
	uint16_t address, count;
};

/* What a handler fills: `count` registers or bits. */
union modbus_server_values {
	uint16_t registers[125];
	uint8_t bits[2000]; /* each 0 or 1 */
};

/* What a handler returns: an exception code, or one of these. */
#define MODBUS_SERVER_VALUES 0
#define MODBUS_SERVER_SILENT (-1)
#define MODBUS_SERVER_LATE   (-2) /* answers when the next request comes, just before that one */

typedef int (*modbus_server_handler)(
	void *ctx, const struct modbus_server_request *request, union modbus_server_values *values);

struct modbus_server;

/* Listens on 127.0.0.1; `port` 0 picks a free one. NULL with errno. */
struct modbus_server *modbus_server_new(int port, modbus_server_handler handler, void *ctx);
int modbus_server_port(const struct modbus_server *server);
/* Serves one unit by RTU on `fd`, a terminal or the master's end of a pseudo-terminal, which it
   closes in the end. libmodbus hears no other unit. NULL with errno. */
struct modbus_server *modbus_server_new_rtu(
	int fd, uint8_t unit, modbus_server_handler handler, void *ctx);
/* How many were accepted so far; also from a signal handler. */
unsigned modbus_server_connections(const struct modbus_server *server);
/* Serves until modbus_server_stop(). 0 or a negative errno. */
int modbus_server_run(struct modbus_server *server);
/* From any thread or signal handler. */
void modbus_server_stop(struct modbus_server *server);
/* Closes all connections as well. */
void modbus_server_free(struct modbus_server *server);

#endif
