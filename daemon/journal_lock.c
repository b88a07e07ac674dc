/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "util.h"

int journal_lock(const char *path, int *ret_fd)
{
	_cleanup_(freep) char *name = xasprintf("%s.lock", path);
	_cleanup_(closep) int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	*ret_fd = -1;
	if (fd < 0) {
		return 0;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK ? -EWOULDBLOCK : 0;
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}
