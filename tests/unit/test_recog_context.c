/* Which windows read the prompt. The decoder says what a script says: support/script.h. */
#include "auricle/auricle.h"
#include "support/script.h"
#include "support/support.h"

enum { RATE = 16000, SECONDS = 40 };

/* Windows that read the prompt, of two. */
static int count_prompted(struct auricle_engine *engine, enum auricle_long_form form, bool carry)
{
    static const char *const lines[] = {"<|0.00|> a<|1.00|>"};
    static const float samples[SECONDS * RATE];
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    struct auricle_message message;
    struct auricle_session *session = NULL;
    struct auricle_options options;
    auricle_options_default(&options);
    options.language = "en";
    options.long_form = form;
    options.vad = AURICLE_VAD_OFF;
    options.initial_prompt = "names";
    options.carry_initial_prompt = carry;
    if (auricle_session_create_samples(engine, samples, SECONDS * RATE, &options, &session,
                                       &message))
        fail_msg("%s", message.text);
    auricle_result_destroy(au_test_script_hear(&script, engine, session));
    assert_int_equal(script.n_encoded, 2);
    return script.n_prompted;
}

static void the_prompt_is_read_before_every_window(void **state)
{
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    assert_int_equal(count_prompted(engine, AURICLE_LONG_FORM_AUTO, false), 2);
    assert_int_equal(count_prompted(engine, AURICLE_LONG_FORM_BATCHED, true), 2);
    auricle_engine_destroy(engine);
}

static void the_sequential_form_reads_it_once_unless_it_is_carried(void **state)
{
    struct auricle_engine *engine = au_test_script_engine();
    (void)state;
    assert_int_equal(count_prompted(engine, AURICLE_LONG_FORM_SEQUENTIAL, false), 1);
    assert_int_equal(count_prompted(engine, AURICLE_LONG_FORM_SEQUENTIAL, true), 2);
    auricle_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prompt_is_read_before_every_window),
        cmocka_unit_test(the_sequential_form_reads_it_once_unless_it_is_carried),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
