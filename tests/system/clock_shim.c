/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program under test: its wall clock is off by what the file $CLOCK_SHIM says, and
 * can be set while it runs. What a program sees of a clock that is set, it sees here too: the
 * kernel tells whether it is synchronised (adjtimex(2)), and a timer that is to be cancelled when
 * the clock is set (timerfd_create(2)) is. The boot clock and the monotonic clock are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* clock.py writes it. */
struct state {
	int64_t offset_ns;
	int64_t synchronized;
	int64_t steps;
};

static const struct state zero;
static const volatile struct state *state = (const volatile struct state *)&zero;
static int timer = -1; /* stands for the one cancellable timer of the program */
static int64_t told;   /* steps that a read of it has reported */

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_timerfd_create)(int, int);
static int (*real_timerfd_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static ssize_t (*real_read)(int, void *, size_t);

static void *watch(void *unused)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	int64_t seen = state->steps;

	(void)unused;
	for (;;) {
		(void)nanosleep(&pause, NULL);
		if (state->steps != seen && timer >= 0) {
			seen = state->steps;
			(void)eventfd_write(timer, 1);
		}
	}
	return NULL;
}

static void resolve(void)
{
	if (!real_clock_gettime) {
		*(void **)&real_timerfd_create = dlsym(RTLD_NEXT, "timerfd_create");
		*(void **)&real_timerfd_settime = dlsym(RTLD_NEXT, "timerfd_settime");
		*(void **)&real_read = dlsym(RTLD_NEXT, "read");
		*(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	}
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("CLOCK_SHIM");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	sigset_t all, before;
	pthread_t thread;

	resolve();
	if (fd >= 0) {
		void *map = mmap(NULL, sizeof(struct state), PROT_READ, MAP_SHARED, fd, 0);

		if (map != MAP_FAILED) {
			state = map;
		}
		(void)close(fd);
		/* signals are the program's affair */
		(void)sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &before);
		(void)pthread_create(&thread, NULL, watch, NULL);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
}

static void shift(struct timespec *ts)
{
	int64_t ns = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + state->offset_ns;

	ts->tv_sec = (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	resolve();
	int r = real_clock_gettime(id, ts);

	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		shift(ts);
	}
	return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict unused)
{
	struct timespec ts;

	(void)unused;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (ret) {
		*ret = ts.tv_sec;
	}
	return ts.tv_sec;
}

int adjtimex(struct timex *timex)
{
	if (timex->modes != 0) {
		errno = EPERM;
		return -1;
	}
	memset(timex, 0, sizeof(*timex));
	timex->status = state->synchronized ? STA_PLL : STA_UNSYNC;
	return state->synchronized ? TIME_OK : TIME_ERROR;
}

int ntp_adjtime(struct timex *timex)
{
	return adjtimex(timex);
}

int clock_adjtime(clockid_t id, struct timex *timex)
{
	(void)id;
	return adjtimex(timex);
}

int timerfd_create(int id, int flags)
{
	resolve();
	if (id != CLOCK_REALTIME) {
		return real_timerfd_create(id, flags);
	}
	told = state->steps;
	timer = eventfd(0, ((flags & TFD_NONBLOCK) ? EFD_NONBLOCK : 0) |
				   ((flags & TFD_CLOEXEC) ? EFD_CLOEXEC : 0));
	return timer;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	resolve();
	return fd == timer ? 0 : real_timerfd_settime(fd, flags, new, old);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	int64_t steps = state->steps;

	resolve();
	if (fd < 0 || fd != timer) {
		return real_read(fd, buffer, size);
	}
	/* at once, like the kernel's: a step is known as soon as the new time can be read */
	(void)real_read(fd, buffer, size);
	errno = steps != told ? ECANCELED : EAGAIN;
	told = steps;
	return -1;
}
