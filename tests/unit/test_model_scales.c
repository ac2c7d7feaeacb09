/* Models whose weights are integers with scales: however the file shapes them, a scale belongs to
 * an index of the first axis, and no more scales are touched than the file has.                  */
#include <string.h>

#include "base/buf.h"
#include "model/whisper/parts.h"
#include "support/support.h"

enum { CT2_F32, CT2_I8 }; /* the format's codes of types */
enum { WIDTH = 64, MELS = 8, VOCAB = 61, AUDIO_CTX = 20, TEXT_CTX = 16 };

struct writer {
    struct au_buf out;
    uint32_t n;
};

static void put(struct writer *w, const void *data, size_t bytes)
{
    au_test_ok(au_buf_append(&w->out, data, bytes), NULL);
}

static void put_u32(struct writer *w, uint32_t value)
{
    put(w, &value, sizeof value); /* x86 and arm are little-endian, as the format is */
}

static void put_text(struct writer *w, const char *text)
{
    uint16_t n = (uint16_t)(strlen(text) + 1);
    put(w, &n, sizeof n);
    put(w, text, n);
}

static size_t count(int rank, const uint32_t *shape)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= shape[i];
    return n;
}

static void begin_variable(struct writer *w, const char *name, int rank, const uint32_t *shape,
                           uint8_t type, size_t bytes)
{
    uint8_t rank_byte = (uint8_t)rank;
    put_text(w, name);
    put(w, &rank_byte, 1);
    for (int i = 0; i < rank; i++)
        put_u32(w, shape[i]);
    put(w, &type, 1);
    put_u32(w, (uint32_t)bytes);
    w->n++;
}

static void put_floats(struct writer *w, const char *name, int rank, const uint32_t *shape,
                       float value)
{
    size_t n = count(rank, shape);
    begin_variable(w, name, rank, shape, CT2_F32, n * sizeof value);
    for (size_t i = 0; i < n; i++)
        put(w, &value, sizeof value);
}

static void put_slot(struct writer *w, enum whisper_side side, enum whisper_slot slot, int rank,
                     const uint32_t *shape, bool bias)
{
    char name[WHISPER_NAME_BYTES];
    whisper_name(WHISPER_NAMES_CT2, side, 0, slot, WHISPER_WEIGHT, name);
    put_floats(w, name, rank, shape, 0.125F);
    whisper_name(WHISPER_NAMES_CT2, side, 0, slot, WHISPER_BIAS, name);
    if (bias)
        put_floats(w, name, 1, shape, 0.0F);
}

static void put_matrix(struct writer *w, enum whisper_side side, enum whisper_slot slot,
                       uint32_t rows, uint32_t columns)
{
    put_slot(w, side, slot, 2, (uint32_t[]){rows, columns}, true);
}

static void put_norm(struct writer *w, enum whisper_side side, enum whisper_slot slot)
{
    put_slot(w, side, slot, 1, (uint32_t[]){WIDTH}, true);
}

static void put_side(struct writer *w, enum whisper_side side, uint32_t positions)
{
    put_slot(w, side, WHISPER_POSITIONS, 2, (uint32_t[]){positions, WIDTH}, false);
    put_norm(w, side, WHISPER_FINAL_LN);
    put_norm(w, side, WHISPER_ATTN_LN);
    put_matrix(w, side, WHISPER_ATTN_Q, 3 * WIDTH, WIDTH);
    put_matrix(w, side, WHISPER_ATTN_OUT, WIDTH, WIDTH);
    if (side == WHISPER_DECODER) {
        put_norm(w, side, WHISPER_CROSS_LN);
        put_matrix(w, side, WHISPER_CROSS_Q, WIDTH, WIDTH);
        put_matrix(w, side, WHISPER_CROSS_K, 2 * WIDTH, WIDTH);
        put_matrix(w, side, WHISPER_CROSS_OUT, WIDTH, WIDTH);
    }
    put_norm(w, side, WHISPER_MLP_LN);
    put_matrix(w, side, WHISPER_MLP_IN, 4 * WIDTH, WIDTH);
    put_matrix(w, side, WHISPER_MLP_OUT, WIDTH, 4 * WIDTH);
}

/* Element i of the embedding before it is divided. */
static int8_t piece(size_t i)
{
    return (int8_t)(i * 7 % 255 - 127);
}

/* The embedding as int8 in this shape with n_scales scales, 1, 2, 3, ... */
static void put_embedding(struct writer *w, int rank, const uint32_t *shape, uint32_t n_scales)
{
    char name[WHISPER_NAME_BYTES], scale_name[WHISPER_NAME_BYTES + 8];
    size_t n = count(rank, shape);

    whisper_name(WHISPER_NAMES_CT2, WHISPER_DECODER, 0, WHISPER_EMBEDDING, WHISPER_WEIGHT, name);
    begin_variable(w, name, rank, shape, CT2_I8, n);
    for (size_t i = 0; i < n; i++)
        put(w, &(int8_t){piece(i)}, 1);
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    begin_variable(w, scale_name, 1, &n_scales, CT2_F32, n_scales * sizeof(float));
    for (uint32_t i = 0; i < n_scales; i++)
        put(w, &(float){(float)(i + 1)}, sizeof(float));
}

/* A folder's model.bin with one layer on each side. */
static void write_weights(const char *folder, int rank, const uint32_t *shape, uint32_t n_scales)
{
    struct writer w = {.n = 0};

    au_buf_init(&w.out, 0);
    put_u32(&w, 6);
    put_text(&w, "WhisperSpec");
    put_u32(&w, 3);
    size_t count_at = w.out.len;
    put_u32(&w, 0);
    put_slot(&w, WHISPER_ENCODER, WHISPER_CONV1, 3, (uint32_t[]){WIDTH, MELS, 3}, true);
    put_slot(&w, WHISPER_ENCODER, WHISPER_CONV2, 3, (uint32_t[]){WIDTH, WIDTH, 3}, true);
    put_side(&w, WHISPER_ENCODER, AUDIO_CTX);
    put_embedding(&w, rank, shape, n_scales);
    put_side(&w, WHISPER_DECODER, TEXT_CTX);
    memcpy(w.out.data + count_at, &w.n, sizeof w.n);
    put_u32(&w, 0);
    au_free(au_test_write(folder, "model.bin", w.out.data, w.out.len));
    au_buf_deinit(&w.out);
}

/* The model of such a folder, whose config.json has the last word on sizes; the caller destroys
 * it. */
static struct whisper_model *load(int rank, const uint32_t *shape, uint32_t n_scales)
{
    static const char config[] = "{\"model_type\":\"whisper\",\"d_model\":64,\"vocab_size\":61}";
    char *folder = au_test_scratch_folder();
    struct format_weights *weights;
    struct whisper_model *model;
    struct au_fault fault = {0};

    write_weights(folder, rank, shape, n_scales);
    au_free(au_test_write(folder, "config.json", config, sizeof config - 1));
    au_test_ok(format_weights_open(folder, &weights, &fault), &fault);
    au_test_ok(
        whisper_model_create(weights, kern_select(au_test_level()), KERN_F32, NULL, &model, &fault),
        &fault);
    format_weights_close(weights);
    au_test_scratch_remove(folder);
    return model;
}

/* Every element is what the file says, and so many bytes are counted as there are scales. */
static void expect_scales(const struct whisper_model *model, uint32_t n_scales, uint64_t bare_bytes)
{
    float row[WIDTH];

    for (size_t token = 0; token < VOCAB; token++) {
        float scale = n_scales == 1 ? 1.0F : (float)(token + 1);
        format_read_f32_range(&model->embedding, token * WIDTH, WIDTH, row);
        for (size_t i = 0; i < WIDTH; i++)
            assert_true(row[i] == (float)piece(token * WIDTH + i) / scale);
    }
    assert_int_equal(whisper_model_bytes(model), bare_bytes + n_scales * sizeof(float));
}

/* An axis of length 1 in front makes one row of the whole embedding, and one scale is enough for
 * it: as many as there are tokens were copied, megabytes from behind a block of the heap.        */
static void an_embedding_of_one_row_has_one_scale(void **state)
{
    (void)state;
    struct whisper_model *plain = load(2, (uint32_t[]){VOCAB, WIDTH}, VOCAB);
    uint64_t bare = whisper_model_bytes(plain) - VOCAB * sizeof(float);
    expect_scales(plain, VOCAB, bare);

    struct whisper_model *deep = load(3, (uint32_t[]){VOCAB, 1, WIDTH}, VOCAB);
    expect_scales(deep, VOCAB, bare);
    struct whisper_model *single = load(3, (uint32_t[]){1, VOCAB, WIDTH}, 1);
    expect_scales(single, 1, bare);
    whisper_model_destroy(plain);
    whisper_model_destroy(deep);
    whisper_model_destroy(single);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_embedding_of_one_row_has_one_scale),
    };
    return cmocka_run_group_tests_name("model scales", tests, NULL, NULL);
}
