/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Against a real mosquitto on a free loopback port, and against servers of a few bytes where the
 * broker cannot be made to misbehave.
 */
#include "mqtt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util.h"

#define PATIENCE_NS (20 * NS_PER_S)

/* libmosquitto 2.0.11 unlocks a mutex that it has not locked when the broker sends a DISCONNECT. */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
	return "mutex:libmosquitto.so\n";
}

static char directory[] = "/tmp/test_mqtt.XXXXXX";

/* --- processes --- */

struct process {
	pid_t pid;
	FILE *output; /* its standard output and error */
};

static struct process spawn(const char *const *arguments)
{
	struct process process;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	process.pid = fork();
	assert_true(process.pid >= 0);
	if (process.pid == 0) {
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)dup2(pipes[1], STDERR_FILENO);
		(void)execvp(arguments[0], (char *const *)arguments);
		_exit(127);
	}
	(void)close(pipes[1]);
	process.output = fdopen(pipes[0], "r");
	assert_non_null(process.output);
	return process;
}

static void stop(struct process *process)
{
	if (process->pid > 0) {
		(void)kill(process->pid, SIGKILL);
		(void)waitpid(process->pid, NULL, 0);
		(void)fclose(process->output);
		process->pid = 0;
	}
}

static bool wait_for_line(struct process *process, const char *part, const char *unwanted)
{
	char line[1000];

	while (fgets(line, sizeof(line), process->output)) {
		if (unwanted && strstr(line, unwanted)) {
			fail_msg("unwanted: %s", line);
		}
		if (strstr(line, part)) {
			return true;
		}
	}
	return false;
}

static int run(const char *command)
{
	const char *arguments[] = {"sh", "-c", command, NULL};
	struct process process = spawn(arguments);
	int status;

	(void)wait_for_line(&process, "\x01", NULL);
	assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
	(void)fclose(process.output);
	return status;
}

static char *path(const char *name)
{
	return xasprintf("%s/%s", directory, name);
}

static void write_file(const char *name, const char *text)
{
	_cleanup_(freep) char *file_name = path(name);
	FILE *file = fopen(file_name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* --- sockets --- */

/* A listening socket on a free port of 127.0.0.1. */
static int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 10), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static uint16_t free_port(void)
{
	uint16_t port;

	(void)close(listen_anywhere(&port));
	return port;
}

/* What a server that is not a broker does with one connection after the other. */
struct script {
	size_t n;
	struct {
		const char *answer; /* after the first bytes came */
		size_t size;
		enum { THEN_CLOSE, THEN_RESET, THEN_WAIT } then;
	} connections[8];
	uint8_t levels[8]; /* protocol level of each CONNECT */
	int fd;
	uint16_t port;
	pthread_t thread;
};

static void *play(void *arg)
{
	struct script *script = arg;

	for (size_t i = 0; i < script->n; i++) {
		int fd = accept4(script->fd, NULL, NULL, SOCK_CLOEXEC);
		struct linger linger = {.l_onoff = 1};
		uint8_t bytes[2000];
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		/* MQTT 5.0 3.1.2.2: fixed header, 0 4 M Q T T, level */
		script->levels[i] = n > 8 ? bytes[8] : 0;
		if (script->connections[i].size > 0) {
			(void)send(fd, script->connections[i].answer, script->connections[i].size,
				MSG_NOSIGNAL);
		}
		if (script->connections[i].then == THEN_RESET) {
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		}
		while (script->connections[i].then == THEN_WAIT &&
			recv(fd, bytes, sizeof(bytes), 0) > 0) {
		}
		(void)close(fd);
	}
	return NULL;
}

static void script_start(struct script *script)
{
	script->fd = listen_anywhere(&script->port);
	assert_int_equal(pthread_create(&script->thread, NULL, play, script), 0);
}

static void script_end(struct script *script)
{
	assert_int_equal(pthread_join(script->thread, NULL), 0);
	(void)close(script->fd);
}

/* --- the broker --- */

static struct process broker;
static uint16_t broker_port;

/* `options` is the rest of its configuration file; %s in it is the directory. */
static void start_broker(const char *options)
{
	_cleanup_(freep) char *file_name = path("mosquitto.conf");
	const char *arguments[] = {"mosquitto", "-v", "-c", file_name, NULL};
	_cleanup_(freep) char *text = xasprintf(
		"listener %u 127.0.0.1\nlog_dest stderr\nuser root\n%s\n", (unsigned)broker_port,
		options);

	if (run("command -v mosquitto") != 0) {
		print_message("mosquitto is not installed\n");
		skip();
	}
	write_file("mosquitto.conf", text);
	broker = spawn(arguments);
	if (!wait_for_line(&broker, " running", NULL)) {
		fail_msg("mosquitto did not start with: %s", text);
	}
	/* what it logs from here on is nobody's; a full pipe would stop it */
	broker.output = freopen("/dev/null", "r", broker.output);
}

static int stop_broker(void **state)
{
	stop(&broker);
	return 0;
}

/* --- the connection under test --- */

struct acknowledgement {
	int mid, reason;
	char text[100];
};

struct client {
	struct mqtt *mqtt;
	struct acknowledgement acknowledgements[100];
	size_t n;
	unsigned calls; /* of mqtt_process() */
};

static void acknowledged(void *ctx, int mid, int reason, const char *text)
{
	struct client *c = ctx;

	assert_true(c->n < ARRAY_SIZE(c->acknowledgements));
	c->acknowledgements[c->n].mid = mid;
	c->acknowledgements[c->n].reason = reason;
	(void)snprintf(
		c->acknowledgements[c->n].text, sizeof(c->acknowledgements[c->n].text), "%s", text);
	c->n++;
	errno = EAGAIN; /* as a caller's own socket leaves it */
}

static struct mqtt_options options_for(uint16_t port)
{
	return (struct mqtt_options){
		.host = "127.0.0.1",
		.port = port,
		.client_id = "test",
		.protocol = MQTT_PROTOCOL_AUTO,
		.keepalive_s = 60,
		.connect_timeout_ns = PATIENCE_NS,
	};
}

static void client_new(struct client *c, const struct mqtt_options *options)
{
	struct mqtt_callbacks callbacks = {.acknowledged = acknowledged, .ctx = c};

	*c = (struct client){.mqtt = mqtt_new(options, &callbacks)};
}

/* Drives the connection until its state changes, or `n` messages are acknowledged. */
static enum mqtt_state drive(struct client *c, size_t n)
{
	enum mqtt_state before = mqtt_state(c->mqtt);
	int64_t deadline_ns = now_monotonic_ns() + PATIENCE_NS;

	while (mqtt_state(c->mqtt) == before && (n == 0 || c->n < n)) {
		struct pollfd p = {.fd = mqtt_fd(c->mqtt), .events = mqtt_poll_events(c->mqtt)};

		assert_true(now_monotonic_ns() < deadline_ns);
		assert_true(poll(&p, 1, mqtt_timeout_ms(c->mqtt)) >= 0);
		(void)mqtt_process(c->mqtt, p.revents);
		c->calls++;
	}
	return mqtt_state(c->mqtt);
}

static void connect_fully(struct client *c)
{
	assert_int_equal(mqtt_connect(c->mqtt), 0);
	if (drive(c, 0) != MQTT_CONNECTED) {
		fail_msg("%s", mqtt_failure(c->mqtt)->text);
	}
}

static void assert_failure(struct client *c, enum mqtt_failure_kind kind, const char *text)
{
	const struct mqtt_failure *failure = mqtt_failure(c->mqtt);

	assert_int_equal(mqtt_state(c->mqtt), MQTT_CLOSED);
	assert_int_equal(mqtt_fd(c->mqtt), -1);
	if (failure->kind != kind || !strstr(failure->text, text)) {
		fail_msg("kind %d, expected %d; \"%s\", expected \"%s\"", failure->kind, kind,
			failure->text, text);
	}
}

/* Connects, expects failure, within a number of calls that spinning would exceed. */
static void fail_to_connect(
	const struct mqtt_options *options, enum mqtt_failure_kind kind, const char *text)
{
	struct client c;

	client_new(&c, options);
	if (mqtt_connect(c.mqtt) == 0) {
		assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	}
	assert_failure(&c, kind, text);
	assert_true(c.calls < 50);
	mqtt_free(c.mqtt);
}

/* --- tests --- */

static void test_publish(void **state)
{
	struct mqtt_options options;
	struct client c;
	int mids[3];

	start_broker("allow_anonymous true");
	for (int protocol = MQTT_PROTOCOL_AUTO; protocol <= MQTT_PROTOCOL_311; protocol++) {
		options = options_for(broker_port);
		options.protocol = (enum mqtt_protocol)protocol;
		client_new(&c, &options);
		assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mids[0]), -ENOTCONN);
		connect_fully(&c);
		assert_int_equal(
			mqtt_protocol_version(c.mqtt), protocol == MQTT_PROTOCOL_311 ? 4 : 5);
		assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mids[0]), 0);
		assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mids[1]), 0);
		assert_int_equal(drive(&c, 2), MQTT_CONNECTED);
		assert_int_equal(c.acknowledgements[0].mid, mids[0]);
		assert_int_equal(c.acknowledgements[1].mid, mids[1]);
		assert_true(c.acknowledgements[0].reason < 128);
		/* a message that is only written is acknowledged after its id is known */
		assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 0, &mids[2]), 0);
		assert_int_equal(c.n, 2);
		assert_int_equal(drive(&c, 3), MQTT_CONNECTED);
		assert_int_equal(c.acknowledgements[2].mid, mids[2]);
		assert_true(mqtt_is_flushed(c.mqtt));
		assert_int_equal(mqtt_publish(c.mqtt, "a/#", "x", 1, 1, &mids[2]), -EINVAL);
		mqtt_disconnect(c.mqtt);
		if (mqtt_state(c.mqtt) != MQTT_CLOSED) {
			(void)drive(&c, 0);
		}
		assert_failure(&c, MQTT_FAILURE_NONE, "");
		mqtt_free(c.mqtt);
	}
}

static void test_payload_arrives(void **state)
{
	_cleanup_(freep) char *port = xasprintf("%u", (unsigned)broker_port);
	const char *arguments[] = {"stdbuf", "-oL", "mosquitto_sub", "-d", "-v", "-h", "127.0.0.1",
		"-p", port, "-t", "#", NULL};
	struct mqtt_options options = options_for(broker_port);
	struct process subscriber;
	struct client c;
	int mid;

	start_broker("allow_anonymous true");
	subscriber = spawn(arguments);
	assert_true(wait_for_line(&subscriber, "Subscribed", NULL));
	client_new(&c, &options);
	connect_fully(&c);
	assert_int_equal(mqtt_publish(c.mqtt, "tenant/1", "{\"value\":1}", 11, 1, &mid), 0);
	assert_int_equal(drive(&c, 1), MQTT_CONNECTED);
	assert_true(wait_for_line(&subscriber, "tenant/1 {\"value\":1}", NULL));
	mqtt_free(c.mqtt);
	stop(&subscriber);
}

static void test_login(void **state)
{
	_cleanup_(freep) char *command = xasprintf(
		"cd %s && mosquitto_passwd -b -c users boiler secret && chmod 644 users",
		directory);
	_cleanup_(freep) char *conf = xasprintf("password_file %s/users", directory);
	struct mqtt_options options = options_for(broker_port);
	struct client c;

	(void)run(command);
	start_broker(conf);
	options.username = "boiler";
	options.password = "secret";
	client_new(&c, &options);
	connect_fully(&c);
	mqtt_free(c.mqtt);

	options.password = "wrong";
	fail_to_connect(&options, MQTT_FAILURE_LOGIN, "login refused: not authorised (135)");
	options.protocol = MQTT_PROTOCOL_311;
	fail_to_connect(&options, MQTT_FAILURE_LOGIN, "login refused: not authorised (5)");
	options.username = NULL;
	options.password = NULL;
	fail_to_connect(&options, MQTT_FAILURE_LOGIN, "127.0.0.1");
}

static void test_denied_topic(void **state)
{
	_cleanup_(freep) char *conf = xasprintf("allow_anonymous true\nacl_file %s/acl", directory);
	struct mqtt_options options = options_for(broker_port);
	struct client c;
	int mid;

	write_file("acl", "topic write mine/#\n");
	start_broker(conf);
	client_new(&c, &options);
	connect_fully(&c);
	assert_int_equal(mqtt_publish(c.mqtt, "mine/a", "x", 1, 1, &mid), 0);
	assert_int_equal(mqtt_publish(c.mqtt, "yours/a", "x", 1, 1, &mid), 0);
	assert_int_equal(drive(&c, 2), MQTT_CONNECTED);
	assert_true(c.acknowledgements[0].reason < 128);
	assert_int_equal(c.acknowledgements[1].reason, 135);
	assert_string_equal(c.acknowledgements[1].text, "not authorised (135)");
	mqtt_free(c.mqtt);
}

static void test_largest_message(void **state)
{
	struct mqtt_options options = options_for(broker_port);
	char payload[2000] = {0};
	struct client c;
	size_t size;
	int mid;

	start_broker("allow_anonymous true\nmax_packet_size 1000");
	client_new(&c, &options);
	connect_fully(&c);
	size = mqtt_max_message_size(c.mqtt);
	assert_true(size >= 900 && size <= 990);
	assert_int_equal(mqtt_publish(c.mqtt, "abcd", payload, size - 4, 1, &mid), 0);
	assert_int_equal(drive(&c, 1), MQTT_CONNECTED);
	for (size_t more = 1; more < 30; more++) {
		assert_int_equal(
			mqtt_publish(c.mqtt, "abcd", payload, size - 4 + more, 1, &mid), -EMSGSIZE);
	}
	assert_int_equal(mqtt_state(c.mqtt), MQTT_CONNECTED);
	mqtt_free(c.mqtt);
}

static void test_receive_maximum(void **state)
{
	struct mqtt_options options = options_for(broker_port);
	struct client c;
	int mid;

	start_broker("allow_anonymous true\nmax_inflight_messages 3");
	client_new(&c, &options);
	connect_fully(&c);
	assert_int_equal(mqtt_receive_maximum(c.mqtt), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mid), 0);
	}
	assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mid), -EAGAIN);
	assert_int_equal(drive(&c, 1), MQTT_CONNECTED);
	assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mid), 0);
	assert_int_equal(drive(&c, 4), MQTT_CONNECTED);
	mqtt_free(c.mqtt);
}

static void test_nothing_is_sent_again(void **state)
{
	_cleanup_(freep) char *port = xasprintf("%u", (unsigned)broker_port);
	const char *arguments[] = {"stdbuf", "-oL", "mosquitto_sub", "-d", "-v", "-q", "1", "-h",
		"127.0.0.1", "-p", port, "-t", "#", NULL};
	struct mqtt_options options = options_for(broker_port);
	struct process subscriber;
	struct client c;
	int mid;

	start_broker("allow_anonymous true");
	client_new(&c, &options);
	connect_fully(&c);
	assert_int_equal(kill(broker.pid, SIGSTOP), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(mqtt_publish(c.mqtt, "lost", "x", 1, 1, &mid), 0);
	}
	stop(&broker);
	assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	assert_failure(&c, MQTT_FAILURE_CLOSED, "the connection was lost");
	assert_int_equal(c.n, 0);

	start_broker("allow_anonymous true");
	subscriber = spawn(arguments);
	assert_true(wait_for_line(&subscriber, "Subscribed", NULL));
	connect_fully(&c);
	assert_int_equal(mqtt_publish(c.mqtt, "marker", "x", 1, 1, &mid), 0);
	assert_int_equal(drive(&c, 1), MQTT_CONNECTED);
	assert_true(wait_for_line(&subscriber, "marker x", "lost x"));
	mqtt_free(c.mqtt);
	stop(&subscriber);
}

static void test_abort(void **state)
{
	struct mqtt_options options = options_for(broker_port);
	struct client c;
	int mid;

	start_broker("allow_anonymous true");
	client_new(&c, &options);
	connect_fully(&c);
	mqtt_abort(c.mqtt, "no acknowledgement within 30 s");
	assert_failure(&c, MQTT_FAILURE_KEEPALIVE, "no acknowledgement within 30 s");
	assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mid), -ENOTCONN);
	assert_int_equal(mqtt_process(c.mqtt, 0), MQTT_CLOSED);
	mqtt_disconnect(c.mqtt);
	assert_int_equal(mqtt_connect(c.mqtt), 0);
	mqtt_disconnect(c.mqtt);
	assert_failure(&c, MQTT_FAILURE_NONE, "");
	mqtt_free(c.mqtt);
}

static void test_refused_port(void **state)
{
	struct mqtt_options options = options_for(free_port());
	struct client c;

	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "Connection refused");
	options.tls = true;
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "Connection refused");
	/* the second time it asks for an IPv6 address, which 127.0.0.1 has not */
	client_new(&c, &options);
	for (int i = 0; i < 3; i++) {
		if (mqtt_connect(c.mqtt) == 0) {
			(void)drive(&c, 0);
		}
		assert_failure(&c, MQTT_FAILURE_NETWORK, "Connection refused");
	}
	mqtt_free(c.mqtt);
}

static void test_unknown_host(void **state)
{
	struct mqtt_options options = options_for(1883);

	options.host = "::1";
	options.port = free_port();
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "[::1]:");
	options.port = 1883;
	options.host = "no such host";
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "no such host:1883: name lookup: ");
}

static void test_silent_server(void **state)
{
	struct mqtt_options options;
	uint16_t port;
	int fd = listen_anywhere(&port);

	options = options_for(port);
	options.connect_timeout_ns = 300 * NS_PER_MS;
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "no answer to the login within 300 ms");
	options.tls = true;
	fail_to_connect(
		&options, MQTT_FAILURE_NETWORK, "no end of the TLS handshake within 300 ms");
	(void)close(fd);
}

static void test_closed_in_handshake(void **state)
{
	struct script script = {.n = 3,
		.connections = {{NULL, 0, THEN_CLOSE}, {NULL, 0, THEN_RESET},
			{"HTTP/1.1 400", 12, THEN_CLOSE}}};
	struct mqtt_options options;

	script_start(&script);
	options = options_for(script.port);
	options.tls = true;
	fail_to_connect(&options, MQTT_FAILURE_TLS, "is it a TLS port?");
	fail_to_connect(&options, MQTT_FAILURE_TLS, "is it a TLS port?");
	fail_to_connect(&options, MQTT_FAILURE_TLS, "does not answer in TLS");
	script_end(&script);
}

static void test_no_mqtt(void **state)
{
	/* a TLS alert, and a web server */
	struct script script = {.n = 2,
		.connections = {{"\x15\x03\x01\x00\x02\x02\x0a", 7, THEN_CLOSE},
			{"HTTP/1.1 400 Bad Request\r\n\r\n", 28, THEN_CLOSE}}};
	struct mqtt_options options;

	script_start(&script);
	options = options_for(script.port);
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "is it a TLS port?");
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "login with MQTT 5");
	script_end(&script);
}

#define CONNACK_311_REFUSED "\x20\x02\x00\x01", 4
#define CONNACK_311         "\x20\x02\x00\x00", 4
#define CONNACK_5           "\x20\x03\x00\x00\x00", 5
#define CONNACK_5_BUSY      "\x20\x09\x00\x89\x06\x1f\x00\x03\x61\x20\x62", 11

static void test_broker_without_mqtt_5(void **state)
{
	struct script script = {.n = 3,
		.connections = {{CONNACK_311_REFUSED, THEN_CLOSE}, {CONNACK_311, THEN_CLOSE},
			{CONNACK_311, THEN_CLOSE}}};
	struct mqtt_options options;
	struct client c;

	script_start(&script);
	options = options_for(script.port);
	client_new(&c, &options);
	assert_int_equal(mqtt_connect(c.mqtt), 0);
	assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	assert_failure(&c, MQTT_FAILURE_PROTOCOL, "unsupported protocol version (132)");
	for (int i = 0; i < 2; i++) {
		connect_fully(&c);
		assert_int_equal(mqtt_protocol_version(c.mqtt), 4);
		assert_int_equal(drive(&c, 0), MQTT_CLOSED);
		assert_failure(&c, MQTT_FAILURE_CLOSED, "the connection was lost");
	}
	mqtt_free(c.mqtt);
	script_end(&script);
	assert_memory_equal(script.levels, "\5\4\4", 3);
}

static void test_broker_that_just_closes(void **state)
{
	struct script script = {.n = 7,
		.connections = {{NULL, 0, THEN_CLOSE}, {NULL, 0, THEN_RESET}, {NULL, 0, THEN_CLOSE},
			{NULL, 0, THEN_CLOSE}, {CONNACK_311, THEN_CLOSE}, {CONNACK_5, THEN_CLOSE},
			{NULL, 0, THEN_CLOSE}}};
	struct mqtt_options options;
	struct client c;

	script_start(&script);
	options = options_for(script.port);
	client_new(&c, &options);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(mqtt_connect(c.mqtt), 0);
		if (drive(&c, 0) == MQTT_CONNECTED) {
			assert_int_equal(drive(&c, 0), MQTT_CLOSED);
		}
		/* says so when the next one will be 3.1.1 */
		assert_int_equal(
			mqtt_failure(c.mqtt)->kind == MQTT_FAILURE_PROTOCOL, i == 1 || i == 3);
	}
	mqtt_free(c.mqtt);
	script_end(&script);
	assert_memory_equal(script.levels, "\5\5\4\5\4\5\5", 7);
}

static void test_refusals(void **state)
{
	/* 137 with a reason string in the CONNACK; 151, 149 and 142 in a DISCONNECT */
	struct script script = {.n = 4,
		.connections = {{CONNACK_5_BUSY, THEN_CLOSE},
			{"\x20\x03\x00\x00\x00\xe0\x08\x97\x06\x1f\x00\x03\x61\x20\x62", 15,
				THEN_CLOSE},
			{"\x20\x03\x00\x00\x00\xe0\x01\x95", 8, THEN_CLOSE},
			{"\x20\x03\x00\x00\x00\xe0\x01\x8e", 8, THEN_CLOSE}}};
	struct mqtt_options options;
	struct client c;

	script_start(&script);
	options = options_for(script.port);
	fail_to_connect(&options, MQTT_FAILURE_BUSY, "login refused: server busy (137): a b");
	client_new(&c, &options);
	connect_fully(&c);
	assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	assert_failure(&c, MQTT_FAILURE_BUSY, "quota exceeded (151)");
	connect_fully(&c);
	assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	assert_failure(&c, MQTT_FAILURE_TOO_LARGE, "packet too large (149)");
	connect_fully(&c);
	assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	assert_failure(&c, MQTT_FAILURE_TAKEN_OVER, "session taken over (142)");
	mqtt_free(c.mqtt);
	script_end(&script);
}

static void test_no_answer_to_ping(void **state)
{
	/* with a server keep alive of 1 s */
	struct script script = {
		.n = 1, .connections = {{"\x20\x06\x00\x00\x03\x13\x00\x01", 8, THEN_WAIT}}};
	struct mqtt_options options;
	struct client c;

	script_start(&script);
	options = options_for(script.port);
	client_new(&c, &options);
	connect_fully(&c);
	assert_int_equal(drive(&c, 0), MQTT_CLOSED);
	assert_failure(&c, MQTT_FAILURE_KEEPALIVE, "no answer within the keepalive of 1 s");
	assert_true(c.calls < 50);
	mqtt_free(c.mqtt);
	script_end(&script);
}

static void start_tls_broker(const char *certificate)
{
	_cleanup_(freep) char *conf = xasprintf("allow_anonymous true\ncertfile %s/%s.crt\n"
						"keyfile %s/%s.key",
		directory, certificate, directory, certificate);

	start_broker(conf);
}

static void test_tls(void **state)
{
	_cleanup_(freep) char *ca = path("ca.crt");
	struct mqtt_options options = options_for(broker_port);
	struct client c;
	int mid;

	start_tls_broker("good");
	options.tls = true;
	options.ca_file = ca;
	client_new(&c, &options);
	for (int i = 0; i < 2; i++) {
		connect_fully(&c);
		assert_int_equal(mqtt_publish(c.mqtt, "a", "x", 1, 1, &mid), 0);
		c.n = 0;
		assert_int_equal(drive(&c, 1), MQTT_CONNECTED);
		mqtt_disconnect(c.mqtt);
		assert_int_equal(mqtt_state(c.mqtt), MQTT_CLOSED);
	}
	assert_true(c.calls < 100);
	mqtt_free(c.mqtt);

	options.ca_file = NULL;
	fail_to_connect(&options, MQTT_FAILURE_TLS, "/etc/ssl/certs/ca-certificates.crt");
	options.tls = false;
	fail_to_connect(&options, MQTT_FAILURE_NETWORK, "is it a TLS port?");
}

static void test_tls_certificate_refused(void **state)
{
	_cleanup_(freep) char *ca = path("ca.crt");
	struct mqtt_options options = options_for(broker_port);

	options.tls = true;
	options.ca_file = ca;
	start_tls_broker("other");
	fail_to_connect(&options, MQTT_FAILURE_TLS, "certificate is for another host name");
	stop(&broker);
	start_tls_broker("expired");
	fail_to_connect(&options, MQTT_FAILURE_TLS,
		"certificate has expired; is the clock of this machine right?");
}

static void test_tls_client_certificate(void **state)
{
	_cleanup_(freep) char *ca = path("ca.crt"), *cert = path("client.crt"),
			      *key = path("client.key"), *wrong_key = path("good.key");
	_cleanup_(freep) char *conf = xasprintf("allow_anonymous true\ncafile %s/ca.crt\n"
						"certfile %s/good.crt\nkeyfile %s/good.key\n"
						"require_certificate true",
		directory, directory, directory);
	struct mqtt_options options = options_for(broker_port);
	struct client c;
	int tries = 0;

	start_broker(conf);
	options.tls = true;
	options.ca_file = ca;
	/* It is refused after the handshake: if the broker closes before CONNECT is written, the
	   reason is lost, and comes with another try. */
	client_new(&c, &options);
	do {
		if (mqtt_connect(c.mqtt) == 0) {
			assert_int_equal(drive(&c, 0), MQTT_CLOSED);
		}
		assert_true(++tries < 20);
	} while (!strstr(mqtt_failure(c.mqtt)->text, "certificate required"));
	assert_failure(&c, MQTT_FAILURE_TLS, "the server refused the TLS connection");
	mqtt_free(c.mqtt);
	options.cert_file = cert;
	options.key_file = key;
	client_new(&c, &options);
	connect_fully(&c);
	mqtt_free(c.mqtt);
	options.key_file = wrong_key;
	fail_to_connect(&options, MQTT_FAILURE_CONFIG, "Unable to load client key file");
}

static void test_tls_files(void **state)
{
	_cleanup_(freep) char *none = path("none.crt"), *rubbish = path("rubbish.crt"),
			      *ca = path("ca.crt"), *locked = path("locked.key"),
			      *cert = path("client.crt");
	struct mqtt_options options;
	uint16_t port;
	int fd = listen_anywhere(&port);

	options = options_for(port);
	options.tls = true;
	options.ca_file = none;
	fail_to_connect(&options, MQTT_FAILURE_CONFIG, "No such file or directory");
	write_file("rubbish.crt", "no certificate\n");
	options.ca_file = rubbish;
	fail_to_connect(&options, MQTT_FAILURE_CONFIG, "Unable to load CA certificates");
	/* a key with a passphrase: nobody is there to type it */
	options.ca_file = ca;
	options.cert_file = cert;
	options.key_file = locked;
	fail_to_connect(&options, MQTT_FAILURE_CONFIG, "Unable to load client key file");
	(void)close(fd);
}

/* --- */

static int make_certificates(void)
{
	_cleanup_(freep) char *command = xasprintf(
		"cd %s && exec 2>&1 && set -e\n"
		"openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 "
		"  -subj /CN=ca\n"
		"sign() {\n"
		"  openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj /CN=$1\n"
		"  echo subjectAltName=$2 > $1.ext\n"
		"  openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial "
		"    -out $1.crt -days $3 -extfile $1.ext\n"
		"}\n"
		"sign good IP:127.0.0.1,DNS:localhost 2\n"
		"sign other DNS:other.example 2\n"
		"sign expired IP:127.0.0.1 -1\n"
		"sign client DNS:client 2\n"
		"openssl rsa -in client.key -aes128 -passout pass:secret -out locked.key\n",
		directory);

	return run(command);
}

static int set_up(void **state)
{
	mqtt_library_init();
	broker_port = free_port();
	return mkdtemp(directory) && make_certificates() == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	_cleanup_(freep) char *command = xasprintf("rm -rf %s", directory);

	mqtt_library_cleanup();
	return run(command);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_publish, stop_broker),
		cmocka_unit_test_teardown(test_payload_arrives, stop_broker),
		cmocka_unit_test_teardown(test_login, stop_broker),
		cmocka_unit_test_teardown(test_denied_topic, stop_broker),
		cmocka_unit_test_teardown(test_largest_message, stop_broker),
		cmocka_unit_test_teardown(test_receive_maximum, stop_broker),
		cmocka_unit_test_teardown(test_nothing_is_sent_again, stop_broker),
		cmocka_unit_test_teardown(test_abort, stop_broker),
		cmocka_unit_test(test_refused_port),
		cmocka_unit_test(test_unknown_host),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_closed_in_handshake),
		cmocka_unit_test(test_no_mqtt),
		cmocka_unit_test(test_broker_without_mqtt_5),
		cmocka_unit_test(test_broker_that_just_closes),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_answer_to_ping),
		cmocka_unit_test_teardown(test_tls, stop_broker),
		cmocka_unit_test_teardown(test_tls_certificate_refused, stop_broker),
		cmocka_unit_test_teardown(test_tls_client_certificate, stop_broker),
		cmocka_unit_test(test_tls_files),
	};

	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
