/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_JOURNAL_H
#define FAKE_JOURNAL_H

/*
 * The publishers' side of journal.h over an array in memory, so that live and history can be tested
 * without a disk, a thread, or time passing. One device, number 1.
 */

#include "journal.h"

#define FAKE_BLOCKS_MAX 128

/* Forgets everything. */
void fake_journal_reset(void);
/* Adds a block; returns its id. Readings need sensor, boottime_us and value; offset is 0. */
int64_t fake_journal_add(const struct reading *readings, uint32_t n);
/* The same for a block of a boot whose clock is not right yet. */
void fake_journal_set_dated(int64_t id, bool dated);
/* The names of sensor numbers 1 to 9: "s1" with a uuid for odd ones, without for even ones. */
const char *fake_uuid(uint32_t sensor);
/* Readings not acknowledged yet. */
uint32_t fake_journal_left(void);
bool fake_journal_is_acked(int64_t id, uint32_t position);
uint64_t fake_journal_lost(enum journal_loss cause);
struct journal *fake_journal(void);

#endif
