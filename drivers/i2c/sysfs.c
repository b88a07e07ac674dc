/* SPDX-License-Identifier: Apache-2.0 */
#include "sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ADAPTERS  "/sys/class/i2c-dev"
#define DEVICES   "/sys/bus/i2c/devices"
#define I2C_MAJOR 89u /* the kernel's admin-guide/devices.txt */

/* The only line of a file. */
static bool read_line(const char *path, char *ret_text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		return false;
	}
	n = read(fd, ret_text, size - 1);
	(void)close(fd);
	if (n <= 0) {
		return false;
	}
	ret_text[n] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
	return true;
}

static bool has_name(const char *adapter, const char *name)
{
	char path[I2C_PATH_MAX], found[I2C_PATH_MAX];

	(void)snprintf(path, sizeof(path), ADAPTERS "/%.100s/name", adapter);
	return read_line(path, found, sizeof(found)) && strcmp(found, name) == 0;
}

static int find_named(const char *name, char *ret_path)
{
	DIR *directory = opendir(ADAPTERS);
	const struct dirent *entry;
	int r = -ENOENT;

	if (!directory) {
		return -errno;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.' || !has_name(entry->d_name, name)) {
			continue;
		}
		if (r == 0) {
			r = -ENOTUNIQ;
			break;
		}
		(void)snprintf(ret_path, I2C_PATH_MAX, "/dev/%.100s", entry->d_name);
		r = 0;
	}
	(void)closedir(directory);
	return r;
}

int i2c_sysfs_find(const char *device, char ret_path[I2C_PATH_MAX])
{
	if (device[0] != '/') {
		return find_named(device, ret_path);
	}
	if (strlen(device) >= I2C_PATH_MAX) {
		return -ENAMETOOLONG;
	}
	memcpy(ret_path, device, strlen(device) + 1);
	return 0;
}

int i2c_sysfs_number(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode) ||
		major(status.st_rdev) != I2C_MAJOR) {
		return -1;
	}
	return (int)minor(status.st_rdev);
}

static bool exists(const char *folder, const char *name)
{
	char path[I2C_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.200s/%s", folder, name);
	return access(path, F_OK) == 0;
}

/* Where the kernel shows what the chip measures: its subsystem's folder is in the device's. */
static const char *subsystem(const char *folder)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;
	const char *found = exists(folder, "hwmon") ? " (hwmon)" : "";

	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "iio:device", 10) == 0) {
			found = " (iio)";
		}
	}
	if (directory) {
		(void)closedir(directory);
	}
	return found;
}

void i2c_sysfs_owner(int number, uint16_t address, char *ret_text, size_t size)
{
	char folder[64], path[96], driver[I2C_PATH_MAX];
	const char *name;
	ssize_t n;

	(void)snprintf(folder, sizeof(folder), DEVICES "/%d-%04x", number, address);
	(void)snprintf(path, sizeof(path), "%s/driver", folder);
	n = number < 0 ? -1 : readlink(path, driver, sizeof(driver) - 1);
	if (n <= 0) {
		(void)snprintf(ret_text, size, "a driver of the kernel");
		return;
	}
	driver[n] = '\0';
	name = strrchr(driver, '/');
	(void)snprintf(ret_text, size, "the kernel's driver %.40s%s", name ? name + 1 : driver,
		subsystem(folder));
}
