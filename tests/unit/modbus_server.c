/* SPDX-License-Identifier: Apache-2.0 */
#include "modbus_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FDS_MAX 1024 /* libmodbus puts descriptors into an fd_set */

struct late_answer {
	int fd; /* -1: none */
	int size;
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	union modbus_server_values values;
};

struct modbus_server {
	modbus_t *modbus;
	modbus_mapping_t *mapping;
	modbus_server_handler handler;
	void *ctx;
	int listen_fd, stop_fd, epoll_fd, port;
	int line_fd;     /* of RTU, or -1 */
	int header_size; /* before the function: 7 bytes of TCP, or the unit */
	_Atomic unsigned n_connections;
	bool is_client[FDS_MAX];
	struct late_answer late;
};

static struct modbus_server *give_up(struct modbus_server *server)
{
	int saved = errno;

	modbus_server_free(server);
	errno = saved;
	return NULL;
}

static int watch(struct modbus_server *server, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* What both kinds have. `modbus` may be NULL, with errno. */
static struct modbus_server *server_new(modbus_t *modbus, modbus_server_handler handler, void *ctx)
{
	struct modbus_server *server = calloc(1, sizeof(*server));

	if (!server) {
		modbus_free(modbus);
		return NULL;
	}
	server->modbus = modbus;
	server->handler = handler;
	server->ctx = ctx;
	server->late.fd = -1;
	server->listen_fd = -1;
	server->line_fd = -1;
	server->header_size = modbus ? modbus_get_header_length(modbus) : 0;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->mapping = modbus_mapping_new(65536, 65536, 65536, 65536);
	if (!modbus || !server->mapping || server->stop_fd < 0 || server->epoll_fd < 0 ||
		watch(server, server->stop_fd) < 0) {
		return give_up(server);
	}
	return server;
}

struct modbus_server *modbus_server_new(int port, modbus_server_handler handler, void *ctx)
{
	struct modbus_server *server = server_new(modbus_new_tcp("127.0.0.1", port), handler, ctx);
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	if (!server) {
		return NULL;
	}
	server->listen_fd = modbus_tcp_listen(server->modbus, 64);
	if (server->listen_fd < 0 || watch(server, server->listen_fd) < 0 ||
		getsockname(server->listen_fd, (struct sockaddr *)(void *)&address, &size) < 0) {
		return give_up(server);
	}
	server->port = ntohs(address.sin_port);
	return server;
}

struct modbus_server *modbus_server_new_rtu(
	int fd, uint8_t unit, modbus_server_handler handler, void *ctx)
{
	/* The name and the settings would matter to modbus_connect() only. */
	struct modbus_server *server = server_new(
		modbus_new_rtu("line", 19200, 'N', 8, 1), handler, ctx);

	if (!server) {
		return NULL;
	}
	if (modbus_set_slave(server->modbus, unit) < 0 || watch(server, fd) < 0) {
		return give_up(server);
	}
	server->line_fd = fd;
	return server;
}

int modbus_server_port(const struct modbus_server *server)
{
	return server->port;
}

unsigned modbus_server_connections(const struct modbus_server *server)
{
	return server->n_connections;
}

static void drop_client(struct modbus_server *server, int fd)
{
	server->is_client[fd] = false;
	if (server->late.fd == fd) {
		server->late.fd = -1;
	}
	(void)close(fd); /* leaves the epoll set by itself */
}

static void accept_client(struct modbus_server *server)
{
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		return;
	}
	if (fd >= FDS_MAX || watch(server, fd) < 0) {
		(void)close(fd);
		return;
	}
	server->is_client[fd] = true;
	server->n_connections++;
}

static bool is_bits(uint8_t function)
{
	return function == MODBUS_FC_READ_COILS || function == MODBUS_FC_READ_DISCRETE_INPUTS;
}

/* libmodbus answers from its map of all registers: the values have to be there. */
static int reply(struct modbus_server *server, int fd, const uint8_t *query, int size,
	const union modbus_server_values *values)
{
	const uint8_t *pdu = query + server->header_size;
	uint8_t function = pdu[0];
	uint16_t address = (uint16_t)(pdu[1] << 8 | pdu[2]);
	size_t count = (size_t)pdu[3] << 8 | pdu[4];
	modbus_mapping_t *map = server->mapping;

	if (is_bits(function)) {
		uint8_t *bits = function == MODBUS_FC_READ_COILS ? map->tab_bits
								 : map->tab_input_bits;

		memcpy(bits + address, values->bits, count);
	} else {
		uint16_t *registers = function == MODBUS_FC_READ_HOLDING_REGISTERS
					      ? map->tab_registers
					      : map->tab_input_registers;

		memcpy(registers + address, values->registers, count * sizeof(*registers));
	}
	modbus_set_socket(server->modbus, fd);
	return modbus_reply(server->modbus, query, size, map);
}

static void send_late(struct modbus_server *server)
{
	struct late_answer *late = &server->late;

	if (late->fd >= 0) {
		(void)reply(server, late->fd, late->query, late->size, &late->values);
		late->fd = -1;
	}
}

/* libmodbus has taken a whole frame, but the request in it may be anything. */
static bool parse(const struct modbus_server *server, const uint8_t *query, int size,
	struct modbus_server_request *ret)
{
	const uint8_t *pdu = query + server->header_size;
	int rest = server->line_fd >= 0 ? 2 : 0; /* the checksum */
	uint32_t address, count, most;

	if (size != server->header_size + 5 + rest || pdu[0] < MODBUS_FC_READ_COILS ||
		pdu[0] > MODBUS_FC_READ_INPUT_REGISTERS) {
		return false;
	}
	address = (uint32_t)pdu[1] << 8 | pdu[2];
	count = (uint32_t)pdu[3] << 8 | pdu[4];
	most = is_bits(pdu[0]) ? MODBUS_MAX_READ_BITS : MODBUS_MAX_READ_REGISTERS;
	if (count == 0 || count > most || address + count > 65536) {
		return false;
	}
	*ret = (struct modbus_server_request){pdu[-1], pdu[0], (uint16_t)address, (uint16_t)count};
	return true;
}

static int serve(struct modbus_server *server, int fd, const uint8_t *query, int size)
{
	struct modbus_server_request request;
	union modbus_server_values values = {{0}};
	int r;

	if (!parse(server, query, size, &request)) {
		return modbus_reply_exception(
			server->modbus, query, MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE);
	}
	r = server->handler(server->ctx, &request, &values);
	send_late(server);
	modbus_set_socket(server->modbus, fd);
	if (r > 0) {
		return modbus_reply_exception(server->modbus, query, (unsigned int)r);
	}
	if (r == MODBUS_SERVER_LATE) {
		server->late.fd = fd;
		server->late.size = size;
		server->late.values = values;
		memcpy(server->late.query, query, (size_t)size);
	}
	return r == MODBUS_SERVER_VALUES ? reply(server, fd, query, size, &values) : 0;
}

static void handle_client(struct modbus_server *server, int fd)
{
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	int size;

	modbus_set_socket(server->modbus, fd);
	size = modbus_receive(server->modbus, query);
	if (fd == server->line_fd && size <= 0) {
		return; /* noise, or for another unit */
	}
	if (size < 0 || (size > 0 && serve(server, fd, query, size) < 0)) {
		drop_client(server, fd);
	}
}

int modbus_server_run(struct modbus_server *server)
{
	for (;;) {
		struct epoll_event events[16];
		int n = epoll_wait(server->epoll_fd, events, 16, -1);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == server->stop_fd) {
				return 0;
			}
			if (fd == server->listen_fd) {
				accept_client(server);
			} else {
				handle_client(server, fd);
			}
		}
	}
}

void modbus_server_stop(struct modbus_server *server)
{
	static const uint64_t one = 1;

	/* Cannot fail before 2^64 stops. */
	ssize_t n = write(server->stop_fd, &one, sizeof(one));
	(void)n;
}

void modbus_server_free(struct modbus_server *server)
{
	if (!server) {
		return;
	}
	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (server->is_client[fd]) {
			(void)close(fd);
		}
	}
	if (server->listen_fd >= 0) {
		(void)close(server->listen_fd);
	}
	if (server->line_fd >= 0) {
		(void)close(server->line_fd);
	}
	if (server->stop_fd >= 0) {
		(void)close(server->stop_fd);
	}
	if (server->epoll_fd >= 0) {
		(void)close(server->epoll_fd);
	}
	if (server->mapping) {
		modbus_mapping_free(server->mapping);
	}
	if (server->modbus) {
		modbus_free(server->modbus);
	}
	free(server);
}
