/* Decoding of one window against the original: every option set of whisper-micro/ref/decode.json,
 * greedy and beam. The model is the whisper.cpp file, run in f32. */
#include <math.h>
#include <stdlib.h>

#include "audio/decode.h"
#include "base/json.h"
#include "recog/decode/prompt.h"
#include "recog/decode/search.h"
#include "recog/engine.h"
#include "recog/trim.h"
#include "support/engine.h"
#include "support/support.h"
#include "text/compress.h"
#include "text/language.h"

struct bench {
    struct auricle_engine *engine;
    struct whisper_window *window;
    float *mel;
    struct au_json *expected;
};

static void run_one(struct auricle_engine *engine, struct auricle_unit *unit)
{
    struct auricle_unit *units[] = {unit};
    auricle_engine_run(engine, units, 1);
}

static float *load_samples(const char *fixture, size_t *n)
{
    struct au_fault fault = {0};
    struct audio_decode_options options = {0};
    struct audio_reader *reader = NULL;
    float *samples = NULL;
    char *path = au_test_fixture(fixture);
    au_test_ok(audio_open_path(path, &options, &reader, &fault), &fault);
    au_test_ok(audio_read_all(reader, &samples, n, &fault), &fault);
    audio_close(reader);
    au_free(path);
    return samples;
}

static int setup(void **state)
{
    struct bench *b = au_calloc(1, sizeof(*b));
    *state = b;
    return b ? 0 : -1;
}

/* In the first test and not in setup: a missing fixture skips tests only. */
static struct bench *prepare(void **state)
{
    struct bench *b = *state;
    if (b->engine)
        return b;
    struct au_fault fault = {0};
    char *json = au_test_fixture("whisper-micro/ref/decode.json");
    b->engine = au_test_engine(au_test_fixture("whisper-micro/ggml-model-f16.bin"), NULL,
                               (struct auricle_engine_options){.compute = AURICLE_COMPUTE_F32});
    au_test_ok(au_json_read(json, 1 << 24, &b->expected, &fault), &fault);
    size_t n, frames = recog_engine_window_frames(b->engine);
    float *samples = load_samples("audio/jfk_16k.wav", &n);
    b->mel = au_alloc_array(frames * (size_t)b->engine->dims->n_mels, sizeof(float));
    audio_mel_window(b->engine->mel, samples, n, b->mel);
    au_test_ok(whisper_window_create(b->engine->model, &b->window), NULL);
    struct auricle_unit unit = {.kind = RECOG_UNIT_ENCODE, .mel = b->mel, .window = b->window};
    run_one(b->engine, &unit);
    au_free(samples);
    au_free(json);
    return b;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    whisper_window_destroy(b->window);
    auricle_engine_destroy(b->engine);
    au_json_free(b->expected);
    au_free(b->mel);
    au_free(b);
    return 0;
}

/* Options as the fixture writes them, over the original's decode() defaults. */
static void read_options(const struct au_json *from, struct auricle_options *o)
{
    auricle_options_reference(o);
    o->beam_size = (int)au_json_int(au_json_get(from, "beam_size"), 0);
    o->patience = (float)au_json_number(au_json_get(from, "patience"), 1);
    o->length_penalty = (float)au_json_number(au_json_get(from, "length_penalty"), -1);
    o->without_timestamps = au_json_bool(au_json_get(from, "without_timestamps"), false);
    o->suppress_blank = au_json_bool(au_json_get(from, "suppress_blank"), true);
    o->max_tokens = (int)au_json_int(au_json_get(from, "sample_len"), 0);
    if (au_json_type(au_json_get(from, "max_initial_timestamp")) == AU_JSON_NULL)
        o->max_initial_timestamp = -1;
    if (au_json_type(au_json_get(from, "suppress_tokens")) == AU_JSON_STRING)
        o->n_suppress_tokens = 0;
    if (au_json_type(au_json_get(from, "task")) == AU_JSON_STRING)
        o->task = AURICLE_TASK_TRANSLATE;
}

static int32_t detect(struct bench *b)
{
    float probability[TEXT_MAX_LANGUAGES];
    int32_t cell = recog_cells_take(b->engine->free_cells);
    struct recog_row row = {.no_speech = -1,
                            .choose = b->engine->specials->language,
                            .n_choose = b->engine->specials->n_languages,
                            .choose_prob = probability};
    row.model = (struct whisper_row){.window = b->window,
                                     .tokens = &b->engine->specials->sot,
                                     .cells = &cell,
                                     .n_tokens = 1,
                                     .n_logits = 1};
    struct auricle_unit unit = {.kind = RECOG_UNIT_DECODE, .rows = &row, .n_rows = 1};
    run_one(b->engine, &unit);
    recog_cells_unref(b->engine->free_cells, &cell, 1);
    int best = 0;
    for (int i = 0; i < row.n_choose; i++)
        best = probability[i] > probability[best] ? i : best;
    return best;
}

static void check_text(struct bench *b, const struct recog_search_result *got,
                       const struct au_json *expected)
{
    struct au_buf text;
    au_buf_init(&text, 0);
    au_test_ok(text_decode(b->engine->tokenizer, got->tokens, (size_t)got->n_tokens, &text), NULL);
    size_t begin, n = recog_trim(text.data, text.len, &begin);
    const char *want = au_json_string(au_json_get(expected, "text"), "");
    assert_int_equal(n, strlen(want));
    assert_memory_equal(text.data + begin, want, n);
    double ratio = text_compression_ratio(text.data + begin, n);
    assert_true(fabs(ratio - au_json_number(au_json_get(expected, "compression_ratio"), 0)) < 1e-9);
    au_buf_deinit(&text);
}

/* The fixture's lists begin with the prompt and end with end-of-text. */
static void check_candidates(struct recog_search *search, int n_prompt,
                             const struct au_json *expected)
{
    const struct au_json *list = au_json_get(expected, "beam_candidates");
    assert_int_equal(recog_search_candidates(search), au_json_size(list));
    for (size_t i = 0; i < au_json_size(list); i++) {
        const struct au_json *want = au_json_item(list, i), *tokens = au_json_get(want, "tokens");
        const int32_t *ids;
        int n;
        double sum;
        recog_search_candidate(search, (int)i, &ids, &n, &sum);
        assert_int_equal(n_prompt + n + 1, au_json_size(tokens));
        for (int t = 0; t < n; t++)
            assert_int_equal(ids[t], au_json_int(au_json_item(tokens, (size_t)(n_prompt + t)), -1));
        double want_sum = au_json_number(au_json_get(want, "sum_logprob"), (double)NAN);
        if (!(fabs(sum - want_sum) < 2e-3))
            fail_msg("candidate %zu sums to %.6f, expected %.6f", i, sum, want_sum);
    }
}

static void run_case(struct bench *b, const char *name, const struct au_json *expected)
{
    struct auricle_engine *engine = b->engine;
    const struct au_json *from = au_json_get(expected, "options");
    struct auricle_options o;
    struct recog_rules rules;
    read_options(from, &o);
    au_test_ok(recog_rules_init(&rules, engine->tokenizer, (size_t)engine->dims->n_vocab, &o),
               NULL);
    int32_t *previous = NULL, *prefix = NULL, tokens[1024];
    size_t n_previous, n_prefix;
    const char *prompt = au_json_string(au_json_get(from, "prompt"), NULL);
    au_test_ok(recog_prompt_encode(engine->tokenizer, prompt, &previous, &n_previous), NULL);
    au_test_ok(recog_prompt_encode(engine->tokenizer,
                                   au_json_string(au_json_get(from, "prefix"), NULL), &prefix,
                                   &n_prefix),
               NULL);
    const char *language = au_json_string(au_json_get(from, "language"), NULL);
    int32_t index = language ? text_language_find(language) : detect(b);
    assert_string_equal(text_language_code(index),
                        au_json_string(au_json_get(expected, "language"), ""));
    struct recog_prompt p = {.specials = engine->specials,
                             .language = engine->specials->language[index],
                             .task = o.task,
                             .without_timestamps = o.without_timestamps,
                             .previous = previous,
                             .n_previous = n_previous,
                             .prefix = prefix,
                             .n_prefix = n_prefix,
                             .n_text_ctx = engine->dims->n_text_ctx,
                             .max_tokens = o.max_tokens};
    struct recog_search_config config = {.window = b->window,
                                         .prompt = tokens,
                                         .rules = &rules,
                                         .beam_size = o.beam_size,
                                         .n_samples = 1,
                                         .patience = o.patience,
                                         .length_penalty = o.length_penalty,
                                         .max_tokens = o.max_tokens ? o.max_tokens
                                                                    : engine->dims->n_text_ctx / 2,
                                         .n_text_ctx = engine->dims->n_text_ctx,
                                         .no_speech = engine->specials->no_speech};
    config.n_prompt = recog_prompt_build(&p, tokens, &config.sot_index);
    struct recog_search *search = NULL;
    au_test_ok(recog_search_create(5, engine->dims->n_text_ctx, engine->free_cells, &search), NULL);
    recog_search_begin(search, &config);
    struct auricle_unit unit = {.kind = RECOG_UNIT_DECODE};
    while (recog_search_next(search, &unit.rows, &unit.n_rows)) {
        run_one(engine, &unit);
        recog_search_complete(search);
    }
    struct recog_search_result got;
    recog_search_result(search, &got);
    print_message("%s: %d tokens, avg_logprob %.6f\n", name, got.n_tokens, (double)got.avg_logprob);
    const struct au_json *want = au_json_get(expected, "tokens");
    assert_int_equal(got.n_tokens, au_json_size(want));
    for (int i = 0; i < got.n_tokens; i++)
        assert_int_equal(got.tokens[i], au_json_int(au_json_item(want, (size_t)i), -1));
    assert_true(fabs((double)got.avg_logprob -
                     au_json_number(au_json_get(expected, "avg_logprob"), 9)) < 1e-4);
    assert_true(fabs((double)got.no_speech_prob -
                     au_json_number(au_json_get(expected, "no_speech_prob"), 9)) < 1e-4);
    check_text(b, &got, expected);
    if (o.beam_size)
        check_candidates(search, config.n_prompt, expected);
    recog_search_destroy(search);
    assert_int_equal(recog_cells_in_use(engine->free_cells), 0);
    recog_rules_deinit(&rules);
    au_free(previous);
    au_free(prefix);
}

static void run_matching(void **state, bool beam)
{
    struct bench *b = prepare(state);
    size_t n_run = 0;
    for (size_t i = 0; i < au_json_size(b->expected); i++) {
        const char *name;
        const struct au_json *expected = au_json_member(b->expected, i, &name);
        if (beam != (au_json_type(au_json_get(au_json_get(expected, "options"), "beam_size")) ==
                     AU_JSON_INT))
            continue;
        run_case(b, name, expected);
        n_run++;
    }
    assert_int_equal(n_run, beam ? 7 : 11);
}

static void greedy_decodes_equal_the_original(void **state)
{
    run_matching(state, false);
}

static void beam_decodes_equal_the_original(void **state)
{
    run_matching(state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_decodes_equal_the_original),
        cmocka_unit_test(beam_decodes_equal_the_original),
    };
    return cmocka_run_group_tests_name("decode", tests, setup, teardown);
}
