/* The text of a translation is English whatever is spoken: it is judged, split into words and grown
 * in partials as English is. The decoder says what a script says: support/script.h.             */
#include <math.h>

#include "auricle/auricle.h"
#include "support/script.h"
#include "support/support.h"

enum { RATE = 16000, SECONDS = 12 };

static float *make_sound(void)
{
    float *samples = au_alloc_array(SECONDS * RATE, sizeof *samples);
    assert_non_null(samples);
    for (int i = 0; i < SECONDS * RATE; i++)
        samples[i] = 0.3F * sinf((float)(i % 80) * 0.0785398F);
    return samples;
}

static struct auricle_options options_for(const char *language, enum auricle_task task)
{
    struct auricle_options options;
    auricle_options_default(&options);
    options.language = language;
    options.task = task;
    options.vad = AURICLE_VAD_OFF;
    assert_true(options.filter && options.n_temperatures > 1);
    return options;
}

static struct auricle_result *hear(struct auricle_engine *engine,
                                   const struct auricle_options *options,
                                   struct au_test_script *script)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    float *samples = make_sound();
    if (auricle_session_create_samples(engine, samples, SECONDS * RATE, options, &session,
                                       &message))
        fail_msg("%s", message.text);
    struct auricle_result *result = au_test_script_hear(script, engine, session);
    au_free(samples);
    return result;
}

/* Thirty-five letters a second, which is fast in English and beyond what is said in Japanese. */
static void english_is_expected_of_every_language(void **state)
{
    static const char *const lines[] = {
        "<|0.00|> The harbour is quiet in the morning and the boats leave at noon.<|2.00|>"};
    static const char *const languages[] = {"en", "ru", "ja", "zh", "ar", "ko", "hi", "th"};
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        struct au_test_script script = {.lines = lines, .n_lines = 1};
        struct auricle_options options = options_for(languages[i], AURICLE_TASK_TRANSLATE);
        struct auricle_result *result = hear(engine, &options, &script);
        assert_int_equal(result->n_filtered, 0);
        assert_int_equal(result->n_segments, 1);
        assert_string_equal(result->segments[0].language, languages[i]); /* what is spoken */
        auricle_result_destroy(result);
        script = (struct au_test_script){.lines = lines, .n_lines = 1};
        options.task = AURICLE_TASK_TRANSCRIBE;
        result = hear(engine, &options, &script);
        assert_int_equal(result->n_filtered, i == 0 ? 0 : 1); /* no Russian, no Japanese ... */
        auricle_result_destroy(result);
    }
    auricle_engine_destroy(engine);
}

/* Two letters over and over are a loop where a letter is a word, and a laugh in English. */
static void loops_are_looked_for_in_words(void **state)
{
    static const char *const lines[] = {"<|0.00|> Hahahahahahahaha, good.<|4.00|>"};
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    struct auricle_options options = options_for("ja", AURICLE_TASK_TRANSLATE);
    struct auricle_result *result = hear(engine, &options, &script);
    assert_int_equal(script.n_encoded, 1); /* not again in halves */
    assert_int_equal(result->n_segments, 1);
    assert_int_equal(result->n_filtered, 0);
    auricle_result_destroy(result);
    auricle_engine_destroy(engine);
}

static void words_are_split_at_spaces(void **state)
{
    static const char *const lines[] = {"<|0.00|> The harbour is quiet.<|4.00|>"};
    static const char *const words[] = {" The", " harbour", " is", " quiet."};
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    struct auricle_options options = options_for("ja", AURICLE_TASK_TRANSLATE);
    options.word_timestamps = true;
    struct auricle_result *result = hear(engine, &options, &script);
    assert_int_equal(result->n_segments, 1);
    assert_int_equal(result->segments[0].n_words, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(result->segments[0].words[i].text, words[i]);
    auricle_result_destroy(result);
    auricle_engine_destroy(engine);
}

/* ---- Streams --------------------------------------------------------------------------------- */

/* Run until more sound is wanted; the longest stable text of a partial is kept. */
static void drive(struct auricle_session *session, struct auricle_engine *engine,
                  struct au_test_script *script, char *stable, size_t room)
{
    struct auricle_message message;
    struct auricle_unit *unit;
    struct auricle_stream_event event;
    do {
        if (auricle_session_next(session, &unit, &message))
            fail_msg("%s", message.text);
        if (unit) {
            au_test_script_run(script, engine, unit);
            au_test_ok(auricle_session_complete(session, unit, &message), NULL);
        }
        while (auricle_stream_next_event(session, &event)) {
            if (event.kind == AURICLE_STREAM_PARTIAL && event.n_stable > strlen(stable))
                snprintf(stable, room, "%.*s", (int)event.n_stable, event.text);
        }
    } while (unit || auricle_session_wait(session) == AURICLE_WAIT_NONE);
}

/* The first partial ends within a word, so the second makes all before it stable and no letter
 * of it.                                                                                         */
static void partials_grow_by_words(void **state)
{
    static const char *const lines[] = {"<|0.00|> I should like a ca<|1.00|>",
                                        "<|0.00|> I should like a cat<|1.00|>"};
    static const struct auricle_stream_options usual = AURICLE_STREAM_OPTIONS_INIT;
    enum { STEP = RATE / 10 };
    struct au_test_script script = {.lines = lines, .n_lines = 2};
    struct auricle_engine *engine = au_test_script_engine();
    struct auricle_options options = options_for("ja", AURICLE_TASK_TRANSLATE);
    struct auricle_session *session = NULL;
    struct auricle_message message;
    char stable[64] = "";
    float *samples = make_sound();
    (void)state;
    options.vad = AURICLE_VAD_ENERGY;
    if (auricle_session_create_stream(engine, &options, &usual, &session, &message))
        fail_msg("%s", message.text);
    for (size_t at = 0; script.n_encoded < 2; at += STEP) {
        assert_true(at < SECONDS * RATE);
        assert_int_equal(auricle_stream_feed(session, samples + at, STEP), STEP);
        drive(session, engine, &script, stable, sizeof stable);
    }
    assert_string_equal(stable, "I should like a");
    auricle_session_destroy(session);
    au_free(samples);
    auricle_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(english_is_expected_of_every_language),
        cmocka_unit_test(loops_are_looked_for_in_words),
        cmocka_unit_test(words_are_split_at_spaces),
        cmocka_unit_test(partials_grow_by_words),
    };
    return cmocka_run_group_tests_name("translate", tests, NULL, NULL);
}
