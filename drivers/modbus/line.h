/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODBUS_LINE_H
#define MODBUS_LINE_H

/*
 * Getting hold of the line that RTU frames go over: a serial port, or a connection to a serial
 * device server. Both are a descriptor that never blocks; what goes over it is rtu.c's.
 */

#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "internal.h"

/* Waits for `events` of poll() until `deadline_ns`. Those that came, 0 if the time is over,
   -ECANCELED within 100 ms if the daemon stops, or another negative errno. */
int modbus_line_wait(struct scg_bus *bus, int fd, short events, int64_t deadline_ns);
/* Connects to the options' host and port. A descriptor, or a negative errno as above. */
int modbus_line_dial(struct scg_bus *bus);

/* Opens the options' device, for this process alone, as the options say and not nearly so. A
   descriptor, or a negative errno. */
int modbus_serial_open(struct scg_bus *bus);
void modbus_serial_close(int fd);
/* Speed and framing of these options, and what came before is thrown away. 0, -EINVAL if the port
   cannot do that, or another negative errno. */
int modbus_serial_tune(const union scg_value *options, int fd);
bool modbus_serial_has_rate(int64_t baud);
/* "300, 600, ...": all rates there are. */
void modbus_serial_list_rates(char *text, size_t size);

#endif
