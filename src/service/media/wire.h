/* What the pool and its workers say to each other, over a socket pair that keeps messages whole.
 *
 * Both ends are the same program, so messages are plain structures. The worker believes the pool;
 * the pool believes nothing: a worker may have been taken over by the recording it decodes.
 * Internal to src/service/media.                                                                */
#ifndef SERVICE_MEDIA_WIRE_H
#define SERVICE_MEDIA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "audio/decode.h"

#define MEDIA_WORKER_WORD "media-worker" /* the hidden sub-command */
#define MEDIA_WORKER_MARK "AURICLE_MEDIA_WORKER"
#define MEDIA_SOCKET_FD   3 /* of a worker */
#define MEDIA_JOB_FDS     3 /* recording, samples, what was read of a pipe */

/* The first message to a worker. */
struct media_hello {
    uint32_t protocol; /* MEDIA_PROTOCOL: the same build on both sides */
    bool with_ffmpeg;  /* load FFmpeg's libraries before the lock */
    uint64_t max_memory_bytes, max_file_bytes;
    int max_rate_hz, max_channels;
};

/* One decoding; descriptors come with it. */
struct media_job {
    struct audio_decode_options options;
    bool is_pipe; /* a third descriptor comes along */
    uint64_t first, bytes;
    char name[256];
};

enum media_report_kind {
    MEDIA_READY = 1, /* locked, waiting for jobs */
    MEDIA_UNFIT,     /* cannot be made ready: fault; the worker ends */
    MEDIA_OPENED,    /* info */
    MEDIA_PROGRESS,  /* n_samples */
    MEDIA_DECLINED,  /* needs FFmpeg; nothing was written */
    MEDIA_DONE,      /* n_samples, info, warning */
    MEDIA_FAILED     /* n_samples, fault */
};

struct media_report {
    enum media_report_kind kind;
    int64_t n_samples;
    int rate_hz, channels;
    double seconds, decode_ms;
    char decoder[16], container[64], codec[64], fallback[256], warning[512];
    struct au_fault fault;
};

#define MEDIA_PROTOCOL                                                       \
    ((uint32_t)(sizeof(struct media_hello) + sizeof(struct media_job) * 64 + \
                sizeof(struct media_report) * 4096))

/* Whole message or nothing; false with errno (EPIPE: nobody is there). Descriptors are copied. */
bool service_wire_send(int socket, const void *message, size_t n, const int *fds, size_t n_fds);
/* Waits unless flags has MSG_DONTWAIT. Length of the message, 0 at the end, < 0 with errno. Fewer
 * descriptors than max_fds may come: *n_fds. More are closed by the system.                      */
ssize_t service_wire_receive(int socket, void *message, size_t n, int flags, int *fds,
                             size_t max_fds, size_t *n_fds);

#endif
