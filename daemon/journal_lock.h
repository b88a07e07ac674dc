/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_JOURNAL_LOCK_H
#define SCG_JOURNAL_LOCK_H

/*
 * One daemon a journal. The lock is on a file of its own beside it (PATH.lock): opening and closing
 * the database itself would give up SQLite's locks on it (sqlite.org, "How To Corrupt", 2.2), and a
 * journal that is set aside takes its locks along. The kernel releases it when the process ends,
 * however it ends.
 */

/* 0 with *ret_fd, to be closed to unlock; -EWOULDBLOCK: another process has it. Where no file can
   be made (disk full, read-only) there is nothing to protect: 0, and *ret_fd is -1. */
int journal_lock(const char *path, int *ret_fd);

#endif
