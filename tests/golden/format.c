/* Real model files: the same Whisper weights in every form give the same bits, and the files of the
 * other model families load with the tensors their architectures need.                           */
#include "support/support.h"

#include "base/str.h"
#include "format/weights.h"
#include "format/whisper_config.h"

static struct format_weights *open_path(const char *path)
{
    struct format_weights *weights = NULL;
    struct au_fault fault = {0};
    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    return weights;
}

static struct format_weights *open_fixture(const char *name)
{
    char *path = au_test_fixture(name);
    struct format_weights *weights = open_path(path);
    au_free(path);
    return weights;
}

/* A fixture that is stored as name.gz, unpacked into folder/as. */
static struct format_weights *open_packed(const char *name, const char *folder, const char *as)
{
    char *packed = au_test_fixture(name);
    char *path = au_test_gunzip_to(packed, folder, as);
    struct format_weights *weights = open_path(path);
    au_free(path);
    au_free(packed);
    return weights;
}

static float *read_all(const struct format_tensor *tensor)
{
    float *values = au_alloc_array(tensor->n_elements, sizeof *values);
    assert_non_null(values);
    format_read_f32(tensor, values);
    return values;
}

/* ggml keeps convolution biases as [n, 1]: count the dimensions that are not 1. */
static void assert_same_tensor(const struct format_tensor *a, const struct format_tensor *b)
{
    if (a->n_elements != b->n_elements)
        fail_msg("%s has %zu elements, %s has %zu", a->name, a->n_elements, b->name, b->n_elements);
    int j = 0;
    for (int i = 0; i < a->n_dims; i++) {
        if (a->shape[i] == 1)
            continue;
        while (j < b->n_dims && b->shape[j] == 1)
            j++;
        assert_true(j < b->n_dims);
        assert_int_equal(a->shape[i], b->shape[j++]);
    }
    float *x = read_all(a), *y = read_all(b);
    if (memcmp(x, y, a->n_elements * sizeof *x) != 0)
        fail_msg("%s and %s differ", a->name, b->name);
    au_free(x);
    au_free(y);
}

/* Replace the first `from` in name by `to`. */
static void replace(char name[128], const char *from, const char *to)
{
    char copy[128];
    char *found = strstr(name, from);
    if (!found)
        return;
    snprintf(copy, sizeof copy, "%.*s%s%s", (int)(found - name), name, to, found + strlen(from));
    memcpy(name, copy, sizeof copy);
}

/* openai/whisper's name of a tensor, in the names of Hugging Face. */
static void hugging_face_name(const char *name, char out[128])
{
    static const char *const table[][2] = {
        {"encoder.", "model.encoder."},
        {"decoder.", "model.decoder."},
        {".blocks.", ".layers."},
        {".mlp.0.", ".fc1."},
        {".mlp.2.", ".fc2."},
        {".mlp_ln.", ".final_layer_norm."},
        {".cross_attn_ln.", ".encoder_attn_layer_norm."},
        {".attn_ln.", ".self_attn_layer_norm."},
        {".cross_attn.", ".encoder_attn."},
        {".attn.", ".self_attn."},
        {".query.", ".q_proj."},
        {".key.", ".k_proj."},
        {".value.", ".v_proj."},
        {".out.", ".out_proj."},
        {"encoder.positional_embedding", "encoder.embed_positions.weight"},
        {"decoder.positional_embedding", "decoder.embed_positions.weight"},
        {".token_embedding.", ".embed_tokens."},
        {".ln_post.", ".layer_norm."},
        {".ln.", ".layer_norm."},
    };
    snprintf(out, 128, "%s", name);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        replace(out, table[i][0], table[i][1]);
}

static void micro_in_hugging_face_form_equals_ggml(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    struct format_weights *ggml = open_fixture("whisper-micro/ggml-model-f16.bin");
    struct format_weights *hf = open_packed("whisper-micro/hf/model.safetensors.gz", folder,
                                            "model.safetensors");
    assert_int_equal(format_weights_kind(ggml), FORMAT_GGML);
    assert_int_equal(format_weights_kind(hf), FORMAT_SAFETENSORS);
    assert_int_equal(format_weights_count(ggml), format_weights_count(hf));
    for (size_t i = 0; i < format_weights_count(ggml); i++) {
        char name[128];
        const struct format_tensor *tensor = format_weights_at(ggml, i);
        hugging_face_name(tensor->name, name);
        const struct format_tensor *other = format_weights_find(hf, name);
        if (!other)
            fail_msg("%s: no %s", tensor->name, name);
        assert_same_tensor(tensor, other);
    }
    format_weights_close(ggml);
    format_weights_close(hf);
    au_test_scratch_remove(folder);
}

static void assert_pt_equals_ggml(const char *ggml_fixture, const char *pt_fixture)
{
    char *folder = au_test_scratch_folder();
    struct format_weights *ggml = au_str_ends(ggml_fixture, ".gz")
                                      ? open_packed(ggml_fixture, folder, "ggml.bin")
                                      : open_fixture(ggml_fixture);
    struct format_weights *pt = open_packed(pt_fixture, folder, "model.pt");
    assert_int_equal(format_weights_kind(pt), FORMAT_PYTORCH);
    assert_int_equal(format_weights_count(pt), format_weights_count(ggml));
    for (size_t i = 0; i < format_weights_count(ggml); i++) {
        const struct format_tensor *tensor = format_weights_at(ggml, i);
        const struct format_tensor *other = format_weights_find(pt, tensor->name);
        if (!other)
            fail_msg("no %s", tensor->name);
        assert_same_tensor(tensor, other);
    }
    struct format_ggml_header a = *format_weights_whisper(ggml)->ggml;
    struct format_ggml_header b = *format_weights_whisper(pt)->ggml;
    assert_int_equal(b.ftype, -1);
    b.ftype = a.ftype;
    assert_memory_equal(&a, &b, sizeof a);
    format_weights_close(ggml);
    format_weights_close(pt);
    au_test_scratch_remove(folder);
}

static void micro_in_openai_form_equals_ggml(void **state)
{
    (void)state;
    assert_pt_equals_ggml("whisper-micro/ggml-model-f16.bin", "whisper-micro/model.pt.gz");
}

static void micro_v3_in_openai_form_equals_ggml(void **state)
{
    (void)state;
    assert_pt_equals_ggml("whisper-micro-v3/ggml-model-f16.bin.gz", "whisper-micro-v3/model.pt.gz");
}

/* What AASIST/model.py makes of AASIST.conf: filts [70, [1, 32], [32, 32], [32, 64], [64, 64]],
 * gat_dims [64, 32]. */
static void aasist_state_dicts_load(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shape;
    } expected[] = {{"pos_S", "[1, 23, 64]"},
                    {"first_bn.weight", "[1]"},
                    {"encoder.0.0.conv1.weight", "[32, 1, 2, 3]"},
                    {"encoder.5.0.bn2.running_var", "[64]"},
                    {"encoder.5.0.bn2.num_batches_tracked", "[]"},
                    {"out_layer.weight", "[2, 160]"}};
    char text[64];
    struct format_weights *weights = open_fixture("aasist/AASIST.pth");
    assert_int_equal(format_weights_kind(weights), FORMAT_PYTORCH);
    assert_null(format_weights_whisper(weights)->ggml);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct format_tensor *tensor = format_weights_find(weights, expected[i].name);
        if (!tensor)
            fail_msg("no %s", expected[i].name);
        assert_string_equal(format_shape_text(tensor, text, sizeof text), expected[i].shape);
    }
    for (size_t t = 0; t < format_weights_count(weights); t++) {
        const struct format_tensor *tensor = format_weights_at(weights, t);
        float *values = read_all(tensor);
        for (size_t j = 0; j < tensor->n_elements; j++)
            assert_true(values[j] > -1e6f && values[j] < 1e6f);
        au_free(values);
    }
    format_weights_close(weights);
    weights = open_fixture("aasist/AASIST-L.pth");
    assert_non_null(format_weights_find(weights, "out_layer.bias"));
    format_weights_close(weights);
}

static uint32_t base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = strchr(digits, c);
    assert_non_null(found);
    return (uint32_t)(found - digits);
}

/* Decode up to the first ' ' or '='; returns the bytes written. */
static uint32_t base64_decode(const char *text, uint8_t *out)
{
    uint32_t bits = 0, n_bits = 0, n = 0;
    for (; *text != ' ' && *text != '='; text++) {
        bits = bits << 6 | base64_digit(*text);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (uint8_t)(bits >> n_bits);
        }
    }
    return n;
}

/* Lines "base64 rank", the rank being the line's number. */
static void assert_vocabulary_is(const char *fixture, const struct format_whisper_extra *extra)
{
    size_t bytes, i = 0;
    char *path = au_test_fixture(fixture);
    char *text = au_test_read(path, &bytes);
    for (const char *line = text; line < text + bytes && i < extra->n_vocab_entries; i++) {
        uint8_t token[256];
        assert_true(strcspn(line, " ") < sizeof token);
        uint32_t n = base64_decode(line, token);
        assert_int_equal(extra->vocab_lengths[i], n);
        assert_memory_equal(extra->vocab_bytes[i], token, n);
        line = strchr(line, '\n') + 1;
    }
    assert_true(i > 50000 && i == extra->n_vocab_entries);
    au_free(text);
    au_free(path);
}

static void micro_ggml_has_header_filters_and_vocabulary(void **state)
{
    (void)state;
    struct au_test_npy filters = au_test_npy_fixture("mel/mel_filters_80.npy");
    struct format_weights *ggml = open_fixture("whisper-micro/ggml-model-f16.bin");
    const struct format_whisper_extra *extra = format_weights_whisper(ggml);
    assert_int_equal(extra->ggml->n_vocab, 51865);
    assert_int_equal(extra->ggml->n_audio_ctx, 1500);
    assert_int_equal(extra->ggml->n_audio_state, 128);
    assert_int_equal(extra->ggml->n_audio_head, 2);
    assert_int_equal(extra->ggml->n_audio_layer, 2);
    assert_int_equal(extra->ggml->n_text_ctx, 448);
    assert_int_equal(extra->ggml->n_text_state, 128);
    assert_int_equal(extra->ggml->n_text_layer, 2);
    assert_int_equal(extra->ggml->n_mels, 80);
    assert_int_equal(extra->ggml->ftype, 1);
    assert_int_equal(extra->n_mel_bins * extra->n_fft_bins, filters.n);
    assert_memory_equal(extra->mel_filters, filters.f32, filters.n * sizeof(float));
    assert_vocabulary_is("tokenizer/multilingual.tiktoken", extra);
    format_weights_close(ggml);
    au_test_npy_free(&filters);
}

static void micro_configuration_is_read(void **state)
{
    (void)state;
    static struct format_whisper_config config;
    struct au_fault fault = {0};
    char *folder = au_test_fixture("whisper-micro/hf");
    au_test_ok(format_whisper_config_read(folder, &config, &fault), &fault);
    assert_true(config.has_hf_config && config.has_generation && config.has_preprocessor);
    assert_int_equal(config.n_mels, 80);
    assert_int_equal(config.n_audio_state, 128);
    assert_int_equal(config.n_vocab, 51865);
    assert_int_equal(config.n_suppress, 88);
    assert_int_equal(config.suppress[87], 50362);
    assert_int_equal(config.n_suppress_begin, 2);
    assert_int_equal(config.n_alignment_heads, 2);
    assert_int_equal(config.n_languages, 99);
    assert_string_equal(config.languages[98].code, "su");
    assert_int_equal(config.languages[98].id, 50357);
    assert_int_equal(config.transcribe, 50359);
    assert_int_equal(config.no_timestamps, 50363);
    assert_int_equal(config.nb_max_frames, 3000);
    au_free(folder);

    folder = au_test_fixture("wav2vec2-base-micro");
    assert_int_equal(format_whisper_config_read(folder, &config, &fault), AURICLE_E_UNSUPPORTED);
    assert_non_null(strstr(fault.text, "wav2vec2"));
    au_free(folder);
}

static void silero_and_wav2vec2_safetensors_load(void **state)
{
    (void)state;
    static const char *const files[] = {
        "silero-vad/silero_vad_16k.safetensors", "silero-vad/silero_vad_16k_v62.safetensors",
        "silero-vad/silero_vad_8k_v62.safetensors", "wav2vec2-base-micro", "wav2vec2-xlsr-micro"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct format_weights *weights = open_fixture(files[i]);
        assert_int_equal(format_weights_kind(weights), FORMAT_SAFETENSORS);
        assert_true(format_weights_count(weights) > 10);
        for (size_t t = 0; t < format_weights_count(weights); t++) {
            const struct format_tensor *tensor = format_weights_at(weights, t);
            float *values = read_all(tensor);
            for (size_t j = 0; j < tensor->n_elements; j++)
                assert_true(values[j] > -1e4f && values[j] < 1e4f);
            au_free(values);
        }
        format_weights_close(weights);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(micro_in_hugging_face_form_equals_ggml),
        cmocka_unit_test(micro_in_openai_form_equals_ggml),
        cmocka_unit_test(micro_v3_in_openai_form_equals_ggml),
        cmocka_unit_test(aasist_state_dicts_load),
        cmocka_unit_test(micro_ggml_has_header_filters_and_vocabulary),
        cmocka_unit_test(micro_configuration_is_read),
        cmocka_unit_test(silero_and_wav2vec2_safetensors_load),
    };
    return cmocka_run_group_tests_name("golden: format", tests, NULL, NULL);
}
