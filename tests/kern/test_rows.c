/* Row statistics, elementwise kernels, conversions and the choice of a level. */
#include "util.h"

#include <float.h>
#include <math.h>

static const size_t sizes[] = {1, 7, 8, 15, 16, 17, 63, 64, 65, 80, 256, 384, 1000};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MOST         1000

/* Call check for every level and size, with x filled in [-1, 1) and its guards watched. */
static void every_size(void (*check)(const struct kern_ops *, float *, size_t))
{
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
            struct guarded g;
            float *x = guarded_create(&g, sizes[i] * sizeof(float), 4);
            random_fill(x, sizes[i], i + 1);
            check(level[l], x, sizes[i]);
            guarded_destroy(&g);
        }
    }
}

static void check_layer_norm(const struct kern_ops *ops, float *x, size_t n)
{
    float gamma[MOST], beta[MOST], same[MOST];
    double mean = 0.0, variance = 0.0;
    random_fill(gamma, n, 5);
    random_fill(beta, n, 6);
    struct guarded g;
    float *out = guarded_create(&g, n * sizeof(float), 4);
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    ops->layer_norm(out, x, gamma, beta, n, 1e-5f);
    for (size_t i = 0; i < n; i++) {
        const double unit = ((double)x[i] - mean) / sqrt(variance + (double)1e-5f);
        assert_near((double)out[i], unit * (double)gamma[i] + (double)beta[i],
                    (n == 1 ? 1e-3 : 2e-5));
    }
    kern_select(KERN_GENERIC)->layer_norm(same, x, gamma, beta, n, 1e-5f);
    assert_same_bits(out, same, n);
    guarded_destroy(&g);
}

static void layer_norm_matches_and_levels_agree(void **state)
{
    (void)state;
    every_size(check_layer_norm);
}

static void check_softmax(const struct kern_ops *ops, float *x, size_t n)
{
    double sum = 0.0, wanted[MOST];
    float same[MOST];
    for (size_t i = 0; i < n; i++)
        x[i] = i % 7 == 3 ? -INFINITY : x[i] * 30.0f;
    memcpy(same, x, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        sum += wanted[i] = exp((double)x[i]);
    assert_near((double)ops->log_sum_exp(x, n), log(sum), 1e-5);
    ops->softmax(x, n);
    for (size_t i = 0; i < n; i++)
        assert_near((double)x[i], wanted[i] / sum, 1e-6);
    kern_select(KERN_GENERIC)->softmax(same, n);
    assert_same_bits(x, same, n);
}

static void softmax_matches_and_levels_agree(void **state)
{
    (void)state;
    every_size(check_softmax);
}

static void check_impossible(const struct kern_ops *ops, float *x, size_t n)
{
    size_t at = 77;
    for (size_t i = 0; i < n; i++)
        x[i] = -INFINITY;
    assert_true(ops->log_sum_exp(x, n) == -INFINITY);
    assert_true(ops->max(x, n, &at) == -INFINITY);
    assert_int_equal(at, 0);
    ops->softmax(x, n);
    for (size_t i = 0; i < n; i++)
        assert_true(x[i] == 0.0f);
}

static void rows_of_minus_infinity_have_no_weight(void **state)
{
    (void)state;
    every_size(check_impossible);
}

static void check_max(const struct kern_ops *ops, float *x, size_t n)
{
    size_t at;
    x[n / 2] = 5.0f;
    x[n - 1] = 5.0f; /* an equal one later does not win */
    assert_true(ops->max(x, n, &at) == 5.0f);
    assert_int_equal(at, n / 2);
    if (n > 1) {
        x[n / 2] = NAN;
        assert_true(ops->max(x, n, &at) == (n == 2 ? x[0] : 5.0f) || n / 2 == n - 1);
        assert_true(ops->max(x, n, NULL) == ops->max(x, n, &at));
        assert_true(at != n / 2);
    }
}

static void maximum_is_the_first_and_never_nan(void **state)
{
    (void)state;
    every_size(check_max);
}

static void check_dot_and_add(const struct kern_ops *ops, float *x, size_t n)
{
    float other[MOST];
    double sum = 0.0, magnitude = 0.0;
    random_fill(other, n, 8);
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)other[i];
        magnitude += fabs((double)x[i] * (double)other[i]);
    }
    const float product = ops->dot(x, other, n);
    assert_near((double)product, sum, magnitude * 20.0 * (double)FLT_EPSILON);
    assert_true(product == kern_select(KERN_GENERIC)->dot(x, other, n));
    struct guarded g;
    float *out = guarded_create(&g, n * sizeof(float), 4);
    ops->add(out, x, other, n);
    for (size_t i = 0; i < n; i++)
        assert_true(out[i] == x[i] + other[i]);
    guarded_destroy(&g);
}

static void dot_and_add_match(void **state)
{
    (void)state;
    every_size(check_dot_and_add);
}

static void check_gelu(const struct kern_ops *ops, float *x, size_t n)
{
    float same[MOST];
    for (size_t i = 0; i < n; i++)
        x[i] *= 8.0f;
    x[0] = 0.0f;
    if (n > 4) {
        x[1] = 1000.0f;
        x[2] = -1000.0f;
        x[3] = INFINITY;
        x[4] = 1e-20f;
    }
    memcpy(same, x, n * sizeof(float));
    ops->gelu(x, n);
    assert_true(x[0] == 0.0f);
    for (size_t i = 0; i < n; i++) {
        const double input = (double)same[i];
        if (isinf(same[i])) {
            assert_true(x[i] == INFINITY);
            continue;
        }
        const double wanted = 0.5 * input * erfc(-input * 0.70710678118654752440);
        assert_near((double)x[i], wanted, 2.5e-8 + fabs(wanted) * 1.5 * (double)FLT_EPSILON);
    }
    kern_select(KERN_GENERIC)->gelu(same, n);
    assert_same_bits(x, same, n);
}

static void gelu_is_accurate_and_levels_agree(void **state)
{
    (void)state;
    every_size(check_gelu);
}

static void check_residual(const struct kern_ops *ops, float *x, size_t n)
{
    float same[MOST], largest = 0.0f;
    struct guarded g;
    float *out = guarded_create(&g, n * sizeof(float), 4);
    for (size_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    ops->int8_residual(out, x, n);
    for (size_t i = 0; i < n; i++) {
        const double kept = (double)x[i] - (double)out[i], step = (double)largest / 127.0;
        assert_near((double)out[i], 0.0, step * 0.5001);
        assert_near(kept / step, rint(kept / step), 1e-4);
    }
    kern_select(KERN_GENERIC)->int8_residual(same, x, n);
    assert_same_bits(out, same, n);
    guarded_destroy(&g);
}

/* Two queries beside each other: the second row and the fourth receive the result. */
static void soften(const struct kern_ops *ops,
                   void (*run)(const struct kern_ops *, const struct kern_soften_job *),
                   const float *high, const float *low, size_t n, float *sum, void *prepared)
{
    struct guarded g;
    const struct kern_soften_job job = {.high = high,
                                        .low = low,
                                        .sum = sum,
                                        .weights = guarded_create(&g, n * sizeof(float), 4),
                                        .prepared = prepared,
                                        .n = n,
                                        .m = 2,
                                        .row = 1};
    run(ops, &job);
    guarded_destroy(&g);
}

static void check_soften(const struct kern_ops *ops, float *x, size_t n)
{
    float low[MOST], sum[MOST], same_sum[MOST];
    const struct kern_ops *plain = kern_select(KERN_GENERIC);
    const size_t bytes = plain->gemm[KERN_INT8]->prepared_bytes(4, n);
    struct guarded g, same_g;
    void *prepared = guarded_create(&g, bytes, 0), *same = guarded_create(&same_g, bytes, 0);
    random_fill(low, n, 9);
    for (size_t i = 0; i < n; i++) {
        x[i] = n > 8 && i % 11 == 5 ? -INFINITY : x[i] * 10.0f;
        low[i] *= 0.1f;
    }
    soften(ops, ops->soften, x, low, n, sum, prepared);
    soften(plain, plain->soften, x, low, n, same_sum, same);
    assert_same_bits(sum, same_sum, n);
    assert_memory_equal(prepared, same, bytes);   /* rows that are not written hold the guard */
    soften(ops, ops->soften, x, low, n, x, same); /* the sum may take the place of a row */
    assert_same_bits(x, sum, n);
    assert_memory_equal(prepared, same, bytes);
    for (size_t i = 0; i < n; i++)
        x[i] = -INFINITY;
    soften(ops, ops->soften, x, low, n, sum, prepared);
    soften(plain, plain->soften, x, low, n, same_sum, same);
    assert_memory_equal(prepared, same, bytes);
    guarded_destroy(&g);
    guarded_destroy(&same_g);
}

static void softening_agrees_with_its_parts(void **state)
{
    (void)state;
    every_size(check_soften);
}

static void residual_is_what_rounding_left(void **state)
{
    (void)state;
    every_size(check_residual);
}

/* Lengths and angles are kept, four times, and twice gives 16 times the row; in place too. */
static void check_spread(const struct kern_ops *ops, float *x, size_t n)
{
    float other[MOST], spread[MOST], same[MOST];
    struct guarded g;
    float *out = guarded_create(&g, n * sizeof(float), 4);
    double plain = 0.0, product = 0.0;

    random_fill(other, n, 77);
    ops->spread(out, x, n);
    ops->spread(spread, other, n);
    for (size_t i = 0; i < n; i++) {
        plain += (double)x[i] * (double)other[i];
        product += (double)out[i] * (double)spread[i];
    }
    assert_near(product, 16.0 * plain, 1e-5 * (double)n);
    kern_select(KERN_GENERIC)->spread(same, x, n);
    assert_same_bits(out, same, n);
    ops->spread(out, out, n);
    for (size_t i = 0; i < n; i++)
        assert_near((double)out[i], 16.0 * (double)x[i], 2e-5);
    guarded_destroy(&g);
}

static void spreading_keeps_products_and_levels_agree(void **state)
{
    (void)state;
    every_size(check_spread);
}

static void spreading_shares_a_large_value_out(void **state)
{
    (void)state;
    float x[320] = {0};
    x[37] = 1.0f;
    x[256 + 5] = 1.0f;
    kern_select(KERN_N_LEVELS)->spread(x, x, 320);
    for (size_t i = 0; i < 256; i++)
        assert_near(fabs((double)x[i]), i % 16 == 37 % 16 ? 1.0 : 0.0, 0.0);
    for (size_t i = 256; i < 320; i++)
        assert_near(fabs((double)x[i]), i % 16 == 5 ? 2.0 : 0.0, 0.0);
}

static void exponential_is_accurate(void **state)
{
    (void)state;
    /* Through softmax of two: exp(-x) / (1 + exp(-x)). */
    for (double x = 0.0; x < 80.0; x += 0.037) {
        float pair[2] = {0.0f, (float)-x};
        kern_select(KERN_N_LEVELS)->softmax(pair, 2);
        const double e = exp((double)(float)-x);
        assert_near((double)pair[1], e / (1.0 + e), e / (1.0 + e) * 4.0 * (double)FLT_EPSILON);
    }
}

static void check_convolution_rows(const struct kern_ops *ops, size_t t_in, size_t stride)
{
    enum { CHANNELS = 5 };
    float x[20 * CHANNELS];
    const size_t t_out = (t_in - 1) / stride + 1;
    struct guarded g;
    float *out = guarded_create(&g, t_out * 3 * CHANNELS * sizeof(float), 4);
    random_fill(x, t_in * CHANNELS, 3);
    ops->conv3_rows(out, x, t_in, CHANNELS, stride, 0, t_out / 2);
    ops->conv3_rows(out, x, t_in, CHANNELS, stride, t_out / 2, t_out);
    for (size_t t = 0; t < t_out; t++) {
        for (size_t tap = 0; tap < 3; tap++) {
            for (size_t c = 0; c < CHANNELS; c++) {
                const size_t at = t * stride + tap;
                const bool inside = at >= 1 && at <= t_in;
                assert_true(out[(t * 3 + tap) * CHANNELS + c] ==
                            (inside ? x[(at - 1) * CHANNELS + c] : 0.0f));
            }
        }
    }
    guarded_destroy(&g);
}

static void convolution_rows_are_padded(void **state)
{
    (void)state;
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++)
        for (size_t t_in = 1; t_in <= 20; t_in++)
            for (size_t stride = 1; stride <= 2; stride++)
                check_convolution_rows(level[l], t_in, stride);
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void half_precision_round_trips(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        const float value = kern_f16_to_f32((uint16_t)bits);
        if (isnan(value)) {
            assert_true((bits & 0x7fffU) > 0x7c00U);
            assert_true(isnan(kern_f16_to_f32(kern_f32_to_f16(value))));
            continue;
        }
        assert_int_equal(kern_f32_to_f16(value), bits);
    }
}

/* Halfway between two neighbours goes to the even one, anything beyond to the nearer one. */
static void half_precision_rounds_to_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7bff; bits++) {
        const float low = kern_f16_to_f32((uint16_t)bits);
        const float high = kern_f16_to_f32((uint16_t)(bits + 1));
        const float middle = low + (high - low) * 0.5f; /* exact */
        const uint32_t even = bits % 2 ? bits + 1 : bits;
        assert_int_equal(kern_f32_to_f16(middle), even);
        assert_int_equal(kern_f32_to_f16(-middle), even | 0x8000U);
        assert_int_equal(kern_f32_to_f16(nextafterf(middle, 0.0f)), bits);
        assert_int_equal(kern_f32_to_f16(nextafterf(middle, INFINITY)), bits + 1);
    }
    assert_int_equal(kern_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(kern_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(kern_f32_to_f16(INFINITY), 0x7c00);
}

static void brain_float_rounds_to_even(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7f7f; bits++) {
        const float middle = float_of_bits(bits << 16 | 0x8000U);
        const uint32_t even = bits % 2 ? bits + 1 : bits;
        assert_int_equal(kern_f32_to_bf16(middle), even);
        assert_int_equal(kern_f32_to_bf16(float_of_bits(bits << 16 | 0x7fffU)), bits);
        assert_int_equal(kern_f32_to_bf16(float_of_bits(bits << 16 | 0x8001U)), bits + 1);
    }
    assert_true(isnan(kern_bf16_to_f32(kern_f32_to_bf16(float_of_bits(0x7f800001U)))));
    assert_int_equal(kern_f32_to_bf16(INFINITY), 0x7f80);
}

static void levels_are_chosen_below_the_limit(void **state)
{
    (void)state;
    for (int level = 0; level < KERN_N_LEVELS; level++) {
        enum kern_level parsed;
        const enum kern_level named = (enum kern_level)level;
        assert_true(kern_level_parse(kern_level_name(named), &parsed));
        assert_int_equal(parsed, named);
        assert_true(kern_select(named)->level <= named);
        assert_true(kern_level_usable(kern_select(named)->level));
    }
    assert_int_equal(kern_select(KERN_GENERIC)->level, KERN_GENERIC);
    assert_int_equal(kern_select(KERN_N_LEVELS)->level, kern_detect());
    assert_false(kern_level_parse("sse9", &(enum kern_level){KERN_GENERIC}));
}

static void tables_have_no_holes(void **state)
{
    (void)state;
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++) {
        const struct kern_ops *o = level[l];
        for (int type = 0; type < KERN_N_TYPES; type++)
            assert_true(o->gemm[type] && o->heads[type]);
        assert_true(o->attn_row && o->layer_norm && o->gelu && o->add && o->softmax && o->soften &&
                    o->log_sum_exp && o->max && o->dot && o->conv3_rows && o->power_spectrum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norm_matches_and_levels_agree),
        cmocka_unit_test(softmax_matches_and_levels_agree),
        cmocka_unit_test(rows_of_minus_infinity_have_no_weight),
        cmocka_unit_test(maximum_is_the_first_and_never_nan),
        cmocka_unit_test(dot_and_add_match),
        cmocka_unit_test(gelu_is_accurate_and_levels_agree),
        cmocka_unit_test(residual_is_what_rounding_left),
        cmocka_unit_test(softening_agrees_with_its_parts),
        cmocka_unit_test(spreading_keeps_products_and_levels_agree),
        cmocka_unit_test(spreading_shares_a_large_value_out),
        cmocka_unit_test(exponential_is_accurate),
        cmocka_unit_test(convolution_rows_are_padded),
        cmocka_unit_test(half_precision_round_trips),
        cmocka_unit_test(half_precision_rounds_to_even),
        cmocka_unit_test(brain_float_rounds_to_even),
        cmocka_unit_test(levels_are_chosen_below_the_limit),
        cmocka_unit_test(tables_have_no_holes),
    };
    return cmocka_run_group_tests_name("kern rows", tests, NULL, NULL);
}
