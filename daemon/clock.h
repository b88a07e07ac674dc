/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_CLOCK_H
#define SCG_CLOCK_H

/*
 * Is the wall clock right? A Raspberry Pi starts with the time at which it was last switched off.
 * Until the clock is known to be right, readings are journalled by boot clock and nothing is
 * uploaded; once it is, they get their true time (see journal.h).
 *
 * The rules, by `clock.trust`:
 *   kernel     right when the kernel's clock is disciplined (adjtimex: not STA_UNSYNC) or
 *              systemd-timesyncd has left its mark (/run/systemd/timesync/synchronized) in this
 * boot. Once right, it stays right for this boot, even when the kernel's flag ages away after nine
 * hours without a server: an ageing clock is not a wrong one. A step of the clock after that
 * (clock_settime) makes it wait for the kernel's word again. plausible  right when it shows a time
 * after this program was built and not before the newest reading in the journal that had a right
 * time. always     right without asking. auto       kernel where anything on the machine
 * disciplines the clock (timesyncd, chrony, ntpd: their run-time directories exist) or the kernel
 * says synchronised; else plausible, as in a container, whose clock is its host's.
 *
 * One object for the process, owned by the main thread: it calls clock_update() when the descriptor
 * is readable or the time limit passes. All other threads only read, without a lock.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum clock_trust {
	CLOCK_TRUST_AUTO,
	CLOCK_TRUST_KERNEL,
	CLOCK_TRUST_PLAUSIBLE,
	CLOCK_TRUST_ALWAYS
};

struct clock_state;

/* What clock_update() found. */
enum clock_change {
	CLOCK_UNCHANGED,
	CLOCK_BECAME_RIGHT, /* was waiting, is synchronised now */
	CLOCK_STEPPED,      /* somebody set the clock; it counts as right nevertheless */
	CLOCK_BECAME_WRONG, /* somebody set the clock; waiting until it is confirmed */
};

/*
 * `not_before_us`: wall time of the newest reading with a right time that the journal knows, or 0;
 * a plausible clock does not show less. Never fails: without timerfd steps go unnoticed.
 */
struct clock_state *clock_new(enum clock_trust trust, int64_t not_before_us);
void clock_free(struct clock_state *c);
void clock_set_trust(struct clock_state *c, enum clock_trust trust);

/* Main thread: readable when the wall clock was set; -1 if the kernel cannot tell. */
int clock_fd(const struct clock_state *c);
/* Main thread: milliseconds until clock_update() should be called again, -1 = only on clock_fd().
 */
int clock_timeout_ms(const struct clock_state *c);
/* Main thread. `ret_step_us`: by how much the wall clock jumped (0 unless it did); may be NULL. */
enum clock_change clock_update(struct clock_state *c, int64_t *ret_step_us);

/* Any thread. */
bool clock_is_right(const struct clock_state *c);
/* Any thread: right, and not moved to `offset_us` (as from clock_offset_us()) by a step that the
   main thread has not judged yet. */
bool clock_is_right_at(const struct clock_state *c, int64_t offset_us);
/* Any thread: CLOCK_REALTIME minus CLOCK_BOOTTIME now, microseconds; read back to back. */
int64_t clock_offset_us(void);
/* The rule in force, for `status`: "kernel", "plausible" or "always". */
const char *clock_rule(const struct clock_state *c);
/* This boot's id, 32 hexadecimal digits or a UUID as the kernel prints it; "unknown" if hidden. */
const char *clock_boot_id(void);

#endif
