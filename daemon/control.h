/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_CONTROL_H
#define SCG_CONTROL_H

/*
 * The control socket: a local stream socket on which a client sends one word on a line and gets one
 * JSON object back. Nothing a client does, or fails to do, can hold up the daemon: no call waits,
 * the number of clients and the time each may take are limited.
 */

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

struct control;

/* Answers a word; NULL: unknown. The text is freed by the caller. */
typedef char *(*control_answer)(void *ctx, const char *word);

#define CONTROL_FDS_MAX 9

/* The path to use: `chosen` if not NULL, else control.sock in $RUNTIME_DIRECTORY, else the default.
   To be freed by the caller. */
char *control_path(const char *chosen);

/* Server side, main thread. Makes the socket, replacing a stale one. 0 or a negative errno;
   -EADDRINUSE: another daemon answers there. */
int control_open(const char *path, control_answer answer, void *ctx, struct control **ret);
/* Removes the socket. */
void control_close(struct control *c);
/* Fills fds[0..n) for poll(); returns n. */
size_t control_poll_fds(struct control *c, struct pollfd fds[CONTROL_FDS_MAX]);
/* Milliseconds until control_process() is due without an event; -1 never. */
int control_timeout_ms(const struct control *c);
/* After poll(), with the same array. */
void control_process(struct control *c, const struct pollfd *fds, size_t n);

/* Client side: sends the word, waits for the answer up to `timeout_ns`. 0 or a negative errno. */
int control_ask(const char *path, const char *word, int64_t timeout_ns, char **ret_answer);

#endif
