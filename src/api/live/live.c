/* /v1/stream: one connection, one live session of the service.
 *
 * The connection belongs to the network thread. Events come on the scheduler's: they are written as
 * text there and put in a mail box under a lock; a post brings them over. Of partial results only
 * the newest matters: one in the box, or one held back because the client reads slowly, gives way
 * to the next event. Nothing else is ever dropped. Audio that the session cannot take yet is kept,
 * and the client is held back by not reading from it.
 *
 * A connection lives until its socket is closed, its session given back, and no post is under
 * way. */
#include "api/live/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "api/api.h"
#include "api/live/live_config.h"
#include "api/live/live_events.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/metrics/metrics.h"
#include "service/work/live.h"

#define RETRY_SECONDS     0.05        /* to feed what was not taken */
#define SLOW_BYTES        (16 * 1024) /* not yet sent: partial results wait */
#define MAX_PENDING_BYTES ((size_t)4 << 20)
#define MAX_REASON_BYTES  123

struct mail {
    struct mail *next;
    bool partial;
    size_t n;
    char text[];
};

struct live_connection {
    struct http_server *server;
    struct http_socket *socket; /* NULL: not yet, or closed */
    const struct api *api;
    struct live_config config;
    struct service_live *live; /* NULL: not open yet, or given back */
    char request_id[SERVICE_ID_BYTES];
    bool configured;       /* by the query or a first message */
    bool ending;           /* the client's last audio has come */
    bool failed;           /* an Error was sent, the socket is closing */
    struct mail *held;     /* the newest partial, while the client reads slowly */
    struct au_buf pending; /* audio not yet taken */
    bool finalize_pending; /* after it */
    struct http_timer idle, retry;
    _Atomic int n_finalizing; /* Finalize messages that are not answered */
    double last_word_end;     /* of the utterance; negative: no word yet. Scheduler's thread */

    pthread_mutex_t lock; /* guards what follows */
    struct mail *first, *last;
    bool posted; /* node is under way */
    bool lost;   /* an event could not be written for want of memory */
    bool done;   /* the session's last call came */
    enum auricle_error error;
    char sentence[AU_FAULT_TEXT_BYTES];
    double audio_seconds;
    struct http_post_node node;
};

static void restart_idle(struct live_connection *connection)
{
    http_timer_set(connection->server, &connection->idle, connection->api->live_idle_seconds);
}

/* ---- From the scheduler's thread ------------------------------------------------------------- */

/* The lock is held. */
static void post(struct live_connection *connection)
{
    if (connection->posted)
        return;
    connection->posted = true;
    http_post(connection->server, &connection->node);
}

static struct mail *write_mail(const struct live_connection *connection,
                               const struct auricle_stream_event *event, int64_t n_final,
                               bool from_finalize)
{
    const struct live_voice voice = {.request_id = connection->request_id,
                                     .model = connection->config.model,
                                     .vad_events = connection->config.vad_events,
                                     .from_finalize = from_finalize,
                                     .n_final = n_final,
                                     .last_word_end = connection->last_word_end};
    struct au_buf text;
    struct mail *mail = NULL;
    au_buf_init(&text, 0);
    live_write_event(&text, event, &voice);
    if (!text.error)
        mail = au_alloc(sizeof(*mail) + text.len + 1);
    if (mail) {
        *mail = (struct mail){.partial = event->kind == AURICLE_STREAM_PARTIAL, .n = text.len};
        memcpy(mail->text, text.data, text.len + 1);
    }
    au_buf_deinit(&text);
    return mail;
}

static void put_mail(struct live_connection *connection, struct mail *mail)
{
    struct mail **link = &connection->first;
    while (*link && !((*link)->partial && !(*link)->next))
        link = &(*link)->next;
    au_free(*link); /* the last one, a partial */
    *link = connection->last = mail;
}

static void note_words(struct live_connection *connection, const struct auricle_stream_event *event)
{
    const struct auricle_segment *segment = event->segment;
    if (event->kind == AURICLE_STREAM_SPEECH_ENDED)
        connection->last_word_end = -1;
    else if (event->kind == AURICLE_STREAM_FINAL)
        connection->last_word_end = segment && segment->n_words
                                        ? segment->words[segment->n_words - 1].end
                                        : event->end;
}

static void on_event(void *context, const struct auricle_stream_event *event, int64_t n_final)
{
    struct live_connection *connection = context;
    bool flushed = event->kind == AURICLE_STREAM_FLUSHED;
    bool finalizing = atomic_load(&connection->n_finalizing) > 0;
    struct mail *mail;
    if (event->kind == AURICLE_STREAM_PARTIAL && !connection->config.interim_results)
        return;
    if (flushed && finalizing)
        atomic_fetch_sub(&connection->n_finalizing, 1);
    mail = write_mail(connection, event, n_final,
                      flushed || (finalizing && event->kind == AURICLE_STREAM_FINAL));
    note_words(connection, event);
    pthread_mutex_lock(&connection->lock);
    if (mail && mail->n)
        put_mail(connection, mail);
    else
        au_free(mail);
    connection->lost |= !mail && event->kind != AURICLE_STREAM_PARTIAL;
    post(connection);
    pthread_mutex_unlock(&connection->lock);
}

static void on_done(void *context, enum auricle_error error, const char *sentence,
                    double audio_seconds)
{
    struct live_connection *connection = context;
    pthread_mutex_lock(&connection->lock);
    connection->done = true;
    connection->error = error;
    au_str_copy(connection->sentence, sizeof(connection->sentence), sentence ? sentence : "");
    connection->audio_seconds = audio_seconds;
    post(connection);
    pthread_mutex_unlock(&connection->lock);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void free_mail(struct mail *mail)
{
    while (mail) {
        struct mail *next = mail->next;
        au_free(mail);
        mail = next;
    }
}

static void destroy(struct live_connection *connection)
{
    http_timer_cancel(connection->server, &connection->idle);
    http_timer_cancel(connection->server, &connection->retry);
    free_mail(connection->first);
    free_mail(connection->held);
    au_buf_deinit(&connection->pending);
    live_config_deinit(&connection->config);
    pthread_mutex_destroy(&connection->lock);
    au_free(connection);
}

static void send_buf(struct live_connection *connection, const struct au_buf *text)
{
    if (connection->socket && !text->error)
        http_socket_text(connection->socket, text->data, text->len);
}

static void close_socket(struct live_connection *connection, int code, const char *sentence)
{
    char reason[MAX_REASON_BYTES + 1];
    au_str_copy(reason, sizeof(reason), sentence);
    http_timer_cancel(connection->server, &connection->idle);
    http_timer_cancel(connection->server, &connection->retry);
    connection->failed = true;
    if (connection->socket)
        http_socket_close(connection->socket, code, reason);
}

static void say_error(struct live_connection *connection, const char *code, const char *sentence)
{
    struct au_buf text;
    au_buf_init(&text, 0);
    live_write_error(&text, code, sentence);
    send_buf(connection, &text);
    au_buf_deinit(&text);
}

static struct service_metrics *metrics_of(const struct live_connection *connection)
{
    return service_metrics_of(connection->api->service);
}

static int close_code_of(enum auricle_error error)
{
    switch (error) {
    case AURICLE_E_FORMAT:
    case AURICLE_E_UNSUPPORTED:
    case AURICLE_E_NO_AUDIO: return 1007;
    case AURICLE_E_INVALID:
    case AURICLE_E_NOT_FOUND: return 1008;
    case AURICLE_E_AGAIN:
    case AURICLE_E_LIMIT: return 1013;
    default: return 1011;
    }
}

/* Say what is wrong, and end it all: the session too. */
static void fail(struct live_connection *connection, enum auricle_error cause, const char *code,
                 const char *sentence)
{
    if (connection->failed)
        return;
    service_count_error(metrics_of(connection), SERVICE_WEBSOCKET, cause);
    say_error(connection, code, sentence);
    close_socket(connection, close_code_of(cause), sentence);
    if (connection->live)
        service_live_abort(connection->live);
    connection->live = NULL;
}

static void fail_with(struct live_connection *connection, enum auricle_error error,
                      const char *sentence)
{
    fail(connection, error, api_error_of(error, sentence).code, sentence);
}

/* The newest partial waits while much is unsent; what follows it takes its place. */
static void send_mail(struct live_connection *connection, struct mail *mail)
{
    if (connection->held)
        service_count(metrics_of(connection), SERVICE_COUNT_PARTIALS_DROPPED, 1);
    au_free(connection->held);
    connection->held = NULL;
    if (mail->partial && http_socket_backlog(connection->socket) > SLOW_BYTES) {
        connection->held = mail;
        return;
    }
    http_socket_text(connection->socket, mail->text, mail->n);
    au_free(mail);
}

static void on_drained(struct http_socket *socket)
{
    struct live_connection *connection = http_socket_state(socket);
    struct mail *held = connection->held;
    connection->held = NULL;
    if (held)
        send_mail(connection, held);
}

static void send_open(struct live_connection *connection, bool resumed)
{
    const struct live_opened opened = {.request_id = connection->request_id,
                                       .session_id = service_live_session_id(connection->live),
                                       .resumed = resumed,
                                       .resume_seconds = connection->api->live_resume_seconds};
    struct au_buf text;
    au_buf_init(&text, 0);
    live_write_open(&text, &opened);
    send_buf(connection, &text);
    au_buf_deinit(&text);
}

static void send_end(struct live_connection *connection)
{
    struct au_buf text;
    if (connection->error) {
        fail_with(connection, connection->error, connection->sentence);
        return;
    }
    au_buf_init(&text, 0);
    live_write_metadata(&text, connection->request_id, service_live_session_id(connection->live),
                        connection->audio_seconds, connection->config.channels);
    send_buf(connection, &text);
    au_buf_deinit(&text);
    close_socket(connection, 1000, "everything was heard");
}

static void feed_pending(struct live_connection *connection);

static void on_post(struct http_post_node *node)
{
    size_t at = offsetof(struct live_connection, node);
    struct live_connection *connection = (struct live_connection *)(void *)((char *)node - at);
    struct mail *list;
    bool done, lost;
    pthread_mutex_lock(&connection->lock);
    list = connection->first;
    connection->first = connection->last = NULL;
    connection->posted = false;
    done = connection->done;
    lost = connection->lost;
    pthread_mutex_unlock(&connection->lock);
    if (!connection->socket) {
        free_mail(list);
        destroy(connection);
        return;
    }
    while (list) {
        struct mail *mail = list;
        list = mail->next;
        mail->next = NULL;
        send_mail(connection, mail);
    }
    if (connection->failed)
        return;
    if (lost)
        fail_with(connection, AURICLE_E_NOMEM, "the server has no memory for this session");
    else if (done)
        send_end(connection);
    else if (connection->pending.len)
        feed_pending(connection);
}

/* ---- Audio ----------------------------------------------------------------------------------- */

static void finalize(struct live_connection *connection)
{
    connection->finalize_pending = false;
    atomic_fetch_add(&connection->n_finalizing, 1);
    service_live_finalize(connection->live);
}

static void feed_pending(struct live_connection *connection)
{
    struct au_buf *pending = &connection->pending;
    struct au_fault fault = {0};
    size_t n_taken = 0;
    enum auricle_error error = service_live_feed(connection->live, (const uint8_t *)pending->data,
                                                 pending->len, &n_taken, &fault);
    if (error) {
        fail_with(connection, error, fault.text);
        return;
    }
    pending->len -= n_taken;
    memmove(pending->data, pending->data + n_taken, pending->len);
    if (pending->len) {
        http_socket_pause(connection->socket, true);
        http_timer_set(connection->server, &connection->retry, RETRY_SECONDS);
        return;
    }
    if (connection->finalize_pending)
        finalize(connection);
    if (connection->ending)
        service_live_close(connection->live);
    http_socket_pause(connection->socket, false);
}

static void on_retry(struct http_timer *timer)
{
    size_t at = offsetof(struct live_connection, retry);
    struct live_connection *connection = (struct live_connection *)(void *)((char *)timer - at);
    if (connection->pending.len) /* news of the session may have been quicker */
        feed_pending(connection);
}

static void take_audio(struct live_connection *connection, const uint8_t *data, size_t n)
{
    struct au_fault fault = {0};
    size_t n_taken = 0;
    enum auricle_error error = AURICLE_OK;
    if (connection->pending.len == 0)
        error = service_live_feed(connection->live, data, n, &n_taken, &fault);
    if (error) {
        fail_with(connection, error, fault.text);
        return;
    }
    if (n_taken == n)
        return;
    if (au_buf_append(&connection->pending, data + n_taken, n - n_taken)) {
        fail_with(connection, AURICLE_E_NOMEM, "the server has no memory for this audio");
        return;
    }
    http_socket_pause(connection->socket, true);
    http_timer_set(connection->server, &connection->retry, RETRY_SECONDS);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static enum auricle_error open_session(struct live_connection *connection, double *retry_after,
                                       struct au_fault *fault)
{
    const struct live_config *config = &connection->config;
    const struct service_live_sink sink = {connection, on_event, on_done};
    const struct service_live_spec spec = {.id = connection->request_id,
                                           .model = config->model,
                                           .options = &config->options,
                                           .stream = &config->stream,
                                           .raw = config->raw,
                                           .raw_rate_hz = config->rate_hz,
                                           .raw_channels = config->channels,
                                           .resume_seconds = connection->api->live_resume_seconds};
    enum auricle_error error = service_live_open(connection->api->service, &spec, &sink,
                                                 &connection->live, retry_after, fault);
    if (!error)
        service_count_request(metrics_of(connection), SERVICE_WEBSOCKET);
    return error;
}

/* Why no session was opened. */
static struct api_error refusal_of(const struct api *api, enum auricle_error error,
                                   const char *sentence, double retry_after)
{
    bool draining = service_draining(api->service);
    if (error != AURICLE_E_LIMIT)
        return api_error_of(error, sentence);
    return (struct api_error){.status = draining ? 503 : 429,
                              .code = draining ? "unavailable" : "too_many_sessions",
                              .message = sentence,
                              .retry_after = retry_after};
}

static bool open_now(struct live_connection *connection)
{
    struct au_fault fault = {0};
    double retry_after = 0;
    enum auricle_error error = open_session(connection, &retry_after, &fault);
    connection->configured = true;
    if (error)
        fail(connection, error, refusal_of(connection->api, error, fault.text, retry_after).code,
             fault.text);
    else
        send_open(connection, false);
    return !error;
}

static void on_binary(struct http_socket *socket, const uint8_t *data, size_t n)
{
    struct live_connection *connection = http_socket_state(socket);
    size_t frame = live_config_frame_bytes(&connection->config);
    if (connection->failed || connection->ending || n == 0)
        return;
    restart_idle(connection);
    if (!connection->configured) {
        if (!live_config_is_container(data, n)) {
            fail(connection, AURICLE_E_INVALID, "not_configured",
                 "Audio came before its encoding was told: give it in the query or in a first "
                 "message, as {\"type\": \"Configure\", \"encoding\": \"linear16\"}.");
            return;
        }
        if (!open_now(connection))
            return;
    }
    if (frame > 1 && n % frame) {
        fail(connection, AURICLE_E_FORMAT, "odd_audio",
             "A message of audio does not hold whole samples of every channel.");
        return;
    }
    take_audio(connection, data, n);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void end_audio(struct live_connection *connection)
{
    if (!connection->live) { /* nothing was ever heard */
        struct au_buf text;
        au_buf_init(&text, 0);
        live_write_metadata(&text, connection->request_id, "", 0, connection->config.channels);
        send_buf(connection, &text);
        au_buf_deinit(&text);
        close_socket(connection, 1000, "nothing was sent");
        return;
    }
    connection->ending = true;
    http_timer_cancel(connection->server, &connection->idle);
    if (connection->pending.len == 0)
        service_live_close(connection->live);
}

static void configure(struct live_connection *connection, const struct au_json *object)
{
    struct au_fault fault = {0};
    enum auricle_error error;
    if (connection->configured) {
        say_error(
            connection, "already_configured",
            "This session is configured already; open another connection for other settings.");
        return;
    }
    error = live_config_json(&connection->config, object, &fault);
    if (error)
        fail_with(connection, error, fault.text);
    else
        open_now(connection);
}

static void take_message(struct live_connection *connection, const struct au_json *message)
{
    const struct au_json *config = au_json_get(message, "config"); /* as Vosk's clients send it */
    const char *type = au_json_string(au_json_get(message, "type"), NULL);
    if (au_str_equal_nocase(type, "KeepAlive"))
        return;
    if (au_str_equal_nocase(type, "CloseStream") || au_str_equal_nocase(type, "close") ||
        au_json_int(au_json_get(message, "eof"), 0) == 1)
        end_audio(connection);
    else if (au_str_equal_nocase(type, "Finalize")) {
        if (connection->pending.len)
            connection->finalize_pending = true;
        else if (connection->live)
            finalize(connection);
    } else if (au_str_equal_nocase(type, "Configure") || (!type && !connection->configured))
        configure(connection, config ? config : message);
    else
        say_error(connection, "unknown_message",
                  "The type of a message is KeepAlive, Finalize, CloseStream or Configure.");
}

static void on_text(struct http_socket *socket, const char *text, size_t n)
{
    struct live_connection *connection = http_socket_state(socket);
    struct au_json *message = NULL;
    struct au_fault fault = {0};
    if (connection->failed || connection->ending)
        return;
    restart_idle(connection);
    if (au_json_parse(text, n, "the message", &message, &fault))
        fail(connection, AURICLE_E_FORMAT, "invalid_json", fault.text);
    else if (au_json_type(message) != AU_JSON_OBJECT)
        fail(connection, AURICLE_E_FORMAT, "invalid_json",
             "A message is a JSON object, with a type.");
    else
        take_message(connection, message);
    au_json_free(message);
}

/* The connection ends, with a word why; the session may be come back to. */
static void hang_up(struct live_connection *connection, enum auricle_error cause, int close_code,
                    const char *code, const char *sentence)
{
    if (connection->failed)
        return;
    service_count_error(metrics_of(connection), SERVICE_WEBSOCKET, cause);
    say_error(connection, code, sentence);
    close_socket(connection, close_code, sentence);
}

static void on_too_large(struct http_socket *socket)
{
    hang_up(http_socket_state(socket), AURICLE_E_LIMIT, 1009, "too_large",
            "A message holds at most 1 MiB: send audio in smaller pieces.");
}

static void on_idle(struct http_timer *timer)
{
    size_t at = offsetof(struct live_connection, idle);
    struct live_connection *connection = (struct live_connection *)(void *)((char *)timer - at);
    if (connection->pending.len) { /* the client is being held back */
        restart_idle(connection);
        return;
    }
    hang_up(connection, AURICLE_E_TIMEOUT, 1011, "idle",
            "Neither audio nor a KeepAlive came for some time.");
}

/* Who said good-bye will not come back; who was lost may. */
static bool may_come_back(int code)
{
    return code != 1000 && code != 1005;
}

static void on_closed(struct http_socket *socket, int code)
{
    struct live_connection *connection = http_socket_state(socket);
    bool posted;
    connection->socket = NULL;
    http_timer_cancel(connection->server, &connection->idle);
    http_timer_cancel(connection->server, &connection->retry);
    if (connection->live && may_come_back(code))
        service_live_detach(connection->live);
    else if (connection->live)
        service_live_abort(connection->live);
    connection->live = NULL;
    /* The session calls no more; one post may be under way. */
    pthread_mutex_lock(&connection->lock);
    posted = connection->posted;
    pthread_mutex_unlock(&connection->lock);
    if (!posted)
        destroy(connection);
}

/* ---- Coming in ------------------------------------------------------------------------------- */

static const struct http_socket_handler socket_handler = {.text = on_text,
                                                          .binary = on_binary,
                                                          .too_large = on_too_large,
                                                          .drained = on_drained,
                                                          .closed = on_closed};

static struct live_connection *create(struct http_request *request)
{
    struct live_connection *connection = au_calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    if (pthread_mutex_init(&connection->lock, NULL)) {
        au_free(connection);
        return NULL;
    }
    connection->server = http_request_server(request);
    connection->api = api_of(request);
    connection->last_word_end = -1;
    connection->node.fn = on_post;
    connection->idle.fn = on_idle;
    connection->retry.fn = on_retry;
    au_buf_init(&connection->pending, MAX_PENDING_BYTES);
    au_str_copy(connection->request_id, sizeof(connection->request_id), http_request_id(request));
    live_config_init(&connection->config);
    return connection;
}

/* A session is opened or found before the upgrade where that is possible: refusals then have a
 * status.                                                                                        */
static enum auricle_error prepare(struct live_connection *connection, struct http_request *request,
                                  double *retry_after, struct au_fault *fault)
{
    const char *resume = http_request_query(request, "resume");
    const struct service_live_sink sink = {connection, on_event, on_done};
    enum auricle_error error = live_config_query(&connection->config, request, fault);
    if (error)
        return error;
    connection->configured = resume || connection->config.has_encoding;
    if (resume)
        return service_live_attach(connection->api->service, resume, &sink, &connection->live,
                                   fault);
    return connection->configured ? open_session(connection, retry_after, fault) : AURICLE_OK;
}

/* A client that has not come in goes, with what it had opened: nobody knows its name. What it had
 * come back to waits for another try.                                                            */
static void turn_away(struct live_connection *connection, bool resuming)
{
    bool posted;
    if (connection->live && resuming)
        service_live_detach(connection->live);
    else if (connection->live)
        service_live_abort(connection->live);
    connection->live = NULL;
    pthread_mutex_lock(&connection->lock);
    posted = connection->posted;
    pthread_mutex_unlock(&connection->lock);
    if (!posted)
        destroy(connection);
}

/* Browsers send a key as a protocol they offer, and expect to hear its name back. */
static const char *protocol_of(const struct http_request *request)
{
    static const char *const names[] = {"token", "bearer", "realtime"};
    const char *offered = http_request_header(request, "sec-websocket-protocol");
    for (size_t i = 0; offered && i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i]);
        if (strncmp(offered, names[i], n) == 0 && (offered[n] == ',' || offered[n] == '\0'))
            return names[i];
    }
    return NULL;
}

static enum http_verdict begin(struct http_request *request)
{
    struct live_connection *connection;
    struct au_fault fault = {0};
    double retry_after = 0;
    enum auricle_error error;
    bool resuming = http_request_query(request, "resume") != NULL;
    if (!http_upgrade_check(request)) /* any page may try: it must cost nothing */
        return HTTP_ANSWERED;
    connection = create(request);
    error = connection ? prepare(connection, request, &retry_after, &fault)
                       : au_fail(&fault, AURICLE_E_NOMEM, "no memory for a live session");
    if (error) {
        const struct api_error answer = refusal_of(api_of(request), error, fault.text, retry_after);
        service_count_error(service_metrics_of(api_of(request)->service), SERVICE_WEBSOCKET, error);
        if (connection)
            turn_away(connection, resuming);
        api_fail(request, &answer);
        return HTTP_ANSWERED;
    }
    connection->socket = http_upgrade(request, &socket_handler, connection, protocol_of(request),
                                      NULL);
    if (!connection->socket) {
        turn_away(connection, resuming);
        return HTTP_ANSWERED;
    }
    if (connection->live)
        send_open(connection, resuming);
    restart_idle(connection);
    return HTTP_ANSWERED;
}

static const struct http_handler stream = {.begin = begin};

const struct http_route api_live_routes[] = {
    {.method = "GET", .path = "/v1/stream", .handler = &stream},
    {.path = NULL},
};
