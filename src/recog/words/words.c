/* Words and their times. See words.h. */
#include "recog/words/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "recog/trim.h"

static const char PREPENDED[] = "\"'“¿([{-";
static const char APPENDED[] = "\"'.。,，!！?？:：”)]}、";
static const char SENTENCE_ENDS[] = ".。!！?？";

#define TOKEN_SECONDS 0.02

struct word {
    size_t text_at, text_bytes; /* in the buffer; 0 bytes once merged into a neighbour */
    const char *text;           /* zero terminated, set last */
    size_t n_tokens;
    double start, end;
    float probability;
};

struct recog_words {
    struct au_buf text;
    struct word *list; /* [n_text_ctx] */
    size_t n;
    size_t *word_end;         /* [n_text_ctx] scratch of the split */
    int32_t *tokens;          /* [n_text_ctx] text and end-of-text */
    double *durations;        /* [n_text_ctx] scratch of the median */
    double median, longest;   /* seconds; longest a word may plausibly last */
    struct auricle_word *out; /* [n_text_ctx] words as segments show them */
    size_t n_out;
};

enum auricle_error recog_words_create(int n_text_ctx, struct recog_words **out)
{
    size_t n = (size_t)n_text_ctx + 1;
    struct recog_words *w = au_calloc(1, sizeof(*w));
    if (!w)
        return AURICLE_E_NOMEM;
    au_buf_init(&w->text, 0);
    w->list = au_calloc(n, sizeof(*w->list));
    w->word_end = au_calloc(n, sizeof(*w->word_end));
    w->tokens = au_calloc(n, sizeof(*w->tokens));
    w->durations = au_calloc(n, sizeof(*w->durations));
    w->out = au_calloc(n, sizeof(*w->out));
    if (!w->list || !w->word_end || !w->tokens || !w->durations || !w->out) {
        recog_words_destroy(w);
        return AURICLE_E_NOMEM;
    }
    *out = w;
    return AURICLE_OK;
}

void recog_words_destroy(struct recog_words *w)
{
    if (!w)
        return;
    au_buf_deinit(&w->text);
    au_free(w->list);
    au_free(w->word_end);
    au_free(w->tokens);
    au_free(w->durations);
    au_free(w->out);
    au_free(w);
}

/* ---- Building -------------------------------------------------------------------------------- */

static const char *word_text(const struct recog_words *w, const struct word *word)
{
    return w->text.data + word->text_at;
}

/* Python's `word in characters`: a substring test, true for the empty word too. */
static bool within(const char *characters, const char *text, size_t bytes)
{
    return bytes == 0 || memmem(characters, strlen(characters), text, bytes) != NULL;
}

static bool word_within(const struct recog_words *w, const struct word *word,
                        const char *characters)
{
    return within(characters, word_text(w, word), word->text_bytes);
}

static void set_times(struct word *word, const struct recog_align *align, size_t first)
{
    double sum = 0;
    word->start = recog_align_frame(align, first) * TOKEN_SECONDS;
    word->end = recog_align_frame(align, first + word->n_tokens) * TOKEN_SECONDS;
    for (size_t i = first; i < first + word->n_tokens; i++)
        sum += (double)recog_align_probability(align, i);
    word->probability = (float)(sum / (double)word->n_tokens);
}

/* Opening marks join the word after them, which keeps its own times. */
static void merge_prepended(struct recog_words *w)
{
    for (size_t j = w->n - 1, i = j; i-- > 0;) {
        struct word *before = &w->list[i], *after = &w->list[j];
        const char *text = word_text(w, before);
        size_t begin, n = recog_trim(text, before->text_bytes, &begin);
        if (before->text_bytes && text[0] == ' ' && within(PREPENDED, text + begin, n)) {
            after->text_at = before->text_at;
            after->text_bytes += before->text_bytes;
            after->n_tokens += before->n_tokens;
            before->text_bytes = before->n_tokens = 0;
        } else {
            j = i;
        }
    }
}

/* Closing marks join the word before them. */
static void merge_appended(struct recog_words *w)
{
    for (size_t i = 0, j = 1; j < w->n; j++) {
        struct word *before = &w->list[i], *after = &w->list[j];
        const char *text = word_text(w, before);
        bool ends_in_space = before->text_bytes && text[before->text_bytes - 1] == ' ';
        if (!ends_in_space && word_within(w, after, APPENDED)) {
            /* What is merged stands right behind, with nothing but emptied words between. */
            if (after->text_bytes && !before->text_bytes)
                before->text_at = after->text_at;
            before->text_bytes += after->text_bytes;
            before->n_tokens += after->n_tokens;
            after->text_bytes = after->n_tokens = 0;
        } else {
            i = j;
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median length of the words, at most 0.7 s; twice that is the longest plausible one. */
static size_t measure(struct recog_words *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        double d = w->list[i].end - w->list[i].start;
        if (d != 0)
            w->durations[n++] = d;
    }
    qsort(w->durations, n, sizeof(*w->durations), compare_doubles);
    double median = n == 0  ? 0
                    : n % 2 ? w->durations[n / 2]
                            : (w->durations[n / 2 - 1] + w->durations[n / 2]) / 2;
    w->median = median < 0.7 ? median : 0.7;
    w->longest = w->median * 2;
    return n;
}

/* A long word at a sentence's border has swallowed the pause. */
static void shorten(struct recog_words *w)
{
    for (size_t i = 1; i < w->n; i++) {
        struct word *word = &w->list[i];
        if (!(word->end - word->start > w->longest))
            continue;
        if (word_within(w, word, SENTENCE_ENDS))
            word->end = word->start + w->longest;
        else if (word_within(w, &w->list[i - 1], SENTENCE_ENDS))
            word->start = word->end - w->longest;
    }
}

/* Merged words become strings, behind the text they were cut from: room is made once, so that no
 * pointer moves.                                                                                */
static enum auricle_error terminate(struct recog_words *w)
{
    size_t bytes = w->text.len + w->n;
    enum auricle_error error = au_buf_reserve(&w->text, bytes);
    for (size_t i = 0; i < w->n && !error; i++) {
        struct word *word = &w->list[i];
        size_t at = w->text.len;
        error = au_buf_append(&w->text, word_text(w, word), word->text_bytes);
        if (!error)
            error = au_buf_putc(&w->text, 0);
        word->text = w->text.data + at;
    }
    return error;
}

enum auricle_error recog_words_build(struct recog_words *w, const struct recog_align *align,
                                     const struct text_tokenizer *tokenizer, const char *language,
                                     const int32_t *text, size_t n_text)
{
    au_buf_clear(&w->text);
    w->n = w->n_out = 0;
    w->median = w->longest = 0;
    memcpy(w->tokens, text, n_text * sizeof(*text));
    w->tokens[n_text] = text_tokenizer_specials(tokenizer)->eot;
    size_t n = text_split_words(tokenizer, w->tokens, n_text + 1, language, w->word_end);
    if (n <= 1)
        return AURICLE_OK;
    for (size_t i = 0, first = 0; i + 1 < n; first = w->word_end[i++]) {
        struct word *word = &w->list[w->n++];
        word->n_tokens = w->word_end[i] - first;
        word->text_at = w->text.len;
        enum auricle_error error = text_decode(tokenizer, text + first, word->n_tokens, &w->text);
        if (error)
            return error;
        word->text_bytes = w->text.len - word->text_at;
        set_times(word, align, first);
    }
    if (measure(w) > 0)
        shorten(w);
    merge_prepended(w);
    merge_appended(w);
    return terminate(w);
}

/* ---- Segments -------------------------------------------------------------------------------- */

/* Seconds to the nearest hundredth, as the original rounds them. */
static double rounded(double seconds)
{
    return rint(seconds * 100) / 100;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* After a pause the first words may reach back into it: cut them to a plausible length. */
static void mend_after_pause(const struct recog_words *w, struct auricle_word *words, size_t n,
                             double last_speech)
{
    if (!(words[0].end - last_speech > w->median * 4))
        return;
    bool first_long = words[0].end - words[0].start > w->longest;
    bool both_long = n > 1 && words[1].end - words[0].start > w->longest * 2;
    if (!first_long && !both_long)
        return;
    if (n > 1 && words[1].end - words[1].start > w->longest) {
        double boundary = larger(words[1].end / 2, words[1].end - w->longest);
        words[0].end = words[1].start = boundary;
    }
    words[0].start = larger(0, words[0].end - w->longest);
}

/* Where word and segment times disagree by much the segment is believed, else the words. */
static void agree(const struct recog_words *w, struct recog_piece *piece,
                  struct auricle_word *words, size_t n)
{
    struct auricle_word *last = &words[n - 1];
    if (piece->start < words[0].end && piece->start - 0.5 > words[0].start)
        words[0].start = larger(0, smaller(words[0].end - w->median, piece->start));
    else
        piece->start = words[0].start;
    if (piece->end > last->start && piece->end + 0.5 < last->end)
        last->end = larger(last->start + w->median, piece->end);
    else
        piece->end = last->end;
}

void recog_words_assign(struct recog_words *w, struct recog_piece *pieces, size_t n_pieces,
                        double offset, double last_speech)
{
    size_t next = 0;
    w->n_out = 0;
    for (size_t p = 0; p < n_pieces; p++) {
        struct recog_piece *piece = &pieces[p];
        piece->first_word = w->n_out;
        for (size_t saved = 0; next < w->n && saved < piece->n_text; next++) {
            const struct word *word = &w->list[next];
            saved += word->n_tokens;
            if (word->text_bytes)
                w->out[w->n_out++] = (struct auricle_word){.text = word->text,
                                                           .start = rounded(offset + word->start),
                                                           .end = rounded(offset + word->end),
                                                           .probability = word->probability};
        }
        piece->n_words = w->n_out - piece->first_word;
        if (!piece->n_words)
            continue;
        struct auricle_word *words = &w->out[piece->first_word];
        mend_after_pause(w, words, piece->n_words, last_speech);
        agree(w, piece, words, piece->n_words);
        last_speech = piece->end;
    }
}

/* ---- Order ----------------------------------------------------------------------------------- */

#define SHORTEST TOKEN_SECONDS /* a segment with text lasts */

/* Pieces end before what lies behind them begins, with room for each. A piece whose words were all
 * given the same moment has the times that the model wrote, and what comes before it makes way.  */
static void make_room(struct recog_words *w, struct recog_piece *pieces, size_t n, double offset,
                      double end)
{
    for (size_t p = n; p-- > 0;) {
        struct recog_piece *piece = &pieces[p];
        if (!piece->n_text)
            continue;
        bool timeless = piece->end - piece->start < SHORTEST / 2;
        if (timeless) {
            piece->start = rounded(offset + piece->span.start * TOKEN_SECONDS);
            piece->end = rounded(offset + piece->span.end * TOKEN_SECONDS);
        }
        piece->end = smaller(piece->end, end);
        piece->start = smaller(piece->start, rounded(end - SHORTEST));
        for (size_t i = 0; timeless && i < piece->n_words; i++) {
            double step = (piece->end - piece->start) / (double)piece->n_words;
            struct auricle_word *word = &w->out[piece->first_word + i];
            word->start = rounded(piece->start + (double)i * step);
            word->end = rounded(piece->start + (double)(i + 1) * step);
        }
        end = timeless ? piece->start : rounded(end - SHORTEST);
    }
}

/* Words follow each other inside their segment. */
static void fit(struct auricle_word *words, size_t n, double start, double end)
{
    for (size_t i = 0; i < n; i++) {
        words[i].start = smaller(larger(words[i].start, start), end);
        words[i].end = smaller(larger(words[i].end, words[i].start), end);
        start = words[i].end;
    }
}

void recog_words_order(struct recog_words *w, struct recog_piece *pieces, size_t n_pieces,
                       double offset, double begin, double end)
{
    make_room(w, pieces, n_pieces, offset, end);
    for (size_t p = 0; p < n_pieces; p++) {
        struct recog_piece *piece = &pieces[p];
        if (!piece->n_text)
            continue;
        if (!piece->n_words) /* its marks joined the word before them */
            piece->start = piece->end = begin;
        piece->start = smaller(larger(piece->start, begin), end);
        piece->end = smaller(larger(piece->end, rounded(piece->start + SHORTEST)), end);
        struct auricle_word *words = w->out + piece->first_word;
        fit(words, piece->n_words, piece->start, piece->end);
        if (piece->n_words)
            words[piece->n_words - 1].end = piece->end;
        begin = piece->end;
    }
}

const struct auricle_word *recog_words_of(const struct recog_words *w,
                                          const struct recog_piece *piece)
{
    return &w->out[piece->first_word];
}

void recog_words_place(struct recog_words *w, const struct recog_piece *piece,
                       const struct recog_timeline *timeline, double start, double end)
{
    struct auricle_word *words = w->out + piece->first_word;
    for (size_t i = 0; i < piece->n_words; i++) {
        words[i].start = recog_timeline_seconds(timeline, words[i].start, RECOG_SIDE_START);
        words[i].end = recog_timeline_seconds(timeline, words[i].end, RECOG_SIDE_END);
    }
    fit(words, piece->n_words, start, end);
}

static double anomaly(const struct auricle_word *word)
{
    double duration = word->end - word->start, score = 0;
    if (word->probability < 0.15f)
        score += 1;
    if (duration < 0.133)
        score += (0.133 - duration) * 15;
    if (duration > 2.0)
        score += duration - 2.0;
    return score;
}

bool recog_words_anomalous(const struct recog_words *w, const struct recog_piece *piece)
{
    enum { FIRST_WORDS = 8 };
    double score = 0;
    size_t n = 0;
    for (size_t i = 0; i < piece->n_words && n < FIRST_WORDS; i++) {
        const struct auricle_word *word = &w->out[piece->first_word + i];
        size_t bytes = strlen(word->text);
        if (within(PREPENDED, word->text, bytes) || within(APPENDED, word->text, bytes))
            continue;
        score += anomaly(word);
        n++;
    }
    return piece->n_words > 0 && (score >= 3 || score + 0.01 >= (double)n);
}
