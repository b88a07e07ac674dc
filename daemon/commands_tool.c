/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bus.h"
#include "commands.h"
#include "control_tool.h"
#include "log.h"
#include "tool_job.h"
#include "util.h"

/* A driver call may take five seconds (sensocan-driver.h). */
#define END_PATIENCE_NS (6 * NS_PER_S)
/* What is shown of the progress: less than a line of any terminal. */
#define PROGRESS_WIDTH 79
/* Longer lines than those of tool_job.c are no answer of a daemon. */
#define LINE_SIZE_MAX ((size_t)64 * 1024)

/* What came so far of a tool's text, and what is to be printed at the end. */
struct output {
	const char *tool;
	int signal_fd;
	char *line; /* the beginning of one that has not ended yet */
	size_t size, capacity;
	char **stanza;
	size_t n_stanza, stanza_capacity;
	int progress_length; /* of what the terminal shows now */
	bool is_terminal;
	bool is_understood;
	int status; /* -1 until the end was seen */
};

static void output_clear(struct output *out)
{
	for (size_t i = 0; i < out->n_stanza; i++) {
		free(out->stanza[i]);
	}
	free(out->stanza);
	free(out->line);
	closep(&out->signal_fd);
}

/* Over the last one, which may have been longer. */
static void show_progress(struct output *out, const char *text)
{
	int length = (int)strnlen(text, PROGRESS_WIDTH);

	if (!out->is_terminal || (length == 0 && out->progress_length == 0)) {
		return;
	}
	while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) {
		length--; /* not in the middle of a character */
	}
	(void)fprintf(stderr, "\r%.*s%*s", length, text, MAX(out->progress_length - length, 0), "");
	(void)fputs(length > 0 ? "" : "\r", stderr);
	(void)fflush(stderr);
	out->progress_length = length;
}

static void take_line(struct output *out, const char *line)
{
	const char *text = line + 2;
	int64_t status;

	if (line[0] == '\0' || line[1] != ' ') {
		out->is_understood = false;
		return;
	}
	switch (line[0]) {
	case TOOL_RESULT:
		show_progress(out, "");
		(void)puts(text);
		break;
	case TOOL_STANZA:
		GROW(out->stanza, out->n_stanza, out->stanza_capacity);
		out->stanza[out->n_stanza++] = xstrdup(text);
		break;
	case TOOL_PROGRESS:
		(void)fflush(stdout);
		show_progress(out, text);
		break;
	case TOOL_MESSAGE:
		show_progress(out, "");
		(void)fprintf(stderr, "%s\n", text);
		break;
	case TOOL_END:
		out->status = parse_i64(text, &status) == 0 ? (int)status : EXIT_FAILED;
		break;
	default:
		out->is_understood = false;
		break;
	}
}

static void take_text(struct output *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		GROW(out->line, out->size, out->capacity);
		if (text[i] != '\n') {
			out->line[out->size++] = text[i];
			out->is_understood = out->is_understood && out->size < LINE_SIZE_MAX;
		} else {
			out->line[out->size] = '\0';
			out->size = 0;
			take_line(out, out->line);
		}
		if (!out->is_understood) {
			return;
		}
	}
	(void)fflush(stdout);
}

static int print_end(struct output *out)
{
	show_progress(out, "");
	if (out->n_stanza > 0) {
		(void)printf("\n# to begin with: choose, give each a slug of the platform, and put "
			     "them under a device\nsensors:\n");
	}
	for (size_t i = 0; i < out->n_stanza; i++) {
		(void)printf("  %s\n", out->stanza[i]);
	}
	(void)fflush(stdout);
	return out->status >= 0 ? out->status : EXIT_FAILED;
}

/* Until there is something to read: 0; -EINTR when a person has had enough. */
static int wait_for(const struct output *out, int fd)
{
	struct pollfd fds[] = {
		{.fd = fd, .events = POLLIN},
		{.fd = out->signal_fd, .events = POLLIN},
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		/* EINTR: a signal that is none of ours */
	}
	return fds[1].revents ? -EINTR : 0;
}

/* --- through the daemon --- */

static int follow_daemon(struct output *out, int fd)
{
	char buf[4096];
	ssize_t n = 1;

	(void)fprintf(
		stderr, "%s: through the running daemon, with its configuration\n", out->tool);
	while (out->status < 0 && out->is_understood && n > 0) {
		if (wait_for(out, fd) < 0) {
			show_progress(out, "");
			(void)fprintf(stderr, "%s: interrupted\n", out->tool);
			return print_end(out); /* the daemon sees that nobody listens any more */
		}
		n = read(fd, buf, sizeof(buf));
		take_text(out, buf, n > 0 ? (size_t)n : 0);
	}
	if (!out->is_understood) {
		(void)fprintf(stderr,
			"%s: the answer is not understood: is the daemon of another "
			"version?\n",
			out->tool);
	} else if (out->status < 0) {
		show_progress(out, "");
		(void)fprintf(stderr, "%s: the daemon ended before it was done\n", out->tool);
	}
	return print_end(out);
}

/* --- without a daemon --- */

static void ignore_readings(void *ctx, const struct reading *readings, size_t n, bool round_end)
{
	(void)ctx;
	(void)readings;
	(void)n;
	(void)round_end;
}

static void take_from_job(struct output *out, struct tool_job *job)
{
	bool is_end;
	_cleanup_(freep) char *text = tool_job_take(job, &is_end);

	if (text) {
		take_text(out, text, strlen(text));
	}
}

static int follow_job(struct output *out, struct bus *b, struct tool_job *job)
{
	int r = bus_start(b);

	if (r < 0) {
		(void)fprintf(stderr, "%s: %s\n", out->tool, strerrordesc_np(-r));
		return EXIT_FAILED;
	}
	r = bus_start_tool(b, job);
	if (r < 0) {
		struct bus_status status;

		bus_get_status(b, &status);
		(void)fprintf(stderr, "%s: bus %s: %s\n", out->tool, bus_get_config(b)->name,
			status.error);
	}
	while (r == 0 && out->status < 0) {
		r = wait_for(out, tool_job_fd(job));
		if (r == 0) {
			take_from_job(out, job);
		}
	}
	tool_job_cancel(job);
	bus_request_stop(b);
	r = bus_join(b, now_monotonic_ns() + END_PATIENCE_NS);
	if (out->status < 0) {
		take_from_job(out, job); /* why it ended */
	}
	if (r < 0) {
		(void)fprintf(stderr, "%s: the driver does not come back\n", out->tool);
	}
	return r;
}

static int run_here(struct output *out, struct config *config, const struct bus_config *bus,
	struct tool_job *job)
{
	struct bus_output ignore = {.readings = ignore_readings};
	struct clock_state *clock = clock_new(CLOCK_TRUST_ALWAYS, 0);
	struct bus *b = bus_new(config, bus, clock, &ignore);
	int status, r;

	bus_set_tools_only(b);
	if (log_max_level() == LOG_LEVEL_INFO) {
		log_set_max_level(LOG_LEVEL_ERROR); /* what the bus has to say, the job says */
	}
	r = follow_job(out, b, job);
	status = print_end(out);
	if (r < 0) {
		return EXIT_FAILED; /* its thread is still at work: no clean-up under its feet */
	}
	bus_free(b);
	clock_free(clock);
	return status;
}

static int start_here(struct output *out, const struct command_options *options)
{
	_cleanup_(config_unrefp) struct config *config = command_load_overloaded(
		options->config_file, false);
	_cleanup_(tool_job_unrefp) struct tool_job *job = NULL;
	_cleanup_(problems_clear) struct problems problems = {0};
	const struct bus_config *bus;

	if (!config) {
		return EXIT_BAD_CONFIG;
	}
	bus = command_find_bus(config, options->bus);
	if (!bus) {
		return EXIT_BAD_USAGE;
	}
	job = tool_job_new(bus->driver, out->tool, options->words, options->n_words, &problems);
	for (size_t i = 0; i < problems.n; i++) {
		(void)fprintf(stderr, "%s\n", problems.list[i].text);
	}
	if (!job) {
		return problems.n > 0 ? EXIT_BAD_USAGE : EXIT_FAILED;
	}
	return run_here(out, config, bus, job);
}

/* --- both --- */

static int print_help(const char *tool, const struct command_options *options)
{
	_cleanup_(config_unrefp) struct config *config = command_load_overloaded(
		options->config_file, false);
	const struct bus_config *bus;
	const struct scg_tool *found;

	if (!config) {
		return EXIT_BAD_CONFIG;
	}
	bus = command_find_bus(config, options->bus);
	if (!bus) {
		return EXIT_BAD_USAGE;
	}
	found = tool_find(bus->driver, tool);
	if (!found) {
		(void)fprintf(stderr, "%s: the driver %s has none\n", tool, bus->driver->name);
		return EXIT_FAILED;
	}
	(void)printf("Usage: sensocan-gateway %s %s [--OPTION VALUE]...\n\n"
		     "Options of the driver %s:\n",
		tool, bus->name, bus->driver->name);
	if (found->n_options == 0) {
		(void)puts("  none");
	}
	options_print(stdout, found->options, found->n_options);
	return EXIT_DONE;
}

/* Threads that are started later inherit the mask. */
static int catch_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP); /* none of these can fail */
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
		return -EINVAL;
	}
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run_tool(const char *tool, const struct command_options *options)
{
	_cleanup_(freep) char *line = NULL;
	_cleanup_(freep) char *path = control_path(options->control_path);
	_cleanup_(output_clear) struct output out = {
		.tool = tool,
		.signal_fd = -1,
		.is_terminal = isatty(STDERR_FILENO) == 1,
		.is_understood = true,
		.status = -1,
	};
	_cleanup_(closep) int fd = -1;

	line = control_tool_line(tool, options->bus, options->words, options->n_words);
	if (!line) {
		(void)fprintf(stderr, "%s: a tab or a line break is in its arguments\n", tool);
		return EXIT_BAD_USAGE;
	}
	out.signal_fd = catch_signals();
	fd = control_call(path, line);
	if (fd >= 0) {
		return follow_daemon(&out, fd);
	}
	/* nobody listens: the bus is ours. Anything else may hide a daemon that is at work on it */
	if (fd == -ENOENT || fd == -ECONNREFUSED) {
		return start_here(&out, options);
	}
	(void)fprintf(stderr, "%s: %s: %s%s\n", tool, path, strerrordesc_np(-fd),
		fd == -EACCES || fd == -EPERM ? "; try again as root" : "");
	return EXIT_FAILED;
}

static int command_tool(const char *tool, const struct command_options *options)
{
	if (!options->bus) {
		(void)fprintf(stderr,
			"%s: which bus?\nTry: sensocan-gateway --help, sensocan-gateway plan\n",
			tool);
		return EXIT_BAD_USAGE;
	}
	return options->help ? print_help(tool, options) : run_tool(tool, options);
}

int command_scan(const struct command_options *options)
{
	return command_tool("scan", options);
}

int command_probe(const struct command_options *options)
{
	return command_tool("probe", options);
}
