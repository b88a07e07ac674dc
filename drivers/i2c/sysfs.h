/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_SYSFS_H
#define I2C_SYSFS_H

/*
 * What the kernel says of its adapters and of the chips that it drives itself, under /sys.
 */

#include <stddef.h>
#include <stdint.h>

#define I2C_PATH_MAX 256u

/* The device file: `device` itself if it begins with a slash, else that of the adapter of this name
   ("bcm2835 (i2c@7e804000)"), whose number may be another at each boot. 0, -ENOENT, -ENOTUNIQ, or
   another negative errno. */
int i2c_sysfs_find(const char *device, char ret_path[I2C_PATH_MAX]);
/* The number of the adapter behind an open device file, or -1. */
int i2c_sysfs_number(int fd);
/* Who has the address: "the kernel's driver lm75 (hwmon)", as much of it as is known. */
void i2c_sysfs_owner(int number, uint16_t address, char *ret_text, size_t size);

#endif
