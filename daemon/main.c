/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sensocan-gateway: reads field sensors and delivers every reading to SensoCAN.
 *
 * From top to bottom: the command line; then, for `run`, start, wait for signals and the watchdog,
 * reload, stop. What the daemon consists of is in gateway.h.
 */

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "build_config.h"
#include "commands.h"
#include "control.h"
#include "control_tool.h"
#include "driver.h"
#include "gateway.h"
#include "log.h"
#include "mqtt.h"
#include "status.h"
#include "util.h"

/* systemd's patience is longer; a person's is not. */
#define STOP_PATIENCE_NS (4500 * NS_PER_MS)
/* STATUS= is refreshed this often. */
#define SUMMARY_INTERVAL_NS (30 * NS_PER_S)

static const char help[] =
	"Usage: sensocan-gateway COMMAND [OPTION]...\n"
	"\n"
	"Reads Modbus, CAN and I2C sensors and delivers every reading to SensoCAN.\n"
	"\n"
	"Commands:\n"
	"  run             be the daemon, in the foreground\n"
	"  check           say everything that is wrong with the configuration\n"
	"  plan [BUS]      say what reading the sensors takes of the buses' time\n"
	"  drivers [NAME]  list the drivers, or the options of one\n"
	"  scan BUS        search a bus for what is on it\n"
	"  probe BUS       show one place on a bus in all ways to read it\n"
	"  read            read every sensor once and print the values\n"
	"  status          ask the running daemon how it is\n"
	"\n"
	"Options:\n"
	"  -c, --config FILE      configuration (" DEFAULT_CONFIG_FILE ")\n"
	"  -j, --json             plan, read, status: JSON instead of a table\n"
	"  -d, --device NAME      read: only the sensors of this device\n"
	"  -w, --watch            read: go on, and print each reading as it comes\n"
	"      --control PATH     run, scan, probe, status: control socket\n"
	"                         (" DEFAULT_CONTROL_SOCKET ")\n"
	"      --driver-dir DIR   look for drivers in DIR before " DRIVER_DIR "\n"
	"      --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  -h, --help             this text; scan BUS, probe BUS: their own options\n"
	"  -V, --version          the version\n"
	"\n"
	"Exit status: 0 done, 1 it failed, 64 wrong usage, 78 the configuration is bad.\n"
	"See sensocan-gateway(8) and sensocan-gateway.yaml(5).\n";

/* --- the daemon --- */

struct daemon_state {
	const struct command_options *options;
	struct gateway *gateway;
	struct control *control;
	int signal_fd;
	int64_t watchdog_ns; /* interval of feeding; 0: there is none */
	int64_t watch_ns;    /* when to look at the threads again, monotonic */
	int64_t summary_ns;
	bool stuck_logged;
	bool must_stop;
};

static void tell_summary(struct daemon_state *d)
{
	_cleanup_(freep) char *summary = gateway_summary(d->gateway);

	(void)sd_notifyf(0, "STATUS=%s", summary); /* without systemd nobody listens */
	d->summary_ns = now_monotonic_ns();
}

/* Feeds the watchdog of systemd while every thread makes progress, and only then. */
static void feed_watchdog(struct daemon_state *d)
{
	struct log_subject subject = {.message_id = LOG_ID_THREAD_STUCK};
	int64_t overdue;
	const char *stuck = gateway_stuck(d->gateway, &overdue);
	char text[FORMAT_MAX];

	if (!stuck) {
		d->stuck_logged = false;
		(void)sd_notify(0, "WATCHDOG=1"); /* as above */
		d->watch_ns = now_monotonic_ns() + d->watchdog_ns;
		return;
	}
	d->watch_ns = now_monotonic_ns() + NS_PER_S;
	if (!d->stuck_logged) {
		d->stuck_logged = true;
		log_message(LOG_LEVEL_ERROR, &subject,
			"%s has made no progress for %s more than it may; the watchdog is not fed until it "
			"does",
			stuck, format_duration(text, overdue));
	}
}

static void reload(struct daemon_state *d)
{
	struct log_subject subject = {.message_id = LOG_ID_RELOAD_REFUSED};
	_cleanup_(config_unrefp) struct config *config = NULL;
	_cleanup_(freep) char *error = NULL;

	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)(now_monotonic_ns() / NS_PER_US)); /* as above */
	config = command_load_config(d->options->config_file);
	if (!config) {
		log_message(LOG_LEVEL_ERROR, &subject,
			"%s has errors: the old configuration stays in force",
			d->options->config_file);
	} else if (gateway_reload(d->gateway, config, &error) < 0) {
		log_message(LOG_LEVEL_ERROR, &subject, "%s; the old configuration stays in force",
			error);
	}
	(void)malloc_trim(0); /* the file's tree was large; whether there was something to trim is
				 no matter */
	(void)sd_notify(0, "READY=1"); /* as above */
}

static void take_signal(struct daemon_state *d)
{
	struct signalfd_siginfo info;

	if (read(d->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return;
	}
	if (info.ssi_signo == SIGHUP) {
		reload(d);
	} else {
		d->must_stop = true;
	}
}

static char *answer_control(void *ctx, const char *line, struct control_stream *ret_stream)
{
	struct daemon_state *d = ctx;

	if (strcmp(line, "status") == 0) {
		return status_json(d->gateway);
	}
	return control_tool_start(d->gateway, line, ret_stream);
}

static int sooner(int a, int b)
{
	if (a < 0 || b < 0) {
		return MAX(a, b);
	}
	return MIN(a, b);
}

static int until_ms(int64_t time_ns)
{
	int64_t left = time_ns - now_monotonic_ns();

	return left > 0 ? (int)MIN(left / NS_PER_MS + 1, INT32_MAX) : 0;
}

/* Waits for the next thing that concerns the main thread, and deals with it. */
static void wait_and_serve(struct daemon_state *d)
{
	struct pollfd fds[2 + CONTROL_FDS_MAX] = {
		{.fd = d->signal_fd, .events = POLLIN},
		{.fd = clock_fd(gateway_clock(d->gateway)), .events = POLLIN},
	};
	int timeout = clock_timeout_ms(gateway_clock(d->gateway));
	size_t n_control = 0;

	if (d->control) {
		n_control = control_poll_fds(d->control, fds + 2);
		timeout = sooner(timeout, control_timeout_ms(d->control));
	}
	timeout = sooner(timeout, until_ms(d->summary_ns + SUMMARY_INTERVAL_NS));
	if (d->watchdog_ns > 0) {
		timeout = sooner(timeout, until_ms(d->watch_ns));
	}
	if (poll(fds, 2 + n_control, timeout) < 0) {
		return; /* EINTR; the signals that matter come by descriptor */
	}
	if (fds[0].revents) {
		take_signal(d);
	}
	gateway_clock_changed(d->gateway);
	gateway_reap(d->gateway);
	if (n_control > 0) {
		control_process(d->control, fds + 2, n_control);
	}
	if (now_monotonic_ns() - d->summary_ns >= SUMMARY_INTERVAL_NS) {
		tell_summary(d);
	}
	if (d->watchdog_ns > 0 && now_monotonic_ns() >= d->watch_ns) {
		feed_watchdog(d);
	}
}

static void open_control(struct daemon_state *d)
{
	_cleanup_(freep) char *path = control_path(d->options->control_path);
	int r = control_open(path, answer_control, d, &d->control);

	if (r < 0) {
		log_warning("%s: %s; going on without it, `status` will not work", path,
			strerrordesc_np(-r));
	}
}

/* Signals come by descriptor, in this thread only; all threads inherit the mask. */
static int block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGPIPE); /* none of these can fail */
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
		return -EINVAL;
	}
	(void)sigdelset(&set, SIGPIPE);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Memory: one arena, and what a replay took goes back to the system at once. */
static void tune_memory(void)
{
	(void)mallopt(M_ARENA_MAX, 1); /* these are hints: without them it works as well */
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
}

static int stop(struct daemon_state *d)
{
	struct log_subject subject = {.message_id = LOG_ID_STOPPED};
	int64_t deadline = now_monotonic_ns() + STOP_PATIENCE_NS;

	(void)sd_notify(0, "STOPPING=1\nSTATUS=stopping"); /* without systemd nobody listens */
	control_close(d->control);
	if (!gateway_stop(d->gateway, deadline)) {
		log_message(LOG_LEVEL_NOTICE, &subject, "stopped");
		(void)fflush(NULL); /* nothing more can be done about it */
		_exit(EXIT_DONE); /* a thread is still inside a library: no clean-up under its feet
				   */
	}
	closep(&d->signal_fd);
	mqtt_library_cleanup();
	log_message(LOG_LEVEL_NOTICE, &subject, "stopped");
	return EXIT_DONE;
}

static int command_run(const struct command_options *options)
{
	struct daemon_state d = {.options = options};
	struct log_subject subject = {.message_id = LOG_ID_STARTED};
	_cleanup_(config_unrefp) struct config *config = NULL;
	uint64_t watchdog_us = 0;

	tune_memory();
	d.signal_fd = block_signals();
	if (d.signal_fd < 0) {
		log_error("cannot listen for signals: %s", strerrordesc_np(errno));
		return EXIT_FAILED;
	}
	config = command_load_config(options->config_file);
	if (!config) {
		return EXIT_BAD_CONFIG;
	}
	(void)malloc_trim(0); /* the file's tree was large */
	mqtt_library_init();
	d.gateway = gateway_start(config);
	if (!d.gateway) {
		(void)fflush(NULL); /* nothing more can be done about it */
		_exit(EXIT_FAILED); /* a thread may have been left behind */
	}
	open_control(&d);
	if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
		d.watchdog_ns = (int64_t)watchdog_us * NS_PER_US / 2;
	}
	log_message(LOG_LEVEL_NOTICE, &subject,
		"sensocan-gateway %s started: %u buses, %u devices, %u sensors, journal %s",
		PROJECT_VERSION, config->n_buses, config->n_devices, config->n_sensors,
		config->journal.path);
	(void)sd_notify(0, "READY=1"); /* without systemd nobody listens */
	tell_summary(&d);
	while (!d.must_stop) {
		wait_and_serve(&d);
	}
	return stop(&d);
}

/* --- the command line --- */

struct command {
	const char *name;
	int (*run)(const struct command_options *options);
	bool is_tool; /* has options of the driver's */
};

static const struct command commands[] = {
	{"run", command_run},
	{"check", command_check},
	{"plan", command_plan},
	{"drivers", command_drivers},
	{"scan", command_scan, .is_tool = true},
	{"probe", command_probe, .is_tool = true},
	{"read", command_read},
	{"status", command_status},
};

static int wrong_usage(const char *problem, const char *what)
{
	(void)fprintf(
		stderr, "sensocan-gateway: %s%s\nTry: sensocan-gateway --help\n", problem, what);
	return EXIT_BAD_USAGE;
}

static int parse_level(const char *text)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			return LOG_LEVEL_ERROR + (int)i;
		}
	}
	return -EINVAL;
}

/* The options of a tool: more than any has. */
#define WORDS_MAX      64
#define OPTION_LETTERS "c:jd:whV"

enum { OPTION_CONTROL = 256, OPTION_DRIVER_DIR, OPTION_LOG_LEVEL };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"json", no_argument, NULL, 'j'},
	{"device", required_argument, NULL, 'd'},
	{"watch", no_argument, NULL, 'w'},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"driver-dir", required_argument, NULL, OPTION_DRIVER_DIR},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

/* And not the next option; but a negative number. */
static bool is_value(const char *text)
{
	return text[0] != '-' || (text[1] != '\0' && strchr("0123456789.", text[1]));
}

/*
 * Sets aside the options of a driver's tool, which getopt knows nothing of, and leaves the others.
 * 0, or -E2BIG.
 */
static int take_words(int *argc, char **argv, struct command_options *options)
{
	static const char *const ours[] = {
		"config", "control", "driver-dir", "log-level", "help", "version"};
	static struct option_word words[WORDS_MAX];
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		char *name = argv[i] + 2;
		size_t length = strcspn(name, "=");
		bool is_ours = strncmp(argv[i], "--", 2) != 0 || length == 0;

		for (size_t k = 0; k < ARRAY_SIZE(ours) && !is_ours; k++) {
			is_ours = strlen(ours[k]) == length && strncmp(ours[k], name, length) == 0;
		}
		if (is_ours) {
			argv[kept++] = argv[i];
			continue;
		}
		if (options->n_words == WORDS_MAX) {
			return -E2BIG;
		}
		words[options->n_words].name = name;
		if (name[length] == '=') {
			name[length] = '\0';
			words[options->n_words].value = name + length + 1;
		} else if (i + 1 < *argc && is_value(argv[i + 1])) {
			words[options->n_words].value = argv[++i];
		}
		options->n_words++;
	}
	*argc = kept;
	options->words = words;
	return 0;
}

/* -1: go on; else the exit status. With a '+' in front, `letters` make it end at the command. */
static int parse_options(
	int argc, char **argv, const char *letters, bool is_tool, struct command_options *options)
{
	int option, level;

	while ((option = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config_file = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'd':
			options->device = optarg;
			break;
		case 'w':
			options->watch = true;
			break;
		case OPTION_CONTROL:
			options->control_path = optarg;
			break;
		case OPTION_DRIVER_DIR:
			driver_add_directory(optarg);
			break;
		case OPTION_LOG_LEVEL:
			level = parse_level(optarg);
			if (level < 0) {
				return wrong_usage("no such log level: ", optarg);
			}
			log_set_max_level((enum log_level)level);
			break;
		case 'h':
			if (!is_tool) {
				(void)fputs(help, stdout);
				return EXIT_DONE;
			}
			options->help = true;
			break;
		case 'V':
			(void)puts("sensocan-gateway " PROJECT_VERSION);
			return EXIT_DONE;
		default:
			(void)fputs("Try: sensocan-gateway --help\n",
				stderr); /* getopt said what is wrong */
			return EXIT_BAD_USAGE;
		}
	}
	return -1;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			return &commands[i];
		}
	}
	return NULL;
}

/* What comes after the command. -1: go on; else the exit status. */
static int parse_rest(
	int argc, char **argv, const struct command *command, struct command_options *options)
{
	int status;

	if (command->is_tool && take_words(&argc, argv, options) < 0) {
		return wrong_usage("too many options", "");
	}
	optind = 0; /* makes getopt begin anew (getopt(3), "Notes") */
	status = parse_options(argc, argv, OPTION_LETTERS, command->is_tool, options);
	if (status >= 0) {
		return status;
	}
	if (optind < argc && strcmp(command->name, "drivers") == 0) {
		options->driver = argv[optind++];
	}
	if (optind < argc && (command->is_tool || strcmp(command->name, "plan") == 0)) {
		options->bus = argv[optind++];
	}
	if (optind < argc) {
		return wrong_usage("one argument too many: ", argv[optind]);
	}
	if (options->help && !options->bus) {
		(void)fputs(help, stdout);
		return EXIT_DONE;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct command_options options = {.config_file = DEFAULT_CONFIG_FILE};
	const struct command *command;
	int status, at;

	log_open(LOG_LEVEL_INFO);
	status = parse_options(argc, argv, "+" OPTION_LETTERS, false, &options);
	if (status >= 0) {
		return status;
	}
	if (optind == argc) {
		return wrong_usage("which command?", "");
	}
	at = optind;
	command = find_command(argv[at]);
	if (!command) {
		return wrong_usage("there is no command ", argv[at]);
	}
	argv[at] = argv[0]; /* what getopt's messages begin with */
	status = parse_rest(argc - at, argv + at, command, &options);
	return status >= 0 ? status : command->run(&options);
}
