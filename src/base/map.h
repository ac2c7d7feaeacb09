/* Hash map from byte strings to an int64 or a pointer.
 *
 * Open addressing; keys are copied into one growing block; entries are never removed one by one.
 * The hash is keyed per map, so crafted keys cannot pile up. Iteration is in insertion order.
 * Read-only use is safe from any number of threads once building has ended.                     */
#ifndef AU_BASE_MAP_H
#define AU_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

union au_map_value {
    int64_t integer;
    void *pointer;
};

struct au_map; /* opaque */

AURICLE_MUST_CHECK enum auricle_error au_map_create(size_t expected_entries, struct au_map **out);
void au_map_destroy(struct au_map *map); /* values are not freed */

/* Insert or replace. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error au_map_put(struct au_map *map, const void *key, size_t n,
                                                 union au_map_value value);
/* Find; false when absent. */
bool au_map_get(const struct au_map *map, const void *key, size_t n, union au_map_value *out);

size_t au_map_count(const struct au_map *map);
/* i-th entry in insertion order, i < count. The key is borrowed until the next put. */
void au_map_at(const struct au_map *map, size_t i, const char **key, size_t *n,
               union au_map_value *out);

#endif
