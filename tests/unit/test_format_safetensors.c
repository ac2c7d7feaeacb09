/* safetensors files: every type, every kind of damage. */
#include "test_format.h"

static void put_safetensors(struct au_buf *file, const char *header, const void *data, size_t n)
{
    put_u64(file, strlen(header));
    put_text(file, header);
    put_bytes(file, data, n);
}

/* A file with a header and n zero bytes. */
static void make(struct au_buf *file, const char *header, size_t n)
{
    uint8_t zeros[256] = {0};
    assert_true(n <= sizeof zeros);
    au_buf_clear(file);
    put_safetensors(file, header, zeros, n);
}

static const char small_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[24,32]},"
    "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]}}  ";

static void make_small(struct au_buf *file)
{
    struct au_buf data;
    au_buf_init(file, 0);
    au_buf_init(&data, 0);
    for (int i = 0; i < 6; i++)
        put_f32(&data, (float)i + 0.5f);
    put_u16(&data, 0x3c00); /* 1 */
    put_u16(&data, 0xc000); /* -2 */
    put_u16(&data, 0x0001); /* 2^-24 */
    put_u16(&data, 0x7bff); /* 65504 */
    put_u64(&data, (uint64_t)-7);
    put_safetensors(file, small_header, data.data, data.len);
    au_buf_deinit(&data);
}

static void small_file_loads_with_names_shapes_and_values(void **state)
{
    (void)state;
    struct au_buf file;
    struct opened opened;
    make_small(&file);
    open_file(&file, &opened);
    assert_int_equal(opened.error, AURICLE_OK);
    assert_int_equal(format_weights_kind(opened.weights), FORMAT_SAFETENSORS);
    assert_int_equal(format_weights_count(opened.weights), 3);
    assert_int_equal(format_weights_bytes(opened.weights), 40);
    assert_string_equal(format_weights_at(opened.weights, 1)->name, "b");
    assert_null(format_weights_at(opened.weights, 3));
    assert_null(format_weights_find(opened.weights, "c"));
    assert_null(format_weights_whisper(opened.weights)->ggml);
    assert_shape(opened.weights, "a", "[2, 3]");
    assert_shape(opened.weights, "b", "[4]");
    assert_shape(opened.weights, "scalar", "[]");
    assert_true(element(opened.weights, "a", 5) == 5.5f);
    assert_true(element(opened.weights, "b", 1) == -2.0f);
    assert_true(element(opened.weights, "b", 2) == 0x1p-24f);
    assert_true(element(opened.weights, "b", 3) == 65504.0f);
    assert_true(element(opened.weights, "scalar", 0) == -7.0f);
    close_opened(&opened);
    au_buf_deinit(&file);
}

static void every_type_loads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};
    struct au_buf file, header;
    au_buf_init(&file, 0);
    au_buf_init(&header, 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        au_buf_clear(&header);
        au_buf_printf(&header,
                      "{\"x\":{\"dtype\":\"%s\",\"shape\":[3,2],\"data_offsets\":[0,%zu]}}",
                      types[i].name, 6 * types[i].bytes);
        make(&file, header.data, 6 * types[i].bytes);
        assert_loads(&file);
        make(&file, header.data, 6 * types[i].bytes - 1);
        assert_refused(&file, AURICLE_E_FORMAT, "cut short");
    }
    au_buf_deinit(&header);
    au_buf_deinit(&file);
}

static void damaged_headers_are_refused(void **state)
{
    (void)state;
#define ONE(rest) "{\"x\":{" rest "}}"
    static const struct {
        const char *header;
        size_t bytes;
        enum auricle_error error;
        const char *part;
    } cases[] = {
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", 8, AURICLE_E_FORMAT,
         "header"},
        {ONE("\"shape\":[2],\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT, "no dtype"},
        {ONE("\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT, "no dtype"},
        {ONE("\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]"), 8,
         AURICLE_E_UNSUPPORTED, "F8_E4M3"},
        {ONE("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT, "no shape"},
        {ONE("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT,
         "no shape"},
        {ONE("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]"), 8,
         AURICLE_E_FORMAT, "dimensions"},
        {ONE("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT,
         "not a count"},
        {ONE("\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT,
         "not a count"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2]"), 8, AURICLE_E_FORMAT, "data_offsets"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]"), 8, AURICLE_E_FORMAT,
         "data_offsets"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]"), 8, AURICLE_E_FORMAT,
         "data_offsets"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]"), 8, AURICLE_E_FORMAT,
         "data_offsets"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,16]"), 8, AURICLE_E_FORMAT,
         "cut short"},
        {ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8, AURICLE_E_FORMAT,
         "needs 12 bytes"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]"), 8,
         AURICLE_E_FORMAT, "impossible shape"},
        {ONE("\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]"), 8,
         AURICLE_E_FORMAT, "impossible shape"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 9, AURICLE_E_FORMAT,
         "joined"},
        {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]"), 12, AURICLE_E_FORMAT,
         "gap"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, AURICLE_E_FORMAT, "overlap"},
        {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, AURICLE_E_FORMAT,
         "name"},
        {"{\"x\":7}", 0, AURICLE_E_FORMAT, "no dtype"},
    };
#undef ONE
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(&file, cases[i].header, cases[i].bytes);
        assert_refused(&file, cases[i].error, cases[i].part);
    }
    au_buf_deinit(&file);
}

static void a_tensor_named_twice_is_refused(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    make(&file,
         "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
         16);
    assert_refused(&file, AURICLE_E_FORMAT, "");
    au_buf_deinit(&file);
}

static void odd_header_lengths_are_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        0,        1,         7,         1000,       1u << 31,      UINT32_MAX,
        99999999, 100000001, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    struct au_buf file;
    make_small(&file);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(file.data, &lengths[i], 8);
        struct opened opened;
        open_file(&file, &opened);
        assert_int_not_equal(opened.error, AURICLE_OK);
        close_opened(&opened);
    }
    au_buf_deinit(&file);
}

static void a_header_over_the_limit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    put_u64(&file, 100000001);
    put_text(&file, "{}");
    assert_refused(&file, AURICLE_E_LIMIT, "100000001");
    au_buf_deinit(&file);
}

static void more_tensors_than_the_limit_are_refused(void **state)
{
    (void)state;
    struct au_buf header, file;
    au_buf_init(&header, 0);
    au_buf_init(&file, 0);
    au_buf_puts(&header, "{");
    for (int i = 0; i < 16385; i++)
        au_buf_printf(&header, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                      i ? "," : "", i);
    au_buf_puts(&header, "}");
    make(&file, header.data, 0);
    assert_refused(&file, AURICLE_E_LIMIT, "16385");
    au_buf_deinit(&header);
    au_buf_deinit(&file);
}

static void a_header_of_a_million_numbers_is_refused(void **state)
{
    (void)state;
    struct au_buf header, file;
    au_buf_init(&header, 0);
    au_buf_init(&file, 0);
    au_buf_puts(&header, "{\"__metadata__\":{\"text\":\"");
    for (int i = 0; i < 1000000; i++) /* commas in a text do not count */
        au_buf_puts(&header, ",\\\"");
    au_buf_puts(&header, "\"}}");
    make(&file, header.data, 0);
    assert_loads(&file);
    au_buf_clear(&header);
    au_buf_puts(&header, "{\"x\":[0");
    for (int i = 0; i < 1000000; i++)
        au_buf_puts(&header, ",0");
    au_buf_puts(&header, "]}");
    make(&file, header.data, 0);
    assert_refused(&file, AURICLE_E_LIMIT, "values");
    au_buf_deinit(&header);
    au_buf_deinit(&file);
}

static void damage_never_crashes(void **state)
{
    (void)state;
    struct au_buf file;
    make_small(&file);
    assert_every_cut_is_refused(&file, NULL);
    survive_damage(&file, 0);
    survive_failing_memory(&file);
    au_buf_deinit(&file);
}

static void other_files_are_named_in_the_refusal(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        enum auricle_error error;
        const char *part;
    } cases[] = {
#define BYTES(text) text, sizeof text - 1
        {BYTES("GGUF\3\0\0\0\0\0\0\0"), AURICLE_E_UNSUPPORTED, "GGUF"},
        {BYTES("\x08\x07\x12\x07pytorch\x1a\x06"
               "1.13.1:"),
         AURICLE_E_UNSUPPORTED, "ONNX"},
        {BYTES("\n<!DOCTYPE html><html>"), AURICLE_E_FORMAT, "web page"},
        {BYTES("<HTML><head>"), AURICLE_E_FORMAT, "web page"},
        {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:0"), AURICLE_E_FORMAT,
         "git lfs pull"},
        {BYTES("\x1f\x8b\x08\0\0\0"), AURICLE_E_UNSUPPORTED, "gzip"},
        {BYTES("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."), AURICLE_E_UNSUPPORTED,
         "pickle"},
        {BYTES("{\"model_type\":\"whisper\"}"), AURICLE_E_FORMAT, "JSON"},
        {BYTES("RIFF\0\0\0\0WAVEfmt "), AURICLE_E_FORMAT, "audio"},
        {BYTES("\x89HDF\r\n\x1a\n"), AURICLE_E_UNSUPPORTED, "HDF5"},
        {BYTES("nothing at all"), AURICLE_E_FORMAT, "not a model"},
        {BYTES(""), AURICLE_E_FORMAT, "not a model"},
#undef BYTES
    };
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        au_buf_clear(&file);
        put_bytes(&file, cases[i].bytes, cases[i].n);
        assert_refused(&file, cases[i].error, cases[i].part);
    }
    au_buf_deinit(&file);
}

int test_format_safetensors(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_file_loads_with_names_shapes_and_values),
        cmocka_unit_test(every_type_loads),
        cmocka_unit_test(damaged_headers_are_refused),
        cmocka_unit_test(a_tensor_named_twice_is_refused),
        cmocka_unit_test(odd_header_lengths_are_refused),
        cmocka_unit_test(a_header_over_the_limit_is_refused_before_it_is_read),
        cmocka_unit_test(more_tensors_than_the_limit_are_refused),
        cmocka_unit_test(a_header_of_a_million_numbers_is_refused),
        cmocka_unit_test(damage_never_crashes),
        cmocka_unit_test(other_files_are_named_in_the_refusal),
    };
    return cmocka_run_group_tests_name("format: safetensors", tests, NULL, NULL);
}
