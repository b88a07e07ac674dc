/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc8.h"

#define RETRY_AGAIN 3 /* another master had the bus: at once, so often */

int i2c_adapter_open(struct i2c_adapter *ret, const char *device)
{
	struct i2c_adapter a = {.fd = -1};
	int r = i2c_sysfs_find(device, a.path);

	if (r < 0) {
		return r;
	}
	a.fd = open(a.path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (a.fd < 0) {
		return -errno;
	}
	if (ioctl(a.fd, I2C_FUNCS, &a.functions) < 0) {
		r = -errno;
		(void)close(a.fd);
		return r;
	}
	a.number = i2c_sysfs_number(a.fd);
	*ret = a;
	return 0;
}

void i2c_adapter_close(struct i2c_adapter *adapter)
{
	if (adapter->fd >= 0) {
		(void)close(adapter->fd);
		adapter->fd = -1;
	}
}

/* An adapter that was unplugged keeps its open descriptors, but its node goes at once. */
static bool is_gone(const struct i2c_adapter *adapter)
{
	struct stat ours, now;

	return fstat(adapter->fd, &ours) < 0 || stat(adapter->path, &now) < 0 ||
	       ours.st_rdev != now.st_rdev;
}

/* Adapters differ in what they say, [FAULT]: a chip that does not acknowledge is ENXIO with most,
   EREMOTEIO with those of Broadcom, ENODEV with i2c-stub. */
static int translate(const struct i2c_adapter *adapter, int error)
{
	switch (error) {
	case EBUSY:
	case EBADMSG:
	case EOPNOTSUPP:
		return -error;
	default:
		break;
	}
	if (is_gone(adapter)) {
		return -ENODEV;
	}
	switch (error) {
	case ENXIO:
	case EREMOTEIO:
	case ENODEV:
		return -ENXIO;
	case ETIMEDOUT:
		return -ETIMEDOUT;
	case EINVAL:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

/* The kernel resets none of it, and the other way of asking takes it as well. I2C_SLAVE is also how
   one learns that the kernel has a driver for the address: I2C_RDWR does not look. */
static int choose_target(struct i2c_adapter *adapter, const struct i2c_target *target, bool has_pec)
{
	if (target->is_ten_bit != adapter->is_ten_bit) {
		if (ioctl(adapter->fd, I2C_TENBIT, target->is_ten_bit ? 1UL : 0UL) < 0) {
			return -errno;
		}
		adapter->is_ten_bit = target->is_ten_bit;
	}
	if (has_pec != adapter->has_pec) {
		if (ioctl(adapter->fd, I2C_PEC, has_pec ? 1UL : 0UL) < 0) {
			return -errno;
		}
		adapter->has_pec = has_pec;
	}
	return ioctl(adapter->fd, I2C_SLAVE, (unsigned long)target->address) < 0 ? -errno : 0;
}

/* --- combined transfers --- */

/* The PEC covers all bytes on the wire, the addresses included, [SMB] 6.4.1.1. */
static uint8_t pec_of(const struct i2c_exchange *x)
{
	uint8_t to = (uint8_t)(x->target.address << 1), from = to | 1;
	uint8_t crc = 0;

	if (x->n_write > 0) {
		crc = i2c_crc8(CRC8_SMBUS, crc, &to, 1);
		crc = i2c_crc8(CRC8_SMBUS, crc, x->write, x->n_write);
	}
	if (x->n_read > 0) {
		crc = i2c_crc8(CRC8_SMBUS, crc, &from, 1);
		crc = i2c_crc8(CRC8_SMBUS, crc, x->read, x->n_read);
	}
	return crc;
}

static int transfer(struct i2c_adapter *adapter, struct i2c_msg *messages, uint32_t n)
{
	struct i2c_rdwr_ioctl_data data = {.msgs = messages, .nmsgs = n};
	int done = ioctl(adapter->fd, I2C_RDWR, &data);

	if (done < 0) {
		return -errno;
	}
	return (uint32_t)done == n ? 0 : -EIO;
}

static int exchange_messages(struct i2c_adapter *adapter, const struct i2c_exchange *x)
{
	uint16_t flags = x->target.is_ten_bit ? I2C_M_TEN : 0;
	uint8_t out[I2C_WRITE_MAX + 1], in[I2C_READ_MAX + 1];
	bool has_pec = x->target.has_pec;
	struct i2c_msg messages[2];
	uint32_t n = 0;
	int r;

	if (x->n_write > 0) {
		memcpy(out, x->write, x->n_write);
		out[x->n_write] = has_pec && x->n_read == 0 ? pec_of(x) : 0;
		messages[n++] = (struct i2c_msg){
			.addr = x->target.address,
			.flags = flags,
			.len = (uint16_t)(x->n_write + (has_pec && x->n_read == 0)),
			.buf = out,
		};
	}
	if (x->n_read > 0) {
		memset(in, 0, sizeof(in));
		messages[n++] = (struct i2c_msg){
			.addr = x->target.address,
			.flags = (uint16_t)(flags | I2C_M_RD),
			.len = (uint16_t)(x->n_read + has_pec),
			.buf = in,
		};
	}
	r = transfer(adapter, messages, n);
	if (r < 0 || x->n_read == 0) {
		return r;
	}
	memcpy(x->read, in, x->n_read);
	return has_pec && in[x->n_read] != pec_of(x) ? -EBADMSG : 0;
}

/* --- SMBus calls --- */

static int smbus(struct i2c_adapter *adapter, uint8_t direction, uint8_t command, uint32_t size,
	union i2c_smbus_data *data)
{
	struct i2c_smbus_ioctl_data call = {
		.read_write = direction,
		.command = command,
		.size = size,
		.data = data,
	};

	return ioctl(adapter->fd, I2C_SMBUS, &call) < 0 ? -errno : 0;
}

/* Words come and go low byte first, [SMB] 6.5.5, whatever the chip means by them. */
static int smbus_read(struct i2c_adapter *adapter, const struct i2c_exchange *x)
{
	union i2c_smbus_data data = {0};
	bool has_command = x->n_write == 1;
	uint8_t command = has_command ? x->write[0] : 0;
	int r;

	if (x->n_write > 1 || (!has_command && x->n_read > 1)) {
		return -EOPNOTSUPP;
	}
	if (x->n_read == 1) {
		r = smbus(adapter, I2C_SMBUS_READ, command,
			has_command ? I2C_SMBUS_BYTE_DATA : I2C_SMBUS_BYTE, &data);
		x->read[0] = data.byte;
		return r;
	}
	if (x->n_read == 2 && adapter->functions & I2C_FUNC_SMBUS_READ_WORD_DATA) {
		r = smbus(adapter, I2C_SMBUS_READ, command, I2C_SMBUS_WORD_DATA, &data);
		x->read[0] = (uint8_t)data.word;
		x->read[1] = (uint8_t)(data.word >> 8);
		return r;
	}
	if (!(adapter->functions & I2C_FUNC_SMBUS_READ_I2C_BLOCK) || x->target.has_pec) {
		return -EOPNOTSUPP;
	}
	data.block[0] = x->n_read;
	r = smbus(adapter, I2C_SMBUS_READ, command, I2C_SMBUS_I2C_BLOCK_DATA, &data);
	if (r == 0 && data.block[0] < x->n_read) {
		return -EIO;
	}
	memcpy(x->read, data.block + 1, x->n_read);
	return r;
}

static int smbus_write(struct i2c_adapter *adapter, const struct i2c_exchange *x)
{
	union i2c_smbus_data data = {0};

	switch (x->n_write) {
	case 1:
		return smbus(adapter, I2C_SMBUS_WRITE, x->write[0], I2C_SMBUS_BYTE, NULL);
	case 2:
		data.byte = x->write[1];
		return smbus(adapter, I2C_SMBUS_WRITE, x->write[0], I2C_SMBUS_BYTE_DATA, &data);
	case 3:
		data.word = (uint16_t)(x->write[1] | x->write[2] << 8);
		return smbus(adapter, I2C_SMBUS_WRITE, x->write[0], I2C_SMBUS_WORD_DATA, &data);
	default:
		break;
	}
	if (!(adapter->functions & I2C_FUNC_SMBUS_WRITE_I2C_BLOCK) || x->target.has_pec) {
		return -EOPNOTSUPP;
	}
	data.block[0] = (uint8_t)(x->n_write - 1);
	memcpy(data.block + 1, x->write + 1, data.block[0]);
	return smbus(adapter, I2C_SMBUS_WRITE, x->write[0], I2C_SMBUS_I2C_BLOCK_DATA, &data);
}

static int exchange_smbus(struct i2c_adapter *adapter, const struct i2c_exchange *x)
{
	if (x->target.has_pec && !(adapter->functions & I2C_FUNC_SMBUS_PEC)) {
		return -EOPNOTSUPP;
	}
	return x->n_read > 0 ? smbus_read(adapter, x) : smbus_write(adapter, x);
}

/* --- both --- */

static int exchange_once(struct i2c_adapter *adapter, const struct i2c_exchange *x)
{
	bool is_raw = adapter->functions & I2C_FUNC_I2C;
	int r;

	if (x->target.is_ten_bit && !(adapter->functions & I2C_FUNC_10BIT_ADDR)) {
		return -EOPNOTSUPP;
	}
	r = choose_target(adapter, &x->target, !is_raw && x->target.has_pec);
	if (r < 0) {
		return r;
	}
	r = is_raw ? exchange_messages(adapter, x) : exchange_smbus(adapter, x);
	/* here it is the adapter that is busy, as i2c-i801 may be: not the address that is taken */
	return r == -EBUSY ? -EAGAIN : r;
}

int i2c_adapter_exchange(struct i2c_adapter *adapter, const struct i2c_exchange *x)
{
	int r;

	if ((x->n_write == 0 && x->n_read == 0) || x->n_write > I2C_WRITE_MAX ||
		x->n_read > I2C_READ_MAX) {
		return -EOPNOTSUPP;
	}
	for (int i = 0; i < RETRY_AGAIN; i++) {
		r = exchange_once(adapter, x);
		if (r != -EAGAIN && r != -EINTR) {
			break;
		}
	}
	return r < 0 ? translate(adapter, -r) : 0;
}

/* Where i2cdetect reads: EEPROMs that an empty write can damage, and chips that lock the bus at
   one (i2c-tools, tools/i2cdetect.c). */
static bool wants_read(uint16_t address)
{
	return (address >= 0x30 && address <= 0x37) || (address >= 0x50 && address <= 0x5f);
}

int i2c_adapter_probe(struct i2c_adapter *adapter, uint16_t address)
{
	const struct i2c_target target = {.address = address};
	union i2c_smbus_data data;
	int r = choose_target(adapter, &target, false);

	if (r < 0) {
		return translate(adapter, -r);
	}
	if (adapter->functions & I2C_FUNC_SMBUS_QUICK && !wants_read(address)) {
		r = smbus(adapter, I2C_SMBUS_WRITE, 0, I2C_SMBUS_QUICK, NULL);
	} else if (adapter->functions & I2C_FUNC_SMBUS_READ_BYTE) {
		r = smbus(adapter, I2C_SMBUS_READ, 0, I2C_SMBUS_BYTE, &data);
	} else {
		r = -EOPNOTSUPP;
	}
	r = r == -EBUSY ? -EAGAIN : r;
	return r < 0 ? translate(adapter, -r) : 0;
}
