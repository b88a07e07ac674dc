/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus driver on serial lines: frames, silence, noise, late answers, ports that go away. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "modbus_fixture.h"
#include "rtu_slave.h"
#include "util.h"

/* [SERIAL] 2.5.1.1 */
#define SILENCE_MIN_NS (1750 * NS_PER_US)

static int setup(void **state)
{
	*state = rtu_slave_new(false);
	return 0;
}

static int setup_tcp(void **state)
{
	*state = rtu_slave_new(true);
	return 0;
}

static int teardown(void **state)
{
	rtu_slave_free(*state);
	return 0;
}

static struct scg_sensor *add(struct fake_bus *f, int unit, int address)
{
	char name[32], options[64];

	(void)snprintf(name, sizeof(name), "u%d r%d", unit, address);
	(void)snprintf(options, sizeof(options), "unit: %d, register: %d", unit, address);
	return fake_bus_add(f, name, NS_PER_H, options);
}

/* Every good reading is the right one; returns how many there are. */
static size_t count_right(const struct fake_bus *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_results; i++) {
		const struct fake_result *result = &f->results[i];
		const union scg_value *options = result->sensor->options;

		if (result->is_good) {
			double right = (double)((1000 * options[0].i + options[2].i) & 0xffff);

			if (options[1].i == COIL || options[1].i == DISCRETE) {
				right = (double)((1000 * options[0].i + options[2].i) & 1);
			}
			assert_true(result->value == right);
			n++;
		}
	}
	return n;
}

static void all_tables_are_read(void **state)
{
	static const char *const rates[] = {
		"baud: 1200", "baud: 19200, stop_bits: 2", "baud: 921600"};

	for (size_t rate = 0; rate < ARRAY_SIZE(rates); rate++) {
		struct fake_bus *f = rtu_slave_bus(*state, rates[rate]);

		(void)fake_bus_add(f, "h", 1, "register: 5");
		(void)fake_bus_add(f, "h2", 1, "register: 129");
		(void)fake_bus_add(f, "i", 1, "unit: 247, table: input, register: 65535");
		(void)fake_bus_add(f, "c", 1, "table: coil, register: 7");
		(void)fake_bus_add(f, "c2", 1, "table: coil, register: 24");
		(void)fake_bus_add(f, "d", 1, "unit: 2, table: discrete, register: 9");
		rtu_slave_open(f);
		for (int round = 0; round < 3; round++) {
			bus_round(f);
			assert_int_equal(6, count_right(f));
		}
		bus_done(f);
	}
}

static int answer_by_formula(
	void *ctx, const struct modbus_server_request *request, union modbus_server_values *values)
{
	for (int i = 0; i < request->count; i++) {
		values->registers[i] = (uint16_t)(1000 * request->unit + request->address + i);
	}
	(void)ctx;
	return request->address + request->count > 4000 ? 2 : MODBUS_SERVER_VALUES;
}

static pid_t start_libmodbus(int master)
{
	struct modbus_server *server;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0) {
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	server = modbus_server_new_rtu(master, 7, answer_by_formula, NULL);
	_exit(!server || modbus_server_run(server) < 0);
}

static void a_slave_on_libmodbus_is_read(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f;
	int other, master;
	pid_t pid;

	rtu_slave_kill(slave);
	master = rtu_open_terminal(slave->device, &other);
	pid = start_libmodbus(master);
	f = rtu_slave_bus(slave, "baud: 115200");
	for (int i = 0; i < 1000; i += 7) {
		(void)add(f, 7, i);
	}
	(void)add(f, 7, 5000); /* which it does not have */
	rtu_slave_open(f);
	for (int round = 0; round < 20; round++) {
		bus_round(f);
		assert_int_equal(f->bus.n_sensors - 1, count_right(f));
	}
	bus_done(f);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(master);
	(void)close(other);
}

/* One trick, then honesty: three sensors take that many requests. `reason`: the one that was played
   upon fails with it; NULL: it does not. */
static void play(
	struct rtu_slave *slave, enum rtu_trick trick, size_t n_requests, const char *reason)
{
	struct fake_bus *f = rtu_slave_bus(slave, "max_gap: 0");
	struct scg_sensor *a = add(f, 1, 100), *b = add(f, 1, 200);

	(void)add(f, 1, 300);
	rtu_slave_open(f);
	bus_round(f);
	assert_int_equal(3, count_right(f));
	slave->only_once = true;
	slave->trick[1] = trick;
	slave->n_requests = 0;
	bus_round(f);
	assert_int_equal(reason ? 2 : 3, count_right(f));
	assert_int_equal(n_requests, slave->n_requests);
	if (reason) {
		assert_failed(f, a, reason);
	}
	assert_value(f, b, 1200);
	for (int round = 0; round < 3; round++) {
		bus_round(f);
		assert_int_equal(3, count_right(f));
	}
	bus_done(f);
}

static void noise_around_an_answer_costs_nothing(void **state)
{
	static const enum rtu_trick tricks[] = {RTU_SPLIT, RTU_ZERO_FIRST, RTU_NOISE_FIRST,
		RTU_HALF_FIRST, RTU_ECHO, RTU_GARBAGE_AFTER};

	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
		play(*state, tricks[i], 3, NULL);
	}
}

static void what_is_lost_once_is_asked_for_again(void **state)
{
	play(*state, RTU_SILENT, 4, NULL);
	play(*state, RTU_WRONG_CRC, 4, NULL);
	play(*state, RTU_TRUNCATED, 4, NULL);
	play(*state, RTU_RANDOM, 4, NULL);
}

static void damage_is_told_from_silence(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "");
	struct scg_sensor *a = add(f, 1, 100), *b = add(f, 2, 100);

	slave->trick[1] = RTU_WRONG_CRC;
	slave->trick[2] = RTU_SILENT;
	rtu_slave_open(f);
	bus_round(f);
	assert_failed(f, a,
		"unit 1: no readable answer: noise, wrong line settings, or two units with one id");
	assert_failed(f, b, "unit 2: no answer within 0.3 s");
	bus_done(f);
}

/* And another one, to see whether the unit is in its right mind. */
static void nonsense_costs_one_request(void **state)
{
	static const char nonsense[] =
		"unit 1, holding register 100: the answer bears another unit, function or length "
		"than the request";

	play(*state, RTU_WRONG_UNIT, 4, nonsense);
	play(*state, RTU_WRONG_FUNCTION, 4, nonsense);
	play(*state, RTU_WRONG_LENGTH, 4, nonsense);
	play(*state, RTU_EXCEPTION, 3,
		"unit 1, holding register 100: device failure (exception 4)");
}

static void an_echo_is_not_an_answer(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "");

	/* The request for these 17 coils, 01 01 03 00 00 11 and the checksum, is a good answer of
	   three bytes. */
	for (int i = 0; i < 17; i += 16) {
		char options[64];

		(void)snprintf(options, sizeof(options), "table: coil, register: %d", 0x300 + i);
		(void)fake_bus_add(f, i ? "last" : "first", NS_PER_H, options);
	}
	slave->trick[1] = RTU_ECHO;
	bus_round(f);
	assert_int_equal(1, slave->n_requests);
	assert_int_equal(2, count_right(f));
	slave->trick[1] = RTU_ECHO_ONLY;
	bus_round(f);
	assert_int_equal(0, count_right(f));
	bus_done(f);
}

/* Whatever the slave does and when: a reading is right or there is none. */
static void no_trick_makes_a_wrong_reading(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(
		slave, "response_timeout: 60ms, max_gap: 0, baud: 115200");

	for (int i = 0; i < 8; i++) {
		(void)add(f, 1 + i % 4, 100 * i);
	}
	srand(3);
	for (int round = 0; round < 8; round++) {
		for (int unit = 1; unit <= 4; unit++) {
			slave->trick[unit] = (enum rtu_trick)(rand() % (RTU_HANG_UP));
			if (slave->trick[unit] == RTU_STOP || slave->trick[unit] == RTU_LATE) {
				slave->trick[unit] = RTU_HONEST;
			}
		}
		bus_round(f);
		(void)count_right(f);
	}
	bus_done(f);
}

/* As late as up to twice the time for an answer, all of one shape. */
static void a_late_answer_never_becomes_another_ones(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "response_timeout: 200ms, max_gap: 0");
	struct scg_sensor *sensors[24];
	size_t n_right = 0;

	for (int i = 0; i < 24; i++) {
		sensors[i] = add(f, 1 + i % 12, 10 * i);
	}
	assert_int_equal(0, fake_bus_open(f));
	srand(2);
	for (int i = 0; i < 24; i++) {
		int unit = 1 + i % 12;

		/* Half of them are late, some only just. */
		slave->trick[unit] = i % 2 ? RTU_LATE : RTU_HONEST;
		slave->delay_ms = i % 4 == 1 ? 195 + rand() % 10 : 200 + rand() % 120;
		assert_int_equal(0, fake_bus_poll(f, &sensors[i], 1));
	}
	n_right = count_right(f);
	assert_true(n_right >= 12);
	assert_true(n_right < 24);
	bus_done(f);
}

/* A unit that was silent before does not hold up the others: its late answer comes into their
   requests. */
static void a_late_answer_of_a_silent_unit_hurts_nobody(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "response_timeout: 200ms, max_gap: 0");
	struct scg_sensor *sensors[12];

	for (int i = 0; i < 12; i++) {
		sensors[i] = add(f, 1 + i % 3, 10 * i);
	}
	assert_int_equal(0, fake_bus_open(f));
	slave->trick[1] = RTU_SILENT;
	assert_int_equal(0, fake_bus_poll(f, &sensors[0], 1));
	slave->trick[1] = RTU_LATE;
	slave->delay_ms = 260;
	assert_int_equal(0, fake_bus_poll(f, &sensors[3], 1));
	slave->trick[1] = RTU_HONEST;
	for (int i = 1; i < 12; i++) {
		assert_int_equal(0, fake_bus_poll(f, &sensors[i], 1));
	}
	for (int i = 1; i < 12; i++) {
		if (i % 3 != 0) {
			assert_value(f, sensors[i], 1000 * (1 + i % 3) + 10 * i);
		}
	}
	assert_int_equal(f->n_results, count_right(f));
	bus_done(f);
}

static void line_is_silent_before(struct rtu_slave *slave, const char *options, int64_t silence_ns)
{
	struct fake_bus *f = rtu_slave_bus(slave, options);

	for (int i = 0; i < 12; i++) {
		(void)add(f, 1 + i % 3, 1000 * i);
	}
	slave->n_requests = 0;
	rtu_slave_open(f);
	bus_round(f);
	bus_round(f);
	assert_int_equal(12, count_right(f));
	assert_int_equal(24, slave->n_requests);
	for (size_t i = 1; i < slave->n_requests; i++) {
		assert_true(slave->requests[i].silence_ns >= silence_ns);
	}
	bus_done(f);
}

static void the_line_is_silent_before_each_request(void **state)
{
	struct rtu_slave *slave = *state;

	line_is_silent_before(slave, "baud: 1200", NS_PER_S * 35 / 1200);
	line_is_silent_before(slave, "baud: 9600, stop_bits: 2", NS_PER_S * 35 * 11 / 96000);
	line_is_silent_before(slave, "baud: 115200", SILENCE_MIN_NS);
	line_is_silent_before(slave, "baud: 921600", SILENCE_MIN_NS);
	line_is_silent_before(slave, "baud: 9600, request_gap: 40ms", 40 * NS_PER_MS);
	slave->trick[2] = RTU_GARBAGE_AFTER;
	line_is_silent_before(slave, "baud: 9600", NS_PER_S * 35 / 9600);
}

static void a_line_that_is_never_silent_is_not_believed(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "response_timeout: 100ms");
	struct scg_sensor *a = add(f, 1, 1);

	bus_round(f);
	slave->babble = true;
	bus_round(f);         /* a second one could let the unit rest */
	(void)count_right(f); /* it may find a gap on a busy machine */
	slave->babble = false;
	bus_round(f);
	assert_value(f, a, 1001);
	bus_done(f);
}

static void a_port_goes_and_comes_back(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "");
	struct scg_sensor *a = add(f, 1, 1);

	for (int round = 0; round < 3; round++) {
		bus_round(f);
		assert_value(f, a, 1001);
		rtu_slave_kill(slave);
		assert_true(fake_bus_poll(f, f->sensors, 1) < 0);
		fake_bus_close(f);
		assert_int_equal(-ENOENT, fake_bus_open(f));
		rtu_slave_restart(slave);
	}
	bus_done(f);
}

static void a_port_that_goes_while_an_answer_is_awaited_is_lost(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "response_timeout: 60s, baud: 115200");
	pid_t pid;

	(void)add(f, 1, 1);
	slave->trick[1] = RTU_SILENT;
	rtu_slave_open(f);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		while (slave->n_requests == 0) {
			(void)usleep(1000);
		}
		(void)kill(slave->pid, SIGKILL);
		_exit(0);
	}
	assert_true(fake_bus_poll(f, f->sensors, 1) < 0);
	(void)waitpid(pid, NULL, 0);
	bus_done(f);
}

static void a_stop_ends_the_wait(void **state)
{
	struct rtu_slave *slave = *state;
	/* Only a stop ends this before the test's own time is over. */
	struct fake_bus *f = rtu_slave_bus(slave, "response_timeout: 60s");

	(void)add(f, 1, 1);
	rtu_slave_open(f);
	slave->trick[1] = RTU_STOP;
	f->stop = &slave->stop;
	assert_int_equal(0, fake_bus_poll(f, f->sensors, 1));
	assert_int_equal(0, f->n_results);
	assert_int_equal(1, slave->n_requests);
	bus_done(f);
}

static void a_port_belongs_to_one_process(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "");
	int fd = open(slave->device, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int is_exclusive = 0;

	assert_true(fd >= 0);
	assert_int_equal(0, flock(fd, LOCK_EX));
	(void)add(f, 1, 1);
	assert_int_equal(-EBUSY, fake_bus_open(f));
	assert_int_equal(0, ioctl(fd, TIOCGEXCL, &is_exclusive));
	assert_false(is_exclusive);
	assert_int_equal(0, flock(fd, LOCK_UN));
	bus_round(f);
	assert_int_equal(1, count_right(f));
	assert_int_equal(0, ioctl(fd, TIOCGEXCL, &is_exclusive));
	assert_true(is_exclusive);
	assert_int_equal(-1, flock(fd, LOCK_EX | LOCK_NB));
	fake_bus_close(f);
	assert_int_equal(0, ioctl(fd, TIOCGEXCL, &is_exclusive));
	assert_false(is_exclusive);
	(void)close(fd);
	bus_done(f);
}

static void the_port_is_set_as_asked_or_not_opened(void **state)
{
	static const struct {
		const char *options;
		speed_t speed;
	} cases[] = {{"baud: 300", B300}, {"baud: 57600", B57600}, {"baud: 460800", B460800},
		{"baud: 921600, stop_bits: 2", B921600}, {"baud: 4000000", B4000000}};
	struct rtu_slave *slave = *state;
	struct termios termios;
	struct fake_bus *f;
	int fd = open(slave->device, O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f = rtu_slave_bus(slave, cases[i].options);
		assert_int_equal(0, fake_bus_open(f));
		assert_int_equal(0, tcgetattr(fd, &termios));
		assert_true(cfgetospeed(&termios) == cases[i].speed);
		assert_true(cfgetispeed(&termios) == cases[i].speed);
		assert_int_equal(i == 3, (termios.c_cflag & CSTOPB) != 0);
		assert_int_equal(0, termios.c_lflag | termios.c_oflag);
		bus_done(f);
	}
	(void)close(fd);
	/* Pseudo-terminals have neither. */
	f = rtu_slave_bus(slave, "parity: even");
	assert_int_equal(-EINVAL, fake_bus_open(f));
	fake_bus_set(f, "parity: none, rs485: true");
	assert_int_equal(-EOPNOTSUPP, fake_bus_open(f));
	fake_bus_set(f, "rs485: false, device: /dev/null");
	assert_int_equal(-ENOTTY, fake_bus_open(f));
	bus_done(f);
}

static size_t requests_for_hole(struct rtu_slave *slave, const char *options, int hole)
{
	struct fake_bus *f = rtu_slave_bus(slave, options);
	size_t n;

	(void)add(f, 1, 0);
	(void)add(f, 1, 1 + hole);
	slave->n_requests = 0;
	rtu_slave_open(f);
	bus_round(f);
	n = slave->n_requests;
	bus_done(f);
	return n;
}

static void a_hole_is_read_while_that_is_cheaper(void **state)
{
	assert_int_equal(1, requests_for_hole(*state, "baud: 9600", 12));
	assert_int_equal(2, requests_for_hole(*state, "baud: 9600", 13));
	assert_int_equal(1, requests_for_hole(*state, "baud: 115200", 60));
	assert_int_equal(2, requests_for_hole(*state, "baud: 115200", 65));
	assert_int_equal(1, requests_for_hole(*state, "baud: 9600, request_gap: 100ms", 55));
	assert_int_equal(2, requests_for_hole(*state, "baud: 115200, max_gap: 3", 4));
}

static void a_dead_unit_of_ten_costs_its_probe(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "baud: 9600, response_timeout: 100ms");
	size_t n_dead = 0;

	for (int unit = 1; unit <= 10; unit++) {
		(void)add(f, unit, 10);
	}
	slave->trick[4] = RTU_SILENT;
	for (int round = 0; round < 10; round++) {
		bus_round(f);
		assert_int_equal(9, count_right(f));
	}
	for (size_t i = 0; i < slave->n_requests; i++) {
		n_dead += slave->requests[i].unit == 4;
	}
	assert_int_equal(3, n_dead);
	bus_done(f);
}

static void check_says_what_cannot_work(void **state)
{
	struct fake_bus *f = rtu_slave_bus(*state, "");

	(void)add(f, 1, 0);
	assert_int_equal(0, fake_bus_check(f));
	fake_bus_set(f, "baud: 14400, data_bits: 7, device: , host: plc");
	(void)add(f, 0, 0);
	assert_int_equal(5, fake_bus_check(f));
	assert_true(fake_bus_complained(f,
		"bus: baud: 14400 is no speed of serial ports; there are 300, 600, 1200, 1800, "
		"2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 576000, "
		"921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000"));
	assert_true(fake_bus_complained(f,
		"bus: data_bits: RTU frames need 8; 7 is for Modbus ASCII, which this driver does "
		"not know"));
	assert_true(fake_bus_complained(
		f, "bus: device: transport rtu needs a serial port, as /dev/serial/by-id/..."));
	assert_true(fake_bus_complained(
		f, "bus: host: is for transports tcp and rtu-tcp, but this bus has transport rtu"));
	assert_true(fake_bus_complained(
		f, "u0 r0: unit: 0 is the broadcast address of a serial line: no slave answers"));
	fake_bus_set(f, "transport: rtu-tcp, baud: 9600, data_bits: 8, host: , device: /dev/null, "
			"rs485: true");
	assert_int_equal(4, fake_bus_check(f));
	assert_true(fake_bus_complained(f,
		"bus: host: transport rtu-tcp needs the name or the address of the device server"));
	assert_true(fake_bus_complained(
		f, "bus: rs485: is for transport rtu; a device server switches by itself"));
	bus_done(f);
}

static void a_server_that_hangs_up_after_each_answer_is_no_failure(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "request_gap: 20ms");

	(void)add(f, 1, 5);
	slave->trick[1] = RTU_HANG_UP;
	rtu_slave_open(f);
	for (int round = 0; round < 5; round++) {
		bus_round(f);
		assert_int_equal(1, count_right(f));
	}
	bus_done(f);
}

static void a_server_goes_and_comes_back(void **state)
{
	struct rtu_slave *slave = *state;
	struct fake_bus *f = rtu_slave_bus(slave, "");

	(void)add(f, 1, 5);
	bus_round(f);
	rtu_slave_kill(slave);
	assert_int_equal(-ECONNREFUSED, fake_bus_poll(f, f->sensors, 1));
	fake_bus_close(f);
	assert_int_equal(-ECONNREFUSED, fake_bus_open(f));
	rtu_slave_restart(slave);
	bus_round(f);
	assert_int_equal(1, count_right(f));
	bus_done(f);
}

#define SERIAL(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define SERVER(name)                                                                               \
	{                                                                                          \
		"tcp: " #name, name, setup_tcp, teardown, NULL                                     \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERIAL(all_tables_are_read),
		SERIAL(a_slave_on_libmodbus_is_read),
		SERIAL(noise_around_an_answer_costs_nothing),
		SERIAL(what_is_lost_once_is_asked_for_again),
		SERIAL(damage_is_told_from_silence),
		SERIAL(nonsense_costs_one_request),
		SERIAL(an_echo_is_not_an_answer),
		SERIAL(no_trick_makes_a_wrong_reading),
		SERIAL(a_late_answer_never_becomes_another_ones),
		SERIAL(a_late_answer_of_a_silent_unit_hurts_nobody),
		SERIAL(the_line_is_silent_before_each_request),
		SERIAL(a_line_that_is_never_silent_is_not_believed),
		SERIAL(a_port_goes_and_comes_back),
		SERIAL(a_port_that_goes_while_an_answer_is_awaited_is_lost),
		SERIAL(a_stop_ends_the_wait),
		SERIAL(a_port_belongs_to_one_process),
		SERIAL(the_port_is_set_as_asked_or_not_opened),
		SERIAL(a_hole_is_read_while_that_is_cheaper),
		SERIAL(a_dead_unit_of_ten_costs_its_probe),
		SERIAL(check_says_what_cannot_work),
		SERVER(all_tables_are_read),
		SERVER(noise_around_an_answer_costs_nothing),
		SERVER(what_is_lost_once_is_asked_for_again),
		SERVER(nonsense_costs_one_request),
		SERVER(a_late_answer_never_becomes_another_ones),
		SERVER(the_line_is_silent_before_each_request),
		SERVER(a_stop_ends_the_wait),
		SERVER(a_server_that_hangs_up_after_each_answer_is_no_failure),
		SERVER(a_server_goes_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
