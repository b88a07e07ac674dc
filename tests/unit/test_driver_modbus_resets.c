/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Modbus driver against a slave whose connection breaks, or pauses, at every byte of an answer:
 * there is a right value or none, and the next round has one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_host.h"
#include "util.h"

#define REQUEST_SIZE 12
#define COUNT        2
#define ANSWER_SIZE  (9 + 2 * COUNT)

enum what { WHAT_ANSWER, WHAT_RESET, WHAT_CLOSE, WHAT_PAUSE };

/* Shared with the slave's process. */
struct slave {
	pid_t pid;
	int port;
	enum what what; /* with its next answer, after `at` bytes; then it is honest */
	size_t at;
	_Atomic unsigned n_requests;
};

static void put(int fd, const uint8_t *bytes, size_t size)
{
	if (size > 0) {
		(void)send(fd, bytes, size, MSG_NOSIGNAL); /* nobody there: so be it */
	}
}

/* One request and its answer; registers are 0x0102, 0x0304. False at the end. */
static bool serve(struct slave *slave, int fd)
{
	static const struct linger reset = {.l_onoff = 1};
	uint8_t request[REQUEST_SIZE];
	uint8_t answer[ANSWER_SIZE] = {0, 0, 0, 0, 0, 3 + 2 * COUNT, 0, 0, 2 * COUNT, 1, 2, 3, 4};
	enum what what = slave->what;

	if (recv(fd, request, sizeof(request), MSG_WAITALL) != REQUEST_SIZE) {
		return false;
	}
	slave->n_requests++;
	slave->what = WHAT_ANSWER;
	memcpy(answer, request, 2);
	memcpy(answer + 6, request + 6, 2);
	if (what == WHAT_ANSWER) {
		put(fd, answer, sizeof(answer));
		return true;
	}
	put(fd, answer, slave->at);
	if (what == WHAT_PAUSE) {
		(void)poll(NULL, 0, 5);
		put(fd, answer + slave->at, sizeof(answer) - slave->at);
		return true;
	}
	if (what == WHAT_RESET) {
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	return false;
}

_Noreturn static void run(struct slave *slave, int listener)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (fd >= 0 && serve(slave, fd)) {
		}
		(void)close(fd);
	}
}

static int setup(void **state)
{
	struct slave *slave = mmap(
		NULL, sizeof(*slave), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	assert_true(slave != MAP_FAILED && listener >= 0);
	assert_int_equal(0, bind(listener, (struct sockaddr *)(void *)&address, size));
	assert_int_equal(0, listen(listener, 8));
	assert_int_equal(0, getsockname(listener, (struct sockaddr *)(void *)&address, &size));
	slave->port = ntohs(address.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		run(slave, listener);
	}
	slave->pid = pid; /* not before: the child shares it */
	(void)close(listener);
	*state = slave;
	return 0;
}

static int teardown(void **state)
{
	struct slave *slave = *state;

	(void)kill(slave->pid, SIGKILL);
	(void)waitpid(slave->pid, NULL, 0);
	(void)munmap(slave, sizeof(*slave));
	return 0;
}

static struct fake_bus *make_bus(const struct slave *slave)
{
	_cleanup_(freep) char *directory = xasprintf("%s/drivers", getenv("BUILD_DIR"));
	_cleanup_(freep) char *options = xasprintf(
		"host: 127.0.0.1, response_timeout: 2s, port: %d", slave->port);
	struct fake_bus *f = fake_bus_new(directory, "modbus", options);

	(void)fake_bus_add(f, "a", NS_PER_H, "register: 0, type: uint32");
	return f;
}

/* A round, as the daemon makes it: what is closed is opened again. True if it has a value; none is
   wrong. */
static bool round_is_good(struct fake_bus *f)
{
	const struct fake_result *result;

	fake_bus_forget(f);
	if (!f->is_open) {
		assert_int_equal(0, fake_bus_open(f));
	}
	if (fake_bus_round(f) < 0) {
		fake_bus_close(f);
	}
	result = fake_bus_result(f, f->sensors[0]);
	assert_true(!result || !result->is_good || result->value == 0x01020304);
	return result && result->is_good;
}

/* True if the round that it happens in has a value. */
static bool play(struct slave *slave, enum what what, size_t at)
{
	struct fake_bus *f = make_bus(slave);
	bool survived;

	assert_true(round_is_good(f));
	slave->at = at;
	slave->what = what;
	survived = round_is_good(f);
	assert_int_equal(WHAT_ANSWER, slave->what);
	assert_true(round_is_good(f));
	fake_bus_close(f);
	assert_string_equal("", f->violation);
	fake_bus_free(f);
	return survived;
}

static void a_reset_at_any_byte_harms_one_round(void **state)
{
	for (size_t at = 0; at <= ANSWER_SIZE; at++) {
		(void)play(*state, WHAT_RESET, at);
	}
}

static void a_connection_closed_at_any_byte_harms_one_round(void **state)
{
	for (size_t at = 0; at < ANSWER_SIZE; at++) {
		(void)play(*state, WHAT_CLOSE, at);
	}
	/* The whole answer is one, whatever comes then. */
	assert_true(play(*state, WHAT_CLOSE, ANSWER_SIZE));
}

static void an_answer_in_two_parts_is_whole(void **state)
{
	for (size_t at = 0; at < ANSWER_SIZE; at++) {
		assert_true(play(*state, WHAT_PAUSE, at));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reset_at_any_byte_harms_one_round),
		TEST(a_connection_closed_at_any_byte_harms_one_round),
		TEST(an_answer_in_two_parts_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
