/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* MQTT 5.0, 2.4, table 2-6; the kinds are those of a CONNACK and of a DISCONNECT. */
static const struct reason {
	int code;
	enum mqtt_failure_kind connack, disconnect;
	const char *text;
} reasons[] = {
	{0, MQTT_FAILURE_NONE, MQTT_FAILURE_CLOSED, "success"},
	{16, MQTT_FAILURE_NONE, MQTT_FAILURE_CLOSED, "no matching subscribers"},
	{128, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "unspecified error"},
	{129, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "malformed packet"},
	{130, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "protocol error"},
	{131, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "implementation specific error"},
	{132, MQTT_FAILURE_PROTOCOL, MQTT_FAILURE_CLOSED, "unsupported protocol version"},
	{133, MQTT_FAILURE_LOGIN, MQTT_FAILURE_LOGIN, "client identifier not valid"},
	{134, MQTT_FAILURE_LOGIN, MQTT_FAILURE_LOGIN, "bad user name or password"},
	{135, MQTT_FAILURE_LOGIN, MQTT_FAILURE_LOGIN, "not authorised"},
	{136, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "server unavailable"},
	{137, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "server busy"},
	{138, MQTT_FAILURE_LOGIN, MQTT_FAILURE_LOGIN, "banned"},
	{139, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "server shutting down"},
	{140, MQTT_FAILURE_LOGIN, MQTT_FAILURE_LOGIN, "bad authentication method"},
	{141, MQTT_FAILURE_BUSY, MQTT_FAILURE_KEEPALIVE, "keep alive timeout"},
	{142, MQTT_FAILURE_BUSY, MQTT_FAILURE_TAKEN_OVER, "session taken over"},
	{143, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "topic filter invalid"},
	{144, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "topic name invalid"},
	{145, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "packet identifier in use"},
	{146, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "packet identifier not found"},
	{147, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "receive maximum exceeded"},
	{148, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "topic alias invalid"},
	{149, MQTT_FAILURE_BUSY, MQTT_FAILURE_TOO_LARGE, "packet too large"},
	{150, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "message rate too high"},
	{151, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "quota exceeded"},
	{152, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "administrative action"},
	{153, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "payload format invalid"},
	{154, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "retain not supported"},
	{155, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "QoS not supported"},
	{156, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "use another server"},
	{157, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "server moved"},
	{158, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "shared subscriptions not supported"},
	{159, MQTT_FAILURE_BUSY, MQTT_FAILURE_BUSY, "connection rate exceeded"},
	{160, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "maximum connect time"},
	{161, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "subscription identifiers not supported"},
	{162, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "wildcard subscriptions not supported"},
};
static const struct reason unknown_reason = {
	-1, MQTT_FAILURE_BUSY, MQTT_FAILURE_CLOSED, "unknown reason"};

static const struct reason *find_reason(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].code == code) {
			return &reasons[i];
		}
	}
	return &unknown_reason;
}

const char *mqtt_reason_text(int reason)
{
	return find_reason(reason)->text;
}

/* The MQTT 5 reason code that stands for a return code of a 3.1.1 CONNACK (MQTT 3.1.1 3.2.2.3). */
static int reason_of_311(int return_code)
{
	static const int codes[] = {0, 132, 133, 136, 134, 135};

	return return_code >= 0 && return_code < (int)ARRAY_SIZE(codes) ? codes[return_code] : 128;
}

void mqtt_keep_log_line(struct mqtt_evidence *e, const char *text)
{
	const char *last = strrchr(text, ':');

	if (strstr(text, "host name verification failed")) {
		e->wrong_name = true;
	} else if (strncmp(text, "OpenSSL Error", 13) == 0) {
		/* "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed" */
		if (!e->tls_error[0]) {
			(void)snprintf(
				e->tls_error, sizeof(e->tls_error), "%s", last ? last + 1 : text);
		}
	} else if (strncmp(text, "Error: ", 7) == 0) {
		(void)snprintf(e->tls_setup, sizeof(e->tls_setup), "%s", text + 7);
	}
}

static enum mqtt_failure_kind explain_tls(const struct mqtt_evidence *e, char *buf, size_t size)
{
	if (e->wrong_name) {
		(void)snprintf(buf, size, "the server's certificate is for another host name");
	} else if (e->refusal[0]) {
		(void)snprintf(buf, size, "the server's certificate is refused: %s", e->refusal);
	} else if (strstr(e->tls_error, "alert")) {
		(void)snprintf(
			buf, size, "the server refused the TLS connection: %s", e->tls_error);
	} else if (strstr(e->tls_error, "wrong version number")) {
		(void)snprintf(buf, size, "the server does not answer in TLS; is it a TLS port?");
	} else {
		(void)snprintf(buf, size,
			"the connection ended in the TLS handshake%s%s; is it a TLS port?",
			e->tls_error[0] ? ": " : "", e->tls_error);
	}
	return MQTT_FAILURE_TLS;
}

static enum mqtt_failure_kind explain_open(const struct mqtt_evidence *e, char *buf, size_t size)
{
	const char *why = "closed by the other side";

	if (e->tls_error[0]) {
		why = e->tls_error;
	} else if (e->error != 0) {
		why = strerror(e->error);
	}
	(void)snprintf(buf, size, "the connection was lost: %s", why);
	return MQTT_FAILURE_CLOSED;
}

static enum mqtt_failure_kind explain_login(const struct mqtt_evidence *e, char *buf, size_t size)
{
	const char *what = "the server closed the connection without an answer";

	if (e->no_mqtt) {
		what = "the server's answer is not MQTT";
	} else if (e->error != 0 && e->error != EPROTO) {
		what = strerror(e->error);
	}
	(void)snprintf(buf, size, "login with MQTT %s: %s%s", e->version == 5 ? "5" : "3.1.1", what,
		e->tls ? "" : "; is it a TLS port?");
	return MQTT_FAILURE_NETWORK;
}

enum mqtt_failure_kind mqtt_explain_end(const struct mqtt_evidence *e, char *buf, size_t size)
{
	if (e->connack > 0) {
		const struct reason *reason = find_reason(
			e->version == 5 ? e->connack : reason_of_311(e->connack));

		(void)snprintf(
			buf, size, "login refused: %s (%d)%s", reason->text, e->connack, e->reason);
		return reason->connack;
	}
	if (e->disconnect >= 0) {
		const struct reason *reason = find_reason(e->disconnect);

		(void)snprintf(buf, size, "the broker closed the connection: %s (%d)%s",
			reason->text, e->disconnect, e->reason);
		return reason->disconnect;
	}
	if (e->no_ping || (e->phase == MQTT_PHASE_OPEN && e->error == ETIMEDOUT)) {
		(void)snprintf(buf, size, "no answer within the keepalive of %d s", e->keepalive_s);
		return MQTT_FAILURE_KEEPALIVE;
	}
	if (e->phase == MQTT_PHASE_OPEN) {
		return explain_open(e, buf, size);
	}
	/* a client certificate is refused only after the handshake (RFC 8446 4.4.2.4) */
	if (e->phase == MQTT_PHASE_TLS || strstr(e->tls_error, "alert")) {
		return explain_tls(e, buf, size);
	}
	return explain_login(e, buf, size);
}

void mqtt_explain_late(enum mqtt_phase phase, int64_t timeout_ns, char *buf, size_t size)
{
	static const char *const missing[] = {
		[MQTT_PHASE_TCP] = "no answer to the connection request",
		[MQTT_PHASE_TLS] = "no end of the TLS handshake",
		[MQTT_PHASE_LOGIN] = "no answer to the login",
		[MQTT_PHASE_OPEN] = "no answer",
	};
	char duration[FORMAT_MAX];

	(void)snprintf(
		buf, size, "%s within %s", missing[phase], format_duration(duration, timeout_ns));
}

void mqtt_set_failure(struct mqtt_failure *failure, enum mqtt_failure_kind kind, const char *host,
	uint16_t port, const char *text)
{
	bool literal6 = strchr(host, ':');

	failure->kind = kind;
	(void)snprintf(failure->text, sizeof(failure->text), "%s%.128s%s:%u: %s",
		literal6 ? "[" : "", host, literal6 ? "]" : "", (unsigned)port, text);
	for (char *p = failure->text; *p; p++) {
		if ((unsigned char)*p < ' ') {
			*p = ' ';
		}
	}
}
