/* The sequential long form against the original's transcribe(): every run of
 * whisper-micro/ref/transcribe_{jfk,long}.json. The model is the Hugging Face
 * folder, run in f32.                                                                           */
#include <math.h>
#include <stdlib.h>

#include "auricle/auricle.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "support/engine.h"
#include "support/support.h"

/* The folder with its weights unpacked. */
static char *unpack_model(char **scratch)
{
    static const char *const side_files[] = {"config.json",
                                             "generation_config.json",
                                             "preprocessor_config.json",
                                             "tokenizer_config.json",
                                             "vocab.json",
                                             "merges.txt",
                                             "added_tokens.json"};
    char *packed = au_test_fixture("whisper-micro/hf/model.safetensors.gz");
    *scratch = au_test_scratch_folder();
    au_free(au_test_gunzip_to(packed, *scratch, "model.safetensors"));
    for (size_t i = 0; i < sizeof(side_files) / sizeof(*side_files); i++) {
        char *name = au_sprintf("whisper-micro/hf/%s", side_files[i]),
             *from = au_test_fixture(name);
        size_t bytes;
        char *data = au_test_read(from, &bytes);
        au_free(au_test_write(*scratch, side_files[i], data, bytes));
        au_free(data);
        au_free(from);
        au_free(name);
    }
    au_free(packed);
    return *scratch;
}

static struct auricle_engine *load(const char *model)
{
    return au_test_engine(au_strdup(model), NULL,
                          (struct auricle_engine_options){.compute = AURICLE_COMPUTE_F32});
}

static float threshold(const struct au_json *options, const char *key, float fallback)
{
    const struct au_json *value = au_json_get(options, key);
    return au_json_type(value) == AU_JSON_NULL ? NAN
                                               : (float)au_json_number(value, (double)fallback);
}

static int read_clips(const struct au_json *options, double clips[8])
{
    char text[64];
    (void)au_str_copy(text, sizeof(text),
                      au_json_string(au_json_get(options, "clip_timestamps"), ""));
    int n = 0;
    for (char *at = text; *at && n < 8;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = 0;
        assert_true(au_parse_double(at, &clips[n++]));
        at = comma ? comma + 1 : at + strlen(at);
    }
    return n;
}

static void read_options(const struct au_json *from, struct auricle_options *o, double clips[8])
{
    auricle_options_reference(o);
    o->language = au_json_string(au_json_get(from, "language"), NULL);
    o->n_temperatures = 1;
    o->beam_size = (int)au_json_int(au_json_get(from, "beam_size"), 0);
    o->condition_on_previous_text = au_json_bool(au_json_get(from, "condition_on_previous_text"),
                                                 true);
    o->compression_ratio_threshold = threshold(from, "compression_ratio_threshold", 2.4f);
    o->logprob_threshold = threshold(from, "logprob_threshold", -1.0f);
    o->no_speech_threshold = threshold(from, "no_speech_threshold", 0.6f);
    o->initial_prompt = au_json_string(au_json_get(from, "initial_prompt"), NULL);
    o->carry_initial_prompt = au_json_bool(au_json_get(from, "carry_initial_prompt"), false);
    o->word_timestamps = au_json_bool(au_json_get(from, "word_timestamps"), false);
    o->clip_seconds = clips;
    o->n_clip_seconds = read_clips(from, clips);
}

static void close_to(double got, const struct au_json *segment, const char *key, double bound)
{
    double want = au_json_number(au_json_get(segment, key), (double)NAN);
    if (!(fabs(got - want) <= bound))
        fail_msg("%s is %.7f, expected %.7f", key, got, want);
}

/* Probabilities within 1e-4, times within one step. */
static void check_words(const struct auricle_segment *got, const struct au_json *want)
{
    assert_int_equal(got->n_words, au_json_size(want));
    for (size_t i = 0; i < got->n_words; i++) {
        const struct au_json *word = au_json_item(want, i);
        assert_string_equal(got->words[i].text, au_json_string(au_json_get(word, "word"), "?"));
        close_to(got->words[i].start, word, "start", 0.0401);
        close_to(got->words[i].end, word, "end", 0.0401);
        close_to((double)got->words[i].probability, word, "probability", 1e-4);
    }
}

static void check_segment(const struct auricle_segment *got, const struct au_json *want)
{
    const struct au_json *tokens = au_json_get(want, "tokens");
    assert_string_equal(got->text, au_json_string(au_json_get(want, "text"), "?"));
    assert_int_equal(got->seek, au_json_int(au_json_get(want, "seek"), -1));
    assert_int_equal(got->n_tokens, au_json_size(tokens));
    for (size_t i = 0; i < got->n_tokens; i++)
        assert_int_equal(got->tokens[i], au_json_int(au_json_item(tokens, i), -1));
    bool words = au_json_get(want, "words") != NULL;
    close_to(got->start, want, "start", words ? 0.0401 : 1e-6);
    close_to(got->end, want, "end", words ? 0.0401 : 1e-6);
    if (words)
        check_words(got, au_json_get(want, "words"));
    close_to((double)got->avg_logprob, want, "avg_logprob", 1e-4);
    close_to((double)got->no_speech_prob, want, "no_speech_prob", 1e-4);
    close_to((double)got->compression_ratio, want, "compression_ratio", 1e-5);
    close_to((double)got->temperature, want, "temperature", 0);
}

static void run_case(struct auricle_engine *engine, const char *audio, const char *name,
                     const struct au_json *expected)
{
    const struct au_json *want = au_json_get(expected, "result"),
                         *segments = au_json_get(want, "segments");
    struct auricle_options options;
    struct auricle_message message;
    struct auricle_result *result = NULL;
    double clips[8];
    read_options(au_json_get(expected, "options"), &options, clips);
    if (auricle_transcribe(engine, audio, &options, NULL, &result, &message))
        fail_msg("%s: %s", name, message.text);
    print_message("%s: %zu segments\n", name, result->n_segments);
    assert_int_equal(result->n_segments, au_json_size(segments));
    for (size_t i = 0; i < result->n_segments; i++)
        check_segment(&result->segments[i], au_json_item(segments, i));
    assert_string_equal(result->text, au_json_string(au_json_get(want, "text"), "?"));
    assert_string_equal(result->language, au_json_string(au_json_get(want, "language"), "?"));
    auricle_result_destroy(result);
}

static void run_file(const char *reference, const char *audio, size_t n_expected)
{
    struct au_fault fault = {0};
    struct au_json *all = NULL;
    char *path = au_test_fixture(reference), *sound = au_test_fixture(audio), *scratch;
    au_test_ok(au_json_read(path, 1 << 24, &all, &fault), &fault);
    struct auricle_engine *engine = load(unpack_model(&scratch));
    size_t n_run = 0;
    for (size_t i = 0; i < au_json_size(all); i++) {
        const char *name;
        const struct au_json *expected = au_json_member(all, i, &name);
        const struct au_json *options = au_json_get(expected, "options");
        if (!options)
            continue;
        run_case(engine, sound, name, expected);
        n_run++;
    }
    assert_int_equal(n_run, n_expected);
    auricle_engine_destroy(engine);
    au_json_free(all);
    au_test_scratch_remove(scratch);
    au_free(path);
    au_free(sound);
}

static void short_recording_equals_the_original(void **state)
{
    (void)state;
    run_file("whisper-micro/ref/transcribe_jfk.json", "audio/jfk_16k.wav", 4);
}

static void long_recording_equals_the_original(void **state)
{
    (void)state;
    run_file("whisper-micro/ref/transcribe_long.json", "whisper-micro/long_75s.flac", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_recording_equals_the_original),
        cmocka_unit_test(long_recording_equals_the_original),
    };
    return cmocka_run_group_tests_name("transcribe", tests, NULL, NULL);
}
