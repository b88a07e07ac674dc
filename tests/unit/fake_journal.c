/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

struct fake_block {
	struct reading *readings;
	bool *acked;
	uint32_t n;
	bool dated;
};

static struct fake_block blocks[FAKE_BLOCKS_MAX];
static uint32_t n_blocks;
static uint64_t lost[JOURNAL_LOSS_CAUSES];
static char names[10][8], uuids[10][40];

void fake_journal_reset(void)
{
	for (uint32_t i = 0; i < n_blocks; i++) {
		free(blocks[i].readings);
		free(blocks[i].acked);
	}
	n_blocks = 0;
	memset(lost, 0, sizeof(lost));
}

int64_t fake_journal_add(const struct reading *readings, uint32_t n)
{
	struct fake_block *block = &blocks[n_blocks++];

	*block = (struct fake_block){.n = n, .dated = true};
	block->readings = xcalloc(n, sizeof(*readings));
	memcpy(block->readings, readings, n * sizeof(*readings));
	block->acked = xcalloc(n, sizeof(bool));
	return n_blocks;
}

void fake_journal_set_dated(int64_t id, bool dated)
{
	blocks[id - 1].dated = dated;
}

const char *fake_uuid(uint32_t sensor)
{
	(void)snprintf(uuids[sensor], sizeof(uuids[0]), "00000000-0000-4000-8000-%012u", sensor);
	return uuids[sensor];
}

uint32_t fake_journal_left(void)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < n_blocks; i++) {
		for (uint32_t k = 0; k < blocks[i].n; k++) {
			left += !blocks[i].acked[k];
		}
	}
	return left;
}

bool fake_journal_is_acked(int64_t id, uint32_t position)
{
	return blocks[id - 1].acked[position];
}

uint64_t fake_journal_lost(enum journal_loss cause)
{
	return lost[cause];
}

struct journal *fake_journal(void)
{
	return (struct journal *)(void *)blocks; /* never looked into */
}

/* --- journal.h --- */

int journal_sensor_names(
	struct journal *j, uint32_t sensor, const char **ret_slug, const char **ret_uuid)
{
	(void)j;
	if (sensor < 1 || sensor > 9) {
		return -ENOENT;
	}
	(void)snprintf(names[sensor], sizeof(names[0]), "s%u", sensor);
	*ret_slug = names[sensor];
	*ret_uuid = sensor % 2 ? fake_uuid(sensor) : NULL;
	return 0;
}

static uint32_t count_acked(const struct fake_block *block)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < block->n; i++) {
		n += block->acked[i];
	}
	return n;
}

int journal_take(struct journal *j, uint32_t device, int64_t after, uint32_t max_readings,
	struct journal_block **ret, size_t max_blocks)
{
	uint32_t readings = 0;
	int n = 0;

	(void)j;
	(void)device;
	for (uint32_t i = (uint32_t)after; i < n_blocks; i++) {
		const struct fake_block *from = &blocks[i];
		uint32_t n_acked = count_acked(from);
		struct journal_block *to;

		if (n_acked == from->n) {
			continue;
		}
		if ((size_t)n == max_blocks || readings >= max_readings) {
			break;
		}
		to = xcalloc(1, sizeof(*to));
		to->id = i + 1;
		to->n = from->n;
		to->n_acked = n_acked;
		to->acked = xcalloc((from->n + 7) / 8, 1);
		to->this_boot = true;
		to->dated = from->dated;
		to->first_us = from->readings[0].boottime_us;
		for (uint32_t k = 0; k < from->n; k++) {
			to->acked[k / 8] |= (uint8_t)(from->acked[k] << k % 8);
			to->last_us = MAX(to->last_us, from->readings[k].boottime_us);
		}
		ret[n++] = to;
		readings += from->n;
	}
	return n;
}

void journal_block_free(struct journal_block *b)
{
	free(b->acked);
	free(b);
}

int journal_block_readings(const struct journal_block *b, struct reading *out)
{
	memcpy(out, blocks[b->id - 1].readings, b->n * sizeof(*out));
	return (int)b->n;
}

int64_t journal_find_newer(struct journal *j, uint32_t device, int64_t boottime_us)
{
	(void)j;
	(void)device;
	for (uint32_t i = 0; i < n_blocks; i++) {
		if (blocks[i].readings[blocks[i].n - 1].boottime_us >= boottime_us) {
			return i;
		}
	}
	return n_blocks;
}

int64_t journal_newest_id(struct journal *j, uint32_t device)
{
	(void)j;
	(void)device;
	return n_blocks;
}

void journal_ack(struct journal *j, uint32_t device, const struct journal_ack *acks, size_t n)
{
	(void)j;
	(void)device;
	for (size_t i = 0; i < n; i++) {
		struct fake_block *block = &blocks[acks[i].id - 1];

		for (uint32_t k = 0; k < block->n; k++) {
			block->acked[k] = block->acked[k] || !acks[i].acked ||
					  (acks[i].acked[k / 8] & (1u << k % 8));
		}
	}
}

void journal_count_loss(struct journal *j, uint32_t device, enum journal_loss cause, uint64_t n)
{
	(void)j;
	(void)device;
	lost[cause] += n;
}

uint64_t journal_backlog(struct journal *j, uint32_t device)
{
	(void)j;
	(void)device;
	return fake_journal_left();
}
