/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_OPTIONS_TEXT_H
#define SCG_OPTIONS_TEXT_H

/*
 * What options.c and options_text.c share: conversion of one value, and words for option types. For
 * everyone else there is options.h.
 */

#include "options.h"

/* Converts the text of one value. 0, -EINVAL (not of that type) or -ERANGE; *ret untouched then. */
int options_convert(const struct scg_option *option, const char *text, union scg_value *ret);

/* "0 to 65535", "10ms to 1h", "at most 64 bytes"; "" if there is no limit. To be freed. */
char *options_describe_range(const struct scg_option *option);
/* "a whole number, 0 to 65535", "one of: tcp, rtu". To be freed. */
char *options_describe_expected(const struct scg_option *option);

#endif
