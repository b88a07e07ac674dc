/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus driver against slaves that refuse, are silent, late, gone, or talk nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "modbus_fixture.h"
#include "util.h"

/* Long enough for a slave that answers on a busy machine, short enough to wait for one that does
   not. */
#define SHORT_TIMEOUT "response_timeout: 400ms"

static int setup(void **state)
{
	*state = slave_new();
	return 0;
}

static int teardown(void **state)
{
	slave_free(*state);
	return 0;
}

static void add_run(struct fake_bus *f, int unit, int from, int to)
{
	for (int i = from; i < to; i++) {
		char name[32], options[48];

		(void)snprintf(name, sizeof(name), "u%d r%d", unit, i);
		(void)snprintf(options, sizeof(options), "unit: %d, register: %d", unit, i);
		(void)fake_bus_add(f, name, NS_PER_S, options);
	}
}

static size_t count_good(const struct fake_bus *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_results; i++) {
		n += f->results[i].is_good;
	}
	return n;
}

static void a_refused_hole_costs_one_request_once(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 0, 10);
	add_run(f, 1, 50, 90);
	slave->refused_from = 20;
	slave->refused_to = 30;
	slave->refused_code = 2;
	bus_round(f);
	assert_int_equal(50, count_good(f));
	assert_int_equal(3, slave->n_requests);
	/* One more, to see whether it was the hole or the length. */
	slave_forget(slave);
	bus_round(f);
	assert_int_equal(50, count_good(f));
	assert_int_equal(3, slave->n_requests);
	slave_forget(slave);
	bus_round(f);
	assert_int_equal(50, count_good(f));
	assert_int_equal(2, slave->n_requests);
	bus_done(f);
}

static void one_bad_register_fails_alone(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 3, 0, 120);
	slave->refused_from = 77;
	slave->refused_to = 78;
	slave->refused_code = 2;
	bus_round(f);
	assert_int_equal(119, count_good(f));
	assert_failed(f, f->sensors[77],
		"unit 3, holding register 77: illegal data address (exception 2): check table, "
		"register and type");
	assert_true(slave->n_requests <= 16);

	/* From now on it is left out, with the same words and without a request. */
	slave_forget(slave);
	bus_round(f);
	assert_int_equal(119, count_good(f));
	assert_failed(f, f->sensors[77],
		"unit 3, holding register 77: illegal data address (exception 2): check table, "
		"register and type");
	for (size_t i = 0; i < slave->n_requests; i++) {
		assert_true(slave->requests[i].address > 77 ||
			    slave->requests[i].address + slave->requests[i].count <= 77);
	}
	bus_done(f);
}

static void several_bad_registers_fail_alone(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 0, 100);
	slave->refused_from = 30;
	slave->refused_to = 40;
	slave->refused_code = 3;
	bus_round(f);
	assert_int_equal(90, count_good(f));
	assert_int_equal(100, f->n_results);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(i < 30 || i >= 40, fake_bus_result(f, f->sensors[i])->is_good);
	}
	bus_done(f);
}

static void other_exceptions_fail_this_turn_only(void **state)
{
	static const struct {
		int code;
		const char *reason;
	} cases[] = {
		{1, "unit 1, holding register 5: illegal function (exception 1): check table"},
		{4, "unit 1, holding register 5: device failure (exception 4)"},
	};
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 5, 8);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		slave->behaviour[1] = cases[i].code;
		slave_forget(slave);
		bus_round(f);
		assert_int_equal(1, slave->n_requests);
		assert_failed(f, f->sensors[2], cases[i].reason);
		slave->behaviour[1] = MODBUS_SERVER_VALUES;
		bus_round(f);
		assert_int_equal(3, count_good(f));
	}
	bus_done(f);
}

static void a_busy_unit_is_given_time(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 5, 8);
	add_run(f, 2, 5, 8);
	/* Twice busy, then ready: nothing has failed, and the other unit has not waited. */
	slave->behaviour[1] = 6;
	slave->busy_answers = 2;
	bus_round(f);
	assert_int_equal(6, count_good(f));
	assert_int_equal(6, f->n_results);
	assert_int_equal(3, slave_requests_to(slave, 1));
	assert_int_equal(1, slave->requests[0].unit);
	assert_int_equal(2, slave->requests[1].unit);

	slave->behaviour[1] = 5;
	slave_forget(slave);
	bus_round(f);
	assert_int_equal(3, count_good(f));
	assert_int_equal(5, slave_requests_to(slave, 1));
	assert_failed(f, f->sensors[2],
		"unit 1, holding register 5: acknowledged, not ready yet (exception 5)");
	/* Its patience is spent until it answers. */
	slave_forget(slave);
	bus_round(f);
	assert_int_equal(1, slave_requests_to(slave, 1));
	bus_done(f);
}

/* The slave takes 32 registers at once; the holes are no trouble to it. */
static void a_short_limit_is_found_out(void **state)
{
	static const int codes[] = {2, 3, MODBUS_SERVER_SILENT};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct slave *slave = slave_new();
		struct fake_bus *f = slave_bus(slave, "response_timeout: 100ms");
		size_t n_refused = 0;

		for (uint16_t r = 0; r < 250; r += 10) {
			add_run(f, 1, r, r + 7);
		}
		/* Something that is always answered: the unit is not dead. */
		(void)fake_bus_add(f, "alone", NS_PER_S, "register: 5000");
		slave->most = 32;
		slave->most_code = codes[i];
		for (int round = 0; round < 12; round++) {
			bus_round(f);
		}
		assert_int_equal(176, count_good(f));
		slave_forget(slave);
		bus_round(f);
		assert_int_equal(176, count_good(f));
		for (size_t k = 0; k < slave->n_requests; k++) {
			n_refused += slave->requests[k].count > 32;
		}
		assert_int_equal(0, n_refused);
		/* 247 registers from first to last, and the one that stands alone; without an
		   exception nothing longer is tried than what was answered in time. */
		assert_true(slave->n_requests <= (codes[i] > 0 ? 8 + 1 : 20));
		bus_done(f);
		slave_free(slave);
	}
}

/* What was refused, hole and register, is tried again, and the rest shares requests all the time.
 */
static void the_rest_goes_in_as_few_requests_as_before(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 0, 120);
	add_run(f, 2, 0, 120);
	slave->refused_from = 40;
	slave->refused_to = 41;
	slave->refused_code = 2;
	bus_round(f);
	assert_int_equal(238, count_good(f));
	slave_forget(slave);
	bus_round(f);
	assert_int_equal(238, count_good(f));
	assert_int_equal(2, slave_requests_to(slave, 1));
	assert_int_equal(2, slave_requests_to(slave, 2));
	bus_done(f);
}

static void a_silent_unit_costs_three_requests(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, SHORT_TIMEOUT);

	(void)fake_bus_add(f, "dead 1", NS_PER_H, "unit: 9, register: 0");
	(void)fake_bus_add(f, "dead 2", NS_PER_H, "unit: 9, register: 1000");
	add_run(f, 1, 0, 3);
	slave->behaviour[9] = MODBUS_SERVER_SILENT;
	for (int round = 0; round < 10; round++) {
		bus_round(f);
		assert_int_equal(3, count_good(f));
		if (round == 0) {
			assert_failed(f, f->sensors[0], "unit 9: no answer within 0.4 s");
		}
	}
	assert_int_equal(3, slave_requests_to(slave, 9));
	assert_int_equal(10, slave_requests_to(slave, 1));
	assert_failed(f, f->sensors[1], "unit 9: no answer within 0.4 s; asked again every 3600 s");
	bus_done(f);
}

static void a_unit_comes_back(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, SHORT_TIMEOUT);

	add_run(f, 9, 0, 3);
	slave->behaviour[9] = MODBUS_SERVER_SILENT;
	for (int round = 0; round < 3; round++) {
		bus_round(f);
	}
	assert_failed(f, f->sensors[0], "unit 9: no answer within 0.4 s; asked again every 1 s");
	slave->behaviour[9] = MODBUS_SERVER_VALUES;
	/* It is asked after a second and not before. */
	do {
		bus_round(f);
	} while (count_good(f) == 0);
	/* First a single register, then the others. */
	assert_int_equal(5, slave->n_requests);
	assert_value(f, f->sensors[2], 2);
	bus_done(f);
}

static void a_gateway_that_misses_its_unit_counts_as_silence(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	(void)fake_bus_add(f, "dead", NS_PER_H, "unit: 9, register: 0");
	slave->behaviour[9] = 11;
	for (int round = 0; round < 10; round++) {
		bus_round(f);
	}
	assert_int_equal(3, slave->n_requests);
	assert_failed(f, f->sensors[0],
		"unit 9: device behind the gateway does not answer (exception 11); asked again "
		"every 3600 s");
	bus_done(f);
}

static void late_answers_are_never_taken_for_others(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, SHORT_TIMEOUT);

	/* Same size, same table: only the transaction number tells the answers apart. */
	add_run(f, 1, 100, 110);
	add_run(f, 2, 200, 210);
	slave->behaviour[1] = MODBUS_SERVER_LATE;
	for (int round = 0; round < 4; round++) {
		bus_round(f);
		for (uint32_t i = 0; i < 10; i++) {
			assert_false(fake_bus_result(f, f->sensors[i])->is_good);
			assert_value(f, f->sensors[10 + i], 200 + i);
		}
	}
	bus_done(f);
}

static void a_slave_that_dies_closes_the_bus_and_comes_back(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 0, 3);
	bus_round(f);
	slave_kill(slave);
	fake_bus_forget(f);
	assert_true(fake_bus_round(f) < 0);
	assert_int_equal(0, f->n_results);
	fake_bus_close(f);
	assert_int_equal(-ECONNREFUSED, fake_bus_open(f));
	slave_restart(slave);
	bus_round(f);
	assert_int_equal(3, count_good(f));
	bus_done(f);
}

static void a_connection_closed_while_idle_is_no_failure(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "");

	add_run(f, 1, 0, 3);
	bus_round(f);
	slave_kill(slave);
	slave_restart(slave);
	bus_round(f);
	assert_int_equal(3, count_good(f));
	bus_done(f);
}

static void a_stop_request_ends_a_long_wait(void **state)
{
	struct slave *slave = *state;
	struct fake_bus *f = slave_bus(slave, "response_timeout: 60s");

	add_run(f, 1, 0, 3);
	slave->behaviour[1] = MODBUS_SERVER_SILENT;
	slave->stop_at_request = true;
	f->stop = &slave->stop;
	assert_int_equal(0, fake_bus_open(f));
	assert_int_equal(0, fake_bus_poll(f, f->sensors, 3));
	assert_int_equal(0, f->n_results);
	assert_int_equal(1, slave->n_requests);
	bus_done(f);
}

static int listen_on_loopback(int backlog, int *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(0, bind(fd, (struct sockaddr *)(void *)&address, sizeof(address)));
	assert_int_equal(0, listen(fd, backlog));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)(void *)&address, &size));
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void a_connection_that_does_not_come_about_is_given_up(void **state)
{
	static const _Atomic bool stop = true;
	int port, client;
	int listener = listen_on_loopback(0, &port);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	_cleanup_(freep) char *options = xasprintf("port: %d, connect_timeout: 100ms", port);
	struct fake_bus *f = slave_bus(*state, options);

	/* One connection that nobody accepts fills the queue: further ones get no answer. */
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(client >= 0);
	assert_int_equal(0, connect(client, (struct sockaddr *)(void *)&address, sizeof(address)));
	assert_int_equal(-ETIMEDOUT, fake_bus_open(f));
	fake_bus_set(f, "connect_timeout: 60s");
	f->stop = &stop;
	assert_int_equal(-ECANCELED, fake_bus_open(f));
	bus_done(f);
	(void)close(client);
	(void)close(listener);
}

static void a_descriptor_too_high_for_libmodbus_is_refused(void **state)
{
	struct fake_bus *f = slave_bus(*state, "");
	int fds[FD_SETSIZE];
	size_t n = 0;
	struct rlimit limit;

	assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < FD_SETSIZE + 100) {
		fake_bus_free(f);
		skip();
	}
	limit.rlim_cur = FD_SETSIZE + 100;
	assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &limit));
	do {
		assert_true(n < FD_SETSIZE);
		fds[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
		assert_true(fds[n] >= 0);
	} while (fds[n++] < FD_SETSIZE - 1);
	assert_int_equal(-EMFILE, fake_bus_open(f));
	while (n > 0) {
		(void)close(fds[--n]);
	}
	add_run(f, 1, 0, 3);
	bus_round(f);
	assert_int_equal(3, count_good(f));
	bus_done(f);
}

/* A slave that answers each request with bytes made by the test. */
struct liar {
	pid_t pid;
	int port;
};

typedef size_t (*lie)(const uint8_t request[12], uint8_t answer[600], unsigned turn);

/* Requests before this one on the same connection. */
static unsigned n_before;

static void lie_to(int fd, lie tell)
{
	uint8_t request[12], answer[600];
	static unsigned turn;

	n_before = 0;
	while (recv(fd, request, sizeof(request), MSG_WAITALL) == sizeof(request)) {
		size_t size = tell(request, answer, turn++);

		if (send(fd, answer, size, MSG_NOSIGNAL) < 0 || size == 0) {
			break;
		}
		n_before++;
	}
	(void)close(fd);
}

static struct liar liar_new(lie tell)
{
	struct liar liar;
	int fd = listen_on_loopback(8, &liar.port);

	liar.pid = fork();
	assert_true(liar.pid >= 0);
	if (liar.pid == 0) {
		int client;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while ((client = accept(fd, NULL, NULL)) >= 0) {
			lie_to(client, tell);
		}
		_exit(1);
	}
	(void)close(fd);
	return liar;
}

static void liar_free(struct liar liar)
{
	(void)kill(liar.pid, SIGKILL);
	(void)waitpid(liar.pid, NULL, 0);
}

/* The right answer, for the lies to change. */
static size_t truth(const uint8_t request[12], uint8_t answer[600])
{
	size_t count = (size_t)request[10] << 8 | request[11];

	memcpy(answer, request, 8);
	answer[4] = (uint8_t)((3 + 2 * count) >> 8);
	answer[5] = (uint8_t)(3 + 2 * count);
	answer[8] = (uint8_t)(2 * count);
	memset(answer + 9, 0x5a, 2 * count);
	return 9 + 2 * count;
}

static size_t wrong_unit(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[6]++;
	return size;
}

static size_t wrong_transaction(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[1]++;
	return size;
}

static size_t wrong_protocol(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[2] = 1;
	return size;
}

static size_t wrong_function(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[7] = 4;
	return size;
}

static size_t wrong_count(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[8] -= 2;
	return size;
}

static size_t short_answer(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[5] -= 2;
	return size - 2;
}

static size_t wrong_length(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[4] = 0xff;
	return size;
}

static size_t truncated(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	return truth(request, answer) - 1;
}

static size_t hang_up(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	return 0;
}

/* Never all of an answer's first eight bytes by chance: the protocol is 0 in one of 65536. */
static size_t noise(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = 1 + (size_t)rand() % 599;

	for (size_t i = 0; i < size; i++) {
		answer[i] = (uint8_t)rand();
	}
	if (turn % 2 == 0) {
		memcpy(answer, request, 2 + turn % 5);
	}
	return size;
}

static size_t honest(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	return truth(request, answer);
}

/* Both tell the truth once there is another connection than the first, to its first request. */
static size_t wrong_unit_once(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	return turn > 0 && n_before == 0 ? truth(request, answer)
					 : wrong_unit(request, answer, turn);
}

static size_t truncated_once(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	return turn > 0 && n_before == 0 ? truth(request, answer)
					 : truncated(request, answer, turn);
}

/* The answer to the request before; from a connection's second request on, the right one after it.
 */
static size_t late(const uint8_t request[12], uint8_t answer[600], unsigned turn)
{
	size_t size = truth(request, answer);

	answer[1]--;
	return n_before == 0 ? size : size + truth(request, answer + size);
}

/* Rounds with a liar, opening anew whenever the driver says that the link is gone. */
static void believe(lie tell, int rounds, size_t expected_good)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));
	struct liar liar = liar_new(tell);
	_cleanup_(freep) char *address = xasprintf(
		"host: 127.0.0.1, response_timeout: 100ms, port: %d", liar.port);
	struct fake_bus *f = fake_bus_new(directory, "modbus", address);

	add_run(f, 1, 0, 10);
	for (int round = 0; round < rounds; round++) {
		if (!f->is_open) {
			assert_int_equal(0, fake_bus_open(f));
		}
		if (fake_bus_round(f) < 0) {
			fake_bus_close(f);
		}
	}
	assert_int_equal(expected_good, count_good(f));
	liar_free(liar);
	bus_done(f);
}

static void nonsense_is_never_believed(void **state)
{
	static const lie lies[] = {wrong_unit, wrong_transaction, wrong_protocol, wrong_function,
		wrong_count, short_answer, wrong_length, truncated, hang_up};

	believe(honest, 1, 10);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		believe(lies[i], 4, 0);
	}
}

static void a_confused_connection_is_made_anew(void **state)
{
	believe(wrong_unit_once, 2, 10);
	believe(truncated_once, 2, 20);
}

static void a_late_answer_does_not_end_the_connection(void **state)
{
	believe(late, 3, 30);
}

static void noise_is_never_believed(void **state)
{
	believe(noise, 300, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refused_hole_costs_one_request_once),
		TEST(one_bad_register_fails_alone),
		TEST(several_bad_registers_fail_alone),
		TEST(other_exceptions_fail_this_turn_only),
		TEST(a_busy_unit_is_given_time),
		TEST(the_rest_goes_in_as_few_requests_as_before),
		cmocka_unit_test(a_short_limit_is_found_out),
		TEST(a_silent_unit_costs_three_requests),
		TEST(a_unit_comes_back),
		TEST(a_gateway_that_misses_its_unit_counts_as_silence),
		TEST(late_answers_are_never_taken_for_others),
		TEST(a_slave_that_dies_closes_the_bus_and_comes_back),
		TEST(a_connection_closed_while_idle_is_no_failure),
		TEST(a_stop_request_ends_a_long_wait),
		TEST(a_connection_that_does_not_come_about_is_given_up),
		TEST(a_descriptor_too_high_for_libmodbus_is_refused),
		cmocka_unit_test(nonsense_is_never_believed),
		cmocka_unit_test(a_confused_connection_is_made_anew),
		cmocka_unit_test(a_late_answer_does_not_end_the_connection),
		cmocka_unit_test(noise_is_never_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
