/* The pool's own structures: decodings wait in a list, workers are in another, one thread (pool.c)
 * starts, watches and ends the workers. Callers (media.c) may hand a decoding to an idle worker by
 * themselves, which saves a change of threads. One lock guards all of it; it is never held while
 * anything waits. Internal to src/service/media.                                                 */
#ifndef SERVICE_MEDIA_POOL_H
#define SERVICE_MEDIA_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/media/media.h"
#include "service/media/process.h"

enum decode_state { DECODE_WAITING, DECODE_RUNNING, DECODE_ENDED };

struct service_decode {
    /* Constant after the start. */
    struct service_media *media;
    service_decode_notify *notify;
    void *context;
    struct media_job job;
    int out_fd; /* samples */

    /* Under the lock. */
    int fd, spool_fd; /* the recording, what was read of a pipe; -1 once it is over */
    enum decode_state state;
    bool needs_ffmpeg;
    bool notifying;                      /* notify is being called */
    int64_t progress_ns;                 /* when it last got on */
    int64_t starving_ns;                 /* since when its pipe gives nothing; 0: it does */
    int64_t n_samples;                   /* written */
    uint64_t n_bytes;                    /* of its files, as counted by take_bytes */
    bool crowded;                        /* it could not have more of them */
    bool has_info;                       /* the texts below are constant from now on */
    struct media_report found;           /* info; warning and fault at the end */
    struct service_decode *next_waiting; /* in the list */
};

struct media_worker {
    struct service_process process;
    bool with_ffmpeg;
    bool ready;                 /* it has said so */
    bool doomed;                /* killed or ended: to be buried */
    enum auricle_error verdict; /* why it was killed; OK: it ended by itself */
    int64_t since_ns;           /* it was started, or became idle */
    int n_jobs;
    struct service_decode *decode; /* NULL: idle */
    struct media_worker *next;
};

struct service_media {
    struct service_media_config config; /* every default filled in */
    char *spool_folder, *program;       /* copies, or NULL */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a worker is ready or failed to be; a notification is over */
    struct service_decode *waiting, **waiting_end;
    struct media_worker *workers;
    int n_files, n_pipes; /* running */
    bool ffmpeg_wanted;   /* some worker with FFmpeg is kept warm */
    bool stopping;
    struct au_fault unfit;     /* why the last worker did not become ready */
    int64_t next_start_ns;     /* not before then */
    unsigned long long n_ever; /* workers that became ready */

    pthread_t thread;
    int epoll_fd, wake_fd;
};

/* Start the thread / end it with every process. */
AURICLE_MUST_CHECK enum auricle_error service_pool_start(struct service_media *media,
                                                         struct au_fault *fault);
void service_pool_stop(struct service_media *media);

/* With the lock held. */
/* What may run has changed. */
void service_pool_look(struct service_media *media);
/* In line with it, or to a worker at once. */
void service_pool_submit(struct service_decode *decode);
/* Take a decoding back from wherever it is; its worker is killed. */
void service_pool_forget(struct service_decode *decode);

#endif
