/* What `auricle wer` compares: texts of a reference and a hypothesis that belong together.
 *
 * Three ways to name them: two files ("-": standard input); two folders, whose files belong
 * together by their names up to the last dot; two lists of lines "id TAB text". Texts of files are
 * not read here.
 * Owner: the main thread.                                                                        */
#ifndef APP_WER_PAIRS_H
#define APP_WER_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* One text: a file, or a piece of a list. */
struct app_wer_source {
    char *path;       /* owned; NULL: the text is here */
    const char *text; /* borrowed from the list */
    size_t n;
};

struct app_wer_entry {
    char *id; /* owned: name of the file without folder and extension, or id of the list */
    struct app_wer_source source;
    size_t line; /* of the list, from 1; 0: a file */
};

/* The texts of one side, by id. */
struct app_wer_side {
    struct app_wer_entry *entries;
    size_t n, capacity;
    char *list; /* owned; NULL without a list */
};

struct app_wer_pair {
    const struct app_wer_entry *reference, *hypothesis; /* borrowed from the sides */
};

struct app_wer_pairs {
    struct app_wer_side reference, hypothesis;
    struct app_wer_pair *items;
    size_t n;
    const struct app_wer_entry *
        *missing; /* references without hypothesis; each owned by its side */
    size_t n_missing;
    const struct app_wer_entry **unused; /* hypotheses without reference */
    size_t n_unused;
};

/* Find them. On failure *out is empty. Errors: INVALID (a file and a folder); NOT_FOUND, IO, FORMAT
 * (a folder without texts, a line without TAB, an id twice), LIMIT, NOMEM.                       */
AURICLE_MUST_CHECK enum auricle_error app_wer_pairs_init(const char *reference,
                                                         const char *hypothesis, bool lists,
                                                         struct app_wer_pairs *out,
                                                         struct au_fault *fault);
void app_wer_pairs_deinit(struct app_wer_pairs *pairs);

#endif
