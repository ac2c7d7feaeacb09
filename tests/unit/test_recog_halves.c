/* A window whose text goes round in circles is heard again in halves, and what they say is kept.
 * The decoder says what a script says: support/script.h. */
#include <math.h>

#include "recog/session.h"
#include "support/script.h"
#include "support/support.h"

enum { SECONDS = 20, PAUSE_AT = 9, RATE = 16000 };

/* A tone with one pause. */
static float *make_sound(void)
{
    float *samples = au_alloc_array(SECONDS * RATE, sizeof *samples);
    assert_non_null(samples);
    for (int i = 0; i < SECONDS * RATE; i++) {
        bool pause = i >= PAUSE_AT * RATE && i < PAUSE_AT * RATE + RATE / 2;
        samples[i] = pause ? 0.0F : 0.3F * sinf((float)(i % 80) * 0.0785398F);
    }
    return samples;
}

static struct auricle_result *hear(struct auricle_engine *engine,
                                   const struct auricle_options *options,
                                   struct au_test_script *script)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    float *samples = make_sound();
    au_test_ok(auricle_session_create_samples(engine, samples, SECONDS * RATE, options, &session,
                                              &message),
               NULL);
    struct auricle_result *result = au_test_script_hear(script, engine, session);
    au_free(samples);
    return result;
}

static void options_for(struct auricle_options *options)
{
    auricle_options_default(options);
    options->language = "en";
    options->long_form = AURICLE_LONG_FORM_BATCHED;
    options->vad = AURICLE_VAD_OFF;
    options->without_timestamps = true;
    assert_true(options->filter && options->n_temperatures > 1);
}

static const char circles[] =
    " we can go and we can go and we can go and we can go and we can go and "
    "we can go and we can go and we can go and we can go and we can go";

static void what_the_halves_say_is_kept(void **state)
{
    static const char *const lines[] = {circles, " The harbour is quiet in the morning.",
                                        " Boats leave for the islands at noon."};
    struct au_test_script script = {.lines = lines, .n_lines = 3};
    struct auricle_options options;
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    options_for(&options);
    struct auricle_result *result = hear(engine, &options, &script);
    assert_int_equal(script.n_encoded, 3);
    assert_int_equal(result->n_filtered, 0);
    assert_int_equal(result->n_segments, 2);
    const struct auricle_segment *first = &result->segments[0], *second = &result->segments[1];
    assert_string_equal(first->text, lines[1]);
    assert_string_equal(second->text, lines[2]);
    /* Cut in the pause: the first half begins with the sound, the second ends with it. */
    assert_true(first->start < 0.01);
    assert_true(first->end > PAUSE_AT - 0.02 && first->end < PAUSE_AT + 0.52);
    assert_true(fabs(second->start - first->end) < 0.02);
    assert_true(fabs(second->end - SECONDS) < 0.02);
    auricle_result_destroy(result);
    auricle_engine_destroy(engine);
}

static void one_half_may_go_on_in_circles(void **state)
{
    static const char *const lines[] = {circles, circles, " Boats leave for the islands at noon."};
    struct au_test_script script = {.lines = lines, .n_lines = 3};
    struct auricle_options options;
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    options_for(&options);
    struct auricle_result *result = hear(engine, &options, &script);
    assert_int_equal(script.n_encoded, 3); /* once: a half is not cut again */
    assert_int_equal(result->n_filtered, 1);
    assert_string_equal(result->filtered[0].filtered_by, "repetition");
    assert_int_equal(result->n_segments, 1);
    assert_string_equal(result->segments[0].text, lines[2]);
    assert_true(result->segments[0].start >= PAUSE_AT - 0.02);
    auricle_result_destroy(result);
    auricle_engine_destroy(engine);
}

static void a_window_that_says_something_is_heard_once(void **state)
{
    static const char *const lines[] = {" The harbour is quiet in the morning."};
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    struct auricle_options options;
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    options_for(&options);
    struct auricle_result *result = hear(engine, &options, &script);
    assert_int_equal(script.n_encoded, 1);
    assert_int_equal(result->n_segments, 1);
    auricle_result_destroy(result);
    auricle_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_halves_say_is_kept),
        cmocka_unit_test(one_half_may_go_on_in_circles),
        cmocka_unit_test(a_window_that_says_something_is_heard_once),
    };
    return cmocka_run_group_tests_name("halves", tests, NULL, NULL);
}
