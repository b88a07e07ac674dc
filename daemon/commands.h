/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_COMMANDS_H
#define SCG_COMMANDS_H

/*
 * Everything on the command line that is not the daemon. Each function prints for a person (or as
 * JSON) and returns the exit status of the process. Main thread, nothing else running.
 */

#include <stdbool.h>

#include "config.h"
#include "options.h"

#define EXIT_DONE       0
#define EXIT_FAILED     1
#define EXIT_BAD_USAGE  64 /* sysexits.h: EX_USAGE */
#define EXIT_BAD_CONFIG 78 /* sysexits.h: EX_CONFIG */

struct command_options {
	const char *config_file;
	const char *control_path;        /* NULL: the default */
	const char *device;              /* read: only this one; NULL: all */
	const char *driver;              /* drivers: this one; NULL: list all */
	const char *bus;                 /* plan, scan, probe: this one */
	const struct option_word *words; /* scan, probe: the tool's own options */
	size_t n_words;
	bool help; /* scan, probe: print these */
	bool json;
	bool watch; /* read: go on */
};

/* Loads the configuration; prints all problems on stderr (to the log, when that is journald). NULL
   if there are errors. */
struct config *command_load_config(const char *file);
/* The same, see config_load_overloaded(); without `warn` prints errors only. */
struct config *command_load_overloaded(const char *file, bool warn);
/* The bus of that name; NULL after saying which there are. */
const struct bus_config *command_find_bus(const struct config *config, const char *name);

int command_check(const struct command_options *options);
int command_drivers(const struct command_options *options);
int command_plan(const struct command_options *options);
int command_probe(const struct command_options *options);
int command_read(const struct command_options *options);
int command_scan(const struct command_options *options);
int command_status(const struct command_options *options);

#endif
