/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_ADAPTER_H
#define I2C_ADAPTER_H

/*
 * One /dev/i2c-N: messages to a chip and from it, by combined transfers where the adapter can make
 * them and by SMBus calls where it cannot. Knows nothing of chips.
 *
 * Citations: [DEV] the kernel's i2c/dev-interface, [FAULT] i2c/fault-codes, [SMB] System Management
 * Bus specification 3.1, [I2C] NXP UM10204.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sysfs.h"

#define I2C_WRITE_MAX 16u
#define I2C_READ_MAX  32u /* the largest block of SMBus, [SMB] 6.5.7 */

/* What is said about the chip that is meant. */
struct i2c_target {
	uint16_t address;
	bool is_ten_bit;
	bool has_pec; /* [SMB] 6.4: a checksum after each message */
};

/* `n_write` bytes to the chip, and then, without a stop between them, `n_read` bytes from it. */
struct i2c_exchange {
	struct i2c_target target;
	const uint8_t *write;
	uint8_t *read;
	uint8_t n_write, n_read;
};

struct i2c_adapter {
	int fd;
	unsigned long functions;  /* I2C_FUNC_..., [DEV] */
	int number;               /* N, or -1: not an adapter of the kernel */
	bool is_ten_bit, has_pec; /* what the descriptor is set to */
	char path[I2C_PATH_MAX];
};

/* `device` is a path, or the name of an adapter as /sys/class/i2c-dev has it. 0 or a negative
   errno: -ENOENT, there is none of that name; -ENOTUNIQ, there are several. */
int i2c_adapter_open(struct i2c_adapter *ret, const char *device);
void i2c_adapter_close(struct i2c_adapter *adapter);

/*
 * 0, or what went wrong, whatever errno the adapter has for it:
 *   -ENXIO       nobody acknowledges the address, or the chip refuses a byte
 *   -EBUSY       a driver of the kernel has the address
 *   -ETIMEDOUT   the bus does not move: somebody holds a line down
 *   -EIO         the transfer broke off
 *   -EBADMSG     the checksum (PEC) is wrong
 *   -EOPNOTSUPP  the adapter cannot do that
 *   -ENODEV      the adapter is gone
 */
int i2c_adapter_exchange(struct i2c_adapter *adapter, const struct i2c_exchange *x);

/* Does somebody acknowledge this address? As i2cdetect asks: by an empty write, or by reading a
   byte where an empty write is known to upset chips. 0 or as above. */
int i2c_adapter_probe(struct i2c_adapter *adapter, uint16_t address);

#endif
