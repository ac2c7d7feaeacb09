/* Calls: receiving, the queue of what is to be sent, and how they end. See rpc.h.
 *
 * A call is referred to by each operation that the C core has in hand, by the service while a sink
 * points here, and by what was posted. It leaves the server's list when the last reference goes, so
 * a server without calls has nothing left anywhere.                                              */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <grpc/support/alloc.h>

#include "api/grpc/rpc.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

#define MAX_ID            64
/* What waits for a client before the call is given up: a reader this far behind does not read. */
#define MAX_BACKLOG_BYTES ((size_t)8 << 20)
/* Of all connections together; each is a few kilobytes. See rpc_share. */
#define MAX_WORK          3584
#define MAX_CHECKS        256
#define MAX_WATCHES       256
#define MAX_CALLS         (MAX_WORK + MAX_CHECKS + MAX_WATCHES)
#define UNTAKEN_SECONDS   60.0    /* an end that the client has not taken since may be cut off */
#define LEAST_UPLOAD_RATE 65536.0 /* bytes a second, of the largest message */

#define call_of(event, member) \
    ((struct rpc_call *)(void *)((char *)(event)-offsetof(struct rpc_call, member)))

/* A message that waits to be sent. */
struct outgoing {
    struct outgoing *next;
    enum rpc_kind kind;
    size_t bytes;
    grpc_byte_buffer *message;
};

struct rpc_call {
    struct rpc_call *next, *previous; /* the server's list */
    struct rpc_server *server;
    const struct rpc_method *method; /* NULL: refused before it had one */
    void *state;
    void *grant; /* of authorize */
    atomic_int refs;
    int64_t began_ns;
    char id[MAX_ID + 1];

    grpc_call *core; /* NULL: still waiting to be accepted */
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct rpc_event accepted, received, sent, closed;

    grpc_byte_buffer *incoming;
    bool receiving, sending, headers_sent, status_sent, begun, over;
    bool counted; /* in its share */
    bool waiting; /* for its first message */
    int64_t ended_ns;
    int cancelled;
    enum rpc_tick ticks;

    struct outgoing *first, **last, *in_hand;
    size_t n_backlog; /* bytes of first and in_hand */

    atomic_bool lost; /* a message, for want of memory */
    bool ending;
    grpc_status_code status;
    enum auricle_error error;
    char *sentence; /* NULL: none */
    char retry_after[24];
};

/* ---- Life ------------------------------------------------------------------------------------ */

static void on_accepted(struct rpc_event *event, bool ok);
static void on_received(struct rpc_event *event, bool ok);
static void on_sent(struct rpc_event *event, bool ok);
static void on_closed(struct rpc_event *event, bool ok);

struct rpc_call *rpc_call_create(struct rpc_server *server)
{
    struct rpc_call *call = au_calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->server = server;
    call->last = &call->first;
    call->accepted.run = on_accepted;
    call->received.run = on_received;
    call->sent.run = on_sent;
    call->closed.run = on_closed;
    atomic_init(&call->refs, 1);
    atomic_init(&call->lost, false);
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    rpc_server_enter(server, call);
    return call;
}

static void drop_outgoing(struct outgoing *out)
{
    if (!out)
        return;
    grpc_byte_buffer_destroy(out->message);
    au_free(out);
}

/* It counts no more among those of its kind. */
static void leave_share(struct rpc_call *call)
{
    if (call->counted)
        call->server->n_sharing[call->method->share]--;
    call->counted = false;
}

static void destroy(struct rpc_call *call)
{
    struct rpc_server *server = call->server;
    leave_share(call);
    if (call->state && call->method->destroy)
        call->method->destroy(call);
    if (call->grant && server->config.release)
        server->config.release(server->config.context, call->grant);
    while (call->first) {
        struct outgoing *out = call->first;
        call->first = out->next;
        drop_outgoing(out);
    }
    if (call->incoming)
        grpc_byte_buffer_destroy(call->incoming);
    if (call->core)
        grpc_call_unref(call->core);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    rpc_server_leave(server, call);
    au_free(call->sentence);
    au_free(call->state);
    au_free(call);
}

void rpc_call_ref(struct rpc_call *call)
{
    atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
}

void rpc_call_unref(struct rpc_call *call)
{
    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) == 1)
        destroy(call);
}

void *rpc_call_state(struct rpc_call *call)
{
    return call->state;
}

struct rpc_server *rpc_call_server(const struct rpc_call *call)
{
    return call->server;
}

const struct api_grpc_host *rpc_call_host(const struct rpc_call *call)
{
    return &call->server->host;
}

const char *rpc_call_id(const struct rpc_call *call)
{
    return call->id;
}

double rpc_call_seconds(const struct rpc_call *call)
{
    return (double)(au_now_ns() - call->began_ns) * 1e-9;
}

void rpc_call_ticks(struct rpc_call *call, enum rpc_tick often)
{
    call->server->n_ticking[call->ticks]--;
    call->ticks = often;
    call->server->n_ticking[often]++;
}

/* Give operations to the C core; `event` is posted when they are done, and holds a reference. */
static bool start(struct rpc_call *call, const grpc_op *ops, size_t n, struct rpc_event *event)
{
    rpc_call_ref(call);
    if (grpc_call_start_batch(call->core, ops, n, event, NULL) == GRPC_CALL_OK)
        return true;
    rpc_call_unref(call);
    return false;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static size_t trailers_of(const struct rpc_call *call, grpc_metadata out[2])
{
    size_t n = 0;
    if (call->error)
        out[n++] = (grpc_metadata){
            .key = grpc_slice_from_static_string("auricle-error"),
            .value = grpc_slice_from_static_string(auricle_error_name(call->error))};
    if (call->retry_after[0])
        out[n++] = (grpc_metadata){.key = grpc_slice_from_static_string("retry-after-ms"),
                                   .value = grpc_slice_from_copied_string(call->retry_after)};
    return n;
}

static struct outgoing *take_first(struct rpc_call *call)
{
    struct outgoing *out = call->first;
    if (!out)
        return NULL;
    call->first = out->next;
    if (!call->first)
        call->last = &call->first;
    return out;
}

/* Hand over what can go out now: headers before the first message, the status with the last. */
static void pump(struct rpc_call *call)
{
    if (call->sending || call->status_sent || call->over || (!call->first && !call->ending))
        return;
    grpc_op ops[3] = {{0}};
    grpc_metadata id = {.key = grpc_slice_from_static_string("x-request-id"),
                        .value = grpc_slice_from_copied_string(call->id)};
    grpc_metadata trailers[2];
    grpc_slice details = grpc_slice_from_copied_string(call->sentence ? call->sentence : "");
    size_t n = 0;
    if (!call->headers_sent) {
        ops[n].op = GRPC_OP_SEND_INITIAL_METADATA;
        ops[n].data.send_initial_metadata.count = 1;
        ops[n++].data.send_initial_metadata.metadata = &id;
        call->headers_sent = true;
    }
    call->in_hand = take_first(call);
    if (call->in_hand) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = call->in_hand->message;
    }
    size_t n_trailers = 0;
    if (call->ending && !call->first) {
        n_trailers = trailers_of(call, trailers);
        ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[n].data.send_status_from_server.status = call->status;
        ops[n].data.send_status_from_server.status_details = &details;
        ops[n].data.send_status_from_server.trailing_metadata_count = n_trailers;
        ops[n++].data.send_status_from_server.trailing_metadata = trailers;
        call->status_sent = true;
    }
    call->sending = start(call, ops, n, &call->sent);
    /* The C core copies metadata and details while the batch is started. */
    for (size_t i = 0; i < n_trailers; i++)
        grpc_slice_unref(trailers[i].value);
    grpc_slice_unref(details);
    grpc_slice_unref(id.value);
}

static void on_sent(struct rpc_event *event, bool ok)
{
    struct rpc_call *call = call_of(event, sent);
    call->sending = false;
    if (call->in_hand) {
        call->n_backlog -= call->in_hand->bytes;
        drop_outgoing(call->in_hand);
        call->in_hand = NULL;
    }
    if (ok) {
        pump(call);
        if (!call->sending && !call->ending && !call->over && call->method && call->method->drained)
            call->method->drained(call);
    }
    rpc_call_unref(call);
}

/* At most one passing message waits at any time. */
static bool drop_passing(struct rpc_call *call)
{
    struct outgoing **link = &call->first;
    while (*link && (*link)->kind != RPC_PASSING)
        link = &(*link)->next;
    struct outgoing *out = *link;
    if (!out)
        return false;
    *link = out->next;
    if (!out->next)
        call->last = link;
    call->n_backlog -= out->bytes;
    drop_outgoing(out);
    return true;
}

static bool queue_message(struct rpc_call *call, enum rpc_kind kind, grpc_byte_buffer *message)
{
    struct outgoing *out = rpc_ended(call) || !message ? NULL : au_alloc(sizeof *out);
    if (!out) {
        if (message)
            grpc_byte_buffer_destroy(message);
        if (!rpc_ended(call))
            rpc_fail(call, AURICLE_E_NOMEM, "no memory for an answer", 0);
        return false;
    }
    bool superseded = kind != RPC_KEEP && drop_passing(call);
    *out = (struct outgoing){
        .kind = kind, .bytes = grpc_byte_buffer_length(message), .message = message};
    *call->last = out;
    call->last = &out->next;
    call->n_backlog += out->bytes;
    if (call->n_backlog > MAX_BACKLOG_BYTES && call->first != out)
        rpc_fail(call, AURICLE_E_LIMIT,
                 "8 MiB of answers wait to be read; the client must read them as they come", 0);
    return superseded;
}

bool rpc_send(struct rpc_call *call, enum rpc_kind kind, grpc_byte_buffer *message)
{
    bool superseded = queue_message(call, kind, message);
    pump(call);
    return superseded;
}

void rpc_answer(struct rpc_call *call, grpc_byte_buffer *message)
{
    queue_message(call, RPC_SETTLED, message);
    rpc_end(call);
}

size_t rpc_backlog(const struct rpc_call *call)
{
    return call->n_backlog;
}

/* A message on its way to the gRPC thread. */
struct note {
    struct rpc_event event;
    struct rpc_call *call;
    enum rpc_kind kind;
    grpc_byte_buffer *message;
};

static void on_note(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct note *note = (struct note *)(void *)((char *)event - offsetof(struct note, event));
    struct rpc_call *call = note->call;
    if (rpc_send(call, note->kind, note->message) && note->kind == RPC_PASSING)
        call->server->host.count(call->server->host.metrics, SERVICE_COUNT_PARTIALS_DROPPED, 1);
    au_free(note);
    rpc_call_unref(call);
}

void rpc_post_message(struct rpc_call *call, enum rpc_kind kind, grpc_byte_buffer *message)
{
    struct note *note = message ? au_alloc(sizeof *note) : NULL;
    if (!note) {
        if (message)
            grpc_byte_buffer_destroy(message);
        atomic_store(&call->lost, true);
        return;
    }
    *note = (struct note){.event.run = on_note, .call = call, .kind = kind, .message = message};
    rpc_call_ref(call);
    rpc_post(call->server, &note->event, true);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

void rpc_receive(struct rpc_call *call)
{
    if (call->receiving || rpc_ended(call))
        return;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->incoming;
    call->receiving = start(call, &op, 1, &call->received);
}

static void on_received(struct rpc_event *event, bool ok)
{
    struct rpc_call *call = call_of(event, received);
    grpc_byte_buffer *message = call->incoming;
    call->incoming = NULL;
    call->receiving = false;
    if (call->waiting && call->method->share != RPC_CHECK) /* a check is watched to its end */
        rpc_call_ticks(call, RPC_TICK_NEVER);
    call->waiting = false;
    /* A failed receipt is the end of the connection or a message too big: on_closed follows. */
    if (ok && !rpc_ended(call))
        call->method->message(call, message);
    if (message)
        grpc_byte_buffer_destroy(message);
    rpc_call_unref(call);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

bool rpc_ended(const struct rpc_call *call)
{
    return call->ending || call->over;
}

static void note_end(struct rpc_call *call, grpc_status_code status, enum auricle_error error,
                     const char *sentence)
{
    call->ending = true;
    call->ended_ns = au_now_ns();
    call->status = status;
    call->error = error;
    call->sentence = sentence ? au_strdup(sentence) : NULL;
    if (error && call->method && call->method->share == RPC_WORK)
        call->server->host.count_error(call->server->host.metrics, SERVICE_GRPC, error);
}

void rpc_fail_status(struct rpc_call *call, grpc_status_code status, enum auricle_error error,
                     const char *sentence, double retry_after_seconds)
{
    if (rpc_ended(call))
        return;
    note_end(call, status, error, sentence);
    if (retry_after_seconds > 0 && retry_after_seconds < 1e6)
        snprintf(call->retry_after, sizeof call->retry_after, "%lld",
                 (long long)(retry_after_seconds * 1000) + 1);
    pump(call);
}

/* End it now, whether the client takes what was sent or not. */
static void cut(struct rpc_call *call, grpc_status_code status, enum auricle_error error,
                const char *sentence)
{
    if (call->over)
        return;
    if (!call->ending)
        note_end(call, status, error, sentence);
    call->status_sent = true;
    leave_share(call);
    grpc_call_cancel_with_status(call->core, status, sentence, NULL);
}

void rpc_fail(struct rpc_call *call, enum auricle_error error, const char *sentence,
              double retry_after_seconds)
{
    rpc_fail_status(call, rpc_status_of(error), error, sentence, retry_after_seconds);
}

void rpc_end(struct rpc_call *call)
{
    if (atomic_load(&call->lost)) {
        rpc_fail(call, AURICLE_E_NOMEM, "an answer was lost for want of memory", 1);
        return;
    }
    rpc_fail_status(call, GRPC_STATUS_OK, AURICLE_OK, NULL, 0);
}

static void tell_log(const struct rpc_call *call)
{
    const struct api_grpc_host *host = &call->server->host;
    bool quiet = call->method && call->method->share != RPC_WORK;
    enum au_log_level level = quiet ? AU_LOG_DEBUG : AU_LOG_INFO;
    if (!host->log_enabled(level))
        return;
    const struct au_log_field fields[] = {
        {.key = "request_id", .text = call->id},
        {.key = "path", .text = call->method ? call->method->path : "unknown"},
        {.key = "outcome", .text = call->status_sent ? auricle_error_name(call->error) : "GONE"},
        {.key = "ms", .number = (double)(int64_t)(rpc_call_seconds(call) * 1e3)},
        {0},
    };
    if (call->sentence)
        host->log_with(level, fields, "call over: %s", call->sentence);
    else
        host->log_with(level, fields, "call over");
}

static void on_closed(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct rpc_call *call = call_of(event, closed);
    call->over = true;
    rpc_call_ticks(call, RPC_TICK_NEVER);
    tell_log(call);
    if (call->begun && call->method->over)
        call->method->over(call, call->cancelled != 0);
    rpc_call_unref(call); /* the operation's */
}

/* ---- Beginning ------------------------------------------------------------------------------- */

/* A new string of the first metadata of that name; NULL: absent. */
static char *metadata_of(const struct rpc_call *call, const char *name)
{
    for (size_t i = 0; i < call->metadata.count; i++)
        if (grpc_slice_str_cmp(call->metadata.metadata[i].key, name) == 0) {
            grpc_slice value = call->metadata.metadata[i].value;
            return au_strndup((const char *)GRPC_SLICE_START_PTR(value), GRPC_SLICE_LENGTH(value));
        }
    return NULL;
}

/* The caller's, where it is fit to be repeated; else a new one. */
static void name_call(struct rpc_call *call)
{
    char *given = metadata_of(call, "x-request-id");
    size_t n = given ? strlen(given) : 0;
    bool fit = n > 0 && n <= MAX_ID;
    for (size_t i = 0; fit && i < n; i++)
        fit = given[i] > ' ' && given[i] <= '~';
    if (fit) {
        au_str_copy(call->id, sizeof call->id, given);
    } else {
        uint64_t random = (uint64_t)au_now_ns(); /* should there be no better */
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
            random ^= (uint64_t)(uintptr_t)call << 32;
        snprintf(call->id, sizeof call->id, "req_%016llx", (unsigned long long)random);
    }
    au_free(given);
}

static bool authorized(struct rpc_call *call)
{
    const struct api_grpc_config *config = &call->server->config;
    if (!config->authorize || call->method->share != RPC_WORK)
        return true;
    char *given = metadata_of(call, "authorization");
    char *peer = grpc_call_get_peer(call->core);
    const char *key = NULL;
    if (given && strlen(given) > 7 && strncasecmp(given, "Bearer ", 7) == 0)
        key = given + 7;
    double retry_after = 0;
    struct au_fault fault = {0};
    enum auricle_error error = config->authorize(config->context, key, peer ? peer : "",
                                                 &call->grant, &retry_after, &fault);
    gpr_free(peer);
    au_free(given);
    if (error == AURICLE_E_INVALID)
        rpc_fail_status(call, GRPC_STATUS_UNAUTHENTICATED, error, fault.text, 0);
    else if (error)
        rpc_fail(call, error, fault.text, retry_after);
    return !error;
}

static void refuse_unknown(struct rpc_call *call)
{
    struct au_fault fault;
    size_t n = GRPC_SLICE_LENGTH(call->details.method);
    int shown = n < 200 ? (int)n : 200;
    au_fail(&fault, AURICLE_E_UNSUPPORTED, "there is no method %.*s here; reflection lists them",
            shown, (const char *)GRPC_SLICE_START_PTR(call->details.method));
    rpc_fail_status(call, GRPC_STATUS_UNIMPLEMENTED, AURICLE_E_UNSUPPORTED, fault.text, 0);
}

/* The one of that kind that can best be missed; NULL: all are wanted. The newest come first. */
static struct rpc_call *find_idle(const struct rpc_server *server, enum rpc_share share)
{
    int64_t untaken_ns = au_now_ns() - (int64_t)(UNTAKEN_SECONDS * 1e9);
    struct rpc_call *found = NULL;
    for (struct rpc_call *call = server->calls; call; call = call->next)
        if (call->counted && call->method->share == share &&
            (share == RPC_CHECK || call->waiting || (call->ending && call->ended_ns < untaken_ns)))
            found = call;
    return found;
}

/* A place among the calls of its kind. One that has said nothing yet gives way to a new one, and a
 * check to the next, for they take no time: so none can be kept from asking.                     */
static bool take_place(struct rpc_call *call)
{
    static const size_t most[RPC_N_SHARES] = {
        [RPC_WORK] = MAX_WORK, [RPC_CHECK] = MAX_CHECKS, [RPC_WATCH] = MAX_WATCHES};
    struct rpc_server *server = call->server;
    enum rpc_share share = call->method->share;
    bool full = server->n_sharing[share] >= most[share];
    struct rpc_call *idle = full ? find_idle(server, share) : NULL;
    if (full && !idle) {
        cut(call, GRPC_STATUS_RESOURCE_EXHAUSTED, AURICLE_E_LIMIT,
            "the server has as many calls of this kind as it takes; come again later");
        return false;
    }
    if (idle)
        cut(idle, GRPC_STATUS_RESOURCE_EXHAUSTED, AURICLE_E_LIMIT,
            "the server has as many calls as it takes, and this one was the idlest");
    server->n_sharing[share]++;
    call->counted = true;
    return true;
}

static void begin(struct rpc_call *call)
{
    call->began_ns = au_now_ns();
    name_call(call);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->cancelled;
    if (!start(call, &op, 1, &call->closed))
        return;
    call->method = rpc_server_method((const char *)GRPC_SLICE_START_PTR(call->details.method),
                                     GRPC_SLICE_LENGTH(call->details.method));
    /* Refusals that nobody takes add up too. Checks are few at any time. */
    if (call->server->n_calls > MAX_CALLS && !(call->method && call->method->share == RPC_CHECK)) {
        cut(call, GRPC_STATUS_RESOURCE_EXHAUSTED, AURICLE_E_LIMIT,
            "the server has as many calls as it takes; come again later");
        return;
    }
    if (!call->method) {
        refuse_unknown(call);
        return;
    }
    if (!authorized(call) || !take_place(call))
        return;
    call->state = au_calloc(1, call->method->state_bytes + 1);
    if (!call->state) {
        rpc_fail(call, AURICLE_E_NOMEM, "no memory for another call", 1);
        return;
    }
    call->begun = true;
    call->method->begin(call);
    call->waiting = call->receiving && !rpc_ended(call);
    if (call->waiting)
        rpc_call_ticks(call, RPC_TICK_RARELY);
}

static void on_accepted(struct rpc_event *event, bool ok)
{
    struct rpc_call *call = call_of(event, accepted);
    call->server->accepting = false;
    if (ok)
        begin(call);
    rpc_call_unref(call); /* the one it was created with */
}

bool rpc_call_accept(struct rpc_call *call, grpc_server *server, grpc_completion_queue *queue)
{
    return grpc_server_request_call(server, &call->core, &call->details, &call->metadata, queue,
                                    queue, &call->accepted) == GRPC_CALL_OK;
}

/* ---- The server's list ----------------------------------------------------------------------- */

void rpc_server_enter(struct rpc_server *server, struct rpc_call *call)
{
    call->next = server->calls;
    if (call->next)
        call->next->previous = call;
    server->calls = call;
    server->n_calls++;
    server->n_ticking[call->ticks]++;
}

void rpc_server_leave(struct rpc_server *server, struct rpc_call *call)
{
    server->n_ticking[call->ticks]--;
    if (call->next)
        call->next->previous = call->previous;
    if (call->previous)
        call->previous->next = call->next;
    else
        server->calls = call->next;
    server->n_calls--;
}

/* The C core does not tell how much of a message has come: one that may be large has the time that
 * the largest would take.                                                                        */
static bool is_late(const struct rpc_call *call)
{
    const struct api_grpc_config *config = &call->server->config;
    double limit = config->message_seconds;
    if (call->method->uploads)
        limit += (double)config->max_message_bytes / LEAST_UPLOAD_RATE;
    return (call->waiting || call->method->share == RPC_CHECK) && rpc_call_seconds(call) > limit;
}

void rpc_server_tick(struct rpc_server *server, bool all)
{
    struct rpc_call *next;
    for (struct rpc_call *call = server->calls; call; call = next) {
        rpc_call_ref(call); /* a tick may end it */
        if (call->begun && is_late(call))
            cut(call, GRPC_STATUS_DEADLINE_EXCEEDED, AURICLE_E_TIMEOUT,
                "the call's message did not come in time");
        else if (call->begun && !rpc_ended(call) && call->method->tick && (all || call->ticks))
            call->method->tick(call);
        next = call->next;
        rpc_call_unref(call);
    }
}
