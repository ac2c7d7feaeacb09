/* Streams: finals equal what an offline session hears in the same samples, whatever the pieces the
 * audio came in; the tail is never lost; a flush is answered; two threads may meet in it. With the
 * bundled model where words matter, with the small random one, which is sharp, where bits do.    */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "auricle/auricle.h"
#include "recog/engine.h"
#include "support/engine.h"
#include "support/support.h"

enum { RATE = 16000, MAX_UNITS = 64, MAX_FINALS = 256, PAUSE = RATE };

/* What was told, copied. */
struct told {
    enum auricle_stream_kind kinds[4096];
    size_t n_kinds;
    struct final {
        char text[512];
        int32_t tokens[256];
        size_t n_tokens, n_words;
        double start, end, word_start, word_end;
        float avg_logprob;
        char language[8];
        bool end_of_speech;
    } finals[MAX_FINALS];
    size_t n_finals, n_started, n_ended, n_flushed, n_partials;
    double starts[MAX_FINALS], ends[MAX_FINALS];
    char stable[4096]; /* of the utterance that goes on */
    double last;
};

static struct auricle_engine *load(char *model, enum auricle_compute compute)
{
    return au_test_engine(model, au_test_source("models/vad"),
                          (struct auricle_engine_options){
                              .compute = compute, .max_windows = 2, .max_beams = 2, .threads = 2});
}

static struct auricle_engine *load_nano(void)
{
    return load(au_test_source("models/nano"), AURICLE_COMPUTE_AUTO);
}

static struct auricle_engine *load_micro(void)
{
    return load(au_test_fixture("whisper-micro/ggml-model-f16.bin"), AURICLE_COMPUTE_F32);
}

static struct auricle_options default_options(void)
{
    struct auricle_options options;
    auricle_options_default(&options);
    options.best_of = 2;
    options.word_timestamps = true;
    return options;
}

/* The random model finds silence everywhere, and its text would be found invented, rightly. */
static struct auricle_options micro_options(void)
{
    struct auricle_options options = default_options();
    options.no_speech_threshold = NAN;
    options.filter = false;
    options.n_temperatures = 2;
    options.max_tokens = 24;
    return options;
}

static struct auricle_session *open_stream(struct auricle_engine *engine,
                                           const struct auricle_options *options,
                                           const struct auricle_stream_options *stream)
{
    static const struct auricle_stream_options usual = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_message message;
    struct auricle_session *session = NULL;
    if (auricle_session_create_stream(engine, options, stream ? stream : &usual, &session,
                                      &message))
        fail_msg("%s", message.text);
    return session;
}

/* ---- What is told ---------------------------------------------------------------------------- */

static void keep_final(struct told *told, const struct auricle_stream_event *event)
{
    const struct auricle_segment *s = event->segment;
    assert_true(told->n_finals < MAX_FINALS);
    struct final *f = &told->finals[told->n_finals++];
    assert_non_null(s);
    assert_true(s->n_tokens <= 256);
    snprintf(f->text, sizeof(f->text), "%s", event->text);
    snprintf(f->language, sizeof(f->language), "%s", event->language ? event->language : "");
    memcpy(f->tokens, s->tokens, s->n_tokens * sizeof(*s->tokens));
    f->n_tokens = s->n_tokens;
    f->n_words = s->n_words;
    f->start = event->start;
    f->end = event->end;
    f->word_start = s->n_words ? s->words[0].start : 0;
    f->word_end = s->n_words ? s->words[s->n_words - 1].end : 0;
    f->avg_logprob = s->avg_logprob;
    f->end_of_speech = event->end_of_speech;
    assert_true(event->confidence > 0 && event->confidence <= 1);
}

/* What was stable stays so, word by word. */
static void check_partial(struct told *told, const struct auricle_stream_event *event)
{
    size_t n = strlen(told->stable);
    told->n_partials++;
    assert_true(event->n_stable <= strlen(event->text));
    assert_true(event->n_stable >= n);
    assert_memory_equal(event->text, told->stable, n);
    assert_true(event->n_stable < sizeof(told->stable));
    memcpy(told->stable, event->text, event->n_stable);
    told->stable[event->n_stable] = 0;
    char after = event->text[event->n_stable];
    assert_true(event->n_stable == 0 || after == 0 || after == ' ');
}

static void take_events(struct auricle_session *session, struct told *told)
{
    struct auricle_stream_event event;
    while (auricle_stream_next_event(session, &event)) {
        assert_true(told->n_kinds < sizeof(told->kinds) / sizeof(*told->kinds));
        told->kinds[told->n_kinds++] = event.kind;
        assert_true(event.start <= event.end);
        switch (event.kind) {
        case AURICLE_STREAM_SPEECH_STARTED:
            told->starts[told->n_started++] = event.start;
            told->stable[0] = 0;
            assert_true(event.start >= told->last);
            told->last = event.start;
            break;
        case AURICLE_STREAM_PARTIAL: check_partial(told, &event); break;
        case AURICLE_STREAM_FINAL:
            keep_final(told, &event);
            told->stable[0] = 0;
            break;
        case AURICLE_STREAM_SPEECH_ENDED:
            told->ends[told->n_ended++] = event.end;
            assert_true(event.end >= told->last);
            told->last = event.end;
            break;
        case AURICLE_STREAM_FLUSHED: told->n_flushed++; break;
        }
    }
}

/* ---- Driving --------------------------------------------------------------------------------- */

/* Everything that can be done with what was fed. */
static enum auricle_wait drive(struct auricle_engine *engine, struct auricle_session *session,
                               struct told *told)
{
    struct auricle_message message;
    for (;;) {
        struct auricle_unit *units[MAX_UNITS];
        size_t n = 0;
        while (n < MAX_UNITS) {
            if (auricle_session_next(session, &units[n], &message))
                fail_msg("%s", message.text);
            if (!units[n] && auricle_session_wait(session) != AURICLE_WAIT_NONE)
                break;
            n += units[n] != NULL;
        }
        take_events(session, told);
        if (!n)
            return auricle_session_wait(session);
        auricle_engine_run(engine, units, n);
        for (size_t i = 0; i < n; i++)
            au_test_ok(auricle_session_complete(session, units[i], &message), NULL);
    }
}

/* In pieces of `piece` samples (0: random ones), then closed. */
static struct told *stream_all(struct auricle_engine *engine, const float *samples, size_t n,
                               size_t piece, const struct auricle_options *options,
                               const struct auricle_stream_options *stream)
{
    struct told *told = au_calloc(1, sizeof(*told));
    struct auricle_session *session = open_stream(engine, options, stream);
    struct au_test_random random = {piece + 3};
    for (size_t at = 0; at < n;) {
        size_t wanted = piece ? piece : (size_t)(au_test_random_u64(&random) % (3 * RATE)) + 1;
        wanted = wanted < n - at ? wanted : n - at;
        at += auricle_stream_feed(session, samples + at, wanted);
        assert_int_equal(drive(engine, session, told), AURICLE_WAIT_AUDIO);
    }
    auricle_stream_close(session);
    assert_int_equal(drive(engine, session, told), AURICLE_WAIT_END);
    assert_true(auricle_session_finished(session));
    struct auricle_result *result = NULL;
    au_test_ok(auricle_session_take_result(session, &result), NULL);
    assert_true(fabs(result->duration - (double)n / RATE) < 1e-9);
    auricle_result_destroy(result);
    auricle_session_destroy(session);
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    assert_int_equal(told->n_started, told->n_ended);
    return told;
}

/* ---- Sounds ---------------------------------------------------------------------------------- */

/* Recordings with a second of silence after each, a multiple of 10 ms altogether. */
static float *joined(const char *const *names, size_t n_names, size_t *n_out)
{
    float *all = NULL;
    size_t n = 0;
    for (size_t i = 0; i < n_names; i++) {
        char *path = au_test_shared(names[i]);
        size_t count, room;
        float *samples = au_test_sound(path, &count);
        room = n + count + PAUSE + 160;
        all = au_realloc(all, room * sizeof(*all));
        memcpy(all + n, samples, count * sizeof(*all));
        memset(all + n + count, 0, (room - n - count) * sizeof(*all));
        n = (n + count + PAUSE) / 160 * 160;
        au_free(samples);
        au_free(path);
    }
    *n_out = n;
    return all;
}

static const char *const sentences[] = {"fixtures/aasist/clips/real_1998-15444-0007.flac",
                                        "fixtures/aasist/clips/real_2033-164914-0005.flac",
                                        "fixtures/audio/jfk_16k.wav",
                                        "fixtures/aasist/clips/real_2609-156975-0000.flac"};
/* What the bundled model was not trained on and makes words of. */
static const char *const spoken[] = {"speech/en-kathleen/arctic_a0400_1592707859.flac",
                                     "speech/en-kathleen/arctic_b0003_1592701239.flac",
                                     "speech/en-kathleen/arctic_a0359_1592708766.flac",
                                     "speech/en-kathleen/arctic_b0456_1592528503.flac"};
enum { N_SENTENCES = sizeof(sentences) / sizeof(*sentences) };

/* ---- Equality -------------------------------------------------------------------------------- */

static void assert_same_finals(const struct told *a, const struct told *b)
{
    assert_int_equal(a->n_finals, b->n_finals);
    assert_int_equal(a->n_started, b->n_started);
    assert_memory_equal(a->starts, b->starts, a->n_started * sizeof(double));
    assert_memory_equal(a->ends, b->ends, a->n_ended * sizeof(double));
    for (size_t i = 0; i < a->n_finals; i++) {
        const struct final *x = &a->finals[i], *y = &b->finals[i];
        assert_string_equal(x->text, y->text);
        assert_string_equal(x->language, y->language);
        assert_int_equal(x->n_tokens, y->n_tokens);
        assert_memory_equal(x->tokens, y->tokens, x->n_tokens * sizeof(*x->tokens));
        assert_memory_equal(&x->start, &y->start, 4 * sizeof(double));
        assert_memory_equal(&x->avg_logprob, &y->avg_logprob, sizeof(float));
        assert_true(x->end_of_speech == y->end_of_speech);
    }
}

/* Each utterance by an offline session over the same samples. */
static void assert_finals_are_as_offline(struct auricle_engine *engine, const float *samples,
                                         const struct told *told,
                                         const struct auricle_options *options)
{
    size_t next = 0;
    struct auricle_options offline = *options;
    struct auricle_message message;
    offline.vad = AURICLE_VAD_OFF;
    for (size_t u = 0; u < told->n_started; u++) {
        size_t begin = (size_t)llrint(told->starts[u] * RATE),
               end = (size_t)llrint(told->ends[u] * RATE);
        struct auricle_result *result = NULL;
        if (auricle_transcribe_samples(engine, samples + begin, end - begin, &offline, NULL,
                                       &result, &message))
            fail_msg("%s", message.text);
        for (size_t i = 0; i < result->n_segments; i++) {
            const struct auricle_segment *s = &result->segments[i];
            if (!s->n_tokens)
                continue;
            assert_true(next < told->n_finals);
            const struct final *f = &told->finals[next++];
            assert_int_equal(f->n_tokens, s->n_tokens);
            assert_memory_equal(f->tokens, s->tokens, s->n_tokens * sizeof(*s->tokens));
            assert_memory_equal(&f->avg_logprob, &s->avg_logprob, sizeof(float));
            assert_true(fabs(f->start - s->start - told->starts[u]) < 1e-6);
            assert_true(fabs(f->end - s->end - told->starts[u]) < 1e-6);
            assert_int_equal(f->n_words, s->n_words);
            if (s->n_words)
                assert_true(fabs(f->word_start - s->words[0].start - told->starts[u]) < 1e-6);
        }
        auricle_result_destroy(result);
    }
    assert_int_equal(next, told->n_finals);
}

static void finals_are_equal_however_audio_comes(struct auricle_engine *engine,
                                                 const char *const *names,
                                                 const struct auricle_options *options)
{
    static const size_t pieces[] = {RATE / 100, RATE / 10, RATE, 0};
    size_t n;
    float *samples = joined(names, N_SENTENCES, &n);
    struct told *first = NULL;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
        stream.partial_ms = i == 1 ? -1 : 800;
        struct told *told = stream_all(engine, samples, n, pieces[i], options, &stream);
        print_message("pieces of %zu: %zu utterances, %zu finals, %zu partials\n", pieces[i],
                      told->n_started, told->n_finals, told->n_partials);
        assert_true(i == 1 ? told->n_partials == 0 : told->n_partials > 3);
        if (first) {
            assert_same_finals(first, told);
            au_free(told);
        } else {
            first = told;
        }
    }
    assert_true(first->n_started >= N_SENTENCES);
    assert_true(first->n_finals >= N_SENTENCES);
    for (size_t i = 0; i < first->n_finals; i++)
        print_message("%6.2f %6.2f %s\n", first->finals[i].start, first->finals[i].end,
                      first->finals[i].text);
    assert_finals_are_as_offline(engine, samples, first, options);
    au_free(first);
    au_free(samples);
}

static void finals_equal_offline_with_the_bundled_model(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_nano();
    struct auricle_options options = default_options();
    options.language = "en";
    finals_are_equal_however_audio_comes(engine, spoken, &options);
    auricle_engine_destroy(engine);
}

static void finals_equal_offline_to_the_bit(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    options.language = "en";
    finals_are_equal_however_audio_comes(engine, sentences, &options);
    auricle_engine_destroy(engine);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

/* Closed in the middle of the last word: what there is of it is heard to its last sample. */
static void the_tail_is_never_lost(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    size_t n;
    options.language = "en";
    float *samples = joined(sentences + 1, 1, &n);
    n -= PAUSE + 160 * 40;
    for (size_t cut = 0; cut < 3; cut++, n -= 160 * 7) {
        struct told *told = stream_all(engine, samples, n, RATE / 50, &options, NULL);
        assert_true(told->n_finals > 0);
        assert_true(told->finals[told->n_finals - 1].end_of_speech);
        assert_true(fabs(told->ends[told->n_ended - 1] - (double)n / RATE) < 1e-9);
        assert_finals_are_as_offline(engine, samples, told, &options);
        au_free(told);
    }
    au_free(samples);
    auricle_engine_destroy(engine);
}

/* Named by nobody: the first utterance with enough speech tells it, and all that follow keep it. */
static void the_language_is_told_and_kept(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_nano();
    struct auricle_options options = default_options();
    size_t n;
    static const char *const two[] = {"fixtures/aasist/clips/real_2609-156975-0000.flac",
                                      "speech/en-kathleen/arctic_b0003_1592701239.flac"};
    float *samples = joined(two, 2, &n);
    struct told *told = stream_all(engine, samples, n, RATE / 10, &options, NULL);
    assert_true(told->n_finals > 1);
    for (size_t i = 0; i < told->n_finals; i++)
        assert_string_equal(told->finals[i].language, told->finals[0].language);
    au_free(told);
    au_free(samples);
    auricle_engine_destroy(engine);
}

static void silence_and_nothing_end_cleanly(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_nano();
    struct auricle_options options = default_options();
    float *silence = au_calloc(20 * RATE, sizeof(float));
    for (size_t n = 0; n <= 20 * RATE; n += 20 * RATE) {
        struct told *told = stream_all(engine, silence, n, RATE / 10, &options, NULL);
        assert_int_equal(told->n_kinds, 0);
        au_free(told);
    }
    au_free(silence);
    auricle_engine_destroy(engine);
}

static void a_flush_is_answered_after_its_finals(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_nano();
    struct auricle_options options = default_options();
    size_t n;
    static const char *const one[] = {"fixtures/audio/jfk_16k.wav"};
    float *samples = joined(one, 1, &n);
    struct told *told = au_calloc(1, sizeof(*told));
    struct auricle_session *session = open_stream(engine, &options, NULL);
    size_t half = 13 * RATE / 2; /* "what your country": 5 s is a pause to a strict detector */
    assert_int_equal(auricle_stream_feed(session, samples, half), half);
    auricle_stream_flush(session);
    assert_int_equal(auricle_stream_feed(session, samples + half, n - half), n - half);
    assert_int_equal(drive(engine, session, told), AURICLE_WAIT_AUDIO);
    assert_int_equal(told->n_flushed, 1);
    size_t at = 0, n_ended = 0;
    for (; told->kinds[at] != AURICLE_STREAM_FLUSHED; at++)
        n_ended += told->kinds[at] == AURICLE_STREAM_SPEECH_ENDED;
    assert_true(at >= 3);
    assert_int_equal(told->kinds[at - 1], AURICLE_STREAM_SPEECH_ENDED);
    assert_int_equal(told->kinds[at - 2], AURICLE_STREAM_FINAL);
    assert_true(fabs(told->ends[n_ended - 1] - 6.5) < 1e-9);
    auricle_stream_flush(session); /* nothing new */
    auricle_stream_flush(session);
    assert_int_equal(drive(engine, session, told), AURICLE_WAIT_AUDIO);
    assert_int_equal(told->n_flushed, 3);
    auricle_stream_close(session);
    assert_int_equal(drive(engine, session, told), AURICLE_WAIT_END);
    auricle_session_destroy(session);
    au_free(told);
    au_free(samples);
    auricle_engine_destroy(engine);
}

/* Speech without a pause, longer than an utterance may be: in parts, none of it left out. */
static void long_speech_is_cut_and_none_is_lost(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    stream.max_utterance_seconds = 4;
    stream.endpoint_ms = 3000;
    options.language = "en";
    size_t n;
    float *samples = joined(sentences, 2, &n);
    struct told *a = stream_all(engine, samples, n, RATE / 10, &options, &stream),
                *b = stream_all(engine, samples, n, 0, &options, &stream);
    assert_same_finals(a, b);
    assert_int_equal(a->n_started, 1);
    assert_true(a->n_finals >= (size_t)(a->ends[0] - a->starts[0]) / 4);
    for (size_t i = 0; i + 1 < a->n_finals; i++)
        assert_false(a->finals[i].end_of_speech);
    assert_true(a->finals[a->n_finals - 1].end_of_speech);
    au_free(a);
    au_free(b);
    au_free(samples);
    auricle_engine_destroy(engine);
}

/* A full buffer takes no more, and takes again once somebody listens. */
static void feeding_is_held_back_when_nobody_listens(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    size_t n, taken = 0, more;
    float *samples = joined(sentences, N_SENTENCES, &n);
    struct told *told = au_calloc(1, sizeof(*told));
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    stream.max_utterance_seconds = 5;
    stream.buffer_seconds = 8;
    struct auricle_session *session = open_stream(engine, &options, &stream);
    while ((more = auricle_stream_feed(session, samples + taken, n - taken)) > 0)
        taken += more;
    assert_true(taken >= 8 * RATE && taken < n);
    while (taken < n) {
        assert_int_equal(drive(engine, session, told), AURICLE_WAIT_AUDIO);
        more = auricle_stream_feed(session, samples + taken, n - taken);
        assert_true(more > 0);
        taken += more;
    }
    auricle_stream_close(session);
    assert_int_equal(drive(engine, session, told), AURICLE_WAIT_END);
    auricle_session_destroy(session);
    au_free(told);
    au_free(samples);
    auricle_engine_destroy(engine);
}

/* ---- Two threads ----------------------------------------------------------------------------- */

struct feeder {
    struct auricle_session *session;
    const float *samples;
    size_t n;
    int n_flushes;
};

static void *feed_all(void *context)
{
    struct feeder *feeder = context;
    struct au_test_random random = {77};
    for (size_t at = 0; at < feeder->n;) {
        size_t wanted = (size_t)(au_test_random_u64(&random) % RATE) + 1;
        wanted = wanted < feeder->n - at ? wanted : feeder->n - at;
        size_t taken = auricle_stream_feed(feeder->session, feeder->samples + at, wanted);
        at += taken;
        if (!taken)
            sched_yield();
        if (taken && au_test_random_u64(&random) % 8 == 0) {
            auricle_stream_flush(feeder->session);
            feeder->n_flushes++;
        }
    }
    auricle_stream_close(feeder->session);
    return NULL;
}

static void one_thread_feeds_while_another_listens(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    options.max_tokens = 4;
    size_t n;
    float *samples = joined(sentences, N_SENTENCES, &n);
    struct told *told = au_calloc(1, sizeof(*told));
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    stream.max_utterance_seconds = 5;
    stream.buffer_seconds = 8;
    struct feeder feeder = {
        .session = open_stream(engine, &options, &stream), .samples = samples, .n = n};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed_all, &feeder), 0);
    while (drive(engine, feeder.session, told) != AURICLE_WAIT_END)
        sched_yield();
    pthread_join(thread, NULL);
    assert_int_equal(told->n_flushed, feeder.n_flushes);
    assert_true(told->n_finals > 0);
    assert_int_equal(told->n_started, told->n_ended);
    auricle_session_destroy(feeder.session);
    au_free(told);
    au_free(samples);
    auricle_engine_destroy(engine);
}

/* ---- Several, given up, refused -------------------------------------------------------------- */

static void a_stream_may_be_given_up_at_any_time(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    struct auricle_message message;
    size_t n;
    float *samples = joined(sentences, 1, &n);
    for (int steps = 0; steps < 24; steps++) {
        struct auricle_session *session = open_stream(engine, &options, NULL);
        struct auricle_unit *unit = NULL;
        (void)auricle_stream_feed(session, samples, n);
        for (int i = 0; i < steps; i++) {
            au_test_ok(auricle_session_next(session, &unit, &message), NULL);
            if (!unit)
                continue;
            auricle_engine_run(engine, &unit, 1);
            au_test_ok(auricle_session_complete(session, unit, &message), NULL);
        }
        au_test_ok(auricle_session_next(session, &unit, &message), NULL);
        auricle_session_destroy(session);
        assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    }
    au_free(samples);
    auricle_engine_destroy(engine);
}

static void what_a_stream_cannot_do_is_refused(void **state)
{
    (void)state;
    struct auricle_engine *engine = load_micro();
    struct auricle_options options = micro_options();
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_message message;
    struct auricle_session *session = NULL;
    options.offset_seconds = 1;
    assert_int_equal(auricle_session_create_stream(engine, &options, &stream, &session, &message),
                     AURICLE_E_INVALID);
    assert_non_null(strstr(message.text, "offset"));
    options.offset_seconds = 0;
    stream.max_utterance_seconds = 31;
    assert_int_equal(auricle_session_create_stream(engine, &options, &stream, &session, &message),
                     AURICLE_E_INVALID);
    stream.max_utterance_seconds = 20;
    stream.buffer_seconds = 20;
    assert_int_equal(auricle_session_create_stream(engine, &options, &stream, &session, &message),
                     AURICLE_E_INVALID);
    assert_non_null(strstr(message.text, "buffer"));
    stream.buffer_seconds = (double)NAN;
    assert_int_equal(auricle_session_create_stream(engine, &options, &stream, &session, &message),
                     AURICLE_E_INVALID);
    stream.size = 1;
    assert_int_equal(auricle_session_create_stream(engine, &options, &stream, &session, &message),
                     AURICLE_E_INVALID);
    auricle_engine_destroy(engine);
}

struct attempt {
    struct auricle_engine *engine;
    const float *samples;
    size_t n;
    struct auricle_options options;
};

static enum auricle_error stream_once(void *context)
{
    struct attempt *attempt = context;
    static const struct auricle_stream_options usual = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_message message = {""};
    struct auricle_session *session = NULL;
    struct auricle_stream_event event;
    enum auricle_error error = auricle_session_create_stream(attempt->engine, &attempt->options,
                                                             &usual, &session, &message);
    if (error)
        return error;
    (void)auricle_stream_feed(session, attempt->samples, attempt->n);
    auricle_stream_close(session);
    while (!error && !auricle_session_finished(session)) {
        struct auricle_unit *unit = NULL;
        error = auricle_session_next(session, &unit, &message);
        if (error || !unit)
            continue;
        auricle_engine_run(attempt->engine, &unit, 1);
        error = auricle_session_complete(session, unit, &message);
    }
    while (auricle_stream_next_event(session, &event)) {
    }
    assert_true(!error == !message.text[0]);
    auricle_session_destroy(session);
    assert_int_equal(recog_cells_in_use(attempt->engine->free_cells), 0);
    return error;
}

static void every_allocation_of_a_stream_may_fail(void **state)
{
    (void)state;
    size_t n;
    float *samples = joined(sentences, 1, &n);
    struct attempt attempt = {
        .engine = load_micro(), .samples = samples, .n = 3 * RATE, .options = micro_options()};
    attempt.options.max_tokens = 3;
    attempt.options.n_temperatures = 1;
    attempt.options.language = "en";
    uint64_t made = au_test_fail_each_allocation(stream_once, &attempt, 3000);
    print_message("%d allocations\n", (int)made);
    auricle_engine_destroy(attempt.engine);
    au_free(samples);
}

/* A pattern of names runs some of the tests. */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finals_equal_offline_with_the_bundled_model),
        cmocka_unit_test(finals_equal_offline_to_the_bit),
        cmocka_unit_test(the_tail_is_never_lost),
        cmocka_unit_test(the_language_is_told_and_kept),
        cmocka_unit_test(silence_and_nothing_end_cleanly),
        cmocka_unit_test(a_flush_is_answered_after_its_finals),
        cmocka_unit_test(long_speech_is_cut_and_none_is_lost),
        cmocka_unit_test(feeding_is_held_back_when_nobody_listens),
        cmocka_unit_test(one_thread_feeds_while_another_listens),
        cmocka_unit_test(a_stream_may_be_given_up_at_any_time),
        cmocka_unit_test(what_a_stream_cannot_do_is_refused),
        cmocka_unit_test(every_allocation_of_a_stream_may_fail),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
