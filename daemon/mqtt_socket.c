/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

const char *mqtt_socket_any_address(int family)
{
	if (family == AF_UNSPEC) {
		return NULL;
	}
	return family == AF_INET6 ? "::" : "0.0.0.0";
}

int mqtt_socket_family(int fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(address);

	(void)getsockname(fd, (struct sockaddr *)&address, &size);
	return address.ss_family;
}

int mqtt_socket_error(int fd)
{
	struct sockaddr_storage address;
	struct tcp_info info = {0};
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
		error = errno;
	}
	size = sizeof(address);
	if (error == 0 && getpeername(fd, (struct sockaddr *)&address, &size) < 0) {
		/* The library tried to write at once, and was given the error in our place. There
		   is a round-trip time if the connection ever stood. */
		size = sizeof(info);
		(void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
		error = info.tcpi_rtt > 0 ? ECONNRESET : ECONNREFUSED;
	}
	return -error;
}

void mqtt_socket_set_timeout(int fd, int seconds)
{
	unsigned timeout_ms = (unsigned)seconds * 1000;

	/* without it the library's keepalive still ends a dead connection, only later */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

void mqtt_socket_acknowledge(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on)); /* slower without */
}

bool mqtt_socket_is_at_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}
