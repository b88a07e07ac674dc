/* SPDX-License-Identifier: Apache-2.0 */
#include "config_private.h"

#include <string.h>

/* The slot of the name, or the free one where it belongs; the capacity is a power of two. */
static size_t find_slot(const struct config_names *names, const char *name)
{
	size_t i = hash_string(HASH_INIT, name) & (names->capacity - 1);

	while (names->slots[i].name && strcmp(names->slots[i].name, name) != 0) {
		i = (i + 1) & (names->capacity - 1);
	}
	return i;
}

static void grow(struct config_names *names)
{
	struct config_names larger = {
		.n = names->n,
		.capacity = names->capacity ? 4 * names->capacity : 16,
	};

	larger.slots = xcalloc(larger.capacity, sizeof(*larger.slots));
	for (size_t i = 0; i < names->capacity; i++) {
		if (names->slots[i].name) {
			larger.slots[find_slot(&larger, names->slots[i].name)] = names->slots[i];
		}
	}
	free(names->slots);
	*names = larger;
}

bool config_names_add(
	struct config_names *names, const char *name, uint32_t value, uint32_t *ret_value)
{
	struct config_name *slot;

	if (2 * names->n >= names->capacity) {
		grow(names);
	}
	slot = &names->slots[find_slot(names, name)];
	if (slot->name) {
		if (ret_value) {
			*ret_value = slot->value;
		}
		return false;
	}
	*slot = (struct config_name){name, value};
	names->n++;
	return true;
}

bool config_names_find(const struct config_names *names, const char *name, uint32_t *ret_value)
{
	const struct config_name *slot;

	if (names->n == 0) {
		return false;
	}
	slot = &names->slots[find_slot(names, name)];
	if (slot->name) {
		*ret_value = slot->value;
	}
	return slot->name;
}

void config_names_clear(struct config_names *names)
{
	free(names->slots);
	*names = (struct config_names){0};
}
