/* What a window's text leaves unheard, because the model stopped early or had no more room, is
 * heard as a window of its own. The decoder says what a script says: support/script.h.           */
#include <math.h>

#include "auricle/auricle.h"
#include "support/script.h"
#include "support/support.h"

enum { RATE = 16000, SECONDS = 20, ROOM = 24 };

static float *make_sound(void)
{
    float *samples = au_alloc_array(SECONDS * RATE, sizeof *samples);
    assert_non_null(samples);
    for (int i = 0; i < SECONDS * RATE; i++)
        samples[i] = 0.3F * sinf((float)(i % 80) * 0.0785398F);
    return samples;
}

/* With room for max_tokens tokens a window. */
static struct auricle_result *hear(struct au_test_script *script, int max_tokens, int beam_size)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    struct auricle_options options;
    struct auricle_engine *engine = au_test_script_engine();
    float *samples = make_sound();
    auricle_options_default(&options);
    options.language = "en";
    options.long_form = AURICLE_LONG_FORM_BATCHED;
    options.vad = AURICLE_VAD_OFF;
    options.max_tokens = max_tokens;
    options.beam_size = beam_size;
    if (auricle_session_create_samples(engine, samples, SECONDS * RATE, &options, &session,
                                       &message))
        fail_msg("%s", message.text);
    struct auricle_result *result = au_test_script_hear(script, engine, session);
    au_free(samples);
    auricle_engine_destroy(engine);
    return result;
}

static void assert_segment(const struct auricle_result *result, size_t i, double start, double end,
                           const char *text)
{
    assert_true(i < result->n_segments);
    assert_string_equal(result->segments[i].text, text);
    assert_true(fabs(result->segments[i].start - start) < 0.011);
    assert_true(fabs(result->segments[i].end - end) < 0.011);
}

static const char quiet[] = " Quiet.", islands[] = " Boats leave for the islands.";

static void what_follows_text_without_room_to_end_is_heard(void **state)
{
    static const char *const lines[] = {"<|0.00|> Quiet.<|6.00|><|7.00|> Boats leave for the "
                                        "islands and their harbours in the morning and at noon.",
                                        "<|1.00|> Boats leave for the islands.<|14.00|>"};
    (void)state;
    for (int beam_size = 0; beam_size <= 5; beam_size += 5) {
        struct au_test_script script = {.lines = lines, .n_lines = 2};
        struct auricle_result *result = hear(&script, ROOM, beam_size);
        assert_int_equal(script.n_encoded, 2);
        assert_int_equal(result->n_segments, 2);
        assert_segment(result, 0, 0, 6, quiet);
        assert_segment(result, 1, 6, 20, islands); /* from where the finished segment ended */
        auricle_result_destroy(result);
    }
}

/* The same text with room to say that it ends. */
static void a_tail_that_ends_by_itself_is_kept(void **state)
{
    static const char *const lines[] = {
        "<|0.00|> Quiet.<|6.00|><|7.00|> Boats leave for the islands."};
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    (void)state;
    struct auricle_result *result = hear(&script, 0, 5);
    assert_int_equal(script.n_encoded, 1);
    assert_int_equal(result->n_segments, 2);
    assert_segment(result, 0, 0, 6, quiet);
    assert_segment(result, 1, 7, 20, islands);
    auricle_result_destroy(result);
}

/* Nothing is heard again that leaves too little behind it, or that would hardly move on. */
static void a_tail_without_room_is_kept_where_no_rest_is_worth_it(void **state)
{
    static const char *const lines[][1] = {
        {"<|0.00|> Quiet.<|0.80|><|0.80|> Boats leave for the islands and their harbours."},
        {"<|0.00|> Quiet.<|18.20|><|18.20|> Boats leave for the islands and their harbours."},
        {"<|0.00|> Boats leave for the islands and their harbours in the morning and at noon."}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct au_test_script script = {.lines = lines[i], .n_lines = 1};
        struct auricle_result *result = hear(&script, ROOM, 5);
        assert_int_equal(script.n_encoded, 1);
        assert_int_equal(result->n_segments, i < 2 ? 2 : 1);
        assert_true(fabs(result->segments[result->n_segments - 1].end - SECONDS) < 0.011);
        auricle_result_destroy(result);
    }
}

/* A window and its halves, and no rest of them. */
static void circles_without_room_to_end_are_heard_in_halves_alone(void **state)
{
    static const char *const lines[] = {
        "<|0.00|> we can go and<|2.00|><|2.00|> we can go and we can go and we can go and we can "
        "go and we can go and we can go and we can go and we can go and we can go and we can go"};
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    (void)state;
    struct auricle_result *result = hear(&script, ROOM + ROOM / 2, 5);
    assert_int_equal(script.n_encoded, 3);
    assert_true(result->n_filtered > 0);
    auricle_result_destroy(result);
}

/* Without a detector a lone last timestamp is believed to say that nothing follows; not where it is
 * only the last that there was room for.                                                         */
static void a_last_timestamp_without_room_behind_it_says_nothing(void **state)
{
    static const char *const lines[] = {"<|0.00|> a<|6.00|>", "<|0.00|> b<|14.00|>"};
    struct au_test_script script = {.lines = lines, .n_lines = 2};
    (void)state;
    struct auricle_result *result = hear(&script, 0, 5);
    assert_int_equal(script.n_encoded, 1);
    auricle_result_destroy(result);
    script = (struct au_test_script){.lines = lines, .n_lines = 2};
    result = hear(&script, 3, 5);
    assert_int_equal(script.n_encoded, 2);
    assert_segment(result, 0, 0, 6, " a");
    assert_segment(result, 1, 6, 20, " b");
    auricle_result_destroy(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_text_without_room_to_end_is_heard),
        cmocka_unit_test(a_tail_that_ends_by_itself_is_kept),
        cmocka_unit_test(a_tail_without_room_is_kept_where_no_rest_is_worth_it),
        cmocka_unit_test(circles_without_room_to_end_are_heard_in_halves_alone),
        cmocka_unit_test(a_last_timestamp_without_room_behind_it_says_nothing),
    };
    return cmocka_run_group_tests_name("rest", tests, NULL, NULL);
}
