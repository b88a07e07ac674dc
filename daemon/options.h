/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_OPTIONS_H
#define SCG_OPTIONS_H

/*
 * Option tables (struct scg_option of sensocan-driver.h) against YAML: defaults, types, ranges,
 * unknown keys, and the printed reference. Used for the drivers' options and for the gateway's own.
 * Complains about nodes, never logs.
 */

#include <stdio.h>

#include "sensocan-driver.h"
#include "yaml_tree.h"

/*
 * What the gateway's own tables may use beyond the ABI; options_check_table() refuses these.
 */
#define OPTION_SIZE 0x100u /* type: i, bytes; YAML says 64KiB, 512MiB, 1GiB; min, max in bytes */
#define OPTION_NODE 0x101u /* type: no value, the caller takes it from ret_nodes */
#define OPTION_OPTIONAL                                                                            \
	0x100u /* flag: may be absent whatever its type; then the value is 0 and its node NULL */

/*
 * Checks a table itself (a driver's author gets it wrong): names, types, a default for each option
 * that is neither required nor a string, defaults within range, reserved words zero. 0, or -EINVAL
 * with *ret_text saying which row and what; the caller frees it.
 */
int options_check_table(const struct scg_option *table, uint32_t n, char **ret_text);

/*
 * Converts one scalar by its row. `where` starts the message ("buses[0] (rs485-0)"; as for
 * problems_complain()). 0, or -EINVAL with the problem noted. Strings point into the tree: copy
 * what must outlive it.
 */
int options_parse_value(const struct scg_option *option, const struct yaml_node *node,
	const char *where, struct problems *problems, union scg_value *ret);

/*
 * Fills values[0..n) from the mapping `node` (NULL: all defaults) and, below it, `defaults` (NULL
 * if there are none): a key of `node` wins. Notes unknown keys (with the nearest known one), wrong
 * types, values out of range, and required options that are missing. `place` is where a missing
 * option is complained about when `node` is NULL. Returns the number of errors noted. What is wrong
 * in `defaults` is not noted here, for many mappings share them: see options_check_partial().
 * nodes[i], if `ret_nodes` is not NULL, becomes the node that option i came from, or NULL.
 * Strings point into the tree or the table.
 */
size_t options_parse(const struct scg_option *table, uint32_t n, const struct yaml_node *node,
	const struct yaml_node *defaults, const struct yaml_node *place, const char *where,
	struct problems *problems, union scg_value *values, const struct yaml_node **ret_nodes);

/* Notes the unknown keys and bad values of `node`, in which nothing needs to be given. Returns the
   number of errors noted. */
size_t options_check_partial(const struct scg_option *table, uint32_t n,
	const struct yaml_node *node, const char *where, struct problems *problems);

/* An option on the command line: "--name value". */
struct option_word {
	const char *name;  /* words joined by '-' or '_' */
	const char *value; /* NULL: none was given, which will do for SCG_BOOL */
};

/*
 * options_parse() for the command line: problems are noted without a place. Returns the number of
 * errors noted; without any, values[0..n) are filled. Strings point into the words or the table.
 */
size_t options_parse_words(const struct scg_option *table, uint32_t n,
	const struct option_word *words, size_t n_words, const char *where,
	struct problems *problems, union scg_value *values);

/* The nearest of `n` names to `name` if one is near enough to be what was meant, else NULL. */
const char *options_nearest(const char *name, const char *const *names, size_t n);

/* The words with `separator` between them. To be freed by the caller. */
char *options_join(const char *const *words, size_t n, const char *separator);

/* "whole number, 1 to 65535, default 502": what the table says of one option. */
char *options_describe_type(const struct scg_option *option);

/* The reference of a table, for `sensocan-gateway drivers NAME`: a block an option. */
void options_print(FILE *out, const struct scg_option *table, uint32_t n);

#endif
