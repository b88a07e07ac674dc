/* SPDX-License-Identifier: Apache-2.0 */
#include "thread.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util.h"

/* The resolver and the TLS library want some 100 KiB; sanitizers want much more. */
#define STACK_SIZE (512 * 1024)

int event_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void event_set(int fd)
{
	uint64_t one = 1;

	/* fails only when the counter is full, and then it is set */
	if (write(fd, &one, sizeof(one)) < 0) {
		return;
	}
}

bool event_take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static void *entry(void *arg)
{
	struct thread *t = arg;

	(void)pthread_setname_np(pthread_self(), t->name); /* cosmetic */
	t->run(t->arg);
	event_set(t->done_fd);
	return NULL;
}

int thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	int r;

	t->done_fd = event_new();
	if (t->done_fd < 0) {
		return t->done_fd;
	}
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	t->run = run;
	t->arg = arg;
	r = pthread_attr_init(&attributes);
	if (r == 0) {
		r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
		if (r == 0) {
			r = pthread_create(&t->id, &attributes, entry, t);
		}
		(void)pthread_attr_destroy(&attributes); /* cannot fail */
	}
	t->started = r == 0;
	if (!t->started) {
		closep(&t->done_fd);
	}
	return -r;
}

int thread_join(struct thread *t, int64_t deadline_ns)
{
	struct pollfd done = {.fd = t->done_fd, .events = POLLIN};
	int r;

	if (!t->started) {
		return 0;
	}
	do {
		int64_t left = deadline_ns - now_monotonic_ns();

		r = poll(&done, 1, left > 0 ? (int)MIN(left / NS_PER_MS + 1, INT32_MAX) : 0);
		if (r == 0 && now_monotonic_ns() >= deadline_ns) {
			return -ETIMEDOUT;
		}
	} while (r <= 0);
	(void)pthread_join(t->id, NULL); /* it has ended: this only collects it */
	closep(&t->done_fd);
	t->started = false;
	return 0;
}
