/* Byte-pair merging with a heap of candidate pairs.
 *
 * The piece is a doubly linked list of tokens, at first one per byte. Every pair that could
 * merge is in a heap ordered by (rank, position); the best is merged, its two neighbours make
 * new candidates. Entries made stale by a merge are recognised by the length that they expected,
 * not removed. A merge adds at most two entries, so a piece of n bytes needs 3 n of them and n
 * log n time: a megabyte of one letter is as harmless as a book.                                 */
#include "text/bpe.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum { NONE = -1 };

struct bpe_node {
    uint32_t bytes; /* 0: swallowed by the node before it */
    int32_t id;
    int32_t previous, next; /* index of the first byte of the neighbour, or NONE */
};

struct bpe_candidate {
    uint32_t rank;
    uint32_t at;    /* left node */
    uint32_t bytes; /* of both together when the candidate was made */
    int32_t id;     /* token that the pair becomes */
};

struct text_bpe {
    struct au_map *tokens; /* bytes -> id */
    struct au_map *merges; /* two ids -> rank and id; NULL: rank is the id of the joined bytes */
    size_t longest;        /* bytes of the longest token */
    int32_t byte_id[256];  /* id of each byte as a token, or NONE */
};

struct merge_key {
    int32_t left, right;
};

enum auricle_error text_bpe_create(size_t expected_tokens, size_t n_merges, struct text_bpe **out)
{
    struct text_bpe *bpe = au_calloc(1, sizeof *bpe);
    if (!bpe)
        return AURICLE_E_NOMEM;
    for (int i = 0; i < 256; i++)
        bpe->byte_id[i] = NONE;
    enum auricle_error error = au_map_create(expected_tokens, &bpe->tokens);
    if (!error && n_merges > 0)
        error = au_map_create(n_merges, &bpe->merges);
    if (error)
        goto fail;
    *out = bpe;
    return AURICLE_OK;
fail:
    text_bpe_destroy(bpe);
    return error;
}

void text_bpe_destroy(struct text_bpe *bpe)
{
    if (!bpe)
        return;
    au_map_destroy(bpe->tokens);
    au_map_destroy(bpe->merges);
    au_free(bpe);
}

int32_t text_bpe_find(const struct text_bpe *bpe, const char *bytes, size_t n)
{
    union au_map_value value;
    if (n == 0 || n > bpe->longest || !au_map_get(bpe->tokens, bytes, n, &value))
        return NONE;
    return (int32_t)value.integer;
}

enum auricle_error text_bpe_add_token(struct text_bpe *bpe, const char *bytes, size_t n, int32_t id)
{
    const int32_t known = text_bpe_find(bpe, bytes, n);
    if (n == 0 || (known != NONE && known < id))
        return AURICLE_OK;
    if (n > bpe->longest)
        bpe->longest = n;
    if (n == 1)
        bpe->byte_id[(unsigned char)bytes[0]] = id;
    return au_map_put(bpe->tokens, bytes, n, (union au_map_value){.integer = id});
}

enum auricle_error text_bpe_add_merge(struct text_bpe *bpe, const char *left, size_t n_left,
                                      const char *right, size_t n_right, uint32_t rank)
{
    char joined[1024];
    const struct merge_key key = {text_bpe_find(bpe, left, n_left),
                                  text_bpe_find(bpe, right, n_right)};
    if (key.left == NONE || key.right == NONE || n_left + n_right > sizeof joined)
        return AURICLE_E_NOT_FOUND;
    memcpy(joined, left, n_left);
    memcpy(joined + n_left, right, n_right);
    const int32_t id = text_bpe_find(bpe, joined, n_left + n_right);
    if (id == NONE)
        return AURICLE_E_NOT_FOUND;
    return au_map_put(bpe->merges, &key, sizeof key,
                      (union au_map_value){.integer = (int64_t)rank << 32 | id});
}

void text_bpe_scratch_deinit(struct text_bpe_scratch *scratch)
{
    au_free(scratch->nodes);
    au_free(scratch->heap);
    *scratch = (struct text_bpe_scratch){0};
}

static enum auricle_error scratch_reserve(struct text_bpe_scratch *scratch, size_t n)
{
    if (n > (size_t)1 << 30)
        return AURICLE_E_LIMIT;
    if (n <= scratch->capacity)
        return AURICLE_OK;
    const size_t capacity = n < 64 ? 64 : n;
    text_bpe_scratch_deinit(scratch);
    scratch->nodes = au_alloc_array(capacity, sizeof *scratch->nodes);
    scratch->heap = au_alloc_array(capacity, 3 * sizeof *scratch->heap);
    if (!scratch->nodes || !scratch->heap)
        return AURICLE_E_NOMEM;
    scratch->capacity = capacity;
    return AURICLE_OK;
}

static bool comes_before(const struct bpe_candidate *a, const struct bpe_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct bpe_candidate *heap, size_t *n, struct bpe_candidate candidate)
{
    size_t i = (*n)++;
    while (i > 0) {
        const size_t parent = (i - 1) / 2;
        if (!comes_before(&candidate, &heap[parent]))
            break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = candidate;
}

static struct bpe_candidate heap_pop(struct bpe_candidate *heap, size_t *n)
{
    const struct bpe_candidate top = heap[0];
    const struct bpe_candidate last = heap[--*n];
    size_t i = 0;
    for (size_t child = 1; child < *n; child = 2 * i + 1) {
        if (child + 1 < *n && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* Put the pair that begins at node `at` into the heap when it can merge. */
static void consider(const struct text_bpe *bpe, const char *piece,
                     const struct text_bpe_scratch *scratch, int32_t at, size_t *n_heap)
{
    const struct bpe_node *left = at == NONE ? NULL : &scratch->nodes[at];
    if (!left || left->next == NONE)
        return;
    const struct bpe_node *right = &scratch->nodes[left->next];
    struct bpe_candidate c = {.at = (uint32_t)at, .bytes = left->bytes + right->bytes};
    if (bpe->merges) {
        const struct merge_key key = {left->id, right->id};
        union au_map_value value;
        if (!au_map_get(bpe->merges, &key, sizeof key, &value))
            return;
        c.rank = (uint32_t)(value.integer >> 32);
        c.id = (int32_t)(value.integer & 0xFFFFFFFF);
    } else {
        c.id = text_bpe_find(bpe, piece + at, c.bytes);
        if (c.id == NONE)
            return;
        c.rank = (uint32_t)c.id;
    }
    heap_push(scratch->heap, n_heap, c);
}

static void merge_all(const struct text_bpe *bpe, const char *piece, size_t n,
                      const struct text_bpe_scratch *scratch)
{
    struct bpe_node *nodes = scratch->nodes;
    size_t n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        nodes[i] = (struct bpe_node){.bytes = 1,
                                     .id = bpe->byte_id[(unsigned char)piece[i]],
                                     .previous = (int32_t)i - 1,
                                     .next = i + 1 < n ? (int32_t)i + 1 : NONE};
    }
    for (size_t i = 0; i + 1 < n; i++)
        consider(bpe, piece, scratch, (int32_t)i, &n_heap);
    while (n_heap > 0) {
        const struct bpe_candidate best = heap_pop(scratch->heap, &n_heap);
        struct bpe_node *left = &nodes[best.at];
        if (left->bytes == 0 || left->next == NONE)
            continue;
        struct bpe_node *right = &nodes[left->next];
        if (left->bytes + right->bytes != best.bytes)
            continue; /* one of the two has grown since */
        left->bytes = best.bytes;
        left->id = best.id;
        left->next = right->next;
        right->bytes = 0;
        if (left->next != NONE)
            nodes[left->next].previous = (int32_t)best.at;
        consider(bpe, piece, scratch, left->previous, &n_heap);
        consider(bpe, piece, scratch, (int32_t)best.at, &n_heap);
    }
}

enum auricle_error text_bpe_encode(const struct text_bpe *bpe, const char *piece, size_t n,
                                   struct text_bpe_scratch *scratch, int32_t *ids, size_t max,
                                   size_t *n_ids)
{
    size_t count = *n_ids;
    const int32_t whole = bpe->merges ? NONE : text_bpe_find(bpe, piece, n);
    if (whole != NONE) { /* most words of a prompt */
        if (count == max)
            return AURICLE_E_LIMIT;
        ids[(*n_ids)++] = whole;
        return AURICLE_OK;
    }
    const enum auricle_error error = scratch_reserve(scratch, n);
    if (error)
        return error;
    merge_all(bpe, piece, n, scratch);
    for (int32_t at = 0; at != NONE; at = scratch->nodes[at].next) {
        if (scratch->nodes[at].id == NONE)
            continue;
        if (count == max)
            return AURICLE_E_LIMIT;
        ids[count++] = scratch->nodes[at].id;
    }
    *n_ids = count;
    return AURICLE_OK;
}
