/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt_version.h"

static bool is_turn_of_311(const struct mqtt_version *v)
{
	return v->protocol == MQTT_PROTOCOL_AUTO && v->unanswered >= 2 && v->unanswered % 2 == 0;
}

int mqtt_version_next(const struct mqtt_version *v)
{
	return v->protocol == MQTT_PROTOCOL_311 || v->only_311 || is_turn_of_311(v) ? 4 : 5;
}

void mqtt_version_connected(struct mqtt_version *v, int version)
{
	/* where 3.1.1 was a guess that proved right, 5 gets one try before it the next time */
	v->unanswered = version == 4 ? 1 : 0;
}

enum mqtt_failure_kind mqtt_version_failed(
	struct mqtt_version *v, int version, enum mqtt_failure_kind kind)
{
	if (kind == MQTT_FAILURE_PROTOCOL) {
		if (v->protocol != MQTT_PROTOCOL_AUTO || version == 4) {
			return MQTT_FAILURE_CONFIG; /* there is no other version to try */
		}
		v->only_311 = true;
	} else if (kind == MQTT_FAILURE_NETWORK && (version == 5 || v->unanswered > 0)) {
		v->unanswered++;
		return is_turn_of_311(v) ? MQTT_FAILURE_PROTOCOL : kind;
	}
	return kind;
}
