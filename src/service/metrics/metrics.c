/* Recording of metrics: atomic additions into fixed tables. See metrics.h. */
#include "service/metrics/metrics.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/rules/rules.h"
#include "service/metrics/parts.h"

#define MOST_SECONDS 1e9 /* keeps sums of nanoseconds far from overflow */

const double service_metrics_seconds[METRICS_N_BOUNDS] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
const double service_metrics_units[METRICS_N_BATCHES] = {1, 2, 3, 4, 6, 8, 16, 32, 64, 128};

static void add(metric *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

enum auricle_error service_metrics_create(struct service_metrics **out)
{
    struct service_metrics *m = au_calloc(1, sizeof *m);
    if (!m)
        return AURICLE_E_NOMEM;
    m->started_wall_ms = au_wall_ms();
    const char *rule;
    while (m->n_rules + 1 < METRICS_N_RULES && (rule = recog_rules_name(m->n_rules)))
        m->rules[m->n_rules++] = rule;
    for (size_t s = 0; s < SERVICE_N_STAGES; s++)
        for (size_t i = 0; i < METRICS_N_SAMPLES; i++)
            atomic_init(&m->stages[s].samples[i], -1.0f);
    *out = m;
    return AURICLE_OK;
}

void service_metrics_destroy(struct service_metrics *metrics)
{
    au_free(metrics);
}

void service_count(struct service_metrics *metrics, enum service_counter counter, uint64_t n)
{
    add(&metrics->counters[counter], n);
}

void service_count_request(struct service_metrics *metrics, enum service_protocol protocol)
{
    add(&metrics->requests[protocol], 1);
    add(&metrics->counters[SERVICE_COUNT_REQUESTS], 1);
}

void service_count_error(struct service_metrics *metrics, enum service_protocol protocol,
                         enum auricle_error cause)
{
    int index = -(int)cause;
    if (index > 0 && index < METRICS_N_CAUSES)
        add(&metrics->errors[protocol][index], 1);
}

void service_count_filtered(struct service_metrics *metrics, const char *rule)
{
    size_t i = 0;
    while (i < metrics->n_rules && !au_str_equal(metrics->rules[i], rule))
        i++;
    add(&metrics->filtered[i], 1);
}

void service_gauge_add(struct service_metrics *metrics, enum service_gauge gauge, int64_t delta)
{
    atomic_fetch_add_explicit(&metrics->gauges[gauge], delta, memory_order_relaxed);
}

void service_gauge_set(struct service_metrics *metrics, enum service_gauge gauge, int64_t value)
{
    atomic_store_explicit(&metrics->gauges[gauge], value, memory_order_relaxed);
}

int64_t service_gauge_get(const struct service_metrics *metrics, enum service_gauge gauge)
{
    return atomic_load_explicit(&metrics->gauges[gauge], memory_order_relaxed);
}

static size_t bucket_of(const double *bounds, size_t n, double value)
{
    size_t i = 0;
    while (i < n && value > bounds[i])
        i++;
    return i;
}

/* The count of samples is raised before the sample is there: a reader may find the one it takes the
 * place of, which is as good.                                                                    */
void service_observe(struct service_metrics *metrics, enum service_stage stage, double seconds)
{
    if (!(seconds > 0)) /* NaN, too */
        seconds = 0;
    if (seconds > MOST_SECONDS)
        seconds = MOST_SECONDS;
    struct metrics_stage *s = &metrics->stages[stage];
    add(&s->buckets[bucket_of(service_metrics_seconds, METRICS_N_BOUNDS, seconds)], 1);
    add(&s->sum_ns, (uint64_t)(seconds * 1e9));
    uint64_t i = atomic_fetch_add_explicit(&s->n_samples, 1, memory_order_relaxed);
    atomic_store_explicit(&s->samples[i % METRICS_N_SAMPLES], (float)seconds, memory_order_relaxed);
}

void service_observe_batch(struct service_metrics *metrics, bool encoder, size_t units)
{
    struct metrics_batch *b = &metrics->batches[encoder];
    add(&b->buckets[bucket_of(service_metrics_units, METRICS_N_BATCHES, (double)units)], 1);
    add(&b->sum, units);
}

/* The second number of /proc/self/statm: resident pages. */
uint64_t service_rss_bytes(void)
{
    char text[128], *at;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    uint64_t pages = 0;
    for (at = strchr(text, ' '); at && at[1] >= '0' && at[1] <= '9'; at++)
        pages = 10 * pages + (uint64_t)(at[1] - '0');
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
