/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCG_CONTROL_H
#define SCG_CONTROL_H

/*
 * The control socket: a local stream socket on which a client sends one line and gets an answer,
 * after which the daemon closes. `status` gets one JSON object at once; the answer to a scan or a
 * probe comes in pieces as things are found, until the client has it all or goes away. Nothing a
 * client does, or fails to do, can hold up the daemon: no call waits, the number of clients, the
 * length of a line and the time in which a piece must be taken are limited.
 */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control;

/* An answer in pieces. */
struct control_stream {
	int fd; /* readable when there is something to take */
	/* A piece, to be freed by the caller, or NULL; *ret_end: there are no more. */
	char *(*take)(void *ctx, bool *ret_end);
	/* It has been sent, or the client is gone. */
	void (*close)(void *ctx);
	void *ctx;
};

/* Answers a line: the text, to be freed by the caller, or NULL after filling in *ret_stream, or
   NULL and nothing: unknown. */
typedef char *(*control_answer)(void *ctx, const char *line, struct control_stream *ret_stream);

#define CONTROL_CLIENTS_MAX 8
/* The socket itself, and for each client its connection and its stream. */
#define CONTROL_FDS_MAX (1 + 2 * CONTROL_CLIENTS_MAX)
/* The longest line, its end included. */
#define CONTROL_LINE_MAX 4096

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

/* Client side: sends the line (without its end), waits for the whole answer up to `timeout_ns`.
   0 or a negative errno. */
int control_ask(const char *path, const char *line, int64_t timeout_ns, char **ret_answer);
/* Sends the line. A descriptor from which the answer can be read to its end, or a negative errno.
 */
int control_call(const char *path, const char *line);

#endif
