/* SPDX-License-Identifier: Apache-2.0 */
#include "dbc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dbc_result.h"

/* All of an open file, up to one byte more than is allowed. */
static int read_all(int fd, char **ret_bytes, size_t *ret_size)
{
	size_t size = 0, capacity = 0;
	char *bytes = NULL;

	for (;;) {
		ssize_t n;

		if (size == capacity) {
			char *grown = realloc(bytes, capacity ? 2 * capacity : 65536);

			if (!grown) {
				free(bytes);
				return -ENOMEM;
			}
			bytes = grown;
			capacity = capacity ? 2 * capacity : 65536;
		}
		n = read(fd, bytes + size, capacity - size);
		if (n < 0 && errno != EINTR) {
			int r = -errno;

			free(bytes);
			return r;
		}
		size += n > 0 ? (size_t)n : 0;
		if (n == 0 || size > DBC_MAX_FILE) {
			*ret_bytes = bytes;
			*ret_size = size;
			return 0;
		}
	}
}

int dbc_load(const char *file, dbc_problem *problem, void *ctx, struct dbc **ret_dbc)
{
	/* a pipe that nobody writes to must not hold us up */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char *bytes = NULL;
	size_t size = 0;
	int r;

	if (fd < 0) {
		return -errno;
	}
	if (fstat(fd, &st) < 0) {
		r = -errno;
	} else {
		r = S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	if (r == 0) {
		r = read_all(fd, &bytes, &size);
	}
	(void)close(fd); /* only read */
	if (r < 0) {
		return r;
	}
	r = dbc_parse(file, bytes, size, problem, ctx, ret_dbc);
	free(bytes);
	return r;
}

void dbc_free(struct dbc *dbc)
{
	if (!dbc) {
		return;
	}
	free(dbc->messages);
	free(dbc->signals);
	free(dbc->names);
	pool_free(&dbc->pool);
	free(dbc);
}

const struct dbc_message *dbc_messages(const struct dbc *dbc, uint32_t *ret_n)
{
	*ret_n = dbc->n_messages;
	return dbc->messages;
}

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct dbc_name *)element)->name);
}

const struct dbc_message *dbc_find_message(const struct dbc *dbc, const char *name)
{
	const struct dbc_name *found = bsearch(
		name, dbc->names, dbc->n_names, sizeof(*dbc->names), compare_name);

	while (found && found > dbc->names && strcmp(found[-1].name, name) == 0) {
		found--;
	}
	return found ? found->message : NULL;
}

const struct dbc_signal *dbc_find_signal(const struct dbc_message *message, const char *name)
{
	for (uint32_t i = 0; i < message->n_signals; i++) {
		const struct dbc_signal *s = &message->signals[i];

		if (strcmp(s->name, name) == 0 || strcmp(s->short_name, name) == 0) {
			return s;
		}
	}
	return NULL;
}

static int compare_value(const void *key, const void *element)
{
	int64_t raw = *(const int64_t *)key, other = ((const struct dbc_value *)element)->raw;

	return (raw > other) - (raw < other);
}

const char *dbc_value_text(const struct dbc_signal *signal, int64_t raw)
{
	const struct dbc_value *found;

	if (signal->n_values == 0) {
		return NULL;
	}
	found = bsearch(
		&raw, signal->values, signal->n_values, sizeof(*signal->values), compare_value);
	return found ? found->text : NULL;
}
