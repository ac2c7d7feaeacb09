/* Options of `auricle serve`. See serve.h. */
#include <string.h>

#include "app/serve.h"
#include "app/shared_options.h"
#include "base/str.h"

#define ARGS(member)     offsetof(struct app_serve_args, member)
#define MAX_WAIT_SECONDS 1e7

/* A limit of nothing would let nothing in; inside, 0 stands for the default. */
static enum auricle_error parse_limit(const char *value, uint64_t *out, struct au_fault *fault)
{
    uint64_t bytes = 0;
    enum auricle_error error = app_shared_parse_bytes(value, &bytes, fault);
    if (!error && bytes == 0)
        error = au_fail(fault, AURICLE_E_INVALID,
                        "0 is not accepted: no request would fit; leave it out for the default");
    if (!error)
        *out = bytes;
    return error;
}

static enum auricle_error parse_file_size(void *args, const char *value, struct au_fault *fault)
{
    return parse_limit(value, &((struct app_serve_args *)args)->limits.max_upload_bytes, fault);
}

static enum auricle_error parse_reserved(void *args, const char *value, struct au_fault *fault)
{
    return parse_limit(value, &((struct app_serve_args *)args)->limits.max_reserved, fault);
}

static enum auricle_error parse_spooled(void *args, const char *value, struct au_fault *fault)
{
    return parse_limit(value, &((struct app_serve_args *)args)->limits.max_spooled, fault);
}

static enum auricle_error parse_budget(void *args, const char *value, struct au_fault *fault)
{
    return app_shared_parse_bytes(value, &((struct app_serve_args *)args)->model_budget_bytes,
                                  fault);
}

/* -1: never. */
static enum auricle_error parse_wait(const char *value, double *out, struct au_fault *fault)
{
    if (au_str_equal(value, "never")) {
        *out = -1;
        return AURICLE_OK;
    }
    if (au_parse_seconds(value, out) && *out >= 0 && *out <= MAX_WAIT_SECONDS)
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_INVALID,
                   "\"%s\" is not accepted: give a time such as 300, 10m or 1h, or never", value);
}

static enum auricle_error parse_ttl(void *args, const char *value, struct au_fault *fault)
{
    return parse_wait(value, &((struct app_serve_args *)args)->model_ttl_seconds, fault);
}

static enum auricle_error parse_drain(void *args, const char *value, struct au_fault *fault)
{
    return parse_wait(value, &((struct app_serve_args *)args)->drain_seconds, fault);
}

static enum auricle_error parse_origin(void *target, const char *value, struct au_fault *fault)
{
    struct app_serve_args *args = target;
    size_t n = strlen(value);
    bool fits = au_str_equal(value, "*") ||
                ((au_str_starts(value, "http://") || au_str_starts(value, "https://")) &&
                 value[n - 1] != '/');
    if (!fits)
        return au_fail(
            fault, AURICLE_E_INVALID,
            "\"%s\" is not accepted: give an origin such as https://example.org, without "
            "a path, or * for all",
            value);
    if (args->n_origins == APP_MAX_ORIGINS)
        return au_fail(fault, AURICLE_E_INVALID, "at most %d origins are accepted",
                       APP_MAX_ORIGINS);
    args->origins[args->n_origins++] = value;
    return AURICLE_OK;
}

static const struct app_option address_options[] = {
    {.name = "host",
     .kind = APP_TEXT,
     .value = "ADDRESS",
     .offset = ARGS(host),
     .setting = "AURICLE_HOST",
     .help = "name or address to listen on; 0.0.0.0 for all",
     .otherwise = "127.0.0.1"},
    {.name = "port",
     .letter = 'p',
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(port),
     .min = 0,
     .max = 65535,
     .setting = "AURICLE_PORT",
     .help = "for HTTP; 0: any free one, which is said at the start",
     .otherwise = "8000"},
    {.name = "grpc-port",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(grpc_port),
     .min = 0,
     .max = 65535,
     .setting = "AURICLE_GRPC_PORT",
     .help = "for gRPC; 0: no gRPC",
     .otherwise = "50051"},
    {.name = "rest",
     .kind = APP_FLAG,
     .offset = ARGS(rest),
     .setting = "ENABLE_REST",
     .help = "serve REST and the page at /; --no-rest serves neither",
     .otherwise = "yes"},
    {.name = "websocket",
     .kind = APP_FLAG,
     .offset = ARGS(websocket),
     .setting = "ENABLE_WEBSOCKET",
     .help = "serve live audio over WebSocket at /v1/stream",
     .otherwise = "yes"},
    {.name = NULL},
};

static const struct app_option safety_options[] = {
    {.name = "api-keys-file",
     .kind = APP_TEXT,
     .value = "FILE",
     .offset = ARGS(keys_file),
     .setting = "API_KEYS_FILE",
     .help = "lines NAME:KEY[:REQUESTS_PER_MINUTE[:AT_ONCE]]; read again on SIGHUP. Keys may also "
             "stand in the environment, as AURICLE_API_KEYS",
     .otherwise = "no key is asked for"},
    {.name = "insecure-bind",
     .kind = APP_FLAG,
     .offset = ARGS(insecure_bind),
     .help = "let other machines reach a server that asks for no key"},
    {.name = "tls-cert",
     .kind = APP_TEXT,
     .value = "FILE",
     .offset = ARGS(tls_certificate),
     .help = "certificate chain, PEM: serve HTTPS; read again on SIGHUP, with the key"},
    {.name = "tls-key",
     .kind = APP_TEXT,
     .value = "FILE",
     .offset = ARGS(tls_key),
     .help = "its private key, PEM"},
    {.name = "cors-origin",
     .kind = APP_PARSED,
     .value = "ORIGIN",
     .parse = parse_origin,
     .help = "pages from there may use the server, or * for all; may be given several times",
     .otherwise = "none"},
    {.name = NULL},
};

static const struct app_option limit_options[] = {
    {.name = "max-file-size",
     .kind = APP_PARSED,
     .value = "BYTES",
     .parse = parse_file_size,
     .setting = "MAX_FILE_SIZE",
     .help = "largest upload",
     .otherwise = "500MB"},
    {.name = "max-audio-seconds",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(max_audio_seconds),
     .min = 1,
     .max = 1e7,
     .setting = "MAX_AUDIO_SECONDS",
     .help = "longest recording, once decoded",
     .otherwise = "4h"},
    {.name = "max-waiting",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(limits.max_waiting),
     .min = 1,
     .max = 1000000,
     .setting = "MAX_WAITING",
     .help = "requests let in and not yet done; the next is told when to come again",
     .otherwise = "256"},
    {.name = "max-reserved",
     .kind = APP_PARSED,
     .value = "BYTES",
     .parse = parse_reserved,
     .setting = "MAX_RESERVED",
     .help = "memory that they may hold for what was received",
     .otherwise = "2GiB"},
    {.name = "max-spool",
     .kind = APP_PARSED,
     .value = "BYTES",
     .parse = parse_spooled,
     .setting = "MAX_SPOOL",
     .help = "disk that recordings may take, as they came and decoded (four bytes for each of "
             "16000 samples a second)",
     .otherwise = "16GiB"},
    {.name = "max-live",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(limits.max_live),
     .min = 1,
     .max = 100000,
     .setting = "MAX_LIVE",
     .help = "live sessions at once",
     .otherwise = "64"},
    {.name = "live-idle",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(live_idle_seconds),
     .min = 1,
     .max = 900,
     .setting = "LIVE_IDLE_SECONDS",
     .help = "a WebSocket that says nothing for so long is closed",
     .otherwise = "10"},
    {.name = "live-resume",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(live_resume_seconds),
     .min = 0,
     .max = 3600,
     .setting = "LIVE_RESUME_SECONDS",
     .help = "a WebSocket that was lost may come back to its session for so long; 0: never",
     .otherwise = "60"},
    {.name = "drain-timeout",
     .kind = APP_PARSED,
     .value = "TIME|never",
     .parse = parse_drain,
     .setting = "DRAIN_TIMEOUT",
     .help = "asked to end, leave what is not finished after so long",
     .otherwise = "300"},
    {.name = "spool-folder",
     .kind = APP_TEXT,
     .value = "DIR",
     .offset = ARGS(spool_folder),
     .help = "where uploads and decoded audio lie, in files without a name",
     .otherwise = "the system's folder for temporary files"},
    {.name = NULL},
};

static const struct app_option pool_options[] = {
    {.name = "models-loaded",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(models_loaded),
     .min = 1,
     .max = 1000,
     .setting = "WHISPER_MODEL_CACHE_SIZE",
     .help = "models kept in memory; the one unused for longest goes",
     .otherwise = "2"},
    {.name = "model-budget",
     .kind = APP_PARSED,
     .value = "BYTES",
     .parse = parse_budget,
     .help = "memory that models may take together",
     .otherwise = "no limit"},
    {.name = "model-ttl",
     .kind = APP_PARSED,
     .value = "TIME|never",
     .parse = parse_ttl,
     .help = "free a model that was not used for so long",
     .otherwise = "never"},
    {.name = "pin",
     .kind = APP_TEXT,
     .value = "LIST",
     .offset = ARGS(pinned),
     .help = "models, separated by commas, that are loaded at the start and never freed",
     .otherwise = "none"},
    APP_OPTION_VAD_MODEL,
    {.name = "batch-size",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(base.batch_size),
     .min = 1,
     .max = 256,
     .help = "windows of all requests decoded at once, for each model; each takes memory",
     .otherwise = "8"},
    {.name = "max-beams",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(max_beams),
     .min = 1,
     .max = 16,
     .help = "hypotheses per window that a request may ask for",
     .otherwise = "5"},
    {.name = NULL},
};

static const struct app_group address_group = {"Address", address_options};
static const struct app_group safety_group = {"Safety", safety_options};
static const struct app_group limit_group = {"Limits", limit_options};
static const struct app_group pool_group = {"Loaded models", pool_options};

const struct app_group *const app_serve_groups[] = {
    &address_group, &app_group_model, &pool_group,        &safety_group,
    &limit_group,   &app_group_log,   &app_group_general, NULL,
};

void app_serve_args_init(struct app_serve_args *args)
{
    memset(args, 0, sizeof *args);
    args->host = "127.0.0.1";
    args->port = 8000;
    args->grpc_port = 50051;
    args->base.general.verbose = true; /* a line of the log for each request */
    args->rest = args->websocket = true;
    args->base.batch_size = 8;
    args->max_beams = 5;
    args->model_ttl_seconds = -1;
    args->live_idle_seconds = 10;
    args->live_resume_seconds = 60;
    args->drain_seconds = 300;
    args->models_loaded = 2;
}
