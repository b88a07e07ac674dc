/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_THREAD_H
#define SCG_THREAD_H

/*
 * A thread that can be waited for with a time limit, and an event that wakes one. Small stacks: a
 * gateway has a thread a bus and a device, and memory is what its users count.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct thread {
	pthread_t id;
	void (*run)(void *arg);
	void *arg;
	char name[16];
	int done_fd; /* readable once run() has returned */
	bool started;
};

/* 0 or a negative errno. `name` is cut to 15 characters. */
int thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg);
/* Waits until `deadline_ns` (monotonic) and joins. 0, also if it was never started; -ETIMEDOUT. */
int thread_join(struct thread *t, int64_t deadline_ns);

/* An eventfd, close-on-exec and non-blocking; negative errno on failure. */
int event_new(void);
void event_set(int fd);
/* True if it was set since the last call. */
bool event_take(int fd);

#endif
