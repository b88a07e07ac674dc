/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_sensors.h"

#include <string.h>

#include "util.h"

struct sensor_text {
	struct sensor_text *next;
	char text[];
};

enum key { KEY_SLUG, KEY_UUID };

static const char *key_of(const struct sensor_entry *e, enum key key)
{
	return key == KEY_SLUG ? e->slug : e->uuid;
}

static size_t hash_key(const struct sensor_table *t, uint32_t device, enum key key, const char *s)
{
	uint64_t hash = hash_bytes(HASH_INIT + (uint64_t)key, &device, sizeof(device));

	return (size_t)hash_string(hash, s) & (t->index_size - 1);
}

static uint32_t lookup(const struct sensor_table *t, uint32_t device, enum key key, const char *s)
{
	uint32_t found = 0;

	if (!s || t->index_size == 0) {
		return 0;
	}
	for (size_t i = hash_key(t, device, key, s); t->index[i] != 0;
		i = (i + 1) & (t->index_size - 1)) {
		const struct sensor_entry *e = &t->entries[t->index[i] - 1];
		const char *candidate = key_of(e, key);

		/* a slug is the identity only of a sensor that has nothing better */
		if (e->device == device && candidate && strcmp(candidate, s) == 0 &&
			(key == KEY_UUID || !e->uuid)) {
			found = t->index[i]; /* the one that got this name last */
		}
	}
	return found;
}

static void put(struct sensor_table *t, uint32_t number, enum key key)
{
	const struct sensor_entry *e = &t->entries[number - 1];
	const char *s = key_of(e, key);
	size_t i;

	if (!s) {
		return;
	}
	i = hash_key(t, e->device, key, s);
	while (t->index[i] != 0) {
		i = (i + 1) & (t->index_size - 1);
	}
	t->index[i] = number;
	t->index_used++;
}

/* Room for two more keys, at most half full. */
static void grow_index(struct sensor_table *t)
{
	if (2 * (t->index_used + 2) <= t->index_size) {
		return;
	}
	t->index_size = 64;
	while (t->index_size < 8 * (t->n + 1)) {
		t->index_size *= 2;
	}
	free(t->index);
	t->index = xcalloc(t->index_size, sizeof(*t->index));
	t->index_used = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		put(t, i + 1, KEY_SLUG);
		put(t, i + 1, KEY_UUID);
	}
}

static const char *keep(struct sensor_table *t, const char *s)
{
	size_t size = strlen(s) + 1;
	struct sensor_text *text = xmalloc(sizeof(*text) + size);

	memcpy(text->text, s, size);
	text->next = t->texts;
	t->texts = text;
	return text->text;
}

uint32_t sensor_table_find(
	const struct sensor_table *t, uint32_t device, const char *slug, const char *uuid)
{
	uint32_t number = lookup(t, device, KEY_UUID, uuid);

	return number ? number : lookup(t, device, KEY_SLUG, slug);
}

uint32_t sensor_table_add(
	struct sensor_table *t, uint32_t device, const char *slug, const char *uuid)
{
	GROW(t->entries, t->n, t->capacity);
	t->entries[t->n] = (struct sensor_entry){.device = device};
	t->n++;
	(void)sensor_table_update(t, (uint32_t)t->n, slug, uuid);
	return (uint32_t)t->n;
}

bool sensor_table_update(
	struct sensor_table *t, uint32_t number, const char *slug, const char *uuid)
{
	struct sensor_entry *e = &t->entries[number - 1];
	bool new_slug = slug ? !e->slug || strcmp(e->slug, slug) != 0 : e->slug != NULL;
	bool new_uuid = uuid ? !e->uuid || strcmp(e->uuid, uuid) != 0 : e->uuid != NULL;

	grow_index(t);
	if (new_slug) {
		e->slug = slug ? keep(t, slug) : NULL;
		put(t, number, KEY_SLUG);
	}
	if (new_uuid) {
		e->uuid = uuid ? keep(t, uuid) : NULL;
		put(t, number, KEY_UUID);
	}
	e->dirty |= new_slug || new_uuid;
	return new_slug || new_uuid;
}

void sensor_table_reserve(struct sensor_table *t, uint32_t number)
{
	while (t->n < number && t->n < SENSORS_MAX) {
		GROW(t->entries, t->n, t->capacity);
		t->entries[t->n] = (struct sensor_entry){.db_number = (uint32_t)t->n + 1};
		t->n++;
	}
}

void sensor_table_clear(struct sensor_table *t)
{
	while (t->texts) {
		struct sensor_text *text = t->texts;

		t->texts = text->next;
		free(text);
	}
	free(t->entries);
	free(t->index);
	memset(t, 0, sizeof(*t));
}
