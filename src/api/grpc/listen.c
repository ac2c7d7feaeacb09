/* Listen: live audio in, events out.
 *
 * Messages are taken one at a time, and only while the session takes the audio and the client takes
 * the events; beyond that the client is held back by HTTP/2's own flow control. The service tells
 * events on the scheduler's thread, where they are packed; partials that the client has not taken
 * are superseded by later ones, the rest is kept.                                                */
#include <string.h>

#include "api/grpc/convert.h"
#include "api/grpc/wire.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define AUDIO_FIELD     2 /* ListenRequest.audio */
#define MAX_REST_BYTES  ((size_t)64 << 10)
#define MAX_AUDIO_BYTES ((size_t)4 << 20)
/* Events that may wait for a client before no more audio is taken from it. */
#define PAUSE_BYTES     ((size_t)256 << 10)
/* The C core tells the end of a lost connection's messages as if the client had closed its side,
 * and the loss shortly after. A session that could be resumed waits this long before it believes
 * that all was said.                                                                             */
#define DOUBT_NS        (20 * (int64_t)1000000)

struct listen {
    struct rpc_call *call;
    struct service_live *live; /* NULL: not open yet, or given back */
    double resume_seconds;
    bool closing;           /* the client has said all */
    int64_t half_closed_ns; /* it closed its side, or was lost; 0: neither */

    /* Audio of the message in hand that the session has not taken. */
    grpc_byte_buffer *message;
    struct rpc_piece *pieces;
    struct rpc_cursor audio;
    size_t n_audio;

    struct rpc_event done;
    /* Written by the sink before `done` is posted. */
    enum auricle_error error;
    char sentence[AU_FAULT_TEXT_BYTES];
    double audio_seconds;
};

/* ---- What the service tells, on the scheduler's thread --------------------------------------- */

static void on_event(void *context, const struct auricle_stream_event *event, int64_t n_final)
{
    enum rpc_kind kind = event->kind == AURICLE_STREAM_PARTIAL ? RPC_PASSING
                         : event->kind == AURICLE_STREAM_FINAL ? RPC_SETTLED
                                                               : RPC_KEEP;
    rpc_post_message(context, kind, rpc_pack_stream_event(event, n_final));
}

static void on_done(void *context, enum auricle_error error, const char *sentence,
                    double audio_seconds)
{
    struct listen *l = rpc_call_state(context);
    l->error = error;
    au_str_copy(l->sentence, sizeof l->sentence, sentence ? sentence : "");
    l->audio_seconds = audio_seconds;
    rpc_call_ref(context); /* the sink's may be gone before the event's turn comes */
    rpc_post(rpc_call_server(context), &l->done, true);
}

/* ---- The session's end ----------------------------------------------------------------------- */

static void forget_audio(struct listen *l)
{
    if (l->message)
        grpc_byte_buffer_destroy(l->message);
    l->message = NULL;
    au_free(l->pieces);
    l->pieces = NULL;
    l->n_audio = 0;
}

/* Give the session back, and the sink's reference with it: nothing is told after the return. */
static void let_go(struct rpc_call *call, struct listen *l, bool keep_for_later)
{
    struct service_live *live = l->live;
    if (!live)
        return;
    l->live = NULL;
    if (keep_for_later)
        rpc_call_host(call)->live_detach(live);
    else
        rpc_call_host(call)->live_abort(live);
    rpc_call_unref(call);
}

static void finish(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct listen *l = (struct listen *)(void *)((char *)event - offsetof(struct listen, done));
    struct rpc_call *call = l->call;
    if (l->error == AURICLE_E_CANCELLED)
        rpc_fail_status(call, GRPC_STATUS_UNAVAILABLE, l->error, "the server is stopping", 1);
    else if (l->error)
        rpc_fail(call, l->error, l->sentence, 0);
    else
        rpc_answer(call, rpc_pack_closed(l->audio_seconds));
    if (l->error)
        let_go(call, l, false); /* else when it is known whether the answer arrived */
    rpc_call_unref(call);       /* the event's */
}

static void over(struct rpc_call *call, bool cancelled)
{
    struct listen *l = rpc_call_state(call);
    forget_audio(l);
    let_go(call, l, cancelled && l->resume_seconds > 0);
}

static void destroy(struct rpc_call *call)
{
    forget_audio(rpc_call_state(call));
}

static void fail(struct rpc_call *call, enum auricle_error error, const char *sentence,
                 double retry_after)
{
    struct listen *l = rpc_call_state(call);
    forget_audio(l);
    rpc_fail(call, error, sentence, retry_after);
    let_go(call, l, false);
}

/* ---- Audio ----------------------------------------------------------------------------------- */

static void receive_more(struct rpc_call *call, struct listen *l)
{
    if (!l->closing && !l->message && rpc_backlog(call) <= PAUSE_BYTES)
        rpc_receive(call);
}

/* Hand over what the session takes of the message in hand; the rest waits for a tick. */
static void feed(struct rpc_call *call, struct listen *l)
{
    const struct api_grpc_host *host = rpc_call_host(call);
    while (l->n_audio > 0) {
        struct rpc_cursor before = l->audio;
        const uint8_t *bytes;
        size_t n = rpc_cursor_next(&l->audio, l->n_audio, &bytes), taken = 0;
        struct au_fault fault = {0};
        enum auricle_error error = host->live_feed(l->live, bytes, n, &taken, &fault);
        if (error) {
            fail(call, error, fault.text, 0);
            return;
        }
        l->n_audio -= taken;
        if (taken < n) {
            l->audio = before;
            rpc_cursor_next(&l->audio, taken, &bytes);
            rpc_call_ticks(call, RPC_TICK_SOON);
            return;
        }
    }
    forget_audio(l);
    rpc_call_ticks(call, RPC_TICK_NEVER);
    receive_more(call, l);
}

static void say_all(struct rpc_call *call, struct listen *l)
{
    if (l->closing)
        return;
    l->closing = true;
    rpc_call_host(call)->live_close(l->live);
}

static void tick(struct rpc_call *call)
{
    struct listen *l = rpc_call_state(call);
    if (!l->live)
        return;
    if (l->message) {
        feed(call, l);
    } else if (l->half_closed_ns && au_now_ns() - l->half_closed_ns >= DOUBT_NS) {
        rpc_call_ticks(call, RPC_TICK_NEVER);
        say_all(call, l);
    }
}

static void drained(struct rpc_call *call)
{
    struct listen *l = rpc_call_state(call);
    if (l->live)
        receive_more(call, l);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static enum auricle_error open_live(struct rpc_call *call, struct listen *l,
                                    const Auricle__V1__ListenConfig *config, double *retry_after,
                                    struct au_fault *fault)
{
    const struct api_grpc_host *host = rpc_call_host(call);
    struct service_live_sink sink = {.context = call, .on_event = on_event, .on_done = on_done};
    if (!(config->resume_seconds >= 0) || !(config->endpoint_ms >= 0) ||
        !(config->partial_ms >= 0) || !(config->max_utterance_seconds >= 0))
        return au_fail(fault, AURICLE_E_INVALID, "times in the config must not be negative");
    l->resume_seconds = config->resume_seconds;
    if (config->resume_session_id && config->resume_session_id[0]) {
        if (!(l->resume_seconds > 0))
            l->resume_seconds = 1; /* it was kept once and is again; the service knows how long */
        return host->live_attach(host->service, config->resume_session_id, &sink, &l->live, fault);
    }
    struct rpc_recognition recognition;
    enum auricle_error error = rpc_recognition_init(host, config->recognition, &recognition, fault);
    if (error)
        return error;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    stream.endpoint_ms = config->endpoint_ms;
    stream.partial_ms = config->no_partials ? -1 : config->partial_ms;
    stream.max_utterance_seconds = config->max_utterance_seconds;
    struct service_live_spec spec = {
        .id = rpc_call_id(call),
        .model = recognition.model,
        .options = &recognition.options,
        .stream = &stream,
        .raw = recognition.raw,
        .raw_rate_hz = recognition.options.raw_rate_hz,
        .raw_channels = recognition.options.raw_channels,
        .resume_seconds = l->resume_seconds,
    };
    error = host->live_open(host->service, &spec, &sink, &l->live, retry_after, fault);
    rpc_recognition_deinit(&recognition);
    return error;
}

static void on_config(struct rpc_call *call, struct listen *l,
                      const Auricle__V1__ListenConfig *config)
{
    if (l->live) {
        fail(call, AURICLE_E_INVALID, "a second config: the first message alone holds it", 0);
        return;
    }
    struct au_fault fault = {0};
    double retry_after = 1;
    rpc_call_ref(call); /* the sink's */
    enum auricle_error error = open_live(call, l, config, &retry_after, &fault);
    if (error) {
        rpc_fail(call, error, fault.text, error == AURICLE_E_LIMIT ? retry_after : 0);
        rpc_call_unref(call);
        return;
    }
    rpc_send(call, RPC_KEEP, rpc_pack_opened(rpc_call_host(call)->live_session_id(l->live)));
    receive_more(call, l);
}

static void on_audio(struct rpc_call *call, struct listen *l, grpc_byte_buffer *message,
                     struct rpc_piece *pieces, const struct rpc_split *split)
{
    if (split->n_bulk > MAX_AUDIO_BYTES) {
        au_free(pieces);
        fail(call, AURICLE_E_INVALID, "over 4 MiB of audio in one message; send it in pieces", 0);
        return;
    }
    l->message = grpc_byte_buffer_copy(message); /* the same bytes, counted */
    l->pieces = pieces;
    l->audio = split->bulk;
    l->n_audio = split->n_bulk;
    feed(call, l);
}

static void act(struct rpc_call *call, struct listen *l, const Auricle__V1__ListenRequest *asked)
{
    if (!l->live && asked->request_case != AURICLE__V1__LISTEN_REQUEST__REQUEST_CONFIG) {
        fail(call, AURICLE_E_INVALID, "the first message must hold `config`", 0);
        return;
    }
    switch ((int)asked->request_case) {
    case AURICLE__V1__LISTEN_REQUEST__REQUEST_CONFIG: on_config(call, l, asked->config); return;
    case AURICLE__V1__LISTEN_REQUEST__REQUEST_FINALIZE:
        rpc_call_host(call)->live_finalize(l->live);
        receive_more(call, l);
        return;
    case AURICLE__V1__LISTEN_REQUEST__REQUEST_CLOSE: say_all(call, l); return;
    default: /* empty, or of a later version: keeps the connection alive */ receive_more(call, l);
    }
}

static void on_half_close(struct rpc_call *call, struct listen *l)
{
    if (!l->live) {
        fail(call, AURICLE_E_INVALID, "the first message must hold `config`", 0);
    } else if (l->resume_seconds > 0) {
        l->half_closed_ns = au_now_ns();
        rpc_call_ticks(call, RPC_TICK_SOON);
    } else {
        say_all(call, l);
    }
}

static void on_message(struct rpc_call *call, grpc_byte_buffer *message)
{
    struct listen *l = rpc_call_state(call);
    if (!message) {
        on_half_close(call, l);
        return;
    }
    struct au_fault fault = {0};
    struct rpc_split split;
    size_t n;
    struct rpc_piece *pieces = rpc_pieces(message, &n);
    enum auricle_error error = pieces ? rpc_wire_split(pieces, n, AUDIO_FIELD, MAX_REST_BYTES,
                                                       &split, &fault)
                                      : au_fail(&fault, AURICLE_E_NOMEM, "no memory for a message");
    Auricle__V1__ListenRequest *asked = NULL;
    if (!error) {
        asked = (Auricle__V1__ListenRequest *)(void *)rpc_unpack_bytes(
            &auricle__v1__listen_request__descriptor, (const uint8_t *)split.rest.data,
            split.rest.len, &fault);
        au_buf_deinit(&split.rest);
    }
    if (!asked) {
        fail(call, fault.code == AURICLE_E_LIMIT ? AURICLE_E_INVALID : fault.code, fault.text, 0);
    } else if (split.has_bulk && l->live &&
               asked->request_case == AURICLE__V1__LISTEN_REQUEST__REQUEST__NOT_SET) {
        on_audio(call, l, message, pieces, &split);
        pieces = NULL;
    } else if (split.has_bulk && l->live) {
        fail(call, AURICLE_E_INVALID, "a message holds audio or something else, not both", 0);
    } else {
        act(call, l, asked);
    }
    if (asked)
        protobuf_c_message_free_unpacked(&asked->base, rpc_memory());
    au_free(pieces);
}

static void begin(struct rpc_call *call)
{
    struct listen *l = rpc_call_state(call);
    const struct api_grpc_host *host = rpc_call_host(call);
    l->call = call;
    l->done.run = finish;
    if (host->draining(host->service)) {
        rpc_fail_status(call, GRPC_STATUS_UNAVAILABLE, AURICLE_E_LIMIT, "the server is stopping",
                        1);
        return;
    }
    host->count_request(host->metrics, SERVICE_GRPC);
    rpc_receive(call);
}

const struct rpc_method rpc_listen_methods[] = {
    {.path = "/auricle.v1.Auricle/Listen",
     .state_bytes = sizeof(struct listen),
     .begin = begin,
     .message = on_message,
     .drained = drained,
     .tick = tick,
     .over = over,
     .destroy = destroy},
    {0},
};
