/* The texts that `auricle wer` compares: read, normalised, aligned. Main thread. */
#ifndef APP_WER_TEXT_H
#define APP_WER_TEXT_H

#include "app/wer_pairs.h"
#include "base/buf.h"
#include "text/normalize.h"
#include "text/wer.h"

enum app_wer_normalizer {
    APP_WER_ENGLISH,
    APP_WER_BASIC,
    APP_WER_SPLIT, /* basic, and every character counts as a word: languages without spaces */
    APP_WER_NONE
};
const char *app_wer_normalizer_name(enum app_wer_normalizer normalizer);

/* One pair, compared. Units point into the texts. */
struct app_wer_score {
    struct au_buf reference, hypothesis;       /* normalised */
    struct text_units words[2], characters[2]; /* of reference and hypothesis */
    struct text_alignment by_word, by_character;
    char warning[AU_FAULT_TEXT_BYTES]; /* "": none */
};

/* Errors: those of reading a file; FORMAT (UTF-16, JSON without "text"), LIMIT, NOMEM. Release with
 * app_wer_score_deinit, also after a failure.                                                    */
AURICLE_MUST_CHECK enum auricle_error app_wer_score(const struct app_wer_pair *pair,
                                                    enum app_wer_normalizer normalizer,
                                                    const struct text_spelling *spelling,
                                                    struct app_wer_score *out,
                                                    struct au_fault *fault);
void app_wer_score_deinit(struct app_wer_score *score);

#endif
