/* Which of the texts that a decoder offers are kept. The decoder says what a script says:
 * support/script.h. */
#include <math.h>

#include "support/script.h"
#include "support/support.h"

enum { SECONDS = 20, RATE = 16000 };

struct stage {
    struct auricle_engine *engine;
    struct auricle_options options;
    float *samples; /* a tone */
};

static int set_up(void **state)
{
    struct stage *stage = au_calloc(1, sizeof *stage);
    assert_non_null(stage);
    stage->engine = au_test_script_engine();
    stage->samples = au_alloc_array(SECONDS * RATE, sizeof *stage->samples);
    assert_non_null(stage->samples);
    for (int i = 0; i < SECONDS * RATE; i++)
        stage->samples[i] = 0.3F * sinf((float)(i % 80) * 0.0785398F);
    auricle_options_default(&stage->options);
    stage->options.language = "en";
    stage->options.vad = AURICLE_VAD_OFF;
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    auricle_engine_destroy(stage->engine);
    au_free(stage->samples);
    au_free(stage);
    return 0;
}

static struct auricle_result *hear(struct stage *stage, struct au_test_script *script)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    au_test_ok(auricle_session_create_samples(stage->engine, stage->samples, SECONDS * RATE,
                                              &stage->options, &session, &message),
               NULL);
    return au_test_script_hear(script, stage->engine, session);
}

/* ---- Segments without text ------------------------------------------------------------------- */

static const char *const gap[] = {
    "<|0.00|> Good morning.<|4.00|><|4.00|> <|9.00|><|9.00|> Good night.<|19.00|>"};

static void nothing_said_is_no_segment(void **state)
{
    static const enum auricle_long_form forms[] = {AURICLE_LONG_FORM_BATCHED,
                                                   AURICLE_LONG_FORM_SEQUENTIAL};
    struct stage *stage = *state;
    for (int i = 0; i < 2; i++) {
        struct au_test_script script = {.lines = gap, .n_lines = 1};
        stage->options.long_form = forms[i];
        struct auricle_result *result = hear(stage, &script);
        assert_int_equal(result->n_segments, 2);
        assert_string_equal(result->segments[0].text, " Good morning.");
        assert_string_equal(result->segments[1].text, " Good night.");
        auricle_result_destroy(result);
    }
}

static void the_original_keeps_the_place_of_nothing(void **state)
{
    struct stage *stage = *state;
    struct au_test_script script = {.lines = gap, .n_lines = 1};
    auricle_options_reference(&stage->options);
    stage->options.language = "en";
    struct auricle_result *result = hear(stage, &script);
    assert_int_equal(result->n_segments, 3);
    assert_string_equal(result->segments[1].text, "");
    assert_true(fabs(result->segments[1].start - 4) < 1e-6);
    auricle_result_destroy(result);
}

/* A window whose only text is a blank is as silent as one without speech. */
static void a_blank_alone_is_no_speech(void **state)
{
    static const char *const lines[] = {"<|0.00|> <|19.50|>"};
    struct stage *stage = *state;
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    struct auricle_result *result = hear(stage, &script);
    assert_int_equal(result->n_segments, 0);
    assert_int_equal(result->n_filtered, 0);
    assert_string_equal(result->text, "");
    auricle_result_destroy(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_said_is_no_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_original_keeps_the_place_of_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_blank_alone_is_no_speech, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
