/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole Modbus driver but for its transports, against slaves that are worse than real ones: at
 * random they refuse registers, lengths and whole tables, are busy, silent, damaged, dead and back
 * again. Nothing waits, because the clock is the test's own, and the sequence follows from a seed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "modbus/internal.h"
#include "modbus/request.h"
#include "modbus/tools.h"
#include "modbus/transport.h"
#include "schedule.h"
#include "util.h"

#define LAYOUTS     200
#define WORLDS      60
#define UNITS       4
#define SENSORS_MAX 160u
#define ADDRESSES   400u
/* As bus.c does: after a call that dealt with nothing; and so many of these are an error. */
#define IDLE_NS  (10 * NS_PER_MS)
#define IDLE_MAX 100
/* What is given up for a while is tried again after ten minutes at the latest. */
#define HEALED_NS       (700 * NS_PER_S)
#define LATENESS_MAX_NS (60 * NS_PER_S)

/* What one slave is like at the moment. */
struct table {
	bool refused[ADDRESSES];
	uint32_t most;  /* registers or bits in one request */
	bool is_mute;   /* silent to what it would refuse */
	bool is_absent; /* function not known */
};

struct unit {
	struct table tables[4];
	bool is_dead, talks_nonsense;
	uint32_t n_requests;
	int busy;     /* so many more answers are "busy" */
	int bad_luck; /* percent of requests that get no answer, or a damaged one */
	int64_t turn_ns;
};

static struct {
	struct scg_bus bus;
	union scg_value options[N_BUS_OPTIONS];
	struct scg_sensor sensors[SENSORS_MAX];
	struct scg_sensor *list[SENSORS_MAX];
	union scg_value sensor_options[SENSORS_MAX][N_SENSOR_OPTIONS];
	int64_t intervals_ns[SENSORS_MAX];
	int64_t due_ns[SENSORS_MAX]; /* since when; 0: it is not */
	bool is_good[SENSORS_MAX];   /* what was said of it last */
	uint32_t n;
	struct schedule *schedule;
	struct unit units[UNITS];
	int64_t now_ns;
	uint64_t random;
	uint32_t n_requests, n_dealt;
	int idle;
} world;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	*ret = (struct timespec){
		.tv_sec = world.now_ns / NS_PER_S, .tv_nsec = world.now_ns % NS_PER_S};
	return 0;
}

int nanosleep(const struct timespec *wait, struct timespec *ret_left)
{
	(void)ret_left;
	world.now_ns += wait->tv_sec * NS_PER_S + wait->tv_nsec;
	return 0;
}

/* Marsaglia's xorshift: the same on every machine. */
static uint32_t below(uint32_t n)
{
	world.random ^= world.random << 13;
	world.random ^= world.random >> 7;
	world.random ^= world.random << 17;
	return (uint32_t)(world.random >> 32) % n;
}

static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

static uint16_t register_of(uint8_t unit, uint8_t table, uint32_t address)
{
	return (uint16_t)((address * 40503u + unit * 977u + table * 31u) ^ address >> 3);
}

static bool bit_of(uint8_t unit, uint8_t table, uint32_t address)
{
	return register_of(unit, table, address) >> 5 & 1;
}

/* --- the slaves --- */

static uint32_t index_of(const struct scg_sensor *sensor)
{
	return (uint32_t)(sensor - world.sensors);
}

static bool takes(const struct table *t, uint32_t address, uint32_t count)
{
	for (uint32_t i = address; i < address + count; i++) {
		if (i >= ADDRESSES || t->refused[i]) {
			return false;
		}
	}
	return count <= t->most;
}

static uint8_t table_of(uint8_t function)
{
	static const uint8_t tables[] = {0, TABLE_COIL, TABLE_DISCRETE, TABLE_HOLDING, TABLE_INPUT};

	return tables[function];
}

static void fill(struct modbus_exchange *x, uint8_t table, uint32_t address, uint32_t count)
{
	bool is_bits = modbus_is_bit_table(table);
	uint32_t size = is_bits ? (count + 7) / 8 : 2 * count;

	x->answer = (struct modbus_pdu){.size = 2 + size};
	x->answer.bytes[0] = x->request.bytes[0];
	x->answer.bytes[1] = (uint8_t)size;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t value = register_of(x->unit, table, address + i);

		if (is_bits) {
			x->answer.bytes[2 + i / 8] |= (uint8_t)(bit_of(x->unit, table, address + i)
								<< i % 8);
		} else {
			x->answer.bytes[2 + 2 * i] = (uint8_t)(value >> 8);
			x->answer.bytes[3 + 2 * i] = (uint8_t)value;
		}
	}
}

static int except(struct modbus_exchange *x, uint8_t code)
{
	x->answer = (struct modbus_pdu){
		.size = 2, .bytes = {(uint8_t)(x->request.bytes[0] | 0x80), code}};
	return MODBUS_ANSWERED;
}

static int be_silent(const struct modbus_exchange *x, int outcome)
{
	world.now_ns += x->limit_ns + x->quiet_ns * (x->may_be_late ? 1 : 0);
	return outcome;
}

static int exchange(void *link, struct modbus_exchange *x)
{
	uint8_t table = table_of(x->request.bytes[0]);
	uint32_t address = (uint32_t)x->request.bytes[1] << 8 | x->request.bytes[2];
	uint32_t count = (uint32_t)x->request.bytes[3] << 8 | x->request.bytes[4];
	bool is_bits = modbus_is_bit_table(table);
	struct unit *unit = &world.units[x->unit];
	const struct table *t = &unit->tables[table];

	(void)link;
	world.n_requests++;
	unit->n_requests++;
	/* [AP] 6.1 to 6.4: no request for nothing, or for too much */
	assert_in_range(x->unit, 1, UNITS - 1);
	assert_in_range(count, 1, is_bits ? MODBUS_READ_BITS : MODBUS_READ_REGISTERS);
	assert_true(address + count <= MODBUS_ADDRESSES);
	assert_true(x->limit_ns > 0 && x->limit_ns <= world.options[BUS_RESPONSE_TIMEOUT].i);
	if (unit->is_dead) {
		return be_silent(x, MODBUS_SILENT);
	}
	if (chance((uint32_t)unit->bad_luck)) {
		static const int outcomes[] = {
			MODBUS_SILENT, MODBUS_DAMAGED, MODBUS_NONSENSE, MODBUS_STOPPED};

		return be_silent(x, outcomes[below(4)]);
	}
	if (unit->talks_nonsense) {
		return be_silent(x, MODBUS_NONSENSE);
	}
	if (unit->turn_ns > x->limit_ns) {
		return be_silent(x, MODBUS_SILENT);
	}
	x->turn_ns = unit->turn_ns;
	world.now_ns += unit->turn_ns + count * NS_PER_US;
	if (unit->busy > 0) {
		unit->busy--;
		return except(x, chance(50) ? EXCEPTION_BUSY : EXCEPTION_ACKNOWLEDGE);
	}
	if (t->is_absent) {
		return t->is_mute ? be_silent(x, MODBUS_SILENT) : except(x, EXCEPTION_FUNCTION);
	}
	if (!takes(t, address, count)) {
		return t->is_mute
			       ? be_silent(x, MODBUS_SILENT)
			       : except(x, count > t->most ? EXCEPTION_VALUE : EXCEPTION_ADDRESS);
	}
	fill(x, table, address, count);
	return MODBUS_ANSWERED;
}

static int open_link(struct scg_bus *bus, void **ret_link)
{
	*ret_link = bus;
	return 0;
}

static void close_link(void *link)
{
	(void)link;
}

const struct modbus_transport modbus_tcp = {
	.open = open_link, .exchange = exchange, .close = close_link};
const struct modbus_transport modbus_rtu = {
	.open = open_link, .exchange = exchange, .close = close_link};
const struct modbus_transport modbus_rtu_tcp = {
	.open = open_link, .exchange = exchange, .close = close_link};
const struct scg_tool modbus_scan = {0};
const struct scg_tool modbus_probe = {0};

/* --- the daemon --- */

static uint32_t width_of(const struct scg_sensor *sensor)
{
	switch (sensor->options[SENSOR_TYPE].i) {
	case TYPE_UINT32:
		return 2;
	case TYPE_UINT64:
		return 4;
	default:
		return 1;
	}
}

static uint64_t raw_of(const struct scg_sensor *sensor)
{
	const union scg_value *options = sensor->options;
	uint8_t unit = (uint8_t)options[SENSOR_UNIT].i, table = (uint8_t)options[SENSOR_TABLE].i;
	uint32_t address = (uint32_t)options[SENSOR_REGISTER].i;
	uint64_t raw = 0;

	if (modbus_is_bit_table(table)) {
		return bit_of(unit, table, address);
	}
	for (uint32_t i = 0; i < width_of(sensor); i++) {
		raw = raw << 16 | register_of(unit, table, address + i);
	}
	return raw;
}

static void deal(struct scg_sensor *sensor, bool is_good)
{
	uint32_t i = index_of(sensor);

	assert_in_range(i, 0, world.n - 1);
	world.n_dealt++;
	world.is_good[i] = is_good;
	world.due_ns[i] = 0;
	schedule_done(world.schedule, i);
}

static void host_report(struct scg_bus *bus, struct scg_sensor *sensor, int64_t time_ns,
	double value, uint32_t quality)
{
	double expected = (double)raw_of(sensor);

	(void)bus;
	assert_true(time_ns == world.now_ns);
	assert_int_equal(SCG_GOOD, quality);
	assert_true(value == expected);
	assert_false(world.units[sensor->options[SENSOR_UNIT].i].is_dead);
	assert_true(world.due_ns[index_of(sensor)] > 0);
	deal(sensor, true);
}

static void host_fail(struct scg_bus *bus, struct scg_sensor *sensor, const char *reason)
{
	(void)bus;
	assert_true(reason[0] != '\0');
	assert_true(world.due_ns[index_of(sensor)] > 0);
	deal(sensor, false);
}

static int32_t host_stopping(const struct scg_bus *bus)
{
	(void)bus;
	return 0;
}

static const struct scg_host host = {
	.abi = SCG_ABI_LEVEL,
	.report = host_report,
	.fail = host_fail,
	.stopping = host_stopping,
};

static void note_due(void)
{
	uint32_t n;
	const uint32_t *due;

	(void)schedule_advance(world.schedule, world.now_ns);
	due = schedule_due(world.schedule, &n);
	for (uint32_t i = 0; i < n; i++) {
		if (world.due_ns[due[i]] == 0) {
			world.due_ns[due[i]] = world.now_ns;
		}
		/* nobody waits for ever, whoever else is in trouble */
		assert_true(world.now_ns - world.due_ns[due[i]] <=
			    LATENESS_MAX_NS + world.intervals_ns[due[i]]);
	}
}

/* One turn of the loop in bus.c. */
static void turn(void)
{
	struct scg_sensor *due[SENSORS_MAX];
	const uint32_t *numbers;
	uint32_t n;

	note_due();
	numbers = schedule_due(world.schedule, &n);
	if (n == 0) {
		world.now_ns = schedule_next_ns(world.schedule);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		due[i] = &world.sensors[numbers[i]];
	}
	world.n_dealt = 0;
	assert_int_equal(0, scg_driver_1.poll(&world.bus, due, n));
	if (world.n_dealt > 0) {
		world.idle = 0;
		return;
	}
	assert_true(++world.idle < IDLE_MAX);
	world.now_ns += IDLE_NS;
}

static void run_for(int64_t ns)
{
	int64_t end_ns = world.now_ns + ns;

	while (world.now_ns < end_ns) {
		turn();
	}
}

/* --- the layouts --- */

static void add_sensor(uint8_t unit, uint8_t table, uint32_t address, int64_t interval_ns)
{
	union scg_value *options = world.sensor_options[world.n];
	static const uint8_t types[] = {TYPE_UINT16, TYPE_UINT16, TYPE_UINT16, TYPE_UINT16,
		TYPE_UINT16, TYPE_UINT16, TYPE_UINT32, TYPE_UINT64};

	options[SENSOR_UNIT].i = unit;
	options[SENSOR_TABLE].i = table;
	options[SENSOR_REGISTER].i = address;
	options[SENSOR_TYPE].i = modbus_is_bit_table(table) ? TYPE_UINT16 : types[below(8)];
	options[SENSOR_ORDER].i = ORDER_ABCD;
	options[SENSOR_BIT].i = -1;
	options[SENSOR_BITS].i = 1;
	options[SENSOR_NO_VALUE].s = NULL;
	world.sensors[world.n] = (struct scg_sensor){
		.name = "sensor", .options = options, .interval_ns = interval_ns};
	world.list[world.n] = &world.sensors[world.n];
	world.intervals_ns[world.n] = interval_ns;
	world.n++;
}

static void make_sensors(bool is_even)
{
	static const int64_t seconds[] = {1, 1, 2, 10, 60, 3600};
	uint32_t n = 2 + below(SENSORS_MAX - 2), address = 0;

	world.n = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t unit = (uint8_t)(1 + below(UNITS - 1));
		uint8_t table = chance(70) ? TABLE_HOLDING : (uint8_t)below(4);

		address = chance(60) ? address + below(4) : below(ADDRESSES);
		add_sensor(unit, table, address % (ADDRESSES - 4),
			is_even ? NS_PER_S : seconds[below(6)] * NS_PER_S);
	}
}

static void make_unit(struct unit *unit, bool is_hostile)
{
	static const uint32_t limits[] = {4, 10, 16, 50, 100};

	*unit = (struct unit){.turn_ns = (1 + (is_hostile ? below(30) : 0)) * NS_PER_MS};
	for (uint32_t t = 0; t < 4; t++) {
		struct table *table = &unit->tables[t];

		table->most = chance(30) ? limits[below(5)] : 2000;
		for (uint32_t n = chance(50) ? below(6) : 0; n > 0; n--) {
			table->refused[below(ADDRESSES)] = true;
		}
		table->is_mute = is_hostile && chance(20);
		table->is_absent = is_hostile && chance(10);
	}
}

static void heal(void)
{
	for (uint32_t i = 0; i < UNITS; i++) {
		struct unit *unit = &world.units[i];

		*unit = (struct unit){.turn_ns = NS_PER_MS};
		for (uint32_t t = 0; t < 4; t++) {
			unit->tables[t].most = 2000;
		}
	}
}

static void begin_world(uint64_t seed)
{
	memset(&world, 0, sizeof(world));
	world.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	world.now_ns = 1000 * NS_PER_S;
	world.options[BUS_TRANSPORT].i = TRANSPORT_TCP;
	world.options[BUS_HOST].s = "slaves";
	world.options[BUS_BAUD].i = 19200;
	world.options[BUS_DATA_BITS].i = 8;
	world.options[BUS_STOP_BITS].i = 1;
	world.options[BUS_RESPONSE_TIMEOUT].i = 200 * NS_PER_MS;
	world.options[BUS_MAX_REGISTERS].i = MODBUS_READ_REGISTERS;
	world.options[BUS_MAX_BITS].i = MODBUS_READ_BITS;
	world.options[BUS_MAX_GAP].i = -1;
	heal();
}

static void open_world(void)
{
	world.bus = (struct scg_bus){.host = &host,
		.name = "bus",
		.options = world.options,
		.sensors = world.list,
		.n_sensors = world.n,
		.fd = -1};
	world.schedule = schedule_new(world.intervals_ns, world.n, world.now_ns);
	assert_int_equal(0, scg_driver_1.open(&world.bus));
}

static void make_world(uint64_t seed, bool is_even)
{
	begin_world(seed);
	/* On a serial line holes have their price; then the fewest requests are not the best. */
	world.options[BUS_TRANSPORT].i = is_even || chance(50) ? TRANSPORT_TCP : TRANSPORT_RTU;
	world.options[BUS_MAX_REGISTERS].i = chance(80) ? MODBUS_READ_REGISTERS : 4 + below(60);
	world.options[BUS_MAX_GAP].i = chance(70) ? -1 : (int64_t)below(20);
	make_sensors(is_even);
	for (uint32_t i = 0; i < UNITS; i++) {
		make_unit(&world.units[i], !is_even);
	}
	open_world();
}

static void end_world(void)
{
	scg_driver_1.close(&world.bus);
	schedule_free(world.schedule);
	world.schedule = NULL;
}

/* --- the tests --- */

static void worsen(void)
{
	struct unit *unit = &world.units[1 + below(UNITS - 1)];
	struct table *table = &unit->tables[below(4)];

	switch (below(8)) {
	case 0:
		unit->is_dead = chance(50);
		break;
	case 1:
		unit->busy = (int)below(12);
		break;
	case 2:
		unit->bad_luck = (int)below(3) * 15;
		break;
	case 3:
		table->refused[below(ADDRESSES)] ^= true;
		break;
	case 4:
		table->most = 4 + below(130);
		break;
	case 5:
		unit->turn_ns = (1 + below(250)) * NS_PER_MS;
		break;
	case 6:
		table->is_mute = chance(30);
		break;
	default:
		table->is_absent = chance(20);
		break;
	}
}

static void nobody_is_forgotten_and_no_value_is_wrong(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		make_world(seed, false);
		for (int i = 0; i < 30; i++) {
			run_for((int64_t)(1 + below(20)) * NS_PER_S);
			worsen();
		}
		heal();
		run_for(HEALED_NS);
		for (uint32_t i = 0; i < world.n; i++) {
			assert_true(world.is_good[i] || world.intervals_ns[i] > 60 * NS_PER_S);
		}
		end_world();
	}
}

/* The unit answers all that its sensors need. */
static bool can_answer(const struct scg_sensor *s)
{
	const union scg_value *options = s->options;
	const struct unit *unit = &world.units[options[SENSOR_UNIT].i];

	return takes(&unit->tables[options[SENSOR_TABLE].i], (uint32_t)options[SENSOR_REGISTER].i,
		width_of(s));
}

static int compare_sensors(const void *left, const void *right)
{
	const struct scg_sensor *a = *(struct scg_sensor *const *)left;
	const struct scg_sensor *b = *(struct scg_sensor *const *)right;
	static const int keys[] = {SENSOR_UNIT, SENSOR_TABLE, SENSOR_REGISTER, SENSOR_TYPE};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int64_t x = a->options[keys[i]].i, y = b->options[keys[i]].i;

		if (x != y) {
			return x < y ? -1 : 1;
		}
	}
	return 0;
}

/* With the fewest requests that slaves like these allow, the cost of a request being all. A run
   that is taken is also taken in parts, so the longest first is best. */
static uint32_t fewest_requests(void)
{
	struct scg_sensor *sorted[SENSORS_MAX];
	uint32_t n_requests = 0, begin = 0, end = 0, i = 0;
	const struct scg_sensor *first = NULL;

	memcpy(sorted, world.list, sizeof(sorted));
	qsort(sorted, world.n, sizeof(sorted[0]), compare_sensors);
	for (; i < world.n; i++) {
		const union scg_value *o = sorted[i]->options;
		uint32_t address = (uint32_t)o[SENSOR_REGISTER].i;
		uint32_t width = width_of(sorted[i]);
		bool is_bits = modbus_is_bit_table((uint8_t)o[SENSOR_TABLE].i);
		uint32_t gap = world.options[BUS_MAX_GAP].i < 0
				       ? MODBUS_READ_REGISTERS
				       : (uint32_t)world.options[BUS_MAX_GAP].i;
		uint32_t most =
			(uint32_t)world.options[is_bits ? BUS_MAX_BITS : BUS_MAX_REGISTERS].i;
		uint32_t new_end = MAX(end, address + width);

		if (!can_answer(sorted[i])) {
			continue;
		}
		if (first && first->options[SENSOR_UNIT].i == o[SENSOR_UNIT].i &&
			first->options[SENSOR_TABLE].i == o[SENSOR_TABLE].i &&
			(address <= end || address - end <= (is_bits ? 16 * gap : gap)) &&
			new_end - begin <= most &&
			takes(&world.units[o[SENSOR_UNIT].i].tables[o[SENSOR_TABLE].i], begin,
				new_end - begin)) {
			end = new_end;
			continue;
		}
		first = sorted[i];
		begin = address;
		end = address + width;
		n_requests++;
	}
	return n_requests;
}

static void slaves_that_stay_as_they_are_get_the_fewest_requests(void **state)
{
	uint32_t n_best = 0, n_taken = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= LAYOUTS; seed++) {
		uint32_t best, taken = UINT32_MAX;

		make_world(seed, true);
		run_for(100 * NS_PER_S);
		for (int round = 0; round < 10; round++) {
			world.n_requests = 0;
			run_for(NS_PER_S);
			taken = MIN(taken, world.n_requests);
		}
		for (uint32_t i = 0; i < world.n; i++) {
			assert_int_equal(can_answer(world.list[i]), world.is_good[i]);
		}
		best = fewest_requests();
		assert_true(taken >= best);
		n_best += best;
		n_taken += taken;
		end_world();
	}
	assert_true(n_taken <= n_best + n_best / 100);
}

/* What is asked for once an hour does not hold up what is asked for each second. */
static void a_unit_rests_as_long_as_its_fastest_sensor_allows(void **state)
{
	(void)state;
	begin_world(1);
	add_sensor(1, TABLE_HOLDING, 0, NS_PER_S);
	add_sensor(1, TABLE_INPUT, 0, NS_PER_H);
	world.units[1].is_dead = true;
	open_world();
	run_for(10 * NS_PER_S);
	assert_false(world.is_good[0]);
	world.units[1].is_dead = false;
	run_for(70 * NS_PER_S);
	assert_true(world.is_good[0]);
	end_world();
}

static void nonsense_is_asked_for_as_rarely_as_silence(void **state)
{
	(void)state;
	begin_world(1);
	add_sensor(1, TABLE_HOLDING, 0, NS_PER_S);
	add_sensor(2, TABLE_HOLDING, 0, NS_PER_S);
	world.units[1].talks_nonsense = true;
	open_world();
	run_for(300 * NS_PER_S);
	assert_true(world.units[1].n_requests < 20);
	assert_true(world.is_good[1]);
	heal();
	run_for(70 * NS_PER_S);
	assert_true(world.is_good[0]);
	end_world();
}

/* Some slaves are silent to functions that they do not know. */
static void a_table_that_never_answers_costs_the_others_little(void **state)
{
	(void)state;
	begin_world(1);
	for (uint32_t i = 0; i < 20; i++) {
		add_sensor(1, TABLE_HOLDING, 4 * i, NS_PER_S);
		add_sensor(1, TABLE_INPUT, 4 * i, NS_PER_S);
	}
	world.units[1].tables[TABLE_INPUT].is_absent = true;
	world.units[1].tables[TABLE_INPUT].is_mute = true;
	open_world();
	run_for(600 * NS_PER_S);
	assert_true(world.is_good[0]);
	/* once a second for the one table, and some for the other */
	assert_true(world.n_requests < 630);
	heal();
	run_for(HEALED_NS);
	assert_true(world.is_good[1]);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_forgotten_and_no_value_is_wrong),
		cmocka_unit_test(slaves_that_stay_as_they_are_get_the_fewest_requests),
		cmocka_unit_test(a_unit_rests_as_long_as_its_fastest_sensor_allows),
		cmocka_unit_test(nonsense_is_asked_for_as_rarely_as_silence),
		cmocka_unit_test(a_table_that_never_answers_costs_the_others_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
