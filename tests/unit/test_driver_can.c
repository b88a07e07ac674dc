/* SPDX-License-Identifier: Apache-2.0 */
#include "can_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/can/error.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "util.h"

#define NEVER NS_PER_H

/* The options for a bus with the file of tests/data. */
static char *with_engine(void)
{
	return xasprintf("dbc: %s/tests/data/engine.dbc", getenv("SOURCE_DIR"));
}

static struct can_fixture *make_with_engine(void)
{
	_cleanup_(freep) char *options = with_engine();

	return can_fixture_new(options);
}

static void assert_value(struct can_fixture *c, const struct scg_sensor *sensor, double value)
{
	const struct fake_result *result = fake_bus_result(c->fake, sensor);

	assert_non_null(result);
	assert_string_equal(result->reason, "");
	assert_true(result->value == value);
}

static void assert_reason(
	struct can_fixture *c, const struct scg_sensor *sensor, const char *reason)
{
	const struct fake_result *result = fake_bus_result(c->fake, sensor);

	assert_non_null(result);
	assert_string_equal(result->reason, reason);
}

static void test_signals_of_a_file(void **state)
{
	struct can_fixture *c = make_with_engine();
	struct scg_sensor *speed, *coolant, *torque, *lambda, *phase, *energy;

	(void)state;
	speed = can_fixture_add(c, "speed", NEVER, "message: Engine_1, signal: Speed");
	coolant = can_fixture_add(c, "coolant", NEVER, "message: Engine_1, signal: Coolant");
	torque = can_fixture_add(c, "torque", NEVER, "message: Engine_1, signal: Torque");
	lambda = can_fixture_add(c, "lambda", NEVER, "message: Engine_1, signal: Lambda");
	phase = can_fixture_add(c, "phase", NEVER,
		"message: Engine_1, signal: PhaseOfTheCamshaftInDegreesOfTheCrankshaft");
	energy = can_fixture_add(c, "energy", NEVER, "message: Floats, signal: Energy");
	fake_bus_set(c->fake, "fd: true");
	can_fixture_open(c);
	can_send(c->tx, 0x100, "\x10\x27\xd8\xff\xe0\x10\x27\x5a", 8);
	can_wait_results(c, 5);
	assert_value(c, speed, 1250);
	assert_value(c, coolant, -80);
	assert_value(c, torque, -1);
	assert_true(fake_bus_result(c->fake, lambda)->value == 10000 * 1e-5 + .5);
	assert_value(c, phase, 0x5a);
	/* big endian, in the second half of an FD frame */
	can_send_fd(c->tx, 0x101, "\0\0\0\0\0\0\0\0\x40\x09\x21\xfb\x54\x44\x2d\x18", 16);
	can_wait_results(c, 6);
	assert_value(c, energy, 3.141592653589793);
	can_fixture_free(c);
}

static void test_multiplexed_signals(void **state)
{
	struct can_fixture *c = make_with_engine();
	struct scg_sensor *volt, *amp, *deep, *plain;

	(void)state;
	volt = can_fixture_add(c, "volt", 1, "message: Pages, signal: Volt");
	amp = can_fixture_add(c, "amp", 1, "message: Pages, signal: Amp");
	deep = can_fixture_add(c, "deep", 1, "message: Nested, signal: Deep");
	plain = can_fixture_add(c, "plain", 1,
		"id: 0x200, start_bit: 8, length: 8, multiplexor_start_bit: 4, "
		"multiplexor_length: 4, multiplexor_value: 9");
	can_fixture_open(c);
	can_send(c->tx, 300, "\0\xe8\x03\0\0\0\0\0", 8);
	can_wait_results(c, 1);
	assert_value(c, volt, 100);
	assert_null(fake_bus_result(c->fake, amp));
	can_send(c->tx, 300, "\1\xf6\xff\0\0\0\0\0", 8);
	can_wait_results(c, 2);
	assert_value(c, amp, -1);
	can_send(c->tx, 301, "\x32\x07\0\0\0\0\0\0", 8); /* the outer one is not 3 */
	can_send(c->tx, 301, "\x23\x08\0\0\0\0\0\0", 8);
	can_wait_results(c, 3);
	assert_value(c, deep, 8);
	can_send(c->tx, 0x200, "\x80\x01", 2);
	can_send(c->tx, 0x200, "\x90\x02", 2);
	can_wait_results(c, 4);
	assert_value(c, plain, 2);
	can_fixture_free(c);
}

static void test_signals_by_place(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *little, *big, *number, *extended, *last;
	const float pi = 3.25f;
	uint8_t data[8] = {0xfe, 0xff, 0x12, 0x34};

	(void)state;
	little = can_fixture_add(
		c, "little", 1, "id: 0x123, start_bit: 0, length: 16, signed: true");
	big = can_fixture_add(c, "big", 1, "id: 0x123, start_bit: 23, length: 16, byte_order: big");
	number = can_fixture_add(
		c, "number", 1, "id: 0x123, start_bit: 32, length: 32, float: true");
	extended = can_fixture_add(
		c, "extended", 1, "id: 0x123, extended: true, start_bit: 0, length: 8");
	last = can_fixture_add(c, "last", 1, "id: 0x18ff0102, start_bit: 63, length: 1");
	can_fixture_open(c);
	memcpy(data + 4, &pi, sizeof(pi));
	can_send(c->tx, 0x123, data, 8);
	can_wait_results(c, 3);
	assert_value(c, little, -2);
	assert_value(c, big, 0x1234);
	assert_value(c, number, 3.25);
	can_send(c->tx, 0x123 | CAN_EFF_FLAG, "\x2a", 1);
	can_send(c->tx, 0x18ff0102 | CAN_EFF_FLAG, "\0\0\0\0\0\0\0\x80", 8);
	can_wait_results(c, 5);
	assert_value(c, extended, 42);
	assert_value(c, last, 1);
	can_fixture_free(c);
}

static void send_long_group(struct can_fixture *c, uint8_t source)
{
	uint32_t control = 0x1cecff00u | source | CAN_EFF_FLAG;
	uint32_t packet = 0x1cebff00u | source | CAN_EFF_FLAG;

	can_send(c->tx, control, "\x20\x0a\x00\x02\xff\xca\xfe\x00", 8);
	can_send(c->tx, packet, "\x01\x01\x02\x03\x04\x05\x06\x07", 8);
	can_send(c->tx, packet, "\x02\x08\x2c\x01\xff\xff\xff\xff", 8);
}

static void test_parameter_groups(void **state)
{
	struct can_fixture *c = make_with_engine();
	struct scg_sensor *any, *of_three, *longer, *temperature;

	(void)state;
	any = can_fixture_add(c, "any", 1, "message: EEC1, signal: EngSpeed");
	of_three = can_fixture_add(c, "of_three", 1, "message: EEC1, signal: EngSpeed, source: 3");
	longer = can_fixture_add(c, "longer", 1, "pgn: 0xfeca, start_bit: 64, length: 16");
	temperature = can_fixture_add(c, "t", 1, "pgn: 65262, source: 0, start_bit: 0, length: 8");
	can_fixture_open(c);
	can_send(c->tx, 0x0cf00400 | CAN_EFF_FLAG, "\xff\xff\xff\x68\x13\xff\xff\xff", 8);
	can_wait_results(c, 1);
	assert_value(c, any, 621);
	assert_null(fake_bus_result(c->fake, of_three));
	/* another priority, another source */
	can_send(c->tx, 0x18f00403 | CAN_EFF_FLAG, "\xff\xff\xff\x70\x13\xff\xff\xff", 8);
	can_wait_results(c, 3);
	assert_value(c, of_three, 622);
	send_long_group(c, 0x21);
	can_wait_results(c, 4);
	assert_value(c, longer, 0x012c);
	can_send(c->tx, 0x18feee00 | CAN_EFF_FLAG, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	can_wait_results(c, 5);
	assert_reason(c, temperature, "the device says that it has no value");
	can_send(c->tx, 0x18feee00 | CAN_EFF_FLAG, "\x82\xff\xff\xff\xff\xff\xff\xff", 8);
	can_wait_results(c, 6);
	assert_value(c, temperature, 0x82);
	fake_bus_close(c->fake);
	assert_int_equal(fake_bus_counted(c->fake, "long_groups"), 1);
	can_fixture_free(c);
}

/* What an interval becomes: the first value at once, then one for each interval. */
static void test_samples(void **state)
{
	static const char *const samples[] = {"last", "mean", "min", "max"};
	static const double expected[] = {30, 25, 10, 40};
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *sensors[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		_cleanup_(freep) char *options = xasprintf(
			"id: 1, start_bit: 0, length: 8, sample: %s", samples[i]);

		sensors[i] = can_fixture_add(c, samples[i], 100 * NS_PER_MS, options);
	}
	can_fixture_open(c);
	can_send(c->tx, 1, "\x63", 1);
	can_wait_results(c, 4);
	for (int i = 0; i < 4; i++) {
		assert_value(c, sensors[i], 99);
	}
	can_send(c->tx, 1, "\x14", 1);
	can_send(c->tx, 1, "\x0a", 1);
	can_send(c->tx, 1, "\x28", 1);
	can_send(c->tx, 1, "\x1e", 1);
	can_wait_results(c, 8); /* by the timer: nothing more comes */
	for (int i = 0; i < 4; i++) {
		assert_value(c, sensors[i], expected[i]);
	}
	assert_int_equal(c->fake->n_results, 8);
	can_fixture_free(c);
}

static void test_values_have_the_time_of_their_frame(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *sensor = can_fixture_add(c, "s", 1, "id: 1, start_bit: 0, length: 8");
	int64_t before, after;

	(void)state;
	can_fixture_open(c);
	before = now_realtime_ns();
	can_send(c->tx, 1, "\1", 1);
	after = now_realtime_ns();
	(void)poll(NULL, 0, 20); /* it waits in the socket meanwhile */
	can_wait_results(c, 1);
	assert_in_range(fake_bus_result(c->fake, sensor)->time_ns, before, after);
	can_fixture_free(c);
}

static void test_frames_that_are_none(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *sensor = can_fixture_add(
		c, "s", 10 * NS_PER_S, "id: 1, start_bit: 56, length: 8");
	char junk[200] = {1};
	struct can_frame frame = {.can_id = 1, .len = 255, .data = {0, 0, 0, 0, 0, 0, 0, 7}};

	(void)state;
	can_fixture_open(c);
	for (size_t size = 0; size < sizeof(junk); size++) {
		if (size != CAN_MTU && size != CANFD_MTU) {
			assert_int_equal(send(c->tx, junk, size, 0), size);
		}
	}
	can_send(c->tx, 1 | CAN_RTR_FLAG, "", 0);
	can_send(c->tx, 2, "\1\2\3\4\5\6\7\10", 8);
	can_send(c->tx, 1, "\1\2\3", 3);
	can_wait_results(c, 1);
	assert_reason(c, sensor, "the message is shorter than where the signal is");
	/* a length that no controller has: as many bytes as there are */
	assert_int_equal(send(c->tx, &frame, sizeof(frame), 0), sizeof(frame));
	can_wait_results(c, 2);
	assert_value(c, sensor, 7);
	can_fixture_free(c);
}

/* Whatever comes, and however often: what is missing is said once an interval. */
static void test_missing_values_are_said_once(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *sensor = can_fixture_add(
		c, "s", NEVER, "pgn: 0xfeee, start_bit: 0, length: 8");

	(void)state;
	(void)can_fixture_add(c, "end", NEVER, "id: 2, start_bit: 0, length: 8");
	can_fixture_open(c);
	for (int i = 0; i < 100; i++) {
		can_send(c->tx, 0x18feee00 | CAN_EFF_FLAG, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8);
	}
	can_send(c->tx, 2, "\1", 1);
	can_wait_results(c, 2);
	assert_int_equal(c->fake->n_results, 2);
	assert_reason(c, sensor, "the device reports an error of this sensor");
	can_fixture_free(c);
}

#define FRAMES 3000

static void test_many_frames(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *peak = can_fixture_add(
		c, "peak", 50 * NS_PER_MS, "id: 1, start_bit: 0, length: 16, sample: max");
	unsigned n_more = 0;

	(void)state;
	can_fixture_open(c);
	for (uint16_t i = 0; i < FRAMES; i++) {
		uint16_t value = htole16(i);

		can_send(c->tx, 1, &value, sizeof(value));
		if (i % 50 == 0) {
			assert_int_equal(fake_bus_dispatch(c->fake, NS_PER_S), 0);
		}
	}
	while (!fake_bus_result(c->fake, peak) ||
		fake_bus_result(c->fake, peak)->value < FRAMES - 1) {
		assert_int_equal(fake_bus_dispatch(c->fake, 20 * NS_PER_S), 0);
	}
	/* who has nothing to do does not wake up */
	while (fake_bus_dispatch(c->fake, 1500 * NS_PER_MS) != -ETIMEDOUT) {
		assert_true(++n_more < 10);
	}
	fake_bus_close(c->fake);
	assert_int_equal(fake_bus_counted(c->fake, "frames"), FRAMES);
	assert_int_equal(fake_bus_counted(c->fake, "socket_overflow"), 0);
	can_fixture_free(c);
}

static void test_overflow_is_counted(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	int size = 2304; /* the least that there is */

	(void)state;
	(void)can_fixture_add(c, "s", NEVER, "id: 1, start_bit: 0, length: 8");
	assert_int_equal(setsockopt(c->rx, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	can_fixture_open(c);
	assert_int_equal(fake_bus_counted(c->fake, "socket_overflow"), 0);
	for (int i = 0; i < 500; i++) {
		can_send(c->tx, 1, "\1", 1);
	}
	can_wait_results(c, 1);
	can_send(c->tx, 1, "\1", 1); /* which brings the news */
	can_wait_count(c, "socket_overflow", 1);
	fake_bus_close(c->fake);
	assert_int_equal(
		fake_bus_counted(c->fake, "socket_overflow") + fake_bus_counted(c->fake, "frames"),
		501);
	can_fixture_free(c);
}

static void send_error(struct can_fixture *c, uint32_t classes, uint8_t controller)
{
	uint8_t data[8] = {[1] = controller};

	can_send(c->tx, classes | CAN_ERR_FLAG, data, sizeof(data));
}

static void test_bus_off(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *one = can_fixture_add(c, "one", 1, "id: 1, start_bit: 0, length: 8");
	struct scg_sensor *two = can_fixture_add(c, "two", 1, "id: 2, start_bit: 0, length: 8");

	(void)state;
	can_fixture_open(c);
	send_error(c, CAN_ERR_CRTL, CAN_ERR_CRTL_TX_WARNING);
	send_error(c, CAN_ERR_CRTL, CAN_ERR_CRTL_TX_PASSIVE);
	can_send(c->tx, 1, "\1", 1);
	can_wait_results(c, 1);
	assert_value(c, one, 1);
	send_error(c, CAN_ERR_BUSOFF, 0);
	can_wait_results(c, 3);
	assert_reason(c, one,
		"the controller is off the bus after too many errors (bus-off): wrong bit rate, a "
		"short circuit, or no terminating resistors");
	assert_string_equal(
		fake_bus_result(c->fake, two)->reason, fake_bus_result(c->fake, one)->reason);
	/* and it stays the reason: without a further word that would be silence */
	can_wait_results(c, 5);
	assert_false(fake_bus_result(c->fake, two)->is_good);
	send_error(c, CAN_ERR_RESTARTED, 0);
	can_send(c->tx, 2, "\2", 1);
	can_wait_results(c, 6);
	assert_value(c, two, 2);
	send_error(c, CAN_ERR_CRTL, CAN_ERR_CRTL_RX_OVERFLOW);
	can_wait_count(c, "controller_overflow", 1);
	assert_int_equal(fake_bus_counted(c->fake, "error_warning"), 1);
	assert_int_equal(fake_bus_counted(c->fake, "error_passive"), 1);
	assert_int_equal(fake_bus_counted(c->fake, "bus_off"), 1);
	assert_int_equal(fake_bus_counted(c->fake, "restarts"), 1);
	assert_int_equal(fake_bus_counted(c->fake, "error_frames"), 5);
	assert_int_equal(fake_bus_counted(c->fake, "frames"), 2);
	can_fixture_free(c);
}

/* Some drivers never say that they have restarted; but who receives is on the bus. */
static void test_frames_end_bus_off(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct scg_sensor *sensor = can_fixture_add(c, "s", 1, "id: 1, start_bit: 0, length: 8");
	size_t n;

	(void)state;
	can_fixture_open(c);
	send_error(c, CAN_ERR_BUSOFF, 0);
	can_wait_results(c, 1);
	can_send(c->tx, 1, "\1", 1);
	while (!fake_bus_result(c->fake, sensor)->is_good) {
		assert_int_equal(fake_bus_dispatch(c->fake, 20 * NS_PER_S), 0);
	}
	n = c->fake->n_results;
	can_wait_count(c, "frames", 1);
	assert_int_equal(c->fake->n_results, n);
	can_fixture_free(c);
}

static void test_an_interface_that_fails(void **state)
{
	struct can_fixture *c = can_fixture_new("");
	struct sockaddr_in nobody = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(nobody);
	int closed = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(closed, (struct sockaddr *)&nobody, size), 0);
	assert_int_equal(getsockname(closed, (struct sockaddr *)&nobody, &size), 0);
	assert_int_equal(close(closed), 0);
	(void)can_fixture_add(c, "s", 1, "id: 1, start_bit: 0, length: 8");
	can_fixture_open(c);
	/* what goes to a socket that is closed comes back as an error of one's own */
	assert_int_equal(connect(c->rx, (struct sockaddr *)&nobody, size), 0);
	assert_int_equal(send(c->rx, "x", 1, 0), 1);
	assert_int_equal(fake_bus_dispatch(c->fake, 20 * NS_PER_S), -ECONNREFUSED);
	fake_bus_close(c->fake);
	fake_bus_set(c->fake, "interface: 9999");
	assert_int_equal(fake_bus_open(c->fake), -EBADF);
	can_fixture_free(c);
}

static void test_scan(void **state)
{
	_cleanup_(freep) char *options = with_engine();
	struct can_fixture *c = can_fixture_new(options);
	const struct scg_tool *scan = c->fake->driver->scan;

	(void)state;
	can_fixture_open(c);
	for (int i = 0; i < 20; i++) {
		can_send(c->scan_tx, 0x100, "\x10\x27\xff\xff\xe0\x18\x27\x5a", 8);
	}
	can_send(c->scan_tx, 0x77, "\x01\x02", 2);
	can_send(c->scan_tx, 0x77, "\x01\x05\x06", 3);
	can_send(c->scan_tx, 0x18feee03 | CAN_EFF_FLAG, "\x82\xff", 2);
	assert_int_equal(fake_bus_run(c->fake, scan, "time: 200ms"), 0);
	assert_true(fake_bus_told(c->fake, SCG_TELL_RESULT,
		"0x100, Engine_1: 100/s, 8 bytes; last 10 27 ff ff e0 18 27 5a, changing 00 00 00 "
		"00 00 00 00 00"));
	assert_true(fake_bus_told(c->fake, SCG_TELL_RESULT, "    Speed 1250 rpm"));
	assert_true(fake_bus_told(c->fake, SCG_TELL_RESULT, "    Coolant -41 degC (broken)"));
	assert_true(fake_bus_told(c->fake, SCG_TELL_STANZA, "- slug: engine_1_speed"));
	assert_true(fake_bus_told(
		c->fake, SCG_TELL_STANZA, "  options: {message: Engine_1, signal: Speed}"));
	assert_true(fake_bus_told(c->fake, SCG_TELL_RESULT,
		"0x077: 10/s, 2 to 3 bytes; last 01 05 06, changing 00 07 00"));
	assert_true(fake_bus_told(
		c->fake, SCG_TELL_STANZA, "  options: {id: 0x077, start_bit: 8, length: 8}"));
	assert_true(fake_bus_told(c->fake, SCG_TELL_RESULT,
		"0x18feee03, PGN 0xfeee from 3: 5/s, 2 bytes; last 82 ff, changing 00 00"));
	assert_true(fake_bus_told(c->fake, SCG_TELL_STANZA,
		"  options: {pgn: 0xfeee, source: 3, start_bit: 0, length: 8}"));
	assert_true(
		fake_bus_told(c->fake, SCG_TELL_RESULT, "23 frames with 3 identifiers in 0.2 s"));
	/* once more, and never to its end */
	assert_int_equal(fake_bus_step(c->fake, scan, "time: 10s", 0), 1);
	can_fixture_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals_of_a_file),
		cmocka_unit_test(test_multiplexed_signals),
		cmocka_unit_test(test_signals_by_place),
		cmocka_unit_test(test_parameter_groups),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_values_have_the_time_of_their_frame),
		cmocka_unit_test(test_frames_that_are_none),
		cmocka_unit_test(test_missing_values_are_said_once),
		cmocka_unit_test(test_many_frames),
		cmocka_unit_test(test_overflow_is_counted),
		cmocka_unit_test(test_bus_off),
		cmocka_unit_test(test_frames_end_bus_off),
		cmocka_unit_test(test_an_interface_that_fails),
		cmocka_unit_test(test_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
