/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the journal costs: `bench_journal [DIRECTORY]`, a directory on a real disk. Prints a table.
 * The ratios tell whether cost grows with the backlog; the rates are those of this machine.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "journal_block.h"

#define DEVICE  "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
#define SENSORS 1000u
#define OFFSET  INT64_C(1700000000000000)
/* Readings that are appended and then taken for one measurement. */
#define SAMPLE 3000000u

struct bench {
	char directory[200], path[240];
	struct journal_options options;
	struct journal *journal;
	uint32_t device;
	uint32_t sensors[SENSORS];
	int eventfd;
	int64_t clock_us; /* of the simulated device */
	uint64_t seed;
	struct reading round[SENSORS];
};

static void print_event(void *ctx, enum journal_event event, const char *text)
{
	(void)fprintf(stderr, "%s\n", text);
}

static double cpu_s(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double wall_s(void)
{
	return (double)now_monotonic_ns() / 1e9;
}

static uint64_t written_bytes(void)
{
	unsigned long long bytes = 0;
	char line[100];
	FILE *io = fopen("/proc/self/io", "re");

	while (io && fgets(line, sizeof(line), io)) {
		(void)sscanf(line, "write_bytes: %llu", &bytes);
	}
	if (io) {
		(void)fclose(io);
	}
	return bytes;
}

static double resident_mib(void)
{
	long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");

	if (statm) {
		(void)!fscanf(statm, "%*s %ld", &pages);
		(void)fclose(statm);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static int64_t disk_bytes(struct bench *b)
{
	struct journal_stats s;

	journal_get_stats(b->journal, &s);
	return s.bytes;
}

static void open_bench(struct bench *b)
{
	b->journal = journal_open(&b->options);
	b->device = journal_device(b->journal, DEVICE);
	for (uint32_t i = 0; i < SENSORS; i++) {
		char slug[20];

		(void)snprintf(slug, sizeof(slug), "sensor_%u", i);
		b->sensors[i] = journal_sensor(b->journal, b->device, slug, NULL);
	}
	journal_subscribe(b->journal, b->device, b->eventfd);
	if (journal_start(b->journal) < 0) {
		abort();
	}
}

static void close_bench(struct bench *b)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	journal_free(b->journal);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_(freep) char *name = xasprintf("%s%s", b->path, suffixes[i]);

		(void)unlink(name);
	}
}

static void wait_for_new(struct bench *b)
{
	struct pollfd fd = {.fd = b->eventfd, .events = POLLIN};
	uint64_t n;

	(void)poll(&fd, 1, -1);
	(void)!read(b->eventfd, &n, sizeof(n));
}

/* A round of all sensors, ten requests of 100 values each, a second after the one before. */
static void next_round(struct bench *b, bool decimals)
{
	b->clock_us += US_PER_S;
	for (uint32_t i = 0; i < SENSORS; i++) {
		b->seed = b->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		b->round[i] = (struct reading){
			.sensor = b->sensors[i],
			.clock_ok = true,
			.boottime_us = b->clock_us + i / 100 * 1500,
			.offset_us = OFFSET,
			.value = decimals ? (double)(b->seed >> 48) * 0.1 - 1000
					  : (double)b->seed * 0x1.3p-60,
		};
		if (decimals) {
			b->round[i].value = (double)(int64_t)(b->round[i].value * 10) / 10;
		}
	}
}

static void append(struct bench *b, uint64_t readings, bool decimals)
{
	struct journal_stats s;

	for (uint64_t n = 0; n < readings; n += SENSORS) {
		next_round(b, decimals);
		journal_append(b->journal, b->round, SENSORS, false);
		if (n % 50000 == 0) {
			/* no faster than the disk: nothing must be dropped from memory */
			for (journal_get_stats(b->journal, &s);
				s.memory_bytes > b->options.max_memory / 2;
				journal_get_stats(b->journal, &s)) {
				wait_for_new(b);
			}
		}
	}
	for (journal_get_stats(b->journal, &s); s.memory_bytes > 0;
		journal_get_stats(b->journal, &s)) {
		wait_for_new(b);
	}
}

static uint64_t drain(struct bench *b, uint64_t readings)
{
	struct reading *out = xcalloc(BLOCK_MAX_READINGS, sizeof(*out));
	struct journal_block *blocks[64];
	uint64_t total = 0;
	int64_t after = 0;

	while (total < readings) {
		int n = journal_take(
			b->journal, b->device, after, 65536, blocks, ARRAY_SIZE(blocks));

		if (n <= 0) {
			break;
		}
		for (int i = 0; i < n; i++) {
			struct journal_ack ack = {.id = blocks[i]->id, .n = blocks[i]->n};
			int r = journal_block_readings(blocks[i], out);

			total += r > 0 ? (uint64_t)r : 0;
			after = blocks[i]->id;
			journal_ack(b->journal, b->device, &ack, 1);
			journal_block_free(blocks[i]);
		}
	}
	free(out);
	return total;
}

struct cost {
	double append_cpu, append_wall, take_cpu, take_wall; /* ns a reading */
};

static struct cost measure_once(struct bench *b)
{
	double cpu = cpu_s(), wall = wall_s();
	struct cost cost;
	uint64_t n;

	append(b, SAMPLE, true);
	cost.append_cpu = (cpu_s() - cpu) / SAMPLE * 1e9;
	cost.append_wall = (wall_s() - wall) / SAMPLE * 1e9;
	cpu = cpu_s();
	wall = wall_s();
	n = drain(b, SAMPLE);
	cost.take_cpu = (cpu_s() - cpu) / (double)n * 1e9;
	cost.take_wall = (wall_s() - wall) / (double)n * 1e9;
	return cost;
}

/* The least of several: what else the machine does only ever adds. */
static struct cost measure(struct bench *b)
{
	struct cost least = measure_once(b);

	for (int i = 0; i < 4; i++) {
		struct cost cost = measure_once(b);

		least.append_cpu = MIN(least.append_cpu, cost.append_cpu);
		least.append_wall = MIN(least.append_wall, cost.append_wall);
		least.take_cpu = MIN(least.take_cpu, cost.take_cpu);
		least.take_wall = MIN(least.take_wall, cost.take_wall);
	}
	return least;
}

static void bench_backlog(struct bench *b)
{
	static const uint64_t backlogs[] = {10000, 20000000};
	struct cost costs[2];

	for (size_t i = 0; i < ARRAY_SIZE(backlogs); i++) {
		open_bench(b);
		append(b, backlogs[i], true);
		costs[i] = measure(b);
		printf("append and commit, %8" PRIu64 " of backlog   %7.1f ns CPU %7.1f ns\n",
			backlogs[i], costs[i].append_cpu, costs[i].append_wall);
		printf("take, decode, ack, %8" PRIu64 " of backlog   %7.1f ns CPU %7.1f ns\n",
			backlogs[i], costs[i].take_cpu, costs[i].take_wall);
		printf("resident memory,   %8" PRIu64 " of backlog   %7.1f MiB\n", backlogs[i],
			resident_mib());
		close_bench(b);
	}
	printf("ratio of CPU, append: %.2f, take: %.2f (goal: at most 1.20)\n",
		costs[1].append_cpu / costs[0].append_cpu, costs[1].take_cpu / costs[0].take_cpu);
}

/* As in workload W: each round is a commit of its own, nothing is acknowledged. */
static void bench_size(struct bench *b, bool decimals)
{
	enum { ROUNDS = 3000 };
	uint64_t written;

	open_bench(b);
	written = written_bytes();
	for (int i = 0; i < ROUNDS; i++) {
		next_round(b, decimals);
		journal_append(b->journal, b->round, SENSORS, true);
		wait_for_new(b);
	}
	printf("on disk, %s %7.1f bytes a reading (goal: 14), written %5.1f\n",
		decimals ? "decimals                 " : "random doubles           ",
		(double)disk_bytes(b) / (ROUNDS * (double)SENSORS),
		(double)(written_bytes() - written) / (ROUNDS * (double)SENSORS));
	close_bench(b);
}

/* Each round is committed, taken, and acknowledged with the commit of the next. */
static void bench_steady(struct bench *b)
{
	enum { ROUNDS = 1000 };
	double cpu;
	uint64_t written;

	open_bench(b);
	written = written_bytes();
	cpu = cpu_s();
	for (int i = 0; i < ROUNDS; i++) {
		next_round(b, true);
		journal_append(b->journal, b->round, SENSORS, true);
		wait_for_new(b);
		(void)drain(b, SENSORS);
	}
	printf("steady, 1000 readings a commit            %7.1f bytes written a reading "
	       "(goal: 60), %.0f ns CPU\n",
		(double)(written_bytes() - written) / (ROUNDS * (double)SENSORS),
		(cpu_s() - cpu) / (ROUNDS * (double)SENSORS) * 1e9);
	printf("journal after it                          %7.1f KiB, resident %.1f MiB\n",
		(double)disk_bytes(b) / 1024, resident_mib());
	close_bench(b);
}

int main(int argc, char **argv)
{
	struct bench b = {
		.seed = 1,
		.clock_us = US_PER_S,
		.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.options =
			{
				.max_size = INT64_C(1) << 30,
				.commit_interval_ns = NS_PER_MS,
				.sync_full = true,
				.max_memory = INT64_C(4) << 20,
				.event = print_event,
			},
	};

	(void)snprintf(b.directory, sizeof(b.directory), "%s/bench-journal-XXXXXX",
		argc > 1 ? argv[1] : "/var/tmp");
	if (!mkdtemp(b.directory)) {
		(void)fprintf(stderr, "%s: %s\n", b.directory, strerror(errno));
		return 1;
	}
	(void)snprintf(b.path, sizeof(b.path), "%s/journal.db", b.directory);
	b.options.path = b.path;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	bench_size(&b, true);
	bench_size(&b, false);
	bench_steady(&b);
	bench_backlog(&b);
	(void)rmdir(b.directory);
	return 0;
}
