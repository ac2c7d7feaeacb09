/* Which of the texts that a decoder offers are kept. The decoder says what a script says:
 * support/script.h. */
#include <math.h>

#include "recog/unit.h"
#include "support/script.h"
#include "support/support.h"

enum { SECONDS = AU_TEST_STAGE_SECONDS };

static struct auricle_result *hear(struct au_test_stage *stage, struct au_test_script *script)
{
    return au_test_stage_hear(stage, script, SECONDS);
}

/* ---- Segments without text ------------------------------------------------------------------- */

static const char *const gap[] = {
    "<|0.00|> Good morning.<|4.00|><|4.00|> <|9.00|><|9.00|> Good night.<|19.00|>"};

static void nothing_said_is_no_segment(void **state)
{
    static const enum auricle_long_form forms[] = {AURICLE_LONG_FORM_BATCHED,
                                                   AURICLE_LONG_FORM_SEQUENTIAL};
    struct au_test_stage *stage = *state;
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
    struct au_test_stage *stage = *state;
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
    struct au_test_stage *stage = *state;
    struct au_test_script script = {.lines = lines, .n_lines = 1};
    struct auricle_result *result = hear(stage, &script);
    assert_int_equal(result->n_segments, 0);
    assert_int_equal(result->n_filtered, 0);
    assert_string_equal(result->text, "");
    auricle_result_destroy(result);
}

/* ---- Temperatures ---------------------------------------------------------------------------- */

static const char circles[] =
    " we can go and we can go and we can go and we can go and we can go and "
    "we can go and we can go and we can go and we can go and we can go";

static const char *const doubtful[] = {" The first is doubtful.", " The second is better.",
                                       " The last is the worst."};

static void set_up_ladder(struct au_test_stage *stage)
{
    stage->options.without_timestamps = true;
    stage->options.n_temperatures = 3;
}

static struct auricle_result *climb(struct au_test_stage *stage, const char *const *lines,
                                    const float *logprobs)
{
    struct au_test_script script = {
        .lines = lines, .n_lines = 3, .each_search = true, .logprobs = logprobs};
    struct auricle_result *result = hear(stage, &script);
    assert_int_equal(script.n_said, 3);
    assert_int_equal(script.n_encoded, 1);
    assert_int_equal(result->n_segments, 1);
    return result;
}

static void the_likeliest_of_doubtful_texts_is_kept(void **state)
{
    static const float logprobs[] = {-1.4F, -1.2F, -2.5F};
    static const enum auricle_long_form forms[] = {AURICLE_LONG_FORM_BATCHED,
                                                   AURICLE_LONG_FORM_SEQUENTIAL};
    struct au_test_stage *stage = *state;
    set_up_ladder(stage);
    for (int i = 0; i < 2; i++) {
        stage->options.long_form = forms[i];
        stage->options.word_timestamps = i == 0; /* the other would hear on behind the last word */
        struct auricle_result *result = climb(stage, doubtful, logprobs);
        const struct auricle_segment *segment = &result->segments[0];
        assert_string_equal(segment->text, doubtful[1]);
        assert_true(fabsf(segment->temperature - 0.2F) < 1e-6F);
        assert_true(fabsf(segment->avg_logprob - logprobs[1]) < 1e-4F);
        assert_true(segment->n_tokens > 3);
        for (size_t t = 0; t < segment->n_tokens; t++)
            assert_true(fabsf(segment->token_logprobs[t] - logprobs[1]) < 1e-6F);
        assert_int_equal(segment->n_words, i == 0 ? 4 : 0);
        if (i == 0)
            assert_string_equal(segment->words[1].text, " second");
        auricle_result_destroy(result);
    }
}

static void of_equals_the_coldest_is_kept(void **state)
{
    static const float logprobs[] = {-1.2F, -1.2F, -1.2F};
    struct au_test_stage *stage = *state;
    set_up_ladder(stage);
    struct auricle_result *result = climb(stage, doubtful, logprobs);
    assert_string_equal(result->segments[0].text, doubtful[0]);
    auricle_result_destroy(result);
}

static void doubt_is_better_than_circles_and_than_nothing(void **state)
{
    static const char *const lines[] = {circles, " ", " The last is doubtful."};
    static const float logprobs[] = {-0.1F, -1.1F, -2.5F};
    struct au_test_stage *stage = *state;
    set_up_ladder(stage);
    struct auricle_result *result = climb(stage, lines, logprobs);
    assert_string_equal(result->segments[0].text, lines[2]);
    auricle_result_destroy(result);
}

/* What one window fell back on is forgotten when the next one begins. */
static void each_window_has_its_own_temperatures(void **state)
{
    static const char *const lines[] = {" One is likely.",     " One is less so.",
                                        " One is not at all.", " Two is doubtful.",
                                        " Two is better.",     " Two is worse."};
    static const float logprobs[] = {-1.1F, -1.3F, -1.4F, -2.4F, -2.2F, -2.5F};
    static const double clips[] = {0, 8, 8, 16};
    struct au_test_stage *stage = *state;
    struct au_test_script script = {
        .lines = lines, .n_lines = 6, .each_search = true, .logprobs = logprobs};
    set_up_ladder(stage);
    stage->options.clip_seconds = clips;
    stage->options.n_clip_seconds = 4;
    struct auricle_result *result = hear(stage, &script);
    assert_int_equal(script.n_said, 6);
    assert_int_equal(result->n_segments, 2);
    assert_string_equal(result->segments[0].text, lines[0]);
    assert_string_equal(result->segments[1].text, lines[4]);
    auricle_result_destroy(result);
}

/* Tokens that the decoder is given before its first, in each search. */
static int prompts(struct au_test_stage *stage, struct au_test_script *script, int *lengths,
                   int room)
{
    struct auricle_session *session = au_test_stage_session(stage, SECONDS);
    struct auricle_message message;
    int n = 0;
    while (!auricle_session_finished(session)) {
        struct auricle_unit *unit;
        au_test_ok(auricle_session_next(session, &unit, &message), NULL);
        if (!unit)
            continue;
        if (unit->n_rows && unit->rows[0].n_sampled == 0 && n < room)
            lengths[n++] = unit->rows[0].model.n_tokens;
        au_test_script_run(script, stage->engine, unit);
        au_test_ok(auricle_session_complete(session, unit, &message), NULL);
    }
    auricle_session_destroy(session);
    return n;
}

/* A cold text may be kept: the window was hard to hear all the same. */
static void no_window_is_conditioned_on_one_that_was_hard_to_hear(void **state)
{
    static const char *const lines[] = {" One is likely.", " One is less so.",
                                        " One is not at all.", " Two is said."};
    static const float logprobs[] = {-1.1F, -1.3F, -1.4F, -0.1F};
    static const double clips[] = {0, 8, 8, 16};
    struct au_test_stage *stage = *state;
    int lengths[8];
    set_up_ladder(stage);
    stage->options.condition_on_previous_text = true;
    stage->options.clip_seconds = clips;
    stage->options.n_clip_seconds = 4;
    for (int hot = 0; hot < 2; hot++) {
        struct au_test_script script = {
            .lines = lines, .n_lines = 4, .each_search = true, .logprobs = logprobs};
        stage->options.temperatures[2] = hot ? 0.8F : 0.4F;
        assert_int_equal(prompts(stage, &script, lengths, 8), 4);
        if (hot)
            assert_int_equal(lengths[3], lengths[0]);
        else
            assert_true(lengths[3] > lengths[0] + 3);
    }
}

static void the_original_keeps_the_last_text(void **state)
{
    static const float logprobs[] = {-1.4F, -1.2F, -2.5F};
    struct au_test_stage *stage = *state;
    auricle_options_reference(&stage->options);
    stage->options.language = "en";
    set_up_ladder(stage);
    struct auricle_result *result = climb(stage, doubtful, logprobs);
    assert_string_equal(result->segments[0].text, doubtful[2]);
    auricle_result_destroy(result);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, au_test_stage_set_up, au_test_stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_said_is_no_segment),
        TEST(the_original_keeps_the_place_of_nothing),
        TEST(a_blank_alone_is_no_speech),
        TEST(the_likeliest_of_doubtful_texts_is_kept),
        TEST(of_equals_the_coldest_is_kept),
        TEST(doubt_is_better_than_circles_and_than_nothing),
        TEST(each_window_has_its_own_temperatures),
        TEST(no_window_is_conditioned_on_one_that_was_hard_to_hear),
        TEST(the_original_keeps_the_last_text),
    };
    return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
