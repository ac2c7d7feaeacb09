/* Recordings that arrive while they are heard: whatever the pieces, a feed gives the same bits as
 * the samples at once; a session that lacks audio says so and never waits; one call does a bounded
 * amount of work. The model is the small random one: any difference in arithmetic would show.    */
#include <math.h>
#include <stdlib.h>

#include "auricle/auricle.h"
#include "recog/engine.h"
#include "support/engine.h"
#include "support/support.h"

enum { RATE = 16000, MAX_UNITS = 64 };

/* What a decoder elsewhere would be: some of the samples are there, the rest comes. */
struct arriving {
    const float *samples;
    int64_t n, there;
    int n_calls, n_again;
    int64_t furthest;          /* end of the furthest read */
    int64_t skipped;           /* samples before this one must not be asked for */
    enum auricle_error breaks; /* instead of the end */
};

static enum auricle_error read_arriving(void *context, int64_t first, size_t n, float *out,
                                        size_t *n_read, struct auricle_message *message)
{
    struct arriving *a = context;
    int64_t end = first + (int64_t)n;
    a->n_calls++;
    assert_true(first >= a->skipped);
    if (a->there < a->n && end > a->there) {
        a->n_again++;
        return AURICLE_E_AGAIN;
    }
    if (a->breaks && end > a->n) {
        snprintf(message->text, sizeof(message->text), "the wire was cut");
        return a->breaks;
    }
    end = end < a->n ? end : a->n;
    *n_read = end > first ? (size_t)(end - first) : 0;
    if (*n_read)
        memcpy(out, a->samples + first, *n_read * sizeof(*out));
    a->furthest = end > a->furthest ? end : a->furthest;
    return AURICLE_OK;
}

static int64_t length_arriving(void *context)
{
    const struct arriving *a = context;
    return a->there == a->n ? a->n : -1;
}

static double no_estimate(void *context)
{
    (void)context;
    return -1;
}

static struct auricle_feed feed_of(struct arriving *arriving)
{
    return (struct auricle_feed){.size = sizeof(struct auricle_feed),
                                 .context = arriving,
                                 .read = read_arriving,
                                 .length = length_arriving,
                                 .estimate = no_estimate};
}

static struct auricle_engine *load(void)
{
    return au_test_engine(
        au_test_fixture("whisper-micro/ggml-model-f16.bin"),
        au_test_fixture("silero-vad/silero_vad_16k_v62.safetensors"),
        (struct auricle_engine_options){
            .compute = AURICLE_COMPUTE_F32, .max_windows = 3, .max_beams = 2, .threads = 2});
}

static struct auricle_options options_for(enum auricle_long_form form, enum auricle_vad vad)
{
    struct auricle_options options;
    auricle_options_default(&options);
    options.long_form = form;
    options.n_temperatures = 1;
    options.best_of = 1;
    options.no_speech_threshold = NAN;
    options.filter = false;
    options.vad = vad;
    options.vad_max_speech_seconds = 9;
    options.max_tokens = 12;
    return options;
}

static float *long_sound(size_t *n)
{
    char *path = au_test_fixture("whisper-micro/long_75s.flac");
    float *samples = au_test_sound(path, n);
    au_free(path);
    return samples;
}

static struct auricle_result *at_once(struct auricle_engine *engine, const float *samples, size_t n,
                                      const struct auricle_options *options)
{
    struct auricle_message message;
    struct auricle_result *result = NULL;
    if (auricle_transcribe_samples(engine, samples, n, options, NULL, &result, &message))
        fail_msg("%s", message.text);
    return result;
}

static struct auricle_session *open_feed(struct auricle_engine *engine, struct arriving *arriving,
                                         const struct auricle_options *options)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    struct auricle_feed feed = feed_of(arriving);
    if (auricle_session_create_feed(engine, &feed, options, &session, &message))
        fail_msg("%s", message.text);
    return session;
}

/* Units until there is no other; why there is none. */
static enum auricle_wait drive(struct auricle_engine *engine, struct auricle_session *session)
{
    struct auricle_message message;
    for (;;) {
        struct auricle_unit *units[MAX_UNITS];
        size_t n = 0;
        while (n < MAX_UNITS) {
            au_test_ok(auricle_session_next(session, &units[n], &message), NULL);
            if (!units[n] && auricle_session_wait(session) != AURICLE_WAIT_NONE)
                break;
            n += units[n] != NULL;
        }
        if (!n)
            return auricle_session_wait(session);
        assert_int_equal(auricle_session_wait(session), AURICLE_WAIT_UNITS);
        auricle_engine_run(engine, units, n);
        for (size_t i = 0; i < n; i++)
            au_test_ok(auricle_session_complete(session, units[i], &message), NULL);
    }
}

static void assert_same(const struct auricle_result *a, const struct auricle_result *b)
{
    assert_string_equal(a->text, b->text);
    assert_string_equal(a->language, b->language);
    assert_true(fabs(a->duration - b->duration) < 1e-9);
    assert_int_equal(a->n_segments, b->n_segments);
    for (size_t i = 0; i < a->n_segments; i++) {
        const struct auricle_segment *x = &a->segments[i], *y = &b->segments[i];
        assert_int_equal(x->n_tokens, y->n_tokens);
        assert_memory_equal(x->tokens, y->tokens, x->n_tokens * sizeof(*x->tokens));
        assert_memory_equal(&x->avg_logprob, &y->avg_logprob, sizeof(float));
        assert_memory_equal(&x->start, &y->start, 2 * sizeof(double));
    }
}

static void a_feed_in_pieces_gives_what_the_whole_gives(void **state)
{
    (void)state;
    static const struct {
        enum auricle_long_form form;
        enum auricle_vad vad;
        double offset;
    } ways[] = {{AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_SILERO, 0},
                {AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_SILERO, 20},
                {AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_OFF, 0},
                {AURICLE_LONG_FORM_SEQUENTIAL, AURICLE_VAD_AUTO, 0},
                {AURICLE_LONG_FORM_SEQUENTIAL, AURICLE_VAD_AUTO, 33}};
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load();
    struct au_test_random random = {11};
    for (size_t w = 0; w < sizeof(ways) / sizeof(*ways); w++) {
        struct auricle_options options = options_for(ways[w].form, ways[w].vad);
        options.offset_seconds = ways[w].offset;
        struct auricle_result *whole = at_once(engine, samples, n, &options), *pieces;
        struct arriving arriving = {.samples = samples, .n = (int64_t)n};
        if (ways[w].form == AURICLE_LONG_FORM_BATCHED) /* the other measures all of it */
            arriving.skipped = (int64_t)(ways[w].offset * RATE);
        struct auricle_session *session = open_feed(engine, &arriving, &options);
        enum auricle_wait wait;
        while ((wait = drive(engine, session)) != AURICLE_WAIT_END) {
            assert_int_equal(wait, AURICLE_WAIT_AUDIO);
            assert_true(arriving.there < arriving.n);
            arriving.there += (int64_t)(au_test_random_u64(&random) % (6 * RATE));
            arriving.there = arriving.there < arriving.n ? arriving.there : arriving.n;
        }
        assert_true(auricle_session_finished(session));
        assert_true(arriving.n_again > 5);
        au_test_ok(auricle_session_take_result(session, &pieces), NULL);
        assert_true(whole->n_segments > 0);
        assert_same(whole, pieces);
        auricle_result_destroy(whole);
        auricle_result_destroy(pieces);
        auricle_session_destroy(session);
    }
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    auricle_engine_destroy(engine);
    au_free(samples);
}

/* The first windows are decoded while the rest is on its way. */
static void the_batched_form_does_not_wait_for_the_end(void **state)
{
    (void)state;
    size_t n, n_segments;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load();
    struct auricle_options options = options_for(AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_SILERO);
    struct arriving arriving = {.samples = samples, .n = (int64_t)n, .there = 60 * RATE};
    struct auricle_session *session = open_feed(engine, &arriving, &options);
    assert_int_equal(drive(engine, session), AURICLE_WAIT_AUDIO);
    (void)auricle_session_segments(session, &n_segments);
    assert_true(n_segments > 0);
    auricle_session_destroy(session);
    auricle_engine_destroy(engine);
    au_free(samples);
}

/* Hours of silence: each call looks through a part of it, and passes none twice. */
static void one_call_looks_through_half_a_minute_at_most(void **state)
{
    (void)state;
    enum { SECONDS = 600, MOST = 32 };
    float *silence = au_calloc(SECONDS * RATE, sizeof(float));
    struct auricle_engine *engine = load();
    struct auricle_message message;
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        struct auricle_options options = options_for((enum auricle_long_form)form,
                                                     AURICLE_VAD_ENERGY);
        struct arriving arriving = {
            .samples = silence, .n = SECONDS * RATE, .there = SECONDS * RATE};
        struct auricle_session *session = open_feed(engine, &arriving, &options);
        struct auricle_unit *unit = NULL;
        int64_t before = 0;
        int calls = 0;
        while (!unit && !auricle_session_finished(session)) {
            au_test_ok(auricle_session_next(session, &unit, &message), NULL);
            assert_true(arriving.furthest - before <= MOST * RATE);
            before = arriving.furthest;
            calls++;
        }
        assert_true(calls >= SECONDS / MOST);
        auricle_session_destroy(session);
    }
    auricle_engine_destroy(engine);
    au_free(silence);
}

static void a_feed_that_breaks_ends_the_session_with_its_sentence(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load();
    struct auricle_options options = options_for(AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_OFF);
    struct arriving arriving = {
        .samples = samples, .n = 5 * RATE, .there = 5 * RATE, .breaks = AURICLE_E_FORMAT};
    struct auricle_session *session = open_feed(engine, &arriving, &options);
    struct auricle_unit *unit;
    struct auricle_message message = {""};
    assert_int_equal(auricle_session_next(session, &unit, &message), AURICLE_E_FORMAT);
    assert_string_equal(message.text, "the wire was cut");
    auricle_session_destroy(session);

    struct auricle_feed lame = feed_of(&arriving);
    lame.length = NULL;
    assert_int_equal(auricle_session_create_feed(engine, &lame, &options, &session, &message),
                     AURICLE_E_INVALID);
    assert_non_null(strstr(message.text, "length"));
    auricle_engine_destroy(engine);
    au_free(samples);
}

static void a_session_keeps_to_the_windows_it_may_have(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load();
    struct auricle_message message;
    struct auricle_options options = options_for(AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_OFF);
    for (int most = 1; most <= 3; most++) {
        struct arriving arriving = {.samples = samples, .n = (int64_t)n, .there = (int64_t)n};
        struct auricle_session *session = open_feed(engine, &arriving, &options);
        auricle_session_set_max_windows(session, most == 3 ? 1000 : most);
        struct auricle_unit *unit;
        int n_units = 0;
        for (int i = 0; i < 20; i++) {
            au_test_ok(auricle_session_next(session, &unit, &message), NULL);
            n_units += unit != NULL;
        }
        assert_int_equal(n_units, most);
        auricle_session_destroy(session); /* with its units out */
    }
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    auricle_engine_destroy(engine);
    au_free(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_feed_in_pieces_gives_what_the_whole_gives),
        cmocka_unit_test(the_batched_form_does_not_wait_for_the_end),
        cmocka_unit_test(one_call_looks_through_half_a_minute_at_most),
        cmocka_unit_test(a_feed_that_breaks_ends_the_session_with_its_sentence),
        cmocka_unit_test(a_session_keeps_to_the_windows_it_may_have),
    };
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
