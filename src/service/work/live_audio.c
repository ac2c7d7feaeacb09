/* Live audio on its way in. See live_audio.h. */
#include "service/work/live_audio.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { BLOCK_SAMPLES = 2048, MIN_ROOM = 2 * BLOCK_SAMPLES };

#define DEFAULT_BUFFER_SECONDS 60.0
#define MAX_BUFFER_SECONDS     600.0

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error open_decoder(struct service_live_audio *audio,
                                       struct service_media *media, service_decode_notify *notify,
                                       void *context, struct au_fault *fault)
{
    static const struct audio_decode_options options = {0};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return au_fail_errno(fault, errno, "the stream's decoder");
    audio->socket = ends[0];
    (void)shutdown(ends[0], SHUT_RD);
    return service_media_start(media, ends[1], "the stream", &options, notify, context,
                               &audio->decode, fault);
}

enum auricle_error service_live_audio_init(struct service_live_audio *audio,
                                           const struct service_live_spec *spec,
                                           struct service_media *media,
                                           service_decode_notify *notify, void *context,
                                           struct au_fault *fault)
{
    double seconds = spec->stream->buffer_seconds > 0 ? spec->stream->buffer_seconds
                                                      : DEFAULT_BUFFER_SECONDS;
    audio->socket = -1;
    audio->limit = (size_t)(fmin(seconds, MAX_BUFFER_SECONDS) * AUDIO_RATE_HZ) + MIN_ROOM;
    atomic_init(&audio->fed_ns, au_now_ns());
    pthread_mutex_init(&audio->lock, NULL);
    if (spec->raw == AUDIO_RAW_NONE)
        return open_decoder(audio, media, notify, context, fault);
    return audio_push_create(spec->raw, spec->raw_rate_hz ? spec->raw_rate_hz : AUDIO_RATE_HZ,
                             spec->raw_channels ? spec->raw_channels : 1, &audio->push, fault);
}

/* What costs memory or a descriptor, but for the decoding. */
static void release(struct service_live_audio *audio)
{
    if (audio->socket >= 0)
        close(audio->socket);
    audio->socket = -1;
    audio_push_destroy(audio->push);
    audio->push = NULL;
    au_free(audio->pending);
    audio->pending = NULL;
    audio->room = audio->n_pending = audio->first_pending = 0;
}

void service_live_audio_deinit(struct service_live_audio *audio)
{
    release(audio);
    service_decode_release(audio->decode);
    pthread_mutex_destroy(&audio->lock);
}

/* ---- Samples to the session; the lock is held ------------------------------------------------ */

static void drain(struct service_live_audio *audio)
{
    if (!audio->session)
        return;
    if (audio->n_pending) {
        size_t taken = auricle_stream_feed(audio->session, audio->pending + audio->first_pending,
                                           audio->n_pending);
        audio->first_pending += taken;
        audio->n_pending -= taken;
    }
    if (audio->n_pending)
        return;
    audio->first_pending = 0;
    if (audio->room > MIN_ROOM) { /* what was kept until there was a session */
        au_free(audio->pending);
        audio->pending = NULL;
        audio->room = 0;
    }
    for (; audio->n_flushes; audio->n_flushes--)
        auricle_stream_flush(audio->session);
    if (audio->closed && !audio->close_told && (!audio->decode || audio->fault.code)) {
        audio->close_told = true;
        auricle_stream_close(audio->session);
    }
}

/* Room for a block behind what is pending. */
static enum auricle_error reserve(struct service_live_audio *audio)
{
    if (audio->first_pending + audio->n_pending + BLOCK_SAMPLES <= audio->room)
        return AURICLE_OK;
    if (audio->first_pending) {
        memmove(audio->pending, audio->pending + audio->first_pending,
                audio->n_pending * sizeof(float));
        audio->first_pending = 0;
        return reserve(audio);
    }
    size_t room = audio->room ? 2 * audio->room : MIN_ROOM;
    float *grown = au_realloc(audio->pending, room * sizeof(float));
    if (!grown)
        return AURICLE_E_NOMEM;
    audio->pending = grown;
    audio->room = room;
    return AURICLE_OK;
}

static bool has_room(const struct service_live_audio *audio)
{
    return audio->session ? !audio->n_pending : audio->n_pending + BLOCK_SAMPLES <= audio->limit;
}

/* Convert one block of bytes (NULL: the end) and pass it on. */
static enum auricle_error push_block(struct service_live_audio *audio, const uint8_t *bytes,
                                     size_t n, size_t *n_used, size_t *n_made)
{
    enum auricle_error error = reserve(audio);
    float *block = audio->pending + audio->first_pending + audio->n_pending;
    if (!error)
        error = audio_push_run(audio->push, bytes, n, n_used, block, BLOCK_SAMPLES, n_made);
    if (error)
        return error;
    audio->n_pending += *n_made;
    audio->n_samples += (int64_t)*n_made;
    return AURICLE_OK;
}

static enum auricle_error feed_raw(struct service_live_audio *audio, const uint8_t *bytes, size_t n,
                                   size_t *n_taken)
{
    size_t used = 0, made = 0;
    drain(audio);
    do {
        if (!has_room(audio))
            return AURICLE_OK;
        enum auricle_error error = push_block(audio, bytes + *n_taken, n - *n_taken, &used, &made);
        if (error)
            return error;
        *n_taken += used;
        if (made)
            drain(audio);
    } while (used || made);
    return AURICLE_OK;
}

static enum auricle_error feed_container(struct service_live_audio *audio, const uint8_t *bytes,
                                         size_t n, size_t *n_taken)
{
    while (*n_taken < n) {
        ssize_t sent = send(audio->socket, bytes + *n_taken, n - *n_taken,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0)
            *n_taken += (size_t)sent;
        else if (sent < 0 && errno == EINTR)
            continue;
        else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        else
            *n_taken = n; /* the decoder has gone: its own fault says why */
    }
    return AURICLE_OK;
}

/* ---- The feeding side ------------------------------------------------------------------------ */

enum auricle_error service_live_audio_feed(struct service_live_audio *audio, const uint8_t *bytes,
                                           size_t n, size_t *n_taken, struct au_fault *fault)
{
    size_t taken = 0;
    enum auricle_error error = AURICLE_OK;
    atomic_store(&audio->fed_ns, au_now_ns());
    pthread_mutex_lock(&audio->lock);
    if (audio->wished)
        error = au_fail(fault, AURICLE_E_STATE,
                        "this live session takes no more audio: it was closed");
    else if (audio->over || audio->closed)
        taken = n;
    else if (n)
        error = audio->push ? feed_raw(audio, bytes, n, &taken)
                            : feed_container(audio, bytes, n, &taken);
    pthread_mutex_unlock(&audio->lock);
    if (error == AURICLE_E_NOMEM)
        return au_fail(fault, error, "out of memory while keeping live audio");
    *n_taken = taken;
    return error;
}

void service_live_audio_flush(struct service_live_audio *audio)
{
    atomic_store(&audio->fed_ns, au_now_ns());
    pthread_mutex_lock(&audio->lock);
    audio->n_flushes++;
    if (!audio->decode) /* else the scheduler, after what is decoded */
        drain(audio);
    pthread_mutex_unlock(&audio->lock);
}

/* What the resampler still holds: less than a block. */
static void push_rest(struct service_live_audio *audio)
{
    size_t used, made;
    do {
        made = 0;
        if (push_block(audio, NULL, 0, &used, &made))
            return;
    } while (made);
}

static void end(struct service_live_audio *audio, const struct au_fault *why)
{
    if (audio->closed)
        return;
    audio->closed = true;
    if (why)
        audio->fault = *why;
    if (audio->push && !audio->over)
        push_rest(audio);
    if (audio->socket >= 0)
        close(audio->socket);
    audio->socket = -1;
    drain(audio);
}

void service_live_audio_close(struct service_live_audio *audio)
{
    pthread_mutex_lock(&audio->lock);
    audio->wished = true;
    end(audio, NULL);
    pthread_mutex_unlock(&audio->lock);
}

void service_live_audio_end(struct service_live_audio *audio, const struct au_fault *why)
{
    pthread_mutex_lock(&audio->lock);
    end(audio, why);
    pthread_mutex_unlock(&audio->lock);
}

/* ---- The scheduler's side -------------------------------------------------------------------- */

void service_live_audio_use(struct service_live_audio *audio, struct auricle_session *session)
{
    pthread_mutex_lock(&audio->lock);
    audio->session = session;
    drain(audio);
    pthread_mutex_unlock(&audio->lock);
}

void service_live_audio_over(struct service_live_audio *audio)
{
    pthread_mutex_lock(&audio->lock);
    struct service_decode *decode = audio->decode;
    audio->decode = NULL;
    audio->session = NULL;
    audio->over = true;
    release(audio);
    pthread_mutex_unlock(&audio->lock);
    service_decode_release(decode); /* waits for a notification that is under way */
}

static void end_of_decoding(struct service_live_audio *audio, enum auricle_error error,
                            const struct au_fault *fault)
{
    audio->closed = true;
    if (error && !audio->fault.code) {
        audio->fault = *fault;
        if (service_decode_crowded(audio->decode))
            audio->fault.code = AURICLE_E_AGAIN;
    }
    audio->close_told = true;
    auricle_stream_close(audio->session);
}

/* What was decoded, as far as the session has room. */
static void pump_decoded(struct service_live_audio *audio)
{
    float block[BLOCK_SAMPLES];
    while (!audio->close_told) {
        struct au_fault fault = {0};
        int64_t there = service_decode_available(audio->decode) - audio->n_decoded;
        size_t n = there < 1 ? 1 : there < BLOCK_SAMPLES ? (size_t)there : BLOCK_SAMPLES, got = 0;
        enum auricle_error error = service_decode_read(audio->decode, audio->n_decoded, n, block,
                                                       &got, &fault);
        if (error == AURICLE_E_AGAIN)
            return;
        if (error || !got) {
            end_of_decoding(audio, error, &fault);
            return;
        }
        size_t taken = auricle_stream_feed(audio->session, block, got);
        audio->n_decoded += (int64_t)taken;
        audio->n_samples += (int64_t)taken;
        if (taken < got)
            return;
    }
}

void service_live_audio_pump(struct service_live_audio *audio)
{
    pthread_mutex_lock(&audio->lock);
    if (audio->decode && audio->session)
        pump_decoded(audio);
    drain(audio);
    pthread_mutex_unlock(&audio->lock);
}

double service_live_audio_seconds(struct service_live_audio *audio)
{
    pthread_mutex_lock(&audio->lock);
    double seconds = (double)audio->n_samples / AUDIO_RATE_HZ;
    pthread_mutex_unlock(&audio->lock);
    return seconds;
}

enum auricle_error service_live_audio_fault(struct service_live_audio *audio,
                                            struct au_fault *fault)
{
    pthread_mutex_lock(&audio->lock);
    *fault = audio->fault;
    pthread_mutex_unlock(&audio->lock);
    return fault->code;
}
