/* Whisper on made-up weights: named sizes, independence of batch, split and threads (exact bits),
 * every tensor naming, refusals in sentences, running out of memory.                             */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#include "model/whisper/parts.h"
#include "support/support.h"
#include "support/tensors.h"

static const struct whisper_dims small_dims = {
    .n_mels = 8,
    .n_audio_ctx = 20,
    .n_audio_state = 32,
    .n_audio_head = 2,
    .n_audio_layer = 2,
    .n_vocab = 61,
    .n_text_ctx = 16,
    .n_text_state = 32,
    .n_text_head = 2,
    .n_text_layer = 2,
};

/* ---- Sizes ----------------------------------------------------------------------------------- */

static void named_sizes_are_known(void **state)
{
    struct whisper_dims dims;
    (void)state;

    assert_true(whisper_dims_named("tiny.en", &dims));
    assert_int_equal(dims.n_vocab, 51864);
    assert_true(whisper_dims_named("Large-V3", &dims));
    assert_int_equal(dims.n_mels, 128);
    assert_int_equal(dims.n_text_layer, 32);
    assert_true(whisper_dims_named("turbo", &dims));
    assert_int_equal(dims.n_text_layer, 4);
    assert_int_equal(dims.n_audio_layer, 32);
    assert_true(whisper_dims_named("distil-large-v3.5", &dims));
    assert_int_equal(dims.n_text_layer, 2);
    assert_false(whisper_dims_named("huge", &dims));
    assert_false(whisper_dims_named("", &dims));
}

static void alignment_heads_are_published_or_the_upper_half(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        struct whisper_head first, last;
    } cases[] = {
        {"tiny", 6, {2, 2}, {3, 5}},
        {"medium.en", 18, {11, 4}, {21, 12}},
        {"large-v2", 23, {10, 12}, {27, 15}},
        {"turbo", 6, {2, 4}, {3, 14}},
        {"distil-large-v3", 20, {1, 0}, {1, 19}},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct whisper_dims dims;
        struct whisper_head heads[64];
        assert_true(whisper_dims_named(cases[i].name, &dims));
        size_t n = whisper_heads_published(&dims, heads, 64);
        assert_int_equal(n, cases[i].n);
        assert_memory_equal(&heads[0], &cases[i].first, sizeof heads[0]);
        assert_memory_equal(&heads[n - 1], &cases[i].last, sizeof heads[0]);
    }
}

static void impossible_dimensions_are_refused(void **state)
{
    static const struct {
        size_t offset;
        int value;
        const char *word;
    } cases[] = {
        {offsetof(struct whisper_dims, n_mels), 0, "n_mels"},
        {offsetof(struct whisper_dims, n_vocab), -1, "n_vocab"},
        {offsetof(struct whisper_dims, n_audio_layer), 1 << 30, "n_audio_layer"},
        {offsetof(struct whisper_dims, n_text_head), 5, "multiple"},
        {offsetof(struct whisper_dims, n_audio_head), 8, "4 wide"},
        {offsetof(struct whisper_dims, n_text_state), 64, "wide"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct whisper_dims dims = small_dims;
        struct au_fault fault = {0};
        memcpy((char *)&dims + cases[i].offset, &cases[i].value, sizeof(int));
        assert_int_not_equal(whisper_dims_check(&dims, "made up", &fault), AURICLE_OK);
        assert_non_null(strstr(fault.text, cases[i].word));
        assert_non_null(strstr(fault.text, "made up"));
    }
}

/* ---- A model with everything it needs -------------------------------------------------------- */

#define MAX_WINDOWS 3
#define MAX_TOKENS  32

struct rig {
    struct au_pool *pool;
    struct whisper_model *model;
    struct whisper_window *windows[MAX_WINDOWS];
    struct whisper_cells *cells;
    struct tensor_workspace ws;
    float *mels[MAX_WINDOWS];
};

static void rig_open(struct rig *rig, enum kern_type type, int threads)
{
    struct au_test_random random = {7};

    memset(rig, 0, sizeof *rig);
    au_test_ok(au_pool_create(threads, &rig->pool), NULL);
    au_test_ok(whisper_model_random(&small_dims, 42, kern_select(au_test_level()), type, rig->pool,
                                    &rig->model),
               NULL);
    for (size_t i = 0; i < MAX_WINDOWS; i++) {
        au_test_ok(whisper_window_create(rig->model, &rig->windows[i]), NULL);
        rig->mels[i] = au_alloc_array((size_t)2 * 20 * 8, sizeof(float));
        au_test_random_fill(&random, rig->mels[i], (size_t)2 * 20 * 8);
    }
    au_test_ok(whisper_cells_create(rig->model, 64, &rig->cells), NULL);
    size_t encode = whisper_plan_encode(rig->model, threads, MAX_WINDOWS);
    size_t decode = whisper_plan_decode(rig->model, threads, MAX_TOKENS, MAX_TOKENS);
    au_test_ok(tensor_workspace_create(&rig->ws, encode > decode ? encode : decode), NULL);
}

static void rig_encode(struct rig *rig, size_t n)
{
    const float *mels[MAX_WINDOWS] = {rig->mels[0], rig->mels[1], rig->mels[2]};
    whisper_encode(rig->model, rig->pool, &rig->ws, n, mels, rig->windows, NULL);
}

static void rig_close(struct rig *rig)
{
    tensor_workspace_deinit(&rig->ws);
    whisper_cells_destroy(rig->cells);
    for (size_t i = 0; i < MAX_WINDOWS; i++) {
        whisper_window_destroy(rig->windows[i]);
        au_free(rig->mels[i]);
    }
    whisper_model_destroy(rig->model);
    au_pool_destroy(rig->pool);
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(x[i] > -1e30F && x[i] < 1e30F))
            return false;
    return true;
}

/* ---- Independence of batch, split and threads ------------------------------------------------ */

enum { VOCAB = 61, STEPS = 6 };

/* Tokens of three hypotheses and their cells, disjoint. */
static const int32_t tokens[3][STEPS] = {
    {1, 60, 3, 17, 5, 2}, {0, 22, 22, 41, 9, 33}, {50, 51, 52, 53, 54, 55}};
static const int32_t cells[3][STEPS] = {
    {0, 3, 6, 9, 12, 15}, {17, 14, 11, 8, 5, 2}, {20, 40, 30, 63, 62, 61}};

static struct whisper_row make_row(const struct rig *rig, size_t which, int past, int n,
                                   float *logits)
{
    return (struct whisper_row){
        .window = rig->windows[which],
        .tokens = tokens[which] + past,
        .cells = cells[which],
        .n_tokens = n,
        .n_past = past,
        .n_logits = n,
        .logits = logits,
    };
}

/* Logits of all three hypotheses, each alone and one token at a time. */
static void decode_singly(struct rig *rig, float *logits)
{
    for (size_t r = 0; r < 3; r++)
        for (int i = 0; i < STEPS; i++) {
            struct whisper_row row = make_row(rig, r, i, 1,
                                              logits + (r * STEPS + (size_t)i) * VOCAB);
            whisper_decode(rig->model, rig->pool, &rig->ws, rig->cells, 1, &row);
        }
}

static void rows_do_not_depend_on_batch_split_or_threads(void **state)
{
    static float alone[3 * STEPS * VOCAB], together[3 * STEPS * VOCAB];
    (void)state;

    for (int type = KERN_F32; type < KERN_N_TYPES; type++) {
        struct rig rig;
        rig_open(&rig, (enum kern_type)type, 1);
        rig_encode(&rig, 1); /* one by one: the bits of a batch of one */
        for (size_t i = 1; i < MAX_WINDOWS; i++) {
            const float *mel = rig.mels[i];
            whisper_encode(rig.model, rig.pool, &rig.ws, 1, &mel, &rig.windows[i], NULL);
        }
        decode_singly(&rig, alone);
        assert_true(all_finite(alone, 3 * STEPS * VOCAB));
        rig_close(&rig);

        rig_open(&rig, (enum kern_type)type, 3);
        rig_encode(&rig, MAX_WINDOWS);
        for (int split = 1; split < STEPS; split++) {
            memset(together, 0, sizeof together);
            for (int part = 0; part < 2; part++) {
                struct whisper_row rows[3];
                int past = part ? split : 0, n = part ? STEPS - split : split;
                for (size_t r = 0; r < 3; r++)
                    rows[r] = make_row(&rig, 2 - r, past, n,
                                       together + ((2 - r) * STEPS + (size_t)past) * VOCAB);
                whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 3, rows);
            }
            assert_memory_equal(alone, together, sizeof alone);
        }
        rig_close(&rig);
    }
}

static void only_the_wanted_logits_are_written(void **state)
{
    float whole[STEPS * VOCAB], last[VOCAB + 1] = {0};
    struct rig rig;
    (void)state;

    rig_open(&rig, KERN_F32, 1);
    rig_encode(&rig, 1);
    struct whisper_row row = make_row(&rig, 0, 0, STEPS, whole);
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
    row.n_logits = 1;
    row.logits = last;
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
    assert_memory_equal(last, whole + (STEPS - 1) * VOCAB, VOCAB * sizeof(float));
    assert_true(last[VOCAB] == 0.0F);
    row.n_logits = 0;
    row.logits = NULL;
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
    rig_close(&rig);
}

/* Adjacent logits of several rows take the direct path, scattered ones the copy: same numbers. */
static void scattered_logits_equal_adjacent_ones(void **state)
{
    float adjacent[3 * STEPS * VOCAB], scattered[3][STEPS * VOCAB];
    struct rig rig;
    struct whisper_row rows[3];
    (void)state;

    rig_open(&rig, KERN_F32, 2);
    rig_encode(&rig, 3);
    for (size_t r = 0; r < 3; r++)
        rows[r] = make_row(&rig, r, 0, STEPS, adjacent + r * STEPS * VOCAB);
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 3, rows);
    for (size_t r = 0; r < 3; r++)
        rows[r].logits = scattered[2 - r];
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 3, rows);
    for (size_t r = 0; r < 3; r++)
        assert_memory_equal(adjacent + r * STEPS * VOCAB, scattered[2 - r], sizeof scattered[0]);
    rig_close(&rig);
}

static void alignment_scores_cover_each_listed_head_and_token(void **state)
{
    enum { HEADS = 2, CTX = 20 };
    static float whole[HEADS * STEPS * CTX], single[HEADS * CTX];
    struct rig rig;
    size_t n_heads;
    (void)state;

    rig_open(&rig, KERN_F32, 2);
    const struct whisper_head *heads = whisper_alignment_heads(rig.model, &n_heads);
    assert_int_equal(n_heads, HEADS); /* both heads of layer 1 */
    assert_int_equal(heads[1].layer, 1);
    assert_int_equal(heads[1].head, 1);
    rig_encode(&rig, 1);
    struct whisper_row row = make_row(&rig, 0, 0, STEPS, NULL);
    row.n_logits = 0;
    row.cross_weights = whole;
    whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
    assert_true(all_finite(whole, HEADS * STEPS * CTX));
    for (int i = 0; i < STEPS; i++) {
        row = make_row(&rig, 0, i, 1, NULL);
        row.n_logits = 0;
        row.cross_weights = single;
        whisper_decode(rig.model, rig.pool, &rig.ws, rig.cells, 1, &row);
        for (size_t h = 0; h < HEADS; h++)
            assert_memory_equal(single + h * CTX, whole + (h * STEPS + (size_t)i) * CTX,
                                CTX * sizeof(float));
    }
    rig_close(&rig);
}

static void encoder_output_is_handed_out_on_request(void **state)
{
    struct rig rig;
    float out[20 * 32], again[20 * 32];
    (void)state;

    rig_open(&rig, KERN_F32, 2);
    const float *mels[] = {rig.mels[0], rig.mels[1]};
    float *outs[] = {NULL, out};
    whisper_encode(rig.model, rig.pool, &rig.ws, 2, mels, rig.windows, outs);
    float *only = again;
    whisper_encode(rig.model, rig.pool, &rig.ws, 1, &mels[1], &rig.windows[2], &only);
    assert_memory_equal(out, again, sizeof out);
    assert_true(all_finite(out, 20 * 32));
    rig_close(&rig);
}

/* ---- Files of every naming ------------------------------------------------------------------- */

/* A model file in the making: numbers depend on a tensor's place alone, not on its name. */
struct maker {
    enum whisper_naming naming;
    const char *skip; /* tensor to leave out */
    const char *bend; /* tensor to give one row more */
    struct au_test_tensors *tensors;
};

static void add_named(struct maker *m, const char *name, uint64_t salt, size_t rows, size_t columns,
                      size_t taps)
{
    struct au_test_random random = {salt};
    size_t shape[] = {rows + (m->bend && strcmp(name, m->bend) == 0), columns, taps};
    int n_dims = taps ? 3 : columns ? 2 : 1;
    size_t count = 1;

    if (m->skip && strcmp(name, m->skip) == 0)
        return;
    for (int i = 0; i < n_dims; i++)
        count *= shape[i];
    au_test_random_fill(&random, au_test_tensors_add(m->tensors, name, n_dims, shape), count);
}

static void add(struct maker *m, enum whisper_side side, int layer, enum whisper_slot slot,
                enum whisper_param param, size_t rows, size_t columns, size_t taps)
{
    char name[WHISPER_NAME_BYTES];
    uint64_t salt = 1 + (uint64_t)param + 2 * (uint64_t)slot + 64 * (uint64_t)layer +
                    1024 * (uint64_t)side;
    whisper_name(m->naming, side, layer, slot, param, name);
    add_named(m, name, salt, rows, columns, taps);
}

static void add_norm(struct maker *m, enum whisper_side side, int layer, enum whisper_slot slot)
{
    add(m, side, layer, slot, WHISPER_WEIGHT, 32, 0, 0);
    add(m, side, layer, slot, WHISPER_BIAS, 32, 0, 0);
}

static void add_linear(struct maker *m, enum whisper_side side, int layer, enum whisper_slot slot,
                       size_t rows, size_t columns)
{
    add(m, side, layer, slot, WHISPER_WEIGHT, rows, columns, 0);
    add(m, side, layer, slot, WHISPER_BIAS, rows, 0, 0);
}

/* Equal matrices: one after the other, or stacked under one name for CTranslate2, which also has
 * zeros for the biases that keys lack. The numbers are those of the separate matrices.           */
static void add_stacked(struct maker *m, enum whisper_side side, int layer, enum whisper_slot slot,
                        size_t parts)
{
    enum { D = 32 };
    struct maker apart = {.naming = WHISPER_NAMES_OPENAI};

    if (m->naming != WHISPER_NAMES_CT2) {
        for (size_t i = 0; i < parts; i++) {
            enum whisper_slot part = (enum whisper_slot)(slot + (enum whisper_slot)i);
            add(m, side, layer, part, WHISPER_WEIGHT, D, D, 0);
            if (part != WHISPER_ATTN_K && part != WHISPER_CROSS_K)
                add(m, side, layer, part, WHISPER_BIAS, D, 0, 0);
        }
        return;
    }
    apart.tensors = au_test_tensors_new();
    add_stacked(&apart, side, layer, slot, parts);
    add(m, side, layer, slot, WHISPER_WEIGHT, parts * D, D, 0);
    add(m, side, layer, slot, WHISPER_BIAS, parts * D, 0, 0);
    /* A bent bias has one row more behind the biases. */
    float *weight = m->tensors->data + m->tensors->n - parts * D * (D + 1), *bias;
    weight -= m->bend && strstr(m->bend, "linear_0/bias") ? 1 : 0;
    bias = weight + parts * D * D;
    const float *from = apart.tensors->data;
    for (size_t i = 0; i < parts; i++) {
        bool key = slot + i == WHISPER_ATTN_K || slot + i == WHISPER_CROSS_K;
        memcpy(weight + i * D * D, from, sizeof(float) * D * D);
        memset(bias + i * D, 0, sizeof(float) * D);
        from += (size_t)D * D;
        if (!key)
            memcpy(bias + i * D, from, sizeof(float) * D);
        from += key ? 0 : D;
    }
    au_test_tensors_free(apart.tensors);
}

static void add_block(struct maker *m, enum whisper_side side, int layer)
{
    add_norm(m, side, layer, WHISPER_ATTN_LN);
    add_stacked(m, side, layer, WHISPER_ATTN_Q, 3);
    add_linear(m, side, layer, WHISPER_ATTN_OUT, 32, 32);
    if (side == WHISPER_DECODER) {
        add_norm(m, side, layer, WHISPER_CROSS_LN);
        add_linear(m, side, layer, WHISPER_CROSS_Q, 32, 32);
        add_stacked(m, side, layer, WHISPER_CROSS_K, 2);
        add_linear(m, side, layer, WHISPER_CROSS_OUT, 32, 32);
    }
    add_norm(m, side, layer, WHISPER_MLP_LN);
    add_linear(m, side, layer, WHISPER_MLP_IN, 128, 32);
    add_linear(m, side, layer, WHISPER_MLP_OUT, 32, 128);
}

/* Write folder/model.safetensors; heads are 16 wide, which only config.json can say. */
static char *make_file(const char *folder, enum whisper_naming naming, const char *skip,
                       const char *bend)
{
    struct maker maker = {naming, skip, bend, au_test_tensors_new()}, *m = &maker;

    add(m, WHISPER_ENCODER, 0, WHISPER_CONV1, WHISPER_WEIGHT, 32, 8, 3);
    add(m, WHISPER_ENCODER, 0, WHISPER_CONV1, WHISPER_BIAS, 32, 0, 0);
    add(m, WHISPER_ENCODER, 0, WHISPER_CONV2, WHISPER_WEIGHT, 32, 32, 3);
    add(m, WHISPER_ENCODER, 0, WHISPER_CONV2, WHISPER_BIAS, 32, 0, 0);
    add(m, WHISPER_ENCODER, 0, WHISPER_POSITIONS, WHISPER_WEIGHT, 20, 32, 0);
    add_norm(m, WHISPER_ENCODER, 0, WHISPER_FINAL_LN);
    add(m, WHISPER_DECODER, 0, WHISPER_EMBEDDING, WHISPER_WEIGHT, 61, 32, 0);
    add(m, WHISPER_DECODER, 0, WHISPER_POSITIONS, WHISPER_WEIGHT, 16, 32, 0);
    add_norm(m, WHISPER_DECODER, 0, WHISPER_FINAL_LN);
    for (int layer = 0; layer < 2; layer++) {
        add_block(m, WHISPER_ENCODER, layer);
        add_block(m, WHISPER_DECODER, layer);
    }
    char *path = au_test_tensors_write(maker.tensors, folder, "model.safetensors");
    au_test_tensors_free(maker.tensors);
    return path;
}

static const char small_config[] =
    "{\"model_type\":\"whisper\",\"d_model\":32,\"encoder_attention_heads\":2,"
    "\"decoder_attention_heads\":2,\"encoder_layers\":2,\"decoder_layers\":2,\"vocab_size\":61,"
    "\"num_mel_bins\":8,\"max_source_positions\":20,\"max_target_positions\":16}";

static enum auricle_error load(const char *path, struct whisper_model **out, struct au_fault *fault)
{
    struct format_weights *weights;
    au_test_ok(format_weights_open(path, &weights, fault), fault);
    enum auricle_error error = whisper_model_create(weights, kern_select(au_test_level()), KERN_F32,
                                                    NULL, out, fault);
    format_weights_close(weights);
    return error;
}

static void run_loaded(struct whisper_model *model, float *logits)
{
    struct au_test_random random = {99};
    struct whisper_window *window;
    struct whisper_cells *kv;
    struct tensor_workspace ws;
    float mel[40 * 8];
    const float *mels[] = {mel};

    au_test_random_fill(&random, mel, 40 * 8);
    au_test_ok(whisper_window_create(model, &window), NULL);
    au_test_ok(whisper_cells_create(model, 64, &kv), NULL);
    size_t encode = whisper_plan_encode(model, 1, 1);
    size_t decode = whisper_plan_decode(model, 1, STEPS, STEPS);
    au_test_ok(tensor_workspace_create(&ws, encode > decode ? encode : decode), NULL);
    whisper_encode(model, NULL, &ws, 1, mels, &window, NULL);
    struct whisper_row row = {window, tokens[0], cells[0], STEPS, 0, STEPS, logits, NULL};
    whisper_decode(model, NULL, &ws, kv, 1, &row);
    tensor_workspace_deinit(&ws);
    whisper_cells_destroy(kv);
    whisper_window_destroy(window);
}

static void every_naming_gives_the_same_bits(void **state)
{
    static float first[STEPS * VOCAB], logits[STEPS * VOCAB];
    char *folder = au_test_scratch_folder();
    (void)state;

    au_free(au_test_write(folder, "config.json", small_config, sizeof small_config - 1));
    for (int naming = 0; naming < WHISPER_N_NAMINGS; naming++) {
        struct whisper_model *model;
        struct au_fault fault = {0};
        char *path = make_file(folder, (enum whisper_naming)naming, NULL, NULL);
        au_test_ok(load(path, &model, &fault), &fault);
        assert_memory_equal(whisper_model_dims(model), &small_dims, sizeof small_dims);
        run_loaded(model, logits);
        assert_true(all_finite(logits, STEPS * VOCAB));
        if (naming == 0)
            memcpy(first, logits, sizeof first);
        assert_memory_equal(first, logits, sizeof first);
        whisper_model_destroy(model);
        au_free(path);
    }
    au_test_scratch_remove(folder);
}

static void absent_encoder_positions_are_computed(void **state)
{
    char *folder = au_test_scratch_folder();
    struct whisper_model *model;
    struct au_fault fault = {0};
    (void)state;

    au_free(au_test_write(folder, "config.json", small_config, sizeof small_config - 1));
    char *path = make_file(folder, WHISPER_NAMES_OPENAI, "encoder.positional_embedding", NULL);
    au_test_ok(load(path, &model, &fault), &fault);
    const float *row = model->audio_positions + 3 * 32;
    assert_true(fabsf(row[0] - 0.14112001F) < 1e-6F); /* sin 3 */
    assert_true(fabsf(row[16] + 0.9899925F) < 1e-6F); /* cos 3 */
    assert_true(fabsf(row[15] - 3e-4F) < 1e-7F);      /* sin(3 / 10000) */
    whisper_model_destroy(model);
    au_free(path);
    au_test_scratch_remove(folder);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void expect_refusal(enum whisper_naming naming, const char *skip, const char *bend,
                           const char *config, enum auricle_error code, const char *words)
{
    char *folder = au_test_scratch_folder();
    struct whisper_model *model = NULL;
    struct au_fault fault = {0};

    if (config)
        au_free(au_test_write(folder, "config.json", config, strlen(config)));
    char *path = make_file(folder, naming, skip, bend);
    assert_int_equal(load(path, &model, &fault), code);
    assert_null(model);
    if (!strstr(fault.text, words))
        fail_msg("'%s' does not say '%s'", fault.text, words);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void damaged_models_are_refused_by_tensor_name(void **state)
{
    (void)state;
    expect_refusal(WHISPER_NAMES_HF, "model.decoder.layers.1.fc2.weight", NULL, small_config,
                   AURICLE_E_NOT_FOUND, "'model.decoder.layers.1.fc2.weight' is missing");
    expect_refusal(WHISPER_NAMES_HF, "model.encoder.layers.0.self_attn.v_proj.bias", NULL,
                   small_config, AURICLE_E_NOT_FOUND, "self_attn.v_proj.bias");
    expect_refusal(WHISPER_NAMES_OPENAI, NULL, "decoder.blocks.0.cross_attn.key.weight",
                   small_config, AURICLE_E_SHAPE,
                   "'decoder.blocks.0.cross_attn.key.weight' has the shape [33, 32]");
    expect_refusal(WHISPER_NAMES_CT2, NULL, "encoder/layer_1/self_attention/linear_0/bias",
                   small_config, AURICLE_E_SHAPE, "ask for [96]");
    expect_refusal(WHISPER_NAMES_OPENAI, NULL, "encoder.conv2.bias", small_config, AURICLE_E_SHAPE,
                   "[33]");
    expect_refusal(WHISPER_NAMES_OPENAI, "encoder.blocks.0.attn_ln.weight", NULL, small_config,
                   AURICLE_E_UNSUPPORTED, "not a Whisper model");
}

static void a_configuration_of_another_model_is_noticed(void **state)
{
    (void)state;
    expect_refusal(WHISPER_NAMES_HF, NULL, NULL,
                   "{\"model_type\":\"whisper\",\"d_model\":32,\"encoder_attention_heads\":2,"
                   "\"decoder_attention_heads\":2,\"encoder_layers\":2,\"decoder_layers\":3,"
                   "\"vocab_size\":61,\"num_mel_bins\":8,\"max_source_positions\":20,"
                   "\"max_target_positions\":16}",
                   AURICLE_E_NOT_FOUND, "model.decoder.layers.2.");
    expect_refusal(WHISPER_NAMES_HF, NULL, NULL,
                   "{\"model_type\":\"whisper\",\"d_model\":32,\"encoder_attention_heads\":2,"
                   "\"decoder_attention_heads\":2,\"encoder_layers\":2,\"decoder_layers\":2,"
                   "\"vocab_size\":64,\"num_mel_bins\":8,\"max_source_positions\":20,"
                   "\"max_target_positions\":16}",
                   AURICLE_E_SHAPE, "[64, 32]");
    /* Without a configuration heads are taken to be 64 wide: one head here. */
    char *folder = au_test_scratch_folder();
    struct whisper_model *model = NULL;
    struct au_fault fault = {0};
    char *path = make_file(folder, WHISPER_NAMES_HF, NULL, NULL);
    au_test_ok(load(path, &model, &fault), &fault);
    assert_int_equal(whisper_model_dims(model)->n_text_head, 1);
    whisper_model_destroy(model);
    au_free(path);
    au_test_scratch_remove(folder);
}

/* ---- Cache of packed weights ----------------------------------------------------------------- */

struct cache_rig {
    char *folder, *cache;
    struct format_weights *weights;
    float logits[STEPS * VOCAB]; /* without a cache */
};

static struct whisper_model *load_cached(const struct cache_rig *rig, enum kern_type type)
{
    struct whisper_model *model;
    struct au_fault fault = {0};
    au_test_ok(whisper_model_create_cached(rig->weights, kern_select(KERN_N_LEVELS), type, NULL,
                                           rig->cache, &model, &fault),
               &fault);
    return model;
}

/* Load through the cache: mapped or not as expected, and the same numbers in any case. */
static void expect_cached(const struct cache_rig *rig, bool mapped)
{
    static float logits[STEPS * VOCAB];
    struct whisper_model *model = load_cached(rig, KERN_F32);
    assert_int_equal(whisper_model_cached(model), mapped);
    run_loaded(model, logits);
    assert_memory_equal(logits, rig->logits, sizeof logits);
    whisper_model_destroy(model);
}

static void cache_rig_open(struct cache_rig *rig)
{
    struct au_fault fault = {0};
    struct whisper_model *model;

    rig->folder = au_test_scratch_folder();
    rig->cache = au_sprintf("%s/made/on/demand", rig->folder);
    char *path = make_file(rig->folder, WHISPER_NAMES_HF, NULL, NULL);
    au_test_ok(format_weights_open(path, &rig->weights, &fault), &fault);
    au_test_ok(load(path, &model, &fault), &fault);
    assert_false(whisper_model_cached(model));
    run_loaded(model, rig->logits);
    whisper_model_destroy(model);
    au_free(path);
}

static void cache_rig_close(struct cache_rig *rig)
{
    format_weights_close(rig->weights);
    au_free(rig->cache);
    au_test_scratch_remove(rig->folder);
}

/* Path of the one file in the cache. */
static char *cache_file(const struct cache_rig *rig)
{
    DIR *dir = opendir(rig->cache);
    char *path = NULL;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        assert_null(path);
        assert_true(au_str_ends(entry->d_name, ".packed"));
        path = au_path_join(rig->cache, entry->d_name);
    }
    closedir(dir);
    assert_non_null(path);
    return path;
}

static void packed_weights_are_mapped_the_next_time(void **state)
{
    static struct cache_rig rig;
    (void)state;

    cache_rig_open(&rig);
    expect_cached(&rig, false);
    expect_cached(&rig, true);
    expect_cached(&rig, true);
    /* Another type is another file. */
    struct whisper_model *model = load_cached(&rig, KERN_INT8);
    assert_false(whisper_model_cached(model));
    whisper_model_destroy(model);
    model = load_cached(&rig, KERN_INT8);
    assert_true(whisper_model_cached(model));
    whisper_model_destroy(model);
    expect_cached(&rig, true);
    cache_rig_close(&rig);
}

static void a_damaged_cache_is_made_anew(void **state)
{
    static struct cache_rig rig;
    (void)state;

    cache_rig_open(&rig);
    expect_cached(&rig, false);
    char *path = cache_file(&rig);
    size_t n;
    char *good = au_test_read(path, &n);
    /* Magic, version, number of parts, size, fingerprint, kernels; then parts: index, n, k,
     * bytes. */
    static const size_t places[] = {0, 16, 20, 24, 32, 45, 128, 136, 144, 152};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        good[places[i]] ^= 4;
        au_free(au_test_write(rig.cache, au_path_name(path), good, n));
        good[places[i]] ^= 4;
        expect_cached(&rig, false);
        if (places[i] >= 128 || places[i] == 20)
            expect_cached(&rig, false); /* found out on the way: it had to go first */
        expect_cached(&rig, true);
    }
    static const size_t sizes[] = {1, 100, 128, 200, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        au_free(au_test_write(rig.cache, au_path_name(path), good, sizes[i]));
        expect_cached(&rig, false);
        expect_cached(&rig, true);
    }
    au_free(good);
    au_free(path);
    cache_rig_close(&rig);
}

static void a_cache_that_cannot_be_written_is_done_without(void **state)
{
    static struct cache_rig rig;
    (void)state;

    cache_rig_open(&rig);
    au_free(rig.cache);
    rig.cache = au_sprintf("%s/model.safetensors/no", rig.folder); /* a file is in the way */
    expect_cached(&rig, false);
    expect_cached(&rig, false);
    cache_rig_close(&rig);
}

/* As on a disk that is full: what was written so far is neither used nor left behind. */
static void a_cache_that_does_not_fit_is_done_without(void **state)
{
    static struct cache_rig rig;
    struct rlimit before, small;
    (void)state;

    cache_rig_open(&rig);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t bytes = 0; bytes < 160000; bytes += 30000) {
        small = before;
        small.rlim_cur = bytes;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        expect_cached(&rig, false);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        signal(SIGXFSZ, SIG_DFL);
        assert_int_equal(rmdir(rig.cache), 0);
    }
    expect_cached(&rig, false);
    expect_cached(&rig, true);
    cache_rig_close(&rig);
}

/* Memory that fails may cost the cache or the load, nothing else. */
static void a_cache_without_memory_harms_nothing(void **state)
{
    static struct cache_rig rig;
    (void)state;

    cache_rig_open(&rig);
    for (int round = 0; round < 2; round++) { /* making it, then mapping it */
        for (uint64_t n = 0; n < 400; n += 3) {
            struct whisper_model *model = NULL;
            au_mem_fail_at(n, false);
            enum auricle_error error = whisper_model_create_cached(
                rig.weights, kern_select(KERN_N_LEVELS), KERN_F32, NULL, rig.cache, &model, NULL);
            au_mem_fail_never();
            assert_true(error == AURICLE_OK || error == AURICLE_E_NOMEM);
            whisper_model_destroy(model);
        }
        expect_cached(&rig, true);
    }
    cache_rig_close(&rig);
}

/* ---- Running out of memory ------------------------------------------------------------------- */

static enum auricle_error load_and_drop(void *context)
{
    struct whisper_model *model = NULL;
    enum auricle_error error = whisper_model_create(context, kern_select(au_test_level()),
                                                    KERN_INT8, NULL, &model, NULL);
    if (!error) {
        struct whisper_window *window = NULL;
        struct whisper_cells *kv = NULL;
        error = whisper_window_create(model, &window);
        if (!error)
            error = whisper_cells_create(model, 8, &kv);
        whisper_cells_destroy(kv);
        whisper_window_destroy(window);
    }
    whisper_model_destroy(model);
    return error;
}

static void running_out_of_memory_is_an_ordinary_error(void **state)
{
    char *folder = au_test_scratch_folder();
    char *path = make_file(folder, WHISPER_NAMES_HF, NULL, NULL);
    struct format_weights *weights;
    struct au_fault fault = {0};
    (void)state;

    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    assert_true(au_test_fail_each_allocation(load_and_drop, weights, 2000) > 50);
    format_weights_close(weights);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void sizes_are_stated_before_use(void **state)
{
    struct rig rig;
    (void)state;

    rig_open(&rig, KERN_F32, 1);
    assert_true(whisper_model_bytes(rig.model) > 100000);
    assert_true(whisper_window_bytes(rig.model) >= 2 * 20 * 2 * 32 * sizeof(float));
    assert_int_equal(whisper_cells_count(rig.cells), 64);
    assert_true(whisper_cells_bytes(rig.model, SIZE_MAX / 2) == SIZE_MAX);
    assert_int_equal(whisper_model_type(rig.model), KERN_F32);
    assert_int_equal(whisper_plan_encode(rig.model, 1, 1), whisper_plan_encode(rig.model, 1, 9));
    assert_int_equal(whisper_plan_encode(rig.model, 1, 0), 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_sizes_are_known),
        cmocka_unit_test(alignment_heads_are_published_or_the_upper_half),
        cmocka_unit_test(impossible_dimensions_are_refused),
        cmocka_unit_test(rows_do_not_depend_on_batch_split_or_threads),
        cmocka_unit_test(only_the_wanted_logits_are_written),
        cmocka_unit_test(scattered_logits_equal_adjacent_ones),
        cmocka_unit_test(alignment_scores_cover_each_listed_head_and_token),
        cmocka_unit_test(encoder_output_is_handed_out_on_request),
        cmocka_unit_test(every_naming_gives_the_same_bits),
        cmocka_unit_test(absent_encoder_positions_are_computed),
        cmocka_unit_test(damaged_models_are_refused_by_tensor_name),
        cmocka_unit_test(a_configuration_of_another_model_is_noticed),
        cmocka_unit_test(packed_weights_are_mapped_the_next_time),
        cmocka_unit_test(a_damaged_cache_is_made_anew),
        cmocka_unit_test(a_cache_that_cannot_be_written_is_done_without),
        cmocka_unit_test(a_cache_that_does_not_fit_is_done_without),
        cmocka_unit_test(a_cache_without_memory_harms_nothing),
        cmocka_unit_test(running_out_of_memory_is_an_ordinary_error),
        cmocka_unit_test(sizes_are_stated_before_use),
    };
    return cmocka_run_group_tests_name("model whisper", tests, NULL, NULL);
}
