/* Matrix products: every type, level and odd size against a double reference; exact invariance
 * under batch and split; exact equality of int8 across levels.                                  */
#include "util.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static const size_t sizes_m[] = {1, 2, 5, 6, 7, 16, 17, 35};
static const size_t sizes_n[] = {1, 15, 16, 31, 64, 65, 100, 200};
static const size_t sizes_k[] = {1, 3, 31, 64, 65, 130};

#define PANEL        16
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One product with every option, its buffers guarded. */
struct fixture {
    size_t m, n, k;
    struct guarded g[7];
    float *x, *w, *bias, *residual, *out;
    void *packed, *prepared;
    struct kern_gemm_job job;
};

static void fixture_create(struct fixture *f, const struct kern_gemm *gemm, size_t m, size_t n,
                           size_t k)
{
    const size_t stride = n + 3;
    *f = (struct fixture){.m = m, .n = n, .k = k};
    f->x = guarded_create(&f->g[0], m * (k + 1) * sizeof(float), 4);
    f->w = guarded_create(&f->g[1], n * k * sizeof(float), 4);
    f->bias = guarded_create(&f->g[2], n * sizeof(float), 4);
    f->residual = guarded_create(&f->g[3], ((m - 1) * stride + n) * sizeof(float), 4);
    f->out = guarded_create(&f->g[4], ((m - 1) * stride + n) * sizeof(float), 4);
    f->packed = guarded_create(&f->g[5], gemm->packed_bytes(n, k), 0);
    f->prepared = guarded_create(&f->g[6], gemm->prepared_bytes(m, k), 0);
    random_fill(f->x, m * (k + 1), 1 + m);
    random_fill(f->w, n * k, 2 + n);
    random_fill(f->bias, n, 3 + k);
    random_fill(f->residual, (m - 1) * stride + n, 4);
    memset(f->out, 0, ((m - 1) * stride + n) * sizeof(float));
    gemm->pack(f->packed, f->w, k, n, k, 0, n);
    gemm->prepare(f->prepared, f->x, k + 1, m, k, 0, m);
    f->job = (struct kern_gemm_job){.x = f->prepared,
                                    .w = f->packed,
                                    .bias = f->bias,
                                    .residual = f->residual,
                                    .out = f->out,
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .out_stride = stride,
                                    .act = KERN_ACT_GELU};
}

static void fixture_destroy(struct fixture *f)
{
    for (size_t i = 0; i < COUNT(f->g); i++)
        guarded_destroy(&f->g[i]);
}

static double gelu_double(double x)
{
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
}

static float max_magnitude(const float *x, size_t n)
{
    float largest = 0.0f;
    for (size_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    return largest;
}

/* x as the type stores it. */
static double stored(enum kern_type type, float x, float largest)
{
    if (type == KERN_F32)
        return (double)x;
    if (type == KERN_BF16)
        return (double)kern_bf16_to_f32(kern_f32_to_bf16(x));
    return (double)rintf(x * (127.0f / largest)) * (double)(largest / 127.0f);
}

static void check_against_double(const struct fixture *f, enum kern_type type)
{
    for (size_t m = 0; m < f->m; m++) {
        const float *x = f->x + m * (f->k + 1);
        const float x_max = max_magnitude(x, f->k);
        for (size_t n = 0; n < f->n; n++) {
            const float *w = f->w + n * f->k;
            const float w_max = max_magnitude(w, f->k);
            double sum = 0.0, magnitude = 0.0;
            for (size_t k = 0; k < f->k; k++) {
                const double term = stored(type, x[k], x_max) * stored(type, w[k], w_max);
                sum += term;
                magnitude += fabs(term);
            }
            const size_t at = m * f->job.out_stride + n;
            const double wanted = gelu_double(sum + (double)f->bias[n]) + (double)f->residual[at];
            /* One rounding per term and a few for the rest; gelu's slope is below 1.13. */
            const double roundings = 1.2 * (double)(2 * f->k + 8) * (double)FLT_EPSILON;
            assert_near((double)f->out[at], wanted, roundings * (magnitude + 4.0));
        }
    }
}

static void every_size(void (*check)(const struct kern_ops *, const struct kern_ops *,
                                     enum kern_type, size_t, size_t, size_t))
{
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++)
        for (int type = 0; type < KERN_N_TYPES; type++)
            for (size_t i = 0; i < COUNT(sizes_m); i++)
                for (size_t j = 0; j < COUNT(sizes_n); j++)
                    for (size_t h = 0; h < COUNT(sizes_k); h++)
                        check(level[l], level[0], (enum kern_type)type, sizes_m[i], sizes_n[j],
                              sizes_k[h]);
}

static void check_reference(const struct kern_ops *ops, const struct kern_ops *generic,
                            enum kern_type type, size_t m, size_t n, size_t k)
{
    (void)generic;
    struct fixture f;
    const struct kern_gemm *gemm = ops->gemm[type];
    fixture_create(&f, gemm, m, n, k);
    gemm->run(&f.job, 0, m, 0, n);
    check_against_double(&f, type);
    fixture_destroy(&f);
}

static void product_matches_double_reference(void **state)
{
    (void)state;
    every_size(check_reference);
}

/* Any split into rows and columns, and a batch of one, give the bits of the whole. */
static void check_split(const struct kern_ops *ops, const struct kern_ops *generic,
                        enum kern_type type, size_t m, size_t n, size_t k)
{
    (void)generic;
    struct fixture whole, split;
    const struct kern_gemm *gemm = ops->gemm[type];
    fixture_create(&whole, gemm, m, n, k);
    fixture_create(&split, gemm, m, n, k);
    gemm->run(&whole.job, 0, m, 0, n);
    for (size_t m0 = 0; m0 < m; m0 += 3)
        for (size_t n0 = 0; n0 < n; n0 += gemm->tile_n)
            gemm->run(&split.job, m0, m0 + 3 < m ? m0 + 3 : m, n0,
                      n0 + gemm->tile_n < n ? n0 + gemm->tile_n : n);
    for (size_t row = 0; row < m; row++)
        assert_same_bits(whole.out + row * whole.job.out_stride,
                         split.out + row * whole.job.out_stride, n);

    struct guarded g;
    void *alone = guarded_create(&g, gemm->prepared_bytes(1, k), 0);
    for (size_t row = 0; row < m; row++) {
        gemm->prepare(alone, whole.x + row * (k + 1), k + 1, 1, k, 0, 1);
        struct kern_gemm_job job = split.job;
        job.x = alone;
        job.m = 1;
        job.out = split.out + row * job.out_stride;
        job.residual = split.residual + row * job.out_stride;
        gemm->run(&job, 0, 1, 0, n);
        assert_same_bits(whole.out + row * job.out_stride, job.out, n);
    }
    guarded_destroy(&g);
    fixture_destroy(&whole);
    fixture_destroy(&split);
}

static void batch_and_split_do_not_change_bits(void **state)
{
    (void)state;
    every_size(check_split);
}

/* Sums alone, as scores are: whole, and in two parts of which the second stands on its own. */
static void check_bare(const struct kern_ops *ops, const struct kern_ops *generic,
                       struct fixture *a, struct fixture *b)
{
    const size_t n = a->n, first = n > PANEL ? PANEL : n;
    a->job.bias = a->job.residual = b->job.bias = b->job.residual = NULL;
    a->job.act = b->job.act = KERN_ACT_NONE;
    generic->gemm[KERN_INT8]->run(&a->job, 0, a->m, 0, n);
    for (int parts = 1; parts <= 2; parts++) {
        memset(b->out, 0, ((a->m - 1) * b->job.out_stride + n) * sizeof(float));
        ops->gemm[KERN_INT8]->run(&b->job, 0, a->m, 0, parts == 1 ? n : first);
        b->job.out = b->out + first;
        b->job.n_base = first;
        if (parts == 2 && first < n)
            ops->gemm[KERN_INT8]->run(&b->job, 0, a->m, first, n);
        b->job.out = b->out;
        b->job.n_base = 0;
        for (size_t row = 0; row < a->m; row++)
            assert_same_bits(a->out + row * a->job.out_stride, b->out + row * b->job.out_stride, n);
    }
}

/* Packed bytes, prepared bytes and results of int8 are those of the generic level. */
static void check_same_as_generic(const struct kern_ops *ops, const struct kern_ops *generic,
                                  enum kern_type type, size_t m, size_t n, size_t k)
{
    struct fixture a, b;
    if (type != KERN_INT8)
        return;
    fixture_create(&a, generic->gemm[type], m, n, k);
    fixture_create(&b, ops->gemm[type], m, n, k);
    assert_string_equal(generic->gemm[type]->id, ops->gemm[type]->id);
    assert_memory_equal(a.packed, b.packed, a.g[5].bytes);
    assert_memory_equal(a.prepared, b.prepared, a.g[6].bytes);
    generic->gemm[type]->run(&a.job, 0, m, 0, n);
    ops->gemm[type]->run(&b.job, 0, m, 0, n);
    for (size_t row = 0; row < m; row++)
        assert_same_bits(a.out + row * a.job.out_stride, b.out + row * a.job.out_stride, n);
    check_bare(ops, generic, &a, &b);
    fixture_destroy(&a);
    fixture_destroy(&b);
}

static void int8_is_exact_across_levels(void **state)
{
    (void)state;
    every_size(check_same_as_generic);
}

/* Rows as pairs of int8 rows: the bits of generic, those of any split, and 16 bits of the
 * inputs. */
static void check_pairs(const struct kern_ops *ops, const struct kern_ops *generic,
                        enum kern_type type, size_t m, size_t n, size_t k)
{
    const struct kern_gemm *gemm = ops->gemm[type], *plain = generic->gemm[type];
    if (!gemm->prepare_pairs) {
        assert_true(type != KERN_INT8);
        return;
    }
    struct fixture f;
    struct guarded g[3];
    const size_t rows = 2 * m, bytes = gemm->prepared_bytes(rows, k);
    fixture_create(&f, gemm, m, n, k);
    const size_t floats = f.g[4].bytes / sizeof(float);
    char *a = guarded_create(&g[0], bytes, 0), *b = guarded_create(&g[1], bytes, 0);
    float *same = guarded_create(&g[2], floats * sizeof(float), 4);
    memset(a, 0, bytes);
    memset(b, 0, bytes);
    memset(same, 0, floats * sizeof(float));
    gemm->prepare_pairs(a, f.x, k + 1, rows, k, 0, m);
    for (size_t i = 0; i < m; i++)
        plain->prepare_pairs(b, f.x + i * (k + 1), 0, rows, k, i, i + 1);
    assert_memory_equal(a, b, bytes);

    struct kern_gemm_job job = f.job;
    job.x = a;
    job.m = rows;
    job.pairs = true;
    gemm->run(&job, 0, rows, 0, n);
    job.out = same;
    for (size_t m0 = 0; m0 < rows; m0 += 6)
        for (size_t n0 = 0; n0 < n; n0 += plain->tile_n)
            plain->run(&job, m0, m0 + 6 < rows ? m0 + 6 : rows, n0,
                       n0 + plain->tile_n < n ? n0 + plain->tile_n : n);
    assert_same_bits(f.out, same, floats);
    for (size_t row = 0; row < m; row++) {
        const float largest = max_magnitude(f.x + row * (k + 1), k);
        for (size_t i = 0; i < n; i++) {
            double sum = (double)f.bias[i], magnitude = 0.0;
            const float w_max = max_magnitude(f.w + i * k, k);
            for (size_t j = 0; j < k; j++) {
                const double w = stored(KERN_INT8, f.w[i * k + j], w_max);
                sum += (double)f.x[row * (k + 1) + j] * w;
                magnitude += fabs(w);
            }
            const size_t at = row * job.out_stride + i;
            assert_near((double)f.out[at], gelu_double(sum) + (double)f.residual[at],
                        1.2 * (magnitude * (double)largest / 127.0 / 254.0 / 2.0 + 1e-5));
        }
    }
    job.bias = job.residual = NULL;
    job.act = KERN_ACT_NONE;
    plain->run(&job, 0, rows, 0, n);
    job.out = f.out;
    gemm->run(&job, 0, rows, 0, n);
    assert_same_bits(f.out, same, floats);
    for (size_t i = 0; i < COUNT(g); i++)
        guarded_destroy(&g[i]);
    fixture_destroy(&f);
}

static void pairs_keep_16_bits_and_are_exact_across_levels(void **state)
{
    (void)state;
    every_size(check_pairs);
}

/* Rows longer than what the second half of a pair is made of at once. */
static void long_rows_are_paired(void **state)
{
    (void)state;
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++)
        check_pairs(level[l], level[0], KERN_INT8, 3, 20, 2 * 2048 + 70);
}

/* The largest magnitudes everywhere: an instruction that saturates in between would show here. */
static void int8_does_not_saturate(void **state)
{
    (void)state;
    enum { N_M = 17, N_N = 33, N_K = 4096 };
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++) {
        const struct kern_gemm *gemm = level[l]->gemm[KERN_INT8];
        struct fixture f;
        fixture_create(&f, gemm, N_M, N_N, N_K);
        for (size_t i = 0; i < (size_t)N_M * (N_K + 1); i++)
            f.x[i] = i / (N_K + 1) % 2 ? -1.0f : 1.0f;
        for (size_t i = 0; i < (size_t)N_N * N_K; i++)
            f.w[i] = i / N_K % 3 ? -1.0f : 1.0f;
        gemm->pack(f.packed, f.w, N_K, N_N, N_K, 0, N_N);
        gemm->prepare(f.prepared, f.x, N_K + 1, N_M, N_K, 0, N_M);
        f.job.act = KERN_ACT_NONE;
        f.job.bias = f.job.residual = NULL;
        gemm->run(&f.job, 0, N_M, 0, N_N);
        for (size_t m = 0; m < N_M; m++)
            for (size_t n = 0; n < N_N; n++)
                assert_near((double)f.out[m * f.job.out_stride + n],
                            (m % 2 ? -1.0 : 1.0) * (n % 3 ? -1.0 : 1.0) * N_K, 0.01);
        fixture_destroy(&f);
    }
}

/* Rows without a largest magnitude, or without any number, quantise to something harmless. */
static void zero_and_damaged_rows_are_quantised(void **state)
{
    (void)state;
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++) {
        const struct kern_gemm *gemm = level[l]->gemm[KERN_INT8];
        struct fixture a, b;
        fixture_create(&a, level[0]->gemm[KERN_INT8], 3, 20, 70);
        fixture_create(&b, gemm, 3, 20, 70);
        for (size_t i = 0; i < 70; i++) {
            a.x[i] = b.x[i] = 0.0f;
            a.x[71 + i] = b.x[71 + i] = i % 5 ? random_unit(&(uint64_t){i + 9}) : NAN;
            a.x[142 + i] = b.x[142 + i] = i % 5 ? 1.0f : INFINITY;
        }
        level[0]->gemm[KERN_INT8]->prepare(a.prepared, a.x, 71, 3, 70, 0, 3);
        gemm->prepare(b.prepared, b.x, 71, 3, 70, 0, 3);
        assert_memory_equal(a.prepared, b.prepared, a.g[6].bytes);
        gemm->run(&b.job, 0, 3, 0, 20);
        for (size_t n = 0; n < 20; n++)
            assert_near((double)b.out[n], gelu_double((double)b.bias[n]) + (double)b.residual[n],
                        1e-6);
        fixture_destroy(&a);
        fixture_destroy(&b);
    }
}

/* A matrix packed in pieces is the matrix packed at once. */
static void pieces_pack_like_the_whole(void **state)
{
    (void)state;
    const struct kern_ops *ops = kern_select(KERN_N_LEVELS);
    for (int type = 0; type < KERN_N_TYPES; type++) {
        const struct kern_gemm *gemm = ops->gemm[type];
        struct fixture a, b;
        fixture_create(&a, gemm, 1, 100, 65);
        fixture_create(&b, gemm, 1, 100, 65);
        memset(b.packed, 0x11, b.g[5].bytes);
        for (size_t n0 = 0; n0 < 100; n0 += 32)
            gemm->pack(b.packed, b.w + n0 * 65, 65, 100, 65, n0, n0 + 32 < 100 ? n0 + 32 : 100);
        assert_memory_equal(a.packed, b.packed, a.g[5].bytes);
        fixture_destroy(&a);
        fixture_destroy(&b);
    }
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    const struct kern_ops *ops = kern_select(KERN_N_LEVELS);
    for (int type = 0; type < KERN_N_TYPES; type++) {
        assert_int_equal(ops->gemm[type]->packed_bytes(SIZE_MAX / 2, SIZE_MAX / 2), 0);
        assert_int_equal(ops->gemm[type]->prepared_bytes(SIZE_MAX / 2, 64), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_matches_double_reference),
        cmocka_unit_test(batch_and_split_do_not_change_bits),
        cmocka_unit_test(int8_is_exact_across_levels),
        cmocka_unit_test(pairs_keep_16_bits_and_are_exact_across_levels),
        cmocka_unit_test(long_rows_are_paired),
        cmocka_unit_test(int8_does_not_saturate),
        cmocka_unit_test(zero_and_damaged_rows_are_quantised),
        cmocka_unit_test(pieces_pack_like_the_whole),
        cmocka_unit_test(sizes_that_overflow_are_refused),
    };
    return cmocka_run_group_tests_name("kern gemm", tests, NULL, NULL);
}
