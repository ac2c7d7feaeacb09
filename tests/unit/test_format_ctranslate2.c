/* CTranslate2 model.bin: types, scales, aliases, damage. */
#include "test_format.h"

enum { CT2_F32, CT2_I8, CT2_I16, CT2_I32, CT2_F16, CT2_BF16 };

static void put_counted(struct au_buf *file, const char *text)
{
    put_u16(file, (uint16_t)(strlen(text) + 1));
    put_bytes(file, text, strlen(text) + 1);
}

static void begin(struct au_buf *file, uint32_t version, const char *spec, uint32_t n_variables)
{
    au_buf_clear(file);
    put_u32(file, version);
    put_counted(file, spec);
    put_u32(file, 3);
    put_u32(file, n_variables);
}

static void put_variable(struct au_buf *file, const char *name, uint8_t rank, const uint32_t *shape,
                         uint8_t type, const void *data, uint32_t bytes)
{
    put_counted(file, name);
    put_u8(file, rank);
    for (int i = 0; i < rank; i++)
        put_u32(file, shape[i]);
    put_u8(file, type);
    put_u32(file, bytes);
    put_bytes(file, data, bytes);
}

static const int8_t rows[6] = {127, -64, 0, 10, -127, 1};
static const float row_scales[2] = {4.0f, 2.0f};
static const uint16_t ones[2] = {0x3c00, 0xbc00};

/* An int8 weight of [2, 3] with its scales, an f16 bias, a setting, and aliases of the weight. */
static void make_small(struct au_buf *file, uint32_t version)
{
    static const int16_t heads = 6;
    begin(file, version, "WhisperSpec", 4);
    put_variable(file, "a/weight", 2, (uint32_t[]){2, 3}, CT2_I8, rows, 6);
    put_variable(file, "a/weight_scale", 1, (uint32_t[]){2}, CT2_F32, row_scales, 8);
    put_variable(file, "a/bias", 1, (uint32_t[]){2}, CT2_F16, ones, 4);
    put_variable(file, "num_heads", 0, NULL, CT2_I16, &heads, 2);
    put_u32(file, 1);
    put_counted(file, "b/weight");
    put_counted(file, "a/weight");
}

static void variables_scales_and_aliases_are_read(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    for (uint32_t version = 4; version <= 6; version++) {
        struct opened opened;
        make_small(&file, version);
        open_file(&file, &opened);
        if (opened.error)
            fail_msg("%s", opened.fault.text);
        assert_int_equal(format_weights_kind(opened.weights), FORMAT_CTRANSLATE2);
        assert_int_equal(format_weights_count(opened.weights), 5);
        assert_int_equal(format_weights_bytes(opened.weights), 6 + 8 + 4 + 2);
        assert_null(format_weights_whisper(opened.weights)->ggml);
        const struct format_tensor *weight = format_weights_find(opened.weights, "a/weight");
        assert_int_equal(weight->type, FORMAT_I8);
        assert_true(weight->row_scale[0] == 4.0f && weight->row_scale[1] == 2.0f);
        assert_shape(opened.weights, "b/weight", "[2, 3]");
        assert_true(element(opened.weights, "a/weight", 0) == 31.75f);
        assert_true(element(opened.weights, "b/weight", 1) == -16.0f);
        assert_true(element(opened.weights, "b/weight", 4) == -63.5f);
        assert_true(element(opened.weights, "a/bias", 1) == -1.0f);
        assert_shape(opened.weights, "num_heads", "[]");
        assert_true(element(opened.weights, "num_heads", 0) == 6.0f);
        assert_null(format_weights_find(opened.weights, "num_heads")->row_scale);
        close_opened(&opened);
    }
    au_buf_deinit(&file);
}

static void every_type_loads(void **state)
{
    (void)state;
    static const struct {
        uint8_t id;
        enum format_type type;
        uint32_t bytes;
    } types[] = {{CT2_F32, FORMAT_F32, 4}, {CT2_I8, FORMAT_I8, 1},   {CT2_I16, FORMAT_I16, 2},
                 {CT2_I32, FORMAT_I32, 4}, {CT2_F16, FORMAT_F16, 2}, {CT2_BF16, FORMAT_BF16, 2}};
    static const uint8_t zeros[32];
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct opened opened;
        begin(&file, 6, "WhisperSpec", 1);
        put_variable(&file, "x", 1, (uint32_t[]){5}, types[i].id, zeros, 5 * types[i].bytes);
        put_u32(&file, 0);
        open_file(&file, &opened);
        assert_int_equal(opened.error, AURICLE_OK);
        assert_int_equal(format_weights_find(opened.weights, "x")->type, types[i].type);
        close_opened(&opened);
    }
    begin(&file, 6, "WhisperSpec", 1);
    put_variable(&file, "x", 1, (uint32_t[]){5}, 6, zeros, 5);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "type 6");
    au_buf_deinit(&file);
}

static void one_scale_serves_all_rows(void **state)
{
    (void)state;
    static const int16_t values[4] = {1024, -512, 256, 0};
    static const float scale = 1024.0f;
    struct au_buf file;
    struct opened opened;
    au_buf_init(&file, 0);
    begin(&file, 6, "WhisperSpec", 2);
    put_variable(&file, "x", 2, (uint32_t[]){2, 2}, CT2_I16, values, 8);
    put_variable(&file, "x_scale", 0, NULL, CT2_F32, &scale, 4);
    put_u32(&file, 0);
    open_file(&file, &opened);
    assert_int_equal(opened.error, AURICLE_OK);
    assert_true(element(opened.weights, "x", 0) == 1.0f);
    assert_true(element(opened.weights, "x", 1) == -0.5f);
    assert_true(element(opened.weights, "x", 2) == 0.25f);
    close_opened(&opened);
    au_buf_deinit(&file);
}

/* A convolution [2, 1, 3] has a scale per output, as a matrix has. */
static void convolutions_are_scaled_by_output(void **state)
{
    (void)state;
    struct au_buf file;
    struct opened opened;
    au_buf_init(&file, 0);
    begin(&file, 6, "WhisperSpec", 2);
    put_variable(&file, "x", 3, (uint32_t[]){2, 1, 3}, CT2_I8, rows, 6);
    put_variable(&file, "x_scale", 1, (uint32_t[]){2}, CT2_F32, row_scales, 8);
    put_u32(&file, 0);
    open_file(&file, &opened);
    assert_int_equal(opened.error, AURICLE_OK);
    assert_true(element(opened.weights, "x", 2) == 0.0f);
    assert_true(element(opened.weights, "x", 3) == 5.0f);
    close_opened(&opened);
    au_buf_deinit(&file);
}

static void assert_scale_refused(uint8_t type, const uint32_t n, const void *scales, uint32_t bytes)
{
    struct au_buf file;
    au_buf_init(&file, 0);
    begin(&file, 6, "WhisperSpec", 2);
    put_variable(&file, "x", 2, (uint32_t[]){2, 3}, CT2_I8, rows, 6);
    put_variable(&file, "x_scale", 1, &n, type, scales, bytes);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_FORMAT, "scale");
    au_buf_deinit(&file);
}

static void scales_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const float zero[2] = {1, 0};
    static const uint32_t infinite[2] = {0x3f800000, 0x7f800000}, nan[2] = {0x7fc00000, 0x3f800000};
    static const float three[3] = {1, 1, 1};
    assert_scale_refused(CT2_F32, 2, zero, 8);
    assert_scale_refused(CT2_F32, 2, infinite, 8);
    assert_scale_refused(CT2_F32, 2, nan, 8);
    assert_scale_refused(CT2_F32, 3, three, 12);
    assert_scale_refused(CT2_I32, 2, three, 8);

    struct au_buf file;
    au_buf_init(&file, 0);
    begin(&file, 6, "WhisperSpec", 1);
    put_variable(&file, "x", 2, (uint32_t[]){2, 3}, CT2_I8, rows, 6);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_FORMAT, "no scale");
    begin(&file, 6, "WhisperSpec", 2); /* four thousand million rows of nothing */
    put_variable(&file, "x", 2, (uint32_t[]){0xffffffff, 0}, CT2_I8, rows, 0);
    put_variable(&file, "x_scale", 0, NULL, CT2_F32, zero, 4);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_FORMAT, "rows without elements");
    au_buf_deinit(&file);
}

static void other_models_and_versions_are_named(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    begin(&file, 6, "TransformerSpec", 0);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "TransformerSpec");
    begin(&file, 7, "WhisperSpec", 0);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "version 7");
    begin(&file, 3, "WhisperSpec", 0);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "version 3");
    au_buf_deinit(&file);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[16];
    struct au_buf file;
    au_buf_init(&file, 0);
    begin(&file, 6, "WhisperSpec", 0xffffffff);
    put_bytes(&file, zeros, 16);
    assert_refused(&file, AURICLE_E_FORMAT, "cut short");
    begin(&file, 6, "WhisperSpec", 1);
    put_variable(&file, "x", 9, (uint32_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, CT2_F32, zeros, 4);
    assert_refused(&file, AURICLE_E_FORMAT, "9 dimensions");
    begin(&file, 6, "WhisperSpec", 1);
    put_variable(&file, "x", 1, (uint32_t[]){2}, CT2_F32, zeros, 4);
    put_u32(&file, 0);
    assert_refused(&file, AURICLE_E_FORMAT, "needs 8 bytes");
    begin(&file, 6, "WhisperSpec", 1);
    put_variable(&file, "x", 8,
                 (uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 1, 1, 1, 1}, CT2_F32,
                 zeros, 4);
    assert_refused(&file, AURICLE_E_FORMAT, "impossible shape");
    begin(&file, 6, "WhisperSpec", 2);
    for (int i = 0; i < 2; i++)
        put_variable(&file, "x", 1, (uint32_t[]){1}, CT2_F32, zeros, 4);
    assert_refused(&file, AURICLE_E_FORMAT, "twice");
    begin(&file, 6, "WhisperSpec", 1);
    put_variable(&file, "x", 1, (uint32_t[]){1}, CT2_F32, zeros, 4);
    put_u32(&file, 1);
    put_counted(&file, "y");
    put_counted(&file, "z");
    assert_refused(&file, AURICLE_E_FORMAT, "'z'");
    make_small(&file, 6);
    put_u8(&file, 0);
    assert_refused(&file, AURICLE_E_FORMAT, "1 bytes follow");
    au_buf_deinit(&file);
}

static void damage_never_crashes(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    make_small(&file, 6);
    assert_every_cut_is_refused(&file, NULL);
    survive_damage(&file, 0);
    survive_failing_memory(&file);
    au_buf_deinit(&file);
}

int test_format_ctranslate2(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_scales_and_aliases_are_read),
        cmocka_unit_test(every_type_loads),
        cmocka_unit_test(one_scale_serves_all_rows),
        cmocka_unit_test(convolutions_are_scaled_by_output),
        cmocka_unit_test(scales_that_cannot_be_are_refused),
        cmocka_unit_test(other_models_and_versions_are_named),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(damage_never_crashes),
    };
    return cmocka_run_group_tests_name("format: CTranslate2", tests, NULL, NULL);
}
