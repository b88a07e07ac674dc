/* SPDX-License-Identifier: Apache-2.0 */
#include "bitrate.h"

#include <errno.h>

#include "options.h"

#if CAN_HAS_BITRATE

#include <libsocketcan.h>
#include <stdbool.h>

/* After bus-off the controller waits so long before it takes part again. */
#define RESTART_MS 100

static bool is_set(const char *name, const struct scg_bus *bus)
{
	struct can_bittiming timing = {0};
	struct can_ctrlmode mode = {0};
	int state = CAN_STATE_STOPPED;
	bool listens;

	if (can_get_state(name, &state) < 0 || state == CAN_STATE_STOPPED ||
		can_get_bittiming(name, &timing) < 0 || can_get_ctrlmode(name, &mode) < 0) {
		return false;
	}
	listens = mode.flags & CAN_CTRLMODE_LISTENONLY;
	return timing.bitrate == bus->options[BUS_BITRATE].i &&
	       listens == (bus->options[BUS_LISTEN_ONLY].i != 0);
}

int can_bitrate_set(struct scg_bus *bus)
{
	const char *name = bus->options[BUS_INTERFACE].s;
	struct can_ctrlmode mode = {.mask = CAN_CTRLMODE_LISTENONLY,
		.flags = bus->options[BUS_LISTEN_ONLY].i ? CAN_CTRLMODE_LISTENONLY : 0};

	if (is_set(name, bus)) {
		return 0;
	}
	if (can_do_stop(name) < 0 ||
		can_set_bitrate(name, (uint32_t)bus->options[BUS_BITRATE].i) < 0 ||
		can_set_ctrlmode(name, &mode) < 0) {
		bus->host->log(bus, SCG_LOG_WARNING,
			"the bit rate of %s cannot be set to %d bit/s: it takes an interface that "
			"can do this, CAP_NET_ADMIN, and RestrictAddressFamilies=AF_NETLINK; "
			"without the option bitrate systemd-networkd can do it",
			name, (int)bus->options[BUS_BITRATE].i);
		return -EPERM;
	}
	(void)can_set_restart_ms(name, RESTART_MS); /* some drivers cannot, and stay off */
	return can_do_start(name) < 0 ? -EIO : 0;
}

#else

int can_bitrate_set(struct scg_bus *bus)
{
	return -EOPNOTSUPP; /* check() has said so */
}

#endif
