/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* What a port has to have as it was asked for. */
#define FRAMING (CSIZE | PARENB | PARODD | CSTOPB)

static const struct {
	int32_t baud;
	speed_t speed;
} rates[] = {
	{300, B300},
	{600, B600},
	{1200, B1200},
	{1800, B1800},
	{2400, B2400},
	{4800, B4800},
	{9600, B9600},
	{19200, B19200},
	{38400, B38400},
	{57600, B57600},
	{115200, B115200},
	{230400, B230400},
	{460800, B460800},
	{500000, B500000},
	{576000, B576000},
	{921600, B921600},
	{1000000, B1000000},
	{1152000, B1152000},
	{1500000, B1500000},
	{2000000, B2000000},
	{2500000, B2500000},
	{3000000, B3000000},
	{3500000, B3500000},
	{4000000, B4000000},
};

/* B0 if there is none. */
static speed_t find_speed(int64_t baud)
{
	for (uint32_t i = 0; i < SCG_COUNT(rates); i++) {
		if (rates[i].baud == baud) {
			return rates[i].speed;
		}
	}
	return B0;
}

bool modbus_serial_has_rate(int64_t baud)
{
	return find_speed(baud) != B0;
}

void modbus_serial_list_rates(char *text, size_t size)
{
	size_t used = 0;

	for (uint32_t i = 0; i < SCG_COUNT(rates) && used < size; i++) {
		int n = snprintf(
			text + used, size - used, "%s%d", i == 0 ? "" : ", ", rates[i].baud);

		used += n > 0 ? (size_t)n : 0;
	}
}

/*
 * Two masters on one line garble each other's frames. TIOCEXCL keeps out whoever opens the port
 * later (but root), flock() whoever asks first, as most programs for serial ports do.
 */
static int seize(struct scg_bus *bus, int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK) {
			return -errno;
		}
		bus->host->log(bus, SCG_LOG_WARNING, "%s: another process has the port locked",
			bus->options[BUS_DEVICE].s);
		return -EBUSY;
	}
	return ioctl(fd, TIOCEXCL) < 0 ? -errno : 0;
}

static struct termios wanted_settings(const union scg_value *options)
{
	static const tcflag_t parities[] = {0, PARENB, PARENB | PARODD};
	tcflag_t parity = parities[options[BUS_PARITY].i];
	speed_t speed = find_speed(options[BUS_BAUD].i);
	struct termios t = {0};

	/* Neither a break nor a damaged character is a byte: the checksum finds what is missing. */
	t.c_iflag = IGNBRK | IGNPAR | (parity ? INPCK : 0u);
	t.c_cflag = CREAD | CLOCAL | CS8 | parity | (options[BUS_STOP_BITS].i == 2 ? CSTOPB : 0u);
	/* With 0, "nothing there" would look like "unplugged". */
	t.c_cc[VMIN] = 1;
	(void)cfsetispeed(&t, speed); /* refuses unknown rates only */
	(void)cfsetospeed(&t, speed);
	return t;
}

/* tcsetattr() succeeds if it could do anything of what was asked. */
int modbus_serial_tune(const union scg_value *options, int fd)
{
	struct termios wanted = wanted_settings(options), got;

	if (tcsetattr(fd, TCSANOW, &wanted) < 0 || tcgetattr(fd, &got) < 0) {
		return -errno;
	}
	if ((got.c_cflag & FRAMING) != (wanted.c_cflag & FRAMING) ||
		cfgetospeed(&got) != cfgetospeed(&wanted)) {
		return -EINVAL;
	}
	return tcflush(fd, TCIOFLUSH) < 0 ? -errno : 0;
}

static int configure(struct scg_bus *bus, int fd)
{
	int r = modbus_serial_tune(bus->options, fd);

	if (r == -EINVAL) {
		char line[40];

		modbus_wire_describe(bus->options, line, sizeof(line));
		bus->host->log(bus, SCG_LOG_WARNING, "%s: the port cannot do %s",
			bus->options[BUS_DEVICE].s, line);
	}
	return r;
}

/* Delays and polarity stay as the device tree has them. */
static int set_direction(struct scg_bus *bus, int fd)
{
	struct serial_rs485 rs485 = {0};

	if (!bus->options[BUS_RS485].i) {
		return 0;
	}
	if (ioctl(fd, TIOCGRS485, &rs485) == 0) {
		rs485.flags |= SER_RS485_ENABLED;
		if (!(rs485.flags & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND))) {
			rs485.flags |= SER_RS485_RTS_ON_SEND;
		}
		if (ioctl(fd, TIOCSRS485, &rs485) == 0) {
			return 0;
		}
	}
	bus->host->log(bus, SCG_LOG_WARNING,
		"%s: the kernel cannot switch the direction of this port (%s); an adapter that "
		"does it by itself needs rs485: false",
		bus->options[BUS_DEVICE].s, strerrordesc_np(errno));
	return -EOPNOTSUPP;
}

/* Some adapters hold received bytes back for 16 ms otherwise. Many ports do not know of it, and
   some leave it to root. */
static void lower_latency(int fd)
{
	struct serial_struct serial = {0};

	if (ioctl(fd, TIOCGSERIAL, &serial) == 0) {
		serial.flags |= ASYNC_LOW_LATENCY;
		(void)ioctl(fd, TIOCSSERIAL, &serial);
	}
}

int modbus_serial_open(struct scg_bus *bus)
{
	int fd = open(bus->options[BUS_DEVICE].s, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0) {
		return -errno;
	}
	r = seize(bus, fd);
	if (r < 0) {
		(void)close(fd); /* and leave alone what is another's */
		return r;
	}
	r = configure(bus, fd);
	if (r == 0) {
		r = set_direction(bus, fd);
	}
	if (r < 0) {
		modbus_serial_close(fd);
		return r;
	}
	lower_latency(fd);
	return fd;
}

void modbus_serial_close(int fd)
{
	/* The kernel would wait for what cannot be sent. A port that is gone refuses all three. */
	(void)tcflush(fd, TCIOFLUSH);
	(void)ioctl(fd, TIOCNXCL);
	(void)close(fd);
}
