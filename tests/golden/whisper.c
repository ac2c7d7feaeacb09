/* Whisper's encoder and decoder against the reference implementation, stage by stage, for every
 * file format that holds the same weights and every instruction level this machine has. Greedy
 * decoding belongs to the recogniser's tests. Tolerances: fixtures/README.md.                    */
#include <math.h>

#include "base/file.h"
#include "base/json.h"
#include "kern/pack.h"
#include "model/whisper/parts.h"
#include "support/support.h"

#define THREADS 2

/* ---- One model, one window ------------------------------------------------------------------- */

struct rig {
    struct format_weights *weights;
    struct au_pool *pool;
    struct whisper_model *model;
    struct whisper_window *window;
    struct whisper_cells *cells;
    struct tensor_workspace ws;
    size_t max_tokens;
};

static void rig_open_as(struct rig *rig, const char *path, enum kern_level level,
                        enum kern_type type)
{
    struct au_fault fault = {0};

    *rig = (struct rig){.max_tokens = 32};
    au_test_ok(format_weights_open(path, &rig->weights, &fault), &fault);
    au_test_ok(au_pool_create(THREADS, &rig->pool), NULL);
    au_test_ok(whisper_model_create(rig->weights, kern_select(level), type, rig->pool, &rig->model,
                                    &fault),
               &fault);
    /* The model must live without its file. */
    format_weights_close(rig->weights);
    rig->weights = NULL;
    au_test_ok(whisper_window_create(rig->model, &rig->window), NULL);
    au_test_ok(whisper_cells_create(rig->model, 64, &rig->cells), NULL);
    size_t encode = whisper_plan_encode(rig->model, THREADS, 1);
    size_t decode = whisper_plan_decode(rig->model, THREADS, rig->max_tokens, rig->max_tokens);
    au_test_ok(tensor_workspace_create(&rig->ws, encode > decode ? encode : decode), NULL);
}

static void rig_open(struct rig *rig, const char *path, enum kern_level level)
{
    rig_open_as(rig, path, level, KERN_F32);
}

static void rig_close(struct rig *rig)
{
    tensor_workspace_deinit(&rig->ws);
    whisper_cells_destroy(rig->cells);
    whisper_window_destroy(rig->window);
    whisper_model_destroy(rig->model);
    au_pool_destroy(rig->pool);
    format_weights_close(rig->weights);
}

/* The encoder wants time major; the fixture is [n_mels, frames]. */
static float *transposed(const struct au_test_npy *mel, size_t frames, float fill)
{
    size_t bins = mel->shape[0], stored = mel->shape[1];
    float *out = au_alloc_array(frames * bins, sizeof *out);
    assert_non_null(out);
    for (size_t t = 0; t < frames; t++)
        for (size_t m = 0; m < bins; m++)
            out[t * bins + m] = t < stored ? mel->f32[m * stored + t] : fill;
    return out;
}

static float *jfk_mel(void)
{
    struct au_test_npy mel = au_test_npy_fixture("whisper-micro/ref/mel.npy");
    float *out = transposed(&mel, 3000, 0.0F);
    au_test_npy_free(&mel);
    return out;
}

/* Levels to run at: those that are compiled in and usable here. */
static bool level_present(enum kern_level level)
{
    if (level > KERN_AMX || !kern_level_usable(level) || kern_select(level)->level != level)
        return false;
    printf("  at %s\n", kern_level_name(level));
    return true;
}

static const char *ggml_path(void)
{
    static char path[1024];
    char *found = au_test_fixture("whisper-micro/ggml-model-f16.bin");
    snprintf(path, sizeof path, "%s", found);
    au_free(found);
    return path;
}

/* ---- Encoder --------------------------------------------------------------------------------- */

static void compare_stage(void *context, const char *name, int layer, const float *x, size_t rows,
                          size_t width)
{
    const char *file = "enc_conv";
    char path[128];
    (void)context;

    if (strcmp(name, "block") == 0)
        file = layer == 0 ? "enc_block0" : "enc_block1";
    snprintf(path, sizeof path, "whisper-micro/ref/%s.npy", file);
    struct au_test_npy want = au_test_npy_fixture(path);
    assert_int_equal(want.n, rows * width);
    for (size_t i = 0; i < want.n; i++) { /* stored as f16: 1e-3 relative on top of 2e-3 */
        double bound = 2e-3 + 1e-3 * fabs((double)want.f32[i]);
        if (fabs((double)x[i] - (double)want.f32[i]) > bound)
            fail_msg("%s: element %zu is %.6f, expected %.6f", file, i, (double)x[i],
                     (double)want.f32[i]);
    }
    au_test_npy_free(&want);
}

/* Key (part 0) or value (part 1) of frame t, column c of a head packed in f32. */
static float packed_element(const float *head, size_t n_keys, size_t width, size_t part, size_t t,
                            size_t c)
{
    const float *values = head + kern_panels(n_keys) * KERN_PANEL * width;
    return part == 0 ? head[kern_pack_f32_index(t, c, width)]
                     : values[kern_pack_f32_index(c, t, n_keys)];
}

static void compare_cross(const struct whisper_window *window, size_t n_layers, size_t d)
{
    struct au_test_npy want = au_test_npy_fixture("whisper-micro/ref/cross_kv_first64.npy");
    const size_t width = d / window->n_heads;
    assert_int_equal(want.n, n_layers * 2 * 64 * d);
    for (size_t i = 0; i < want.n; i++) {
        const size_t c = i % d, t = i / d % 64, part = i / (64 * d) % 2, layer = i / (128 * d);
        const void *head = whisper_window_head(window, layer, c / width);
        const float got = packed_element(head, 1500, width, part, t, c % width);
        au_test_close(&got, want.f32 + i, 1, 2e-4);
    }
    au_test_npy_free(&want);
}

static void encoder_equals_reference_at_every_stage(void **state)
{
    struct au_test_npy want = au_test_npy_fixture("whisper-micro/ref/enc_out.npy");
    float *mel = jfk_mel(), *out = au_alloc_array(want.n, sizeof *out);
    struct whisper_trace trace = {compare_stage, NULL};
    (void)state;

    for (int level = KERN_GENERIC; level <= KERN_AMX; level++) {
        struct rig rig;
        if (!level_present((enum kern_level)level))
            continue;
        rig_open(&rig, ggml_path(), (enum kern_level)level);
        assert_int_equal(whisper_model_dims(rig.model)->n_text_layer, 2);
        const float *mels[] = {mel};
        whisper_encode_traced(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, &out, &trace);
        au_test_close(out, want.f32, want.n, 1e-4);
        compare_cross(rig.window, 2, 128);
        rig_close(&rig);
    }
    au_free(out);
    au_free(mel);
    au_test_npy_free(&want);
}

/* ---- Decoder --------------------------------------------------------------------------------- */

struct forced {
    struct au_json *json;
    int32_t tokens[32];
    int32_t cells[32];
    int n;
};

static struct forced forced_open(void)
{
    struct forced forced = {0};
    struct au_fault fault = {0};
    char *path = au_test_fixture("whisper-micro/ref/forced.json");

    au_test_ok(au_json_read(path, 1 << 20, &forced.json, &fault), &fault);
    const struct au_json *tokens = au_json_get(forced.json, "tokens");
    forced.n = (int)au_json_size(tokens);
    assert_int_equal(forced.n, 24);
    for (int i = 0; i < forced.n; i++) {
        forced.tokens[i] = (int32_t)au_json_int(au_json_item(tokens, (size_t)i), -1);
        forced.cells[i] = (i * 7 + 3) % 24; /* cells in no particular order */
    }
    au_free(path);
    return forced;
}

static void compare_decoder_stage(void *context, const char *name, int layer, const float *x,
                                  size_t rows, size_t width)
{
    const char *file = "whisper-micro/ref/dec_ln.npy";
    (void)context;

    if (strcmp(name, "block") == 0)
        file = layer == 0 ? "whisper-micro/ref/dec_block0.npy" : "whisper-micro/ref/dec_block1.npy";
    struct au_test_npy want = au_test_npy_fixture(file);
    assert_int_equal(want.n, rows * width);
    au_test_close(x, want.f32, want.n, 5e-4);
    au_test_npy_free(&want);
}

static void compare_logits(const struct forced *forced, const float *logits, size_t vocab)
{
    struct au_test_npy eighth = au_test_npy_fixture("whisper-micro/ref/logits_every8th.npy");
    struct au_test_npy rows = au_test_npy_fixture("whisper-micro/ref/logits_rows_3_23.npy");
    const struct kern_ops *ops = kern_select(KERN_GENERIC);

    assert_int_equal(eighth.shape[1], (vocab + 7) / 8);
    for (size_t r = 0; r < (size_t)forced->n; r++) {
        for (size_t i = 0; i < eighth.shape[1]; i++) {
            float want = eighth.f32[r * eighth.shape[1] + i];
            assert_true(fabsf(logits[r * vocab + 8 * i] - want) <= 1e-3F);
        }
        double sum = (double)ops->log_sum_exp(logits + r * vocab, vocab);
        const struct au_json *sums = au_json_get(forced->json, "logsumexp");
        assert_true(fabs(sum - au_json_number(au_json_item(sums, r), 0.0)) <= 1e-3);
    }
    au_test_close(logits + 3 * vocab, rows.f32, vocab, 1e-3);
    au_test_close(logits + 23 * vocab, rows.f32 + vocab, vocab, 1e-3);
    au_test_npy_free(&rows);
    au_test_npy_free(&eighth);
}

static void decoder_equals_reference_at_every_stage(void **state)
{
    struct forced forced = forced_open();
    struct whisper_trace trace = {compare_decoder_stage, NULL};
    float *mel = jfk_mel();
    const float *mels[] = {mel};
    (void)state;

    for (int level = KERN_GENERIC; level <= KERN_AMX; level++) {
        struct rig rig;
        if (!level_present((enum kern_level)level))
            continue;
        rig_open(&rig, ggml_path(), (enum kern_level)level);
        size_t vocab = (size_t)whisper_model_dims(rig.model)->n_vocab;
        float *logits = au_alloc_array((size_t)forced.n * vocab, sizeof *logits);
        whisper_encode(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, NULL);
        struct whisper_row row = {
            .window = rig.window,
            .tokens = forced.tokens,
            .cells = forced.cells,
            .n_tokens = forced.n,
            .n_logits = forced.n,
            .logits = logits,
        };
        whisper_decode_traced(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row, &trace);
        compare_logits(&forced, logits, vocab);
        au_free(logits);
        rig_close(&rig);
    }
    au_free(mel);
    au_json_free(forced.json);
}

static void prefill_equals_single_steps_bit_for_bit(void **state)
{
    struct forced forced = forced_open();
    float *mel = jfk_mel();
    const float *mels[] = {mel};
    (void)state;

    for (int level = KERN_GENERIC; level <= KERN_AMX; level++) {
        struct rig rig;
        if (!level_present((enum kern_level)level))
            continue;
        rig_open(&rig, ggml_path(), (enum kern_level)level);
        size_t vocab = (size_t)whisper_model_dims(rig.model)->n_vocab;
        float *whole = au_alloc_array((size_t)forced.n * vocab, sizeof *whole);
        float *step = au_alloc_array(vocab, sizeof *step);
        whisper_encode(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, NULL);
        struct whisper_row row = {rig.window, forced.tokens, forced.cells, forced.n,
                                  0,          forced.n,      whole,        NULL};
        whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
        for (int i = 0; i < forced.n; i++) {
            struct whisper_row one = {rig.window, forced.tokens + i, forced.cells, 1, i, 1, step,
                                      NULL};
            whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &one);
            assert_memory_equal(step, whole + (size_t)i * vocab, vocab * sizeof *step);
        }
        au_free(step);
        au_free(whole);
        rig_close(&rig);
    }
    au_free(mel);
    au_json_free(forced.json);
}

/* ---- Other compute types --------------------------------------------------------------------- */

/* How far bf16 and int8 may be from f32, as the rms of the difference over the rms of the value.
 * Measured on these synthetic weights, which are harsher than trained ones (a random network has no
 * redundancy), with a margin of half as much again; a broken kernel or scale is far outside.     */
static void other_types_stay_close_to_f32(void **state)
{
    static const struct {
        enum kern_type type;
        double encoder, logits;
    } bounds[] = {{KERN_BF16, 0.006, 0.009}, {KERN_INT8, 0.017, 0.027}};
    struct forced forced = forced_open();
    struct au_test_npy encoded = au_test_npy_fixture("whisper-micro/ref/enc_out.npy");
    struct au_test_npy eighth = au_test_npy_fixture("whisper-micro/ref/logits_every8th.npy");
    float *mel = jfk_mel(), *out = au_alloc_array(encoded.n, sizeof *out);
    float *picked = au_alloc_array(eighth.n, sizeof *picked);
    const float *mels[] = {mel};
    (void)state;

    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        for (int level = KERN_GENERIC; level <= KERN_AMX; level++) {
            struct rig rig;
            if (!level_present((enum kern_level)level))
                continue;
            rig_open_as(&rig, ggml_path(), (enum kern_level)level, bounds[i].type);
            size_t vocab = (size_t)whisper_model_dims(rig.model)->n_vocab;
            float *logits = au_alloc_array((size_t)forced.n * vocab, sizeof *logits);
            whisper_encode(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, &out);
            struct whisper_row row = {rig.window, forced.tokens, forced.cells, forced.n,
                                      0,          forced.n,      logits,       NULL};
            whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
            for (size_t j = 0; j < eighth.n; j++)
                picked[j] = logits[j / eighth.shape[1] * vocab + j % eighth.shape[1] * 8];
            struct au_test_diff a = au_test_compare(out, encoded.f32, encoded.n);
            struct au_test_diff b = au_test_compare(picked, eighth.f32, eighth.n);
            printf("  %s: encoder %.4f, logits %.4f\n", kern_type_name(bounds[i].type),
                   a.relative_rms, b.relative_rms);
            assert_true(a.relative_rms < bounds[i].encoder);
            assert_true(b.relative_rms < bounds[i].logits);
            au_free(logits);
            rig_close(&rig);
        }
    }
    au_free(picked);
    au_free(out);
    au_free(mel);
    au_test_npy_free(&eighth);
    au_test_npy_free(&encoded);
    au_json_free(forced.json);
}

/* ---- Languages ------------------------------------------------------------------------------- */

/* Probabilities of the languages after <|startoftranscript|>, for the window rig holds. */
static void compare_languages(struct rig *rig, const struct au_json *probs, int expected_token)
{
    int32_t sot = 50258, cell = 0;
    size_t vocab = (size_t)whisper_model_dims(rig->model)->n_vocab, n = au_json_size(probs);
    float *logits = au_alloc_array(vocab, sizeof *logits);
    struct whisper_row row = {rig->window, &sot, &cell, 1, 0, 1, logits, NULL};
    size_t best = 0;

    whisper_decode(rig->model, rig->pool, &rig->ws, rig->cells, 1, &row);
    float *languages = logits + 50259;
    kern_select(KERN_GENERIC)->max(languages, n, &best);
    assert_int_equal(50259 + (int)best, expected_token);
    kern_select(KERN_GENERIC)->softmax(languages, n);
    for (size_t i = 0; i < n; i++) {
        const char *code;
        double want = au_json_number(au_json_member(probs, i, &code), -1.0);
        assert_true(fabs((double)languages[i] - want) <= 1e-4);
    }
    au_free(logits);
}

static void language_probabilities_equal_reference(void **state)
{
    struct au_json *json;
    struct au_fault fault = {0};
    char *path = au_test_fixture("whisper-micro/ref/language.json");
    float *mel = jfk_mel();
    const float *mels[] = {mel};
    struct rig rig;
    (void)state;

    au_test_ok(au_json_read(path, 1 << 20, &json, &fault), &fault);
    rig_open(&rig, ggml_path(), au_test_level());
    whisper_encode(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, NULL);
    compare_languages(&rig, au_json_get(json, "probs"),
                      (int)au_json_int(au_json_get(json, "language_token"), 0));
    rig_close(&rig);
    au_free(mel);
    au_free(path);
    au_json_free(json);
}

/* ---- The same weights in other files --------------------------------------------------------- */

/* Encoder output and the logits of the forced tokens: [1500 * 128] and [24 * vocab]. */
static void run_file(const char *path, float *encoded, float *logits, size_t *n_heads)
{
    struct forced forced = forced_open();
    float *mel = jfk_mel();
    const float *mels[] = {mel};
    struct rig rig;

    rig_open(&rig, path, au_test_level());
    whisper_encode(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, &encoded);
    struct whisper_row row = {rig.window, forced.tokens, forced.cells, forced.n,
                              0,          forced.n,      logits,       NULL};
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
    whisper_alignment_heads(rig.model, n_heads);
    rig_close(&rig);
    au_free(mel);
    au_json_free(forced.json);
}

/* A folder with the files of hf/, the weights unpacked. */
static char *unpack_hf(const char *folder)
{
    static const char *const names[] = {"config.json", "generation_config.json"};
    char *packed = au_test_fixture("whisper-micro/hf/model.safetensors.gz");

    au_free(au_test_gunzip_to(packed, folder, NULL));
    au_free(packed);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];
        size_t bytes;
        snprintf(name, sizeof name, "whisper-micro/hf/%s", names[i]);
        char *path = au_test_fixture(name), *text = au_test_read(path, &bytes);
        au_free(au_test_write(folder, names[i], text, bytes));
        au_free(text);
        au_free(path);
    }
    return au_strdup(folder);
}

static void every_file_format_gives_the_same_bits(void **state)
{
    const size_t n_encoded = 1500 * 128, n_logits = (size_t)24 * 51865;
    float *encoded = au_alloc_array(n_encoded, sizeof *encoded);
    float *logits = au_alloc_array(n_logits, sizeof *logits);
    float *encoded_2 = au_alloc_array(n_encoded, sizeof *encoded);
    float *logits_2 = au_alloc_array(n_logits, sizeof *logits);
    char *folder = au_test_scratch_folder();
    char *packed = au_test_fixture("whisper-micro/model.pt.gz");
    char *paths[] = {unpack_hf(folder), au_test_gunzip_to(packed, folder, NULL)};
    size_t n_heads;
    (void)state;

    run_file(ggml_path(), encoded, logits, &n_heads);
    assert_int_equal(n_heads, 2); /* upper half: layer 1 */
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        run_file(paths[i], encoded_2, logits_2, &n_heads);
        assert_int_equal(n_heads, 2);
        assert_memory_equal(encoded, encoded_2, n_encoded * sizeof *encoded);
        assert_memory_equal(logits, logits_2, n_logits * sizeof *logits);
        au_free(paths[i]);
    }
    au_test_scratch_remove(folder);
    au_free(packed);
    au_free(logits_2);
    au_free(encoded_2);
    au_free(logits);
    au_free(encoded);
}

/* ---- 128 mels, 51866 tokens, one head -------------------------------------------------------- */

static void v3_equals_reference(void **state)
{
    struct au_json *json;
    struct au_fault fault = {0};
    char *path = au_test_fixture("whisper-micro-v3/ref/decode.json");
    struct au_test_npy mel = au_test_npy_fixture("whisper-micro-v3/ref/mel_first1200.npy");
    struct au_test_npy want = au_test_npy_fixture("whisper-micro-v3/ref/enc_out.npy");
    char *folder = au_test_scratch_folder();
    char *packed[] = {au_test_fixture("whisper-micro-v3/ggml-model-f16.bin.gz"),
                      au_test_fixture("whisper-micro-v3/model.pt.gz")};
    float *out = au_alloc_array(want.n, sizeof *out);
    (void)state;

    au_test_ok(au_json_read(path, 1 << 20, &json, &fault), &fault);
    float fill = (float)au_json_number(au_json_get(json, "mel_value_after_frame_1200"), 0.0);
    float *rows = transposed(&mel, 3000, fill);
    const float *mels[] = {rows};
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        char *file = au_test_gunzip_to(packed[i], folder, NULL);
        struct rig rig;
        rig_open(&rig, file, au_test_level());
        whisper_encode(rig.model, rig.pool, &rig.ws, 1, mels, &rig.window, &out);
        au_test_close(out, want.f32, want.n, 1e-4);
        compare_languages(&rig, au_json_get(json, "language_probs"),
                          (int)au_json_int(au_json_get(json, "language_token"), 0));
        rig_close(&rig);
        au_free(file);
        au_free(packed[i]);
    }
    au_free(rows);
    au_free(out);
    au_test_scratch_remove(folder);
    au_test_npy_free(&want);
    au_test_npy_free(&mel);
    au_free(path);
    au_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoder_equals_reference_at_every_stage),
        cmocka_unit_test(decoder_equals_reference_at_every_stage),
        cmocka_unit_test(prefill_equals_single_steps_bit_for_bit),
        cmocka_unit_test(other_types_stay_close_to_f32),
        cmocka_unit_test(language_probabilities_equal_reference),
        cmocka_unit_test(every_file_format_gives_the_same_bits),
        cmocka_unit_test(v3_equals_reference),
    };
    return cmocka_run_group_tests_name("golden whisper", tests, NULL, NULL);
}
