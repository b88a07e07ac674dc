/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and over all files of folders, without libFuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

static unsigned n_runs;

static int run_file(const char *path)
{
	FILE *in = fopen(path, "rb");
	_cleanup_(freep) uint8_t *data = NULL;
	struct stat st;
	size_t size;

	if (!in || fstat(fileno(in), &st) < 0) {
		return -errno;
	}
	/* no byte more than it has, so that a sanitizer sees a read beyond the end */
	data = xmalloc((size_t)st.st_size);
	size = fread(data, 1, (size_t)st.st_size, in);
	(void)fclose(in); /* only read */
	(void)LLVMFuzzerTestOneInput(data, size);
	n_runs++;
	return 0;
}

static int run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		return -errno;
	}
	while (r == 0 && (entry = readdir(dir))) {
		_cleanup_(freep) char *file = xasprintf("%s/%s", path, entry->d_name);
		struct stat st;

		if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
			r = run_file(file);
		}
	}
	(void)closedir(dir); /* only read */
	return r;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
		int r = folder ? run_folder(argv[i]) : run_file(argv[i]);

		if (r < 0) {
			(void)fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	(void)printf("%u inputs\n", n_runs);
	return n_runs > 0 ? 0 : 1;
}
