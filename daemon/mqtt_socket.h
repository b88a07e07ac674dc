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
/*
 * Acknowledges at once what was received. A broker with Nagle's algorithm (RFC 896; mosquitto by
 * default) keeps its next PUBACK back until the last one is acknowledged, and the kernel delays
 * that by 40 ms when there is nothing to send: once for each window of a replay. Not lasting: see
 * tcp(7), TCP_QUICKACK.
 */
void mqtt_socket_acknowledge(int fd);
/* The other side has closed, or reset, and nothing is left to read. */
bool mqtt_socket_is_at_end(int fd);

#endif
