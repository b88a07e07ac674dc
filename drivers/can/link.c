/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Room for a time and a number of lost frames. */
#define CONTROL_SIZE (CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(uint32_t)))

/* A frame as it comes; not all bytes of it need be new. */
struct slot {
	struct canfd_frame frame;
	uint8_t padding[DECODE_PADDING];
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
};

struct can_link {
	int fd;
	uint32_t lost_total, lost; /* as the kernel counts; not yet taken */
	struct mmsghdr headers[CAN_LINK_BATCH];
	struct iovec vectors[CAN_LINK_BATCH];
	struct slot slots[CAN_LINK_BATCH];
	struct can_received received[CAN_LINK_BATCH];
};

int can_link_new(int fd, struct can_link **ret_link)
{
	struct can_link *link = calloc(1, sizeof(*link));

	if (!link) {
		(void)close(fd);
		return -ENOMEM;
	}
	link->fd = fd;
	for (int i = 0; i < CAN_LINK_BATCH; i++) {
		link->vectors[i] = (struct iovec){
			.iov_base = &link->slots[i].frame, .iov_len = sizeof(struct canfd_frame)};
		link->headers[i].msg_hdr = (struct msghdr){.msg_iov = &link->vectors[i],
			.msg_iovlen = 1,
			.msg_control = link->slots[i].control,
			.msg_controllen = CONTROL_SIZE};
	}
	*ret_link = link;
	return 0;
}

int can_link_open(struct scg_bus *bus, const struct can_filter *filters, size_t n_filters,
	struct can_link **ret_link)
{
	int fd = can_socket_open(bus, filters, n_filters);

	return fd < 0 ? fd : can_link_new(fd, ret_link);
}

void can_link_close(struct can_link *link)
{
	if (link) {
		(void)close(link->fd);
		free(link);
	}
}

int can_link_fd(const struct can_link *link)
{
	return link->fd;
}

/* What the kernel says about a frame. */
static void read_control(struct can_link *link, struct msghdr *header, struct can_received *frame)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET) {
			continue;
		}
		if (c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec time;

			memcpy(&time, CMSG_DATA(c), sizeof(time));
			frame->time_ns = time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
		} else if (c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t total;

			memcpy(&total, CMSG_DATA(c), sizeof(total));
			link->lost += total - link->lost_total; /* also when it begins anew at 0 */
			link->lost_total = total;
		}
	}
}

/* A datagram into a frame. False if it is none: linux/can.h, CAN_MTU and CANFD_MTU. */
static bool take(struct can_link *link, int i, struct can_received *ret)
{
	struct mmsghdr *m = &link->headers[i];
	struct canfd_frame *frame = &link->slots[i].frame;
	uint8_t max = m->msg_len == CAN_MTU     ? CAN_MAX_DLEN
		      : m->msg_len == CANFD_MTU ? CANFD_MAX_DLEN
						: 0;

	*ret = (struct can_received){
		.frame = frame, .is_own = m->msg_hdr.msg_flags & MSG_DONTROUTE};
	read_control(link, &m->msg_hdr, ret);
	m->msg_hdr.msg_controllen = CONTROL_SIZE; /* the kernel has made it shorter */
	if (frame->len > max) {
		frame->len = max;
	}
	return max > 0;
}

int can_link_receive(struct can_link *link, const struct can_received **ret_frames)
{
	int n = recvmmsg(link->fd, link->headers, CAN_LINK_BATCH, MSG_DONTWAIT, NULL), taken = 0;

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	for (int i = 0; i < n; i++) {
		taken += take(link, i, &link->received[taken]);
	}
	*ret_frames = link->received;
	return taken;
}

uint32_t can_link_take_lost(struct can_link *link)
{
	uint32_t lost = link->lost;

	link->lost = 0;
	return lost;
}
