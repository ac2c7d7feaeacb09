/* Operations endpoints. See ops.h. Network thread. */
#include "api/ops/ops.h"

#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "auricle/auricle.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "service/metrics/metrics.h"
#include "service/service.h"

#define MAX_MODELS 64 /* shown by /health */

static const struct http_header not_stored[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};

static void answer(struct http_request *request, int status, const char *type, struct au_buf *body)
{
    if (body->error)
        api_fail(request, &(struct api_error){.status = 503,
                                              .code = "out_of_memory",
                                              .message = "There is no memory for the answer."});
    else
        http_respond(request, status, type, body->data, body->len, not_stored);
    au_buf_deinit(body);
}

static void answer_json(struct http_request *request, int status, struct au_buf *body)
{
    au_buf_putc(body, '\n');
    answer(request, status, "application/json", body);
}

/* ---- /health -------------------------------------------------------------------------------- */

static void put_models(struct au_json_writer *w, struct service_engines *engines)
{
    struct service_engine_entry entries[MAX_MODELS];
    size_t n = service_engines_loaded(engines, entries, MAX_MODELS);
    au_json_key(w, "models");
    au_json_open_array(w);
    for (size_t i = 0; i < n; i++) {
        au_json_open_object(w);
        au_json_add_string(w, "name", entries[i].name);
        au_json_add_bool(w, "default", entries[i].is_default);
        au_json_add_int(w, "in_use", entries[i].in_use);
        au_json_add_int(w, "bytes", (int64_t)entries[i].bytes);
        au_json_close_object(w);
    }
    au_json_close_array(w);
}

static void health(struct http_request *request)
{
    const struct api *api = api_of(request);
    const struct service_metrics *metrics = service_metrics_of(api->service);
    const struct service_machine *machine = service_engines_machine(
        service_engines_of(api->service));
    bool draining = service_draining(api->service);
    struct au_buf body;
    struct au_json_writer w;
    au_buf_init(&body, 0);
    au_json_writer_init(&w, &body, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "status", draining ? "draining" : "ok");
    au_json_add_string(&w, "version", auricle_version());
    au_json_add_int(&w, "uptime_seconds", au_wall_ms() / 1000 - api->started_unix_s);
    au_json_add_string(&w, "device", "cpu");
    au_json_add_string(&w, "cpu_level", machine->cpu_level);
    au_json_add_int(&w, "threads", machine->threads);
    au_json_add_string(&w, "voice_activity", machine->detector[0] ? machine->detector : "loudness");
    put_models(&w, service_engines_of(api->service));
    au_json_add_int(&w, "sessions", service_gauge_get(metrics, SERVICE_GAUGE_SESSIONS));
    au_json_add_int(&w, "live_sessions", service_gauge_get(metrics, SERVICE_GAUGE_LIVE));
    au_json_add_int(&w, "active", (int64_t)service_active(api->service));
    au_json_add_int(&w, "connections",
                    (int64_t)http_server_connections(http_request_server(request)));
    au_json_key(&w, "memory");
    au_json_open_object(&w);
    au_json_add_int(&w, "rss_bytes", (int64_t)service_rss_bytes());
    au_json_add_int(&w, "model_bytes", service_gauge_get(metrics, SERVICE_GAUGE_MODEL_BYTES));
    au_json_add_int(&w, "reserved_bytes", service_gauge_get(metrics, SERVICE_GAUGE_RESERVED_BYTES));
    au_json_close_object(&w);
    au_json_add_int(&w, "spooled_bytes", service_gauge_get(metrics, SERVICE_GAUGE_SPOOLED_BYTES));
    au_json_close_object(&w);
    answer_json(request, 200, &body);
}

/* ---- /ready --------------------------------------------------------------------------------- */

static void ready(struct http_request *request)
{
    const struct api *api = api_of(request);
    struct au_fault why = {0};
    struct au_buf body;
    struct au_json_writer w;
    bool yes = false;
    if (service_draining(api->service))
        au_fail(&why, AURICLE_E_STATE, "the server is shutting down");
    else
        yes = service_making_progress(api->service, &why);
    au_buf_init(&body, 0);
    au_json_writer_init(&w, &body, 0);
    au_json_open_object(&w);
    au_json_add_bool(&w, "ready", yes);
    if (!yes)
        au_json_add_string(&w, "reason", why.text);
    au_json_close_object(&w);
    answer_json(request, yes ? 200 : 503, &body);
}

/* ---- /sessions ------------------------------------------------------------------------------ */

static void put_seconds(struct au_json_writer *w, const char *key, double seconds)
{
    au_json_key(w, key);
    if (seconds < 0)
        au_json_put_null(w);
    else
        au_json_put_fixed(w, seconds, 3);
}

static void sessions(struct http_request *request)
{
    const struct api *api = api_of(request);
    struct service_session_info *list = NULL;
    struct au_buf body;
    struct au_json_writer w;
    size_t n = 0;
    enum auricle_error error = service_sessions(api->service, &list, &n);
    if (error) {
        const struct api_error failure = api_error_of(error, "the sessions cannot be listed");
        api_fail(request, &failure);
        return;
    }
    au_buf_init(&body, 0);
    au_json_writer_init(&w, &body, 0);
    au_json_open_object(&w);
    au_json_key(&w, "sessions");
    au_json_open_array(&w);
    for (size_t i = 0; i < n; i++) {
        au_json_open_object(&w);
        au_json_add_string(&w, "id", list[i].id);
        au_json_add_string(&w, "model", list[i].model);
        au_json_add_string(&w, "kind", list[i].live ? "live" : "recording");
        au_json_add_string(&w, "state", list[i].state);
        put_seconds(&w, "age_seconds", list[i].age_seconds);
        put_seconds(&w, "audio_seconds_done", list[i].audio_seconds_done);
        put_seconds(&w, "audio_seconds_total", list[i].audio_seconds_total);
        au_json_close_object(&w);
    }
    au_json_close_array(&w);
    au_json_close_object(&w);
    au_free(list);
    answer_json(request, 200, &body);
}

/* ---- /stats and /metrics -------------------------------------------------------------------- */

static void stats(struct http_request *request)
{
    struct au_buf body;
    au_buf_init(&body, 0);
    service_metrics_write_stats(service_metrics_of(api_of(request)->service), &body);
    answer_json(request, 200, &body);
}

static void metrics(struct http_request *request)
{
    struct service_metrics *all = service_metrics_of(api_of(request)->service);
    struct au_buf body;
    service_gauge_set(all, SERVICE_GAUGE_CONNECTIONS,
                      (int64_t)http_server_connections(http_request_server(request)));
    au_buf_init(&body, 0);
    service_metrics_write(all, &body);
    answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static const struct http_handler on_health = {.end = health};
static const struct http_handler on_ready = {.end = ready};
static const struct http_handler on_sessions = {.end = sessions};
static const struct http_handler on_stats = {.end = stats};
static const struct http_handler on_metrics = {.end = metrics};

const struct http_route api_ops_routes[] = {
    {.method = "GET", .path = "/health", .handler = &on_health, .open = true},
    {.method = "GET", .path = "/ready", .handler = &on_ready, .open = true},
    {.method = "GET", .path = "/sessions", .handler = &on_sessions},
    {.method = "GET", .path = "/stats", .handler = &on_stats},
    {.method = "GET", .path = "/metrics", .handler = &on_metrics},
    {.path = NULL},
};
