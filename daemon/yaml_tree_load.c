/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"

/* Up to `room` bytes of a file. The number read, or a negative errno. */
static ssize_t read_file(const char *file, char *buf, size_t room)
{
	_cleanup_(closep) int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return -errno;
	}
	return read_fully(fd, buf, room);
}

struct yaml_tree *yaml_tree_load(const char *file, struct problems *problems)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new();
	/* one byte more than is allowed; pages that the file does not fill are never touched */
	char *text = arena_alloc(arena, YAML_FILE_MAX + 1);
	ssize_t size = read_file(file, text, YAML_FILE_MAX + 1);

	if (size < 0) {
		problems_error(problems, NULL, "cannot be read: %s", strerror((int)-size));
		return NULL;
	}
	return yaml_tree_parse(text, (size_t)size, problems);
}
