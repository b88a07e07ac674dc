/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAN_BITRATE_H
#define CAN_BITRATE_H

/*
 * The bit rate of a CAN interface: for those who do not leave it to systemd-networkd.
 */

#include "sensocan-driver.h"

/* Whether the driver was built with what this takes. */
#ifdef HAVE_LIBSOCKETCAN
#define CAN_HAS_BITRATE 1
#else
#define CAN_HAS_BITRATE 0
#endif

/* The interface gets bit rate and mode of the bus's options and is up, if it was not so before. 0,
   or a negative errno; what a person can do about it goes to the log. */
int can_bitrate_set(struct scg_bus *bus);

#endif
