/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_i2c.h"

#include <errno.h>
#include <linux/i2c-dev.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BIT_NS   INT64_C(10000)
#define NS_PER_S INT64_C(1000000000)
/* In the place of the C library's, for the driver too. */
#define EXPORT __attribute__((visibility("default")))

struct fake_i2c fake_i2c;
static uint16_t chosen;
static bool is_ten_bit;

/* The real clocks stand at the start. */
EXPORT int clock_gettime(clockid_t id, struct timespec *ret)
{
	static int64_t start_s[2];
	bool is_wall = id == CLOCK_REALTIME;

	if (start_s[is_wall] == 0) {
		(void)syscall(SYS_clock_gettime, id, ret);
		start_s[is_wall] = ret->tv_sec;
	}
	ret->tv_sec = start_s[is_wall] + fake_i2c.now_ns / NS_PER_S;
	ret->tv_nsec = fake_i2c.now_ns % NS_PER_S;
	return 0;
}

EXPORT int nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	fake_i2c.now_ns += time->tv_sec * NS_PER_S + time->tv_nsec;
	return 0;
}

void fake_i2c_reset(unsigned long functions)
{
	fake_i2c = (struct fake_i2c){.functions = functions, .now_ns = fake_i2c.now_ns};
	is_ten_bit = false;
}

void fake_i2c_add(struct fake_chip *chip)
{
	chip->next = fake_i2c.chips;
	fake_i2c.chips = chip;
}

static struct fake_chip *find(uint16_t address, bool ten_bit)
{
	struct fake_chip *chip = fake_i2c.chips;

	while (chip && (chip->address != address || chip->is_ten_bit != ten_bit)) {
		chip = chip->next;
	}
	return chip;
}

static void pass_bits(uint64_t n)
{
	fake_i2c.n_bits += n;
	fake_i2c.now_ns += (int64_t)n * BIT_NS;
}

static int transfer_registers(
	struct fake_chip *chip, const uint8_t *write, size_t n_write, uint8_t *read, size_t n_read)
{
	if (n_write > 0) {
		chip->pointer = write[0];
	}
	for (size_t i = 1; i < n_write; i++) {
		chip->registers[(uint8_t)(chip->pointer + i - 1)] = write[i];
	}
	for (size_t i = 0; i < n_read; i++) {
		read[i] = chip->registers[(uint8_t)(chip->pointer + i)];
	}
	return 0;
}

static int transfer(uint16_t address, bool ten_bit, const uint8_t *write, size_t n_write,
	uint8_t *read, size_t n_read)
{
	struct fake_chip *chip = find(address, ten_bit);

	fake_i2c.n_transfers++;
	if (!chip) {
		pass_bits(11);
		return -ENXIO;
	}
	chip->n_transfers++;
	chip->n_written += n_write > 0;
	if (chip->error) {
		fake_i2c.now_ns += chip->hang_ns;
		return chip->error;
	}
	/* start, address and acknowledgement for each message, one stop: UM10204 3.1 */
	pass_bits((n_write > 0 ? 10 + 9 * (n_write + ten_bit) : 0) +
		  (n_read > 0 ? 10 + 9 * (n_read + ten_bit) : 0) + 1);
	return (chip->transfer ? chip->transfer : transfer_registers)(
		chip, write, n_write, read, n_read);
}

static int do_messages(const struct i2c_rdwr_ioctl_data *data)
{
	const struct i2c_msg *m = data->msgs;
	bool ten_bit = m->flags & I2C_M_TEN;
	int r;

	if (!(fake_i2c.functions & I2C_FUNC_I2C)) {
		return -EOPNOTSUPP;
	}
	if (data->nmsgs == 2) {
		r = transfer(m->addr, ten_bit, m->buf, m->len, m[1].buf, m[1].len);
	} else if (m->flags & I2C_M_RD) {
		r = transfer(m->addr, ten_bit, NULL, 0, m->buf, m->len);
	} else {
		r = transfer(m->addr, ten_bit, m->buf, m->len, NULL, 0);
	}
	return r < 0 ? r : (int)data->nmsgs;
}

static int do_smbus(const struct i2c_smbus_ioctl_data *call)
{
	bool reads = call->read_write == I2C_SMBUS_READ;
	uint8_t bytes[3] = {call->command}, answer[2] = {0};
	size_t n = call->size == I2C_SMBUS_WORD_DATA ? 2 : 1;
	int r;

	if (call->size == I2C_SMBUS_QUICK) {
		fake_i2c.n_probes++;
		return find(chosen, false) ? 0 : -ENXIO;
	}
	if (call->size == I2C_SMBUS_BYTE) {
		return reads ? transfer(chosen, false, NULL, 0, &call->data->byte, 1)
			     : transfer(chosen, false, bytes, 1, NULL, 0);
	}
	if (call->size != I2C_SMBUS_BYTE_DATA && call->size != I2C_SMBUS_WORD_DATA) {
		return -EOPNOTSUPP;
	}
	if (!reads) {
		bytes[1] = (uint8_t)(n == 2 ? call->data->word : call->data->byte);
		bytes[2] = (uint8_t)(call->data->word >> 8);
		return transfer(chosen, false, bytes, n + 1, NULL, 0);
	}
	r = transfer(chosen, false, bytes, 1, answer, n);
	if (n == 2) {
		call->data->word = (uint16_t)(answer[0] | answer[1] << 8);
	} else {
		call->data->byte = answer[0];
	}
	return r;
}

static int choose(uint16_t address)
{
	if (!is_ten_bit && address < 128 && fake_i2c.is_owned[address]) {
		return -EBUSY;
	}
	chosen = address;
	return 0;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *argument;
	int r = 0;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case I2C_FUNCS:
		*(unsigned long *)argument = fake_i2c.functions;
		break;
	case I2C_SLAVE:
		r = choose((uint16_t)(uintptr_t)argument);
		break;
	case I2C_TENBIT:
		is_ten_bit = argument != NULL;
		break;
	case I2C_PEC:
		break;
	case I2C_RDWR:
		r = do_messages(argument);
		break;
	case I2C_SMBUS:
		r = do_smbus(argument);
		break;
	default:
		return (int)syscall(SYS_ioctl, fd, request, argument);
	}
	if (r < 0) {
		errno = -r;
		return -1;
	}
	return r;
}
