/* SPDX-License-Identifier: Apache-2.0 */
#include "control_tool.h"

#include <errno.h>
#include <string.h>

#include "bus.h"
#include "gateway.h"
#include "tool_job.h"

static char *take(void *ctx, bool *ret_end)
{
	return tool_job_take(ctx, ret_end);
}

static void close_job(void *ctx)
{
	tool_job_cancel(ctx);
	tool_job_unref(ctx);
}

/* A whole answer: why it does not even begin. */
static char *refuse(int status, const char *tool, const char *text)
{
	_cleanup_(freep) char *clean = xstrdup(text);

	text_clean(clean);
	return xasprintf("%c %s: %s\n%c %d\n", TOOL_MESSAGE, tool, clean, TOOL_END, status);
}

static struct bus *find_bus(struct gateway *g, const char *name)
{
	for (uint32_t i = 0; i < gateway_n_buses(g); i++) {
		if (strcmp(bus_get_config(gateway_bus(g, i))->name, name) == 0) {
			return gateway_bus(g, i);
		}
	}
	return NULL;
}

static char *refuse_bus(struct gateway *g, const char *tool, const char *name)
{
	uint32_t n = gateway_n_buses(g);
	_cleanup_(freep) const char **names = xcalloc(n, sizeof(*names));
	_cleanup_(freep) char *list = NULL;
	_cleanup_(freep) char *text = NULL;
	char shown[TEXT_SHOW_MAX];

	for (uint32_t i = 0; i < n; i++) {
		names[i] = bus_get_config(gateway_bus(g, i))->name;
	}
	list = options_join(names, n, ", ");
	text = xasprintf("the daemon's configuration has no bus %s; there are: %s",
		text_show(shown, name), list);
	return refuse(BUS_TOOL_BAD_USAGE, tool, text);
}

static char *refuse_options(const struct problems *problems)
{
	_cleanup_(freep) const char **texts = xcalloc(problems->n, sizeof(*texts));
	_cleanup_(freep) char *list = NULL;

	for (size_t i = 0; i < problems->n; i++) {
		texts[i] = problems->list[i].text;
	}
	list = options_join(texts, problems->n, "\nm "); /* m: TOOL_MESSAGE */
	return xasprintf("%c %s\n%c %d\n", TOOL_MESSAGE, list, TOOL_END, BUS_TOOL_BAD_USAGE);
}

static char *refuse_start(struct bus *b, const char *tool, int error)
{
	_cleanup_(freep) char *text = NULL;
	struct bus_status status;

	bus_get_status(b, &status);
	if (error == -EBUSY) {
		text = xasprintf(
			"bus %s: another scan or probe is at work on it; try again when it "
			"has ended",
			bus_get_config(b)->name);
	} else {
		text = xasprintf("bus %s is %s%s%s", bus_get_config(b)->name,
			bus_state_name(status.state), status.error[0] ? ": " : "", status.error);
	}
	return refuse(BUS_TOOL_FAILED, tool, text);
}

static char *start(struct bus *b, const char *tool, const struct option_word *words, size_t n_words,
	struct control_stream *ret_stream)
{
	_cleanup_(problems_clear) struct problems problems;
	struct tool_job *job;
	int r;

	problems_init(&problems, "");
	job = tool_job_new(bus_get_config(b)->driver, tool, words, n_words, &problems);
	if (!job) {
		return problems.n > 0 ? refuse_options(&problems)
				      : refuse(BUS_TOOL_FAILED, tool, "too many open files");
	}
	r = bus_start_tool(b, job);
	if (r < 0) {
		tool_job_unref(job);
		return refuse_start(b, tool, r);
	}
	*ret_stream = (struct control_stream){
		.fd = tool_job_fd(job), .take = take, .close = close_job, .ctx = job};
	return NULL;
}

char *control_tool_start(struct gateway *g, const char *line, struct control_stream *ret_stream)
{
	_cleanup_(freep) char *copy = xstrdup(line);
	_cleanup_(freep) struct option_word *words = NULL;
	size_t n_words = 0, capacity = 0;
	char *rest = copy, *item;
	const char *tool = strsep(&rest, "\t");
	const char *name = strsep(&rest, "\t");
	struct bus *b;

	if (!name || (strcmp(tool, "scan") != 0 && strcmp(tool, "probe") != 0)) {
		return NULL;
	}
	b = find_bus(g, name);
	if (!b) {
		return refuse_bus(g, tool, name);
	}
	while ((item = strsep(&rest, "\t"))) {
		GROW(words, n_words, capacity);
		words[n_words].name = strsep(&item, "=");
		words[n_words++].value = item;
	}
	return start(b, tool, words, n_words, ret_stream);
}

char *control_tool_line(
	const char *tool, const char *bus, const struct option_word *words, size_t n_words)
{
	char *line = xasprintf("%s\t%s", tool, bus);
	bool is_clean = !strpbrk(bus, "\t\n");

	for (size_t i = 0; i < n_words; i++) {
		_cleanup_(freep) char *before = line;
		const char *value = words[i].value;

		is_clean = is_clean && !strpbrk(words[i].name, "\t\n") &&
			   (!value || !strpbrk(value, "\t\n"));
		line = xasprintf(
			"%s\t%s%s%s", before, words[i].name, value ? "=" : "", value ? value : "");
	}
	if (!is_clean) {
		free(steal_ptr(line));
	}
	return line;
}
