/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "build_config.h"
#include "util.h"

#define CLIENT_PATIENCE_NS (5 * NS_PER_S)
#define ANSWER_MAX         (16 * 1024 * 1024)

struct client {
	int fd; /* -1: free */
	char line[CONTROL_LINE_MAX];
	size_t line_size;
	char *answer; /* what is being sent; NULL: nothing now */
	size_t answer_size, sent;
	struct control_stream stream; /* what comes after it; without take(): nothing */
	int64_t deadline_ns;          /* INT64_MAX: it has nothing to do */
};

struct control {
	int fd;
	char *path;
	control_answer answer;
	void *ctx;
	struct client clients[CONTROL_CLIENTS_MAX];
};

char *control_path(const char *chosen)
{
	const char *directory = getenv("RUNTIME_DIRECTORY");

	if (chosen) {
		return xstrdup(chosen);
	}
	/* systemd separates several by colons (systemd.exec(5)); the first is ours */
	if (directory && *directory) {
		return xasprintf("%.*s/control.sock", (int)strcspn(directory, ":"), directory);
	}
	return xstrdup(DEFAULT_CONTROL_SOCKET);
}

static int make_address(const char *path, struct sockaddr_un *ret)
{
	if (strlen(path) >= sizeof(ret->sun_path)) {
		return -ENAMETOOLONG;
	}
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

static int connect_to(const char *path)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int r = make_address(path, &address);

	if (r < 0) {
		return r;
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	r = fd;
	fd = -1;
	return r;
}

/* A socket that nobody listens on is what a daemon left that was killed. */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if (!S_ISSOCK(st.st_mode)) {
		return -EEXIST;
	}
	fd = connect_to(path);
	if (fd >= 0) {
		(void)close(fd); /* nothing was written */
		return -EADDRINUSE;
	}
	return unlink(path) < 0 ? -errno : 0;
}

static void make_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *parent = NULL;

	if (slash && slash != path) {
		parent = xstrndup(path, (size_t)(slash - path));
		/* under systemd it exists; started by hand this may help, and bind() says if not */
		(void)mkdir(parent, 0755);
	}
}

int control_open(const char *path, control_answer answer, void *ctx, struct control **ret)
{
	_cleanup_(closep) int fd = -1;
	struct sockaddr_un address;
	struct control *c;
	int r;

	r = make_address(path, &address);
	if (r < 0) {
		return r;
	}
	make_parent(path);
	r = remove_stale(path);
	if (r < 0) {
		return r;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, 0660) < 0 || listen(fd, CONTROL_CLIENTS_MAX) < 0) {
		return -errno;
	}
	c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	fd = -1;
	c->path = xstrdup(path);
	c->answer = answer;
	c->ctx = ctx;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		c->clients[i].fd = c->clients[i].stream.fd = -1;
	}
	*ret = c;
	return 0;
}

static void drop(struct client *client)
{
	if (client->stream.take) {
		client->stream.close(client->stream.ctx);
	}
	closep(&client->fd);
	free(client->answer);
	*client = (struct client){.fd = -1, .stream = {.fd = -1}};
}

void control_close(struct control *c)
{
	if (!c) {
		return;
	}
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		drop(&c->clients[i]);
	}
	closep(&c->fd);
	(void)unlink(c->path); /* a leftover is found stale at the next start */
	free(c->path);
	free(c);
}

size_t control_poll_fds(struct control *c, struct pollfd fds[CONTROL_FDS_MAX])
{
	fds[0] = (struct pollfd){.fd = c->fd, .events = POLLIN};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct client *client = &c->clients[i];
		/* of one that waits for a stream only its leaving is of interest */
		short events = client->answer ? POLLOUT : POLLIN;

		fds[1 + 2 * i] = (struct pollfd){.fd = client->fd, .events = events};
		/* what was taken goes first: a slow client holds up nobody but itself */
		fds[2 + 2 * i] = (struct pollfd){
			.fd = client->answer ? -1 : client->stream.fd, .events = POLLIN};
	}
	return CONTROL_FDS_MAX;
}

int control_timeout_ms(const struct control *c)
{
	int64_t deadline = INT64_MAX, left;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (c->clients[i].fd >= 0) {
			deadline = MIN(deadline, c->clients[i].deadline_ns);
		}
	}
	if (deadline == INT64_MAX) {
		return -1;
	}
	left = deadline - now_monotonic_ns();
	return left > 0 ? (int)(left / NS_PER_MS) + 1 : 0;
}

static void accept_client(struct control *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		return; /* it went away again */
	}
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &c->clients[i];

		if (client->fd < 0) {
			client->fd = fd;
			client->deadline_ns = now_monotonic_ns() + CLIENT_PATIENCE_NS;
			return;
		}
	}
	(void)close(fd); /* too many at once: it may try again */
}

/* Begins to send a text, which becomes the client's. */
static void give(struct client *client, char *text)
{
	client->answer = text;
	client->answer_size = strlen(text);
	client->sent = 0;
	client->deadline_ns = now_monotonic_ns() + CLIENT_PATIENCE_NS;
}

static void answer(struct control *c, struct client *client)
{
	struct control_stream stream = {.fd = -1};
	char *text = c->answer(c->ctx, client->line, &stream);

	client->stream = stream;
	if (text) {
		give(client, text);
	} else if (stream.take) {
		client->deadline_ns = INT64_MAX;
	} else {
		give(client, xstrdup("{\"error\":\"unknown command\"}"));
	}
}

static void receive(struct control *c, struct client *client)
{
	ssize_t n = recv(client->fd, client->line + client->line_size,
		CONTROL_LINE_MAX - 1 - client->line_size, 0);
	char *end;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			drop(client);
		}
		return;
	}
	if (client->stream.take) {
		drop(client); /* it has said its line: whatever this is, it is no client of ours */
		return;
	}
	client->line_size += (size_t)n;
	client->line[client->line_size] = '\0';
	end = strchr(client->line, '\n');
	if (end) {
		*end = '\0';
		client->line_size = 0; /* room to see that it leaves */
		answer(c, client);
	} else if (client->line_size == CONTROL_LINE_MAX - 1) {
		drop(client);
	}
}

/* The next piece, if there is one. */
static void refill(struct client *client)
{
	bool is_end = false;
	char *text = client->stream.take(client->stream.ctx, &is_end);

	if (is_end) {
		client->stream.close(client->stream.ctx);
		client->stream = (struct control_stream){.fd = -1};
	}
	if (text) {
		give(client, text);
	} else if (is_end) {
		drop(client);
	}
}

static void transmit(struct client *client)
{
	ssize_t n = send(client->fd, client->answer + client->sent,
		client->answer_size - client->sent, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			drop(client);
		}
		return;
	}
	client->sent += (size_t)n;
	if (client->sent < client->answer_size) {
		client->deadline_ns = client->stream.take ? now_monotonic_ns() + CLIENT_PATIENCE_NS
							  : client->deadline_ns;
	} else if (client->stream.take) {
		free(steal_ptr(client->answer));
		client->deadline_ns = INT64_MAX;
	} else {
		drop(client);
	}
}

static void serve(struct control *c, struct client *client, const struct pollfd fds[2])
{
	if (fds[0].fd == client->fd && fds[0].revents) {
		if (client->answer) {
			transmit(client);
		} else {
			receive(c, client);
		}
	}
	if (client->fd >= 0 && !client->answer && client->stream.take && fds[1].revents) {
		refill(client);
	}
}

void control_process(struct control *c, const struct pollfd *fds, size_t n)
{
	for (size_t i = 0; 2 * i + 2 < n; i++) {
		struct client *client = &c->clients[i];

		if (client->fd >= 0) {
			serve(c, client, &fds[1 + 2 * i]);
		}
		if (client->fd >= 0 && now_monotonic_ns() >= client->deadline_ns) {
			drop(client);
		}
	}
	if (fds[0].revents) {
		accept_client(c);
	}
}

int control_call(const char *path, const char *line)
{
	_cleanup_(freep) char *text = xasprintf("%s\n", line);
	_cleanup_(closep) int fd = -1;
	int r;

	if (strlen(text) >= CONTROL_LINE_MAX) {
		return -EMSGSIZE;
	}
	fd = connect_to(path);
	if (fd < 0) {
		return fd;
	}
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text)) {
		return -errno;
	}
	r = fd;
	fd = -1;
	return r;
}

int control_ask(const char *path, const char *line, int64_t timeout_ns, char **ret_answer)
{
	struct timeval limit = {
		.tv_sec = timeout_ns / NS_PER_S, .tv_usec = timeout_ns % NS_PER_S / NS_PER_US};
	_cleanup_(freep) char *answer = NULL;
	_cleanup_(closep) int fd = control_call(path, line);
	size_t size = 0, capacity = 0;
	ssize_t n;

	if (fd < 0) {
		return fd;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0) {
		return -errno;
	}
	do {
		if (size + 4096 > capacity) {
			capacity = 2 * capacity + 8192;
			answer = xreallocarray(answer, capacity, 1);
		}
		n = recv(fd, answer + size, capacity - size - 1, 0);
		if (n < 0) {
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		}
		size += (size_t)n;
	} while (n > 0 && size < ANSWER_MAX);
	if (size == 0) {
		return -ECONNRESET;
	}
	answer[size] = '\0';
	*ret_answer = steal_ptr(answer);
	return 0;
}
