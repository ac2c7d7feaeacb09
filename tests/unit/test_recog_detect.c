/* Hearing the language within a session. The decoder says what a script says: support/script.h. */
#include <math.h>

#include "recog/session.h"
#include "support/script.h"
#include "support/support.h"

enum { RATE = 16000, SECONDS = 4 };

static struct auricle_session *open_session(struct auricle_engine *engine, const float *samples,
                                            size_t n, const char *languages,
                                            enum auricle_long_form form)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    struct auricle_options options;
    auricle_options_default(&options);
    options.languages = languages;
    options.long_form = form;
    options.vad = AURICLE_VAD_OFF;
    if (auricle_session_create_samples(engine, samples, n, &options, &session, &message))
        fail_msg("%s", message.text);
    return session;
}

static void probabilities_that_are_no_numbers_choose_an_allowed_language(void **state)
{
    static const char *const lines[] = {"<|0.00|> a<|1.00|>"};
    static const float samples[SECONDS * RATE];
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        struct au_test_script script = {.lines = lines, .n_lines = 1, .language = NAN};
        struct auricle_session *session = open_session(engine, samples, SECONDS * RATE, "ja,ru",
                                                       (enum auricle_long_form)form);
        struct auricle_result *result = au_test_script_hear(&script, engine, session);
        assert_string_equal(result->language, "ru"); /* the first of the two in the model's order */
        assert_true(result->language_probability >= 0 && result->language_probability <= 0);
        auricle_result_destroy(result);
    }
    auricle_engine_destroy(engine);
}

/* Until the row that asks for the language is handed out. */
static void ask(struct auricle_session *session, struct auricle_engine *engine,
                struct au_test_script *script)
{
    struct auricle_message message;
    struct auricle_unit *unit = NULL;
    while (!unit || unit->kind != RECOG_UNIT_DECODE) {
        if (unit) {
            au_test_script_run(script, engine, unit);
            au_test_ok(auricle_session_complete(session, unit, &message), NULL);
        }
        au_test_ok(auricle_session_next(session, &unit, &message), NULL);
    }
    assert_non_null(unit->rows[0].choose);
}

/* Its cell goes back before the seat that it is reserved with: where reservations end it is
 * asserted that nothing is in use which nobody has reserved.                                     */
static void a_session_may_be_given_up_while_the_row_is_out(void **state)
{
    static const char *const lines[] = {"<|0.00|> a<|1.00|>"};
    static const float samples[SECONDS * RATE];
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        struct au_test_script script = {.lines = lines, .n_lines = 1};
        struct auricle_session *session = open_session(engine, samples, SECONDS * RATE, NULL,
                                                       (enum auricle_long_form)form);
        ask(session, engine, &script);
        assert_int_equal(recog_cells_in_use(engine->free_cells), 1);
        auricle_session_destroy(session);
        assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    }
    auricle_engine_destroy(engine);
}

static void nothing_is_heard_in_a_recording_without_sound(void **state)
{
    static const char *const lines[] = {""};
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    for (int form = AURICLE_LONG_FORM_SEQUENTIAL; form <= AURICLE_LONG_FORM_BATCHED; form++) {
        struct au_test_script script = {.lines = lines, .n_lines = 1};
        struct auricle_session *session = open_session(engine, NULL, 0, NULL,
                                                       (enum auricle_long_form)form);
        struct auricle_result *result = au_test_script_hear(&script, engine, session);
        assert_int_equal(script.n_encoded, 0);
        assert_int_equal(result->timings.encoder_windows, 0);
        assert_int_equal(result->n_segments, 0);
        assert_null(result->language);
        auricle_result_destroy(result);
    }
    auricle_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probabilities_that_are_no_numbers_choose_an_allowed_language),
        cmocka_unit_test(a_session_may_be_given_up_while_the_row_is_out),
        cmocka_unit_test(nothing_is_heard_in_a_recording_without_sound),
    };
    return cmocka_run_group_tests_name("detect", tests, NULL, NULL);
}
