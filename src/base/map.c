/* Hash map from byte strings. See map.h.
 *
 * Three blocks: entries in insertion order, key bytes end to end, and a power-of-two table of entry
 * numbers probed linearly, at most 2/3 full. The hash is SipHash-1-3 (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012) under a key of the map's own, so whoever writes the keys
 * cannot choose collisions.                                                                     */
#include "base/map.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"

#define MIN_SLOTS 16
#define NO_ENTRY  UINT32_MAX

struct entry {
    uint64_t hash;
    size_t key_at; /* offset in keys */
    size_t key_bytes;
    union au_map_value value;
};

struct au_map {
    uint64_t seed[2];
    struct entry *entries;
    size_t n_entries, entries_capacity;
    char *keys;
    size_t keys_bytes, keys_capacity;
    uint32_t *slots; /* entry number or NO_ENTRY */
    size_t n_slots;  /* power of two */
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static uint64_t sip_hash(const uint64_t seed[2], const void *key, size_t n)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                     seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    const unsigned char *p = key;
    uint64_t word;
    for (size_t left = n; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)n << 56;
    for (size_t i = 0; i < (n & 7); i++)
        word |= (uint64_t)p[i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Slot of the key, or of the free place where it would go. */
static size_t find_slot(const struct au_map *map, uint64_t hash, const void *key, size_t n)
{
    size_t mask = map->n_slots - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        if (map->slots[at] == NO_ENTRY)
            return at;
        const struct entry *e = &map->entries[map->slots[at]];
        if (e->hash == hash && e->key_bytes == n &&
            (n == 0 || memcmp(map->keys + e->key_at, key, n) == 0))
            return at;
    }
}

static enum auricle_error resize_slots(struct au_map *map, size_t n_slots)
{
    uint32_t *slots = au_alloc_array(n_slots, sizeof *slots);
    if (!slots)
        return AURICLE_E_NOMEM;
    memset(slots, 0xFF, n_slots * sizeof *slots); /* all NO_ENTRY */
    for (size_t i = 0; i < map->n_entries; i++) {
        size_t at = map->entries[i].hash & (n_slots - 1);
        while (slots[at] != NO_ENTRY)
            at = (at + 1) & (n_slots - 1);
        slots[at] = (uint32_t)i;
    }
    au_free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return AURICLE_OK;
}

enum auricle_error au_map_create(size_t expected_entries, struct au_map **out)
{
    struct au_map *map = au_calloc(1, sizeof *map);
    if (!map)
        return AURICLE_E_NOMEM;
    if (getrandom(map->seed, sizeof map->seed, GRND_NONBLOCK) != (ssize_t)sizeof map->seed) {
        /* Early boot or an old kernel: weaker, but still different for every map. */
        map->seed[0] = (uint64_t)au_now_ns() * 0x9E3779B97F4A7C15u;
        map->seed[1] = (uint64_t)(uintptr_t)map * 0xC2B2AE3D27D4EB4Fu ^ (uint64_t)au_wall_ms();
    }
    size_t n_slots = MIN_SLOTS;
    if (expected_entries >= NO_ENTRY / 2)
        goto fail;
    while (n_slots / 3 * 2 < expected_entries)
        n_slots *= 2;
    if (resize_slots(map, n_slots))
        goto fail;
    if (expected_entries) {
        map->entries = au_alloc_array(expected_entries, sizeof *map->entries);
        if (!map->entries)
            goto fail;
        map->entries_capacity = expected_entries;
    }
    *out = map;
    return AURICLE_OK;
fail:
    au_map_destroy(map);
    return AURICLE_E_NOMEM;
}

void au_map_destroy(struct au_map *map)
{
    if (!map)
        return;
    au_free(map->entries);
    au_free(map->keys);
    au_free(map->slots);
    au_free(map);
}

/* Room for one more entry and n more key bytes; the map is unchanged for readers. */
static enum auricle_error make_room(struct au_map *map, size_t n)
{
    size_t need;
    if (map->n_entries >= NO_ENTRY / 2 || !au_add_size(map->keys_bytes, n, &need))
        return AURICLE_E_NOMEM;
    if (need > map->keys_capacity) {
        size_t capacity = need > SIZE_MAX / 2 ? need : need + need / 2 + 64;
        char *keys = au_realloc(map->keys, capacity);
        if (!keys)
            return AURICLE_E_NOMEM;
        map->keys = keys;
        map->keys_capacity = capacity;
    }
    struct entry *entries = au_grow(map->entries, map->n_entries, &map->entries_capacity,
                                    sizeof *entries);
    if (!entries)
        return AURICLE_E_NOMEM;
    map->entries = entries;
    if (map->n_entries + 1 > map->n_slots / 3 * 2)
        return resize_slots(map, map->n_slots * 2);
    return AURICLE_OK;
}

enum auricle_error au_map_put(struct au_map *map, const void *key, size_t n,
                              union au_map_value value)
{
    uint64_t hash = sip_hash(map->seed, key, n);
    size_t at = find_slot(map, hash, key, n);
    if (map->slots[at] != NO_ENTRY) {
        map->entries[map->slots[at]].value = value;
        return AURICLE_OK;
    }
    enum auricle_error e = make_room(map, n);
    if (e)
        return e;
    at = find_slot(map, hash, key, n); /* the table may have grown */
    if (n)
        memcpy(map->keys + map->keys_bytes, key, n);
    map->entries[map->n_entries] = (struct entry){hash, map->keys_bytes, n, value};
    map->slots[at] = (uint32_t)map->n_entries++;
    map->keys_bytes += n;
    return AURICLE_OK;
}

bool au_map_get(const struct au_map *map, const void *key, size_t n, union au_map_value *out)
{
    size_t at = find_slot(map, sip_hash(map->seed, key, n), key, n);
    if (map->slots[at] == NO_ENTRY)
        return false;
    *out = map->entries[map->slots[at]].value;
    return true;
}

size_t au_map_count(const struct au_map *map)
{
    return map->n_entries;
}

void au_map_at(const struct au_map *map, size_t i, const char **key, size_t *n,
               union au_map_value *out)
{
    const struct entry *e = &map->entries[i];
    *key = map->keys ? map->keys + e->key_at : "";
    *n = e->key_bytes;
    *out = e->value;
}
