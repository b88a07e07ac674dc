/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <unistd.h>

#include "build_config.h"
#include "util.h"

/* While waiting for the clock, looking once a second is prompt and costs next to nothing. */
#define LOOK_AGAIN_MS 1000
/* Slewing moves both clocks alike, so their distance changes by steps alone; and by the noise of
 * reading it. */
#define UNJUDGED_STEP_US (100 * US_PER_MS)
/* systemd-timesyncd touches this file at each synchronisation (systemd-timesyncd(8)). */
#define TIMESYNCD_MARK "/run/systemd/timesync/synchronized"

struct clock_state {
	_Atomic bool right;
	_Atomic int rule;          /* enum clock_trust, never AUTO */
	_Atomic int64_t offset_us; /* as of the last update */
	enum clock_trust trust;
	bool rule_changed;
	int64_t not_before_us;
	int64_t void_mark_ns; /* timesyncd's mark from before the last step: says nothing any more
			       */
	int fd;
};

int64_t clock_offset_us(void)
{
	int64_t best_gap = INT64_MAX, best = 0;

	/* the two clocks cannot be read at once; of a few tries the one with the least gap is taken
	 */
	for (int i = 0; i < 3; i++) {
		int64_t before = now_boottime_ns();
		int64_t wall = now_realtime_ns();
		int64_t after = now_boottime_ns();

		if (after - before < best_gap) {
			best_gap = after - before;
			best = wall - (before + after) / 2;
		}
		if (best_gap < 2 * NS_PER_US) {
			break;
		}
	}
	return best / NS_PER_US;
}

const char *clock_boot_id(void)
{
	static char id[40];
	ssize_t n;
	int fd;

	if (id[0] != '\0') {
		return id;
	}
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, id, sizeof(id) - 1);
	if (fd >= 0) {
		(void)close(fd); /* only read from */
	}
	if (n <= 0) {
		(void)snprintf(id, sizeof(id), "unknown");
	} else {
		id[strcspn(id, "\n")] = '\0';
	}
	return id;
}

static bool any_exists(const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (access(paths[i], F_OK) == 0) {
			return true;
		}
	}
	return false;
}

/* A container shares its host's clock and cannot see who disciplines it. */
static bool is_container(void)
{
	static const char *const marks[] = {
		"/run/systemd/container", "/.dockerenv", "/run/.containerenv"};

	return any_exists(marks, ARRAY_SIZE(marks));
}

/*
 * Installed counts, not only running: chronyd starts after us, and by then a gateway that believed
 * its clock would have dated readings by the time of its last shutdown.
 */
static bool has_time_service(void)
{
	static const char *const services[] = {
		"/run/systemd/timesync",
		"/lib/systemd/systemd-timesyncd",
		"/usr/sbin/chronyd",
		"/usr/sbin/ntpd",
		"/usr/sbin/openntpd",
		"/run/chrony",
		"/run/ntpd.pid",
	};

	return any_exists(services, ARRAY_SIZE(services));
}

static bool kernel_is_synchronised(void)
{
	struct timex timex = {.modes = 0};

	return adjtimex(&timex) >= 0 && (timex.status & STA_UNSYNC) == 0;
}

/* When timesyncd last left its mark, in whatever time it thought it was; 0: never in this boot. */
static int64_t timesyncd_mark_ns(void)
{
	struct stat st;

	if (stat(TIMESYNCD_MARK, &st) < 0) {
		return 0;
	}
	return (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
}

static bool is_plausible(const struct clock_state *c)
{
	int64_t now_us = now_realtime_ns() / NS_PER_US;

	return now_us >= BUILD_EPOCH * US_PER_S && now_us >= c->not_before_us;
}

static enum clock_trust choose_rule(const struct clock_state *c)
{
	if (c->trust != CLOCK_TRUST_AUTO) {
		return c->trust;
	}
	if (kernel_is_synchronised()) {
		return CLOCK_TRUST_KERNEL;
	}
	return !is_container() && has_time_service() ? CLOCK_TRUST_KERNEL : CLOCK_TRUST_PLAUSIBLE;
}

static bool judge(struct clock_state *c)
{
	enum clock_trust rule = choose_rule(c);

	atomic_store_explicit(&c->rule, (int)rule, memory_order_relaxed);
	switch (rule) {
	case CLOCK_TRUST_ALWAYS:
		return true;
	case CLOCK_TRUST_PLAUSIBLE:
		return is_plausible(c);
	case CLOCK_TRUST_KERNEL:
	case CLOCK_TRUST_AUTO:
		break;
	}
	return kernel_is_synchronised() || timesyncd_mark_ns() != c->void_mark_ns;
}

/* Far in the future: it never expires, but is cancelled when the wall clock is set
 * (timerfd_create(2)). */
static void arm(struct clock_state *c)
{
	struct itimerspec never = {.it_value = {.tv_sec = (time_t)INT32_MAX * (time_t)4}};

	if (c->fd >= 0 && timerfd_settime(c->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
				  &never, NULL) < 0) {
		(void)close(c->fd); /* steps go unnoticed until the next update: documented */
		c->fd = -1;
	}
}

struct clock_state *clock_new(enum clock_trust trust, int64_t not_before_us)
{
	struct clock_state *c = xcalloc(1, sizeof(*c));

	c->trust = trust;
	c->not_before_us = not_before_us;
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	arm(c);
	atomic_init(&c->offset_us, clock_offset_us());
	atomic_init(&c->right, judge(c));
	return c;
}

void clock_free(struct clock_state *c)
{
	if (!c) {
		return;
	}
	closep(&c->fd);
	free(c);
}

void clock_set_trust(struct clock_state *c, enum clock_trust trust)
{
	c->rule_changed = c->rule_changed || c->trust != trust;
	c->trust = trust;
}

int clock_fd(const struct clock_state *c)
{
	return c->fd;
}

int clock_timeout_ms(const struct clock_state *c)
{
	return clock_is_right(c) ? -1 : LOOK_AGAIN_MS;
}

/* True if the wall clock was set since the last look. */
static bool was_set(struct clock_state *c)
{
	uint64_t expirations;

	if (c->fd < 0) {
		return false;
	}
	if (read(c->fd, &expirations, sizeof(expirations)) < 0 && errno == ECANCELED) {
		arm(c);
		return true;
	}
	return false;
}

enum clock_change clock_update(struct clock_state *c, int64_t *ret_step_us)
{
	bool was_right = clock_is_right(c), is_right;
	/* in this order: a step after the look at the timer is seen at the next update */
	bool stepped = was_set(c);
	int64_t offset = clock_offset_us();
	int64_t step = offset - atomic_load_explicit(&c->offset_us, memory_order_relaxed);

	atomic_store_explicit(&c->offset_us, offset, memory_order_relaxed);
	if (ret_step_us) {
		*ret_step_us = stepped ? step : 0;
	}
	if (stepped) {
		c->void_mark_ns = timesyncd_mark_ns();
	}
	/* once right, right for this boot: the kernel's flag ages away when no server is in reach
	 */
	is_right = (was_right && !stepped && !c->rule_changed) || judge(c);
	c->rule_changed = false;
	atomic_store_explicit(&c->right, is_right, memory_order_release);
	if (is_right != was_right) {
		return is_right ? CLOCK_BECAME_RIGHT : CLOCK_BECAME_WRONG;
	}
	return stepped && is_right ? CLOCK_STEPPED : CLOCK_UNCHANGED;
}

bool clock_is_right(const struct clock_state *c)
{
	return atomic_load_explicit(&c->right, memory_order_acquire);
}

bool clock_is_right_at(const struct clock_state *c, int64_t offset_us)
{
	return clock_is_right(c) &&
	       llabs(offset_us - atomic_load_explicit(&c->offset_us, memory_order_relaxed)) <
		       UNJUDGED_STEP_US;
}

const char *clock_rule(const struct clock_state *c)
{
	switch ((enum clock_trust)atomic_load_explicit(&c->rule, memory_order_relaxed)) {
	case CLOCK_TRUST_PLAUSIBLE:
		return "plausible";
	case CLOCK_TRUST_ALWAYS:
		return "always";
	case CLOCK_TRUST_KERNEL:
	case CLOCK_TRUST_AUTO:
		break;
	}
	return "kernel";
}
