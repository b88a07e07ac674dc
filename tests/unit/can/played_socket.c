/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "can/link.h"
#include "can/options.h"

/*
 * In the place of drivers/can/socket.c: sockets that the test has made. The name of the interface
 * is their numbers, "7,9": the first for the sensors, the second for whoever wants all frames.
 */

static int number(const char **text)
{
	int n = 0;

	while (**text >= '0' && **text <= '9') {
		n = 10 * n + *(*text)++ - '0';
	}
	*text += **text == ',';
	return n;
}

int can_socket_open(struct scg_bus *bus, const struct can_filter *filters, size_t n_filters)
{
	const char *text = bus->options[BUS_INTERFACE].s;
	int for_sensors = number(&text), for_all = number(&text), on = 1;
	int fd = dup(n_filters == 1 && filters[0].can_mask == 0 ? for_all : for_sensors);

	if (fd < 0) {
		return -errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) < 0) {
		(void)close(fd);
		return -ENODEV;
	}
	return fd;
}
