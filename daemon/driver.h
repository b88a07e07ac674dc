/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_DRIVER_H
#define SCG_DRIVER_H

/*
 * Finding, loading and describing drivers. The only file that knows dlopen. Main thread only; a
 * driver once loaded stays loaded until the process ends, so its constants may be used by any
 * thread.
 *
 * A driver is `DIRECTORY/NAME.so`. Only the installed directory and those given on the command line
 * (--driver-dir, for development) are searched; the configuration names drivers, never paths.
 */

#include <stdio.h>

#include "sensocan-driver.h"

/* Directories are searched in the order added, the installed one (DRIVER_DIR) last. */
void driver_add_directory(const char *directory);

/*
 * The driver of that name, loading it on first use. NULL with *ret_error saying what is wrong and
 * what to do ("no driver "modbsu" in /usr/lib/...; there are: modbus, sim"; "... built for driver
 * ABI 3, this daemon has 1"); the caller frees it. `name` must be [a-z0-9_-]+.
 */
const struct scg_driver *driver_find(const char *name, char **ret_error);

/* All drivers found, sorted by name. The callback gets NULL and an error for one that is unusable.
 */
void driver_for_each(void (*visit)(void *ctx, const char *name, const char *path,
			     const struct scg_driver *driver, const char *error),
	void *ctx);

/*
 * A host on which no call has an effect: the beginning of those that listen to some of them only,
 * while a driver checks or plans.
 */
extern const struct scg_host driver_deaf_host;

/* What `sensocan-gateway drivers NAME` prints. */
void driver_describe(FILE *out, const struct scg_driver *driver);

#endif
