/* What recording (metrics.c) and writing (write.c) share. Everything is atomic: recorded from any
 * thread, read while recording goes on.                                                          */
#ifndef SERVICE_METRICS_PARTS_H
#define SERVICE_METRICS_PARTS_H

#include <stdatomic.h>

#include "service/metrics/metrics.h"

#define METRICS_N_SAMPLES 1000 /* of a stage, for its quantiles */
#define METRICS_N_RULES   32   /* room for the names of rules, and one for "other" */
#define METRICS_N_CAUSES  16   /* error codes 0 to -15 */
#define METRICS_N_BOUNDS  17
#define METRICS_N_BATCHES 10

/* Upper bounds of buckets; the last bucket has none. */
extern const double service_metrics_seconds[METRICS_N_BOUNDS];
extern const double service_metrics_units[METRICS_N_BATCHES];

typedef _Atomic uint64_t metric;

struct metrics_stage {
    metric buckets[METRICS_N_BOUNDS + 1]; /* not cumulative */
    metric sum_ns;
    metric n_samples;                         /* ever; the newest are kept */
    _Atomic float samples[METRICS_N_SAMPLES]; /* seconds; negative: not written yet */
};

struct metrics_batch {
    metric buckets[METRICS_N_BATCHES + 1];
    metric sum;
};

struct service_metrics {
    int64_t started_wall_ms;
    metric counters[SERVICE_N_COUNTERS];
    metric requests[SERVICE_N_PROTOCOLS];
    metric errors[SERVICE_N_PROTOCOLS][METRICS_N_CAUSES];
    metric filtered[METRICS_N_RULES];
    size_t n_rules; /* the place after them counts what has none of these names */
    const char *rules[METRICS_N_RULES];
    _Atomic int64_t gauges[SERVICE_N_GAUGES];
    struct metrics_batch batches[2]; /* decoder, encoder */
    struct metrics_stage stages[SERVICE_N_STAGES];
};

/* Label values: a backslash before ", \ and line feed. */
void service_metrics_put_label(struct au_buf *out, const char *name, const char *value);

#endif
