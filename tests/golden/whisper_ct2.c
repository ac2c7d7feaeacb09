/* CTranslate2 folders, as faster-whisper's users have them: the small model is rewritten here as
 * the converter writes it (stacked attention weights, tied projection as an alias, heads as a
 * scalar), in float16 and in int8, and must give what its original gives.                        */
#include <math.h>

#include "base/buf.h"
#include "base/file.h"
#include "model/whisper/parts.h"
#include "support/support.h"

enum { CT2_F32 = 0, CT2_I8 = 1, CT2_I16 = 2, CT2_F16 = 4 }; /* the format's codes of types */
enum { WIDTH = 128 };

/* ---- Writer ---------------------------------------------------------------------------------- */

struct writer {
    const struct format_weights *from; /* under Hugging Face's names */
    struct au_buf out;
    uint32_t n;
    bool int8;
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

static void begin_variable(struct writer *w, const char *name, int rank, const size_t *shape,
                           uint8_t type, size_t bytes)
{
    uint8_t rank_byte = (uint8_t)rank;
    put_text(w, name);
    put(w, &rank_byte, 1);
    for (int i = 0; i < rank; i++)
        put_u32(w, (uint32_t)shape[i]);
    put(w, &type, 1);
    put_u32(w, (uint32_t)bytes);
    w->n++;
}

static void put_f16(struct writer *w, const char *name, int rank, const size_t *shape,
                    const float *x, size_t n)
{
    begin_variable(w, name, rank, shape, CT2_F16, n * 2);
    for (size_t i = 0; i < n; i++) {
        uint16_t half = kern_f32_to_f16(x[i]);
        put(w, &half, sizeof half);
    }
}

/* Rows to int8 with the scale that divides them, as the converter does. */
static void put_int8(struct writer *w, const char *name, const size_t *shape, const float *x)
{
    size_t rows = shape[0], k = shape[1];
    char scale_name[WHISPER_NAME_BYTES + 8];
    float *scale = au_alloc_array(rows, sizeof *scale);

    assert_non_null(scale);
    begin_variable(w, name, 2, shape, CT2_I8, rows * k);
    for (size_t r = 0; r < rows; r++) {
        float most = 0.0F;
        for (size_t i = 0; i < k; i++)
            most = fmaxf(most, fabsf(x[r * k + i]));
        scale[r] = most > 0.0F ? 127.0F / most : 1.0F;
        for (size_t i = 0; i < k; i++) {
            int8_t value = (int8_t)lrintf(x[r * k + i] * scale[r]);
            put(w, &value, 1);
        }
    }
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    begin_variable(w, scale_name, 1, &rows, CT2_F32, rows * sizeof *scale);
    put(w, scale, rows * sizeof *scale);
    au_free(scale);
}

/* ---- From one naming to the other ------------------------------------------------------------ */

/* Stack the tensors of n_slots neighbouring slots into one variable. */
static void copy(struct writer *w, enum whisper_side side, int layer, enum whisper_slot slot,
                 enum whisper_param param, size_t n_slots)
{
    char name[WHISPER_NAME_BYTES];
    const struct format_tensor *part = NULL;
    float *x = NULL;
    size_t shape[3] = {0}, one = 0;
    int rank = 0;

    for (size_t i = 0; i < n_slots; i++) {
        enum whisper_slot at = (enum whisper_slot)(slot + (enum whisper_slot)i);
        whisper_name(WHISPER_NAMES_HF, side, layer, at, param, name);
        part = format_weights_find(w->from, name);
        assert_non_null(part);
        if (!x) {
            rank = part->n_dims;
            memcpy(shape, part->shape, sizeof shape);
            one = part->n_elements;
            x = au_calloc(n_slots * one, sizeof *x);
            assert_non_null(x);
        }
        format_read_f32(part, x + i * one);
    }
    shape[0] *= n_slots;
    whisper_name(WHISPER_NAMES_CT2, side, layer, slot, param, name);
    bool matrix = rank == 2 && slot != WHISPER_POSITIONS;
    if (matrix && w->int8)
        put_int8(w, name, shape, x);
    else
        put_f16(w, name, rank, shape, x, n_slots * one);
    au_free(x);
}

static void copy_pair(struct writer *w, enum whisper_side side, int layer, enum whisper_slot slot)
{
    copy(w, side, layer, slot, WHISPER_WEIGHT, 1);
    copy(w, side, layer, slot, WHISPER_BIAS, 1);
}

static void copy_stack(struct writer *w, enum whisper_side side, int layer, enum whisper_slot slot,
                       size_t n)
{
    char name[WHISPER_NAME_BYTES];
    float *bias = au_calloc(n * WIDTH, sizeof *bias);
    size_t rows = n * WIDTH;

    assert_non_null(bias);
    copy(w, side, layer, slot, WHISPER_WEIGHT, n);
    for (size_t i = 0; i < n; i++) {
        enum whisper_slot at = (enum whisper_slot)(slot + (enum whisper_slot)i);
        whisper_name(WHISPER_NAMES_HF, side, layer, at, WHISPER_BIAS, name);
        const struct format_tensor *part = format_weights_find(w->from, name);
        if (part)
            format_read_f32(part, bias + i * WIDTH);
    }
    whisper_name(WHISPER_NAMES_CT2, side, layer, slot, WHISPER_BIAS, name);
    put_f16(w, name, 1, &rows, bias, rows);
    au_free(bias);
}

static void copy_side(struct writer *w, enum whisper_side side)
{
    copy(w, side, 0, WHISPER_POSITIONS, WHISPER_WEIGHT, 1);
    copy_pair(w, side, 0, WHISPER_FINAL_LN);
    for (int layer = 0; layer < 2; layer++) {
        copy_pair(w, side, layer, WHISPER_ATTN_LN);
        copy_stack(w, side, layer, WHISPER_ATTN_Q, 3);
        copy_pair(w, side, layer, WHISPER_ATTN_OUT);
        if (side == WHISPER_DECODER) {
            copy_pair(w, side, layer, WHISPER_CROSS_LN);
            copy_pair(w, side, layer, WHISPER_CROSS_Q);
            copy_stack(w, side, layer, WHISPER_CROSS_K, 2);
            copy_pair(w, side, layer, WHISPER_CROSS_OUT);
        }
        copy_pair(w, side, layer, WHISPER_MLP_LN);
        copy_pair(w, side, layer, WHISPER_MLP_IN);
        copy_pair(w, side, layer, WHISPER_MLP_OUT);
    }
}

static void put_heads(struct writer *w, const char *name)
{
    int16_t heads = 2;
    begin_variable(w, name, 0, NULL, CT2_I16, sizeof heads);
    put(w, &heads, sizeof heads);
}

/* folder/model.bin and config.json. */
static void write_folder(const char *folder, const struct format_weights *from, bool int8)
{
    static const char config[] = "{\"alignment_heads\": [[1, 0]], \"suppress_ids\": [],"
                                 " \"suppress_ids_begin\": [220, 50257], \"lang_ids\": [50259]}";
    struct writer w = {.from = from, .int8 = int8};

    au_buf_init(&w.out, 0);
    put_u32(&w, 6);
    put_text(&w, "WhisperSpec");
    put_u32(&w, 3);
    size_t count_at = w.out.len;
    put_u32(&w, 0);
    put_heads(&w, "encoder/num_heads");
    put_heads(&w, "decoder/num_heads");
    copy_pair(&w, WHISPER_ENCODER, 0, WHISPER_CONV1);
    copy_pair(&w, WHISPER_ENCODER, 0, WHISPER_CONV2);
    copy_side(&w, WHISPER_ENCODER);
    copy(&w, WHISPER_DECODER, 0, WHISPER_EMBEDDING, WHISPER_WEIGHT, 1);
    copy_side(&w, WHISPER_DECODER);
    memcpy(w.out.data + count_at, &w.n, sizeof w.n);
    put_u32(&w, 1);
    put_text(&w, "decoder/projection/weight");
    put_text(&w, "decoder/embeddings/weight");
    au_free(au_test_write(folder, "model.bin", w.out.data, w.out.len));
    au_free(au_test_write(folder, "config.json", config, sizeof config - 1));
    au_buf_deinit(&w.out);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

enum { N_ENCODED = 1500 * WIDTH, VOCAB = 51865, N_TOKENS = 5 };

static void run(const char *path, size_t want_heads, float *encoded, float *logits)
{
    static const int32_t tokens[N_TOKENS] = {50258, 50259, 50359, 50363, 400};
    static const int32_t cells[N_TOKENS] = {4, 2, 0, 1, 3};
    struct au_test_npy mel = au_test_npy_fixture("whisper-micro/ref/mel.npy");
    float *rows = au_alloc_array(mel.n, sizeof *rows);
    struct au_fault fault = {0};
    struct format_weights *weights;
    struct whisper_model *model;
    struct whisper_window *window;
    struct whisper_cells *kv;
    struct tensor_workspace ws;
    size_t n_heads;

    for (size_t t = 0; t < 3000; t++)
        for (size_t m = 0; m < 80; m++)
            rows[t * 80 + m] = mel.f32[m * 3000 + t];
    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    au_test_ok(
        whisper_model_create(weights, kern_select(KERN_N_LEVELS), KERN_F32, NULL, &model, &fault),
        &fault);
    format_weights_close(weights);
    assert_int_equal(whisper_model_dims(model)->n_text_head, 2);
    whisper_alignment_heads(model, &n_heads);
    assert_int_equal(n_heads, want_heads);
    au_test_ok(whisper_window_create(model, &window), NULL);
    au_test_ok(whisper_cells_create(model, 8, &kv), NULL);
    size_t encode = whisper_plan_encode(model, 1, 1);
    size_t decode = whisper_plan_decode(model, 1, N_TOKENS, N_TOKENS);
    au_test_ok(tensor_workspace_create(&ws, encode > decode ? encode : decode), NULL);
    const float *mels[] = {rows};
    whisper_encode(model, NULL, &ws, 1, mels, &window, &encoded);
    struct whisper_row row = {window, tokens, cells, N_TOKENS, 0, N_TOKENS, logits, NULL};
    whisper_decode(model, NULL, &ws, kv, 1, &row);
    tensor_workspace_deinit(&ws);
    whisper_cells_destroy(kv);
    whisper_window_destroy(window);
    whisper_model_destroy(model);
    au_free(rows);
    au_test_npy_free(&mel);
}

static void ctranslate2_folders_give_what_the_original_gives(void **state)
{
    char *packed = au_test_fixture("whisper-micro/hf/model.safetensors.gz");
    char *folder = au_test_scratch_folder();
    char *original = au_test_gunzip_to(packed, folder, "original.safetensors");
    char *ct2 = au_sprintf("%s/ct2", folder);
    float *encoded[2], *logits[2];
    struct au_fault fault = {0};
    struct format_weights *from;
    (void)state;

    for (int i = 0; i < 2; i++) {
        encoded[i] = au_alloc_array(N_ENCODED, sizeof(float));
        logits[i] = au_alloc_array((size_t)N_TOKENS * VOCAB, sizeof(float));
        assert_non_null(logits[i]);
    }
    au_test_ok(format_weights_open(original, &from, &fault), &fault);
    au_test_ok(au_dir_make(ct2, &fault), &fault);
    run(original, 2, encoded[0], logits[0]); /* no config: the upper half */
    write_folder(ct2, from, false);
    run(ct2, 1, encoded[1], logits[1]);
    assert_memory_equal(encoded[0], encoded[1], N_ENCODED * sizeof(float));
    assert_memory_equal(logits[0], logits[1], (size_t)N_TOKENS * VOCAB * sizeof(float));

    write_folder(ct2, from, true);
    run(ct2, 1, encoded[1], logits[1]);
    struct au_test_diff a = au_test_compare(encoded[1], encoded[0], N_ENCODED);
    struct au_test_diff b = au_test_compare(logits[1], logits[0], (size_t)N_TOKENS * VOCAB);
    printf("  int8: encoder %.4f, logits %.4f\n", a.relative_rms, b.relative_rms);
    assert_true(a.relative_rms > 1e-5 && a.relative_rms < 0.02); /* it was rounded, a little */
    assert_true(b.relative_rms < 0.04);

    format_weights_close(from);
    for (int i = 0; i < 2; i++) {
        au_free(encoded[i]);
        au_free(logits[i]);
    }
    au_free(ct2);
    au_free(original);
    au_test_scratch_remove(folder);
    au_free(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ctranslate2_folders_give_what_the_original_gives),
    };
    return cmocka_run_group_tests_name("golden whisper ct2", tests, NULL, NULL);
}
