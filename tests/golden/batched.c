/* The batched long form: the number of windows decoded together never changes a word, threads do
 * not either, segments come in order and inside the recording, and memory of decoder cells is given
 * back. The model is the small random one: its text means nothing, but it is sharp, so that any
 * difference in arithmetic would show.                                                           */
#include <math.h>
#include <stdlib.h>

#include "auricle/auricle.h"
#include "recog/engine.h"
#include "support/support.h"

static struct auricle_engine *load(int windows, int threads)
{
    struct auricle_message message;
    struct auricle_engine *engine = NULL;
    struct auricle_engine_options options = AURICLE_ENGINE_OPTIONS_INIT;
    char *model = au_test_fixture("whisper-micro/ggml-model-f16.bin");
    char *vad = au_test_fixture("silero-vad/silero_vad_16k_v62.safetensors");
    options.model = model;
    options.vad_model = vad;
    options.compute = AURICLE_COMPUTE_F32;
    options.cpu_level = getenv("AURICLE_CPU_LEVEL");
    options.max_windows = windows;
    options.threads = threads;
    if (auricle_engine_create(&options, &engine, &message))
        fail_msg("%s", message.text);
    au_free(model);
    au_free(vad);
    return engine;
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
        assert_true(a->segments[i].start >= last - 0.5);
        assert_true(a->segments[i].end <= a->duration + 1e-6);
        last = a->segments[i].start;
    }
    auricle_result_destroy(a);
    auricle_result_destroy(b);
    auricle_engine_destroy(one);
    auricle_engine_destroy(many);
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
            assert_true(s->start >= last - 0.5); /* words of one window may overlap a little */
            last = s->start;
            for (size_t w = 0; w < s->n_words; w++)
                assert_true(s->words[w].start <= s->words[w].end &&
                            s->words[w].end <= result->duration + 1e-6);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_text_that_ends_early_is_heard),
        cmocka_unit_test(batch_size_and_threads_change_nothing),
        cmocka_unit_test(segments_are_in_order_and_inside),
        cmocka_unit_test(silence_gives_no_text),
        cmocka_unit_test(conditioning_needs_the_sequential_form),
    };
    return cmocka_run_group_tests_name("batched", tests, NULL, NULL);
}
