/* Everything that reads free text: pieces, normal forms, normalisers, error rates, scripts,
 * loops, and the JSON walker. The input is one text; a zero byte in it parts reference and
 * hypothesis.                                                                                    */
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "text/compress.h"
#include "text/json_scan.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/repeat.h"
#include "text/script.h"
#include "text/stream.h"
#include "text/unicode.h"
#include "text/wer.h"

static void check_pieces(const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        const size_t piece = text_piece_bytes(text + at, n - at);
        FUZZ_CHECK(piece > 0 && piece <= n - at);
        at += piece;
    }
}

/* Every way of writing text must end in valid UTF-8. */
static void check_written(struct au_buf *out, enum auricle_error error)
{
    FUZZ_CHECK(error == AURICLE_OK);
    FUZZ_CHECK(out->len == 0 || au_utf8_valid(out->data, out->len));
    au_buf_clear(out);
}

static void check_writers(const char *text, size_t n)
{
    struct au_buf out;
    struct text_stream stream;
    au_buf_init(&out, 0);
    check_written(&out, text_lower(text, n, &out));
    check_written(&out, text_normal_form(TEXT_NFC, text, n, &out));
    check_written(&out, text_normal_form(TEXT_NFKC, text, n, &out));
    check_written(&out, text_normal_form(TEXT_NFKD, text, n, &out));
    check_written(&out, text_normalize_english(NULL, text, n, &out));
    for (unsigned flags = 0; flags < 4; flags++)
        check_written(&out, text_normalize_basic(flags, text, n, &out));
    text_stream_init(&stream);
    for (size_t at = 0; at < n; at += 3)
        FUZZ_CHECK(text_stream_push(&stream, text + at, n - at < 3 ? n - at : 3, &out) ==
                   AURICLE_OK);
    check_written(&out, text_stream_finish(&stream, &out));
    au_buf_deinit(&out);
}

static void check_units(const struct text_units *units, const char *text, size_t n)
{
    const char *end = text;
    for (size_t i = 0; i < units->n; i++) {
        FUZZ_CHECK(units->items[i].n > 0 && units->items[i].bytes >= end);
        end = units->items[i].bytes + units->items[i].n;
    }
    FUZZ_CHECK(end <= text + n);
    const struct text_loop loop = text_find_loop(units, 8);
    FUZZ_CHECK(loop.begin + loop.period * loop.n_repeats <= units->n);
    double share;
    FUZZ_CHECK(text_repeated_share(units, 2, &share) == AURICLE_OK && share >= 0 && share <= 1);
}

/* Reference and hypothesis are accounted for to the last unit, and the alignment can be printed. */
static void check_alignment(const char *text, size_t n)
{
    const char *zero = memchr(text, 0, n);
    const size_t n_left = zero ? (size_t)(zero - text) : n / 2;
    struct text_units a = {0}, b = {0};
    struct text_alignment alignment = {0};
    struct au_buf out;
    au_buf_init(&out, 0);
    FUZZ_CHECK(text_units_words(text, n_left, &a) == AURICLE_OK);
    FUZZ_CHECK(text_units_characters(text + n_left, n - n_left, &b) == AURICLE_OK);
    check_units(&a, text, n_left);
    check_units(&b, text + n_left, n - n_left);
    FUZZ_CHECK(text_align_units(&a, &b, &alignment) == AURICLE_OK);
    const struct text_error_counts *c = &alignment.counts;
    FUZZ_CHECK(c->hits + c->substitutions + c->deletions == a.n);
    FUZZ_CHECK(c->hits + c->substitutions + c->insertions == b.n);
    check_written(&out, text_alignment_print(&alignment, &a, &b, 80, &out));
    au_buf_deinit(&out);
    text_alignment_deinit(&alignment);
    text_units_deinit(&a);
    text_units_deinit(&b);
}

static void check_statistics(const char *text, size_t n)
{
    const struct text_letters letters = text_count_letters(text, n);
    const double share = text_letters_share(&letters);
    FUZZ_CHECK(share >= 0 && share <= 1);
    FUZZ_CHECK(letters.by_script[text_letters_dominant(&letters)] <= letters.n_letters);
    (void)text_script_fits("ja", text, n);
    FUZZ_CHECK((text_compression_ratio(text, n) > 0) == (n > 0));
}

static void check_walker(const char *text, size_t n)
{
    struct text_json_scan scan;
    struct au_fault fault = {0};
    text_json_scan_init(&scan, text, n);
    if (text_json_peek(&scan) == '{') {
        text_json_enter(&scan, '{');
        while (text_json_next_key(&scan))
            (void)text_json_integer(&scan, -1);
    } else {
        text_json_skip(&scan);
    }
    FUZZ_CHECK((text_json_scan_result(&scan, &fault) == AURICLE_OK) == (fault.text[0] == '\0'));
    text_json_scan_deinit(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    check_pieces(text, size);
    check_writers(text, size);
    check_alignment(text, size);
    check_statistics(text, size);
    check_walker(text, size);
    return 0;
}
