/* The parts of `auricle bench`: what is measured, and on which roof a figure is held.
 * Main thread only; the pool's workers take part in the measured calls.                          */
#ifndef APP_BENCH_H
#define APP_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/pool.h"
#include "kern/kern.h"
#include "model/whisper/whisper.h"

/* Times of one stage over the iterations, and the work one of them does (0: not stated). */
struct bench_stage {
    const char *name;
    double min_ms, median_ms, max_ms;
    double operations; /* 2 per multiply-add */
    double bytes;      /* weights, keys and values read */
};

#define BENCH_MAX_STAGES 16

struct bench_stages {
    struct bench_stage stage[BENCH_MAX_STAGES];
    size_t n;
};

/* What the machine can do with these threads and this level: operations per second from registers
 * alone (0: the level has no such unit), bytes per second read from working sets of three sizes. */
struct bench_roof {
    double f32_ops, bf16_ops, int8_ops;
    double read_1m, read_32m, read_512m;
};

/* Call work(context) `n` times (at least once) and note its times. */
void bench_time(struct bench_stage *out, const char *name, int n, void (*work)(void *context),
                void *context);

AURICLE_MUST_CHECK enum auricle_error bench_roof(const struct kern_ops *ops, struct au_pool *pool,
                                                 struct bench_roof *out);

/* Mel, encoder, cross keys and values, prompt and steps of a loaded model. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error bench_model(const struct whisper_model *model,
                                                  const struct kern_ops *ops, struct au_pool *pool,
                                                  int iterations, struct bench_stages *out);

/* Every kernel at every level of this machine beside generic, one thread. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error bench_kernels(struct au_buf *out);

#endif
