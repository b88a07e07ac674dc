/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_MQTT_TEXT_H
#define SCG_MQTT_TEXT_H

/*
 * Private part of mqtt.c: what the reason codes of MQTT mean, and why a connection ended, in words
 * and in what to do. Pure functions, any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"

/* How far a connection has come; MQTT_PHASE_LOGIN: CONNECT is sent, no CONNACK yet. */
enum mqtt_phase { MQTT_PHASE_TCP, MQTT_PHASE_TLS, MQTT_PHASE_LOGIN, MQTT_PHASE_OPEN };

/* What is known of a connection that ended. */
struct mqtt_evidence {
	enum mqtt_phase phase;
	int version; /* 5 or 4 (3.1.1) */
	bool tls;
	int keepalive_s;
	int connack;         /* its code in the CONNACK, -1: none came */
	int disconnect;      /* of the broker's DISCONNECT, -1: none came */
	bool wrong_name;     /* the certificate is for another host */
	bool no_ping;        /* a ping was not answered */
	bool no_mqtt;        /* what came is not MQTT */
	int error;           /* errno of the socket, 0: the other side closed */
	char reason[128];    /* reason string of the broker with ": " before it, or "" */
	char tls_error[160]; /* first error of OpenSSL, or "" */
	char tls_setup[160]; /* which certificate or key file is of no use, or "" */
	char refusal[160];   /* why the certificate was refused, or "" */
};

/* Takes what it needs from an error that the library logged. */
void mqtt_keep_log_line(struct mqtt_evidence *e, const char *text);
/* Why it ended, without the host. MQTT_FAILURE_NETWORK: it ended before a CONNACK came. */
enum mqtt_failure_kind mqtt_explain_end(const struct mqtt_evidence *e, char *buf, size_t size);

/* The same for a connection that took longer than `timeout_ns` to come further than `phase`. */
void mqtt_explain_late(enum mqtt_phase phase, int64_t timeout_ns, char *buf, size_t size);
/* Puts host and port before the text, and blanks for control characters of a broker's text. */
void mqtt_set_failure(struct mqtt_failure *failure, enum mqtt_failure_kind kind, const char *host,
	uint16_t port, const char *text);

/* An MQTT 5 reason code in words, "not authorised"; never NULL. */
const char *mqtt_reason_text(int reason);

#endif
