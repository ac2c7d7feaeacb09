/* The way of live audio: bytes as they come -> 16 kHz mono -> the stream's own buffer.
 *
 * Raw samples are converted on the thread that feeds them. What a container holds is decoded in a
 * confined process that reads from a socket; the scheduler moves what came of it. Until there is a
 * session, samples are kept here (as many as it would keep itself), afterwards only the rest of
 * one block that found its buffer full.                                                          */
#ifndef SERVICE_LIVE_AUDIO_H
#define SERVICE_LIVE_AUDIO_H

#include <pthread.h>
#include <stdatomic.h>

#include "audio/push.h"
#include "auricle/auricle.h"
#include "service/media/media.h"
#include "service/work/live.h"

struct service_live_audio {
    pthread_mutex_t lock;            /* guards the rest, but for what is atomic */
    struct auricle_session *session; /* NULL: not yet, or not any more */
    struct audio_push *push;         /* NULL: a container */
    int socket;                      /* to the decoder; -1: raw, or closed */
    struct service_decode *decode;   /* NULL: raw; set once */
    int64_t n_decoded;               /* samples taken from it */
    float *pending;                  /* [room], of which n_pending from first_pending on */
    size_t first_pending, n_pending, room, limit;
    unsigned n_flushes; /* wanted, not yet asked of the session */
    bool wished;        /* closed by who feeds it */
    bool closed;        /* no more is to come */
    bool close_told;    /* and the session knows */
    bool over;          /* nobody takes it any more */
    int64_t n_samples;
    struct au_fault fault;  /* why it was closed, where nobody wished it */
    _Atomic int64_t fed_ns; /* the last sign of life */
};

/* deinit is due after a failure too. context is poked (notify) as decoding goes on. */
AURICLE_MUST_CHECK enum auricle_error service_live_audio_init(struct service_live_audio *audio,
                                                              const struct service_live_spec *spec,
                                                              struct service_media *media,
                                                              service_decode_notify *notify,
                                                              void *context,
                                                              struct au_fault *fault);
void service_live_audio_deinit(struct service_live_audio *audio);

/* The feeding thread. As service_live_feed. */
AURICLE_MUST_CHECK enum auricle_error service_live_audio_feed(struct service_live_audio *audio,
                                                              const uint8_t *bytes, size_t n,
                                                              size_t *n_taken,
                                                              struct au_fault *fault);
void service_live_audio_flush(struct service_live_audio *audio);
void service_live_audio_close(struct service_live_audio *audio);
/* No more is taken, though nobody who feeds it wished so; why NULL: no fault of the audio's.
 * What is fed from now on is dropped, since the sink is about to hear the reason. Any thread.    */
void service_live_audio_end(struct service_live_audio *audio, const struct au_fault *why);

/* The scheduler's thread. */
void service_live_audio_use(struct service_live_audio *audio, struct auricle_session *session);
/* The session takes no more, nor will another: what is fed is dropped, and the decoder and all that
 * was waiting is let go. May be called again. */
void service_live_audio_over(struct service_live_audio *audio);
void service_live_audio_pump(struct service_live_audio *audio);
double service_live_audio_seconds(struct service_live_audio *audio);
/* Why the audio ended; OK: as wished. */
enum auricle_error service_live_audio_fault(struct service_live_audio *audio,
                                            struct au_fault *fault);

#endif
