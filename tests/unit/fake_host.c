/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_host.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

_Noreturn static void _printf_(1, 2) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	exit(99);
}

/* As many as the daemon allows. */
#define IDLE_POLLS_MAX 100u

static void _printf_(2, 3) violate(struct fake_bus *f, const char *format, ...)
{
	va_list args;

	if (f->violation[0]) {
		return;
	}
	va_start(args, format);
	(void)vsnprintf(f->violation, sizeof(f->violation), format, args);
	va_end(args);
}

static struct fake_bus *fake_of(const struct scg_bus *bus)
{
	return container_of(bus, struct fake_bus, bus);
}

static bool is_callback(const struct fake_bus *f, const char *name)
{
	return f->callback && strcmp(f->callback, name) == 0;
}

static int sensor_index(const struct fake_bus *f, const struct scg_sensor *sensor)
{
	for (uint32_t i = 0; i < f->bus.n_sensors; i++) {
		if (f->sensors[i] == sensor) {
			return (int)i;
		}
	}
	return -1;
}

static struct fake_result *add_result(
	struct fake_bus *f, struct scg_sensor *sensor, const char *function)
{
	int i = sensor_index(f, sensor);
	struct fake_result *result;

	if (!is_callback(f, "poll") && !is_callback(f, "dispatch")) {
		violate(f, "%s() outside poll() and dispatch()", function);
	}
	if (i < 0) {
		violate(f, "%s() for a sensor that is not on the bus", function);
		return NULL;
	}
	f->is_due[i] = false;
	GROW(f->results, f->n_results, f->results_capacity);
	result = &f->results[f->n_results++];
	*result = (struct fake_result){.sensor = sensor};
	return result;
}

static void host_report(struct scg_bus *bus, struct scg_sensor *sensor, int64_t time_ns,
	double value, uint32_t quality)
{
	struct fake_bus *f = fake_of(bus);
	struct fake_result *result = add_result(f, sensor, "report");

	if (time_ns != 0 && llabs(time_ns - now_realtime_ns()) > NS_PER_H) {
		violate(f, "report() with a time that is not near");
	}
	if (quality != SCG_GOOD && quality != SCG_UNCERTAIN) {
		violate(f, "report() with quality %u", quality);
	}
	if (result) {
		result->is_good = true;
		result->time_ns = time_ns;
		result->value = value;
		result->quality = quality;
	}
}

static void host_fail(struct scg_bus *bus, struct scg_sensor *sensor, const char *reason)
{
	struct fake_bus *f = fake_of(bus);
	struct fake_result *result = add_result(f, sensor, "fail");

	if (!reason || !*reason || !is_utf8(reason, strlen(reason))) {
		violate(f, "fail() without a reason in words");
	} else if (result) {
		(void)snprintf(result->reason, sizeof(result->reason), "%s", reason);
	}
}

static void _printf_(4, 5) host_complain(const struct scg_bus *bus, const struct scg_sensor *sensor,
	const char *option, const char *format, ...)
{
	struct fake_bus *f = fake_of(bus);
	_cleanup_(freep) char *text = NULL;
	va_list args;

	if (!is_callback(f, "check") && !(is_callback(f, "step") && f->step == 0)) {
		violate(f, "complain() outside check() and step 0");
	}
	if (sensor && !is_callback(f, "check")) {
		violate(f, "complain() of a tool about a sensor");
	}
	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	GROW(f->complaints, f->n_complaints, f->complaints_capacity);
	f->complaints[f->n_complaints++] = xasprintf("%s: %s%s%s", sensor ? sensor->name : "bus",
		option ? option : "", option ? ": " : "", text);
}

static void _printf_(3, 4)
	host_log(const struct scg_bus *bus, uint32_t level, const char *format, ...)
{
	struct fake_bus *f = fake_of(bus);

	if (!f->callback) {
		violate(f, "log() outside a callback");
	}
	if (level < SCG_LOG_WARNING || level > SCG_LOG_DEBUG) {
		violate(f, "log() with level %u", level);
	}
}

static int32_t host_stopping(const struct scg_bus *bus)
{
	struct fake_bus *f = fake_of(bus);

	f->n_stopping_calls++;
	return f->stop && *f->stop;
}

/* Words that end up in a line for people. */
static bool is_line(const char *text)
{
	if (!text || !*text || !is_utf8(text, strlen(text))) {
		return false;
	}
	for (; *text; text++) {
		if ((unsigned char)*text < ' ') {
			return false;
		}
	}
	return true;
}

static void host_plan_link(const struct scg_bus *bus, const char *link, const char *advice)
{
	struct fake_bus *f = fake_of(bus);

	if (!is_callback(f, "plan")) {
		violate(f, "plan_link() outside plan()");
	}
	if (f->link || f->advice) {
		violate(f, "plan_link() twice");
		return;
	}
	if (!is_line(link) || !is_line(advice)) {
		violate(f, "plan_link() without link or advice in words");
		return;
	}
	f->link = xstrdup(link);
	f->advice = xstrdup(advice);
}

static void host_plan_request(const struct scg_bus *bus, const char *what, uint32_t n_sensors,
	int64_t interval_ns, int64_t least_ns, int64_t likely_ns)
{
	struct fake_bus *f = fake_of(bus);

	if (!is_callback(f, "plan")) {
		violate(f, "plan_request() outside plan()");
	}
	if (!is_line(what)) {
		violate(f, "plan_request() without saying which in words");
		return;
	}
	if (n_sensors == 0 || n_sensors > f->bus.n_sensors) {
		violate(f, "plan_request() for %u sensors", n_sensors);
	}
	if (interval_ns <= 0 || least_ns < 0 || likely_ns < least_ns) {
		violate(f, "plan_request() with times that cannot be");
	}
	GROW(f->requests, f->n_requests, f->requests_capacity);
	f->requests[f->n_requests++] = (struct fake_request){.what = xstrdup(what),
		.n_sensors = n_sensors,
		.interval_ns = interval_ns,
		.least_ns = least_ns,
		.likely_ns = likely_ns};
}

static void _printf_(3, 4)
	host_tell(const struct scg_bus *bus, uint32_t kind, const char *format, ...)
{
	struct fake_bus *f = fake_of(bus);
	char *text;
	va_list args;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	if (!is_callback(f, "step")) {
		violate(f, "tell() outside the step() of a tool");
	}
	if (kind < SCG_TELL_RESULT || kind > SCG_TELL_PROGRESS) {
		violate(f, "tell() of kind %u", kind);
	}
	/* an empty line is allowed: it sets things apart */
	if (*text && !is_line(text)) {
		violate(f, "tell() of what is no line: %s", text);
	}
	GROW(f->lines, f->n_lines, f->lines_capacity);
	f->lines[f->n_lines++] = (struct fake_line){.kind = kind, .text = text};
}

static void host_count(struct scg_bus *bus, const char *name, uint64_t n)
{
	struct fake_bus *f = fake_of(bus);
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
	uint32_t i = 0;

	if (!f->callback) {
		violate(f, "count() outside a callback");
	}
	if (length == 0 || name[length] || length >= sizeof(f->counters[0].name)) {
		violate(f, "count() of \"%s\", which is no name", name);
		return;
	}
	while (i < f->n_counters && strcmp(f->counters[i].name, name) != 0) {
		i++;
	}
	if (i == SCG_COUNTERS_MAX) {
		violate(f, "count() of more than %u names", SCG_COUNTERS_MAX);
		return;
	}
	if (i == f->n_counters) {
		memcpy(f->counters[f->n_counters++].name, name, length + 1);
	}
	f->counters[i].value += n;
}

static const struct scg_host host = {
	.abi = SCG_ABI_LEVEL,
	.report = host_report,
	.fail = host_fail,
	.complain = host_complain,
	.log = host_log,
	.stopping = host_stopping,
	.plan_link = host_plan_link,
	.plan_request = host_plan_request,
	.tell = host_tell,
	.count = host_count,
};

static int64_t choice_index(const struct scg_option *option, const char *text)
{
	for (int64_t i = 0; option->choices[i]; i++) {
		if (strcmp(option->choices[i], text) == 0) {
			return i;
		}
	}
	die("option %s: no choice %s", option->name, text);
}

static union scg_value parse_option(const struct scg_option *option, const char *text)
{
	union scg_value value = {0};
	double number = 0;
	bool flag = false;
	int r = 0;

	switch (option->type) {
	case SCG_INT:
		r = parse_i64(text, &value.i);
		number = (double)value.i;
		break;
	case SCG_NUMBER:
		r = parse_double(text, &value.d);
		number = value.d;
		break;
	case SCG_BOOL:
		r = parse_bool(text, &flag);
		value.i = flag;
		break;
	case SCG_STRING:
		value.s = xstrdup(text);
		break;
	case SCG_CHOICE:
		value.i = choice_index(option, text);
		break;
	case SCG_DURATION:
		r = parse_duration_ns(text, &value.i);
		number = (double)value.i / (double)NS_PER_S;
		break;
	default:
		die("option %s: type %u", option->name, option->type);
	}
	if (r < 0) {
		die("option %s: %s is no value", option->name, text);
	}
	if ((option->min < 0 || option->max > 0) && option->type != SCG_STRING &&
		(number < option->min || number > option->max)) {
		die("option %s: %s is out of range", option->name, text);
	}
	return value;
}

/* Strings are the only values that own memory. */
static void set_value(
	const struct scg_option *table, uint32_t i, union scg_value *values, const char *text)
{
	if (table[i].type == SCG_STRING) {
		free((char *)values[i].s);
	}
	values[i] = parse_option(&table[i], text);
}

/* As strsep(), at a comma and a space: a comma alone belongs to the value. */
static char *next_item(char **rest)
{
	char *item = *rest, *end = item ? strstr(item, ", ") : NULL;

	*rest = end ? end + 1 : NULL;
	if (end) {
		*end = '\0';
	}
	return item;
}

static void set_values(
	const struct scg_option *table, uint32_t n, union scg_value *values, const char *text)
{
	_cleanup_(freep) char *copy = xstrdup(text);
	char *rest = copy, *item;

	while ((item = next_item(&rest)) && *(item += strspn(item, " "))) {
		char *value = item;
		char *name = strsep(&value, ":");
		uint32_t i = 0;

		while (i < n && strcmp(table[i].name, name) != 0) {
			i++;
		}
		if (i == n || !value) {
			die("unknown option in \"%s\"", text);
		}
		set_value(table, i, values, value + strspn(value, " "));
	}
}

static union scg_value *default_values(const struct scg_option *table, uint32_t n)
{
	union scg_value *values = xcalloc((size_t)n + 1, sizeof(*values));

	for (uint32_t i = 0; i < n; i++) {
		if (table[i].fallback) {
			values[i] = parse_option(&table[i], table[i].fallback);
		} else if (!(table[i].flags & SCG_REQUIRED) && table[i].type != SCG_STRING) {
			die("option %s has no default", table[i].name);
		}
	}
	return values;
}

static void free_values(
	const struct scg_option *table, uint32_t n, const union scg_value *const_values)
{
	union scg_value *values = (union scg_value *)const_values;

	for (uint32_t i = 0; i < n; i++) {
		if (table[i].type == SCG_STRING) {
			free((char *)values[i].s);
		}
	}
	free(values);
}

static void check_table(const struct scg_option *table, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct scg_option *o = &table[i];

		if (!o->name || !o->help || o->help[strlen(o->help) - 1] != '.') {
			die("option %u: a name and a help of full sentences, please", i);
		}
		for (size_t j = 0; j < ARRAY_SIZE(o->reserved); j++) {
			if (o->reserved[j]) {
				die("option %s: reserved words are not zero", o->name);
			}
		}
	}
}

static void check_tool(const char *name, const struct scg_tool *tool)
{
	if (tool && (!tool->step || tool->reserved)) {
		die("%s: step() is missing, or the reserved word is not zero", name);
	}
	if (tool) {
		check_table(tool->options, tool->n_options);
	}
}

static const struct scg_driver *load(void **ret_library, const char *directory, const char *name)
{
	_cleanup_(freep) char *path = xasprintf("%s/%s.so", directory, name);
	const struct scg_driver *driver;

	*ret_library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!*ret_library) {
		die("%s", dlerror());
	}
	driver = dlsym(*ret_library, "scg_driver_1");
	if (!driver || driver->abi < 1 || driver->abi > SCG_ABI_LEVEL || driver->reserved ||
		strcmp(driver->name, name) != 0 || !driver->version || !driver->summary) {
		die("%s: scg_driver_1 is missing or wrong", path);
	}
	if (!driver->open || !driver->close || (!driver->poll && !driver->dispatch)) {
		die("%s: functions are missing", path);
	}
	check_table(driver->bus_options, driver->n_bus_options);
	check_table(driver->sensor_options, driver->n_sensor_options);
	if (driver->abi >= 2) {
		check_tool("scan", driver->scan);
		check_tool("probe", driver->probe);
	}
	return driver;
}

struct fake_bus *fake_bus_new(const char *directory, const char *name, const char *options)
{
	struct fake_bus *f = xcalloc(1, sizeof(*f));

	f->driver = load(&f->library, directory, name);
	f->bus.host = &host;
	f->bus.name = "test";
	f->bus.fd = -1;
	f->bus.options = default_values(f->driver->bus_options, f->driver->n_bus_options);
	fake_bus_set(f, options);
	return f;
}

void fake_bus_set(struct fake_bus *f, const char *options)
{
	set_values(f->driver->bus_options, f->driver->n_bus_options,
		(union scg_value *)f->bus.options, options);
}

struct scg_sensor *fake_bus_add(
	struct fake_bus *f, const char *name, int64_t interval_ns, const char *options)
{
	struct scg_sensor *sensor = xcalloc(1, sizeof(*sensor));
	union scg_value *values = default_values(
		f->driver->sensor_options, f->driver->n_sensor_options);
	size_t n = f->bus.n_sensors;

	set_values(f->driver->sensor_options, f->driver->n_sensor_options, values, options);
	sensor->name = xstrdup(name);
	sensor->options = values;
	sensor->interval_ns = interval_ns;
	f->sensors = xreallocarray(f->sensors, n + 1, sizeof(*f->sensors));
	f->is_due = xreallocarray(f->is_due, n + 1, sizeof(*f->is_due));
	f->sensors[n] = sensor;
	f->is_due[n] = false;
	f->bus.sensors = f->sensors;
	f->bus.n_sensors++;
	return sensor;
}

static void forget_plan(struct fake_bus *f)
{
	for (size_t i = 0; i < f->n_requests; i++) {
		free(f->requests[i].what);
	}
	f->n_requests = 0;
	free(f->link);
	free(f->advice);
	f->link = f->advice = NULL;
}

void fake_bus_free(struct fake_bus *f)
{
	fake_bus_close(f);
	forget_plan(f);
	fake_bus_forget(f);
	for (uint32_t i = 0; i < f->bus.n_sensors; i++) {
		free_values(f->driver->sensor_options, f->driver->n_sensor_options,
			f->sensors[i]->options);
		free((char *)f->sensors[i]->name);
		free(f->sensors[i]);
	}
	for (size_t i = 0; i < f->n_complaints; i++) {
		free(f->complaints[i]);
	}
	free_values(f->driver->bus_options, f->driver->n_bus_options, f->bus.options);
	free(f->complaints);
	free(f->sensors);
	free(f->is_due);
	free(f->results);
	free(f->requests);
	free(f->lines);
	(void)dlclose(f->library); /* nothing to do about an error */
	free(f);
}

size_t fake_bus_check(struct fake_bus *f)
{
	for (size_t i = 0; i < f->n_complaints; i++) {
		free(f->complaints[i]);
	}
	f->n_complaints = 0;
	if (f->driver->check) {
		f->callback = "check";
		f->driver->check(&f->bus);
		f->callback = NULL;
	}
	return f->n_complaints;
}

bool fake_bus_complained(const struct fake_bus *f, const char *complaint)
{
	for (size_t i = 0; i < f->n_complaints; i++) {
		if (strcmp(f->complaints[i], complaint) == 0) {
			return true;
		}
	}
	return false;
}

size_t fake_bus_plan(struct fake_bus *f)
{
	forget_plan(f);
	if (f->driver->abi >= 2 && f->driver->plan) {
		f->callback = "plan";
		f->driver->plan(&f->bus);
		f->callback = NULL;
	}
	return f->n_requests;
}

double fake_bus_least(const struct fake_bus *f)
{
	double share = 0;

	for (size_t i = 0; i < f->n_requests; i++) {
		share += (double)f->requests[i].least_ns / (double)f->requests[i].interval_ns;
	}
	return share;
}

double fake_bus_likely(const struct fake_bus *f)
{
	double share = 0;

	for (size_t i = 0; i < f->n_requests; i++) {
		share += (double)f->requests[i].likely_ns / (double)f->requests[i].interval_ns;
	}
	return share;
}

/* Descriptors that the process has open. */
static int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (directory && readdir(directory)) {
		n++;
	}
	if (directory) {
		(void)closedir(directory);
	}
	return n;
}

static void check_released(struct fake_bus *f, const char *after)
{
	if (count_fds() != f->n_fds) {
		violate(f, "descriptors are left open after %s", after);
	}
	f->bus.fd = -1;
	f->bus.data = NULL;
	for (uint32_t i = 0; i < f->bus.n_sensors; i++) {
		f->sensors[i]->data = NULL;
	}
}

int fake_bus_open(struct fake_bus *f)
{
	int r;

	if (f->is_open) {
		die("open while open");
	}
	f->n_fds = count_fds();
	f->callback = "open";
	r = f->driver->open(&f->bus);
	f->callback = NULL;
	if (r > 0) {
		violate(f, "open() returned %d", r);
	}
	if (r < 0) {
		check_released(f, "a failed open()");
		return r;
	}
	f->is_open = true;
	if (!f->driver->dispatch && f->bus.fd != -1) {
		violate(f, "a descriptor, but no dispatch()");
	}
	if (f->bus.fd >= 0 && fcntl(f->bus.fd, F_GETFD) < 0) {
		violate(f, "open() left a descriptor that is not open");
	}
	if (f->bus.fd >= 0 && !(fcntl(f->bus.fd, F_GETFD) & FD_CLOEXEC)) {
		violate(f, "the descriptor is not closed on exec");
	}
	return 0;
}

void fake_bus_close(struct fake_bus *f)
{
	if (!f->is_open) {
		return;
	}
	f->is_open = false;
	f->callback = "close";
	f->driver->close(&f->bus);
	f->callback = NULL;
	check_released(f, "close()");
}

int fake_bus_poll(struct fake_bus *f, struct scg_sensor *const *due, uint32_t n_due)
{
	size_t before;
	int r;

	if (!f->is_open) {
		die("poll while closed");
	}
	before = f->n_results;
	f->callback = "poll";
	r = f->driver->poll(&f->bus, due, n_due);
	f->callback = NULL;
	if (r > 0) {
		violate(f, "poll() returned %d", r);
	}
	f->n_idle = f->n_results == before ? f->n_idle + 1 : 0;
	if (f->n_idle > IDLE_POLLS_MAX && !(f->stop && *f->stop)) {
		violate(f, "poll() did not deal with any sensor %u times in a row", f->n_idle);
	}
	return r;
}

int fake_bus_round(struct fake_bus *f)
{
	_cleanup_(freep) struct scg_sensor **due = xcalloc(
		(size_t)f->bus.n_sensors + 1, sizeof(struct scg_sensor *));

	memset(f->is_due, true, f->bus.n_sensors);
	for (;;) {
		uint32_t n_due = 0;
		int r;

		for (uint32_t i = 0; i < f->bus.n_sensors; i++) {
			if (f->is_due[i]) {
				due[n_due++] = f->sensors[i];
			}
		}
		if (n_due == 0 || f->violation[0]) {
			return 0;
		}
		r = fake_bus_poll(f, due, n_due);
		if (r < 0) {
			return r;
		}
	}
}

int fake_bus_dispatch(struct fake_bus *f, int64_t limit_ns)
{
	struct pollfd fd = {.fd = f->bus.fd, .events = POLLIN};
	int r;

	if (!f->is_open || f->bus.fd < 0) {
		die("dispatch while closed");
	}
	if (poll(&fd, 1, (int)(limit_ns / NS_PER_MS)) == 0) {
		return -ETIMEDOUT;
	}
	f->callback = "dispatch";
	r = f->driver->dispatch(&f->bus);
	f->callback = NULL;
	if (r > 0) {
		violate(f, "dispatch() returned %d", r);
	}
	return r;
}

void fake_bus_forget(struct fake_bus *f)
{
	f->n_results = 0;
	for (size_t i = 0; i < f->n_lines; i++) {
		free(f->lines[i].text);
	}
	f->n_lines = 0;
}

static int call_step(struct fake_bus *f, const struct scg_tool *tool, const union scg_value *values,
	uint64_t step)
{
	size_t n_complaints = f->n_complaints;
	int r;

	if (!f->is_open) {
		die("step while closed");
	}
	f->step = step;
	f->callback = "step";
	r = tool->step(&f->bus, values, step);
	f->callback = NULL;
	if (r > 1) {
		violate(f, "step() returned %d", r);
	}
	if (f->n_complaints > n_complaints && r != -EINVAL) {
		violate(f, "complain(), and yet step() returned %d", r);
	}
	return r;
}

static union scg_value *tool_values(const struct scg_tool *tool, const char *options)
{
	union scg_value *values = default_values(tool->options, tool->n_options);

	set_values(tool->options, tool->n_options, values, options);
	return values;
}

int fake_bus_step(
	struct fake_bus *f, const struct scg_tool *tool, const char *options, uint64_t step)
{
	union scg_value *values = tool_values(tool, options);
	int r = call_step(f, tool, values, step);

	free_values(tool->options, tool->n_options, values);
	return r;
}

int fake_bus_run(struct fake_bus *f, const struct scg_tool *tool, const char *options)
{
	union scg_value *values = tool_values(tool, options);
	uint64_t step = 0;
	int r;

	do {
		r = call_step(f, tool, values, step++);
	} while (r == 1 && !f->violation[0]);
	free_values(tool->options, tool->n_options, values);
	return r;
}

bool fake_bus_told(const struct fake_bus *f, uint32_t kind, const char *text)
{
	for (size_t i = 0; i < f->n_lines; i++) {
		if (f->lines[i].kind == kind && strcmp(f->lines[i].text, text) == 0) {
			return true;
		}
	}
	return false;
}

uint64_t fake_bus_counted(const struct fake_bus *f, const char *name)
{
	for (uint32_t i = 0; i < f->n_counters; i++) {
		if (strcmp(f->counters[i].name, name) == 0) {
			return f->counters[i].value;
		}
	}
	return 0;
}

const struct fake_result *fake_bus_result(const struct fake_bus *f, const struct scg_sensor *s)
{
	for (size_t i = f->n_results; i-- > 0;) {
		if (f->results[i].sensor == s) {
			return &f->results[i];
		}
	}
	return NULL;
}
