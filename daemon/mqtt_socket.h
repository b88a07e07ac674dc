/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_MQTT_SOCKET_H
#define SCG_MQTT_SOCKET_H

/*
 * Private part of mqtt.c: what it asks of the library's socket behind the library's back. Called by
 * the thread that owns the connection.
 */

#include <stdbool.h>

/* The unspecified address of the family in text; NULL for AF_UNSPEC. */
const char *mqtt_socket_any_address(int family);
/* AF_INET or AF_INET6. */
int mqtt_socket_family(int fd);
/* 0, or the negative errno with which connecting failed. */
int mqtt_socket_error(int fd);
/* The connection ends when sent data was not acknowledged for so long; without it the kernel tries
   for a quarter of an hour. */
void mqtt_socket_set_timeout(int fd, int seconds);
/* The other side has closed, or reset, and nothing is left to read. */
bool mqtt_socket_is_at_end(int fd);

#endif
