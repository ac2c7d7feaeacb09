/* A server whose gRPC is real and whose service is made up: grpc_fake MODULE [--waiting N]
 * [--reserved BYTES] [--key KEY] [--patience MS] [--certificate FILE --tls-key FILE].
 *
 * Prints "port N" when it serves. What a request does is said by the name of its model: "echo"
 * (the default) answers with what arrived, "many:N" with N segments, "wait" with one segment and
 * then nothing until it is cancelled, "fail:CODE" with an error; for live audio "flood:N" tells
 * N partials at every piece of audio, "sips" takes audio in small sips. Lines on standard input
 * are commands: drain, stuck, stop; standard output tells what happened ("cancelled",
 * "detached", "waiting 0"), so that tests wait for words and never for time.
 * tests/service/test_grpc.py drives it.                                                          */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/grpc/grpc_front.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define MOST_SPOOLED 40000000 /* bytes */

struct service {
    pthread_mutex_t lock;
    int waiting, max_waiting;
    uint64_t reserved, max_reserved, max_upload;
    const char *key;
    atomic_bool draining, stuck;
};

struct service_ticket {
    struct service *service;
    uint64_t bytes;
};

struct service_request {
    struct service *service;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool cancelled, released, done;
    struct service_sink sink;
    struct service_ticket *ticket;
    char model[64], name[64];
    int fd;
};

static void say(const char *what, int64_t value)
{
    printf("%s %lld\n", what, (long long)value);
    fflush(stdout);
}

/* ---- Admission ------------------------------------------------------------------------------- */

static enum auricle_error reserve(struct service *s, uint64_t bytes, int places,
                                  struct au_fault *fault)
{
    pthread_mutex_lock(&s->lock);
    bool full = s->waiting + places > s->max_waiting || s->reserved + bytes > s->max_reserved;
    if (!full) {
        s->waiting += places;
        s->reserved += bytes;
    }
    pthread_mutex_unlock(&s->lock);
    return full ? au_fail(fault, AURICLE_E_LIMIT, "the server is full") : AURICLE_OK;
}

static enum auricle_error fake_admit(struct service *s, uint64_t bytes, struct service_ticket **out,
                                     double *retry_after, struct au_fault *fault)
{
    *retry_after = 1.5;
    enum auricle_error error = reserve(s, bytes, 1, fault);
    if (error)
        return error;
    struct service_ticket *ticket = au_calloc(1, sizeof *ticket);
    *ticket = (struct service_ticket){.service = s, .bytes = bytes};
    *out = ticket;
    return AURICLE_OK;
}

static enum auricle_error fake_grow(struct service_ticket *ticket, uint64_t more,
                                    struct au_fault *fault)
{
    enum auricle_error error = reserve(ticket->service, more, 0, fault);
    if (!error)
        ticket->bytes += more;
    return error;
}

static enum auricle_error fake_spool(struct service_ticket *ticket, uint64_t more,
                                     struct au_fault *fault)
{
    (void)ticket;
    return more > MOST_SPOOLED ? au_fail(fault, AURICLE_E_AGAIN, "no room on the disk")
                               : AURICLE_OK;
}

static void fake_release_ticket(struct service_ticket *ticket)
{
    if (!ticket)
        return;
    struct service *s = ticket->service;
    pthread_mutex_lock(&s->lock);
    s->waiting--;
    s->reserved -= ticket->bytes;
    bool none = s->waiting == 0 && s->reserved == 0;
    pthread_mutex_unlock(&s->lock);
    au_free(ticket);
    if (none)
        say("waiting", 0);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static enum auricle_error code_named(const char *name)
{
    for (int code = -1; code >= AURICLE_E_CLOSED_PIPE; code--)
        if (au_str_equal(auricle_error_name((enum auricle_error)code), name))
            return (enum auricle_error)code;
    return AURICLE_E_INVALID;
}

/* "3 bytes, sum 294": what arrived, in order and whole. */
static void describe(int fd, char *out, size_t n_out)
{
    unsigned char bytes[65536];
    uint64_t sum = 0, total = 0;
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++)
            sum += bytes[i] * (++total % 251 + 1);
    snprintf(out, n_out, "%llu bytes, sum %llu", (unsigned long long)total,
             (unsigned long long)sum);
}

static void tell_segments(const struct service_request *r, int64_t n)
{
    const struct auricle_segment segment = {
        .text = " a segment", .start = 1, .end = 2, .language = "en"};
    for (int64_t i = 0; i < n && r->sink.on_segment; i++) {
        r->sink.on_segment(r->sink.context, &segment);
        r->sink.on_progress(r->sink.context, (double)i, (double)n);
    }
}

static void wait_for_cancel(struct service_request *r)
{
    pthread_mutex_lock(&r->lock);
    while (!r->cancelled)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

/* The request goes with the second of its two owners: the thread, and whoever started it. */
static void let_go(struct service_request *r, bool *flag)
{
    pthread_mutex_lock(&r->lock);
    *flag = true;
    bool over = r->done && r->released;
    pthread_mutex_unlock(&r->lock);
    if (!over)
        return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    au_free(r);
}

static void *run_request(void *context)
{
    struct service_request *r = context;
    const struct auricle_word words[] = {
        {.text = " a", .start = 1, .end = 1.5, .probability = 0.5f},
        {.text = " segment", .start = 1.5, .end = 2}};
    const struct auricle_segment kept = {
        .text = " a segment", .start = 1, .end = 2, .language = "en", .words = words, .n_words = 2};
    const struct auricle_segment dropped = {.text = " thanks for watching",
                                            .filtered_by = "phrase"};
    char text[128] = "";
    struct auricle_segment *copies = NULL;
    struct auricle_result result = {.text = text,
                                    .language = "en",
                                    .language_probability = 0.75f,
                                    .duration = 2.5,
                                    .segments = &kept,
                                    .n_segments = 1,
                                    .filtered = &dropped,
                                    .n_filtered = 1};
    struct service_outcome outcome = {
        .result = &result, .model = r->model, .media = {.container = "WAV", .rate_hz = 16000}};
    int64_t n = 1;
    if (r->sink.on_started)
        r->sink.on_started(r->sink.context);
    if (au_str_equal(r->model, "wait")) {
        tell_segments(r, 1);
        say("running", 1);
        wait_for_cancel(r);
        outcome = (struct service_outcome){.error = AURICLE_E_CANCELLED, .sentence = "cancelled"};
        say("cancelled", au_now_ns() / 1000000);
    } else if (au_str_starts(r->model, "fail:")) {
        outcome = (struct service_outcome){.error = code_named(r->model + 5),
                                           .sentence = "\xc3\xa4 sentence"};
    } else {
        describe(r->fd, text, sizeof text);
        if (au_str_starts(r->model, "many:") && !au_parse_i64(r->model + 5, &n))
            n = 1;
        tell_segments(r, n);
        copies = au_alloc_array((size_t)n, sizeof *copies);
        for (int64_t i = 0; i < n; i++)
            copies[i] = kept;
        result.segments = copies;
        result.n_segments = (size_t)n;
    }
    close(r->fd);
    fake_release_ticket(r->ticket);
    r->sink.on_done(r->sink.context, &outcome);
    au_free(copies);
    let_go(r, &r->done);
    return NULL;
}

static enum auricle_error fake_start(struct service *s, const struct service_request_spec *spec,
                                     const struct service_sink *sink, struct service_request **out,
                                     struct au_fault *fault)
{
    const char *model = spec->model ? spec->model : "echo";
    if (au_str_equal(model, "none")) {
        close(spec->fd);
        fake_release_ticket(spec->ticket);
        return au_fail(fault, AURICLE_E_NOT_FOUND, "no model none; there is echo");
    }
    struct service_request *r = au_calloc(1, sizeof *r);
    r->service = s;
    r->sink = *sink;
    r->ticket = spec->ticket;
    r->fd = spec->fd;
    au_str_copy(r->model, sizeof r->model, model);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    *out = r;
    pthread_create(&r->thread, NULL, run_request, r);
    pthread_detach(r->thread);
    return AURICLE_OK;
}

static void fake_cancel(struct service_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->cancelled = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void fake_release(struct service_request *r)
{
    let_go(r, &r->released);
}

/* ---- Live ------------------------------------------------------------------------------------ */

struct service_live {
    struct service_live_sink sink;
    int64_t n_flood; /* partials at every piece of audio */
    bool sips, refuse;
    uint64_t heard;
    int64_t n_finals;
    char text[4096];
};

static void tell(struct service_live *live, enum auricle_stream_kind kind, size_t n_stable)
{
    snprintf(live->text, sizeof live->text, " %llu bytes", (unsigned long long)live->heard);
    if (live->n_flood) { /* long ones fill what a client does not read */
        size_t n = strlen(live->text);
        memset(live->text + n, '.', sizeof live->text - 1 - n);
        live->text[sizeof live->text - 1] = 0;
    }
    const struct auricle_segment segment = {
        .text = live->text, .end = (double)live->heard, .language = "en"};
    const struct auricle_stream_event event = {.kind = kind,
                                               .end = (double)live->heard,
                                               .text = live->text,
                                               .n_stable = n_stable,
                                               .segment = kind == AURICLE_STREAM_FINAL ? &segment
                                                                                       : NULL,
                                               .language = "en",
                                               .end_of_speech = true};
    live->n_finals += kind == AURICLE_STREAM_FINAL;
    live->sink.on_event(live->sink.context, &event,
                        kind == AURICLE_STREAM_FINAL ? live->n_finals : 0);
}

static enum auricle_error fake_open(struct service *s, const struct service_live_spec *spec,
                                    const struct service_live_sink *sink, struct service_live **out,
                                    double *retry_after, struct au_fault *fault)
{
    *retry_after = 2;
    enum auricle_error error = reserve(s, 0, 1, fault);
    if (error)
        return error;
    struct service_live *live = au_calloc(1, sizeof *live);
    live->sink = *sink;
    live->sips = au_str_equal(spec->model, "sips");
    if (spec->model && au_str_starts(spec->model, "flood:") &&
        !au_parse_i64(spec->model + 6, &live->n_flood))
        live->n_flood = 1;
    say("opened with resume", (int64_t)spec->resume_seconds);
    pthread_mutex_lock(&s->lock);
    s->waiting--;
    pthread_mutex_unlock(&s->lock);
    *out = live;
    return AURICLE_OK;
}

static const char *fake_id(const struct service_live *live)
{
    (void)live;
    return "0123456789abcdef";
}

static enum auricle_error fake_feed(struct service_live *live, const uint8_t *bytes, size_t n,
                                    size_t *taken, struct au_fault *fault)
{
    if (n > 0 && bytes[0] == 0xee)
        return au_fail(fault, AURICLE_E_FORMAT, "this is not audio");
    *taken = n;
    if (live->sips) {
        live->refuse = !live->refuse;
        *taken = live->refuse ? 0 : n < 1000 ? n : 1000;
    }
    if (live->heard == 0)
        tell(live, AURICLE_STREAM_SPEECH_STARTED, 0);
    live->heard += *taken;
    for (int64_t i = 0; i < (live->n_flood ? live->n_flood : 1); i++)
        tell(live, AURICLE_STREAM_PARTIAL, 3);
    if (live->n_flood)
        tell(live, AURICLE_STREAM_FINAL, 0);
    return AURICLE_OK;
}

static void fake_finalize(struct service_live *live)
{
    tell(live, AURICLE_STREAM_FINAL, 0);
    tell(live, AURICLE_STREAM_FLUSHED, 0);
}

static void fake_close(struct service_live *live)
{
    tell(live, AURICLE_STREAM_FINAL, 0);
    tell(live, AURICLE_STREAM_SPEECH_ENDED, 0);
    live->sink.on_done(live->sink.context, AURICLE_OK, NULL, (double)live->heard);
}

static void fake_detach(struct service_live *live)
{
    say("detached", (int64_t)live->heard);
    au_free(live);
}

static void fake_abort(struct service_live *live)
{
    say("aborted", (int64_t)live->heard);
    au_free(live);
}

static enum auricle_error fake_attach(struct service *s, const char *id,
                                      const struct service_live_sink *sink,
                                      struct service_live **out, struct au_fault *fault)
{
    (void)s;
    if (!au_str_equal(id, "0123456789abcdef"))
        return au_fail(fault, AURICLE_E_NOT_FOUND, "no session %s", id);
    struct service_live *live = au_calloc(1, sizeof *live);
    live->sink = *sink;
    *out = live;
    return AURICLE_OK;
}

/* ---- The rest -------------------------------------------------------------------------------- */

static bool fake_draining(const struct service *s)
{
    return atomic_load(&s->draining);
}

static struct service_limits fake_limits(const struct service *s)
{
    return (struct service_limits){.max_upload_bytes = s->max_upload};
}

static bool fake_progress(const struct service *s, struct au_fault *why)
{
    (void)why;
    return !atomic_load(&s->stuck);
}

static enum auricle_error fake_models(struct service *s, struct service_engine_entry **out,
                                      size_t *n)
{
    (void)s;
    *out = au_calloc(2, sizeof **out);
    au_str_copy((*out)[0].name, sizeof(*out)[0].name, "echo");
    (*out)[0].is_default = true;
    au_str_copy((*out)[1].name, sizeof(*out)[1].name, "wait");
    (*out)[1].bytes = (uint64_t)3 << 32;
    *n = 2;
    return AURICLE_OK;
}

static void fake_count(struct service_metrics *metrics, enum service_counter counter, uint64_t n)
{
    (void)metrics;
    (void)counter;
    (void)n;
}

static void fake_count_request(struct service_metrics *metrics, enum service_protocol protocol)
{
    (void)metrics;
    (void)protocol;
}

static void fake_count_error(struct service_metrics *metrics, enum service_protocol protocol,
                             enum auricle_error cause)
{
    (void)metrics;
    (void)protocol;
    (void)cause;
}

static enum auricle_error authorize(void *context, const char *key, const char *peer, void **grant,
                                    double *retry_after, struct au_fault *fault)
{
    const struct service *s = context;
    (void)peer;
    *retry_after = 3;
    if (au_str_equal(key, "busy"))
        return au_fail(fault, AURICLE_E_LIMIT, "too many requests with this key");
    if (!au_str_equal(key, s->key))
        return au_fail(fault, AURICLE_E_INVALID, "a key is needed");
    *grant = context;
    return AURICLE_OK;
}

static void release_grant(void *context, void *grant)
{
    if (context == grant)
        say("released", 1);
}

static const struct api_grpc_host functions = {
    .size = sizeof(struct api_grpc_host),
    .draining = fake_draining,
    .limits = fake_limits,
    .making_progress = fake_progress,
    .models = fake_models,
    .admit = fake_admit,
    .ticket_grow = fake_grow,
    .ticket_spool = fake_spool,
    .ticket_release = fake_release_ticket,
    .request_start = fake_start,
    .request_cancel = fake_cancel,
    .request_release = fake_release,
    .live_open = fake_open,
    .live_session_id = fake_id,
    .live_feed = fake_feed,
    .live_finalize = fake_finalize,
    .live_close = fake_close,
    .live_detach = fake_detach,
    .live_attach = fake_attach,
    .live_abort = fake_abort,
    .options_default = auricle_options_default,
    .options_strict = auricle_options_strict,
    .options_reference = auricle_options_reference,
    .count = fake_count,
    .count_request = fake_count_request,
    .count_error = fake_count_error,
    .log_enabled = au_log_enabled,
    .log = au_log,
    .log_with = au_log_with,
};

static bool set_option(const char *name, const char *value, struct service *s,
                       struct api_grpc_config *config)
{
    int64_t number = 0;
    if (au_str_equal(name, "--key")) {
        s->key = value;
        config->authorize = authorize;
        config->release = release_grant;
        config->context = s;
        return true;
    }
    if (au_str_equal(name, "--certificate"))
        return (config->tls_certificate = value) != NULL;
    if (au_str_equal(name, "--tls-key"))
        return (config->tls_key = value) != NULL;
    if (au_str_equal(name, "--host"))
        return (config->host = value) != NULL;
    if (!au_parse_i64(value, &number))
        return false;
    if (au_str_equal(name, "--waiting"))
        s->max_waiting = (int)number;
    else if (au_str_equal(name, "--reserved"))
        s->max_reserved = (uint64_t)number;
    else if (au_str_equal(name, "--upload"))
        s->max_upload = (uint64_t)number;
    else if (au_str_equal(name, "--port"))
        config->port = (int)number;
    else if (au_str_equal(name, "--message"))
        config->max_message_bytes = (size_t)number;
    else if (au_str_equal(name, "--patience"))
        config->message_seconds = (double)number * 1e-3;
    else if (au_str_equal(name, "--buffered"))
        config->max_buffered_bytes = (uint64_t)number;
    else
        return false;
    return true;
}

static void obey(struct service *s, const struct api_grpc_module *module, struct rpc_server *server)
{
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        if (au_str_starts(line, "drain")) {
            atomic_store(&s->draining, true);
            module->drain(server);
        } else if (au_str_starts(line, "stuck")) {
            atomic_store(&s->stuck, true);
        } else if (au_str_starts(line, "stop")) {
            break;
        }
    }
}

int main(int argc, char **argv)
{
    struct service s = {.max_waiting = 256,
                        .max_reserved = (uint64_t)2 << 30,
                        .max_upload = (uint64_t)500 * 1000 * 1000};
    pthread_mutex_init(&s.lock, NULL);
    struct api_grpc_config config = {.host = "127.0.0.1"};
    for (int i = 2; i + 1 < argc; i += 2)
        if (!set_option(argv[i], argv[i + 1], &s, &config)) {
            fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        }
    au_log_init(AU_LOG_WARN);
    struct au_fault fault = {0};
    const struct api_grpc_module *module = NULL;
    struct rpc_server *server = NULL;
    struct api_grpc_host host = functions;
    host.service = &s;
    if (argc < 2 || api_grpc_load(argv[1], &module, &fault) ||
        module->create(&config, &host, &server, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    say("port", module->port(server));
    obey(&s, module, server);
    module->destroy(server);
    say("stopped", 1);
    return 0;
}
