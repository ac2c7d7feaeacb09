/* Threaded products and workspaces. */
#include "support/support.h"
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
        assert_int_equal(tensor_linear_create_from(&b, gemm, copy_rows, &source, bias, N, K, pool),
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
        tensor_linear_deinit(&a);
        tensor_linear_deinit(&b);
    }
    au_pool_destroy(pool);
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
        const enum auricle_error error = tensor_linear_create_from(&made, gemm, copy_rows, &source,
                                                                   bias, N, K, NULL);
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
    assert_int_equal(tensor_linear_create_from(&made, gemm, copy_rows, &source, NULL, SIZE_MAX / 2,
                                               SIZE_MAX / 2, NULL),
                     AURICLE_E_LIMIT);
    assert_null(made.packed);
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
        cmocka_unit_test(creation_survives_every_failed_allocation),
        cmocka_unit_test(matrices_beyond_memory_are_refused),
        cmocka_unit_test(planning_and_running_agree),
        cmocka_unit_test(plans_beyond_memory_do_not_wrap),
    };
    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
