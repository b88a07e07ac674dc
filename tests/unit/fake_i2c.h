/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_I2C_H
#define FAKE_I2C_H

/*
 * An I2C adapter behind the ioctl() of this process, for the I2C driver as it is: chips are
 * functions. The device is /dev/null, of which only the descriptor matters. Time is the fake's own:
 * it passes while bits go over the bus, at 100 kHz, and while somebody sleeps, and not else. So a
 * test waits for nothing and can say how long things take. One thread.
 */

#include <linux/i2c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_I2C_DEVICE "/dev/null"
#define FAKE_I2C_RAW    (I2C_FUNC_I2C | I2C_FUNC_10BIT_ADDR | I2C_FUNC_SMBUS_EMUL)
#define FAKE_I2C_SMBUS                                                                             \
	(I2C_FUNC_SMBUS_QUICK | I2C_FUNC_SMBUS_BYTE | I2C_FUNC_SMBUS_BYTE_DATA |                   \
		I2C_FUNC_SMBUS_WORD_DATA)

struct fake_chip {
	uint16_t address;
	bool is_ten_bit;
	/* Gets `n_write` bytes and gives `n_read`, in one transfer. 0 or a negative errno. NULL:
	   registers of one byte that count up. */
	int (*transfer)(struct fake_chip *chip, const uint8_t *write, size_t n_write, uint8_t *read,
		size_t n_read);
	void *data;
	int error;       /* for each transfer, instead of an answer; 0: none */
	int64_t hang_ns; /* how long a transfer with an error takes */
	uint32_t n_transfers, n_written;
	uint8_t pointer, registers[256];
	struct fake_chip *next;
};

struct fake_i2c {
	unsigned long functions;
	struct fake_chip *chips;
	bool is_owned[128]; /* by a driver of the kernel */
	uint64_t n_bits;
	uint32_t n_transfers, n_probes;
	int64_t now_ns; /* since the start */
};

extern struct fake_i2c fake_i2c;

/* No chips, nothing counted; time goes on. */
void fake_i2c_reset(unsigned long functions);
void fake_i2c_add(struct fake_chip *chip);

#endif
