/* Threaded products and workspaces. */
#include <math.h>

#include "support/support.h"
#include "tensor/cross.h"
#include "tensor/linear.h"
#include "tensor/workspace.h"

enum { N = 300, K = 129, M = 200 };

struct source {
    const float *w;
};

static void copy_rows(const void *context, size_t n0, size_t n1, float *rows)
{
    const struct source *source = context;
    memcpy(rows, source->w + n0 * K, (n1 - n0) * K * sizeof(float));
}

static void fill(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(seed >> 8) * 0x1p-23f - 1.0f;
    }
}

static void fine_product_does_not_depend_on_threads_or_batch(const struct tensor_linear *linear,
                                                             struct au_pool *pool, const float *x,
                                                             float *one, float *other)
{
    const struct kern_gemm *f32 = kern_select(au_test_level())->gemm[KERN_F32];
    void *scratch = au_alloc_aligned(tensor_linear_fine_scratch_bytes(linear, M));
    assert_non_null(scratch);
    tensor_linear_run_fine(linear, NULL, x, K, M, one, N, x, KERN_ACT_GELU, scratch);
    tensor_linear_run_fine(linear, pool, x, K, M, other, N, x, KERN_ACT_GELU, scratch);
    assert_memory_equal(one, other, sizeof(float) * M * N);
    for (size_t m = 0; m < M; m += 7)
        tensor_linear_run_fine(linear, pool, x + m * K, K, m + 7 < M ? 7 : M - m, other + m * N, N,
                               x + m * N, KERN_ACT_GELU, scratch);
    assert_memory_equal(one, other, sizeof(float) * M * N);
    if (linear->gemm == f32) {
        tensor_linear_run(linear, pool, x, K, M, other, N, x, KERN_ACT_GELU, scratch);
        assert_memory_equal(one, other, sizeof(float) * M * N);
    }
    au_free(scratch);
}

/* One thread, three threads, another batch and another way to the weights: the same bits. */
static void product_does_not_depend_on_threads_or_batch(void **state)
{
    (void)state;
    static float w[N * K], bias[N], x[M * N], one[M * N], other[M * N];
    struct au_pool *pool = NULL;
    assert_int_equal(au_pool_create(3, &pool), AURICLE_OK);
    fill(w, N * K, 1);
    fill(bias, N, 2);
    fill(x, M * N, 3); /* M * K of it are rows, all of it is a residual */
    for (int type = 0; type < KERN_N_TYPES; type++) {
        const struct kern_gemm *gemm = kern_select(au_test_level())->gemm[type];
        struct tensor_linear a, b;
        const struct source source = {w};
        assert_int_equal(tensor_linear_create(&a, gemm, w, bias, N, K, NULL), AURICLE_OK);
        assert_int_equal(
            tensor_linear_create_from(&b, NULL, gemm, copy_rows, &source, bias, N, K, pool),
            AURICLE_OK);
        assert_memory_equal(a.packed, b.packed, gemm->packed_bytes(N, K));
        void *scratch = au_alloc_aligned(tensor_linear_scratch_bytes(&a, M));
        assert_non_null(scratch);
        tensor_linear_run(&a, NULL, x, K, M, one, N, x, KERN_ACT_GELU, scratch);
        tensor_linear_run(&b, pool, x, K, M, other, N, x, KERN_ACT_GELU, scratch);
        assert_memory_equal(one, other, sizeof(one));
        for (size_t m = 0; m < M; m += 7)
            tensor_linear_run(&b, pool, x + m * K, K, m + 7 < M ? 7 : M - m, other + m * N, N,
                              x + m * N, KERN_ACT_GELU, scratch);
        assert_memory_equal(one, other, sizeof(one));
        au_free(scratch);
        fine_product_does_not_depend_on_threads_or_batch(&b, pool, x, one, other);
        tensor_linear_deinit(&a);
        tensor_linear_deinit(&b);
    }
    au_pool_destroy(pool);
}

static void arena_gives_disjoint_aligned_bytes(void **state)
{
    (void)state;
    struct tensor_arena arena = {0};
    const size_t sizes[] = {1, 64, 40U << 20, 100, 31U << 20, 1000};
    unsigned char *taken[sizeof sizes / sizeof sizes[0]];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        taken[i] = tensor_arena_take(&arena, sizes[i]);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % AU_ALIGN, 0);
        taken[i][0] = taken[i][sizes[i] - 1] = (unsigned char)(i + 1);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(taken[i][0], i + 1);
        assert_int_equal(taken[i][sizes[i] - 1], i + 1);
    }
    assert_null(tensor_arena_take(&arena, SIZE_MAX - 1));
    assert_null(tensor_arena_take(&arena, SIZE_MAX - 4096));
    tensor_arena_deinit(&arena);
    assert_null(arena.blocks);
}

static void creation_survives_every_failed_allocation(void **state)
{
    (void)state;
    static float w[N * K], bias[N];
    const struct kern_gemm *gemm = kern_select(au_test_level())->gemm[KERN_INT8];
    const struct source source = {w};
    for (uint64_t n = 0;; n++) {
        struct tensor_linear made = {0};
        au_mem_fail_at(n, false);
        const enum auricle_error error = tensor_linear_create_from(&made, NULL, gemm, copy_rows,
                                                                   &source, bias, N, K, NULL);
        au_mem_fail_never();
        tensor_linear_deinit(&made);
        if (error == AURICLE_OK) {
            assert_int_equal(n, 3);
            return;
        }
        assert_int_equal(error, AURICLE_E_NOMEM);
    }
}

static void matrices_beyond_memory_are_refused(void **state)
{
    (void)state;
    struct tensor_linear made = {0};
    const struct kern_gemm *gemm = kern_select(au_test_level())->gemm[KERN_F32];
    const struct source source = {NULL};
    assert_int_equal(tensor_linear_create_from(&made, NULL, gemm, copy_rows, &source, NULL,
                                               SIZE_MAX / 2, SIZE_MAX / 2, NULL),
                     AURICLE_E_LIMIT);
    assert_null(made.packed);
}

enum { KEYS = 200, WIDTH = 40, QUERIES = 5 };

/* softmax(q k^T * scale) v in double for one query. */
static void attend_double(const float *q, const float *k, const float *v, double scale, double *out)
{
    double score[KEYS], largest = -1e300, sum = 0.0;
    for (size_t t = 0; t < KEYS; t++) {
        score[t] = 0.0;
        for (size_t c = 0; c < WIDTH; c++)
            score[t] += (double)q[c] * (double)k[t * WIDTH + c] * scale;
        largest = score[t] > largest ? score[t] : largest;
    }
    for (size_t c = 0; c < WIDTH; c++)
        out[c] = 0.0;
    for (size_t t = 0; t < KEYS; t++)
        sum += score[t] = exp(score[t] - largest);
    for (size_t t = 0; t < KEYS; t++)
        for (size_t c = 0; c < WIDTH; c++)
            out[c] += score[t] / sum * (double)v[t * WIDTH + c];
}

/* All levels and types against double; one query alone gives the bits it has among others. */
static void cross_attention_matches_and_ignores_its_neighbours(void **state)
{
    (void)state;
    static float q[QUERIES * WIDTH], k[KEYS * WIDTH], v[KEYS * WIDTH], turned[KEYS * WIDTH];
    static const double bound[KERN_N_TYPES] = {1e-5, 3e-2, 3e-2};
    fill(q, QUERIES * WIDTH, 1);
    fill(k, KEYS * WIDTH, 2);
    fill(v, KEYS * WIDTH, 3);
    for (size_t table = 0; kern_table(table); table++) {
        for (int type = 0; type < KERN_N_TYPES; type++) {
            const struct tensor_cross cross = {kern_table(table), (enum kern_type)type, KEYS,
                                               WIDTH};
            float out[QUERIES][WIDTH], alone[WIDTH], scores[KEYS];
            const float *queries[QUERIES];
            float *outs[QUERIES], *one = alone, *want_scores = scores;
            void *head = au_alloc_aligned(tensor_cross_bytes(&cross));
            void *scratch = au_alloc_aligned(tensor_cross_scratch_bytes(&cross));
            assert_true(head && scratch);
            tensor_cross_pack_keys(&cross, head, k, WIDTH, 0, 96);
            tensor_cross_pack_keys(&cross, head, k + 96 * WIDTH, WIDTH, 96, KEYS);
            tensor_cross_pack_values(&cross, head, v, WIDTH, turned);
            for (size_t i = 0; i < QUERIES; i++) {
                queries[i] = q + i * WIDTH;
                outs[i] = out[i];
            }
            tensor_cross_run(&cross, head, queries, outs, NULL, QUERIES, 0.5F, scratch);
            for (size_t i = 0; i < QUERIES; i++) {
                double wanted[WIDTH];
                attend_double(queries[i], k, v, 0.5, wanted);
                for (size_t c = 0; c < WIDTH; c++)
                    assert_true(fabs((double)out[i][c] - wanted[c]) <= bound[type]);
                tensor_cross_run(&cross, head, &queries[i], &one, &want_scores, 1, 0.5F, scratch);
                assert_memory_equal(alone, out[i], sizeof(alone));
            }
            au_free(head);
            au_free(scratch);
        }
    }
}

static size_t take_some(struct tensor_workspace *ws)
{
    const size_t mark = tensor_mark(ws);
    unsigned char *a = tensor_take(ws, 10, sizeof(float));
    unsigned char *b = tensor_take(ws, 1, 1);
    if (a) {
        assert_int_equal((uintptr_t)a % AU_ALIGN, 0);
        assert_int_equal(b - a, AU_ALIGN);
        memset(a, 1, 40);
        *b = 2;
    }
    tensor_release(ws, mark);
    (void)tensor_take(ws, 1, 1);
    return ws->peak;
}

static void planning_and_running_agree(void **state)
{
    (void)state;
    struct tensor_workspace ws;
    tensor_workspace_plan(&ws);
    const size_t planned = take_some(&ws);
    assert_int_equal(planned, 2 * AU_ALIGN);
    assert_int_equal(tensor_workspace_create(&ws, planned), AURICLE_OK);
    assert_int_equal(take_some(&ws), planned);
    tensor_workspace_deinit(&ws);
    tensor_workspace_deinit(&ws);
}

static void plans_beyond_memory_do_not_wrap(void **state)
{
    (void)state;
    struct tensor_workspace ws;
    tensor_workspace_plan(&ws);
    (void)tensor_take(&ws, SIZE_MAX / 2, 4);
    (void)tensor_take(&ws, SIZE_MAX / 2, 4);
    assert_true(ws.peak > SIZE_MAX / 2);
    assert_int_equal(tensor_workspace_create(&ws, ws.peak), AURICLE_E_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_does_not_depend_on_threads_or_batch),
        cmocka_unit_test(arena_gives_disjoint_aligned_bytes),
        cmocka_unit_test(creation_survives_every_failed_allocation),
        cmocka_unit_test(matrices_beyond_memory_are_refused),
        cmocka_unit_test(cross_attention_matches_and_ignores_its_neighbours),
        cmocka_unit_test(planning_and_running_agree),
        cmocka_unit_test(plans_beyond_memory_do_not_wrap),
    };
    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
