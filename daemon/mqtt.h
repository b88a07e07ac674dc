/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_MQTT_H
#define SCG_MQTT_H

/*
 * One connection to an MQTT broker, driven from the caller's poll loop, without a thread of the
 * library. Knows nothing of sensors. The only file that knows libmosquitto. All calls for one
 * object from one thread; callbacks come from inside mqtt_process() on that thread and must not
 * call back into the object.
 *
 * Life: mqtt_new(), mqtt_connect(), then poll() for mqtt_fd() with mqtt_poll_events() and
 * mqtt_timeout_ms(), and mqtt_process() after each poll, until it is MQTT_CLOSED: mqtt_failure()
 * says why. mqtt_connect() may be called again then; it always starts with a fresh library handle,
 * so that nothing unacknowledged is ever sent again behind the caller's back: whatever was not
 * acknowledged by then is the caller's to send again or not.
 *
 * Blocking: mqtt_connect() looks the host name up, which can take the resolver's time-out (10 s and
 * more). Nothing else blocks: connecting, the TLS handshake and sending proceed in mqtt_process().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_protocol { MQTT_PROTOCOL_AUTO, MQTT_PROTOCOL_5, MQTT_PROTOCOL_311 };

struct mqtt_options {
	const char *host;
	uint16_t port;
	const char *client_id;
	const char *username; /* NULL: none */
	const char *password;
	enum mqtt_protocol
		protocol; /* AUTO: 5, and 3.1.1 from the next connect where that is refused */
	int keepalive_s;  /* 5 to 65535 */
	bool tls;
	const char *ca_file;              /* NULL: the system's */
	const char *cert_file, *key_file; /* both or none */
	int64_t connect_timeout_ns;       /* from the end of the name lookup to CONNACK */
};

enum mqtt_state {
	MQTT_CLOSED,
	MQTT_CONNECTING, /* TCP, TLS, CONNECT sent */
	MQTT_CONNECTED,
};

/* Why a connection is closed, by what the caller has to do about it. */
enum mqtt_failure_kind {
	MQTT_FAILURE_NONE,
	MQTT_FAILURE_NETWORK,    /* lookup, refused, unreachable, time-out: try again */
	MQTT_FAILURE_TLS,        /* certificate, host name, handshake: try again slowly */
	MQTT_FAILURE_LOGIN,      /* CONNACK: bad user name or password, not authorised, banned, bad
				    client id: try again slowly */
	MQTT_FAILURE_BUSY,       /* CONNACK or DISCONNECT: server busy, unavailable, quota, rate */
	MQTT_FAILURE_PROTOCOL,   /* the broker does not speak this version: the next mqtt_connect()
				    uses 3.1.1 if the protocol is AUTO */
	MQTT_FAILURE_TOO_LARGE,  /* DISCONNECT: packet too large (149) */
	MQTT_FAILURE_TAKEN_OVER, /* DISCONNECT 142: another client with this client id */
	MQTT_FAILURE_CLOSED,     /* the broker or the network closed an established connection */
	MQTT_FAILURE_KEEPALIVE,  /* no PINGRESP: the connection was dead */
	MQTT_FAILURE_CONFIG,     /* a certificate or key file cannot be used */
};

struct mqtt_failure {
	enum mqtt_failure_kind kind;
	char text[256]; /* for a person: "CONNACK: not authorised (135)", "mqtt.example.com:8883:
			   ..." */
};

struct mqtt_callbacks {
	/*
	 * The message `mid` of mqtt_publish() is dealt with: PUBACK (QoS 1), or written to the
	 * socket (QoS 0). `reason` is the MQTT 5 reason code, 0 under 3.1.1; 128 and above: the
	 * broker did not take it, `text` says why.
	 */
	void (*acknowledged)(void *ctx, int mid, int reason, const char *text);
	void *ctx;
};

struct mqtt;

/* Once for the process, by main, before any thread. */
void mqtt_library_init(void);
void mqtt_library_cleanup(void);

/* Strings of `options` must outlive the object. */
struct mqtt *mqtt_new(const struct mqtt_options *options, const struct mqtt_callbacks *callbacks);
void mqtt_free(struct mqtt *m); /* closes at once, without a DISCONNECT if one could not be sent */

/* Starts to connect. 0, or a negative errno with mqtt_failure() set and the state MQTT_CLOSED. */
int mqtt_connect(struct mqtt *m);
enum mqtt_state mqtt_state(const struct mqtt *m);
const struct mqtt_failure *mqtt_failure(const struct mqtt *m);

int mqtt_fd(const struct mqtt *m);            /* -1 when closed */
short mqtt_poll_events(const struct mqtt *m); /* POLLIN, POLLOUT */
int mqtt_timeout_ms(
	const struct mqtt *m); /* until mqtt_process() is due without an event; -1 never */
/* After each poll(), with its revents (0 on time-out). Returns the state. */
enum mqtt_state mqtt_process(struct mqtt *m, short revents);

/*
 * Sends a message. Only when MQTT_CONNECTED. 0 with *ret_mid. Nothing is sent with -EMSGSIZE:
 * larger than the broker takes; -EAGAIN: as many unacknowledged as it takes already; -EINVAL: no
 * topic to publish to; -EOPNOTSUPP: the broker does not take this QoS. -ENOTCONN: not connected, or
 * not any more: see mqtt_state().
 */
int mqtt_publish(
	struct mqtt *m, const char *topic, const void *payload, size_t size, int qos, int *ret_mid);
/* Bytes that are in the library and not yet in the socket's buffer: false while there are any. */
bool mqtt_is_flushed(const struct mqtt *m);
/* Sends DISCONNECT and closes as soon as it is out; at the latest by mqtt_free(). */
void mqtt_disconnect(struct mqtt *m);

/* Closes at once, without a word to the broker; mqtt_failure() is KEEPALIVE with this text. */
void mqtt_abort(struct mqtt *m, const char *text);

/* What the broker said in CONNACK, valid while connected. */
size_t mqtt_max_message_size(const struct mqtt *m);  /* largest payload+topic; SIZE_MAX: no limit */
unsigned mqtt_receive_maximum(const struct mqtt *m); /* unacknowledged messages it takes; 65535 */
int mqtt_protocol_version(const struct mqtt *m);     /* 5 or 4 (3.1.1) */

#endif
