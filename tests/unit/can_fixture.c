/* SPDX-License-Identifier: Apache-2.0 */
#include "can_fixture.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "util.h"

#define PATIENCE_NS (20 * NS_PER_S)

static void make_pair(int *ret_tx, int *ret_rx)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	*ret_rx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*ret_tx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(*ret_rx >= 0 && *ret_tx >= 0);
	assert_int_equal(bind(*ret_rx, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(*ret_rx, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(*ret_tx, (struct sockaddr *)&address, sizeof(address)), 0);
}

struct can_fixture *can_fixture_new(const char *options)
{
	_cleanup_(freep) char *directory = xasprintf("%s/tests/unit/can", getenv("BUILD_DIR"));
	_cleanup_(freep) char *all = NULL;
	struct can_fixture *c = xcalloc(1, sizeof(*c));

	make_pair(&c->tx, &c->rx);
	make_pair(&c->scan_tx, &c->scan_rx);
	all = xasprintf("interface: %d,%d%s%s", c->rx, c->scan_rx, *options ? ", " : "", options);
	c->fake = fake_bus_new(directory, "can", all);
	return c;
}

void can_fixture_free(struct can_fixture *c)
{
	fake_bus_close(c->fake);
	assert_string_equal(c->fake->violation, "");
	fake_bus_free(c->fake);
	(void)close(c->tx);
	(void)close(c->rx);
	(void)close(c->scan_tx);
	(void)close(c->scan_rx);
	free(c);
}

struct scg_sensor *can_fixture_add(
	struct can_fixture *c, const char *name, int64_t interval_ns, const char *options)
{
	return fake_bus_add(c->fake, name, interval_ns, options);
}

void can_fixture_open(struct can_fixture *c)
{
	assert_int_equal(fake_bus_check(c->fake), 0);
	assert_int_equal(fake_bus_open(c->fake), 0);
}

void can_send(int fd, uint32_t can_id, const void *data, uint8_t size)
{
	struct can_frame frame = {.can_id = can_id, .len = size};

	memcpy(frame.data, data, MIN(size, sizeof(frame.data)));
	assert_int_equal(send(fd, &frame, sizeof(frame), 0), sizeof(frame));
}

void can_send_fd(int fd, uint32_t can_id, const void *data, uint8_t size)
{
	struct canfd_frame frame = {.can_id = can_id, .len = size, .flags = CANFD_BRS};

	memcpy(frame.data, data, MIN(size, sizeof(frame.data)));
	assert_int_equal(send(fd, &frame, sizeof(frame), 0), sizeof(frame));
}

void can_wait_results(struct can_fixture *c, size_t n)
{
	while (c->fake->n_results < n) {
		assert_int_equal(fake_bus_dispatch(c->fake, PATIENCE_NS), 0);
	}
}

void can_wait_count(struct can_fixture *c, const char *name, uint64_t n)
{
	while (fake_bus_counted(c->fake, name) < n) {
		assert_int_equal(fake_bus_dispatch(c->fake, PATIENCE_NS), 0);
	}
}
