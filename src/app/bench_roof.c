/* Roofs of this machine, measured: what no kernel can pass. */
#include <stdlib.h>
#include <string.h>

#include "app/bench.h"
#include "base/clock.h"
#include "base/mem.h"

#define PEAK_ROUNDS   200000
#define PEAK_REPEATS  5
#define READ_SECONDS  0.05
#define MEGABYTE      ((size_t)1 << 20)
#define LARGEST_BYTES (512 * MEGABYTE)
#define PIECE_FLOATS  512 /* 2 KiB, asked for while the piece before it is read */
#define LINE_FLOATS   16

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_time(struct bench_stage *out, const char *name, int n, void (*work)(void *context),
                void *context)
{
    enum { MOST = 200 };
    double ms[MOST];
    n = n < 1 ? 1 : n > MOST ? MOST : n;
    for (int i = 0; i < n; i++) {
        int64_t begin = au_now_ns();
        work(context);
        ms[i] = (double)(au_now_ns() - begin) / 1e6;
    }
    qsort(ms, (size_t)n, sizeof ms[0], compare_times);
    out->name = name;
    out->min_ms = ms[0];
    out->median_ms = ms[n / 2];
    out->max_ms = ms[n - 1];
}

/* ---- Arithmetic ----------------------------------------------------------------------------- */

struct peak_call {
    const struct kern_ops *ops;
    enum kern_type type;
    double *operations; /* per task */
};

static void peak_task(void *context, size_t task, int worker)
{
    const struct peak_call *call = context;
    (void)worker;
    call->operations[task] = call->ops->peak(call->type, PEAK_ROUNDS);
}

static double peak(const struct kern_ops *ops, struct au_pool *pool, enum kern_type type,
                   double *operations)
{
    double best = 0.0;
    size_t threads = (size_t)au_pool_threads(pool);
    struct peak_call call = {ops, type, operations};
    for (int i = 0; i < PEAK_REPEATS; i++) {
        double sum = 0.0;
        int64_t begin = au_now_ns();
        au_pool_run(pool, threads, peak_task, &call);
        double seconds = (double)(au_now_ns() - begin) / 1e9;
        for (size_t t = 0; t < threads; t++)
            sum += operations[t];
        best = sum / seconds > best ? sum / seconds : best;
    }
    return best;
}

/* ---- Memory --------------------------------------------------------------------------------- */

struct read_call {
    const struct kern_ops *ops;
    const float *data;
    size_t floats; /* per task */
    float *largest;
};

/* Read ahead as products of few rows do: without it DRAM seems a third slower than it is. */
static void read_task(void *context, size_t task, int worker)
{
    const struct read_call *call = context;
    const float *data = call->data + task * call->floats;
    float largest = 0.0f;
    (void)worker;
    for (size_t i = 0; i + PIECE_FLOATS <= call->floats; i += PIECE_FLOATS) {
        for (size_t line = 0; line < PIECE_FLOATS; line += LINE_FLOATS)
            __builtin_prefetch(data + i + PIECE_FLOATS + line);
        float here = call->ops->max(data + i, PIECE_FLOATS, NULL);
        largest = here > largest ? here : largest;
    }
    call->largest[task] = largest;
}

static double read_rate(const struct kern_ops *ops, struct au_pool *pool, const float *data,
                        size_t bytes, float *largest)
{
    size_t threads = (size_t)au_pool_threads(pool);
    struct read_call call = {ops, data, bytes / sizeof(float) / threads, largest};
    double best = 0.0, spent = 0.0;
    au_pool_run(pool, threads, read_task, &call); /* warm up what fits a cache */
    while (spent < READ_SECONDS) {
        int64_t begin = au_now_ns();
        au_pool_run(pool, threads, read_task, &call);
        double seconds = (double)(au_now_ns() - begin) / 1e9;
        double rate = (double)(call.floats * sizeof(float) * threads) / seconds;
        best = rate > best ? rate : best;
        spent += seconds;
    }
    return best;
}

enum auricle_error bench_roof(const struct kern_ops *ops, struct au_pool *pool,
                              struct bench_roof *out)
{
    size_t threads = (size_t)au_pool_threads(pool);
    float *data = au_alloc_aligned(LARGEST_BYTES);
    double *operations = au_calloc(threads, sizeof *operations);
    float *largest = au_calloc(threads, sizeof *largest);
    enum auricle_error error = AURICLE_E_NOMEM;
    if (!data || !operations || !largest)
        goto done;
    memset(data, 0, LARGEST_BYTES);
    out->f32_ops = peak(ops, pool, KERN_F32, operations);
    out->bf16_ops = peak(ops, pool, KERN_BF16, operations);
    out->int8_ops = peak(ops, pool, KERN_INT8, operations);
    out->read_1m = read_rate(ops, pool, data, threads * MEGABYTE, largest);
    out->read_32m = read_rate(ops, pool, data, 32 * MEGABYTE, largest);
    out->read_512m = read_rate(ops, pool, data, LARGEST_BYTES, largest);
    error = AURICLE_OK;
done:
    au_free(data);
    au_free(operations);
    au_free(largest);
    return error;
}
