/* Counters, gauges and histograms, with a text form for Prometheus and quantiles for people.
 *
 * The series are a fixed table (names, help, kinds, label values known beforehand), so recording is
 * an atomic addition: no lock, no allocation, well under a microsecond. Quantiles are those of the
 * last 1,000 samples of a stage.
 * Thread: any.                                                                                   */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct service_metrics; /* opaque */

enum service_protocol {
    SERVICE_REST,
    SERVICE_SSE,
    SERVICE_WEBSOCKET,
    SERVICE_GRPC,
    SERVICE_N_PROTOCOLS
};

enum service_counter {
    SERVICE_COUNT_REQUESTS,   /* requests accepted, by protocol */
    SERVICE_COUNT_AUDIO_MS,   /* milliseconds of audio recognised */
    SERVICE_COUNT_COMPUTE_MS, /* milliseconds the engine ran */
    SERVICE_COUNT_TOKENS,
    SERVICE_COUNT_WINDOWS,          /* encoder windows */
    SERVICE_COUNT_PARTIALS_DROPPED, /* superseded before a slow reader took them */
    SERVICE_COUNT_MODEL_LOADS,
    SERVICE_COUNT_MODEL_EVICTIONS,
    SERVICE_COUNT_CACHE_HITS,
    SERVICE_N_COUNTERS
};

enum service_gauge {
    SERVICE_GAUGE_SESSIONS,
    SERVICE_GAUGE_LIVE,
    SERVICE_GAUGE_WAITING,
    SERVICE_GAUGE_RESERVED_BYTES,
    SERVICE_GAUGE_SPOOLED_BYTES,
    SERVICE_GAUGE_MODEL_BYTES,
    SERVICE_GAUGE_MODELS,
    SERVICE_GAUGE_CONNECTIONS,
    SERVICE_N_GAUGES
};

enum service_stage { /* seconds; histograms and quantiles */
                     SERVICE_STAGE_RECEIVE,
                     SERVICE_STAGE_QUEUE,
                     SERVICE_STAGE_MEDIA,
                     SERVICE_STAGE_LOAD,
                     SERVICE_STAGE_MEL,
                     SERVICE_STAGE_ENCODER,
                     SERVICE_STAGE_DECODER,
                     SERVICE_STAGE_TOTAL,
                     SERVICE_STAGE_FIRST_PARTIAL,
                     SERVICE_N_STAGES
};

AURICLE_MUST_CHECK enum auricle_error service_metrics_create(struct service_metrics **out);
void service_metrics_destroy(struct service_metrics *metrics);

void service_count(struct service_metrics *metrics, enum service_counter counter, uint64_t n);
void service_count_request(struct service_metrics *metrics, enum service_protocol protocol);
void service_count_error(struct service_metrics *metrics, enum service_protocol protocol,
                         enum auricle_error cause);
void service_count_filtered(struct service_metrics *metrics, const char *rule);
void service_gauge_add(struct service_metrics *metrics, enum service_gauge gauge, int64_t delta);
void service_gauge_set(struct service_metrics *metrics, enum service_gauge gauge, int64_t value);
int64_t service_gauge_get(const struct service_metrics *metrics, enum service_gauge gauge);
void service_observe(struct service_metrics *metrics, enum service_stage stage, double seconds);
/* Units that ran as one batch: windows encoded, or hypotheses stepped. */
void service_observe_batch(struct service_metrics *metrics, bool encoder, size_t units);

/* Prometheus text format 0.0.4. */
void service_metrics_write(const struct service_metrics *metrics, struct au_buf *out);
/* {"queue": {"count": n, "p50_ms": ..., "p95_ms": ..., "p99_ms": ...}, ...} */
void service_metrics_write_stats(const struct service_metrics *metrics, struct au_buf *out);

/* A line of the log for each stage that was observed, at INFO. */
void service_metrics_log(const struct service_metrics *metrics);

uint64_t service_rss_bytes(void); /* memory of this process; 0 where unknown */

#endif
