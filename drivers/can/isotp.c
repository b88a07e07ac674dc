/* SPDX-License-Identifier: Apache-2.0 */
/* Citations: [2] ISO 15765-2:2016. */
#include "isotp.h"

#include <errno.h>
#include <string.h>

#define MS         INT64_C(1000000)
#define TIMEOUT_NS (1000 * MS) /* N_Bs and N_Cr, [2] 9.8 */
#define WAITS_MAX  16          /* N_WFTmax: [2] leaves it to us */

/* High half of the first byte, [2] 9.6.1. */
enum { SINGLE = 0x00, FIRST = 0x10, CONSECUTIVE = 0x20, FLOW = 0x30 };
/* Flow status, [2] 9.6.5.2. */
enum { FLOW_CLEAR, FLOW_WAIT, FLOW_OVERFLOW };

void isotp_init(struct isotp *t, int padding)
{
	*t = (struct isotp){.padding = padding};
}

static void pad(const struct isotp *t, struct isotp_frame *f)
{
	if (t->padding != ISOTP_NO_PADDING) {
		memset(f->data + f->size, t->padding, sizeof(f->data) - f->size);
		f->size = sizeof(f->data);
	}
}

static void flow_control(const struct isotp *t, uint8_t status, struct isotp_frame *ret_frame)
{
	/* no limit of a block and no gap: a gateway keeps up */
	*ret_frame = (struct isotp_frame){.size = 3, .data = {FLOW | status}};
	pad(t, ret_frame);
}

int isotp_send(struct isotp *t, const uint8_t *data, size_t size, int64_t now_ns,
	struct isotp_frame *ret_frame)
{
	struct isotp_frame f = {0};

	if (size == 0 || size > ISOTP_MAX) {
		return -EMSGSIZE;
	}
	if (t->sending) {
		return -EBUSY;
	}
	if (size <= 7) {
		f.size = (uint8_t)(1 + size);
		f.data[0] = (uint8_t)(SINGLE | size);
		memcpy(f.data + 1, data, size);
		pad(t, &f);
		*ret_frame = f;
		return 0;
	}
	memcpy(t->tx, data, size);
	f.size = 8;
	f.data[0] = (uint8_t)(FIRST | size >> 8);
	f.data[1] = (uint8_t)size;
	memcpy(f.data + 2, data, 6);
	t->sending = true;
	t->cleared = false;
	t->tx_size = (uint16_t)size;
	t->tx_at = 6;
	t->tx_next = 1;
	t->n_waits = 0;
	t->tx_time_ns = now_ns + TIMEOUT_NS;
	*ret_frame = f;
	return 0;
}

static enum isotp_event receive_single(struct isotp *t, const uint8_t *data, uint8_t size)
{
	uint8_t length = data[0] & 0x0f;

	if (length == 0 || length > 7 || length >= size) {
		return ISOTP_NOTHING; /* to be ignored, [2] 9.6.2.2 */
	}
	t->receiving = false; /* the other node begins anew, [2] 9.8.3 */
	memcpy(t->rx, data + 1, length);
	t->rx_size = length;
	return ISOTP_MESSAGE;
}

static enum isotp_event receive_first(struct isotp *t, const uint8_t *data, uint8_t size,
	int64_t now_ns, struct isotp_frame *ret_frame)
{
	uint16_t length = (uint16_t)((data[0] & 0x0f) << 8 | data[1]);

	if (size < 8 || (length > 0 && length <= 7)) {
		return ISOTP_NOTHING; /* to be ignored, [2] 9.6.3.2 */
	}
	if (length == 0) { /* more than 4095 bytes, [2] 9.6.3.1 */
		t->receiving = false;
		flow_control(t, FLOW_OVERFLOW, ret_frame);
		return ISOTP_BROKEN;
	}
	memcpy(t->rx, data + 2, 6);
	t->receiving = true;
	t->rx_size = length;
	t->rx_at = 6;
	t->rx_next = 1;
	t->rx_deadline_ns = now_ns + TIMEOUT_NS;
	flow_control(t, FLOW_CLEAR, ret_frame);
	return ISOTP_NOTHING;
}

static enum isotp_event receive_consecutive(
	struct isotp *t, const uint8_t *data, uint8_t size, int64_t now_ns)
{
	uint16_t left = (uint16_t)(t->rx_size - t->rx_at);
	uint8_t n = left < 7 ? (uint8_t)left : 7;

	if (!t->receiving) {
		return ISOTP_NOTHING;
	}
	if ((data[0] & 0x0f) != t->rx_next || size < n + 1) {
		t->receiving = false;
		return ISOTP_BROKEN;
	}
	memcpy(t->rx + t->rx_at, data + 1, n);
	t->rx_at = (uint16_t)(t->rx_at + n);
	t->rx_next = (t->rx_next + 1) & 0x0f;
	t->rx_deadline_ns = now_ns + TIMEOUT_NS;
	if (t->rx_at < t->rx_size) {
		return ISOTP_NOTHING;
	}
	t->receiving = false;
	return ISOTP_MESSAGE;
}

/* STmin, [2] 9.6.5.4: milliseconds, or hundreds of microseconds; what is reserved is the longest.
 */
static int64_t gap_of(uint8_t byte)
{
	if (byte >= 0xf1 && byte <= 0xf9) {
		return (byte - 0xf0) * MS / 10;
	}
	return (byte <= 0x7f ? byte : 0x7f) * MS;
}

static enum isotp_event receive_flow(
	struct isotp *t, const uint8_t *data, uint8_t size, int64_t now_ns)
{
	if (!t->sending || t->cleared || size < 3) {
		return ISOTP_NOTHING;
	}
	switch (data[0] & 0x0f) {
	case FLOW_CLEAR:
		t->cleared = true;
		t->n_waits = 0;
		t->block_size = t->block_left = data[1];
		t->gap_ns = gap_of(data[2]);
		t->tx_time_ns = now_ns;
		return ISOTP_NOTHING;
	case FLOW_WAIT:
		if (++t->n_waits <= WAITS_MAX) {
			t->tx_time_ns = now_ns + TIMEOUT_NS;
			return ISOTP_NOTHING;
		}
		t->sending = false;
		return ISOTP_TIMED_OUT;
	case FLOW_OVERFLOW:
		t->sending = false;
		return ISOTP_REFUSED;
	default:
		t->sending = false;
		return ISOTP_BROKEN;
	}
}

enum isotp_event isotp_receive(struct isotp *t, const uint8_t *data, uint8_t size, int64_t now_ns,
	struct isotp_frame *ret_frame)
{
	ret_frame->size = 0;
	if (size < 2 || size > 8) {
		return ISOTP_NOTHING;
	}
	switch (data[0] & 0xf0) {
	case SINGLE:
		return receive_single(t, data, size);
	case FIRST:
		return receive_first(t, data, size, now_ns, ret_frame);
	case CONSECUTIVE:
		return receive_consecutive(t, data, size, now_ns);
	case FLOW:
		return receive_flow(t, data, size, now_ns);
	default:
		return ISOTP_NOTHING;
	}
}

static enum isotp_event send_consecutive(
	struct isotp *t, int64_t now_ns, struct isotp_frame *ret_frame)
{
	uint16_t left = (uint16_t)(t->tx_size - t->tx_at);
	uint8_t n = left < 7 ? (uint8_t)left : 7;

	ret_frame->size = (uint8_t)(1 + n);
	ret_frame->data[0] = CONSECUTIVE | t->tx_next;
	memcpy(ret_frame->data + 1, t->tx + t->tx_at, n);
	pad(t, ret_frame);
	t->tx_at = (uint16_t)(t->tx_at + n);
	t->tx_next = (t->tx_next + 1) & 0x0f;
	t->tx_time_ns = now_ns + t->gap_ns;
	if (t->tx_at == t->tx_size) {
		t->sending = false;
		return ISOTP_SENT;
	}
	if (t->block_size > 0 && --t->block_left == 0) {
		t->cleared = false;
		t->tx_time_ns = now_ns + TIMEOUT_NS;
	}
	return ISOTP_NOTHING;
}

enum isotp_event isotp_step(struct isotp *t, int64_t now_ns, struct isotp_frame *ret_frame)
{
	ret_frame->size = 0;
	if (t->receiving && now_ns >= t->rx_deadline_ns) {
		t->receiving = false;
		return ISOTP_TIMED_OUT;
	}
	if (!t->sending || now_ns < t->tx_time_ns) {
		return ISOTP_NOTHING;
	}
	if (t->cleared) {
		return send_consecutive(t, now_ns, ret_frame);
	}
	t->sending = false;
	return ISOTP_TIMED_OUT;
}

int64_t isotp_next_ns(const struct isotp *t)
{
	int64_t next = t->receiving ? t->rx_deadline_ns : INT64_MAX;

	return t->sending && t->tx_time_ns < next ? t->tx_time_ns : next;
}

const uint8_t *isotp_message(const struct isotp *t, size_t *ret_size)
{
	*ret_size = t->rx_size;
	return t->rx;
}
