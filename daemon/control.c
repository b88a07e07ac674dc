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

#define CLIENTS_MAX        (CONTROL_FDS_MAX - 1)
#define WORD_MAX           64
#define CLIENT_PATIENCE_NS (5 * NS_PER_S)
#define ANSWER_MAX         (16 * 1024 * 1024)

struct client {
	int fd; /* -1: free */
	char word[WORD_MAX];
	size_t word_size;
	char *answer;
	size_t answer_size, sent;
	int64_t deadline_ns;
};

struct control {
	int fd;
	char *path;
	control_answer answer;
	void *ctx;
	struct client clients[CLIENTS_MAX];
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
		chmod(path, 0660) < 0 || listen(fd, CLIENTS_MAX) < 0) {
		return -errno;
	}
	c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	fd = -1;
	c->path = xstrdup(path);
	c->answer = answer;
	c->ctx = ctx;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		c->clients[i].fd = -1;
	}
	*ret = c;
	return 0;
}

static void drop(struct client *client)
{
	closep(&client->fd);
	free(client->answer);
	*client = (struct client){.fd = -1};
}

void control_close(struct control *c)
{
	if (!c) {
		return;
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
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
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		fds[i + 1] = (struct pollfd){
			.fd = c->clients[i].fd, .events = c->clients[i].answer ? POLLOUT : POLLIN};
	}
	return CONTROL_FDS_MAX;
}

int control_timeout_ms(const struct control *c)
{
	int64_t deadline = INT64_MAX, left;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
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
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (c->clients[i].fd < 0) {
			c->clients[i] = (struct client){
				.fd = fd, .deadline_ns = now_monotonic_ns() + CLIENT_PATIENCE_NS};
			return;
		}
	}
	(void)close(fd); /* too many at once: it may try again */
}

static void receive(struct control *c, struct client *client)
{
	ssize_t n = recv(
		client->fd, client->word + client->word_size, WORD_MAX - 1 - client->word_size, 0);
	char *end;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			drop(client);
		}
		return;
	}
	client->word_size += (size_t)n;
	client->word[client->word_size] = '\0';
	end = strchr(client->word, '\n');
	if (!end) {
		if (client->word_size == WORD_MAX - 1) {
			drop(client);
		}
		return;
	}
	*end = '\0';
	client->answer = c->answer(c->ctx, client->word);
	if (!client->answer) {
		client->answer = xstrdup("{\"error\":\"unknown command\"}");
	}
	client->answer_size = strlen(client->answer);
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
	if (client->sent == client->answer_size) {
		drop(client);
	}
}

void control_process(struct control *c, const struct pollfd *fds, size_t n)
{
	int64_t now = now_monotonic_ns();

	for (size_t i = 1; i < n; i++) {
		struct client *client = &c->clients[i - 1];

		if (client->fd < 0) {
			continue;
		}
		if (fds[i].fd == client->fd && fds[i].revents) {
			if (client->answer) {
				transmit(client);
			} else {
				receive(c, client);
			}
		}
		if (client->fd >= 0 && now >= client->deadline_ns) {
			drop(client);
		}
	}
	if (fds[0].revents) {
		accept_client(c);
	}
}

int control_ask(const char *path, const char *word, int64_t timeout_ns, char **ret_answer)
{
	struct timeval limit = {
		.tv_sec = timeout_ns / NS_PER_S, .tv_usec = timeout_ns % NS_PER_S / NS_PER_US};
	_cleanup_(freep) char *answer = NULL;
	_cleanup_(freep) char *line = xasprintf("%s\n", word);
	_cleanup_(closep) int fd = connect_to(path);
	size_t size = 0, capacity = 0;
	ssize_t n;

	if (fd < 0) {
		return fd;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
		send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) {
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
