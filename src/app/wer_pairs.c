/* Which texts belong together. See wer_pairs.h. */
#include "app/wer_pairs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define LIST_LIMIT_BYTES ((size_t)1 << 30)
#define MAX_ENTRIES      ((size_t)4 << 20) /* of one side; more is a mistake */

static enum auricle_error no_memory(struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

/* ---- One side -------------------------------------------------------------------------------- */

static void entry_deinit(struct app_wer_entry *entry)
{
    au_free(entry->id);
    au_free(entry->source.path);
}

static void side_deinit(struct app_wer_side *side)
{
    for (size_t i = 0; i < side->n; i++)
        entry_deinit(&side->entries[i]);
    au_free(side->entries);
    au_free(side->list);
    memset(side, 0, sizeof *side);
}

/* Takes what the entry owns, also on failure. */
static enum auricle_error push(struct app_wer_side *side, struct app_wer_entry entry,
                               struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (side->n == MAX_ENTRIES)
        error = au_fail(fault, AURICLE_E_LIMIT, "more than %zu texts", MAX_ENTRIES);
    else if (!entry.id)
        error = no_memory(fault);
    void *entries = error ? NULL : au_grow(side->entries, side->n, &side->capacity, sizeof entry);
    if (entries)
        side->entries = entries;
    else if (!error)
        error = no_memory(fault);
    if (error)
        entry_deinit(&entry);
    else
        side->entries[side->n++] = entry;
    return error;
}

static char *stem_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? au_strndup(name, (size_t)(dot - name)) : au_strdup(name);
}

/* By id; of one id the text file before the JSON file, and the earlier line first. */
static int by_id(const void *a, const void *b)
{
    const struct app_wer_entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    if (order == 0 && x->source.path)
        order = strcmp(y->source.path, x->source.path); /* "a.txt" before "a.json" */
    if (order == 0)
        order = (x->line > y->line) - (x->line < y->line);
    return order;
}

static void sort(struct app_wer_side *side)
{
    if (side->n)
        qsort(side->entries, side->n, sizeof *side->entries, by_id);
}

/* ---- Folders --------------------------------------------------------------------------------- */

static enum auricle_error add_file(struct app_wer_side *side, const char *folder, const char *name,
                                   struct au_fault *fault)
{
    if (name[0] == '.' || !(au_str_ends_nocase(name, ".txt") || au_str_ends_nocase(name, ".json")))
        return AURICLE_OK;
    struct app_wer_entry entry = {.source.path = au_path_join(folder, name)};
    if (!entry.source.path)
        return no_memory(fault);
    if (!au_file_is_regular(entry.source.path)) {
        entry_deinit(&entry);
        return AURICLE_OK;
    }
    entry.id = stem_of(name);
    return push(side, entry, fault);
}

/* What a folder written by --format all holds as txt and as json is one text. */
static void drop_repeated(struct app_wer_side *side)
{
    size_t kept = 0;
    for (size_t i = 0; i < side->n; i++) {
        if (kept && au_str_equal(side->entries[kept - 1].id, side->entries[i].id))
            entry_deinit(&side->entries[i]);
        else
            side->entries[kept++] = side->entries[i];
    }
    side->n = kept;
}

static enum auricle_error read_folder(const char *folder, struct app_wer_side *side,
                                      struct au_fault *fault)
{
    DIR *dir = opendir(folder);
    const struct dirent *file;
    enum auricle_error error = AURICLE_OK;
    if (!dir)
        return au_fail_errno(fault, errno, "%s: cannot be read", folder);
    while (!error && (file = readdir(dir)))
        error = add_file(side, folder, file->d_name, fault);
    closedir(dir);
    if (!error && side->n == 0)
        error = au_fail(fault, AURICLE_E_NOT_FOUND, "%s: no .txt or .json file is in this folder",
                        folder);
    sort(side);
    drop_repeated(side);
    return error;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static enum auricle_error add_line(struct app_wer_side *side, const char *path, const char *line,
                                   size_t n, size_t number, struct au_fault *fault)
{
    while (n && line[n - 1] == '\r')
        n--;
    const char *tab = memchr(line, '\t', n);
    if (n == 0)
        return AURICLE_OK;
    if (!tab || tab == line)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "%s:%zu: %s; with --tsv every line is an id, a TAB and the text", path,
                       number, tab ? "no id before the TAB" : "no TAB in this line");
    struct app_wer_entry entry = {.id = au_strndup(line, (size_t)(tab - line)),
                                  .source = {NULL, tab + 1, n - (size_t)(tab - line) - 1},
                                  .line = number};
    return push(side, entry, fault);
}

static enum auricle_error check_ids(const struct app_wer_side *side, const char *path,
                                    struct au_fault *fault)
{
    for (size_t i = 1; i < side->n; i++) {
        const struct app_wer_entry *first = &side->entries[i - 1], *second = &side->entries[i];
        if (au_str_equal(first->id, second->id))
            return au_fail(fault, AURICLE_E_FORMAT,
                           "%s:%zu: the id \"%.80s\" was given in line %zu already", path,
                           second->line, second->id, first->line);
    }
    if (side->n == 0)
        return au_fail(fault, AURICLE_E_FORMAT, "%s: no line of an id, a TAB and a text is in it",
                       path);
    return AURICLE_OK;
}

static enum auricle_error read_list(const char *path, struct app_wer_side *side,
                                    struct au_fault *fault)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* that Windows puts before UTF-8 */
    size_t n = 0, number = 0;
    enum auricle_error error = au_file_read(path, LIST_LIMIT_BYTES, &side->list, &n, fault);
    if (error)
        return error;
    const char *at = side->list, *end = at + n;
    if (n >= 3 && memcmp(at, mark, 3) == 0)
        at += 3;
    while (!error && at < end) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *stop = feed ? feed : end;
        error = add_line(side, path, at, (size_t)(stop - at), ++number, fault);
        at = feed ? feed + 1 : end;
    }
    sort(side);
    return error ? error : check_ids(side, path, fault);
}

/* ---- Both sides ------------------------------------------------------------------------------ */

static enum auricle_error read_side(const char *path, bool list, struct app_wer_side *side,
                                    struct au_fault *fault)
{
    if (list)
        return read_list(path, side, fault);
    if (au_file_is_dir(path))
        return read_folder(path, side, fault);
    if (!au_str_equal(path, "-") && !au_file_exists(path))
        return au_fail(fault, AURICLE_E_NOT_FOUND, "%s: no such file or folder", path);
    struct app_wer_entry entry = {.id = stem_of(au_path_name(path)),
                                  .source.path = au_strdup(path)};
    if (!entry.source.path) {
        entry_deinit(&entry);
        return no_memory(fault);
    }
    return push(side, entry, fault);
}

/* Both sides are in order: one pass. */
static void join(struct app_wer_pairs *pairs)
{
    const struct app_wer_side *a = &pairs->reference, *b = &pairs->hypothesis;
    size_t i = 0, j = 0;
    while (i < a->n || j < b->n) {
        int order = i == a->n ? 1 : j == b->n ? -1 : strcmp(a->entries[i].id, b->entries[j].id);
        if (order < 0)
            pairs->missing[pairs->n_missing++] = &a->entries[i++];
        else if (order > 0)
            pairs->unused[pairs->n_unused++] = &b->entries[j++];
        else
            pairs->items[pairs->n++] = (struct app_wer_pair){&a->entries[i++], &b->entries[j++]};
    }
}

/* The order of a list is kept where people look at it: by line of the reference. */
static int by_line(const void *a, const void *b)
{
    const struct app_wer_pair *x = a, *y = b;
    return (x->reference->line > y->reference->line) - (x->reference->line < y->reference->line);
}

static enum auricle_error match(struct app_wer_pairs *pairs, bool files, bool lists,
                                struct au_fault *fault)
{
    pairs->items = au_alloc_array(pairs->reference.n, sizeof *pairs->items);
    pairs->missing = au_alloc_array(pairs->reference.n, sizeof *pairs->missing);
    pairs->unused = au_alloc_array(pairs->hypothesis.n, sizeof *pairs->unused);
    if (!pairs->items || !pairs->missing || !pairs->unused)
        return no_memory(fault);
    if (files) { /* two files belong together whatever their names */
        pairs->items[0] = (struct app_wer_pair){pairs->reference.entries,
                                                pairs->hypothesis.entries};
        pairs->n = 1;
        return AURICLE_OK;
    }
    join(pairs);
    if (lists && pairs->n)
        qsort(pairs->items, pairs->n, sizeof *pairs->items, by_line);
    return AURICLE_OK;
}

enum auricle_error app_wer_pairs_init(const char *reference, const char *hypothesis, bool lists,
                                      struct app_wer_pairs *out, struct au_fault *fault)
{
    bool folder = au_file_is_dir(reference), other = au_file_is_dir(hypothesis);
    struct app_wer_pairs pairs = {0};
    enum auricle_error error = AURICLE_OK;
    if (au_str_equal(reference, "-") && au_str_equal(hypothesis, "-"))
        return au_fail(fault, AURICLE_E_INVALID, "standard input (-) can be read once only");
    if (!lists && folder != other && au_file_exists(reference) && au_file_exists(hypothesis))
        error = au_fail(fault, AURICLE_E_INVALID,
                        "%s is a folder and %s is a file: give two files or two folders",
                        folder ? reference : hypothesis, folder ? hypothesis : reference);
    if (!error)
        error = read_side(reference, lists, &pairs.reference, fault);
    if (!error)
        error = read_side(hypothesis, lists, &pairs.hypothesis, fault);
    if (!error)
        error = match(&pairs, !lists && !folder, lists, fault);
    if (!error && pairs.n == 0)
        error = au_fail(fault, AURICLE_E_NOT_FOUND,
                        "none of the %zu texts of %s has a counterpart in %s (\"%.80s\" and "
                        "\"%.80s\" are the first of each)",
                        pairs.reference.n, reference, hypothesis, pairs.reference.entries[0].id,
                        pairs.hypothesis.entries[0].id);
    if (error)
        app_wer_pairs_deinit(&pairs);
    else
        *out = pairs;
    return error;
}

void app_wer_pairs_deinit(struct app_wer_pairs *pairs)
{
    side_deinit(&pairs->reference);
    side_deinit(&pairs->hypothesis);
    au_free(pairs->items);
    au_free(pairs->missing);
    au_free(pairs->unused);
    memset(pairs, 0, sizeof *pairs);
}
