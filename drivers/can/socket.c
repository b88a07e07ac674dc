/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bitrate.h"
#include "link.h"
#include "options.h"

/* Wanted: what the default holds is full after 35 ms of a busy bus of 1 Mbit/s. */
#define RECEIVE_BUFFER (2 << 20)

/* Why an interface cannot be used goes to the log, with what can be done about it. */
static int find_interface(const struct scg_bus *bus, int fd, int *ret_index)
{
	const char *name = bus->options[BUS_INTERFACE].s;
	struct ifreq request = {0};

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFINDEX, &request) < 0) {
		if (errno == ENODEV) {
			bus->host->log(bus, SCG_LOG_WARNING,
				"there is no interface %s; `ip link` lists those that there are",
				name);
		}
		return -errno;
	}
	*ret_index = request.ifr_ifindex;
	return 0;
}

static int check_up(const struct scg_bus *bus, int fd)
{
	const char *name = bus->options[BUS_INTERFACE].s;
	struct ifreq request = {0};

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
		return -errno;
	}
	if (!(request.ifr_flags & IFF_UP)) {
		bus->host->log(bus, SCG_LOG_WARNING,
			"the interface %s is down: systemd-networkd can set its bit rate and take "
			"it up, or the bus's option bitrate, or `ip link set %s up type can "
			"bitrate ...`",
			name, name);
		return -ENETDOWN;
	}
	return 0;
}

static int set(int fd, int level, int option, const void *value, socklen_t size)
{
	return setsockopt(fd, level, option, value, size) < 0 ? -errno : 0;
}

static int enable(int fd, int level, int option)
{
	int on = 1;

	return set(fd, level, option, &on, sizeof(on));
}

/* Beyond the limit for users only if we may; the kernel makes a smaller one of it if not. */
static void enlarge_buffer(int fd)
{
	int size = RECEIVE_BUFFER;

	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0) {
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
}

/* All before bind(): from then on frames come. */
static int configure(
	const struct scg_bus *bus, int fd, const struct can_filter *filters, size_t n_filters)
{
	can_err_mask_t errors = CAN_ERR_MASK;
	int r = set(fd, SOL_CAN_RAW, CAN_RAW_FILTER, filters,
		(socklen_t)(n_filters * sizeof(*filters)));

	if (r == 0) {
		r = set(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof(errors));
	}
	if (r == 0 && bus->options[BUS_FD].i) {
		r = enable(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES);
	}
	if (r == 0) {
		r = enable(fd, SOL_SOCKET, SO_RXQ_OVFL);
	}
	if (r == 0) {
		r = enable(fd, SOL_SOCKET, SO_TIMESTAMPNS);
	}
	enlarge_buffer(fd);
	return r;
}

int can_socket_open(struct scg_bus *bus, const struct can_filter *filters, size_t n_filters)
{
	struct sockaddr_can address = {.can_family = AF_CAN};
	int fd = socket(PF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW), r;

	if (fd < 0) {
		r = -errno;
		if (r == -EAFNOSUPPORT) {
			bus->host->log(bus, SCG_LOG_WARNING,
				"no sockets for CAN: the kernel has none, or the service may not "
				"use them (RestrictAddressFamilies=AF_CAN)");
		}
		return r;
	}
	r = find_interface(bus, fd, &address.can_ifindex);
	if (r == 0 && bus->options[BUS_BITRATE].i > 0) {
		r = can_bitrate_set(bus);
	}
	if (r == 0) {
		r = check_up(bus, fd);
	}
	if (r == 0) {
		r = configure(bus, fd, filters, n_filters);
	}
	if (r == 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}
