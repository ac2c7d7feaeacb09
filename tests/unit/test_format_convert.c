/* Conversion of every element type to f32, against definitions written out in double arithmetic. */
#include "test_format.h"

#include <math.h>

#include "kern/kern.h"

/* A tensor over bytes that start at an odd address. */
static struct format_tensor make_tensor(enum format_type type, size_t n, const uint8_t *data)
{
    return (struct format_tensor){
        .name = "t", .type = type, .n_dims = 1, .shape = {n}, .n_elements = n, .data = data};
}

static bool same_bits(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The definition of binary16: sign, 5 bits of exponent, 10 of fraction. */
static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31;
    double fraction = (half & 1023) / 1024.0;
    double size = exponent == 31  ? (fraction > 0 ? (double)NAN : (double)INFINITY)
                  : exponent == 0 ? ldexp(fraction, -14)
                                  : ldexp(1.0 + fraction, exponent - 15);
    return half & 0x8000 ? -size : size;
}

static void all_65536_halves_convert_exactly(void **state)
{
    (void)state;
    static uint8_t bytes[1 + 2 * 65536];
    static float out[65536];
    for (uint32_t i = 0; i < 65536; i++) {
        bytes[1 + 2 * i] = (uint8_t)i;
        bytes[2 + 2 * i] = (uint8_t)(i >> 8);
    }
    struct format_tensor tensor = make_tensor(FORMAT_F16, 65536, bytes + 1);
    format_read_f32(&tensor, out);
    for (uint32_t i = 0; i < 65536; i++) {
        double expected = half_value((uint16_t)i);
        if (isnan(expected)) {
            assert_true(isnan(out[i]));
        } else {
            assert_true((double)out[i] == expected);
            assert_int_equal(signbit(out[i]) != 0, i >> 15);
            assert_true(same_bits(out[i], kern_f16_to_f32((uint16_t)i)));
        }
    }
}

static void plain_types_convert_from_unaligned_bytes(void **state)
{
    (void)state;
    struct au_buf file;
    float out[4];
    au_buf_init(&file, 0);
    put_u8(&file, 0); /* what follows is unaligned */
    put_f32(&file, -1.5f);
    put_f32(&file, 3.25e-39f); /* subnormal */
    struct format_tensor tensor = make_tensor(FORMAT_F32, 2, (const uint8_t *)file.data + 1);
    format_read_f32(&tensor, out);
    assert_true(same_bits(out[0], -1.5f) && same_bits(out[1], 3.25e-39f));

    au_buf_clear(&file);
    put_u8(&file, 0);
    put_u16(&file, 0x3fc0); /* 1.5 */
    put_u16(&file, 0xff80); /* -inf */
    tensor = make_tensor(FORMAT_BF16, 2, (const uint8_t *)file.data + 1);
    format_read_f32(&tensor, out);
    assert_true(out[0] == 1.5f && isinf(out[1]) && out[1] < 0);

    au_buf_clear(&file);
    put_u8(&file, 0);
    put_u64(&file, 0x3fb999999999999aull); /* 0.1 in f64 */
    tensor = make_tensor(FORMAT_F64, 1, (const uint8_t *)file.data + 1);
    format_read_f32(&tensor, out);
    assert_true(out[0] == 0.1f);
    au_buf_deinit(&file);
}

static void integers_convert(void **state)
{
    (void)state;
    static const struct {
        enum format_type type;
        size_t bytes;
        float minus_two;
    } types[] = {{FORMAT_I8, 1, -2},  {FORMAT_I16, 2, -2}, {FORMAT_I32, 4, -2},
                 {FORMAT_I64, 8, -2}, {FORMAT_U8, 1, 254}, {FORMAT_BOOL, 1, 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        uint8_t bytes[1 + 2 * 8];
        float out[2];
        memset(bytes, 0, sizeof bytes);
        memset(bytes + 1, 0xff, types[i].bytes);
        bytes[1] = 0xfe;
        struct format_tensor tensor = make_tensor(types[i].type, 2, bytes + 1);
        format_read_f32(&tensor, out);
        assert_true(out[0] == types[i].minus_two);
        assert_true(out[1] == 0.0f);
    }
}

/* ---- Blocks: ggml's definitions, element by element in double -------------------------------- */

static double block_value(enum format_type type, const uint8_t *p, size_t j)
{
    size_t at = type == FORMAT_Q4_1 || type == FORMAT_Q5_1 ? 4 : 2; /* after the scales */
    double scale = half_value((uint16_t)(p[0] | p[1] << 8));
    double minimum = at == 4 ? half_value((uint16_t)(p[2] | p[3] << 8)) : 0.0;
    if (type == FORMAT_Q8_0)
        return scale * (int8_t)p[2 + j];
    int fifth = 0;
    if (type == FORMAT_Q5_0 || type == FORMAT_Q5_1) {
        fifth = p[at + j / 8] >> (j % 8) & 1;
        at += 4;
    }
    int value = (j < 16 ? p[at + j] & 15 : p[at + j - 16] >> 4) + 16 * fifth;
    switch (type) {
    case FORMAT_Q4_0: return scale * (value - 8);
    case FORMAT_Q5_0: return scale * (value - 16);
    default: return scale * value + minimum;
    }
}

static size_t block_bytes(enum format_type type)
{
    switch (type) {
    case FORMAT_Q4_0: return 2 + 16;
    case FORMAT_Q4_1: return 4 + 16;
    case FORMAT_Q5_0: return 2 + 4 + 16;
    case FORMAT_Q5_1: return 4 + 4 + 16;
    default: return 2 + 32;
    }
}

/* scale * integer is exact in f32 (11 + 8 bits) and the sum with a minimum is rounded once, so the
 * definition in double, rounded, is the same to the bit.                                        */
static void blocks_convert_exactly_as_defined(void **state)
{
    (void)state;
    static const enum format_type types[] = {FORMAT_Q4_0, FORMAT_Q4_1, FORMAT_Q5_0, FORMAT_Q5_1,
                                             FORMAT_Q8_0};
    enum { N_BLOCKS = 200 };
    struct au_test_random random = {20240611};
    static uint8_t bytes[1 + N_BLOCKS * 34];
    static float out[N_BLOCKS * 32];
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        size_t unit = block_bytes(types[t]);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)au_test_random_u64(&random);
        for (size_t b = 0; b < N_BLOCKS; b++) { /* finite scales */
            bytes[1 + b * unit + 1] &= 0xbf;
            bytes[1 + b * unit + 3] &= types[t] == FORMAT_Q4_1 || types[t] == FORMAT_Q5_1 ? 0xbf
                                                                                          : 0xff;
        }
        struct format_tensor tensor = make_tensor(types[t], N_BLOCKS * 32, bytes + 1);
        format_read_f32(&tensor, out);
        for (size_t i = 0; i < N_BLOCKS * 32; i++) {
            double expected = block_value(types[t], bytes + 1 + i / 32 * unit, i % 32);
            if (!(out[i] == (float)expected))
                fail_msg("%s element %zu: %a, expected %a", format_type_name(types[t]), i,
                         (double)out[i], expected);
        }
    }
}

static void ranges_give_the_same_as_the_whole(void **state)
{
    (void)state;
    struct au_test_random random = {7};
    static uint8_t bytes[96 * 8];
    float whole[96], part[96];
    for (int type = FORMAT_F32; type <= FORMAT_Q8_0; type++) {
        size_t step = type >= FORMAT_Q4_0 ? 32 : 5;
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(au_test_random_u64(&random) & 0x3f);
        struct format_tensor tensor = make_tensor((enum format_type)type, 96, bytes);
        format_read_f32(&tensor, whole);
        for (size_t first = 0; first < 96; first += step) {
            size_t count = 96 - first;
            memset(part, 0xff, sizeof part);
            format_read_f32_range(&tensor, first, count, part);
            assert_memory_equal(part, whole + first, count * sizeof *part);
        }
        format_read_f32_range(&tensor, 96, 0, part);
    }
}

static void row_scales_divide_their_rows(void **state)
{
    (void)state;
    static const float scales[3] = {2.0f, 10.0f, 0.5f};
    static const int8_t values[6] = {127, -127, 5, 0, 1, -1};
    static const float expected[6] = {63.5f, -63.5f, 0.5f, 0.0f, 2.0f, -2.0f};
    struct format_tensor tensor = make_tensor(FORMAT_I8, 6, (const uint8_t *)values);
    float out[6];
    tensor.n_dims = 2;
    tensor.shape[0] = 3;
    tensor.shape[1] = 2;
    tensor.row_scale = scales;
    for (size_t first = 0; first < 6; first++)
        for (size_t count = 0; count <= 6 - first; count++) {
            format_read_f32_range(&tensor, first, count, out);
            assert_memory_equal(out, expected + first, count * sizeof *out);
        }
}

static void shapes_are_written_as_people_write_them(void **state)
{
    (void)state;
    char text[64];
    struct format_tensor tensor = {.n_dims = 3, .shape = {384, 80, 3}};
    assert_string_equal(format_shape_text(&tensor, text, sizeof text), "[384, 80, 3]");
    assert_string_equal(format_shape_text(&tensor, text, 7), "[384, ");
    assert_string_equal(format_shape_text(&tensor, text, 1), "");
    tensor.n_dims = 0;
    assert_string_equal(format_shape_text(&tensor, text, sizeof text), "[]");
    assert_string_equal(format_type_name(FORMAT_BF16), "bf16");
    assert_string_equal(format_type_name(FORMAT_Q5_1), "q5_1");
}

int test_format_convert(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_65536_halves_convert_exactly),
        cmocka_unit_test(plain_types_convert_from_unaligned_bytes),
        cmocka_unit_test(integers_convert),
        cmocka_unit_test(blocks_convert_exactly_as_defined),
        cmocka_unit_test(ranges_give_the_same_as_the_whole),
        cmocka_unit_test(row_scales_divide_their_rows),
        cmocka_unit_test(shapes_are_written_as_people_write_them),
    };
    return cmocka_run_group_tests_name("format: conversion", tests, NULL, NULL);
}
