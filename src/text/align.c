/* Levenshtein alignment in linear memory and bit-parallel time.
 *
 * Hirschberg's recursion (1975): cut the hypothesis in the middle, compute how far every prefix
 * of the reference is from its first half and every suffix from its second, cut the reference
 * where the sum is least, and align both parts. The distances of all prefixes come from Myers'
 * bit vectors (1999, in Hyyro's block form of 2003), 64 cells of the table per step. Parts with
 * a small table are solved outright with the usual table of directions. What two parts have in
 * common at their ends is taken off first: transcripts mostly agree.                             */
#include "text/align.h"

#include <string.h>

#include "base/mem.h"

enum { SMALL_TABLE_CELLS = 1 << 20 };

#define NO_POSITION UINT32_MAX

struct aligner {
    const uint32_t *reference, *hypothesis;
    uint64_t *plus, *minus, *equal;  /* [blocks of the reference]: vertical +1, -1, matches */
    uint32_t *first, *next;          /* positions of each symbol: [n_symbols], [n_reference] */
    uint32_t *head_cost, *tail_cost; /* [n_reference + 1] */
    int64_t *row;                    /* [SMALL_TABLE_CELLS + 1] one row of a small table */
    unsigned char *table;            /* [SMALL_TABLE_CELLS] */
    unsigned char *edits;
    size_t n_edits;
};

/* A stretch of both sequences. */
struct part {
    size_t reference, n_reference;
    size_t hypothesis, n_hypothesis;
};

static void put(struct aligner *a, enum text_edit edit, size_t count)
{
    memset(a->edits + a->n_edits, edit, count);
    a->n_edits += count;
}

/* --- small tables --------------------------------------------------------------------------- */

/* Fill table[i][j], i in the reference and j in the hypothesis, with the last edit on the best way
 * there. Costs count edits first and hits against them, so that of equally short ways the one with
 * the most hits is taken; after that the diagonal wins, then the deletion.                      */
static void fill_table(struct aligner *a, const struct part *p)
{
    static const int64_t EDIT = (int64_t)SMALL_TABLE_CELLS * 2, HIT = -1;
    const uint32_t *reference = a->reference + p->reference;
    const uint32_t *hypothesis = a->hypothesis + p->hypothesis;
    const size_t m = p->n_hypothesis;
    for (size_t j = 0; j <= m; j++)
        a->row[j] = (int64_t)j * EDIT;
    for (size_t i = 0; i < p->n_reference; i++) {
        int64_t diagonal = a->row[0];
        a->row[0] += EDIT;
        for (size_t j = 0; j < m; j++) {
            const bool hit = reference[i] == hypothesis[j];
            int64_t best = diagonal + (hit ? HIT : EDIT);
            unsigned char edit = hit ? TEXT_EDIT_HIT : TEXT_EDIT_SUBSTITUTE;
            if (a->row[j + 1] + EDIT < best) {
                best = a->row[j + 1] + EDIT;
                edit = TEXT_EDIT_DELETE;
            }
            if (a->row[j] + EDIT < best) {
                best = a->row[j] + EDIT;
                edit = TEXT_EDIT_INSERT;
            }
            diagonal = a->row[j + 1];
            a->row[j + 1] = best;
            a->table[i * m + j] = edit;
        }
    }
}

/* Walk the table back from its end. The edits are written backwards and then turned round. */
static void align_small(struct aligner *a, const struct part *p)
{
    size_t i = p->n_reference, j = p->n_hypothesis;
    unsigned char *begin = a->edits + a->n_edits;
    fill_table(a, p);
    while (i > 0 || j > 0) {
        enum text_edit edit = TEXT_EDIT_INSERT;
        if (j == 0)
            edit = TEXT_EDIT_DELETE;
        else if (i > 0)
            edit = a->table[(i - 1) * p->n_hypothesis + j - 1];
        i -= edit != TEXT_EDIT_INSERT;
        j -= edit != TEXT_EDIT_DELETE;
        put(a, edit, 1);
    }
    for (unsigned char *left = begin, *right = a->edits + a->n_edits; left + 1 < right; left++) {
        const unsigned char swap = *--right;
        *right = *left;
        *left = swap;
    }
}

/* --- distances of all prefixes -------------------------------------------------------------- */

/* The symbol at place i of a part, counted from its other end when backwards. */
static uint32_t symbol_at(const uint32_t *symbols, size_t n, size_t i, bool backwards)
{
    return symbols[backwards ? n - 1 - i : i];
}

/* One column of the table: the vertical differences of the column before become this one's. */
static void advance_column(struct aligner *a, size_t n_blocks)
{
    int carry = 1; /* the top row grows by one per column */
    for (size_t b = 0; b < n_blocks; b++) {
        const uint64_t plus = a->plus[b], minus = a->minus[b];
        uint64_t equal = a->equal[b];
        const uint64_t vertical = equal | minus;
        equal |= carry < 0;
        const uint64_t horizontal = (((equal & plus) + plus) ^ plus) | equal;
        uint64_t grows = minus | ~(horizontal | plus);
        uint64_t shrinks = plus & horizontal;
        const int carry_out = (int)(grows >> 63) - (int)(shrinks >> 63);
        grows = grows << 1 | (carry > 0);
        shrinks = shrinks << 1 | (carry < 0);
        a->plus[b] = shrinks | ~(vertical | grows);
        a->minus[b] = grows & vertical;
        carry = carry_out;
    }
}

/* cost[i] becomes the distance of the first i symbols of the reference to all n_hypothesis
 * symbols of the hypothesis; both counted from their ends when backwards.                        */
static void prefix_costs(struct aligner *a, const uint32_t *reference, size_t n_reference,
                         const uint32_t *hypothesis, size_t n_hypothesis, bool backwards,
                         uint32_t *cost)
{
    const size_t n_blocks = (n_reference + 63) / 64;
    memset(a->plus, 0xFF, n_blocks * sizeof *a->plus);
    memset(a->minus, 0, n_blocks * sizeof *a->minus);
    for (size_t i = 0; i < n_reference; i++) {
        const uint32_t symbol = symbol_at(reference, n_reference, i, backwards);
        a->next[i] = a->first[symbol];
        a->first[symbol] = (uint32_t)i;
    }
    for (size_t j = 0; j < n_hypothesis; j++) {
        const uint32_t symbol = symbol_at(hypothesis, n_hypothesis, j, backwards);
        memset(a->equal, 0, n_blocks * sizeof *a->equal);
        for (uint32_t i = a->first[symbol]; i != NO_POSITION; i = a->next[i])
            a->equal[i / 64] |= (uint64_t)1 << (i % 64);
        advance_column(a, n_blocks);
    }
    cost[0] = (uint32_t)n_hypothesis;
    for (size_t i = 0; i < n_reference; i++) {
        const int difference = (int)(a->plus[i / 64] >> (i % 64) & 1) -
                               (int)(a->minus[i / 64] >> (i % 64) & 1);
        cost[i + 1] = cost[i] + (uint32_t)difference;
        a->first[symbol_at(reference, n_reference, i, backwards)] = NO_POSITION;
    }
}

/* --- the recursion -------------------------------------------------------------------------- */

static void align_part(struct aligner *a, struct part p);

static void align_halves(struct aligner *a, const struct part *p)
{
    const uint32_t *reference = a->reference + p->reference;
    const uint32_t *hypothesis = a->hypothesis + p->hypothesis;
    const size_t middle = p->n_hypothesis / 2;
    prefix_costs(a, reference, p->n_reference, hypothesis, middle, false, a->head_cost);
    prefix_costs(a, reference, p->n_reference, hypothesis + middle, p->n_hypothesis - middle, true,
                 a->tail_cost);
    size_t cut = 0;
    for (size_t i = 1; i <= p->n_reference; i++) {
        if (a->head_cost[i] + a->tail_cost[p->n_reference - i] <
            a->head_cost[cut] + a->tail_cost[p->n_reference - cut])
            cut = i;
    }
    align_part(a, (struct part){p->reference, cut, p->hypothesis, middle});
    align_part(a, (struct part){p->reference + cut, p->n_reference - cut, p->hypothesis + middle,
                                p->n_hypothesis - middle});
}

/* The hypothesis is halved each time, so the depth is its logarithm. */
static void align_part(struct aligner *a, struct part p)
{
    const uint32_t *reference = a->reference + p.reference;
    const uint32_t *hypothesis = a->hypothesis + p.hypothesis;
    const size_t shorter = p.n_reference < p.n_hypothesis ? p.n_reference : p.n_hypothesis;
    size_t head = 0, tail = 0;
    while (head < shorter && reference[head] == hypothesis[head])
        head++;
    while (tail < shorter - head &&
           reference[p.n_reference - 1 - tail] == hypothesis[p.n_hypothesis - 1 - tail])
        tail++;
    put(a, TEXT_EDIT_HIT, head);
    p.reference += head;
    p.hypothesis += head;
    p.n_reference -= head + tail;
    p.n_hypothesis -= head + tail;
    if (p.n_reference == 0 || p.n_hypothesis == 0) {
        put(a, TEXT_EDIT_DELETE, p.n_reference);
        put(a, TEXT_EDIT_INSERT, p.n_hypothesis);
    } else if (p.n_reference <= SMALL_TABLE_CELLS / p.n_hypothesis) {
        align_small(a, &p);
    } else if (p.n_hypothesis == 1) {
        /* one symbol against many: a hit if it is among them, else it replaces the first */
        size_t at = 0;
        while (at < p.n_reference && a->reference[p.reference + at] != a->hypothesis[p.hypothesis])
            at++;
        const bool found = at < p.n_reference;
        put(a, TEXT_EDIT_DELETE, found ? at : 0);
        put(a, found ? TEXT_EDIT_HIT : TEXT_EDIT_SUBSTITUTE, 1);
        put(a, TEXT_EDIT_DELETE, p.n_reference - 1 - (found ? at : 0));
    } else {
        align_halves(a, &p);
    }
    put(a, TEXT_EDIT_HIT, tail);
}

static void release(struct aligner *a)
{
    au_free(a->plus);
    au_free(a->minus);
    au_free(a->equal);
    au_free(a->first);
    au_free(a->next);
    au_free(a->head_cost);
    au_free(a->tail_cost);
    au_free(a->row);
    au_free(a->table);
}

static bool reserve(struct aligner *a, size_t n_reference, size_t n_hypothesis, size_t n_symbols)
{
    const size_t n_blocks = (n_reference + 63) / 64;
    size_t n_cells = SMALL_TABLE_CELLS;
    if (n_reference <= SMALL_TABLE_CELLS / (n_hypothesis + 1))
        n_cells = n_reference * n_hypothesis;
    const size_t n_row = n_hypothesis < n_cells ? n_hypothesis : n_cells;
    a->plus = au_alloc_array(n_blocks, sizeof *a->plus);
    a->minus = au_alloc_array(n_blocks, sizeof *a->minus);
    a->equal = au_alloc_array(n_blocks, sizeof *a->equal);
    a->first = au_alloc_array(n_symbols, sizeof *a->first);
    a->next = au_alloc_array(n_reference, sizeof *a->next);
    a->head_cost = au_alloc_array(n_reference + 1, sizeof *a->head_cost);
    a->tail_cost = au_alloc_array(n_reference + 1, sizeof *a->tail_cost);
    a->row = au_alloc_array(n_row + 1, sizeof *a->row);
    a->table = au_alloc(n_cells);
    return a->plus && a->minus && a->equal && a->first && a->next && a->head_cost && a->tail_cost &&
           a->row && a->table;
}

enum auricle_error text_align_symbols(const uint32_t *reference, size_t n_reference,
                                      const uint32_t *hypothesis, size_t n_hypothesis,
                                      size_t n_symbols, unsigned char *edits, size_t *n_edits)
{
    struct aligner a = {.reference = reference, .hypothesis = hypothesis, .edits = edits};
    if (n_reference >= (size_t)1 << 30 || n_hypothesis >= (size_t)1 << 30)
        return AURICLE_E_LIMIT;
    enum auricle_error error = AURICLE_E_NOMEM;
    if (reserve(&a, n_reference, n_hypothesis, n_symbols)) {
        memset(a.first, 0xFF, n_symbols * sizeof *a.first); /* NO_POSITION */
        align_part(&a, (struct part){0, n_reference, 0, n_hypothesis});
        *n_edits = a.n_edits;
        error = AURICLE_OK;
    }
    release(&a);
    return error;
}
