/* Units, counts, the printed alignment and the bootstrap; the alignment itself is text/align.c. */
#include "text/wer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode.h"

/* --- units ---------------------------------------------------------------------------------- */

static enum auricle_error units_push(struct text_units *units, size_t *capacity, const char *bytes,
                                     size_t n)
{
    struct text_unit *items = au_grow(units->items, units->n, capacity, sizeof *items);
    if (!items)
        return AURICLE_E_NOMEM;
    units->items = items;
    units->items[units->n++] = (struct text_unit){bytes, n};
    return AURICLE_OK;
}

/* Cut at white space, and with graphemes also between characters. */
static enum auricle_error cut(const char *text, size_t n, bool graphemes, struct text_units *out)
{
    struct text_units units = {0};
    size_t capacity = 0, begin = 0;
    uint32_t before = ' ';
    int32_t state = 0;
    enum auricle_error error = AURICLE_OK;
    for (size_t at = 0; at <= n && !error;) {
        uint32_t c = ' '; /* the end ends a unit, too */
        const size_t step = at < n ? au_utf8_decode(text + at, n - at, &c) : 1;
        const bool space = text_char_is_space(c), after_space = text_char_is_space(before);
        const bool breaks = at > 0 && graphemes && text_grapheme_break(before, c, &state);
        if (!after_space && (space || breaks))
            error = units_push(&units, &capacity, text + begin, at - begin);
        if (after_space || breaks)
            begin = at;
        before = c;
        at += step;
    }
    if (error)
        text_units_deinit(&units);
    else
        *out = units;
    return error;
}

enum auricle_error text_units_words(const char *text, size_t n, struct text_units *out)
{
    return cut(text, n, false, out);
}

enum auricle_error text_units_characters(const char *text, size_t n, struct text_units *out)
{
    return cut(text, n, true, out);
}

void text_units_deinit(struct text_units *units)
{
    au_free(units->items);
    *units = (struct text_units){0};
}

/* --- counts --------------------------------------------------------------------------------- */

/* Number the different units, so that aligning compares numbers. */
static enum auricle_error number_units(struct au_map *numbers, const struct text_units *units,
                                       uint32_t *out)
{
    for (size_t i = 0; i < units->n; i++) {
        const struct text_unit *unit = &units->items[i];
        union au_map_value value;
        if (!au_map_get(numbers, unit->bytes, unit->n, &value)) {
            value.integer = (int64_t)au_map_count(numbers);
            const enum auricle_error error = au_map_put(numbers, unit->bytes, unit->n, value);
            if (error)
                return error;
        }
        out[i] = (uint32_t)value.integer;
    }
    return AURICLE_OK;
}

static struct text_error_counts count_edits(const unsigned char *edits, size_t n)
{
    struct text_error_counts counts = {0};
    for (size_t i = 0; i < n; i++) {
        counts.hits += edits[i] == TEXT_EDIT_HIT;
        counts.substitutions += edits[i] == TEXT_EDIT_SUBSTITUTE;
        counts.insertions += edits[i] == TEXT_EDIT_INSERT;
        counts.deletions += edits[i] == TEXT_EDIT_DELETE;
    }
    counts.n_reference = counts.hits + counts.substitutions + counts.deletions;
    return counts;
}

enum auricle_error text_align_units(const struct text_units *reference,
                                    const struct text_units *hypothesis, struct text_alignment *out)
{
    struct au_map *numbers = NULL;
    struct text_alignment alignment = {0};
    uint32_t *a = au_alloc_array(reference->n, sizeof *a);
    uint32_t *b = au_alloc_array(hypothesis->n, sizeof *b);
    alignment.edits = au_alloc_array(reference->n + hypothesis->n, 1);
    enum auricle_error error = AURICLE_E_NOMEM;
    if (!a || !b || !alignment.edits)
        goto done;
    error = au_map_create(0, &numbers);
    if (!error)
        error = number_units(numbers, reference, a);
    if (!error)
        error = number_units(numbers, hypothesis, b);
    if (!error)
        error = text_align_symbols(a, reference->n, b, hypothesis->n, au_map_count(numbers),
                                   alignment.edits, &alignment.n_edits);
    if (error)
        goto done;
    alignment.counts = count_edits(alignment.edits, alignment.n_edits);
    *out = alignment;
done:
    if (error)
        text_alignment_deinit(&alignment);
    au_map_destroy(numbers);
    au_free(a);
    au_free(b);
    return error;
}

void text_alignment_deinit(struct text_alignment *alignment)
{
    au_free(alignment->edits);
    *alignment = (struct text_alignment){0};
}

void text_error_counts_add(struct text_error_counts *sum, const struct text_error_counts *more)
{
    sum->n_reference += more->n_reference;
    sum->hits += more->hits;
    sum->substitutions += more->substitutions;
    sum->insertions += more->insertions;
    sum->deletions += more->deletions;
}

double text_error_rate(const struct text_error_counts *counts)
{
    const size_t errors = counts->substitutions + counts->insertions + counts->deletions;
    if (counts->n_reference == 0)
        return errors > 0 ? 1 : 0;
    return (double)errors / (double)counts->n_reference;
}

/* --- printing ------------------------------------------------------------------------------- */

enum { LABEL_COLUMNS = 5 };

static void pad(struct au_buf *line, char c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        au_buf_putc(line, c);
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0);
}

/* Columns of a unit as put_cell writes it; none for NULL. */
static size_t unit_columns(const struct text_unit *unit)
{
    size_t columns = 0;
    for (size_t at = 0; unit && at < unit->n;) {
        uint32_t c;
        at += au_utf8_decode(unit->bytes + at, unit->n - at, &c);
        columns += is_control(c) ? 1 : (size_t)text_char_columns(c);
    }
    return columns;
}

/* A unit and blanks up to its column's width and one more; a gap is drawn in stars. Controls become
 * '?': what a file says must not steer the terminal.                                            */
static void put_cell(struct au_buf *line, const struct text_unit *unit, size_t width)
{
    for (size_t at = 0; unit && at < unit->n;) {
        uint32_t c;
        char bytes[4];
        at += au_utf8_decode(unit->bytes + at, unit->n - at, &c);
        au_buf_append(line, bytes, au_utf8_encode(is_control(c) ? '?' : c, bytes));
    }
    pad(line, '*', unit ? 0 : width);
    pad(line, ' ', 1 + (unit ? width - unit_columns(unit) : 0));
}

/* Write one of the three lines without the blanks at its end, and begin it anew. */
static void flush_line(struct au_buf *line, const char *label, struct au_buf *out)
{
    while (line->len > 0 && line->data[line->len - 1] == ' ')
        line->len--;
    au_buf_puts(out, label);
    if (line->len > 0) {
        au_buf_putc(out, ' ');
        au_buf_append(out, line->data, line->len);
    }
    au_buf_putc(out, '\n');
    if (line->error)
        out->error = line->error;
    au_buf_clear(line);
}

struct printer {
    struct au_buf reference, hypothesis, edits;
    size_t columns; /* used */
    struct au_buf *out;
};

static void flush_block(struct printer *p, bool more)
{
    flush_line(&p->reference, "REF:", p->out);
    flush_line(&p->hypothesis, "HYP:", p->out);
    flush_line(&p->edits, "OP :", p->out);
    if (more)
        au_buf_putc(p->out, '\n');
    p->columns = 0;
}

static void print_pair(struct printer *p, const struct text_unit *reference,
                       const struct text_unit *hypothesis, enum text_edit edit, size_t columns)
{
    static const char LETTERS[] = {
        [TEXT_EDIT_HIT] = ' ',
        [TEXT_EDIT_SUBSTITUTE] = 'S',
        [TEXT_EDIT_INSERT] = 'I',
        [TEXT_EDIT_DELETE] = 'D',
    };
    const size_t left = unit_columns(reference), right = unit_columns(hypothesis);
    size_t width = left > right ? left : right;
    width = width > 0 ? width : 1;
    if (p->columns > 0 && LABEL_COLUMNS + p->columns + width > columns)
        flush_block(p, true);
    put_cell(&p->reference, reference, width);
    put_cell(&p->hypothesis, hypothesis, width);
    au_buf_putc(&p->edits, LETTERS[edit]);
    pad(&p->edits, ' ', width);
    p->columns += width + 1;
}

enum auricle_error text_alignment_print(const struct text_alignment *alignment,
                                        const struct text_units *reference,
                                        const struct text_units *hypothesis, size_t columns,
                                        struct au_buf *out)
{
    struct printer p = {.out = out};
    size_t i = 0, j = 0;
    au_buf_init(&p.reference, 0);
    au_buf_init(&p.hypothesis, 0);
    au_buf_init(&p.edits, 0);
    for (size_t k = 0; k < alignment->n_edits && !out->error; k++) {
        const enum text_edit edit = alignment->edits[k];
        const struct text_unit *left = NULL, *right = NULL;
        if (edit != TEXT_EDIT_INSERT)
            left = &reference->items[i++];
        if (edit != TEXT_EDIT_DELETE)
            right = &hypothesis->items[j++];
        print_pair(&p, left, right, edit, columns);
    }
    flush_block(&p, false);
    au_buf_deinit(&p.reference);
    au_buf_deinit(&p.hypothesis);
    au_buf_deinit(&p.edits);
    return out->error;
}

/* --- bootstrap ------------------------------------------------------------------------------ */

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int compare_rates(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum auricle_error text_error_rate_interval(const struct text_error_counts *recordings,
                                            size_t n_recordings, size_t n_rounds, double confidence,
                                            uint64_t seed, double *low, double *high)
{
    if (n_recordings == 0 || n_rounds == 0 || !(confidence > 0 && confidence < 1))
        return AURICLE_E_INVALID;
    double *rates = au_alloc_array(n_rounds, sizeof *rates);
    if (!rates)
        return AURICLE_E_NOMEM;
    for (size_t round = 0; round < n_rounds; round++) {
        struct text_error_counts sum = {0};
        for (size_t i = 0; i < n_recordings; i++)
            text_error_counts_add(&sum, &recordings[next_random(&seed) % n_recordings]);
        rates[round] = text_error_rate(&sum);
    }
    qsort(rates, n_rounds, sizeof *rates, compare_rates);
    const double tail = (1 - confidence) / 2, last = (double)(n_rounds - 1);
    *low = rates[(size_t)lround(tail * last)];
    *high = rates[(size_t)lround((1 - tail) * last)];
    au_free(rates);
    return AURICLE_OK;
}
