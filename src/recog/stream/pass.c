/* One hearing of a stretch of a stream. See pass.h. */
#include "recog/stream/pass.h"

#include <string.h>

#include "base/mem.h"
#include "recog/trim.h"
#include "text/language.h"

/* ---- The samples ----------------------------------------------------------------------------- */

static int64_t pass_length(void *context)
{
    const struct recog_pass *pass = context;
    return pass->heard.end - pass->heard.begin;
}

static double pass_seconds(void *context)
{
    return (double)pass_length(context) / AUDIO_RATE_HZ;
}

static enum auricle_error pass_read(void *context, int64_t first, size_t n, float *out,
                                    size_t *n_read, struct auricle_message *message)
{
    const struct recog_pass *pass = context;
    int64_t left = pass_length(context) - first;
    uint64_t at = (uint64_t)(pass->heard.begin + first) - audio_ring_position(pass->ring);
    size_t wanted = left <= 0 ? 0 : (size_t)left < n ? (size_t)left : n;
    (void)message;
    *n_read = wanted ? audio_ring_peek(pass->ring, (size_t)at, out, wanted) : 0;
    return AURICLE_OK;
}

/* ---- Beginning and ending -------------------------------------------------------------------- */

/* What a partial is for is gone in half a second: one quick try. */
static void make_quick(struct auricle_options *o)
{
    o->temperatures[0] = 0;
    o->n_temperatures = 1;
    o->beam_size = o->best_of = 1;
}

enum auricle_error recog_pass_begin(struct recog_pass *pass, struct auricle_session *stream,
                                    const char *language, struct au_fault *fault)
{
    struct auricle_options options = stream->settings.options;
    const struct auricle_feed feed = {.size = sizeof(feed),
                                      .context = pass,
                                      .read = pass_read,
                                      .length = pass_length,
                                      .estimate = pass_seconds};
    struct recog_source *source = NULL;
    options.vad = AURICLE_VAD_OFF; /* the stream's detector has spoken */
    options.language = language;
    if (!pass->final)
        make_quick(&options);
    pass->abandoned = false;
    enum auricle_error error = recog_source_from_feed(&feed, &source);
    if (!error)
        error = recog_session_create(stream->engine, source, &options, NULL, &pass->session, fault);
    return error;
}

void recog_pass_end(struct recog_pass *pass)
{
    auricle_session_destroy(pass->session);
    pass->session = NULL;
}

/* ---- Joining --------------------------------------------------------------------------------- */

struct totals {
    size_t tokens, words, bytes;
};

static struct totals count(const struct auricle_segment *segments, size_t n)
{
    struct totals all = {0};
    for (size_t i = 0; i < n; i++) {
        all.tokens += segments[i].n_tokens;
        all.words += segments[i].n_words;
        all.bytes += strlen(segments[i].text);
    }
    return all;
}

static void join_numbers(const struct auricle_segment *segments, size_t n,
                         struct auricle_segment *out)
{
    double sum = 0;
    size_t weight = 0;
    *out = segments[0];
    out->end = segments[n - 1].end;
    for (size_t i = 0; i < n; i++) {
        sum += (double)segments[i].avg_logprob * (double)(segments[i].n_tokens + 1);
        weight += segments[i].n_tokens + 1;
    }
    out->avg_logprob = (float)(sum / (double)weight);
}

/* Room for all that is joined. */
struct lists {
    char *text;
    int32_t *tokens;
    float *logprobs;
    struct auricle_word *words;
};

static bool lists_init(struct lists *lists, const struct totals *all)
{
    *lists = (struct lists){au_alloc(all->bytes + 1),
                            au_alloc_array(all->tokens, sizeof(*lists->tokens)),
                            au_alloc_array(all->tokens, sizeof(*lists->logprobs)),
                            au_alloc_array(all->words + 1, sizeof(*lists->words))};
    return lists->text && lists->tokens && lists->logprobs && lists->words;
}

static void lists_deinit(struct lists *lists)
{
    au_free(lists->text);
    au_free(lists->tokens);
    au_free(lists->logprobs);
    au_free(lists->words);
}

static void lists_fill(struct lists *to, const struct auricle_segment *segments, size_t n)
{
    struct totals at = {0};
    for (size_t i = 0; i < n; i++) {
        const struct auricle_segment *s = &segments[i];
        size_t bytes = strlen(s->text);
        memcpy(to->text + at.bytes, s->text, bytes);
        for (size_t t = 0; t < s->n_tokens; t++) {
            to->tokens[at.tokens + t] = s->tokens[t];
            to->logprobs[at.tokens + t] = s->token_logprobs[t];
        }
        for (size_t w = 0; w < s->n_words; w++)
            to->words[at.words + w] = s->words[w];
        at = (struct totals){at.tokens + s->n_tokens, at.words + s->n_words, at.bytes + bytes};
    }
    to->text[at.bytes] = 0;
}

enum auricle_error recog_pass_join(const struct recog_pass *pass, struct auricle_segment *out)
{
    size_t n;
    const struct auricle_segment *segments = auricle_session_segments(pass->session, &n);
    struct totals all = count(segments, n);
    struct lists lists;
    enum auricle_error error = AURICLE_E_NOMEM;
    *out = (struct auricle_segment){0};
    if (!all.tokens)
        return AURICLE_OK;
    if (lists_init(&lists, &all)) {
        struct auricle_segment joined;
        join_numbers(segments, n, &joined);
        lists_fill(&lists, segments, n);
        size_t begin, bytes = recog_trim(lists.text, all.bytes, &begin);
        lists.text[begin + bytes] = 0;
        joined.text = lists.text + begin;
        joined.tokens = lists.tokens;
        joined.token_logprobs = lists.logprobs;
        joined.n_tokens = all.tokens;
        joined.words = all.words ? lists.words : NULL;
        joined.n_words = all.words;
        error = recog_segment_copy(out, &joined);
    }
    lists_deinit(&lists);
    if (error) {
        recog_segment_deinit(out);
        *out = (struct auricle_segment){0};
    }
    return error;
}
