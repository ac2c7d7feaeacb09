/* A server over api/http with handlers for the tests: test_http.py and test_socket.py drive it.
 *
 * Run as: http_probe [name=value ...], with the names of `numbers` below, and certificate=FILE
 * key=FILE for TLS. Prints its port,
 * serves until its standard input ends, and then stops in good order, so that a sanitizer
 * reports leaks. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/http/certificate.h"
#include "api/http/http.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define LIMIT_BYTES   1000
#define MAX_HELD      2048
#define SMALL_PIECE   100
#define BIG_PIECE     (64 * 1024)
#define SOCKET_SECRET "tell"

/* Of the one server there is; the network thread's. */
struct probe {
    struct http_request *held[MAX_HELD];
    size_t n_held;
    struct http_request *waiting; /* for `over_count` to reach `over_wanted` */
    size_t over_complete, over_cut, over_wanted;
    struct http_socket *pausing;
};

static struct probe *probe_of(struct http_request *request)
{
    return http_server_context(http_request_server(request));
}

static void answer_text(struct http_request *request, int status, const char *text)
{
    http_respond(request, status, "text/plain; charset=utf-8", text, strlen(text), NULL);
}

static void answer_counts(struct http_request *request)
{
    struct probe *probe = probe_of(request);
    char text[128];
    int n = snprintf(text, sizeof text,
                     "{\"complete\":%zu,\"cut\":%zu,\"held\":%zu,\"connections\":%zu}",
                     probe->over_complete, probe->over_cut, probe->n_held,
                     http_server_connections(http_request_server(request)));
    http_respond(request, 200, "application/json", text, (size_t)n, NULL);
}

static void note_over(struct http_request *request, bool complete)
{
    struct probe *probe = probe_of(request);
    for (size_t i = 0; i < probe->n_held; i++)
        if (probe->held[i] == request)
            probe->held[i--] = probe->held[--probe->n_held];
    if (probe->waiting == request)
        probe->waiting = NULL;
    probe->over_complete += complete;
    probe->over_cut += !complete;
    if (probe->waiting && probe->over_cut >= probe->over_wanted) {
        struct http_request *waiting = probe->waiting;
        probe->waiting = NULL;
        answer_counts(waiting);
    }
}

/* ---- Small ones ------------------------------------------------------------------------------ */

static void hello_end(struct http_request *request)
{
    static const struct http_header headers[] = {{"Server-Timing", "all;dur=0"}, {NULL, NULL}};
    http_respond(request, 200, "text/plain; charset=utf-8", "hello\n", 6, headers);
}

static void page_end(struct http_request *request)
{
    http_respond_static(request, 200, "text/html; charset=utf-8", "<p>", 3, NULL);
}

static void echo_end(struct http_request *request)
{
    struct au_buf out;
    struct au_json_writer w;
    const char *value;
    au_buf_init(&out, 0);
    au_json_writer_init(&w, &out, 0);
    au_json_open_object(&w);
    au_json_key(&w, "path");
    au_json_put_string(&w, http_request_path(request));
    au_json_key(&w, "id");
    au_json_put_string(&w,
                       http_request_param(request, "id") ? http_request_param(request, "id") : "");
    au_json_key(&w, "q");
    au_json_open_array(&w);
    for (size_t i = 0; (value = http_request_query_at(request, "q", i)); i++)
        au_json_put_string(&w, value);
    au_json_close_array(&w);
    au_json_key(&w, "peer");
    au_json_put_string(&w, http_request_peer(request));
    au_json_close_object(&w);
    http_respond(request, 200, "application/json", out.data, out.len, NULL);
    au_buf_deinit(&out);
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

struct upload {
    uint64_t n;
    uint32_t sum;
};

static bool upload_body(struct http_request *request, const uint8_t *data, size_t n)
{
    struct upload *upload = http_request_state(request);
    upload->n += n;
    for (size_t i = 0; i < n; i++)
        upload->sum = upload->sum * 31 + data[i];
    return true;
}

static void upload_end(struct http_request *request)
{
    const struct upload *upload = http_request_state(request);
    char text[80];
    snprintf(text, sizeof text, "%llu %u", (unsigned long long)upload->n, upload->sum);
    answer_text(request, 200, text);
}

static enum http_verdict limited_begin(struct http_request *request)
{
    if (http_request_length(request) <= LIMIT_BYTES)
        return HTTP_GO_ON;
    answer_text(request, 413, "too large by its length");
    return HTTP_ANSWERED;
}

static bool limited_body(struct http_request *request, const uint8_t *data, size_t n)
{
    struct upload *upload = http_request_state(request);
    (void)upload_body(request, data, n);
    if (upload->n <= LIMIT_BYTES)
        return true;
    answer_text(request, 413, "too large as it came");
    return false;
}

/* ---- Late answers ---------------------------------------------------------------------------- */

static void held_end(struct http_request *request)
{
    struct probe *probe = probe_of(request);
    if (probe->n_held == MAX_HELD) {
        answer_text(request, 503, "too many held");
        return;
    }
    probe->held[probe->n_held++] = request;
}

static void release_end(struct http_request *request)
{
    struct probe *probe = probe_of(request);
    for (size_t i = 0; i < probe->n_held; i++)
        answer_text(probe->held[i], 200, "released");
    probe->n_held = 0;
    answer_text(request, 200, "done");
}

static void wait_over_end(struct http_request *request)
{
    struct probe *probe = probe_of(request);
    int64_t wanted = 0;
    const char *text = http_request_query(request, "cut");
    if (text && au_parse_i64(text, &wanted) && probe->over_cut < (size_t)wanted) {
        probe->waiting = request;
        probe->over_wanted = (size_t)wanted;
        return;
    }
    answer_counts(request);
}

struct job {
    struct http_post_node node;
    struct http_server *server;
    struct http_request *request; /* NULL: over. The network thread's */
};

struct job_slot {
    struct job *job; /* NULL: done */
};

static void job_done(struct http_post_node *node)
{
    struct job *job = (struct job *)(void *)node;
    if (job->request) {
        struct job_slot *slot = http_request_state(job->request);
        slot->job = NULL;
        answer_text(job->request, 200, "from another thread");
    }
    au_free(job);
}

static void *job_run(void *context)
{
    struct job *job = context;
    http_post(job->server, &job->node);
    return NULL;
}

static void thread_over(struct http_request *request, bool complete)
{
    struct job_slot *slot = http_request_state(request);
    (void)complete;
    if (slot->job)
        slot->job->request = NULL;
}

static void thread_end(struct http_request *request)
{
    struct job *job = au_calloc(1, sizeof *job);
    pthread_t thread;
    struct job_slot *slot = http_request_state(request);
    slot->job = job;
    job->server = http_request_server(request);
    job->request = request;
    job->node.fn = job_done;
    if (pthread_create(&thread, NULL, job_run, job))
        abort();
    pthread_detach(thread);
}

/* ---- Streams --------------------------------------------------------------------------------- */

static void stream_end(struct http_request *request)
{
    int64_t n = 3;
    char piece[32];
    const char *text = http_request_query(request, "n");
    if (text && !au_parse_i64(text, &n))
        n = 0;
    http_stream_begin(request, 200, "text/event-stream", NULL);
    for (int64_t i = 0; i < n; i++) {
        int bytes = snprintf(piece, sizeof piece, "data: %lld\n\n", (long long)i);
        http_stream_write(request, piece, (size_t)bytes);
    }
    http_stream_end(request);
}

static void open_stream_end(struct http_request *request)
{
    http_stream_begin(request, 200, "text/event-stream", NULL);
    http_stream_write(request, "data: begin\n\n", 13);
}

static void big_stream_end(struct http_request *request)
{
    char *piece = au_alloc(BIG_PIECE);
    int64_t mb = 1;
    const char *text = http_request_query(request, "mb");
    if (text && !au_parse_i64(text, &mb))
        mb = 0;
    memset(piece, 'x', BIG_PIECE);
    http_stream_begin(request, 200, "application/octet-stream", NULL);
    for (int64_t i = 0; i < mb * 16; i++)
        http_stream_write(request, piece, BIG_PIECE);
    http_stream_end(request);
    au_free(piece);
}

/* ---- WebSocket ------------------------------------------------------------------------------- */

static void ws_text(struct http_socket *socket, const char *text, size_t n)
{
    char line[64];
    int code = 0;
    if (n > 6 && strncmp(text, "close ", 6) == 0) {
        for (size_t i = 6; i < n && text[i] >= '0' && text[i] <= '9'; i++)
            code = code * 10 + (text[i] - '0');
        http_socket_close(socket, code, "as you wish");
    } else if (n == 7 && memcmp(text, "backlog", 7) == 0) {
        int bytes = snprintf(line, sizeof line, "%zu", http_socket_backlog(socket));
        http_socket_text(socket, line, (size_t)bytes);
    } else if (n == 5 && memcmp(text, "flood", 5) == 0) {
        char *piece = au_calloc(1, BIG_PIECE);
        for (int i = 0; i < 64; i++)
            http_socket_binary(socket, piece, BIG_PIECE);
        au_free(piece);
    } else if (n == 5 && memcmp(text, "pause", 5) == 0) {
        struct probe *probe = http_server_context(http_socket_server(socket));
        probe->pausing = socket;
        http_socket_pause(socket, true);
    } else {
        http_socket_text(socket, text, n);
    }
}

static void ws_binary(struct http_socket *socket, const uint8_t *data, size_t n)
{
    http_socket_binary(socket, data, n);
}

static void ws_closed(struct http_socket *socket, int code)
{
    struct probe *probe = http_server_context(http_socket_server(socket));
    (void)code;
    if (probe->pausing == socket)
        probe->pausing = NULL;
}

static void resume_end(struct http_request *request)
{
    struct probe *probe = probe_of(request);
    if (probe->pausing)
        http_socket_pause(probe->pausing, false);
    probe->pausing = NULL;
    answer_text(request, 200, "resumed");
}

static const struct http_socket_handler ws_handler = {
    .text = ws_text, .binary = ws_binary, .closed = ws_closed, .max_message_bytes = 8 << 20};
static const struct http_socket_handler ws_small_handler = {.text = ws_text,
                                                            .binary = ws_binary,
                                                            .closed = ws_closed,
                                                            .max_message_bytes = 1000,
                                                            .ping_seconds = 0.2};

static enum http_verdict ws_begin(struct http_request *request)
{
    const char *small = http_request_query(request, "small");
    http_upgrade(request, small ? &ws_small_handler : &ws_handler, NULL, NULL, NULL);
    return HTTP_ANSWERED;
}

/* ---- Main ------------------------------------------------------------------------------------ */

static const struct http_handler hello = {.end = hello_end, .over = note_over};
static const struct http_handler page = {.end = page_end};
static const struct http_handler echo = {.end = echo_end};
static const struct http_handler upload = {.state_bytes = sizeof(struct upload),
                                           .body = upload_body,
                                           .end = upload_end,
                                           .over = note_over};
static const struct http_handler limited = {.state_bytes = sizeof(struct upload),
                                            .begin = limited_begin,
                                            .body = limited_body,
                                            .end = upload_end,
                                            .over = note_over};
static const struct http_handler held = {.end = held_end, .over = note_over};
static const struct http_handler release_all = {.end = release_end};
static const struct http_handler wait_over = {.end = wait_over_end, .over = note_over};
static const struct http_handler thread = {
    .state_bytes = sizeof(struct job_slot), .end = thread_end, .over = thread_over};
static const struct http_handler stream = {.end = stream_end, .over = note_over};
static const struct http_handler open_stream = {.end = open_stream_end, .over = note_over};
static const struct http_handler big_stream = {.end = big_stream_end, .over = note_over};
static const struct http_handler ws = {.begin = ws_begin, .over = note_over};
static const struct http_handler resume_one = {.end = resume_end};

static const struct http_route routes[] = {
    {"GET", "/", &page, true},
    {"GET", "/hello", &hello, true},
    {"GET", "/secret", &hello, false},
    {"GET", "/models/{id}", &echo, true},
    {"GET", "/files/{id*}", &echo, true},
    {"POST", "/upload", &upload, true},
    {"PUT", "/upload", &upload, true},
    {"POST", "/limited", &limited, true},
    {"GET", "/held", &held, true},
    {"POST", "/held", &held, true},
    {"GET", "/release", &release_all, true},
    {"GET", "/over", &wait_over, true},
    {"GET", "/thread", &thread, true},
    {"GET", "/stream", &stream, true},
    {"GET", "/open", &open_stream, true},
    {"GET", "/big", &big_stream, true},
    {"GET", "/ws", &ws, true},
    {"GET", "/resume", &resume_one, true},
    {NULL, NULL, NULL, false},
};

static bool authorize(struct http_request *request)
{
    if (au_str_equal(http_request_header(request, "authorization"), "Bearer " SOCKET_SECRET))
        return true;
    answer_text(request, 401, "a key is needed");
    return false;
}

static void refuse(struct http_request *request, int status, const char *sentence)
{
    char text[512];
    int n = snprintf(text, sizeof text, "{\"error\":{\"message\":\"%s\"}}", sentence);
    http_respond(request, status, "application/json", text, (size_t)n, NULL);
}

static void *stop_at_end_of_input(void *context)
{
    char c;
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    http_server_stop(context);
    return NULL;
}

static void set_number(struct http_server_config *config, const char *setting)
{
    const char *equals = strchr(setting, '=');
    size_t n = equals ? (size_t)(equals - setting) : 0;
    double value;
    if (!equals || !au_parse_double(equals + 1, &value))
        return;
    if (strncmp(setting, "connections", n) == 0)
        config->max_connections = (int)value;
    else if (strncmp(setting, "header_seconds", n) == 0)
        config->header_seconds = value;
    else if (strncmp(setting, "idle_seconds", n) == 0)
        config->idle_seconds = value;
    else if (strncmp(setting, "body_seconds", n) == 0)
        config->body_seconds = value;
    else if (strncmp(setting, "body_rate", n) == 0)
        config->min_body_bytes_per_s = value;
}

int main(int argc, char **argv)
{
    static const char *const origins[] = {"https://app.example", NULL};
    struct probe probe = {0};
    struct http_server_config config = {.host = "localhost",
                                        .origins = origins,
                                        .routes = routes,
                                        .authorize = authorize,
                                        .refuse = refuse,
                                        .context = &probe};
    struct http_server *server;
    struct au_fault fault = {0};
    pthread_t thread_id;
    const char *certificate = NULL, *key = NULL;
    for (int i = 1; i < argc; i++)
        if (au_str_starts(argv[i], "certificate="))
            certificate = strchr(argv[i], '=') + 1;
        else if (au_str_starts(argv[i], "key="))
            key = strchr(argv[i], '=') + 1;
        else
            set_number(&config, argv[i]);
    au_log_init(AU_LOG_WARN);
    signal(SIGPIPE, SIG_IGN);
    if ((certificate && http_certificate_load(certificate, key, &config.certificate, &fault)) ||
        http_server_create(&config, &server, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    http_certificate_unref(config.certificate);
    printf("%d\n", http_server_port(server));
    fflush(stdout);
    if (pthread_create(&thread_id, NULL, stop_at_end_of_input, server))
        return 1;
    if (http_server_run(server, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    pthread_join(thread_id, NULL);
    http_server_destroy(server);
    return 0;
}
