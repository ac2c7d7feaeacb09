/* The pool's thread, and what it and the callers do to workers. See pool.h.
 *
 * The thread sleeps until a worker says something, a caller wakes it, or a limit on time passes.
 * Each time it reads the reports, judges those that got nowhere, buries the dead, starts new ones
 * where some are missing, and hands out what waits.                                              */
#include "service/media/pool.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define SECOND_NS         ((int64_t)1000000000)
#define MAX_JOBS          500 /* of one worker; then a fresh one takes over */
#define READY_SECONDS     20  /* a worker that takes longer to start is stuck */
#define SPARE_SECONDS     30  /* idle workers beyond the warm ones go after that */
#define FORGOTTEN_SECONDS 600 /* all that have FFmpeg go after that */
#define MAX_EVENTS        32
#define MAX_REPORTS       64 /* of one worker, before others have their turn */

/* Let the thread look. */
static void wake(struct service_media *media)
{
    uint64_t one = 1;
    (void)!write(media->wake_fd, &one, sizeof one);
}

static void doom(struct media_worker *worker, enum auricle_error verdict)
{
    if (worker->doomed)
        return;
    worker->doomed = true;
    worker->verdict = verdict;
    service_process_kill(&worker->process);
}

/* ---- Decodings come and go ------------------------------------------------------------------- */

static void count_running(struct service_decode *decode, int step)
{
    if (decode->job.is_pipe)
        decode->media->n_pipes += step;
    else
        decode->media->n_files += step;
}

static bool may_run(const struct service_decode *decode)
{
    const struct service_media *media = decode->media;
    return decode->job.is_pipe ? media->n_pipes < media->config.max_pipes
                               : media->n_files < media->config.max_workers;
}

static void append_waiting(struct service_decode *decode, bool first)
{
    struct service_media *media = decode->media;
    decode->state = DECODE_WAITING;
    decode->next_waiting = first ? media->waiting : NULL;
    if (first) {
        if (!media->waiting)
            media->waiting_end = &decode->next_waiting;
        media->waiting = decode;
    } else {
        *media->waiting_end = decode;
        media->waiting_end = &decode->next_waiting;
    }
}

static void remove_waiting(struct service_decode *decode)
{
    struct service_media *media = decode->media;
    struct service_decode **at = &media->waiting;
    while (*at && *at != decode)
        at = &(*at)->next_waiting;
    if (!*at)
        return;
    *at = decode->next_waiting;
    if (media->waiting_end == &decode->next_waiting)
        media->waiting_end = at;
    decode->next_waiting = NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void finish(struct service_decode *decode, const struct au_fault *fault)
{
    if (decode->state == DECODE_RUNNING)
        count_running(decode, -1);
    decode->state = DECODE_ENDED;
    decode->found.fault = *fault;
    close_fd(&decode->fd);
    close_fd(&decode->spool_fd);
}

void service_pool_forget(struct service_decode *decode)
{
    struct service_media *media = decode->media;
    struct au_fault none = {0};
    remove_waiting(decode);
    for (struct media_worker *w = media->workers; w; w = w->next)
        if (w->decode == decode) {
            w->decode = NULL;
            doom(w, AURICLE_E_CANCELLED);
        }
    finish(decode, &none);
    wake(media);
}

/* ---- Handing out ----------------------------------------------------------------------------- */

static struct media_worker *find_idle(struct service_media *media, bool with_ffmpeg)
{
    struct media_worker *found = NULL;
    for (struct media_worker *w = media->workers; w; w = w->next)
        if (w->ready && !w->doomed && !w->decode && (w->with_ffmpeg || !with_ffmpeg) &&
            (!found || found->with_ffmpeg))
            found = w; /* a small one where that will do */
    return found;
}

static bool hand_over(struct media_worker *worker, struct service_decode *decode)
{
    int fds[MEDIA_JOB_FDS] = {decode->fd, decode->out_fd, decode->spool_fd};
    service_process_allow_cpu(&worker->process, decode->media->config.max_cpu_seconds);
    if (!service_wire_send(worker->process.socket, &decode->job, sizeof decode->job, fds,
                           2 + (size_t)decode->job.is_pipe))
        return false;
    worker->decode = decode;
    worker->n_jobs++;
    decode->state = DECODE_RUNNING;
    decode->progress_ns = au_now_ns();
    decode->starving_ns = 0;
    count_running(decode, 1);
    return true;
}

static void dispatch(struct service_media *media)
{
    struct service_decode *decode = media->waiting;
    while (decode) {
        struct service_decode *next = decode->next_waiting;
        struct media_worker *worker = may_run(decode) ? find_idle(media, decode->needs_ffmpeg)
                                                      : NULL;
        if (!worker) {
            decode = next;
        } else if (hand_over(worker, decode)) {
            remove_waiting(decode);
            decode = next;
        } else {
            doom(worker, AURICLE_OK); /* it is dying: try another one */
        }
    }
}

void service_pool_submit(struct service_decode *decode)
{
    append_waiting(decode, false);
    dispatch(decode->media);
    wake(decode->media); /* for its limits in time, if nothing else */
}

void service_pool_look(struct service_media *media)
{
    dispatch(media);
    wake(media); /* to start workers, if some are missing */
}

/* ---- Starting -------------------------------------------------------------------------------- */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* How many workers of a kind should be idle or on their way. */
static int n_wanted(const struct service_media *media, bool with_ffmpeg)
{
    const struct service_media_config *config = &media->config;
    int n_files = 0, n_pipes = 0, n_warm = config->warm_workers;
    for (const struct service_decode *d = media->waiting; d; d = d->next_waiting)
        if (d->needs_ffmpeg == with_ffmpeg)
            d->job.is_pipe ? n_pipes++ : n_files++;
    /* Those with FFmpeg are large: the busy ones count as warm. */
    for (const struct media_worker *w = media->workers; w && with_ffmpeg; w = w->next)
        n_warm -= w->with_ffmpeg && w->decode && n_warm > 0;
    n_files = smaller(n_files, config->max_workers - media->n_files);
    n_pipes = smaller(n_pipes, config->max_pipes - media->n_pipes);
    return larger(n_files + n_pipes, with_ffmpeg && !media->ffmpeg_wanted ? 0 : n_warm);
}

static int n_at_hand(const struct service_media *media, bool with_ffmpeg)
{
    int n = 0;
    for (const struct media_worker *w = media->workers; w; w = w->next)
        n += !w->doomed && !w->decode && w->with_ffmpeg == with_ffmpeg;
    return n;
}

/* The first decoding that waits for such a worker learns that there will be none. */
static struct service_decode *fail_first(struct service_media *media, bool with_ffmpeg)
{
    for (struct service_decode *d = media->waiting; d; d = d->next_waiting)
        if (d->needs_ffmpeg == with_ffmpeg) {
            remove_waiting(d);
            finish(d, &media->unfit);
            return d;
        }
    return NULL;
}

static struct media_worker *start_worker(struct service_media *media, bool with_ffmpeg,
                                         struct au_fault *fault)
{
    struct media_hello hello = {.protocol = MEDIA_PROTOCOL,
                                .with_ffmpeg = with_ffmpeg,
                                .max_memory_bytes = media->config.max_memory_bytes,
                                .max_rate_hz = media->config.max_rate_hz,
                                .max_channels = media->config.max_channels};
    double bytes = media->config.max_seconds * AUDIO_RATE_HZ * sizeof(float) + (1 << 20);
    hello.max_file_bytes = (uint64_t)fmax(bytes, 4294967296.0); /* a pipe is kept, too */
    struct media_worker *worker = au_calloc(1, sizeof *worker);
    if (!worker) {
        au_fail(fault, AURICLE_E_NOMEM, "decoder process: out of memory");
        return NULL;
    }
    worker->with_ffmpeg = with_ffmpeg;
    if (service_process_start(media->program, &hello, &worker->process, fault)) {
        au_free(worker);
        return NULL;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = worker};
    if (epoll_ctl(media->epoll_fd, EPOLL_CTL_ADD, worker->process.socket, &event) != 0) {
        au_fail_errno(fault, errno, "decoder process: epoll");
        (void)service_process_end(&worker->process);
        au_free(worker);
        return NULL;
    }
    worker->since_ns = au_now_ns();
    return worker;
}

static void notify(struct service_decode *decode);

/* One worker of each kind where some are missing. The lock is let go of meanwhile. */
static void start_missing(struct service_media *media)
{
    for (int kind = 0; kind < 2; kind++) {
        bool with_ffmpeg = kind == 1;
        int64_t now_ns = au_now_ns();
        if (media->stopping || now_ns < media->next_start_ns ||
            n_at_hand(media, with_ffmpeg) >= n_wanted(media, with_ffmpeg))
            continue;
        struct au_fault fault = {0};
        pthread_mutex_unlock(&media->lock);
        struct media_worker *worker = start_worker(media, with_ffmpeg, &fault);
        pthread_mutex_lock(&media->lock);
        if (worker) {
            media->ffmpeg_wanted |= with_ffmpeg;
            worker->next = media->workers;
            media->workers = worker;
            wake(media); /* there may be more to start */
        } else {
            media->unfit = fault;
            media->next_start_ns = now_ns + SECOND_NS;
            pthread_cond_broadcast(&media->changed);
            struct service_decode *failed = fail_first(media, with_ffmpeg);
            if (failed)
                notify(failed);
        }
    }
}

/* ---- Reports --------------------------------------------------------------------------------- */

/* Calls back without the lock. The decoding may be gone afterwards. */
static void notify(struct service_decode *decode)
{
    struct service_media *media = decode->media;
    if (!decode->notify)
        return;
    decode->notifying = true;
    pthread_mutex_unlock(&media->lock);
    decode->notify(decode->context);
    pthread_mutex_lock(&media->lock);
    decode->notifying = false;
    pthread_cond_broadcast(&media->changed);
}

/* Text from a worker: ends where it must, no control characters, valid UTF-8. */
static void take_text(char *out, const char *text, size_t n)
{
    struct au_fault clean;
    au_fail(&clean, AURICLE_E_FORMAT, "%.*s", (int)n - 1, text);
    au_str_copy(out, n, clean.text);
}

static void take_info(struct service_decode *decode, const struct media_report *report)
{
    struct media_report *found = &decode->found;
    found->decode_ms = report->decode_ms;
    if (decode->has_info)
        return;
    take_text(found->decoder, report->decoder, sizeof found->decoder);
    take_text(found->container, report->container, sizeof found->container);
    take_text(found->codec, report->codec, sizeof found->codec);
    take_text(found->fallback, report->fallback, sizeof found->fallback);
    found->rate_hz = report->rate_hz;
    found->channels = report->channels;
    found->seconds = report->seconds;
    decode->has_info = true;
}

/* What its files have grown by. Waiting for AGAIN is for those who read: it is no end. */
static bool count_bytes(struct service_decode *decode, struct au_fault *fault)
{
    const struct service_media_config *config = &decode->media->config;
    struct stat kept; /* what was read of a pipe */
    uint64_t n = (uint64_t)decode->n_samples * sizeof(float);
    if (decode->spool_fd >= 0 && !fstat(decode->spool_fd, &kept) && kept.st_size > 0)
        n += (uint64_t)kept.st_size;
    if (!config->take_bytes || n <= decode->n_bytes)
        return true;
    if (config->take_bytes(config->context, n - decode->n_bytes, fault)) {
        fault->code = AURICLE_E_NO_SPACE;
        decode->crowded = true;
        return false;
    }
    decode->n_bytes = n;
    return true;
}

/* False: it may not go on. */
static bool take_samples(struct service_decode *decode, const struct media_report *report,
                         struct au_fault *fault)
{
    int64_t most = (int64_t)(decode->job.options.max_seconds * AUDIO_RATE_HZ) + AUDIO_RATE_HZ;
    if (report->n_samples > decode->n_samples && report->n_samples <= most)
        decode->n_samples = report->n_samples;
    decode->progress_ns = au_now_ns();
    decode->starving_ns = 0;
    return count_bytes(decode, fault);
}

/* The worker has finished with its decoding. */
static void detach(struct media_worker *worker)
{
    worker->decode = NULL;
    worker->since_ns = au_now_ns();
    if (worker->n_jobs >= MAX_JOBS)
        doom(worker, AURICLE_OK);
}

static void take_failure(struct service_decode *decode, const struct media_report *report)
{
    struct au_fault fault = {0};
    enum auricle_error code = report->fault.code;
    if (code >= AURICLE_OK || code < AURICLE_E_CLOSED_PIPE)
        code = AURICLE_E_FORMAT;
    au_fail(&fault, code, "%.*s", (int)sizeof report->fault.text - 1, report->fault.text);
    finish(decode, &fault);
}

static void decline(struct media_worker *worker)
{
    struct service_decode *decode = worker->decode;
    detach(worker);
    count_running(decode, -1);
    decode->needs_ffmpeg = true;
    append_waiting(decode, true);
}

static void become_ready(struct service_media *media, struct media_worker *worker)
{
    worker->ready = true;
    worker->since_ns = au_now_ns();
    media->n_ever++;
    media->unfit.code = AURICLE_OK;
    pthread_cond_broadcast(&media->changed);
}

/* Returns the decoding to be told of, or NULL. */
static struct service_decode *take_report(struct service_media *media, struct media_worker *worker,
                                          const struct media_report *report)
{
    struct au_fault fault = {0};
    struct service_decode *decode = worker->decode;
    if (report->kind == MEDIA_READY && !worker->ready)
        become_ready(media, worker);
    if (report->kind == MEDIA_UNFIT && !worker->ready)
        au_fail(&media->unfit, AURICLE_E_UNSUPPORTED, "%.*s", (int)sizeof report->fault.text - 1,
                report->fault.text);
    if (!decode)
        return NULL;
    switch (report->kind) {
    case MEDIA_READY:
    case MEDIA_UNFIT: return NULL;
    case MEDIA_OPENED: take_info(decode, report); break;
    case MEDIA_PROGRESS: break;
    case MEDIA_DECLINED:
        if (worker->with_ffmpeg || decode->job.is_pipe || decode->n_samples > 0)
            doom(worker, AURICLE_E_FORMAT); /* it lies */
        else
            decline(worker);
        return NULL;
    case MEDIA_DONE:
        (void)take_samples(decode, report, &fault);
        take_info(decode, report);
        take_text(decode->found.warning, report->warning, sizeof report->warning);
        detach(worker);
        finish(decode, &fault);
        return decode;
    case MEDIA_FAILED:
        (void)take_samples(decode, report, &fault);
        detach(worker);
        take_failure(decode, report);
        return decode;
    default: doom(worker, AURICLE_E_FORMAT); return NULL;
    }
    if (!take_samples(decode, report, &fault)) {
        worker->decode = NULL;
        doom(worker, AURICLE_E_CANCELLED);
        finish(decode, &fault);
    }
    return decode;
}

/* Everything a worker has to say. */
static void listen_to(struct service_media *media, struct media_worker *worker)
{
    struct media_report report;
    for (int i = 0; i < MAX_REPORTS && !worker->doomed; i++) {
        ssize_t n = service_wire_receive(worker->process.socket, &report, sizeof report,
                                         MSG_DONTWAIT, NULL, 0, NULL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n != (ssize_t)sizeof report) {
            doom(worker, AURICLE_OK);
            return;
        }
        struct service_decode *decode = take_report(media, worker, &report);
        dispatch(media);
        if (decode)
            notify(decode);
    }
}

/* ---- The end of workers ---------------------------------------------------------------------- */

static void describe_end(const struct media_worker *worker, int status, struct au_fault *fault)
{
    const struct service_decode *decode = worker->decode;
    const struct service_media_config *config = &decode->media->config;
    const char *name = decode->job.name;
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (worker->verdict == AURICLE_E_TIMEOUT && decode->starving_ns)
        au_fail(fault, AURICLE_E_TIMEOUT, "%s: nothing more came for %.1f s", name,
                config->max_wait_seconds);
    else if (worker->verdict == AURICLE_E_TIMEOUT)
        au_fail(fault, AURICLE_E_TIMEOUT, "%s: the decoder was stopped: it got nowhere for %.1f s",
                name, config->max_wall_seconds);
    else if (signal_number == SIGXCPU)
        au_fail(fault, AURICLE_E_LIMIT,
                "%s: the decoder was stopped: it used more than %.1f s of processor time", name,
                config->max_cpu_seconds);
    else if (signal_number == SIGSYS)
        au_fail(fault, AURICLE_E_FORMAT,
                "%s: the decoder was stopped: this recording made it ask the system for what "
                "decoding does not need",
                name);
    else
        au_fail(fault, AURICLE_E_FORMAT,
                "%s: the decoder was stopped: this recording made it crash (%s %d)", name,
                signal_number ? "signal" : "status",
                signal_number ? signal_number : WEXITSTATUS(status));
}

/* A worker that never became ready, and did not say why. */
static void note_unfit(struct service_media *media, const struct media_worker *worker, int status)
{
    if (!media->unfit.code)
        au_fail(&media->unfit, AURICLE_E_IO, "decoder process: ended before it was ready (%s %d)%s",
                WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                worker->verdict == AURICLE_E_TIMEOUT ? ", as it took too long" : "");
    media->next_start_ns = au_now_ns() + SECOND_NS;
    pthread_cond_broadcast(&media->changed);
}

/* The lock is let go of while the system takes the process down; meanwhile the worker stays in the
 * list, so that its decoding can still be taken back.                                            */
static void bury(struct service_media *media, struct media_worker **at)
{
    struct media_worker *worker = *at;
    pthread_mutex_unlock(&media->lock);
    int status = service_process_end(&worker->process);
    pthread_mutex_lock(&media->lock);
    *at = worker->next; /* only this thread changes the list */
    struct service_decode *decode = worker->decode;
    if (decode) {
        struct au_fault fault = {0};
        describe_end(worker, status, &fault);
        finish(decode, &fault);
    } else if (!worker->ready && !media->stopping) {
        note_unfit(media, worker, status);
        decode = fail_first(media, worker->with_ffmpeg);
    }
    au_free(worker);
    if (decode)
        notify(decode);
}

static void bury_doomed(struct service_media *media)
{
    struct media_worker **at = &media->workers;
    while (*at) {
        if ((*at)->doomed)
            bury(media, at);
        else
            at = &(*at)->next;
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static bool is_starving(const struct service_decode *decode)
{
    struct pollfd wait = {.fd = decode->fd, .events = POLLIN};
    return decode->job.is_pipe && poll(&wait, 1, 0) == 0;
}

/* Whether a running decoding is out of time. */
static bool is_late(struct service_decode *decode, int64_t now_ns)
{
    const struct service_media_config *config = &decode->media->config;
    if (is_starving(decode)) { /* not the decoder's fault */
        if (!decode->starving_ns)
            decode->starving_ns = now_ns;
        decode->progress_ns = now_ns;
        return (double)(now_ns - decode->starving_ns) > config->max_wait_seconds * 1e9;
    }
    decode->starving_ns = 0;
    return (double)(now_ns - decode->progress_ns) > config->max_wall_seconds * 1e9;
}

static void judge_idle(struct service_media *media, struct media_worker *worker, int64_t now_ns)
{
    int64_t idle_ns = now_ns - worker->since_ns;
    if (!worker->ready) {
        if (idle_ns > READY_SECONDS * SECOND_NS)
            doom(worker, AURICLE_E_TIMEOUT);
        return;
    }
    if (worker->with_ffmpeg && idle_ns > FORGOTTEN_SECONDS * SECOND_NS)
        media->ffmpeg_wanted = false;
    if (idle_ns > SPARE_SECONDS * SECOND_NS &&
        n_at_hand(media, worker->with_ffmpeg) > n_wanted(media, worker->with_ffmpeg))
        doom(worker, AURICLE_OK);
}

/* Ends what is late. Returns milliseconds until somebody may be, or -1. */
static int judge(struct service_media *media)
{
    int64_t now_ns = au_now_ns();
    bool running = false, passing = media->waiting != NULL;
    for (struct media_worker *w = media->workers; w; w = w->next) {
        if (w->doomed) {
            continue;
        } else if (w->decode) {
            running = true;
            if (is_late(w->decode, now_ns))
                doom(w, AURICLE_E_TIMEOUT);
        } else {
            judge_idle(media, w, now_ns);
            passing |= !w->ready || w->with_ffmpeg ||
                       n_at_hand(media, false) > media->config.warm_workers;
        }
    }
    passing |= now_ns < media->next_start_ns;
    double least = fmin(media->config.max_wall_seconds, media->config.max_wait_seconds);
    if (running)
        return (int)fmax(fmin(least * 1e3 / 8, 1000), 1);
    return passing ? 1000 : -1;
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void take_events(struct service_media *media, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.ptr)
            listen_to(media, events[i].data.ptr);
        else
            (void)!read(media->wake_fd, &count, sizeof count);
    }
}

static void *run(void *context)
{
    struct service_media *media = context;
    struct epoll_event events[MAX_EVENTS];
    pthread_mutex_lock(&media->lock);
    while (!media->stopping) {
        int wait_ms = judge(media);
        bury_doomed(media);
        start_missing(media);
        pthread_mutex_unlock(&media->lock);
        int n = epoll_wait(media->epoll_fd, events, MAX_EVENTS, wait_ms);
        pthread_mutex_lock(&media->lock);
        take_events(media, events, n);
        dispatch(media);
    }
    for (struct media_worker *w = media->workers; w; w = w->next)
        doom(w, AURICLE_E_CANCELLED);
    bury_doomed(media);
    pthread_mutex_unlock(&media->lock);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct service_media *media)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&media->thread, NULL, run, media);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

enum auricle_error service_pool_start(struct service_media *media, struct au_fault *fault)
{
    media->waiting_end = &media->waiting;
    media->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    media->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    int status = 0;
    if (media->epoll_fd < 0 || media->wake_fd < 0 ||
        epoll_ctl(media->epoll_fd, EPOLL_CTL_ADD, media->wake_fd, &event) != 0)
        status = errno;
    if (!status)
        status = start_thread(media);
    if (status) {
        close_fd(&media->epoll_fd);
        close_fd(&media->wake_fd);
        return au_fail_errno(fault, status, "decoder pool");
    }
    pthread_mutex_lock(&media->lock);
    while (!media->n_ever && !media->unfit.code)
        pthread_cond_wait(&media->changed, &media->lock);
    struct au_fault unfit = media->unfit;
    bool ready = media->n_ever > 0;
    pthread_mutex_unlock(&media->lock);
    if (ready)
        return AURICLE_OK;
    service_pool_stop(media);
    if (fault)
        *fault = unfit;
    return unfit.code;
}

void service_pool_stop(struct service_media *media)
{
    if (media->epoll_fd < 0)
        return;
    pthread_mutex_lock(&media->lock);
    media->stopping = true;
    wake(media);
    pthread_mutex_unlock(&media->lock);
    pthread_join(media->thread, NULL);
    close_fd(&media->epoll_fd);
    close_fd(&media->wake_fd);
}
