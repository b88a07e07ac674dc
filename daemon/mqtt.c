/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include "mqtt_socket.h"
#include "mqtt_text.h"
#include "mqtt_tls.h"
#include "mqtt_version.h"
#include "util.h"

/* A PUBLISH has at most this much besides topic and payload: 1 + 4 for the fixed header, 2 for the
   length of the topic, 2 for the packet id, 1 for no properties (MQTT 5.0 3.3); and some reserve,
   since libmosquitto 2.0.11 aborts the process on a packet that is one byte too large. */
#define PUBLISH_OVERHEAD 16
/* MQTT 5.0 1.5.5 */
#define LARGEST_PACKET 268435455

struct mqtt {
	struct mqtt_options options;
	struct mqtt_callbacks callbacks;
	struct mqtt_failure failure;
	enum mqtt_state state;

	/* what the next connection does differently because of the last ones */
	struct mqtt_version version;
	int family; /* the address family to try, AF_UNSPEC: the resolver's choice */

	/* this connection */
	struct mosquitto *handle; /* NULL when closed */
	struct mqtt_evidence evidence;
	int64_t deadline_ns; /* for the CONNACK, monotonic */
	int used_family;
	bool disconnecting;
	bool reading;    /* inside mosquitto_loop_read() */
	bool processing; /* inside mqtt_process() */
	size_t max_packet_size;
	unsigned receive_maximum;
	unsigned unacknowledged; /* messages with QoS 1 */

	/* messages with QoS 0 that were written before mqtt_publish() returned their id */
	int *written;
	size_t n_written, capacity;
};

static int start(struct mqtt *m);
static void process_connecting(struct mqtt *m, short revents);
static void process_connected(struct mqtt *m, short revents);
static bool check(struct mqtt *m, int rc);
static void close_with(struct mqtt *m, enum mqtt_failure_kind kind, const char *format, ...)
	_printf_(3, 4);

void mqtt_library_init(void)
{
	(void)mosquitto_lib_init(); /* cannot fail on Unix, nor can its opposite */
}

void mqtt_library_cleanup(void)
{
	(void)mosquitto_lib_cleanup();
}

struct mqtt *mqtt_new(const struct mqtt_options *options, const struct mqtt_callbacks *callbacks)
{
	struct mqtt *m = xcalloc(1, sizeof(*m));

	m->options = *options;
	m->callbacks = *callbacks;
	m->version.protocol = options->protocol;
	m->family = AF_UNSPEC;
	return m;
}

/* Never from a callback of the library: it would go on with freed memory. */
static void drop_handle(struct mqtt *m)
{
	mosquitto_destroy(m->handle);
	m->handle = NULL;
	m->state = MQTT_CLOSED;
	m->n_written = 0;
}

void mqtt_free(struct mqtt *m)
{
	if (!m) {
		return;
	}
	drop_handle(m);
	free(m->written);
	free(m);
}

int mqtt_connect(struct mqtt *m)
{
	assert(m->state == MQTT_CLOSED);
	m->failure = (struct mqtt_failure){.kind = MQTT_FAILURE_NONE};
	m->evidence = (struct mqtt_evidence){
		.phase = MQTT_PHASE_TCP,
		.version = mqtt_version_next(&m->version),
		.tls = m->options.tls,
		.keepalive_s = m->options.keepalive_s,
		.connack = -1,
		.disconnect = -1,
	};
	m->disconnecting = false;
	m->max_packet_size = m->unacknowledged = 0;
	m->receive_maximum = UINT16_MAX;
	return start(m);
}

enum mqtt_state mqtt_state(const struct mqtt *m)
{
	return m->state;
}

const struct mqtt_failure *mqtt_failure(const struct mqtt *m)
{
	return &m->failure;
}

int mqtt_fd(const struct mqtt *m)
{
	return m->handle ? mosquitto_socket(m->handle) : -1;
}

short mqtt_poll_events(const struct mqtt *m)
{
	if (!m->handle) {
		return 0;
	}
	if (m->state == MQTT_CONNECTING) {
		/* The library may ask for POLLOUT throughout the handshake without having anything
		   to write, which would spin. What it writes fits into an empty socket. */
		return m->evidence.phase == MQTT_PHASE_TCP ? POLLOUT : POLLIN;
	}
	return (short)(POLLIN | (mosquitto_want_write(m->handle) ? POLLOUT : 0));
}

int mqtt_timeout_ms(const struct mqtt *m)
{
	int64_t left_ms;

	if (!m->handle) {
		return -1;
	}
	if (m->n_written > 0) {
		return 0;
	}
	if (m->state == MQTT_CONNECTED) {
		/* often enough for the keepalive, which the library counts in whole seconds */
		return CLAMP(m->evidence.keepalive_s * 100, 500, 5000);
	}
	left_ms = (m->deadline_ns - now_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
	return (int)CLAMP(left_ms, INT64_C(0),
		m->evidence.phase == MQTT_PHASE_TCP ? 60 * MS_PER_S : MS_PER_S);
}

enum mqtt_state mqtt_process(struct mqtt *m, short revents)
{
	m->processing = true;
	for (size_t i = 0; i < m->n_written; i++) {
		m->callbacks.acknowledged(m->callbacks.ctx, m->written[i], 0, mqtt_reason_text(0));
	}
	m->n_written = 0;
	if (m->state == MQTT_CONNECTING) {
		process_connecting(m, revents);
	} else if (m->state == MQTT_CONNECTED) {
		process_connected(m, revents);
	}
	m->processing = false;
	return m->state;
}

int mqtt_publish(
	struct mqtt *m, const char *topic, const void *payload, size_t size, int qos, int *ret_mid)
{
	int mid, rc;

	if (m->state != MQTT_CONNECTED || m->disconnecting) {
		return -ENOTCONN;
	}
	if (size > mqtt_max_message_size(m) || strlen(topic) > mqtt_max_message_size(m) - size ||
		size > LARGEST_PACKET) {
		return -EMSGSIZE;
	}
	/* else it would wait in the library's queue, where nobody sees it */
	if (qos > 0 && m->unacknowledged >= m->receive_maximum) {
		return -EAGAIN;
	}
	rc = mosquitto_publish(m->handle, &mid, topic, (int)size, payload, qos, false);
	switch (rc) {
	case MOSQ_ERR_SUCCESS:
		break;
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_MALFORMED_UTF8:
		return -EINVAL;
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return -EMSGSIZE;
	case MOSQ_ERR_QOS_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	default:
		(void)check(m, rc); /* the connection is gone, whatever the reason */
		return -ENOTCONN;
	}
	if (qos > 0) {
		m->unacknowledged++;
	}
	*ret_mid = mid;
	return 0;
}

bool mqtt_is_flushed(const struct mqtt *m)
{
	return !m->handle || !mosquitto_want_write(m->handle);
}

void mqtt_disconnect(struct mqtt *m)
{
	if (m->state == MQTT_CONNECTING) {
		drop_handle(m);
	} else if (m->state == MQTT_CONNECTED && !m->disconnecting) {
		m->disconnecting = true;
		(void)check(m, mosquitto_disconnect(m->handle));
	}
}

void mqtt_abort(struct mqtt *m, const char *text)
{
	if (m->handle) {
		close_with(m, MQTT_FAILURE_KEEPALIVE, "%s", text);
	}
}

size_t mqtt_max_message_size(const struct mqtt *m)
{
	if (m->max_packet_size == 0) {
		return SIZE_MAX;
	}
	return m->max_packet_size > PUBLISH_OVERHEAD ? m->max_packet_size - PUBLISH_OVERHEAD : 0;
}

unsigned mqtt_receive_maximum(const struct mqtt *m)
{
	return m->receive_maximum;
}

int mqtt_protocol_version(const struct mqtt *m)
{
	return m->evidence.version;
}

/* --- how it ends --- */

static void close_with(struct mqtt *m, enum mqtt_failure_kind kind, const char *format, ...)
{
	char text[sizeof(m->failure.text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mqtt_set_failure(&m->failure, kind, m->options.host, m->options.port, text);
	if (m->state == MQTT_CONNECTING && m->evidence.phase == MQTT_PHASE_TCP) {
		/* this address does not answer: the next time it is the other family's turn */
		m->family = m->used_family == AF_INET6 ? AF_INET : AF_INET6;
	}
	drop_handle(m);
}

/* The library gave `rc` and `error` (errno), or has closed the socket: says why, and closes. */
static void close_lost(struct mqtt *m, int rc, int error)
{
	struct mqtt_evidence *e = &m->evidence;
	enum mqtt_failure_kind kind;
	char text[256];

	if (m->disconnecting) {
		drop_handle(m);
		return;
	}
	e->error = rc == MOSQ_ERR_ERRNO ? error : 0;
	e->no_ping = rc == MOSQ_ERR_KEEPALIVE;
	e->no_mqtt = rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_PACKET;
	kind = mqtt_explain_end(e, text, sizeof(text));
	if (e->phase == MQTT_PHASE_LOGIN) {
		kind = mqtt_version_failed(&m->version, e->version, kind);
	}
	close_with(m, kind, "%s", text);
}

/* After every call into the library: is the connection still there? It closes sockets without a
   callback, and calls back without an error. */
static bool check(struct mqtt *m, int rc)
{
	int error = errno;

	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(m->handle) >= 0) {
		return true;
	}
	close_lost(m, rc, error);
	return false;
}

/* --- what the library calls back --- */

/* The broker's reason string with ": " before it, or "". */
static void read_reason(const mosquitto_property *properties, char *buf, size_t size)
{
	char *text = NULL;

	buf[0] = '\0';
	if (mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &text, false)) {
		(void)snprintf(buf, size, ": %s", text);
	}
	free(text);
}

static void on_connect(struct mosquitto *handle, void *ctx, int reason, int flags,
	const mosquitto_property *properties)
{
	uint16_t receive_maximum, keepalive_s;
	struct mqtt *m = ctx;
	uint32_t size;

	m->evidence.connack = reason;
	if (reason != 0) {
		read_reason(properties, m->evidence.reason, sizeof(m->evidence.reason));
		return;
	}
	if (mosquitto_property_read_int32(
		    properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &size, false)) {
		m->max_packet_size = size;
	}
	if (mosquitto_property_read_int16(
		    properties, MQTT_PROP_RECEIVE_MAXIMUM, &receive_maximum, false) &&
		receive_maximum > 0) {
		m->receive_maximum = receive_maximum;
	}
	if (mosquitto_property_read_int16(
		    properties, MQTT_PROP_SERVER_KEEP_ALIVE, &keepalive_s, false)) {
		m->evidence.keepalive_s = keepalive_s;
	}
	m->state = MQTT_CONNECTED;
	m->evidence.phase = MQTT_PHASE_OPEN;
	mqtt_version_connected(&m->version, m->evidence.version);
}

static void on_disconnect(
	struct mosquitto *handle, void *ctx, int reason, const mosquitto_property *properties)
{
	struct mqtt *m = ctx;

	/* below are the library's own errors, which its functions return as well */
	if (reason >= 128) {
		m->evidence.disconnect = reason;
		read_reason(properties, m->evidence.reason, sizeof(m->evidence.reason));
	}
}

/* PUBACK, while reading; else a message with QoS 0 was written. */
static void on_publish(struct mosquitto *handle, void *ctx, int mid, int reason,
	const mosquitto_property *properties)
{
	struct mqtt *m = ctx;
	char text[200] = "success", detail[128];

	if (!m->processing) {
		GROW(m->written, m->n_written, m->capacity);
		m->written[m->n_written++] = mid;
		return;
	}
	if (m->reading && m->unacknowledged > 0) {
		m->unacknowledged--;
	}
	if (reason >= 128) {
		read_reason(properties, detail, sizeof(detail));
		(void)snprintf(
			text, sizeof(text), "%s (%d)%s", mqtt_reason_text(reason), reason, detail);
	}
	m->callbacks.acknowledged(m->callbacks.ctx, mid, reason, text);
	errno = 0; /* the library takes EAGAIN left behind for its own, and stops reading */
}

static void on_log(struct mosquitto *handle, void *ctx, int level, const char *text)
{
	struct mqtt *m = ctx;

	if (level == MOSQ_LOG_ERR) {
		mqtt_keep_log_line(&m->evidence, text);
	}
	/* now, since the connection is gone when the library returns */
	if (level == MOSQ_LOG_ERR && m->options.tls && !m->evidence.refusal[0]) {
		mqtt_tls_describe_refusal(mosquitto_ssl_get(handle), mqtt_tls_ca_file(&m->options),
			m->evidence.refusal, sizeof(m->evidence.refusal));
	}
}

/* --- connecting --- */

/* The library sets OpenSSL up at the first TLS connection, without a lock. So that one is made
   here, by one thread, to the discard port (RFC 863) of this machine, and given up before anything
   is sent. */
static void initialise_tls(void)
{
	struct mosquitto *handle = mosquitto_new(NULL, true, NULL);

	if (handle) {
		(void)mosquitto_tls_set(handle, NULL, "/", NULL, NULL, mqtt_tls_no_passphrase);
		(void)mosquitto_connect_async(handle, "127.0.0.1", 9, 60);
		mosquitto_destroy(handle);
	}
}

static bool set_tls(struct mqtt *m)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct mqtt_options *o = &m->options;
	char text[200];

	(void)pthread_once(&once, initialise_tls);
	/* the library would only say that one of them is missing */
	if (mqtt_tls_check_files(o, text, sizeof(text)) < 0) {
		close_with(m, MQTT_FAILURE_CONFIG, "%s", text);
		return false;
	}
	/* with a CA file the library checks certificate and host name */
	if (mosquitto_tls_set(m->handle, mqtt_tls_ca_file(o), NULL, o->cert_file, o->key_file,
		    mqtt_tls_no_passphrase)) {
		close_with(m, MQTT_FAILURE_CONFIG, "the certificate files cannot be used");
		return false;
	}
	return true;
}

static bool set_up(struct mqtt *m)
{
	m->handle = mosquitto_new(m->options.client_id, true, m);
	if (!m->handle) {
		close_with(m, MQTT_FAILURE_CONFIG, "client id: %s", strerror(errno));
		return false;
	}
	mosquitto_connect_v5_callback_set(m->handle, on_connect);
	mosquitto_disconnect_v5_callback_set(m->handle, on_disconnect);
	mosquitto_publish_v5_callback_set(m->handle, on_publish);
	mosquitto_log_callback_set(m->handle, on_log);
	(void)mosquitto_int_option(m->handle, MOSQ_OPT_PROTOCOL_VERSION,
		m->evidence.version == 5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	(void)mosquitto_int_option(m->handle, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
	if (m->options.username &&
		mosquitto_username_pw_set(m->handle, m->options.username, m->options.password)) {
		close_with(m, MQTT_FAILURE_CONFIG, "the user name or password is not valid UTF-8");
		return false;
	}
	return !m->options.tls || set_tls(m);
}

static int start(struct mqtt *m)
{
	int rc, error;

	if (!set_up(m)) {
		return -EINVAL;
	}
	/* the library takes the first of the host's addresses that this end can be bound to */
	rc = mosquitto_connect_bind_async(m->handle, m->options.host, m->options.port,
		m->options.keepalive_s, mqtt_socket_any_address(m->family));
	error = errno;
	if (rc == MOSQ_ERR_ERRNO && error != EPROTO && m->family != AF_UNSPEC) {
		/* The host has no such address. A new handle: the old one keeps a pointer to the
		   address of this end that it has freed. */
		m->family = AF_UNSPEC;
		drop_handle(m);
		return start(m);
	}
	if (rc == MOSQ_ERR_EAI) {
		close_with(m, MQTT_FAILURE_NETWORK, "name lookup: %s", gai_strerror(error));
		return -EHOSTUNREACH;
	}
	if (rc == MOSQ_ERR_TLS && m->evidence.tls_setup[0]) {
		close_with(m, MQTT_FAILURE_CONFIG, "%s %s", m->evidence.tls_setup,
			m->evidence.tls_error);
		return -EINVAL;
	}
	if (rc == MOSQ_ERR_TLS || (rc == MOSQ_ERR_ERRNO && error == EPROTO)) {
		/* a near server can end the handshake before the call returns */
		m->evidence.phase = MQTT_PHASE_TLS;
		close_lost(m, rc, error);
		return -ECONNRESET;
	}
	if (rc != MOSQ_ERR_SUCCESS) {
		m->family = AF_INET; /* most often it was an IPv6 address, which is tried first */
		close_with(m, MQTT_FAILURE_NETWORK, "%s",
			rc == MOSQ_ERR_ERRNO ? strerror(error) : mosquitto_strerror(rc));
		return -ECONNREFUSED;
	}
	m->used_family = mqtt_socket_family(mosquitto_socket(m->handle));
	m->deadline_ns = now_monotonic_ns() + m->options.connect_timeout_ns;
	m->state = MQTT_CONNECTING;
	return 0;
}

/* Asked first: with TLS the library takes an error of the socket for a handshake that goes on. */
static bool finish_tcp(struct mqtt *m)
{
	int fd = mosquitto_socket(m->handle);
	int r = mqtt_socket_error(fd);

	if (r < 0 && r != -ECONNRESET) {
		close_with(m, MQTT_FAILURE_NETWORK, "%s", strerror(-r));
		return false;
	}
	/* data that nobody acknowledges ends the connection as a missing ping does */
	mqtt_socket_set_timeout(fd, m->options.keepalive_s);
	m->evidence.phase = m->options.tls ? MQTT_PHASE_TLS : MQTT_PHASE_LOGIN;
	if (r < 0) {
		close_lost(m, MOSQ_ERR_ERRNO, -r); /* it stood, and has been reset already */
		return false;
	}
	return true;
}

static bool read_packets(struct mqtt *m)
{
	int rc;

	m->reading = true;
	rc = mosquitto_loop_read(m->handle, 1);
	m->reading = false;
	if (m->unacknowledged > 0) {
		mqtt_socket_acknowledge(mosquitto_socket(m->handle));
	}
	return check(m, rc);
}

/* The next step of handshake and login, whatever it waits for. False if the connection ended. */
static bool proceed(struct mqtt *m)
{
	/* Reading drives the TLS handshake, also where it is its turn to write; writing does
	   nothing until that is complete. */
	if (!read_packets(m)) {
		return false;
	}
	if (m->evidence.phase == MQTT_PHASE_TLS &&
		mqtt_tls_is_established(mosquitto_ssl_get(m->handle))) {
		m->evidence.phase = MQTT_PHASE_LOGIN;
		/* a client certificate that is refused is refused now: look, since a failing write
		   would not tell why */
		if (!read_packets(m)) {
			return false;
		}
	}
	if (!check(m, mosquitto_loop_write(m->handle, 1))) {
		return false;
	}
	/* the library goes on with a handshake on a socket that was reset */
	if (m->state == MQTT_CONNECTING && mqtt_socket_is_at_end(mosquitto_socket(m->handle))) {
		close_lost(m, MOSQ_ERR_CONN_LOST, 0);
		return false;
	}
	return true;
}

static void process_connecting(struct mqtt *m, short revents)
{
	char text[128];

	if (m->evidence.phase == MQTT_PHASE_TCP && revents != 0 && !finish_tcp(m)) {
		return;
	}
	if (m->evidence.phase != MQTT_PHASE_TCP && !proceed(m)) {
		return;
	}
	if (m->state == MQTT_CONNECTING && now_monotonic_ns() >= m->deadline_ns) {
		mqtt_explain_late(
			m->evidence.phase, m->options.connect_timeout_ns, text, sizeof(text));
		close_with(m, MQTT_FAILURE_NETWORK, "%s", text);
	}
}

static void process_connected(struct mqtt *m, short revents)
{
	if ((revents & ~POLLOUT) != 0 && !read_packets(m)) {
		return;
	}
	if ((revents & POLLOUT) != 0 && !check(m, mosquitto_loop_write(m->handle, 1))) {
		return;
	}
	(void)check(m, mosquitto_loop_misc(m->handle));
}
