/* service: counters, histograms and quantiles, and their text. */
#include "support/support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auricle/version.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "service/metrics/metrics.h"
#include "service/metrics/parts.h"

static struct service_metrics *new_metrics(void)
{
    struct service_metrics *metrics = NULL;
    assert_int_equal(service_metrics_create(&metrics), AURICLE_OK);
    return metrics;
}

static char *text_of(const struct service_metrics *metrics)
{
    struct au_buf out;
    au_buf_init(&out, 0);
    service_metrics_write(metrics, &out);
    return au_buf_take(&out);
}

/* The number that ends a line. */
static double number_at(const char *text)
{
    char number[40];
    double value = 0;
    size_t bytes = strcspn(text, "\n") + 1;
    au_str_copy(number, bytes < sizeof number ? bytes : sizeof number, text);
    assert_true(au_parse_double(number, &value));
    return value;
}

/* The value on the line that begins with `series` and a space; fails when it is absent. */
static double value_of(const char *text, const char *series)
{
    size_t n = strlen(series);
    for (const char *at = text; (at = strstr(at, series)); at += n)
        if ((at == text || at[-1] == '\n') && at[n] == ' ')
            return number_at(at + n + 1);
    fail_msg("no series %s in:\n%s", series, text);
    return 0;
}

static double value_now(const struct service_metrics *metrics, const char *series)
{
    char *text = text_of(metrics);
    double value = value_of(text, series);
    au_free(text);
    return value;
}

/* ---- Text ----------------------------------------------------------------------------------- */

/* Every sample line belongs to a family that was announced with a type before it, once. */
static void every_series_has_its_type(void **state)
{
    (void)state;
    struct service_metrics *metrics = new_metrics();
    service_count_error(metrics, SERVICE_GRPC, AURICLE_E_LIMIT);
    char *text = text_of(metrics), *rest = text;
    char family[80] = "";
    size_t n_samples = 0;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        if (au_str_starts(line, "# HELP "))
            continue;
        if (au_str_starts(line, "# TYPE ")) {
            size_t n = strcspn(line + 7, " ");
            const char *type = line + 7 + n + 1;
            au_str_copy(family, n + 1 < sizeof family ? n + 1 : sizeof family, line + 7);
            assert_true(au_str_equal(type, "counter") || au_str_equal(type, "gauge") ||
                        au_str_equal(type, "histogram"));
            assert_true(!au_str_equal(type, "counter") || au_str_ends(family, "_total"));
            continue;
        }
        assert_true(au_str_starts(line, family));
        n_samples++;
    }
    assert_true(n_samples > 200);
    au_free(text);
    service_metrics_destroy(metrics);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    struct au_buf out;
    au_buf_init(&out, 0);
    service_metrics_put_label(&out, "model", "a\"b\\c\nd");
    assert_string_equal(out.data, "model=\"a\\\"b\\\\c\\nd\"");
    au_buf_deinit(&out);
}

static void counters_and_gauges(void **state)
{
    (void)state;
    struct service_metrics *metrics = new_metrics();
    service_count_request(metrics, SERVICE_REST);
    service_count_request(metrics, SERVICE_REST);
    service_count_request(metrics, SERVICE_WEBSOCKET);
    service_count(metrics, SERVICE_COUNT_AUDIO_MS, 10500);
    service_count(metrics, SERVICE_COUNT_COMPUTE_MS, 2100);
    service_count_error(metrics, SERVICE_SSE, AURICLE_E_FORMAT);
    service_count_error(metrics, SERVICE_SSE, AURICLE_OK); /* no error */
    service_count_filtered(metrics, "repetition");
    service_count_filtered(metrics, "a rule nobody knows");
    service_gauge_set(metrics, SERVICE_GAUGE_SESSIONS, 7);
    service_gauge_add(metrics, SERVICE_GAUGE_SESSIONS, -2);

    char *text = text_of(metrics);
    assert_int_equal((int)value_of(text, "auricle_requests_total{protocol=\"rest\"}"), 2);
    assert_int_equal((int)value_of(text, "auricle_requests_total{protocol=\"websocket\"}"), 1);
    assert_int_equal((int)value_of(text, "auricle_requests_total{protocol=\"grpc\"}"), 0);
    assert_float_equal(value_of(text, "auricle_audio_seconds_total"), 10.5, 1e-9);
    assert_float_equal(value_of(text, "auricle_real_time_factor"), 0.2, 1e-9);
    assert_int_equal((int)value_of(text, "auricle_errors_total{protocol=\"sse\",cause=\"FORMAT\"}"),
                     1);
    assert_null(strstr(text, "cause=\"OK\""));
    assert_int_equal((int)value_of(text, "auricle_filtered_segments_total{rule=\"repetition\"}"),
                     1);
    assert_int_equal((int)value_of(text, "auricle_filtered_segments_total{rule=\"other\"}"), 1);
    assert_int_equal((int)value_of(text, "auricle_sessions"), 5);
    assert_true(value_of(text, "process_resident_memory_bytes") > 1e5);
    assert_non_null(strstr(text, "auricle_build_info{version=\"" AURICLE_VERSION "\"} 1\n"));
    au_free(text);
    service_metrics_destroy(metrics);
}

#define QUEUE(le) "auricle_stage_seconds_bucket{stage=\"queue\",le=\"" le "\"}"

static void buckets_are_cumulative(void **state)
{
    (void)state;
    struct service_metrics *metrics = new_metrics();
    service_observe(metrics, SERVICE_STAGE_QUEUE, 0.001); /* a bound belongs to its bucket */
    service_observe(metrics, SERVICE_STAGE_QUEUE, 0.0011);
    service_observe(metrics, SERVICE_STAGE_QUEUE, 2);
    service_observe(metrics, SERVICE_STAGE_QUEUE, 1e30);
    service_observe(metrics, SERVICE_STAGE_QUEUE, -5); /* a clock that was set back counts as 0 */
    service_observe(metrics, SERVICE_STAGE_QUEUE, (double)NAN);
    char *text = text_of(metrics);
    assert_int_equal((int)value_of(text, QUEUE("0.0005")), 2);
    assert_int_equal((int)value_of(text, QUEUE("0.001")), 3);
    assert_int_equal((int)value_of(text, QUEUE("0.0025")), 4);
    assert_int_equal((int)value_of(text, QUEUE("1")), 4);
    assert_int_equal((int)value_of(text, QUEUE("2.5")), 5);
    assert_int_equal((int)value_of(text, QUEUE("300")), 5);
    assert_int_equal((int)value_of(text, QUEUE("+Inf")), 6);
    assert_int_equal((int)value_of(text, "auricle_stage_seconds_count{stage=\"queue\"}"), 6);
    assert_float_equal(value_of(text, "auricle_stage_seconds_sum{stage=\"queue\"}"), 1e9, 10);
    assert_int_equal((int)value_of(text, "auricle_stage_seconds_count{stage=\"media\"}"), 0);
    au_free(text);

    service_observe_batch(metrics, true, 1);
    service_observe_batch(metrics, true, 200);
    service_observe_batch(metrics, false, 5);
    assert_int_equal(
        (int)value_now(metrics, "auricle_batch_units_bucket{kind=\"encoder\",le=\"128\"}"), 1);
    assert_int_equal((int)value_now(metrics, "auricle_batch_units_count{kind=\"encoder\"}"), 2);
    assert_int_equal((int)value_now(metrics, "auricle_batch_units_sum{kind=\"encoder\"}"), 201);
    assert_int_equal(
        (int)value_now(metrics, "auricle_batch_units_bucket{kind=\"decoder\",le=\"6\"}"), 1);
    service_metrics_destroy(metrics);
}

/* ---- Quantiles ------------------------------------------------------------------------------ */

static double stat(const struct service_metrics *metrics, const char *stage, const char *member)
{
    struct au_buf out;
    struct au_json *json;
    struct au_fault fault = {0};
    au_buf_init(&out, 0);
    service_metrics_write_stats(metrics, &out);
    assert_int_equal(au_json_parse(out.data, out.len, "stats", &json, &fault), AURICLE_OK);
    double value = au_json_number(au_json_get(au_json_get(json, stage), member), -1);
    au_json_free(json);
    au_buf_deinit(&out);
    return value;
}

static void quantiles_are_those_of_the_newest_samples(void **state)
{
    (void)state;
    struct service_metrics *metrics = new_metrics();
    assert_float_equal(stat(metrics, "media", "p50_ms"), 0, 0);
    service_observe(metrics, SERVICE_STAGE_MEDIA, 0.25);
    assert_float_equal(stat(metrics, "media", "p50_ms"), 250, 0);
    assert_float_equal(stat(metrics, "media", "p99_ms"), 250, 0);
    for (int i = 0; i < 5000; i++) /* forgotten by what follows */
        service_observe(metrics, SERVICE_STAGE_MEDIA, 77);
    for (int i = 1000; i > 0; i--)
        service_observe(metrics, SERVICE_STAGE_MEDIA, i * 1e-3);
    assert_float_equal(stat(metrics, "media", "p50_ms"), 500, 1e-3);
    assert_float_equal(stat(metrics, "media", "p95_ms"), 950, 1e-3);
    assert_float_equal(stat(metrics, "media", "p99_ms"), 990, 1e-3);
    assert_int_equal((int)stat(metrics, "media", "count"), 6001);
    service_metrics_destroy(metrics);
}

/* ---- Many threads --------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_ROUNDS  20000

static void *record(void *metrics)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        service_count_request(metrics, SERVICE_REST);
        service_observe(metrics, SERVICE_STAGE_ENCODER, 0.003);
        service_gauge_add(metrics, SERVICE_GAUGE_LIVE, i & 1 ? -1 : 1);
    }
    return NULL;
}

static void nothing_is_lost_among_threads(void **state)
{
    (void)state;
    struct service_metrics *metrics = new_metrics();
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, record, metrics), 0);
    au_free(text_of(metrics)); /* reading meanwhile */
    (void)stat(metrics, "encoder", "p50_ms");
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal((int)value_now(metrics, "auricle_requests_total{protocol=\"rest\"}"),
                     N_THREADS * N_ROUNDS);
    assert_int_equal((int)value_now(metrics, "auricle_stage_seconds_count{stage=\"encoder\"}"),
                     N_THREADS * N_ROUNDS);
    assert_float_equal(value_now(metrics, "auricle_stage_seconds_sum{stage=\"encoder\"}"),
                       0.003 * N_THREADS * N_ROUNDS, 1e-3);
    assert_int_equal((int)value_now(metrics, "auricle_live_sessions"), 0);
    service_metrics_destroy(metrics);
}

/* Processor time, and The bound leaves room for busy machines: 17 ns were measured. */
static void recording_takes_well_under_a_microsecond(void **state)
{
    (void)state;
    struct service_metrics *metrics = new_metrics();
    const int n = 200000;
    int64_t begin = au_cpu_ns();
    for (int i = 0; i < n; i++)
        service_observe(metrics, SERVICE_STAGE_DECODER, i * 1e-6);
    double each_ns = (double)(au_cpu_ns() - begin) / n;
    print_message("one observation takes %.0f ns\n", each_ns);
    assert_true(each_ns < 500);
    service_metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_series_has_its_type),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(counters_and_gauges),
        cmocka_unit_test(buckets_are_cumulative),
        cmocka_unit_test(quantiles_are_those_of_the_newest_samples),
        cmocka_unit_test(nothing_is_lost_among_threads),
        cmocka_unit_test(recording_takes_well_under_a_microsecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
