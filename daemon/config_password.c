/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* MQTT counts it in 16 bits (MQTT 3.1.1, 3.1.3.5). */
#define PASSWORD_MAX 65535

/* Reads up to `size` bytes of a regular file. The number read, or a negative errno. */
static ssize_t read_secret(const char *path, char *buf, size_t size, mode_t *ret_mode)
{
	/* O_NONBLOCK: a FIFO must not hold up the start; it is refused below */
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	*ret_mode = st.st_mode;
	return read_fully(fd, buf, size);
}

/* The content of a file without its last line break. */
static const char *load_file(struct loader *l, const char *where, const char *key,
	const struct yaml_node *node, const char *path)
{
	/* one byte more than is allowed, and a line break of two */
	size_t room = PASSWORD_MAX + 3;
	_cleanup_(freep) char *text = xmalloc(room);
	const char *password = NULL;
	mode_t mode = 0;
	ssize_t n = read_secret(path, text, room, &mode);

	if (n < 0) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"%s cannot be read: %s", path,
			n == -EINVAL ? "Not a regular file" : strerror((int)-n));
		return NULL;
	}
	if (mode & S_IROTH) {
		problems_complain(l->problems, true, place_of(node), where, key,
			"%s can be read by everyone, expected mode 0640 or 0600", path);
	}
	if (n > 0 && text[n - 1] == '\n') {
		n--;
		n -= n > 0 && text[n - 1] == '\r';
	}
	if (n > PASSWORD_MAX) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"%s is too long, expected at most %d bytes", path, PASSWORD_MAX);
	} else if (memchr(text, '\0', (size_t)n)) {
		problems_complain(l->problems, false, place_of(node), where, key,
			"%s has a NUL character in it, expected text", path);
	} else {
		password = arena_strndup(l->arena, text, (size_t)n);
	}
	explicit_bzero(text, room);
	return password;
}

/* A credential that systemd passes (systemd.exec(5), LoadCredential=). */
static const char *load_credential(
	struct loader *l, const char *where, const struct yaml_node *node, const char *name)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_(freep) char *path = NULL;
	char shown[TEXT_SHOW_MAX];

	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/')) {
		problems_complain(l->problems, false, place_of(node), where, "password_credential",
			"%s is no name of a credential, expected one without / and not beginning with .",
			text_show(shown, name));
		return NULL;
	}
	if (!directory) {
		problems_complain(l->problems, false, place_of(node), where, "password_credential",
			"systemd passed no credentials, expected LoadCredential=%s:FILE in the unit",
			name);
		return NULL;
	}
	path = xasprintf("%s/%s", directory, name);
	return load_file(l, where, "password_credential", node, path);
}

static bool is_text(const struct yaml_node *node)
{
	return node && node->kind == YAML_KIND_SCALAR && !node->is_null;
}

const char *config_load_password(
	struct loader *l, const char *where, const struct password_source *source)
{
	int n = (source->plain != NULL) + (source->file != NULL) + (source->credential != NULL);

	if (n > 1) {
		const struct yaml_node *node = source->credential ? source->credential
								  : source->file;

		problems_complain(l->problems, false, place_of(node), where,
			source->credential ? "password_credential" : "password_file",
			"one password too many, expected only one of password, password_file and "
			"password_credential");
		return NULL;
	}
	/* what is no text has been noted */
	if (is_text(source->plain)) {
		return arena_strdup(l->arena, source->plain->text);
	}
	if (is_text(source->file)) {
		return load_file(l, where, "password_file", source->file,
			config_take_path(l, source->file->text));
	}
	if (is_text(source->credential)) {
		return load_credential(l, where, source->credential, source->credential->text);
	}
	return NULL;
}
