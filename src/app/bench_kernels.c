/* Kernels one by one: every table this machine can run, one thread, beside generic. */
#include <string.h>

#include "app/bench.h"
#include "base/mem.h"

#define SHAPE_N     768 /* outputs and reduction of the products: the width of "small" */
#define MOST_ROWS   128
#define ATTN_KEYS   512
#define ATTN_WIDTH  64
#define ROW_FLOATS  1536
#define VOCABULARY  51865
#define MOST_TABLES 16

struct shapes {
    const struct kern_ops *ops;
    enum kern_type type;
    size_t m;
    float *x, *out; /* [VOCABULARY] at least */
    void *packed, *prepared, *scratch;
};

static void run_product(void *context)
{
    struct shapes *s = context;
    const struct kern_gemm *gemm = s->ops->gemm[s->type];
    const struct kern_gemm_job job = {.x = s->prepared,
                                      .w = s->packed,
                                      .out = s->out,
                                      .m = s->m,
                                      .n = SHAPE_N,
                                      .k = SHAPE_N,
                                      .out_stride = SHAPE_N};
    gemm->run(&job, 0, s->m, 0, SHAPE_N);
}

static void run_prepare(void *context)
{
    struct shapes *s = context;
    s->ops->gemm[s->type]->prepare(s->prepared, s->x, SHAPE_N, MOST_ROWS, SHAPE_N, 0, MOST_ROWS);
}

static void run_heads(void *context)
{
    struct shapes *s = context;
    s->ops->heads[s->type]->run(s->packed, ATTN_KEYS, ATTN_WIDTH, s->out, ATTN_WIDTH, 0, ATTN_KEYS,
                                s->scratch);
}

static void run_norm(void *context)
{
    struct shapes *s = context;
    s->ops->layer_norm(s->out, s->x, s->x + ROW_FLOATS, s->x + 2 * ROW_FLOATS, ROW_FLOATS, 1e-5F);
}

static void run_gelu(void *context)
{
    struct shapes *s = context;
    memcpy(s->out, s->x, ROW_FLOATS * sizeof(float));
    s->ops->gelu(s->out, ROW_FLOATS);
}

static void run_softmax(void *context)
{
    struct shapes *s = context;
    memcpy(s->out, s->x, ROW_FLOATS * sizeof(float));
    s->ops->softmax(s->out, ROW_FLOATS);
}

static void run_log_sum_exp(void *context)
{
    struct shapes *s = context;
    s->out[0] = s->ops->log_sum_exp(s->x, VOCABULARY);
}

/* Times of one kernel at every table; lines of "kernel level microseconds times generic". */
static void compare(struct au_buf *out, struct shapes *s, const char *name, int n,
                    void (*ready)(struct shapes *s), void (*work)(void *context))
{
    double generic_ms = 0.0;
    for (size_t i = 0; i < MOST_TABLES && (s->ops = kern_table(i)); i++) {
        struct bench_stage stage = {0};
        if (ready)
            ready(s);
        work(s);
        bench_time(&stage, name, i == 0 ? 3 : n, work, s);
        if (i == 0)
            generic_ms = stage.min_ms;
        au_buf_printf(out, "%-18s %-11s %11.2f us %9.1f x generic\n", name, s->ops->name,
                      1e3 * stage.min_ms, generic_ms / stage.min_ms);
    }
}

static void ready_product(struct shapes *s)
{
    const struct kern_gemm *gemm = s->ops->gemm[s->type];
    gemm->pack(s->packed, s->x, SHAPE_N, SHAPE_N, SHAPE_N, 0, SHAPE_N);
    gemm->prepare(s->prepared, s->x, SHAPE_N, s->m, SHAPE_N, 0, s->m);
}

static void ready_heads(struct shapes *s)
{
    s->ops->heads[s->type]->pack(s->packed, s->x, s->x + ATTN_WIDTH, s->x + 2 * ATTN_WIDTH,
                                 3 * ATTN_WIDTH, ATTN_KEYS, ATTN_WIDTH, 0.125F, 0, ATTN_KEYS);
}

static void compare_typed(struct au_buf *out, struct shapes *s)
{
    static const char *const names[KERN_N_TYPES][4] = {
        {"product f32", "row times f32", "prepare f32", "heads f32"},
        {"product bf16", "row times bf16", "prepare bf16", "heads bf16"},
        {"product int8", "row times int8", "prepare int8", NULL},
    };
    for (int type = 0; type < KERN_N_TYPES; type++) {
        s->type = (enum kern_type)type;
        s->m = MOST_ROWS;
        compare(out, s, names[type][0], 50, ready_product, run_product);
        s->m = 1;
        compare(out, s, names[type][1], 200, ready_product, run_product);
        compare(out, s, names[type][2], 100, NULL, run_prepare);
        if (names[type][3])
            compare(out, s, names[type][3], 30, ready_heads, run_heads);
    }
}

enum auricle_error bench_kernels(struct au_buf *out)
{
    const size_t floats = (size_t)SHAPE_N * SHAPE_N; /* the largest input: a weight matrix */
    struct shapes s = {0};
    enum auricle_error error = AURICLE_E_NOMEM;
    s.x = au_alloc_array(floats, sizeof(float));
    s.out = au_alloc_array(floats, sizeof(float));
    s.packed = au_alloc_aligned(4 * floats);
    s.prepared = au_alloc_aligned(4 * floats);
    s.scratch = au_alloc_aligned((size_t)1 << 20);
    if (!s.x || !s.out || !s.packed || !s.prepared || !s.scratch)
        goto done;
    for (size_t i = 0; i < floats; i++)
        s.x[i] = (float)(i * 2654435761U % 2001U) * 1e-3F - 1.0F;
    memset(s.prepared, 0, 4 * floats);
    compare_typed(out, &s);
    compare(out, &s, "layer norm", 200, NULL, run_norm);
    compare(out, &s, "gelu", 200, NULL, run_gelu);
    compare(out, &s, "softmax", 200, NULL, run_softmax);
    compare(out, &s, "log-sum-exp", 100, NULL, run_log_sum_exp);
    error = out->error;
done:
    au_free(s.x);
    au_free(s.out);
    au_free(s.packed);
    au_free(s.prepared);
    au_free(s.scratch);
    return error;
}
