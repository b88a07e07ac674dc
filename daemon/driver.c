/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "build_config.h"
#include "options.h"

#define SYMBOL     "scg_driver_1"
#define SUFFIX     ".so"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"
/* More options than this are a table that was not counted right. */
#define OPTIONS_MAX 1000u

struct loaded {
	char *name;
	const struct scg_driver *driver;
};

static char **directories;
static size_t n_directories, directories_capacity;
static struct loaded *loaded;
static size_t n_loaded, loaded_capacity;

void driver_add_directory(const char *directory)
{
	GROW(directories, n_directories, directories_capacity);
	directories[n_directories++] = xstrdup(directory);
}

/* Directory `i` in the order of the search, or NULL after the last. */
static const char *directory_at(size_t i)
{
	if (i < n_directories) {
		return directories[i];
	}
	return i == n_directories ? DRIVER_DIR : NULL;
}

static bool is_driver_name(const char *name)
{
	return name[0] != '\0' && strspn(name, NAME_CHARS) == strlen(name);
}

/* What is wrong with the constant that `path` exports, or NULL. */
static char *check_driver(const struct scg_driver *driver, const char *name)
{
	_cleanup_(freep) char *text = NULL;

	/* the first member, and all that may be read before the level is known to be ours */
	if (driver->abi == 0 || driver->abi > SCG_ABI_LEVEL) {
		return xasprintf("built for driver ABI %" PRIu32 ", this daemon has %u; "
				 "use a newer sensocan-gateway or build the driver again",
			driver->abi, SCG_ABI_LEVEL);
	}
	if (driver->reserved != 0) {
		return xstrdup("its reserved word is not zero");
	}
	if (!driver->name || strcmp(driver->name, name) != 0) {
		return xasprintf("it calls itself \"%s\", expected the name of the file",
			driver->name ? driver->name : "");
	}
	if (!driver->version || !driver->summary) {
		return xstrdup("it has no version or no summary");
	}
	if (!driver->open || !driver->close) {
		return xstrdup("it lacks open() or close()");
	}
	if (!driver->poll && !driver->dispatch) {
		return xstrdup("it has neither poll() nor dispatch()");
	}
	if (driver->n_bus_options > OPTIONS_MAX || driver->n_sensor_options > OPTIONS_MAX ||
		(driver->n_bus_options > 0 && !driver->bus_options) ||
		(driver->n_sensor_options > 0 && !driver->sensor_options)) {
		return xstrdup("the number of its options is wrong");
	}
	if (options_check_table(driver->bus_options, driver->n_bus_options, &text) < 0) {
		return xasprintf("bus options: %s", text);
	}
	if (options_check_table(driver->sensor_options, driver->n_sensor_options, &text) < 0) {
		return xasprintf("sensor options: %s", text);
	}
	return NULL;
}

/* What every command takes, and no driver can have. */
static bool is_reserved(const char *option)
{
	static const char *const names[] = {"config", "control", "help", "version"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(option, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

static char *check_tool(const char *name, const struct scg_tool *tool)
{
	_cleanup_(freep) char *text = NULL;

	if (!tool) {
		return NULL;
	}
	if (!tool->step || tool->reserved != 0) {
		return xasprintf("%s: it lacks step(), or its reserved word is not zero", name);
	}
	if (tool->n_options > OPTIONS_MAX || (tool->n_options > 0 && !tool->options)) {
		return xasprintf("%s: the number of its options is wrong", name);
	}
	if (options_check_table(tool->options, tool->n_options, &text) < 0) {
		return xasprintf("%s options: %s", name, text);
	}
	for (uint32_t i = 0; i < tool->n_options; i++) {
		if (is_reserved(tool->options[i].name)) {
			return xasprintf("%s options: --%s is the gateway's own", name,
				tool->options[i].name);
		}
	}
	return NULL;
}

static char *check_tools(const struct scg_driver *driver)
{
	char *problem = check_tool("scan", driver->scan);

	return problem ? problem : check_tool("probe", driver->probe);
}

/* How much of the structure a driver of that level has. */
static size_t size_at_level(uint32_t abi)
{
	return abi < 2 ? offsetof(struct scg_driver, plan) : sizeof(struct scg_driver);
}

static const struct scg_driver *load(const char *name, const char *path, char **ret_error)
{
	_cleanup_(freep) char *problem = NULL;
	const struct scg_driver *driver;
	_cleanup_(freep) struct scg_driver *ours = NULL;
	void *handle;

	/* without a slash dlopen() would look in the folders of the system's libraries */
	if (!strchr(path, '/')) {
		_cleanup_(freep) char *here = xasprintf("./%s", path);

		return load(name, here, ret_error);
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		*ret_error = xasprintf("driver \"%s\" cannot be loaded: %s", name, dlerror());
		return NULL;
	}
	driver = dlsym(handle, SYMBOL);
	problem = driver ? check_driver(driver, name)
			 : xstrdup("it does not export " SYMBOL ", so it is no driver");
	if (driver && !problem) {
		/* in a copy, what came after its level is there, and is zero */
		ours = xcalloc(1, sizeof(*ours));
		memcpy(ours, driver, size_at_level(driver->abi));
		problem = check_tools(ours);
	}
	if (problem) {
		*ret_error = xasprintf("driver \"%s\" (%s): %s", name, path, problem);
		(void)dlclose(handle); /* nothing of it is in use */
		return NULL;
	}
	return steal_ptr(ours);
}

static const struct scg_driver *find_or_load(const char *name, const char *path, char **ret_error)
{
	const struct scg_driver *driver;

	for (size_t i = 0; i < n_loaded; i++) {
		if (strcmp(loaded[i].name, name) == 0) {
			return loaded[i].driver;
		}
	}
	driver = load(name, path, ret_error);
	if (driver) {
		GROW(loaded, n_loaded, loaded_capacity);
		loaded[n_loaded++] = (struct loaded){xstrdup(name), driver};
	}
	return driver;
}

/* The path of the driver of that name, or NULL if there is no such file. */
static char *find_path(const char *name)
{
	const char *directory;

	for (size_t i = 0; (directory = directory_at(i)); i++) {
		_cleanup_(freep) char *path = xasprintf("%s/%s" SUFFIX, directory, name);

		if (access(path, F_OK) == 0) {
			return steal_ptr(path);
		}
	}
	return NULL;
}

struct names {
	char **list;
	size_t n, capacity;
};

static void names_clear(struct names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		free(names->list[i]);
	}
	free(names->list);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the drivers in one directory; none if it cannot be read. */
static void add_names(struct names *names, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		_cleanup_(freep) char *name = NULL;

		if (length <= strlen(SUFFIX) ||
			strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) != 0) {
			continue;
		}
		name = xstrndup(entry->d_name, length - strlen(SUFFIX));
		if (is_driver_name(name)) {
			GROW(names->list, names->n, names->capacity);
			names->list[names->n++] = steal_ptr(name);
		}
	}
	if (dir) {
		(void)closedir(dir); /* only read */
	}
}

/* Names of all drivers, sorted, each once. */
static void find_names(struct names *names)
{
	const char *directory;
	size_t n = 0;

	for (size_t i = 0; (directory = directory_at(i)); i++) {
		add_names(names, directory);
	}
	if (names->n > 1) {
		qsort(names->list, names->n, sizeof(*names->list), compare_names);
	}
	for (size_t i = 0; i < names->n; i++) {
		if (n > 0 && strcmp(names->list[n - 1], names->list[i]) == 0) {
			free(names->list[i]);
		} else {
			names->list[n++] = names->list[i];
		}
	}
	names->n = n;
}

/* `no driver "modbsu" in DIRECTORY ...; there are: modbus, sim` */
static char *describe_missing(const char *name)
{
	_cleanup_(names_clear) struct names names = {0};
	_cleanup_(freep) char *places = NULL;
	_cleanup_(freep) char *list = NULL;
	_cleanup_(freep) const char **searched = xcalloc(n_directories + 1, sizeof(*searched));
	const char *nearest;

	for (size_t i = 0; i <= n_directories; i++) {
		searched[i] = directory_at(i);
	}
	places = options_join(searched, n_directories + 1, " or ");
	find_names(&names);
	if (names.n == 0) {
		return xasprintf("no driver \"%s\" in %s; there are none at all", name, places);
	}
	list = options_join((const char *const *)names.list, names.n, ", ");
	nearest = options_nearest(name, (const char *const *)names.list, names.n);
	if (nearest) {
		return xasprintf("no driver \"%s\" in %s, did you mean %s? There are: %s", name,
			places, nearest, list);
	}
	return xasprintf("no driver \"%s\" in %s; there are: %s", name, places, list);
}

const struct scg_driver *driver_find(const char *name, char **ret_error)
{
	_cleanup_(freep) char *path = NULL;

	if (!is_driver_name(name)) {
		char shown[TEXT_SHOW_MAX];

		*ret_error = xasprintf(
			"%s is no driver name, expected letters a-z, digits, - and _",
			text_show(shown, name));
		return NULL;
	}
	path = find_path(name);
	if (!path) {
		*ret_error = describe_missing(name);
		return NULL;
	}
	return find_or_load(name, path, ret_error);
}

void driver_for_each(void (*visit)(void *ctx, const char *name, const char *path,
			     const struct scg_driver *driver, const char *error),
	void *ctx)
{
	_cleanup_(names_clear) struct names names = {0};

	find_names(&names);
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_(freep) char *path = find_path(names.list[i]);
		_cleanup_(freep) char *error = NULL;
		const struct scg_driver *driver;

		if (path) { /* else it went away in between */
			driver = find_or_load(names.list[i], path, &error);
			visit(ctx, names.list[i], path, driver, error);
		}
	}
}

static void describe_options(
	FILE *out, const char *title, const struct scg_option *table, uint32_t n)
{
	(void)fprintf(out, "\n%s options:\n", title);
	if (n == 0) {
		(void)fprintf(out, "  none\n");
	}
	options_print(out, table, n);
}

void driver_describe(FILE *out, const struct scg_driver *driver)
{
	(void)fprintf(out, "%s %s: %s\n", driver->name, driver->version, driver->summary);
	describe_options(out, "Bus", driver->bus_options, driver->n_bus_options);
	describe_options(out, "Sensor", driver->sensor_options, driver->n_sensor_options);
	if (driver->scan) {
		describe_options(out, "Scan", driver->scan->options, driver->scan->n_options);
	}
	if (driver->probe) {
		describe_options(out, "Probe", driver->probe->options, driver->probe->n_options);
	}
}
