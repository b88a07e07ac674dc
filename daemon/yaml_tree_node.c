/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_tree.h"

#include <string.h>

const struct yaml_pair *yaml_find(const struct yaml_node *mapping, const char *key)
{
	for (uint32_t i = 0; i < mapping->n; i++) {
		if (strcmp(mapping->pairs[i].key, key) == 0) {
			return &mapping->pairs[i];
		}
	}
	return NULL;
}

uint64_t yaml_hash(uint64_t hash, const struct yaml_node *node)
{
	uint64_t sum = 0;

	if (!node) {
		return hash_bytes(hash, "", 1);
	}
	hash = hash_bytes(hash, &node->kind, sizeof(node->kind));
	if (node->kind == YAML_KIND_SCALAR) {
		return hash_string(hash, node->is_null ? NULL : node->text);
	}
	hash = hash_bytes(hash, &node->n, sizeof(node->n));
	for (uint32_t i = 0; i < node->n; i++) {
		if (node->kind == YAML_KIND_SEQUENCE) {
			hash = yaml_hash(hash, node->items[i]);
		} else {
			/* a sum, because the order of keys means nothing */
			sum += yaml_hash(
				hash_string(HASH_INIT, node->pairs[i].key), node->pairs[i].value);
		}
	}
	return hash_bytes(hash, &sum, sizeof(sum));
}
