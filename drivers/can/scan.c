/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * The tool `scan`: listens on a socket of its own, to all identifiers, for a while. A step listens
 * for a tenth of a second and sends nothing.
 */

#define STEP_NS           INT64_C(100000000)
#define STEPS_A_SECOND    10
#define NS_PER_MS         INT64_C(1000000)
#define BATCHES_IN_A_STEP 64 /* a saturated bus brings 15 */

enum { SCAN_TIME, N_SCAN_OPTIONS };

static const struct scg_option options_table[N_SCAN_OPTIONS] = {
	[SCAN_TIME] = {.name = "time",
		.type = SCG_DURATION,
		.fallback = "10s",
		.min = 0.1,
		.max = 3600,
		.help = "How long to listen."},
};

static int64_t now_monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void can_scan_free(struct can_scan *s)
{
	if (s) {
		can_link_close(s->link);
		free(s);
	}
}

/* NULL if there is no room for another one. */
static struct seen *find(struct can_scan *s, uint32_t can_id)
{
	const uint32_t mask = 2 * SCAN_SEEN_MAX - 1;
	uint32_t at = (can_id * UINT32_C(0x9e3779b1)) >> 16 & mask;

	for (; s->slots[at]; at = (at + 1) & mask) {
		if (s->seen[s->slots[at] - 1].can_id == can_id) {
			return &s->seen[s->slots[at] - 1];
		}
	}
	if (s->n_seen == SCAN_SEEN_MAX) {
		return NULL;
	}
	s->seen[s->n_seen++].can_id = can_id;
	s->slots[at] = (uint16_t)s->n_seen;
	return &s->seen[s->n_seen - 1];
}

static void note(struct can_scan *s, const struct can_received *r)
{
	const struct canfd_frame *frame = r->frame;
	struct seen *seen;

	if (frame->can_id & CAN_ERR_FLAG) {
		s->n_errors++;
		return;
	}
	s->n_frames++;
	s->n_own += r->is_own;
	seen = find(s, frame->can_id & (CAN_EFF_FLAG | CAN_EFF_MASK));
	if (!seen) {
		s->n_unseen++;
		return;
	}
	if (seen->n == 0) {
		seen->least = seen->most = frame->len;
	} else {
		for (uint8_t i = 0; i < frame->len && i < seen->size; i++) {
			seen->changed[i] |= (uint8_t)(seen->data[i] ^ frame->data[i]);
		}
	}
	seen->n++;
	seen->is_own = r->is_own;
	seen->is_remote = frame->can_id & CAN_RTR_FLAG;
	seen->least = frame->len < seen->least ? frame->len : seen->least;
	seen->most = frame->len > seen->most ? frame->len : seen->most;
	if (!seen->is_remote) {
		seen->size = frame->len;
		memcpy(seen->data, frame->data, frame->len);
	}
}

static int listen_for(struct can_bus *c, struct can_scan *s, int64_t until_ns)
{
	struct pollfd fd = {.fd = can_link_fd(s->link), .events = POLLIN};
	const struct can_received *frames;

	for (int i = 0; i < BATCHES_IN_A_STEP && !c->bus->host->stopping(c->bus); i++) {
		int64_t left_ns = until_ns - now_monotonic_ns();
		int n;

		if (left_ns <= 0 || poll(&fd, 1, (int)(left_ns / NS_PER_MS) + 1) == 0) {
			break;
		}
		n = can_link_receive(s->link, &frames);
		if (n < 0) {
			return n;
		}
		for (int k = 0; k < n; k++) {
			note(s, &frames[k]);
		}
	}
	s->n_lost += can_link_take_lost(s->link);
	return 0;
}

static int begin(struct can_bus *c, int64_t time_ns)
{
	static const struct can_filter all = {0};
	struct can_scan *s = calloc(1, sizeof(*s));
	int r;

	can_scan_free(c->scan); /* of a run that was never ended */
	c->scan = s;
	if (!s) {
		return -ENOMEM;
	}
	r = can_link_open(c->bus, &all, 1, &s->link);
	s->begin_ns = now_monotonic_ns();
	s->end_ns = s->begin_ns + time_ns;
	return r;
}

static void end(struct can_bus *c)
{
	can_scan_free(c->scan);
	c->scan = NULL;
}

static int scan_step(struct scg_bus *bus, const union scg_value *options, uint64_t step)
{
	struct can_bus *c = bus->data;
	struct can_scan *s;
	int64_t now_ns;
	int r = 0;

	if (step == 0) {
		r = begin(c, options[SCAN_TIME].i);
	}
	s = c->scan;
	now_ns = now_monotonic_ns();
	if (r == 0) {
		int64_t until_ns = now_ns + STEP_NS;

		r = listen_for(c, s, until_ns < s->end_ns ? until_ns : s->end_ns);
	}
	if (r < 0) {
		end(c);
		return r;
	}
	if (now_monotonic_ns() < s->end_ns) {
		if (step % STEPS_A_SECOND == 0) {
			bus->host->tell(bus, SCG_TELL_PROGRESS,
				"%llu frames, %u identifiers; listening for %lld s more",
				(unsigned long long)s->n_frames, s->n_seen,
				(long long)((s->end_ns - now_ns) / (1000 * NS_PER_MS)) + 1);
		}
		return 1;
	}
	can_scan_show(c, s);
	end(c);
	return 0;
}

const struct scg_tool can_scan_tool = {
	.options = options_table, .n_options = N_SCAN_OPTIONS, .step = scan_step};
