/* Times of segments and words: in order, inside the recording, and without say in what is kept.
 *
 * The bundled model writes down recordings of the repository as users do; single cases are told by
 * a script (support/script.h), whose decoder hears a token every fifth of a second.             */
#include <math.h>

#include "base/buf.h"
#include "recog/engine.h"
#include "support/engine.h"
#include "support/script.h"
#include "support/support.h"

enum { SECONDS = AU_TEST_STAGE_SECONDS };

/* ---- In order -------------------------------------------------------------------------------- */

static void assert_words(const struct auricle_segment *segment)
{
    double last = segment->start;
    struct au_buf joined;
    au_buf_init(&joined, 0);
    for (size_t i = 0; i < segment->n_words; i++) {
        const struct auricle_word *word = &segment->words[i];
        if (!(word->start >= last && word->end >= word->start && word->end <= segment->end))
            fail_msg("\"%s\" lasts from %.3f to %.3f, after %.3f, in a segment from %.3f to %.3f",
                     word->text, word->start, word->end, last, segment->start, segment->end);
        last = word->end;
        au_buf_puts(&joined, word->text);
    }
    assert_string_equal(joined.data, segment->text);
    au_buf_deinit(&joined);
}

static void assert_order(const struct auricle_result *result, bool words)
{
    double last = 0;
    for (size_t i = 0; i < result->n_segments; i++) {
        const struct auricle_segment *segment = &result->segments[i];
        if (!(segment->start >= last && segment->end > segment->start))
            fail_msg("segment %zu lasts from %.3f to %.3f, after %.3f: %s", i, segment->start,
                     segment->end, last, segment->text);
        assert_true(segment->end <= result->duration + 1e-6);
        assert_true(segment->text[0] != 0);
        last = segment->end;
        if (words)
            assert_words(segment);
    }
}

static struct auricle_result *transcribe(struct auricle_engine *engine, const float *samples,
                                         size_t n, const struct auricle_options *options)
{
    struct auricle_message message;
    struct auricle_result *result = NULL;
    if (auricle_transcribe_samples(engine, samples, n, options, NULL, &result, &message))
        fail_msg("%s", message.text);
    return result;
}

/* One recording, every way of hearing it. */
static void hear_in_order(struct auricle_engine *engine, const float *samples, size_t n)
{
    static const struct {
        enum auricle_long_form form;
        enum auricle_vad vad;
        int n_temperatures, beam_size;
    } ways[] = {{AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_ENERGY, 1, 1},
                {AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_ENERGY, 1, 5},
                {AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_ENERGY, 6, 1},
                {AURICLE_LONG_FORM_BATCHED, AURICLE_VAD_OFF, 1, 1},
                {AURICLE_LONG_FORM_SEQUENTIAL, AURICLE_VAD_OFF, 1, 1},
                {AURICLE_LONG_FORM_SEQUENTIAL, AURICLE_VAD_OFF, 1, 5},
                {AURICLE_LONG_FORM_SEQUENTIAL, AURICLE_VAD_OFF, 6, 1}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct auricle_options options;
        struct auricle_result *results[2];
        auricle_options_default(&options);
        options.language = "en";
        options.long_form = ways[i].form;
        options.vad = ways[i].vad;
        options.n_temperatures = ways[i].n_temperatures;
        options.beam_size = ways[i].beam_size;
        for (int words = 0; words < 2; words++) {
            options.word_timestamps = words;
            results[words] = transcribe(engine, samples, n, &options);
            assert_order(results[words], words);
            /* A beam may find no text at all likelier than a doubtful one. */
            assert_true(results[words]->n_segments > 0 || options.beam_size > 1);
        }
        /* The sequential form goes on behind the last word, where it knows it. */
        if (options.long_form == AURICLE_LONG_FORM_BATCHED)
            assert_string_equal(results[0]->text, results[1]->text);
        auricle_result_destroy(results[0]);
        auricle_result_destroy(results[1]);
    }
}

/* Two recordings, played too slowly where they are not sampled at 16 kHz: hard to hear. */
static void segments_and_words_are_in_order(void **state)
{
    enum { TIMES = 4 };
    struct auricle_engine *engine = au_test_engine(au_test_source("models/nano"), NULL,
                                                   (struct auricle_engine_options){.threads = 1});
    char *talk = au_test_source("demo/talk.flac"), *note = au_test_source("demo/note.wav");
    size_t n_talk, n_note;
    float *talk_samples = au_test_sound(talk, &n_talk),
          *note_samples = au_test_sound(note, &n_note);
    float *again = au_alloc_array(TIMES * n_note, sizeof *again);
    (void)state;
    assert_non_null(again);
    for (size_t i = 0; i < TIMES; i++)
        memcpy(again + i * n_note, note_samples, n_note * sizeof *again);
    hear_in_order(engine, talk_samples, n_talk);
    hear_in_order(engine, again, TIMES * n_note);
    au_free(again);
    au_free(talk_samples);
    au_free(note_samples);
    au_free(talk);
    au_free(note);
    auricle_engine_destroy(engine);
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    int failed = au_test_stage_set_up(state);
    struct au_test_stage *stage = *state;
    stage->options.word_timestamps = true;
    return failed;
}

static struct auricle_result *hear(struct au_test_stage *stage, const char *const *lines,
                                   int n_lines, int seconds)
{
    struct au_test_script script = {.lines = lines, .n_lines = n_lines};
    struct auricle_result *result = au_test_stage_hear(stage, &script, seconds);
    assert_int_equal(script.n_encoded, n_lines);
    return result;
}

/* Its words would reach to 4 s, but what lies behind 2 s is heard again. */
static void words_lie_in_what_was_heard(void **state)
{
    static const char *const lines[] = {
        "<|0.00|> One two three four five six seven eight nine ten eleven.<|2.00|><|2.00|>",
        "<|0.00|> Boats leave for the islands.<|18.00|>"};
    struct au_test_stage *stage = *state;
    struct auricle_result *result = hear(stage, lines, 2, SECONDS);
    assert_int_equal(result->n_segments, 2);
    assert_order(result, true);
    assert_true(result->segments[0].end <= 2 && result->segments[1].start >= 2);
    auricle_result_destroy(result);
}

/* The first segment's words leave none of the heard time to the second, whose text and times stay.
 */
static void a_segment_without_time_for_its_words_keeps_its_text(void **state)
{
    static const char *const lines[] = {
        "<|0.00|> One two three four five six seven eight nine ten eleven.<|1.40|><|1.40|> "
        "Twelve.<|2.00|><|2.00|>",
        "<|0.00|> Boats leave for the islands.<|18.00|>"};
    struct au_test_stage *stage = *state;
    struct auricle_result *result = hear(stage, lines, 2, SECONDS);
    assert_int_equal(result->n_segments, 3);
    assert_order(result, true);
    const struct auricle_segment *second = &result->segments[1];
    assert_string_equal(second->text, " Twelve.");
    assert_true(fabs(second->start - 1.4) < 1e-6 && fabs(second->end - 2) < 1e-6);
    auricle_result_destroy(result);
}

/* Marks alone, whose word is in the segment before them, and times without text do not hold up what
 * follows them.                                                                                  */
static void what_has_no_word_takes_no_time(void **state)
{
    static const char *const lines[] = {"<|0.00|> Boats leave.<|2.00|><|2.00|>.<|12.00|><|12.00|> "
                                        "<|15.00|><|15.00|>",
                                        "<|0.00|> Boats stay.<|2.00|>"};
    struct au_test_stage *stage = *state;
    stage->options.long_form = AURICLE_LONG_FORM_SEQUENTIAL;
    stage->options.filter = false;
    struct auricle_result *result = hear(stage, lines, 2, SECONDS);
    assert_int_equal(result->n_segments, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct auricle_segment *s = &result->segments[i];
        assert_true(s->end > s->start && (i == 0 || s->start >= result->segments[i - 1].end));
        assert_true(s->end <= 5);
    }
    auricle_result_destroy(result);
}

/* Fifty characters in a fifth of a second are dropped, however long the words are made. */
static void rules_judge_alike_with_and_without_words(void **state)
{
    static const char *const lines[] = {"<|0.00|> The harbour is quiet in the morning and at "
                                        "noon.<|0.20|><|4.00|> Boats leave for the "
                                        "islands.<|19.00|>"};
    struct au_test_stage *stage = *state;
    for (int words = 0; words < 2; words++) {
        stage->options.word_timestamps = words;
        struct auricle_result *result = hear(stage, lines, 1, SECONDS);
        assert_int_equal(result->n_segments, 1);
        assert_int_equal(result->n_filtered, 1);
        assert_string_equal(result->filtered[0].filtered_by, "too-fast");
        auricle_result_destroy(result);
    }
}

/* The model may write a time behind the end of the sound. The original believes it. */
static void nothing_ends_behind_the_recording(void **state)
{
    static const char *const lines[] = {"<|0.00|> Boats leave for the islands.<|14.00|>"};
    struct au_test_stage *stage = *state;
    stage->options.word_timestamps = false;
    stage->options.long_form = AURICLE_LONG_FORM_SEQUENTIAL;
    for (int original = 0; original < 2; original++) {
        stage->options.as_original = original;
        struct auricle_result *result = hear(stage, lines, 1, 10);
        assert_int_equal(result->n_segments, 1);
        assert_true(fabs(result->segments[0].end - (original ? 14 : 10)) < 1e-6);
        auricle_result_destroy(result);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, au_test_stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_and_words_are_in_order),
        TEST(words_lie_in_what_was_heard),
        TEST(a_segment_without_time_for_its_words_keeps_its_text),
        TEST(what_has_no_word_takes_no_time),
        TEST(rules_judge_alike_with_and_without_words),
        TEST(nothing_ends_behind_the_recording),
    };
    return cmocka_run_group_tests_name("times", tests, NULL, NULL);
}
