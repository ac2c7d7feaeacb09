/* auricle serve: one server for all protocols, one copy of the weights.
 *
 * Makes the service and its fronts, says where it listens, and then gives the main thread to
 * HTTP. The first SIGTERM or SIGINT lets what runs be finished while new work is refused; SIGHUP
 * reads keys, limits and certificates again. What requests mean is the business of src/api.      */
#include "app/serve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "api/grpc/grpc_front.h"
#include "api/http/certificate.h"
#include "api/live/live.h"
#include "api/ops/ops.h"
#include "api/rest/rest.h"
#include "api/web/web.h"
#include "app/interrupt.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/access/access.h"
#include "service/metrics/metrics.h"
#include "service/registry/local.h"

#define MAX_ROUTES         64
#define DRAIN_LOOK_SECONDS 0.05
#define SUMMARY_SECONDS    300 /* between two logs of the stages, with --timings */
#define DRAIN_QUIET_LOOKS  3   /* in a row: the last answers are on their way out */

/* One call of the command. */
struct run {
    const struct app_serve_args *args;
    const struct app_parsed *parsed;
    const struct service_settings *settings;
    char *model; /* its path */
    struct service_access *access;
    struct service *service;
    struct http_certificate *certificate; /* the first; NULL: no TLS */
    struct http_server *http;
    struct api_grpc_front *grpc;
    struct app_watch *watch;
    atomic_bool serving;
    struct api api;
    struct http_route routes[MAX_ROUTES + 1];
    struct http_post_node end_node;
    struct http_timer drain, drain_end, summary;
    int n_quiet_looks;
    _Atomic double drain_seconds; /* -1: never */
};

/* ---- Ending and reloading ------------------------------------------------------------------- */

/* Answers that are not out yet. */
static size_t n_answering(const struct run *run)
{
    return atomic_load(&run->api.n_inside) + (run->grpc ? api_grpc_active(run->grpc) : 0);
}

static void look_whether_drained(struct http_timer *timer)
{
    struct run *run = (struct run *)(void *)((char *)timer - offsetof(struct run, drain));
    bool quiet = service_active(run->service) == 0 && n_answering(run) == 0;
    run->n_quiet_looks = quiet ? run->n_quiet_looks + 1 : 0;
    if (run->n_quiet_looks >= DRAIN_QUIET_LOOKS) {
        http_timer_cancel(run->http, &run->drain_end);
        http_server_stop(run->http);
    } else {
        http_timer_set(run->http, timer, DRAIN_LOOK_SECONDS);
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say_what_is_left(const struct run *run)
{
    struct service_session_info *sessions = NULL;
    size_t n = 0, n_active = service_active(run->service), n_answers = n_answering(run);
    if (service_sessions(run->service, &sessions, &n) != AURICLE_OK)
        n = 0;
    for (size_t i = 0; i < n; i++)
        app_warn(false, "left unfinished: %s (%s%s, %.0f s of audio heard)", sessions[i].id,
                 sessions[i].live ? "live, " : "", sessions[i].state,
                 sessions[i].audio_seconds_done);
    au_free(sessions);
    app_warn(false, "%g s for finishing are over: %zu request%s not done, %zu answer%s not out",
             run->drain_seconds, n_active, plural(n_active), n_answers, plural(n_answers));
}

/* Who still waits sees the connection close. An orderly end would have to wait for the step that is
 * being computed, which is what there is no time for.                                            */
static void end_drain(struct http_timer *timer)
{
    struct run *run = (struct run *)(void *)((char *)timer - offsetof(struct run, drain_end));
    say_what_is_left(run);
    _exit(APP_EXIT_INPUT);
}

/* On the network thread. */
static void begin_drain(struct http_post_node *node)
{
    struct run *run = (struct run *)(void *)((char *)node - offsetof(struct run, end_node));
    service_drain(run->service);
    run->drain_end.fn = end_drain;
    double seconds = run->drain_seconds;
    if (seconds >= 0)
        http_timer_set(run->http, &run->drain_end, seconds);
    run->drain.fn = look_whether_drained;
    look_whether_drained(&run->drain);
}

/* On the thread of the watch, as what follows. */
static void on_end(void *context, int number)
{
    struct run *run = context;
    if (!atomic_load(&run->serving)) /* a model is still being loaded: nothing is lost */
        _exit(128 + number);
    app_note(run->args->base.general.quiet,
             "auricle: finishing %zu requests, taking no new ones; ctrl-C again ends at once",
             service_active(run->service));
    app_notify_manager("STOPPING=1\nSTATUS=finishing what runs");
    if (run->grpc)
        api_grpc_drain(run->grpc);
    run->end_node.fn = begin_drain;
    http_post(run->http, &run->end_node);
}

static const char *environment(const char *name)
{
    return getenv(name);
}

#define ARGS(member) \
    offsetof(struct app_serve_args, member), sizeof(((struct app_serve_args *)NULL)->member)
/* What SIGHUP reads again. */
static const struct {
    const char *option;
    size_t offset, bytes;
} limits[] = {
    {"max-file-size", ARGS(limits.max_upload_bytes)},
    {"max-audio-seconds", ARGS(max_audio_seconds)},
    {"max-waiting", ARGS(limits.max_waiting)},
    {"max-reserved", ARGS(limits.max_reserved)},
    {"max-spool", ARGS(limits.max_spooled)},
    {"max-live", ARGS(limits.max_live)},
    {"live-idle", ARGS(live_idle_seconds)},
    {"live-resume", ARGS(live_resume_seconds)},
    {"drain-timeout", ARGS(drain_seconds)},
    {"models-loaded", ARGS(models_loaded)},
};

/* The default, where the command line says nothing. */
static void forget_settings(const struct run *run, struct app_serve_args *args)
{
    struct app_serve_args standard;
    app_serve_args_init(&standard);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (!app_options_given(app_serve_groups, run->parsed, limits[i].option))
            memcpy((char *)args + limits[i].offset, (const char *)&standard + limits[i].offset,
                   limits[i].bytes);
}

/* Limits as options, environment and configuration file say now; of *out they alone are good. */
static enum auricle_error read_limits(const struct run *run, struct app_serve_args *out,
                                      struct au_fault *fault)
{
    struct service_settings settings;
    *out = *run->args;
    forget_settings(run, out);
    enum auricle_error error = service_settings_load(run->args->base.general.config, environment,
                                                     &settings, fault);
    if (error)
        return error;
    error = app_options_from_settings(app_serve_groups, &settings, run->parsed->given, out, fault);
    service_settings_deinit(&settings);
    if (error)
        return error;
    return service_engines_check_max_loaded(service_engines_of(run->service), out->models_loaded,
                                            fault);
}

static void use_limits(struct run *run, const struct app_serve_args *args)
{
    service_set_limits(run->service, &args->limits, args->max_audio_seconds);
    service_engines_set_max_loaded(service_engines_of(run->service), args->models_loaded);
    run->api.live_idle_seconds = args->live_idle_seconds;
    run->api.live_resume_seconds = args->live_resume_seconds;
    run->drain_seconds = args->drain_seconds;
}

/* NULL without TLS. */
static enum auricle_error load_certificate(const struct app_serve_args *args,
                                           struct http_certificate **out, struct au_fault *fault)
{
    if (!args->tls_certificate)
        return AURICLE_OK;
    return http_certificate_load(args->tls_certificate, args->tls_key, out, fault);
}

/* gRPC reads the files itself: they are known to be good. */
static void use_certificate(struct run *run, struct http_certificate *certificate)
{
    struct au_fault fault = {0};
    if (!certificate)
        return;
    http_server_use_certificate(run->http, certificate);
    if (run->grpc && api_grpc_renew_certificate(run->grpc, &fault))
        app_error("gRPC keeps the certificate it has: %s", fault.text);
}

/* All or nothing. */
static void on_reload(void *context)
{
    struct run *run = context;
    if (!atomic_load(&run->serving))
        return;
    struct app_serve_args args;
    struct http_certificate *certificate = NULL;
    struct au_fault fault = {0};
    app_notify_manager("STATUS=reading keys, limits and certificates again");
    enum auricle_error error = read_limits(run, &args, &fault);
    if (!error)
        error = load_certificate(run->args, &certificate, &fault);
    if (!error)
        error = service_access_reload(run->access, &fault);
    if (error) {
        app_error("keys, limits and certificates stay as they were: %s", fault.text);
    } else {
        use_limits(run, &args);
        use_certificate(run, certificate);
        app_note(run->args->base.general.quiet,
                 "auricle: keys, limits and certificates were read again: %zu keys%s",
                 service_access_count(run->access), certificate ? ", TLS" : "");
    }
    http_certificate_unref(certificate);
    app_notify_manager("STATUS=serving");
}

/* ---- Where it may listen -------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Whether only this machine can reach that host. */
static enum auricle_error look_up(const char *host, bool *local, struct au_fault *fault)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    int failure = getaddrinfo(host, NULL, &hints, &list);
    if (failure)
        return au_fail(fault, AURICLE_E_INVALID, "--host %s: %s", host, gai_strerror(failure));
    *local = true;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        *local = *local && is_loopback(a->ai_addr);
    freeaddrinfo(list);
    return AURICLE_OK;
}

static enum auricle_error check_binding(const struct run *run, struct au_fault *fault)
{
    const struct app_serve_args *args = run->args;
    bool local = false;
    enum auricle_error error = look_up(args->host, &local, fault);
    if (error || local || args->insecure_bind || service_access_count(run->access))
        return error;
    return au_fail(
        fault, AURICLE_E_INVALID,
        "--host %s lets other machines use this server, and it asks for no API key: give "
        "it keys (--api-keys-file FILE, or AURICLE_API_KEYS), or say --insecure-bind if "
        "everybody may use it",
        args->host);
}

static enum auricle_error check_args(const struct app_serve_args *args,
                                     const struct app_parsed *parsed, struct au_fault *fault)
{
    if (parsed->n_operands)
        return au_fail(fault, AURICLE_E_INVALID, "serve takes options only, not \"%s\"",
                       parsed->operands[0]);
    if (!args->tls_certificate != !args->tls_key)
        return au_fail(fault, AURICLE_E_INVALID,
                       "--tls-cert and --tls-key go together: only one was given");
    if (args->spool_folder && access(args->spool_folder, W_OK | X_OK) != 0)
        return au_fail_errno(fault, errno, "--spool-folder %s: no file can be made there",
                             args->spool_folder);
    return AURICLE_OK;
}

/* ---- Making it ------------------------------------------------------------------------------ */

static enum auricle_error make_access(struct run *run, struct au_fault *fault)
{
    const struct service_access_config config = {
        .file = run->args->keys_file,
        .keys = service_settings_get(run->settings, "AURICLE_API_KEYS", NULL),
    };
    enum auricle_error error = service_access_create(&config, &run->access, fault);
    return error ? error : check_binding(run, fault);
}

static enum auricle_error find_model(struct run *run, struct au_fault *fault)
{
    const struct app_transcribe_args *args = &run->args->base;
    struct service_model_folders folders;
    if (service_model_folders_init(args->model_dir, &folders) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = app_transcribe_find_model(args, &folders, &run->model, fault);
    service_model_folders_deinit(&folders);
    return error;
}

static enum auricle_error make_service(struct run *run, struct au_fault *fault)
{
    const struct app_serve_args *args = run->args;
    struct service_config config = {
        .engines =
            {
                .model = run->model,
                .model_dir = args->base.model_dir,
                .vad_model = args->base.vad_model,
                .cache_folder = args->base.cache,
                .cache_bytes = args->base.cache_bytes,
                .threads = args->base.threads,
                .compute = (enum auricle_compute)args->base.compute,
                .cpu_level = args->base.cpu_level,
                .max_windows = args->base.batch_size,
                .max_beams = args->max_beams,
                .max_loaded = args->models_loaded,
                .max_bytes = args->model_budget_bytes,
                .ttl_seconds = args->model_ttl_seconds,
                .pinned = args->pinned,
            },
        .media = {.max_seconds = args->max_audio_seconds, .spool_folder = args->spool_folder},
        .limits = args->limits,
    };
    return service_create(&config, &run->service, fault);
}

static void add_routes(struct run *run, const struct http_route *routes)
{
    size_t n = 0;
    while (run->routes[n].path)
        n++;
    for (; routes->path && n < MAX_ROUTES; routes++)
        run->routes[n++] = *routes;
}

static enum auricle_error make_http(struct run *run, struct au_fault *fault)
{
    const struct app_serve_args *args = run->args;
    run->api.service = run->service;
    run->api.access = run->access;
    run->api.spool_folder = args->spool_folder;
    run->api.live_idle_seconds = args->live_idle_seconds;
    run->api.live_resume_seconds = args->live_resume_seconds;
    run->drain_seconds = args->drain_seconds;
    run->api.started_unix_s = au_wall_ms() / 1000;
    add_routes(run, api_ops_routes);
    if (args->rest) {
        add_routes(run, api_rest_routes);
        add_routes(run, api_web_routes);
    }
    if (args->websocket)
        add_routes(run, api_live_routes);
    enum auricle_error error = load_certificate(args, &run->certificate, fault);
    if (error)
        return error;
    const struct http_server_config config = {
        .host = args->host,
        .port = args->port,
        .certificate = run->certificate,
        .origins = args->n_origins ? args->origins : NULL,
        .routes = run->routes,
        .authorize = api_authorize,
        .leave = api_leave,
        .log = api_log,
        .refuse = api_refuse,
        .context = &run->api,
    };
    return http_server_create(&config, &run->http, fault);
}

static enum auricle_error let_in(void *context, const char *key, const char *peer, void **grant,
                                 double *retry_after_seconds, struct au_fault *fault)
{
    struct run *run = context;
    struct service_grant *given = NULL;
    enum auricle_error error = service_access_check(run->access, key, &given, retry_after_seconds,
                                                    fault);
    if (error)
        au_log(AU_LOG_WARN, "gRPC: %s refused: %s", peer ? peer : "-", fault ? fault->text : "");
    else
        *grant = given;
    return error;
}

static void see_out(void *context, void *grant)
{
    struct run *run = context;
    service_access_leave(run->access, grant);
}

/* Where gRPC was not asked for by name, a build without it is no mistake. */
static enum auricle_error make_grpc(struct run *run, struct au_fault *fault)
{
    const struct app_serve_args *args = run->args;
    if (args->grpc_port == 0)
        return AURICLE_OK;
    const struct api_grpc_config config = {
        .host = args->host,
        .port = args->grpc_port,
        .tls_certificate = args->tls_certificate,
        .tls_key = args->tls_key,
        .spool_folder = args->spool_folder,
        .authorize = let_in,
        .release = see_out,
        .context = run,
    };
    enum auricle_error error = api_grpc_start(&config, run->service, NULL, &run->grpc, fault);
    bool asked = app_options_given(app_serve_groups, run->parsed, "grpc-port") ||
                 service_settings_get(run->settings, "AURICLE_GRPC_PORT", NULL);
    if (error == AURICLE_E_UNSUPPORTED && !asked) {
        app_warn(args->base.general.quiet, "no gRPC: %s", fault->text);
        return AURICLE_OK;
    }
    if (error)
        au_fault_prefix(fault, "gRPC (--grpc-port 0 turns it off)");
    return error;
}

/* ---- Saying where it is --------------------------------------------------------------------- */

/* An address as it stands in a URL; one that means "all" is shown as one that can be used. */
static void put_host(char out[80], const char *host)
{
    bool all = au_str_equal(host, "0.0.0.0") || au_str_equal(host, "::");
    bool v6 = strchr(host, ':') != NULL;
    snprintf(out, 80, "%s%.70s%s", v6 && !all ? "[" : "", all ? "localhost" : host,
             v6 && !all ? "]" : "");
}

static void say_where(const struct run *run)
{
    const struct app_serve_args *args = run->args;
    bool quiet = args->base.general.quiet;
    const struct service_machine *m = service_engines_machine(service_engines_of(run->service));
    const char *scheme = args->tls_certificate ? "https" : "http";
    int port = http_server_port(run->http);
    size_t n_keys = service_access_count(run->access);
    char host[80];
    put_host(host, args->host);
    app_note(quiet, "auricle %s: model %s (%s, %s, %d threads, %.1f MB), voice activity by %s%s",
             auricle_version(), m->model, m->compute, m->cpu_level, m->threads,
             (double)m->weight_bytes / 1e6, m->detector[0] ? "the model " : "",
             m->detector[0] ? m->detector : "loudness");
    app_note(quiet, "listening on %s://%s:%d%s; %s", scheme, host, port,
             au_str_equal(args->host, "0.0.0.0") || au_str_equal(args->host, "::")
                 ? " (all addresses)"
                 : "",
             n_keys ? "an API key is asked for" : "no API key is asked for");
    if (run->grpc)
        app_note(quiet, "gRPC on %s:%d", host, api_grpc_port(run->grpc));
    if (args->rest)
        app_note(quiet,
                 "try: curl %s://%s:%d/v1/audio/transcriptions %s-F model=whisper-1 -F "
                 "file=@talk.mp3",
                 scheme, host, port, n_keys ? "-H \"Authorization: Bearer $KEY\" " : "");
}

static void on_summary(struct http_timer *timer)
{
    struct run *run = (struct run *)(void *)((char *)timer - offsetof(struct run, summary));
    service_metrics_log(service_metrics_of(run->service));
    http_timer_set(run->http, timer, SUMMARY_SECONDS);
}

static enum auricle_error serve(struct run *run, struct au_fault *fault)
{
    atomic_store(&run->serving, true);
    say_where(run);
    app_notify_manager("READY=1");
    run->summary.fn = on_summary;
    if (run->args->base.general.timings)
        http_timer_set(run->http, &run->summary, SUMMARY_SECONDS);
    enum auricle_error error = http_server_run(run->http, fault);
    if (run->args->base.general.timings)
        service_metrics_log(service_metrics_of(run->service));
    if (!error)
        app_note(run->args->base.general.quiet, "auricle: everything is finished");
    return error;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static int make_and_serve(struct run *run)
{
    const struct app_watch_calls calls = {.context = run, .end = on_end, .reload = on_reload};
    struct au_fault fault = {0};
    int code = APP_EXIT_USAGE;
    enum auricle_error error = check_args(run->args, run->parsed, &fault);
    if (!error)
        error = make_access(run, &fault);
    if (!error) {
        error = find_model(run, &fault); /* may load it from the network, and be interrupted */
        code = error ? APP_EXIT_MODEL : code;
    }
    if (error == AURICLE_E_CANCELLED && app_interrupted())
        code = app_interrupted();
    if (!error) {
        app_watch_block();
        error = app_watch_create(&calls, &run->watch, &fault);
    }
    if (!error) {
        error = make_service(run, &fault);
        code = error ? APP_EXIT_MODEL : code;
    }
    if (!error)
        error = make_http(run, &fault);
    if (!error)
        error = make_grpc(run, &fault);
    if (!error)
        error = serve(run, &fault);
    if (error)
        app_error("%s", fault.text);
    app_watch_destroy(run->watch);
    http_server_destroy(run->http);
    http_certificate_unref(run->certificate);
    api_grpc_stop(run->grpc);
    service_destroy(run->service);
    service_access_destroy(run->access);
    au_free(run->model);
    return error ? code : APP_EXIT_OK;
}

/* A request holds several descriptors, a connection with TLS three: the customary 1024 are soon
 * gone. Nothing here uses select, which is what the soft limit protects.                         */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_serve(const struct app_command *self, int argc, char **argv)
{
    struct app_serve_args args;
    struct app_parsed parsed;
    struct service_settings settings;
    int code;
    struct run *run = au_calloc(1, sizeof *run);
    if (!run) {
        app_error("out of memory");
        return APP_EXIT_MODEL;
    }
    app_serve_args_init(&args);
    if (app_begin(self, argc, argv, &args, &settings, &parsed, &code)) {
        args.base.settings = &settings;
        run->args = &args;
        run->parsed = &parsed;
        run->settings = &settings;
        allow_descriptors();
        code = make_and_serve(run);
        service_settings_deinit(&settings);
    }
    au_free(run);
    return code;
}

const struct app_command app_command_serve = {
    .name = "serve",
    .summary = "serve transcription over HTTP and gRPC",
    .operands = "",
    .about = "Serves OpenAI's transcription interface, whisper.cpp's /inference, a page at / and "
             "gRPC, from one copy of the model. SIGTERM and ctrl-C finish what runs; SIGHUP reads "
             "keys, limits and certificates again. docs/SERVER.md says more.",
    .examples = "  auricle serve\n"
                "  auricle serve --model base --host 0.0.0.0 --api-keys-file keys.txt\n",
    .groups = app_serve_groups,
    .notes = "Exit codes:\n"
             "    0  asked to end, and everything that ran was finished\n"
             "    1  asked to end, and some of it was not finished in time (--drain-timeout)\n"
             "    2  an option or setting is wrong, or the address cannot be listened on\n"
             "    3  the model was not found or cannot be used, or the service cannot start\n"
             "  130  ended at once by a second ctrl-C (143: by SIGTERM)\n",
    .run = run_serve,
};
