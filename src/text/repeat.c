/* Repetition. A phrase of p units that repeats is a run of units that equal the one p before, so
 * one pass per period finds the longest run.                                                     */
#include "text/repeat.h"

#include <string.h>

#include "base/buf.h"
#include "base/map.h"

static bool same(const struct text_unit *a, const struct text_unit *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

struct text_loop text_find_loop(const struct text_units *units, size_t max_period)
{
    struct text_loop best = {0};
    for (size_t period = 1; period <= max_period && period * 2 <= units->n; period++) {
        size_t run = 0;
        for (size_t i = period; i < units->n; i++) {
            run = same(&units->items[i], &units->items[i - period]) ? run + 1 : 0;
            const size_t n_repeats = run / period + 1;
            if (n_repeats >= 2 && n_repeats * period > best.n_repeats * best.period)
                best = (struct text_loop){i + 1 - run - period, period, n_repeats};
        }
    }
    return best;
}

enum auricle_error text_repeated_share(const struct text_units *units, size_t n_gram, double *out)
{
    struct au_map *seen;
    struct au_buf key;
    size_t n_repeated = 0;
    if (n_gram == 0)
        return AURICLE_E_INVALID;
    if (units->n <= n_gram) {
        *out = 0;
        return AURICLE_OK;
    }
    enum auricle_error error = au_map_create(0, &seen);
    if (error)
        return error;
    au_buf_init(&key, 0);
    for (size_t i = 0; i + n_gram <= units->n && !error; i++) {
        union au_map_value value = {.integer = 1};
        au_buf_clear(&key);
        for (size_t k = 0; k < n_gram; k++) {
            au_buf_append(&key, units->items[i + k].bytes, units->items[i + k].n);
            au_buf_putc(&key, '\n'); /* units hold no white space */
        }
        error = key.error;
        if (error)
            break;
        if (au_map_get(seen, key.data, key.len, &value))
            n_repeated++;
        else
            error = au_map_put(seen, key.data, key.len, value);
    }
    au_buf_deinit(&key);
    au_map_destroy(seen);
    if (!error)
        *out = (double)n_repeated / (double)(units->n - n_gram + 1);
    return error;
}
