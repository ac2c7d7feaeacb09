/* Metrics as text: for Prometheus, and quantiles as JSON. See metrics.h.
 *
 * Nothing stops while this reads: counts of one histogram may be a few observations apart from its
 * sum, never from its own buckets.                                                               */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "auricle/version.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "service/metrics/parts.h"

static const struct {
    const char *name, *help;
    double unit; /* what is counted, in units of the name */
} counters[SERVICE_N_COUNTERS] = {
    [SERVICE_COUNT_REQUESTS] = {NULL, NULL, 1}, /* written by protocol */
    [SERVICE_COUNT_AUDIO_MS] = {"auricle_audio_seconds_total", "Audio recognised.", 1e-3},
    [SERVICE_COUNT_COMPUTE_MS] = {"auricle_compute_seconds_total", "Time the engine ran.", 1e-3},
    [SERVICE_COUNT_TOKENS] = {"auricle_tokens_total", "Tokens decoded.", 1},
    [SERVICE_COUNT_WINDOWS] = {"auricle_windows_total", "Windows of audio encoded.", 1},
    [SERVICE_COUNT_PARTIALS_DROPPED] = {"auricle_partials_dropped_total",
                                        "Partial results superseded before a slow reader took "
                                        "them.",
                                        1},
    [SERVICE_COUNT_MODEL_LOADS] = {"auricle_model_loads_total", "Models loaded.", 1},
    [SERVICE_COUNT_MODEL_EVICTIONS] = {"auricle_model_evictions_total",
                                       "Models freed to make room, or unused for long.", 1},
    [SERVICE_COUNT_CACHE_HITS] = {"auricle_cache_hits_total",
                                  "Packed weights mapped from the cache at loading.", 1},
};

static const struct {
    const char *name, *help;
} gauges[SERVICE_N_GAUGES] = {
    [SERVICE_GAUGE_SESSIONS] = {"auricle_sessions", "Sessions being worked on."},
    [SERVICE_GAUGE_LIVE] = {"auricle_live_sessions", "Live sessions among them."},
    [SERVICE_GAUGE_WAITING] = {"auricle_requests_waiting", "Requests admitted and not yet done."},
    [SERVICE_GAUGE_RESERVED_BYTES] = {"auricle_reserved_bytes",
                                      "Memory reserved for admitted requests."},
    [SERVICE_GAUGE_SPOOLED_BYTES] = {"auricle_spooled_bytes",
                                     "Recordings in files, as they came and decoded."},
    [SERVICE_GAUGE_MODEL_BYTES] = {"auricle_model_bytes", "Memory of loaded models."},
    [SERVICE_GAUGE_MODELS] = {"auricle_models_loaded", "Models loaded now."},
    [SERVICE_GAUGE_CONNECTIONS] = {"auricle_connections", "Open HTTP connections."},
};

static const char *const protocols[SERVICE_N_PROTOCOLS] = {
    [SERVICE_REST] = "rest",
    [SERVICE_SSE] = "sse",
    [SERVICE_WEBSOCKET] = "websocket",
    [SERVICE_GRPC] = "grpc",
};

static const char *const stages[SERVICE_N_STAGES] = {
    [SERVICE_STAGE_RECEIVE] = "receive",
    [SERVICE_STAGE_QUEUE] = "queue",
    [SERVICE_STAGE_MEDIA] = "media",
    [SERVICE_STAGE_LOAD] = "load",
    [SERVICE_STAGE_MEL] = "mel",
    [SERVICE_STAGE_ENCODER] = "encoder",
    [SERVICE_STAGE_DECODER] = "decoder",
    [SERVICE_STAGE_TOTAL] = "total",
    [SERVICE_STAGE_FIRST_PARTIAL] = "first_partial",
};

static uint64_t get(const metric *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

/* ---- Prometheus ----------------------------------------------------------------------------- */

void service_metrics_put_label(struct au_buf *out, const char *name, const char *value)
{
    au_buf_printf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n') {
            au_buf_puts(out, "\\n");
            continue;
        }
        if (*value == '"' || *value == '\\')
            au_buf_putc(out, '\\');
        au_buf_putc(out, *value);
    }
    au_buf_putc(out, '"');
}

static void put_head(struct au_buf *out, const char *name, const char *type, const char *help)
{
    au_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_labelled(struct au_buf *out, const char *name, const char *label, const char *value,
                         uint64_t count)
{
    au_buf_printf(out, "%s{", name);
    service_metrics_put_label(out, label, value);
    au_buf_printf(out, "} %llu\n", (unsigned long long)count);
}

static void put_counters(const struct service_metrics *m, struct au_buf *out)
{
    const char *name = "auricle_requests_total";
    put_head(out, name, "counter", "Requests accepted.");
    for (int p = 0; p < SERVICE_N_PROTOCOLS; p++)
        put_labelled(out, name, "protocol", protocols[p], get(&m->requests[p]));
    for (int c = 0; c < SERVICE_N_COUNTERS; c++) {
        if (!counters[c].name)
            continue;
        put_head(out, counters[c].name, "counter", counters[c].help);
        au_buf_printf(out, "%s %.15g\n", counters[c].name,
                      (double)get(&m->counters[c]) * counters[c].unit);
    }
    name = "auricle_filtered_segments_total";
    put_head(out, name, "counter", "Segments dropped as invented, by rule.");
    for (size_t r = 0; r < m->n_rules; r++)
        put_labelled(out, name, "rule", m->rules[r], get(&m->filtered[r]));
    if (get(&m->filtered[m->n_rules]))
        put_labelled(out, name, "rule", "other", get(&m->filtered[m->n_rules]));
}

/* A series appears with its first error. */
static void put_errors(const struct service_metrics *m, struct au_buf *out)
{
    const char *name = "auricle_errors_total";
    put_head(out, name, "counter", "Requests that failed, by protocol and cause.");
    for (int p = 0; p < SERVICE_N_PROTOCOLS; p++)
        for (int c = 1; c < METRICS_N_CAUSES; c++) {
            uint64_t n = get(&m->errors[p][c]);
            if (n == 0)
                continue;
            au_buf_printf(out, "%s{", name);
            service_metrics_put_label(out, "protocol", protocols[p]);
            au_buf_putc(out, ',');
            service_metrics_put_label(out, "cause", auricle_error_name((enum auricle_error) - c));
            au_buf_printf(out, "} %llu\n", (unsigned long long)n);
        }
}

static void put_gauges(const struct service_metrics *m, struct au_buf *out)
{
    for (int g = 0; g < SERVICE_N_GAUGES; g++) {
        put_head(out, gauges[g].name, "gauge", gauges[g].help);
        au_buf_printf(out, "%s %lld\n", gauges[g].name,
                      (long long)service_gauge_get(m, (enum service_gauge)g));
    }
    uint64_t audio_ms = get(&m->counters[SERVICE_COUNT_AUDIO_MS]);
    put_head(out, "auricle_real_time_factor", "gauge",
             "Time the engine ran per time of audio, since the start.");
    au_buf_printf(out, "auricle_real_time_factor %.6g\n",
                  audio_ms ? (double)get(&m->counters[SERVICE_COUNT_COMPUTE_MS]) / (double)audio_ms
                           : 0.0);
}

/* Buckets are cumulative in the text, and the count is theirs, so that it never disagrees. */
static void put_histogram(struct au_buf *out, const char *name, const char *label,
                          const char *value, const double *bounds, size_t n, const metric *buckets,
                          double sum)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= n; i++) {
        count += get(&buckets[i]);
        au_buf_printf(out, "%s_bucket{", name);
        service_metrics_put_label(out, label, value);
        if (i < n)
            au_buf_printf(out, ",le=\"%g\"} %llu\n", bounds[i], (unsigned long long)count);
        else
            au_buf_printf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)count);
    }
    au_buf_printf(out, "%s_sum{", name);
    service_metrics_put_label(out, label, value);
    au_buf_printf(out, "} %.9g\n%s_count{", sum, name);
    service_metrics_put_label(out, label, value);
    au_buf_printf(out, "} %llu\n", (unsigned long long)count);
}

static void put_histograms(const struct service_metrics *m, struct au_buf *out)
{
    put_head(out, "auricle_stage_seconds", "histogram", "Time of each stage of a request.");
    for (int s = 0; s < SERVICE_N_STAGES; s++)
        put_histogram(out, "auricle_stage_seconds", "stage", stages[s], service_metrics_seconds,
                      METRICS_N_BOUNDS, m->stages[s].buckets,
                      (double)get(&m->stages[s].sum_ns) * 1e-9);
    put_head(out, "auricle_batch_units", "histogram", "Units that ran as one batch.");
    for (int k = 0; k < 2; k++)
        put_histogram(out, "auricle_batch_units", "kind", k ? "encoder" : "decoder",
                      service_metrics_units, METRICS_N_BATCHES, m->batches[k].buckets,
                      (double)get(&m->batches[k].sum));
}

static void put_process(const struct service_metrics *m, struct au_buf *out)
{
    put_head(out, "auricle_build_info", "gauge", "Always 1; the label says which version runs.");
    put_labelled(out, "auricle_build_info", "version", auricle_version(), 1);
    put_head(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    au_buf_printf(out, "process_resident_memory_bytes %llu\n",
                  (unsigned long long)service_rss_bytes());
    put_head(out, "process_cpu_seconds_total", "counter", "Processor time used.");
    au_buf_printf(out, "process_cpu_seconds_total %.3f\n", (double)au_cpu_ns() * 1e-9);
    put_head(out, "process_start_time_seconds", "gauge", "Start, in seconds since 1970.");
    au_buf_printf(out, "process_start_time_seconds %.3f\n", (double)m->started_wall_ms * 1e-3);
}

void service_metrics_write(const struct service_metrics *metrics, struct au_buf *out)
{
    put_counters(metrics, out);
    put_errors(metrics, out);
    put_gauges(metrics, out);
    put_histograms(metrics, out);
    put_process(metrics, out);
}

/* ---- Quantiles ------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The smallest sample that the share q of all is not above (nearest rank). */
static double quantile_ms(const float *sorted, size_t n, double q)
{
    size_t rank = (size_t)ceil(q * (double)n);
    return n ? 1e3 * (double)sorted[rank ? rank - 1 : 0] : 0;
}

struct quantiles {
    uint64_t count; /* ever */
    double p50_ms, p95_ms, p99_ms;
};

static struct quantiles quantiles_of(const struct metrics_stage *stage)
{
    float samples[METRICS_N_SAMPLES];
    size_t n = 0;
    for (size_t i = 0; i < METRICS_N_SAMPLES; i++) {
        float x = atomic_load_explicit(&stage->samples[i], memory_order_relaxed);
        if (x >= 0)
            samples[n++] = x;
    }
    qsort(samples, n, sizeof *samples, ascending);
    return (struct quantiles){get(&stage->n_samples), quantile_ms(samples, n, 0.50),
                              quantile_ms(samples, n, 0.95), quantile_ms(samples, n, 0.99)};
}

void service_metrics_log(const struct service_metrics *metrics)
{
    for (int s = 0; s < SERVICE_N_STAGES; s++) {
        struct quantiles q = quantiles_of(&metrics->stages[s]);
        if (q.count)
            au_log_with(AU_LOG_INFO,
                        (const struct au_log_field[]){{"count", NULL, (double)q.count},
                                                      {"p50_ms", NULL, q.p50_ms},
                                                      {"p95_ms", NULL, q.p95_ms},
                                                      {"p99_ms", NULL, q.p99_ms},
                                                      {NULL, NULL, 0}},
                        "stage %s", stages[s]);
    }
}

static void put_milliseconds(struct au_json_writer *w, const char *key, double milliseconds)
{
    au_json_add_fixed(w, key, milliseconds, 3);
}

void service_metrics_write_stats(const struct service_metrics *metrics, struct au_buf *out)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    for (int s = 0; s < SERVICE_N_STAGES; s++) {
        struct quantiles q = quantiles_of(&metrics->stages[s]);
        au_json_key(&w, stages[s]);
        au_json_open_object(&w);
        au_json_add_int(&w, "count", (int64_t)q.count);
        put_milliseconds(&w, "p50_ms", q.p50_ms);
        put_milliseconds(&w, "p95_ms", q.p95_ms);
        put_milliseconds(&w, "p99_ms", q.p99_ms);
        au_json_close_object(&w);
    }
    au_json_close_object(&w);
}
