/* Sessions under every circumstance: several as one batch, given up with units out, stopped half
 * way, too many for the engine, nearly empty input, every allocation failing. The model is the
 * small random one, so that any difference in arithmetic would show in the text.                 */
#include <math.h>
#include <stdlib.h>

#include "auricle/auricle.h"
#include "recog/engine.h"
#include "support/engine.h"
#include "support/support.h"

enum { RATE = 16000, N_SESSIONS = 3, MAX_UNITS = 64 };

static struct auricle_engine *load(int windows, int beams)
{
    return au_test_engine(au_test_fixture("whisper-micro/ggml-model-f16.bin"), NULL,
                          (struct auricle_engine_options){.compute = AURICLE_COMPUTE_F32,
                                                          .max_windows = windows,
                                                          .max_beams = beams,
                                                          .threads = 2});
}

static struct auricle_options options_for(enum auricle_long_form form)
{
    struct auricle_options options;
    auricle_options_default(&options);
    options.long_form = form;
    options.n_temperatures = 2;
    options.temperatures[1] = 0.4f;
    options.best_of = 2;
    options.no_speech_threshold = NAN; /* the random weights find silence everywhere */
    options.filter = false;            /* and rules would find its text invented, rightly */
    options.vad = AURICLE_VAD_OFF;
    options.max_tokens = 24; /* short: what is tested is who gets which unit when */
    options.word_timestamps = true;
    return options;
}

static float *long_sound(size_t *n)
{
    char *path = au_test_fixture("whisper-micro/long_75s.flac");
    float *samples = au_test_sound(path, n);
    au_free(path);
    return samples;
}

static struct auricle_session *open_session(struct auricle_engine *engine, const float *samples,
                                            size_t n, const struct auricle_options *options)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    if (auricle_session_create_samples(engine, samples, n, options, &session, &message))
        fail_msg("%s", message.text);
    return session;
}

/* Everything n sessions have to do, as one batch; false when all have finished. */
static bool turn(struct auricle_engine *engine, struct auricle_session *const *sessions, size_t n,
                 bool backwards)
{
    struct auricle_message message;
    struct auricle_unit *units[MAX_UNITS];
    struct auricle_session *owner[MAX_UNITS];
    size_t count = 0, n_finished = 0;
    for (size_t i = 0; i < n; i++) {
        while (count < MAX_UNITS) {
            au_test_ok(auricle_session_next(sessions[i], &units[count], &message), NULL);
            if (units[count])
                owner[count++] = sessions[i];
            else if (auricle_session_wait(sessions[i]) != AURICLE_WAIT_NONE)
                break;
        }
        n_finished += auricle_session_wait(sessions[i]) == AURICLE_WAIT_END;
    }
    auricle_engine_run(engine, units, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = backwards ? count - 1 - i : i;
        au_test_ok(auricle_session_complete(owner[at], units[at], &message), NULL);
    }
    assert_true(count > 0 || n_finished == n); /* somebody always gets on */
    return n_finished < n;
}

static struct auricle_result *take(struct auricle_session *session)
{
    struct auricle_result *result = NULL;
    au_test_ok(auricle_session_take_result(session, &result), NULL);
    return result;
}

static void assert_same(const struct auricle_result *a, const struct auricle_result *b)
{
    assert_string_equal(a->text, b->text);
    assert_string_equal(a->language, b->language);
    assert_int_equal(a->n_segments, b->n_segments);
    for (size_t i = 0; i < a->n_segments; i++) {
        const struct auricle_segment *x = &a->segments[i], *y = &b->segments[i];
        assert_int_equal(x->n_tokens, y->n_tokens);
        assert_memory_equal(x->tokens, y->tokens, x->n_tokens * sizeof(*x->tokens));
        assert_memory_equal(&x->avg_logprob, &y->avg_logprob, sizeof(float));
        assert_memory_equal(&x->start, &y->start, 2 * sizeof(double));
        assert_int_equal(x->n_words, y->n_words);
        for (size_t w = 0; w < x->n_words; w++)
            assert_memory_equal(&x->words[w].start, &y->words[w].start, 2 * sizeof(double));
    }
}

static void sessions_in_one_batch_are_as_alone(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    const size_t first[N_SESSIONS] = {0, 20 * RATE, 41 * RATE},
                 count[N_SESSIONS] = {37 * RATE, 9 * RATE, n - 41 * RATE};
    struct auricle_engine *engine = load(8, 5);
    struct auricle_session *sessions[N_SESSIONS];
    struct auricle_result *alone[N_SESSIONS];
    for (size_t i = 0; i < N_SESSIONS; i++) {
        struct auricle_options options = options_for(i == 1 ? AURICLE_LONG_FORM_SEQUENTIAL
                                                            : AURICLE_LONG_FORM_BATCHED);
        struct auricle_session *one = open_session(engine, samples + first[i], count[i], &options);
        while (turn(engine, &one, 1, false)) {
        }
        assert_true(auricle_session_finished(one));
        alone[i] = take(one);
        assert_true(alone[i]->n_segments > 0);
        auricle_session_destroy(one);
        sessions[i] = open_session(engine, samples + first[i], count[i], &options);
    }
    while (turn(engine, sessions, N_SESSIONS, true)) {
    }
    for (size_t i = 0; i < N_SESSIONS; i++) {
        struct auricle_result *together = take(sessions[i]);
        assert_same(alone[i], together);
        auricle_result_destroy(together);
        auricle_result_destroy(alone[i]);
        auricle_session_destroy(sessions[i]);
    }
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    auricle_engine_destroy(engine);
    au_free(samples);
}

/* At each step of the way: with the unit handed out, and not run. */
static void a_session_may_be_given_up_with_units_out(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load(2, 2);
    struct auricle_message message;
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        struct auricle_options options = options_for((enum auricle_long_form)form);
        options.max_tokens = 4;
        bool finished = false;
        for (int steps = 0; !finished; steps++) {
            struct auricle_session *session = open_session(engine, samples, 3 * RATE, &options);
            for (int i = 0; i < steps; i++)
                (void)turn(engine, &session, 1, false);
            struct auricle_unit *unit;
            au_test_ok(auricle_session_next(session, &unit, &message), NULL);
            finished = auricle_session_finished(session);
            auricle_session_destroy(session);
            assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
            assert_true(recog_cells_reserve(engine->free_cells, 2 * 2 * 448 + 2));
            recog_cells_unreserve(engine->free_cells, 2 * 2 * 448 + 2);
        }
    }
    auricle_engine_destroy(engine);
    au_free(samples);
}

struct stop {
    int n_calls, last;
    size_t n_segments;
};

static bool stop_here(void *context, double done, double total)
{
    struct stop *stop = context;
    assert_true(done >= 0 && done <= total + 1e-6);
    return ++stop->n_calls < stop->last && !stop->n_segments;
}

static void count_segment(void *context, const struct auricle_segment *segment)
{
    assert_non_null(segment->text);
    ((struct stop *)context)->n_segments++;
}

static void stopped_half_way_the_result_has_text_and_segments(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load(2, 2);
    struct auricle_message message;
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        struct auricle_options options = options_for((enum auricle_long_form)form);
        struct stop stop = {.last = 1 << 30};
        struct auricle_callbacks callbacks = {sizeof(callbacks), &stop, stop_here, count_segment};
        struct auricle_result *result = NULL;
        assert_int_equal(
            auricle_transcribe_samples(engine, samples, n, &options, &callbacks, &result, &message),
            AURICLE_E_CANCELLED);
        assert_non_null(result);
        assert_int_equal(result->n_segments, stop.n_segments);
        assert_true(result->n_segments > 0);
        assert_true(result->text[0] != 0);
        assert_true(result->timings.total > 0);
        assert_true(message.text[0] != 0);
        auricle_result_destroy(result);
        assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    }
    auricle_engine_destroy(engine);
    au_free(samples);
}

/* Room for one window, and three sessions: each waits for its turn and finishes. */
static void too_many_sessions_wait_for_one_another(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load(1, 2);
    struct auricle_message message;
    struct auricle_options options = options_for(AURICLE_LONG_FORM_BATCHED),
                           sequential = options_for(AURICLE_LONG_FORM_SEQUENTIAL);
    struct auricle_session *all[3] = {open_session(engine, samples, 40 * RATE, &options),
                                      open_session(engine, samples, 40 * RATE, &sequential),
                                      open_session(engine, samples, 40 * RATE, &options)};
    struct auricle_unit *unit, *none;
    au_test_ok(auricle_session_next(all[0], &unit, &message), NULL);
    assert_non_null(unit);
    while (au_test_ok(auricle_session_next(all[2], &none, &message), NULL),
           auricle_session_wait(all[2]) == AURICLE_WAIT_NONE)
        assert_null(none);
    assert_int_equal(auricle_session_wait(all[2]), AURICLE_WAIT_ROOM);
    auricle_engine_run(engine, &unit, 1);
    au_test_ok(auricle_session_complete(all[0], unit, &message), NULL);
    while (turn(engine, all, 3, false)) {
    }
    struct auricle_result *a = take(all[0]), *b = take(all[1]), *c = take(all[2]);
    assert_same(a, c);
    assert_true(a->n_segments > 0 && b->n_segments > 0);
    struct auricle_result *results[3] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        auricle_result_destroy(results[i]);
        auricle_session_destroy(all[i]);
    }
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    auricle_engine_destroy(engine);
    au_free(samples);
}

/* Sixty seconds would take two windows; the second has no cells and waits for the first. */
static void a_session_goes_on_with_the_slots_it_has(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load(2, 2);
    struct auricle_options options = options_for(AURICLE_LONG_FORM_BATCHED);
    struct auricle_session *both[2] = {open_session(engine, samples, 60 * RATE, &options),
                                       open_session(engine, samples, 60 * RATE, &options)};
    while (turn(engine, both, 2, false)) {
    }
    struct auricle_result *a = take(both[0]), *b = take(both[1]);
    assert_true(a->timings.encoder_windows >= 2);
    assert_same(a, b);
    auricle_result_destroy(a);
    auricle_result_destroy(b);
    auricle_session_destroy(both[0]);
    auricle_session_destroy(both[1]);
    auricle_engine_destroy(engine);
    au_free(samples);
}

static void a_taken_result_ends_the_session(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load(1, 2);
    struct auricle_message message;
    struct auricle_options options = options_for(AURICLE_LONG_FORM_BATCHED);
    struct auricle_session *session = open_session(engine, samples, 8 * RATE, &options);
    struct auricle_unit *unit, *other;
    struct auricle_result *again;
    au_test_ok(auricle_session_next(session, &unit, &message), NULL);
    auricle_engine_run(engine, &unit, 1);
    auricle_result_destroy(take(session));
    assert_int_equal(auricle_session_complete(session, unit, &message), AURICLE_E_STATE);
    assert_int_equal(auricle_session_next(session, &other, &message), AURICLE_E_STATE);
    assert_int_equal(auricle_session_take_result(session, &again), AURICLE_E_STATE);
    auricle_session_destroy(session);
    auricle_engine_destroy(engine);
    au_free(samples);
}

static void hardly_any_samples_are_no_trouble(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 159, 160, 800, 4801};
    float samples[4801];
    struct au_test_random random = {5};
    au_test_random_fill(&random, samples, 4801);
    samples[7] = NAN;
    samples[70] = INFINITY;
    struct auricle_engine *engine = load(2, 2);
    struct auricle_message message;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
            struct auricle_options options = options_for((enum auricle_long_form)form);
            struct auricle_result *result = NULL;
            if (auricle_transcribe_samples(engine, lengths[i] ? samples : NULL, lengths[i],
                                           &options, NULL, &result, &message))
                fail_msg("%zu samples: %s", lengths[i], message.text);
            assert_true(fabs(result->duration - (double)lengths[i] / RATE) < 1e-9);
            assert_true(lengths[i] > 0 || result->n_segments == 0);
            for (size_t s = 0; s < result->n_segments; s++)
                assert_true(isfinite(result->segments[s].avg_logprob));
            char *json;
            size_t bytes;
            au_test_ok(auricle_render(result, "json", &json, &bytes, &message), NULL);
            auricle_string_free(json);
            auricle_result_destroy(result);
        }
    }
    auricle_engine_destroy(engine);
}

/* Room for all of the context, and text that says more than can be aligned. */
static void a_window_full_of_tokens_can_be_aligned(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct auricle_engine *engine = load(1, 2);
    struct auricle_message message;
    struct auricle_options options = options_for(AURICLE_LONG_FORM_SEQUENTIAL);
    options.max_tokens = 1000;
    options.n_temperatures = 1;
    options.without_timestamps = true;
    options.language = "en";
    struct auricle_result *result = NULL;
    if (auricle_transcribe_samples(engine, samples, 10 * RATE, &options, NULL, &result, &message))
        fail_msg("%s", message.text);
    for (size_t s = 0; s < result->n_segments; s++)
        assert_true(result->segments[s].start >= 0);
    auricle_result_destroy(result);
    auricle_engine_destroy(engine);
    au_free(samples);
}

/* ---- Failing memory -------------------------------------------------------------------------- */

struct attempt {
    struct auricle_engine *engine;
    const float *samples;
    size_t n;
    struct auricle_options options;
};

static enum auricle_error transcribe(void *context)
{
    struct attempt *attempt = context;
    struct auricle_message message = {""};
    struct auricle_result *result = NULL;
    enum auricle_error error = auricle_transcribe_samples(
        attempt->engine, attempt->samples, attempt->n, &attempt->options, NULL, &result, &message);
    assert_int_equal(recog_cells_in_use(attempt->engine->free_cells), 0);
    assert_true(!error == !message.text[0]);
    auricle_result_destroy(result);
    return error;
}

static void every_allocation_of_a_session_may_fail(void **state)
{
    (void)state;
    size_t n;
    float *samples = long_sound(&n);
    struct attempt attempt = {.engine = load(1, 2), .samples = samples, .n = RATE};
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        attempt.options = options_for((enum auricle_long_form)form);
        attempt.options.max_tokens = 3;
        attempt.options.initial_prompt = "one two";
        attempt.options.hotwords = "three";
        attempt.options.vad = AURICLE_VAD_ENERGY;
        uint64_t made = au_test_fail_each_allocation(transcribe, &attempt, 2000);
        print_message("%d allocations\n", (int)made);
    }
    auricle_engine_destroy(attempt.engine);
    au_free(samples);
}

/* Loading makes many allocations and takes long: each of the first and the last ones, and some of
 * those between, fail.                                                                           */
static void allocations_of_an_engine_may_fail(void **state)
{
    (void)state;
    struct auricle_message message;
    struct auricle_engine_options options = AURICLE_ENGINE_OPTIONS_INIT;
    char *model = au_test_fixture("whisper-micro/ggml-model-f16.bin");
    options.model = model;
    options.threads = 1;
    uint64_t before = au_mem_count();
    struct auricle_engine *engine = NULL;
    au_test_ok(auricle_engine_create(&options, &engine, &message), NULL);
    auricle_engine_destroy(engine);
    uint64_t made = au_mem_count() - before;
    uint64_t stride = made > 120 ? (made - 60) / 40 : 1;
    print_message("%d allocations\n", (int)made);
    for (uint64_t n = 0; n < made; n += n < 20 || n + 40 >= made ? 1 : stride) {
        engine = NULL;
        au_mem_fail_at(n, false);
        enum auricle_error error = auricle_engine_create(&options, &engine, &message);
        au_mem_fail_never();
        if (error != AURICLE_E_NOMEM || !message.text[0] || engine)
            fail_msg("allocation %d failed: %s, \"%s\"", (int)n, auricle_error_name(error),
                     message.text);
    }
    au_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_in_one_batch_are_as_alone),
        cmocka_unit_test(a_session_may_be_given_up_with_units_out),
        cmocka_unit_test(stopped_half_way_the_result_has_text_and_segments),
        cmocka_unit_test(too_many_sessions_wait_for_one_another),
        cmocka_unit_test(a_session_goes_on_with_the_slots_it_has),
        cmocka_unit_test(a_taken_result_ends_the_session),
        cmocka_unit_test(hardly_any_samples_are_no_trouble),
        cmocka_unit_test(a_window_full_of_tokens_can_be_aligned),
        cmocka_unit_test(every_allocation_of_a_session_may_fail),
        cmocka_unit_test(allocations_of_an_engine_may_fail),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
