/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_MQTT_TLS_H
#define SCG_MQTT_TLS_H

/*
 * Private part of mqtt.c: what libmosquitto does not tell of its TLS connection, asked of OpenSSL.
 * `ssl` is what mosquitto_ssl_get() returns. The only file that knows OpenSSL. Called by the thread
 * that owns the connection.
 */

#include <stdbool.h>
#include <stddef.h>

#include "mqtt.h"

/* The CA file of the options, or the system's. */
const char *mqtt_tls_ca_file(const struct mqtt_options *options);
/* 0, or a negative errno and which file cannot be read, and why. */
int mqtt_tls_check_files(const struct mqtt_options *options, char *buf, size_t size);
/* Knows none: OpenSSL would ask for it on the terminal, and wait. */
int mqtt_tls_no_passphrase(char *buf, int size, int writing, void *ctx);
/* The handshake is complete. False without a connection. */
bool mqtt_tls_is_established(const void *ssl);

/*
 * Why the server's certificate was refused, for a person, with what to check; "" if it was not, or
 * is not known. `ca_file` is named where the issuer is not known.
 */
void mqtt_tls_describe_refusal(const void *ssl, const char *ca_file, char *buf, size_t size);

#endif
