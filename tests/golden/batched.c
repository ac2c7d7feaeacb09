/* The batched long form: the number of windows decoded together never changes a word, threads do
 * not either, segments come in order and inside the recording, and memory of decoder cells is given
 * back. The model is the small random one: its text means nothing, but it is sharp, so that any
 * difference in arithmetic would show.                                                           */
#include <math.h>
#include <stdlib.h>

#include "auricle/auricle.h"
#include "recog/engine.h"
#include "support/engine.h"
#include "support/support.h"

static struct auricle_engine *load(int windows, int threads)
{
    return au_test_engine(au_test_fixture("whisper-micro/ggml-model-f16.bin"),
                          au_test_fixture("silero-vad/silero_vad_16k_v62.safetensors"),
                          (struct auricle_engine_options){.compute = AURICLE_COMPUTE_F32,
                                                          .max_windows = windows,
                                                          .threads = threads});
}

static void options_for(struct auricle_options *options)
{
    auricle_options_default(options);
    options->long_form = AURICLE_LONG_FORM_BATCHED;
    options->n_temperatures = 2;
    options->temperatures[1] = 0.4f;
    options->no_speech_threshold = NAN; /* the random weights find silence everywhere */
    options->filter = false;            /* and rules would find its text invented, rightly */
    options->vad_max_speech_seconds = 6;
    options->word_timestamps = true;
}

static struct auricle_result *run(struct auricle_engine *engine,
                                  const struct auricle_options *options)
{
    struct auricle_message message;
    struct auricle_result *result = NULL;
    char *sound = au_test_fixture("whisper-micro/long_75s.flac");
    if (auricle_transcribe(engine, sound, options, NULL, &result, &message))
        fail_msg("%s", message.text);
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    au_free(sound);
    return result;
}

static void assert_same(const struct auricle_result *a, const struct auricle_result *b)
{
    assert_int_equal(a->n_segments, b->n_segments);
    for (size_t i = 0; i < a->n_segments; i++) {
        const struct auricle_segment *x = &a->segments[i], *y = &b->segments[i];
        assert_string_equal(x->text, y->text);
        assert_int_equal(x->n_tokens, y->n_tokens);
        assert_memory_equal(x->tokens, y->tokens, x->n_tokens * sizeof(*x->tokens));
        assert_memory_equal(&x->avg_logprob, &y->avg_logprob, sizeof(float));
        assert_memory_equal(&x->start, &y->start, sizeof(double));
        assert_memory_equal(&x->end, &y->end, sizeof(double));
        assert_int_equal(x->n_words, y->n_words);
        for (size_t w = 0; w < x->n_words; w++)
            assert_memory_equal(&x->words[w].start, &y->words[w].start,
                                2 * sizeof(double) + sizeof(float));
    }
}

static void batch_size_and_threads_change_nothing(void **state)
{
    (void)state;
    struct auricle_options options;
    options_for(&options);
    struct auricle_engine *one = load(1, 1), *many = load(8, 2);
    struct auricle_result *a = run(one, &options), *b = run(many, &options);
    print_message("%zu segments, %d windows\n", a->n_segments, (int)a->timings.encoder_windows);
    assert_true(a->timings.encoder_windows >= 3);
    assert_true(a->n_segments > 0);
    assert_same(a, b);
    auricle_result_destroy(a);
    auricle_result_destroy(b);
    auricle_engine_destroy(one);
    auricle_engine_destroy(many);
}

/* The same speech in more windows: each holds no more than was asked for. */
static void chunks_are_no_longer_than_asked(void **state)
{
    (void)state;
    struct auricle_options options;
    options_for(&options);
    options.n_temperatures = 1;
    options.vad = AURICLE_VAD_OFF;
    options.vad_max_speech_seconds = 0;
    struct auricle_engine *engine = load(8, 2);
    struct auricle_result *whole = run(engine, &options);
    options.chunk_seconds = 5;
    struct auricle_result *parts = run(engine, &options);
    assert_true(parts->timings.encoder_windows >= 75 / 5);
    assert_true(whole->timings.encoder_windows < parts->timings.encoder_windows);
    for (size_t i = 0; i < parts->n_segments; i++)
        assert_true(parts->segments[i].end - parts->segments[i].start <= 5 + 1e-6);
    auricle_result_destroy(whole);
    auricle_result_destroy(parts);
    auricle_engine_destroy(engine);
}

/* With one word to say and three tokens to say it in, the random model writes a timestamp, the
 * word and another timestamp, mostly long before the end of the speech: what follows is heard too,
 * in its place, whatever the batch.                                                              */
static void what_follows_text_that_ends_early_is_heard(void **state)
{
    (void)state;
    enum { N_SUPPRESSED = 50258, WORD = 1000 };
    static int32_t suppress[N_SUPPRESSED];
    for (int32_t id = 0; id < N_SUPPRESSED; id++)
        suppress[id] = id == WORD ? 0 : id; /* end-of-text too */
    struct auricle_options options;
    options_for(&options);
    options.n_temperatures = 1;
    options.suppress_tokens = suppress;
    options.n_suppress_tokens = N_SUPPRESSED;
    options.vad = AURICLE_VAD_ENERGY;
    options.vad_max_speech_seconds = 0;
    options.max_initial_timestamp = -1;
    options.max_tokens = 3;
    struct auricle_engine *one = load(1, 1), *many = load(8, 2);
    struct auricle_result *a = run(one, &options), *b = run(many, &options);
    print_message("%zu segments, %d windows\n", a->n_segments, (int)a->timings.encoder_windows);
    assert_true(a->timings.encoder_windows > 3); /* 75 s are three windows at most */
    assert_same(a, b);
    double last = 0;
    for (size_t i = 0; i < a->n_segments; i++) {
        assert_true(a->segments[i].start >= last);
        assert_true(a->segments[i].end <= a->duration + 1e-6);
        last = a->segments[i].end;
    }
    auricle_result_destroy(a);
    auricle_result_destroy(b);
    auricle_engine_destroy(one);
    auricle_engine_destroy(many);
}

/* Options under which the random model says the same few words for ever, at every temperature. */
static void looping_options(struct auricle_options *options, int32_t *suppress, int n_suppressed)
{
    enum { WORD = 1000 };
    for (int32_t id = 0; id < n_suppressed; id++)
        suppress[id] = id == WORD ? 0 : id; /* end-of-text and timestamps too */
    options_for(options);
    options->suppress_tokens = suppress;
    options->n_suppress_tokens = n_suppressed;
    options->vad = AURICLE_VAD_ENERGY;
    options->vad_max_speech_seconds = 0;
    options->without_timestamps = true;
    options->max_tokens = 40;
    options->word_timestamps = false;
    options->filter = true;
}

/* Each window once whole and once in halves, whose text is dropped by name. */
static void text_in_circles_is_heard_again_in_halves(void **state)
{
    (void)state;
    enum { N_SUPPRESSED = 51865 };
    static int32_t suppress[N_SUPPRESSED];
    struct auricle_options options;
    looping_options(&options, suppress, N_SUPPRESSED);
    struct auricle_engine *one = load(1, 1), *many = load(8, 2);
    struct auricle_result *a = run(one, &options), *b = run(many, &options);
    assert_same(a, b);
    assert_int_equal(a->n_segments, 0);
    assert_int_equal(a->n_filtered, b->n_filtered);
    assert_true(a->n_filtered > 1 && a->n_filtered % 2 == 0);
    assert_int_equal(a->timings.encoder_windows, a->n_filtered / 2 * 3);
    for (size_t i = 0; i < a->n_filtered; i++) {
        assert_non_null(a->filtered[i].filtered_by);
        assert_true(i == 0 || a->filtered[i].start >= a->filtered[i - 1].end - 1e-6);
        assert_true(fabs(a->filtered[i].start - b->filtered[i].start) < 1e-9);
    }
    auricle_result_destroy(a);
    auricle_result_destroy(b);
    /* Not where invented text is left alone, nor where nothing is to be tried twice. */
    for (int i = 0; i < 2; i++) {
        looping_options(&options, suppress, N_SUPPRESSED);
        options.filter = i > 0;
        options.n_temperatures = i == 0 ? 2 : 1;
        a = run(many, &options);
        assert_int_equal(a->timings.encoder_windows, a->n_segments + a->n_filtered);
        auricle_result_destroy(a);
    }
    auricle_engine_destroy(one);
    auricle_engine_destroy(many);
}

static size_t count_within(const struct auricle_segment *segments, size_t n, float limit)
{
    size_t n_within = 0;
    for (size_t i = 0; i < n; i++)
        n_within += segments[i].n_tokens > 0 && segments[i].compression_ratio <= limit;
    return n_within;
}

/* With a limit that a window's text fails, its halves are heard and judged by their own text. */
static void each_half_is_judged_by_itself(void **state)
{
    (void)state;
    struct auricle_options options;
    struct auricle_engine *engine = load(8, 2);
    size_t n_within = 0;
    for (int i = 0; i < 7 && !n_within; i++) {
        options_for(&options);
        options.word_timestamps = false;
        options.vad = AURICLE_VAD_OFF;
        options.offset_seconds = 8 * i;
        options.duration_seconds = 18;
        options.logprob_threshold = NAN;
        options.max_tokens = 60;
        options.temperatures[1] = 0.01f; /* as good as greedy */
        struct auricle_result *whole = run(engine, &options);
        assert_true(whole->n_segments > 0);
        float limit = whole->segments[0].compression_ratio - 0.01f;
        options.filter = true;
        options.compression_ratio_threshold = limit;
        struct auricle_result *halves = run(engine, &options);
        assert_true(halves->timings.encoder_windows > whole->timings.encoder_windows);
        n_within = count_within(halves->segments, halves->n_segments, limit) +
                   count_within(halves->filtered, halves->n_filtered, limit);
        print_message("limit %.2f: %zu windows, %zu segments within\n", (double)limit,
                      (size_t)halves->timings.encoder_windows, n_within);
        auricle_result_destroy(whole);
        auricle_result_destroy(halves);
    }
    assert_true(n_within > 0);
    auricle_engine_destroy(engine);
}

/* Above temperature 0 each window draws its own numbers, the same in every batch. */
static void windows_draw_their_own_numbers(void **state)
{
    (void)state;
    struct auricle_options options;
    options_for(&options);
    options.n_temperatures = 1;
    options.temperatures[0] = 1.0f;
    options.word_timestamps = false;
    options.max_tokens = 16;
    struct auricle_engine *one = load(1, 1), *many = load(8, 2);
    char *sound = au_test_fixture("audio/jfk_16k.wav");
    size_t n;
    float *samples = au_test_sound(sound, &n), *twice = au_alloc_array(60 * 16000, sizeof(float));
    struct auricle_result *results[2];
    struct auricle_message message;
    options.vad = AURICLE_VAD_OFF;
    const double clips[] = {0, 5, 5, 10};
    memcpy(twice, samples, 5 * 16000 * sizeof(float));
    memcpy(twice + 5 * 16000, samples, 5 * 16000 * sizeof(float)); /* the same sound again */
    options.clip_seconds = clips;
    options.n_clip_seconds = 4;
    for (int i = 0; i < 2; i++)
        au_test_ok(auricle_transcribe_samples(i ? many : one, twice, 10 * 16000, &options, NULL,
                                              &results[i], &message),
                   NULL);
    assert_same(results[0], results[1]);
    const struct auricle_segment *first = &results[0]->segments[0],
                                 *last = &results[0]->segments[results[0]->n_segments - 1];
    assert_true(first->seek != last->seek);
    assert_string_not_equal(first->text, last->text);
    auricle_result_destroy(results[0]);
    auricle_result_destroy(results[1]);
    au_free(samples);
    au_free(twice);
    au_free(sound);
    auricle_engine_destroy(one);
    auricle_engine_destroy(many);
}

/* Of a full window both hear the same; what is shorter each pads in its own way: transcription
 * with zeros, as it decodes, detection alone with silence, as the original.                      */
static void a_full_window_tells_the_language_as_transcription_does(void **state)
{
    (void)state;
    enum { WINDOW = 30 * 16000 };
    struct auricle_options options;
    struct auricle_message message;
    options_for(&options);
    options.vad = AURICLE_VAD_OFF;
    options.max_tokens = 2;
    options.duration_seconds = 30; /* else the window is cut in a pause */
    options.n_temperatures = 1;
    struct auricle_engine *engine = load(1, 1);
    char *sound = au_test_fixture("whisper-micro/long_75s.flac");
    size_t n, n_languages, best = 0;
    float *samples = au_test_sound(sound, &n), probability[128];
    struct auricle_result *result = NULL;
    au_test_ok(
        auricle_transcribe_samples(engine, samples, WINDOW, &options, NULL, &result, &message),
        NULL);
    au_test_ok(
        auricle_detect_language(engine, samples, WINDOW, probability, &n_languages, &message),
        NULL);
    for (size_t i = 1; i < n_languages; i++)
        best = probability[i] > probability[best] ? i : best;
    assert_string_equal(result->language, auricle_language_code(best));
    assert_true(fabsf(result->language_probability - probability[best]) < 1e-2f);
    auricle_result_destroy(result);
    au_free(samples);
    au_free(sound);
    auricle_engine_destroy(engine);
}

static void segments_are_in_order_and_inside(void **state)
{
    (void)state;
    struct auricle_options options;
    options_for(&options);
    struct auricle_engine *engine = load(4, 2);
    for (int mode = 0; mode < 3; mode++) {
        options.vad = mode == 0   ? AURICLE_VAD_SILERO
                      : mode == 1 ? AURICLE_VAD_ENERGY
                                  : AURICLE_VAD_OFF;
        struct auricle_result *result = run(engine, &options);
        double last = 0;
        for (size_t i = 0; i < result->n_segments; i++) {
            const struct auricle_segment *s = &result->segments[i];
            assert_true(s->start <= s->end && s->end <= result->duration + 1e-6);
            assert_true(s->start >= last);
            last = s->start;
            for (size_t w = 0; w < s->n_words; w++) {
                assert_true(s->words[w].start >= last && s->words[w].start <= s->words[w].end);
                last = s->words[w].end;
            }
            assert_true(s->end >= last);
            last = s->end;
        }
        auricle_result_destroy(result);
    }
    auricle_engine_destroy(engine);
}

static void silence_gives_no_text(void **state)
{
    (void)state;
    struct auricle_options options;
    struct auricle_message message;
    auricle_options_default(&options);
    struct auricle_engine *engine = load(4, 1);
    float *samples = au_calloc(16000 * 12, sizeof(float));
    struct auricle_result *result = NULL;
    if (auricle_transcribe_samples(engine, samples, 16000 * 12, &options, NULL, &result, &message))
        fail_msg("%s", message.text);
    assert_int_equal(result->n_segments, 0);
    assert_string_equal(result->text, "");
    assert_int_equal(result->timings.encoder_windows, 0);
    auricle_result_destroy(result);
    au_free(samples);
    auricle_engine_destroy(engine);
}

static void conditioning_needs_the_sequential_form(void **state)
{
    (void)state;
    struct auricle_options options;
    struct auricle_message message;
    struct auricle_session *session = NULL;
    float sample = 0;
    struct auricle_engine *engine = load(1, 1);
    options_for(&options);
    options.condition_on_previous_text = true;
    assert_int_equal(
        auricle_session_create_samples(engine, &sample, 1, &options, &session, &message),
        AURICLE_E_INVALID);
    assert_non_null(strstr(message.text, "sequential"));
    auricle_engine_destroy(engine);
}

/* A pattern of names runs some of the tests. */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_no_longer_than_asked),
        cmocka_unit_test(what_follows_text_that_ends_early_is_heard),
        cmocka_unit_test(batch_size_and_threads_change_nothing),
        cmocka_unit_test(text_in_circles_is_heard_again_in_halves),
        cmocka_unit_test(each_half_is_judged_by_itself),
        cmocka_unit_test(windows_draw_their_own_numbers),
        cmocka_unit_test(a_full_window_tells_the_language_as_transcription_does),
        cmocka_unit_test(segments_are_in_order_and_inside),
        cmocka_unit_test(silence_gives_no_text),
        cmocka_unit_test(conditioning_needs_the_sequential_form),
    };
    return cmocka_run_group_tests_name("batched", tests, NULL, NULL);
}
