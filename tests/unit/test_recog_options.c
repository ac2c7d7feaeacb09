/* Options that cannot be meant are refused with a sentence; the profiles pass. */
#include <math.h>

#include "auricle/auricle.h"
#include "recog/options.h"
#include "support/support.h"

static struct auricle_options defaults(void)
{
    struct auricle_options options;
    auricle_options_default(&options);
    return options;
}

#define refused(options, word) refused_at(options, word, __FILE__, __LINE__)
static void refused_at(const struct auricle_options *options, const char *word, const char *file,
                       int line)
{
    struct au_fault fault = {0};
    enum auricle_error error = recog_options_check(options, 5, &fault);
    if (error != AURICLE_E_INVALID || !strstr(fault.text, word)) {
        print_error("%s: \"%s\", expected \"%s\"\n", auricle_error_name(error), fault.text, word);
        _fail(file, line);
    }
}

static void profiles_are_accepted(void **state)
{
    (void)state;
    struct auricle_options options;
    struct au_fault fault = {0};
    auricle_options_default(&options);
    au_test_ok(recog_options_check(&options, 5, &fault), &fault);
    auricle_options_strict(&options);
    au_test_ok(recog_options_check(&options, 5, &fault), &fault);
    auricle_options_reference(&options);
    au_test_ok(recog_options_check(&options, 5, &fault), &fault);
}

static void clips_out_of_order_are_refused(void **state)
{
    (void)state;
    struct auricle_options options = defaults();
    double falling[] = {3, 5, 4, 8}, negative[] = {-1, 2}, no_number[] = {0, NAN},
           good[] = {0, 2, 2, 3, 9};
    options.n_clip_seconds = 4;
    refused(&options, "list");
    options.clip_seconds = falling;
    refused(&options, "clip time 4 s");
    options.n_clip_seconds = 2;
    options.clip_seconds = negative;
    refused(&options, "clip time -1 s");
    options.clip_seconds = no_number;
    refused(&options, "clip time nan");
    options.n_clip_seconds = -1;
    refused(&options, "-1 clip times");
    options.n_clip_seconds = 5;
    options.clip_seconds = good;
    au_test_ok(recog_options_check(&options, 5, NULL), NULL);
    options.offset_seconds = NAN;
    refused(&options, "offset");
}

static void search_numbers_are_checked(void **state)
{
    (void)state;
    struct auricle_options options = defaults();
    options.temperatures[2] = 1e-30f;
    refused(&options, "temperature");
    options.temperatures[2] = NAN;
    refused(&options, "temperature");
    options = defaults();
    options.n_temperatures = 0;
    refused(&options, "temperatures");
    options = defaults();
    options.patience = NAN;
    refused(&options, "patience");
    options.patience = -1;
    refused(&options, "patience");
    options = defaults();
    options.length_penalty = NAN;
    refused(&options, "length penalty");
    options = defaults();
    options.max_initial_timestamp = NAN;
    refused(&options, "timestamp");
    options = defaults();
    options.n_suppress_tokens = -3;
    refused(&options, "suppressed");
    options = defaults();
    options.beam_size = 6;
    refused(&options, "0 to 5");
    options = defaults();
    options.max_tokens = -1;
    refused(&options, "max tokens");
}

static void silence_is_skipped_in_the_sequential_form_alone(void **state)
{
    (void)state;
    struct auricle_options options = defaults();
    options.hallucination_silence_threshold = 2;
    refused(&options, "word times");
    options.word_timestamps = true;
    au_test_ok(recog_options_check(&options, 5, NULL), NULL);
    options.long_form = AURICLE_LONG_FORM_BATCHED;
    refused(&options, "sequential");
    options.hallucination_silence_threshold = NAN;
    refused(&options, "not a number");
}

static void what_the_batched_form_cannot_do_is_refused(void **state)
{
    (void)state;
    struct auricle_options options = defaults();
    options.condition_on_previous_text = true;
    au_test_ok(recog_options_check(&options, 5, NULL), NULL); /* chooses the sequential form */
    options.long_form = AURICLE_LONG_FORM_BATCHED;
    refused(&options, "sequential");
    options = defaults();
    options.vad_max_speech_seconds = 0.01;
    refused(&options, "longest speech 0.01 s");
    options.vad = AURICLE_VAD_OFF;
    au_test_ok(recog_options_check(&options, 5, NULL), NULL);
    options.vad = AURICLE_VAD_ENERGY;
    options.long_form = AURICLE_LONG_FORM_SEQUENTIAL;
    au_test_ok(recog_options_check(&options, 5, NULL), NULL);
}

static void input_numbers_are_checked(void **state)
{
    (void)state;
    struct auricle_options options = defaults();
    options.vad_max_speech_seconds = -2;
    refused(&options, "longest speech");
    options.vad_max_speech_seconds = NAN;
    refused(&options, "longest speech");
    options = defaults();
    options.chunk_seconds = 0.5;
    refused(&options, "at least 1");
    options.chunk_seconds = NAN;
    refused(&options, "at least 1");
    options.chunk_seconds = 6;
    options.condition_on_previous_text = true;
    refused(&options, "batched");
    options = defaults();
    options.raw_channels = -1;
    refused(&options, "raw");
    options = defaults();
    options.size = 8;
    refused(&options, "8 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_are_accepted),
        cmocka_unit_test(clips_out_of_order_are_refused),
        cmocka_unit_test(search_numbers_are_checked),
        cmocka_unit_test(silence_is_skipped_in_the_sequential_form_alone),
        cmocka_unit_test(what_the_batched_form_cannot_do_is_refused),
        cmocka_unit_test(input_numbers_are_checked),
    };
    return cmocka_run_group_tests_name("recog options", tests, NULL, NULL);
}
