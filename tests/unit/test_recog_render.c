/* Renderers against results made by hand; the expected text is what openai/whisper's writers give
 * for the same segments. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auricle/auricle.h"
#include "base/json.h"
#include "base/mem.h"
#include "recog/render/render.h"

#define HOUR 3600.0

static const int32_t tokens[] = {50364, 938, 50564};
static const struct auricle_word words[] = {{" Guten", 0.25, 0.5, 0.75f},
                                            {" Tag", 0.5, 0.98, 0.5f}};

static struct auricle_segment segment_of(const char *text, double start, double end)
{
    struct auricle_segment segment = {.start = start, .end = end, .text = text};
    segment.temperature = 0.2f;
    segment.avg_logprob = -0.25f;
    segment.compression_ratio = 1.1f;
    segment.tokens = tokens;
    segment.n_tokens = 3;
    return segment;
}

static struct auricle_result result_of(const struct auricle_segment *segments, size_t n)
{
    struct auricle_result result = {.text = "", .language = "en", .language_probability = 1.0f};
    result.segments = segments;
    result.n_segments = n;
    return result;
}

static void expect(const struct auricle_result *result, const char *format, const char *expected)
{
    char *text = NULL;
    size_t n = 0;
    struct auricle_message message;
    assert_int_equal(auricle_render(result, format, &text, &n, &message), AURICLE_OK);
    assert_string_equal(text, expected);
    assert_int_equal(n, strlen(expected));
    auricle_string_free(text);
}

static void two_segments_in_every_line_format(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {segment_of(" Hello there.", 0.0, 2.5),
                                         segment_of(" naïve 日本 \xF0\x9F\x8E\xA7 ", 2.5, 61.0015)};
    struct auricle_result result = result_of(segments, 2);
    expect(&result, "txt", "Hello there.\nnaïve 日本 🎧\n");
    expect(&result, "srt",
           "1\n00:00:00,000 --> 00:00:02,500\nHello there.\n\n"
           "2\n00:00:02,500 --> 00:01:01,002\nnaïve 日本 🎧\n\n");
    expect(&result, "vtt",
           "WEBVTT\n\n00:00.000 --> 00:02.500\nHello there.\n\n"
           "00:02.500 --> 01:01.002\nnaïve 日本 🎧\n\n");
    expect(&result, "tsv", "start\tend\ttext\n0\t2500\tHello there.\n2500\t61002\tnaïve 日本 🎧\n");
    expect(&result, "lrc", "[by:auricle]\n[00:00.00]Hello there.\n[00:02.50]naïve 日本 🎧\n");
}

static void nothing_said_is_a_well_formed_file(void **state)
{
    (void)state;
    struct auricle_result result = result_of(NULL, 0);
    expect(&result, "txt", "");
    expect(&result, "srt", "");
    expect(&result, "vtt", "WEBVTT\n\n");
    expect(&result, "tsv", "start\tend\ttext\n");
    expect(&result, "lrc", "[by:auricle]\n");
}

static void hours_appear_when_there_are_some(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {segment_of("a", 59 * 60 + 59.999, HOUR),
                                         segment_of("b", 100 * HOUR, 123 * HOUR + 1.5)};
    struct auricle_result result = result_of(segments, 2);
    expect(&result, "vtt",
           "WEBVTT\n\n59:59.999 --> 01:00:00.000\na\n\n100:00:00.000 --> 123:00:01.500\nb\n\n");
    expect(&result, "srt",
           "1\n00:59:59,999 --> 01:00:00,000\na\n\n2\n100:00:00,000 --> 123:00:01,500\nb\n\n");
    expect(&result, "tsv", "start\tend\ttext\n3599999\t3600000\ta\n360000000\t442801500\tb\n");
    expect(&result, "lrc", "[by:auricle]\n[59:59.99]a\n[6000:00.00]b\n");
}

static void milliseconds_round_as_python_does(void **state)
{
    (void)state;
    assert_int_equal(recog_render_ms(0.0005), 0); /* a tie goes to the even side */
    assert_int_equal(recog_render_ms(0.0015), 2);
    assert_int_equal(recog_render_ms(0.0025), 2);
    assert_int_equal(recog_render_ms(1.9996), 2000);
    assert_int_equal(recog_render_ms(-1.0), 0);
    assert_int_equal(recog_render_ms((double)NAN), 0);
    assert_true(recog_render_ms((double)INFINITY) > 0);
}

static void arrows_and_blank_lines_cannot_break_a_cue(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {segment_of(" a --> b ---> c -> d -- e", 0, 1),
                                         segment_of("\nx\n\n\r\ny\n", 1, 2)};
    struct auricle_result result = result_of(segments, 2);
    expect(&result, "srt",
           "1\n00:00:00,000 --> 00:00:01,000\na -> b -> c -> d -- e\n\n"
           "2\n00:00:01,000 --> 00:00:02,000\nx\ny\n\n");
    expect(&result, "vtt",
           "WEBVTT\n\n00:00.000 --> 00:01.000\na -> b -> c -> d -- e\n\n"
           "00:01.000 --> 00:02.000\nx\ny\n\n");
}

static void a_field_stays_on_its_line(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {segment_of(" a\tb\nc ", 0, 1)};
    struct auricle_result result = result_of(segments, 1);
    expect(&result, "tsv", "start\tend\ttext\n0\t1000\ta b c\n");
    expect(&result, "lrc", "[by:auricle]\n[00:00.00]a\tb c\n");
    expect(&result, "txt", "a\tb\nc\n");
}

static void strip_knows_white_space_of_every_script(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {
        segment_of("\xE3\x80\x80\xC2\xA0こんにちは\xE3\x80\x80", 0, 1), segment_of(" \t ", 1, 2),
        segment_of(NULL, 2, 3)};
    struct auricle_result result = result_of(segments, 3);
    expect(&result, "txt", "こんにちは\n\n\n");
}

static void cues_span_their_words(void **state)
{
    (void)state;
    struct auricle_segment segment = segment_of(" Guten Tag", 0.0, 1.0);
    segment.words = words;
    segment.n_words = 2;
    struct auricle_result result = result_of(&segment, 1);
    expect(&result, "srt", "1\n00:00:00,250 --> 00:00:00,980\nGuten Tag\n\n");
    expect(&result, "tsv", "start\tend\ttext\n0\t1000\tGuten Tag\n");
}

/* ---- json ------------------------------------------------------------------------------------ */

static struct au_json *parsed(const struct auricle_result *result)
{
    char *text = NULL;
    size_t n = 0;
    struct au_json *document = NULL;
    assert_int_equal(auricle_render(result, "json", &text, &n, NULL), AURICLE_OK);
    assert_int_equal(text[n - 1], '\n');
    assert_null(
        memchr(text, '\n', n - 1)); /* one line, so that many results can follow each other */
    assert_int_equal(au_json_parse(text, n, "result", &document, NULL), AURICLE_OK);
    auricle_string_free(text);
    return document;
}

static void expect_members(const struct au_json *object, const char *const *keys, size_t n)
{
    assert_true(au_json_size(object) >= n);
    for (size_t i = 0; i < n; i++) {
        const char *key = NULL;
        au_json_member(object, i, &key);
        assert_string_equal(key, keys[i]);
    }
}

static void json_begins_with_what_the_original_writes(void **state)
{
    (void)state;
    static const char *const top[] = {"text", "segments", "language"};
    static const char *const members[] = {"id",
                                          "seek",
                                          "start",
                                          "end",
                                          "text",
                                          "tokens",
                                          "temperature",
                                          "avg_logprob",
                                          "compression_ratio",
                                          "no_speech_prob",
                                          "words"};
    struct auricle_segment segments[] = {segment_of(" Guten Tag", 0.1 + 0.2, 11.000000000000002)};
    segments[0].words = words;
    segments[0].n_words = 2;
    segments[0].seek = 3000;
    struct auricle_result result = result_of(segments, 1);
    result.text = " Guten \"Tag\"\n\x01";
    result.language = "de";

    struct au_json *document = parsed(&result);
    expect_members(document, top, 3);
    const struct au_json *segment = au_json_item(au_json_get(document, "segments"), 0);
    expect_members(segment, members, 11);
    assert_string_equal(au_json_string(au_json_get(document, "text"), ""), result.text);
    assert_string_equal(au_json_string(au_json_get(document, "language"), ""), "de");
    assert_int_equal(au_json_int(au_json_get(segment, "seek"), 0), 3000);
    assert_true(au_json_number(au_json_get(segment, "start"), 0) == 0.3);
    assert_true(au_json_number(au_json_get(segment, "end"), 0) == 11.0);
    assert_true(au_json_number(au_json_get(segment, "temperature"), 0) == 0.2);
    assert_int_equal(au_json_int(au_json_item(au_json_get(segment, "tokens"), 2), 0), 50564);
    const struct au_json *word = au_json_item(au_json_get(segment, "words"), 1);
    assert_string_equal(au_json_string(au_json_get(word, "word"), ""), " Tag");
    assert_true(au_json_number(au_json_get(word, "probability"), 0) == 0.5);
    au_json_free(document);
}

static void json_survives_nan_null_and_broken_text(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {segment_of("ab\xFF\xC3", (double)NAN, 1)};
    segments[0].compression_ratio = NAN;
    segments[0].avg_logprob = -INFINITY;
    struct auricle_result result = result_of(segments, 1);
    result.text = NULL;
    result.language = NULL;
    struct au_json *document = parsed(&result);
    const struct au_json *segment = au_json_item(au_json_get(document, "segments"), 0);
    assert_string_equal(au_json_string(au_json_get(segment, "text"), ""),
                        "ab\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_int_equal(au_json_type(au_json_get(segment, "compression_ratio")), AU_JSON_NULL);
    assert_int_equal(au_json_type(au_json_get(segment, "avg_logprob")), AU_JSON_NULL);
    assert_int_equal(au_json_type(au_json_get(document, "language")), AU_JSON_NULL);
    assert_string_equal(au_json_string(au_json_get(document, "text"), "?"), "");
    au_json_free(document);
}

static void json_names_the_rule_that_dropped_a_segment(void **state)
{
    (void)state;
    struct auricle_segment dropped = segment_of(" Thanks for watching!", 1, 2);
    dropped.filtered_by = "known-phrase";
    struct auricle_result result = result_of(NULL, 0);
    result.filtered = &dropped;
    result.n_filtered = 1;
    result.warning = "the input broke off";
    struct au_json *document = parsed(&result);
    assert_int_equal(au_json_size(au_json_get(document, "segments")), 0);
    const struct au_json *filtered = au_json_item(au_json_get(document, "filtered"), 0);
    assert_string_equal(au_json_string(au_json_get(filtered, "filtered_by"), ""), "known-phrase");
    assert_string_equal(au_json_string(au_json_get(document, "warning"), ""), result.warning);
    au_json_free(document);
}

/* ---- The table ------------------------------------------------------------------------------- */

static void pieces_joined_are_the_whole(void **state)
{
    (void)state;
    struct auricle_segment segments[] = {segment_of(" one", 0, 1), segment_of(" two", 1, 2)};
    struct auricle_result result = result_of(segments, 2);
    for (size_t f = 0; recog_render_at(f); f++) {
        const struct recog_render *render = recog_render_at(f);
        assert_ptr_equal(recog_render_find(render->name), render);
        if (render->whole)
            continue;
        struct au_buf pieces;
        au_buf_init(&pieces, 0);
        if (render->begin)
            render->begin(&pieces);
        for (size_t i = 0; i < 2; i++)
            render->segment(&pieces, &segments[i], i);
        expect(&result, render->name, pieces.data);
        au_buf_deinit(&pieces);
    }
}

static void unknown_format_is_refused_with_the_list(void **state)
{
    (void)state;
    struct auricle_result result = result_of(NULL, 0);
    struct auricle_message message = {""};
    char *text = NULL;
    assert_int_equal(auricle_render(&result, "docx", &text, NULL, &message), AURICLE_E_INVALID);
    assert_null(text);
    assert_non_null(strstr(message.text, "docx"));
    for (size_t i = 0; recog_render_at(i); i++)
        assert_non_null(strstr(message.text, recog_render_at(i)->name));
    assert_int_equal(auricle_render(&result, NULL, &text, NULL, NULL), AURICLE_E_INVALID);
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    struct auricle_segment segment = segment_of(" a", 0, 1);
    struct auricle_result result = result_of(&segment, 1);
    for (size_t f = 0; recog_render_at(f); f++) {
        char *text = NULL;
        struct auricle_message message = {""};
        au_mem_fail_at(0, true);
        enum auricle_error error = auricle_render(&result, recog_render_at(f)->name, &text, NULL,
                                                  &message);
        au_mem_fail_never();
        assert_int_equal(error, AURICLE_E_NOMEM);
        assert_null(text);
        assert_non_null(strstr(message.text, "memory"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_segments_in_every_line_format),
        cmocka_unit_test(nothing_said_is_a_well_formed_file),
        cmocka_unit_test(hours_appear_when_there_are_some),
        cmocka_unit_test(milliseconds_round_as_python_does),
        cmocka_unit_test(arrows_and_blank_lines_cannot_break_a_cue),
        cmocka_unit_test(a_field_stays_on_its_line),
        cmocka_unit_test(strip_knows_white_space_of_every_script),
        cmocka_unit_test(cues_span_their_words),
        cmocka_unit_test(json_begins_with_what_the_original_writes),
        cmocka_unit_test(json_survives_nan_null_and_broken_text),
        cmocka_unit_test(json_names_the_rule_that_dropped_a_segment),
        cmocka_unit_test(pieces_joined_are_the_whole),
        cmocka_unit_test(unknown_format_is_refused_with_the_list),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests_name("recog_render", tests, NULL, NULL);
}
