/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_MQTT_VERSION_H
#define SCG_MQTT_VERSION_H

/*
 * Private part of mqtt.c: which version of MQTT the next connection speaks, from how the last ones
 * ended. Versions are those of CONNECT: 5, and 4 for 3.1.1. Pure functions over the caller's
 * struct.
 *
 * A broker that knows nothing of MQTT 5 says so, or closes the connection without a word. So does
 * one that is just starting, and under 3.1.1 refused messages look delivered: hence a mere closing
 * leads to 3.1.1 only when it happened twice, and then by turns.
 */

#include <stdbool.h>

#include "mqtt.h"

struct mqtt_version {
	enum mqtt_protocol protocol; /* what is configured */
	bool only_311;               /* the broker said that it does not speak MQTT 5 */
	unsigned unanswered; /* logins in a row that ended without a CONNACK, MQTT 5 first */
};

int mqtt_version_next(const struct mqtt_version *v);
void mqtt_version_connected(struct mqtt_version *v, int version);
/* A login with `version` ended so. Returns `kind`, or MQTT_FAILURE_PROTOCOL if the next one will be
   with 3.1.1. */
enum mqtt_failure_kind mqtt_version_failed(
	struct mqtt_version *v, int version, enum mqtt_failure_kind kind);

#endif
