/* Transcribe, TranscribeStream and ListModels.
 *
 * A call asks for a place before its message is received, so a full server refuses without
 * having taken 100 MB in. Where the message does not come soon the place is given back, for the
 * client may be silent, and asked for again. Once the message is there its place grows by what
 * it costs: the message, and its audio in a file without a name, which is what decoding reads.
 * The audio is copied in steps, and other calls have their turn between them. Then the service
 * has the request, and the sink below packs what it is told.                                     */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/grpc/convert.h"
#include "api/grpc/wire.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define AUDIO_FIELD      2 /* TranscribeRequest.audio */
/* What a call costs without its audio. */
#define CALL_BYTES       ((uint64_t)64 << 10)
#define MAX_REST_BYTES   ((size_t)64 << 10)
#define STEP_BYTES       ((size_t)4 << 20)
/* A longer recording goes to the disk, where there is one for temporary files. */
#define MAX_MEMORY_BYTES ((size_t)16 << 20)
#define PROGRESS_NS      (100 * (int64_t)1000000)

struct transcribe {
    bool streaming;
    bool arrived;                  /* the message has */
    struct service_ticket *ticket; /* NULL: given back, or handed on */

    /* Until the service has the request. */
    grpc_byte_buffer *message;
    struct rpc_piece *pieces;
    struct rpc_split split;
    Auricle__V1__TranscribeRequest *asked;
    struct rpc_recognition recognition;
    int fd; /* the audio; -1: none */
    double receive_seconds;
    struct rpc_event step;
    struct rpc_call *call;

    struct service_request *request;
    int64_t told_ns; /* of progress; the scheduler's */
    struct rpc_event done;
    /* Written by the sink before `done` is posted. */
    enum auricle_error error;
    char sentence[AU_FAULT_TEXT_BYTES];
    grpc_byte_buffer *answer;
};

/* ---- What the service tells, on the scheduler's thread --------------------------------------- */

static void on_started(void *context)
{
    rpc_post_message(context, RPC_KEEP, rpc_pack_started());
}

static void on_segment(void *context, const struct auricle_segment *segment)
{
    rpc_post_message(context, RPC_KEEP, rpc_pack_segment(segment));
}

static void on_progress(void *context, double seconds_done, double seconds_total)
{
    struct transcribe *t = rpc_call_state(context);
    int64_t now = au_now_ns();
    if (now - t->told_ns < PROGRESS_NS)
        return;
    t->told_ns = now;
    rpc_post_message(context, RPC_PASSING, rpc_pack_progress(seconds_done, seconds_total));
}

static void on_done(void *context, const struct service_outcome *outcome)
{
    struct transcribe *t = rpc_call_state(context);
    t->error = outcome->error;
    au_str_copy(t->sentence, sizeof t->sentence, outcome->sentence ? outcome->sentence : "");
    if (!t->error) {
        t->answer = rpc_pack_outcome(outcome, t->streaming);
        if (!t->answer) {
            t->error = AURICLE_E_NOMEM;
            au_str_copy(t->sentence, sizeof t->sentence, "no memory for the answer");
        }
    }
    rpc_post(rpc_call_server(context), &t->done, true);
}

/* ---- The end, on the gRPC thread ------------------------------------------------------------- */

static void finish(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct transcribe *t = (struct transcribe *)(void *)((char *)event -
                                                         offsetof(struct transcribe, done));
    struct rpc_call *call = t->call;
    rpc_call_host(call)->request_release(t->request);
    t->request = NULL;
    if (t->answer) {
        rpc_answer(call, t->answer);
        t->answer = NULL;
    } else if (t->error == AURICLE_E_CANCELLED) {
        rpc_fail_status(call, GRPC_STATUS_UNAVAILABLE, t->error, "the server is stopping", 1);
    } else {
        rpc_fail(call, t->error, t->sentence, t->error == AURICLE_E_AGAIN ? 1 : 0);
    }
    rpc_call_unref(call); /* the sink's */
}

/* What was only needed until the service had the request. */
static void forget_message(struct transcribe *t)
{
    if (t->asked)
        protobuf_c_message_free_unpacked(&t->asked->base, rpc_memory());
    t->asked = NULL;
    rpc_recognition_deinit(&t->recognition);
    if (t->message) {
        bool large = grpc_byte_buffer_length(t->message) > MAX_MEMORY_BYTES;
        grpc_byte_buffer_destroy(t->message);
        if (large) /* thousands of small pieces, which the allocator would keep for the next one */
            malloc_trim(0);
    }
    t->message = NULL;
    au_free(t->pieces);
    t->pieces = NULL;
}

static void over(struct rpc_call *call, bool cancelled)
{
    struct transcribe *t = rpc_call_state(call);
    if (cancelled && t->request)
        rpc_call_host(call)->request_cancel(t->request);
}

static void destroy(struct rpc_call *call)
{
    struct transcribe *t = rpc_call_state(call);
    forget_message(t);
    if (t->fd >= 0)
        close(t->fd);
    if (t->answer)
        grpc_byte_buffer_destroy(t->answer);
    rpc_call_host(call)->ticket_release(t->ticket);
}

/* ---- The request ----------------------------------------------------------------------------- */

static void start(struct rpc_call *call, struct transcribe *t)
{
    const char *name = t->asked && t->asked->name && t->asked->name[0] ? t->asked->name : NULL;
    struct service_request_spec spec = {
        .id = rpc_call_id(call),
        .model = t->recognition.model,
        .options = &t->recognition.options,
        .name = name ? name : "recording",
        .fd = t->fd,
        .priority = SERVICE_PRIORITY_WAITING,
        .receive_seconds = t->receive_seconds,
        .ticket = t->ticket,
    };
    struct service_sink sink = {.context = call, .on_done = on_done};
    if (t->streaming) {
        sink.on_started = on_started;
        sink.on_segment = on_segment;
        sink.on_progress = on_progress;
    }
    t->fd = -1;
    t->ticket = NULL;
    struct au_fault fault = {0};
    const struct api_grpc_host *host = rpc_call_host(call);
    rpc_call_ref(call); /* the sink's */
    enum auricle_error error = host->request_start(host->service, &spec, &sink, &t->request,
                                                   &fault);
    forget_message(t);
    if (error) {
        rpc_fail(call, error, fault.text, 0);
        rpc_call_unref(call);
    }
}

/* Some of the audio into the file, then the others' turn. */
static void copy_step(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct transcribe *t = (struct transcribe *)(void *)((char *)event -
                                                         offsetof(struct transcribe, step));
    struct rpc_call *call = t->call;
    size_t budget = STEP_BYTES;
    int error = 0;
    while (!rpc_ended(call) && t->split.n_bulk > 0 && budget > 0 && !error) {
        const uint8_t *bytes;
        size_t want = t->split.n_bulk < budget ? t->split.n_bulk : budget;
        size_t n = rpc_cursor_next(&t->split.bulk, want, &bytes);
        t->split.n_bulk -= n;
        budget -= n;
        while (n > 0 && !error) {
            ssize_t written = write(t->fd, bytes, n);
            if (written < 0 && errno != EINTR)
                error = errno;
            if (written > 0) {
                bytes += written;
                n -= (size_t)written;
            }
        }
    }
    if (error) {
        struct au_fault fault;
        au_fail_errno(&fault, error, "the recording could not be kept");
        rpc_fail(call, fault.code, fault.text, 1);
    } else if (!rpc_ended(call) && t->split.n_bulk > 0) {
        rpc_post(rpc_call_server(call), &t->step, true);
        return;
    } else if (!rpc_ended(call) && lseek(t->fd, 0, SEEK_SET) == 0) {
        start(call, t);
    }
    forget_message(t);
    rpc_call_unref(call); /* the steps' */
}

static enum auricle_error unpack(struct rpc_call *call, struct transcribe *t,
                                 struct au_fault *fault)
{
    size_t n;
    t->pieces = rpc_pieces(t->message, &n);
    if (!t->pieces)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for a message");
    enum auricle_error error = rpc_wire_split(t->pieces, n, AUDIO_FIELD, MAX_REST_BYTES, &t->split,
                                              fault);
    if (error) /* too much beside the audio is a mistake, not a matter of room */
        return error == AURICLE_E_LIMIT ? AURICLE_E_INVALID : error;
    t->asked = (Auricle__V1__TranscribeRequest *)(void *)rpc_unpack_bytes(
        &auricle__v1__transcribe_request__descriptor, (const uint8_t *)t->split.rest.data,
        t->split.rest.len, fault);
    au_buf_deinit(&t->split.rest);
    if (!t->asked)
        return fault->code;
    uint64_t most = rpc_call_host(call)->limits(rpc_call_host(call)->service).max_upload_bytes;
    if (most && t->split.n_bulk > most)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "the recording has %zu bytes; this server takes up to %llu", t->split.n_bulk,
                       (unsigned long long)most);
    if (t->split.n_bulk == 0)
        return au_fail(fault, AURICLE_E_INVALID,
                       "the request holds no audio; its field `audio` takes the recording's bytes");
    return rpc_recognition_init(rpc_call_host(call), t->asked->config, &t->recognition, fault);
}

static bool admit(struct rpc_call *call, struct transcribe *t)
{
    const struct api_grpc_host *host = rpc_call_host(call);
    struct au_fault fault = {0};
    double retry_after = 1;
    if (host->draining(host->service)) {
        rpc_fail_status(call, GRPC_STATUS_UNAVAILABLE, AURICLE_E_LIMIT, "the server is stopping",
                        1);
        return false;
    }
    enum auricle_error error = host->admit(host->service, CALL_BYTES, &t->ticket, &retry_after,
                                           &fault);
    if (error)
        rpc_fail(call, error, fault.text, retry_after);
    return !error;
}

/* Others, and the end of the server, do not wait for a message that may never come. */
static void tick(struct rpc_call *call)
{
    struct transcribe *t = rpc_call_state(call);
    if (t->arrived || rpc_call_seconds(call) < rpc_call_server(call)->config.message_seconds)
        return;
    rpc_call_host(call)->ticket_release(t->ticket);
    t->ticket = NULL;
}

static void on_message(struct rpc_call *call, grpc_byte_buffer *message)
{
    struct transcribe *t = rpc_call_state(call);
    struct au_fault fault = {0};
    t->arrived = true;
    if (!message) {
        rpc_fail(call, AURICLE_E_INVALID, "the call came without a request", 0);
        return;
    }
    if (!t->ticket && !admit(call, t))
        return;
    t->receive_seconds = rpc_call_seconds(call);
    uint64_t bytes = grpc_byte_buffer_length(message);
    enum auricle_error error = rpc_call_host(call)->ticket_grow(t->ticket, 2 * bytes, &fault);
    if (error) {
        rpc_fail(call, error, fault.text, 1);
        return;
    }
    t->message = grpc_byte_buffer_copy(message); /* the same bytes, counted */
    error = unpack(call, t, &fault);
    if (!error && t->split.n_bulk > MAX_MEMORY_BYTES)
        error = rpc_call_host(call)->ticket_spool(t->ticket, t->split.n_bulk, &fault);
    if (!error) {
        t->fd = t->split.n_bulk <= MAX_MEMORY_BYTES
                    ? memfd_create("recording", MFD_CLOEXEC)
                    : au_file_open_nameless(rpc_call_server(call)->spool_folder);
        if (t->fd < 0)
            error = au_fail_errno(&fault, errno, "no file for the recording");
    }
    if (error) {
        rpc_fail(call, error, fault.text, error == AURICLE_E_AGAIN ? 1 : 0);
        forget_message(t);
        return;
    }
    rpc_call_ref(call);
    t->step.run = copy_step;
    rpc_post(rpc_call_server(call), &t->step, true);
}

static void begin_either(struct rpc_call *call, bool streaming)
{
    struct transcribe *t = rpc_call_state(call);
    const struct api_grpc_host *host = rpc_call_host(call);
    t->streaming = streaming;
    t->call = call;
    t->fd = -1;
    t->done.run = finish;
    if (!admit(call, t))
        return;
    host->count_request(host->metrics, SERVICE_GRPC);
    rpc_receive(call);
}

static void begin(struct rpc_call *call)
{
    begin_either(call, false);
}

static void begin_streaming(struct rpc_call *call)
{
    begin_either(call, true);
}

/* ---- Models ---------------------------------------------------------------------------------- */

static grpc_byte_buffer *pack_models(const struct service_engine_entry *entries, size_t n)
{
    struct au_buf buf;
    au_buf_init(&buf, 0);
    for (size_t i = 0; i < n; i++) {
        Auricle__V1__Model model = AURICLE__V1__MODEL__INIT, *list = &model;
        model.name = (char *)(uintptr_t)entries[i].name;
        model.is_default = entries[i].is_default;
        model.loaded = entries[i].loaded;
        model.bytes = entries[i].bytes;
        model.installed_unix_seconds = entries[i].installed_unix_s;
        Auricle__V1__ListModelsResponse part = AURICLE__V1__LIST_MODELS_RESPONSE__INIT;
        part.models = &list;
        part.n_models = 1;
        size_t bytes = protobuf_c_message_get_packed_size(&part.base);
        if (au_buf_reserve(&buf, bytes))
            break;
        protobuf_c_message_pack(&part.base, (uint8_t *)buf.data + buf.len);
        buf.len += bytes;
    }
    grpc_byte_buffer *answer = buf.error ? NULL : rpc_buffer(buf.data, buf.len);
    au_buf_deinit(&buf);
    return answer;
}

static void list_models(struct rpc_call *call, grpc_byte_buffer *message)
{
    struct au_fault fault = {0};
    const struct api_grpc_host *host = rpc_call_host(call);
    ProtobufCMessage *asked = message ? rpc_unpack(&auricle__v1__list_models_request__descriptor,
                                                   message, MAX_REST_BYTES, &fault)
                                      : NULL;
    if (!asked) {
        rpc_fail(call, AURICLE_E_INVALID, message ? fault.text : "the call came without a request",
                 0);
        return;
    }
    protobuf_c_message_free_unpacked(asked, rpc_memory());
    struct service_engine_entry *entries = NULL;
    size_t n = 0;
    enum auricle_error error = host->models(host->service, &entries, &n);
    if (error) {
        rpc_fail(call, error, "the models could not be listed", 0);
        return;
    }
    rpc_answer(call, pack_models(entries, n));
    au_free(entries);
}

const struct rpc_method rpc_transcribe_methods[] = {
    {.path = "/auricle.v1.Auricle/Transcribe",
     .state_bytes = sizeof(struct transcribe),
     .uploads = true,
     .begin = begin,
     .message = on_message,
     .tick = tick,
     .over = over,
     .destroy = destroy},
    {.path = "/auricle.v1.Auricle/TranscribeStream",
     .state_bytes = sizeof(struct transcribe),
     .uploads = true,
     .begin = begin_streaming,
     .message = on_message,
     .tick = tick,
     .over = over,
     .destroy = destroy},
    {.path = "/auricle.v1.Auricle/ListModels", .begin = rpc_receive, .message = list_models},
    {0},
};
