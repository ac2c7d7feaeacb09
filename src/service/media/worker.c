/* A decoder process: one thread, one recording at a time. See worker.h.
 *
 * Everything that needs the file system happens before the lock: libraries, time zone, and one
 * small recording decoded for warmth. Afterwards a job is three descriptors and a structure. Blocks
 * go out as they are made; the pool is told often, but not of every block.                       */
#include "service/media/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "service/media/confine.h"

#define BLOCK_SAMPLES    4096
#define REPORT_SAMPLES   AUDIO_RATE_HZ       /* tell of progress that often ... */
#define REPORT_NS        ((int64_t)20000000) /* ... and that often */
#define MAX_MEMORY_SHOWN ((uint64_t)1 << 20)

enum { FD_INPUT, FD_OUTPUT, FD_SPOOL };

struct worker {
    struct media_hello hello;
    service_worker_hook *hook;
    struct media_job job;
    int fds[MEDIA_JOB_FDS];
    size_t n_fds;
    struct media_report report; /* of the present job */
    int64_t told_samples, told_ns;
};

static bool tell(struct worker *worker, enum media_report_kind kind)
{
    worker->report.kind = kind;
    worker->told_samples = worker->report.n_samples;
    worker->told_ns = au_now_ns();
    return service_wire_send(MEDIA_SOCKET_FD, &worker->report, sizeof worker->report, NULL, 0);
}

/* ---- One recording --------------------------------------------------------------------------- */

static void copy_text(char *out, size_t n, const char *text)
{
    snprintf(out, n, "%s", text ? text : "");
}

static void copy_info(struct media_report *report, const struct audio_info *info)
{
    copy_text(report->decoder, sizeof report->decoder, info->decoder);
    copy_text(report->container, sizeof report->container, info->container);
    copy_text(report->codec, sizeof report->codec, info->codec);
    copy_text(report->fallback, sizeof report->fallback, info->fallback);
    report->rate_hz = info->rate_hz;
    report->channels = info->channels;
    report->seconds = info->seconds;
    report->decode_ms = info->decode_ms;
}

static enum auricle_error check_shape(struct worker *worker)
{
    struct media_report *report = &worker->report;
    if (report->rate_hz > worker->hello.max_rate_hz)
        return au_fail(&report->fault, AURICLE_E_LIMIT,
                       "%s: %d samples per second; at most %d are accepted", worker->job.name,
                       report->rate_hz, worker->hello.max_rate_hz);
    if (report->channels > worker->hello.max_channels)
        return au_fail(&report->fault, AURICLE_E_LIMIT, "%s: %d channels; at most %d are accepted",
                       worker->job.name, report->channels, worker->hello.max_channels);
    return AURICLE_OK;
}

static enum auricle_error write_samples(struct worker *worker, const float *samples, size_t n)
{
    struct media_report *report = &worker->report;
    const char *bytes = (const char *)samples;
    size_t left = n * sizeof *samples;
    off_t at = (off_t)report->n_samples * (off_t)sizeof *samples;
    while (left > 0) {
        ssize_t done = pwrite(worker->fds[FD_OUTPUT], bytes, left, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return au_fail_errno(&report->fault, done < 0 ? errno : ENOSPC,
                                 "%s: samples cannot be kept in a temporary file",
                                 worker->job.name);
        bytes += done;
        at += done;
        left -= (size_t)done;
    }
    report->n_samples += (int64_t)n;
    return AURICLE_OK;
}

/* Whether reading on would wait: then what is there must not wait with it. */
static bool pipe_is_empty(const struct worker *worker)
{
    struct pollfd wait = {.fd = worker->fds[FD_INPUT], .events = POLLIN};
    return worker->job.is_pipe && poll(&wait, 1, 0) == 0;
}

static bool tell_progress(struct worker *worker)
{
    int64_t n_new = worker->report.n_samples - worker->told_samples;
    if (n_new < REPORT_SAMPLES && au_now_ns() - worker->told_ns < REPORT_NS &&
        !pipe_is_empty(worker))
        return true;
    return tell(worker, MEDIA_PROGRESS);
}

/* Errors: those of the decoder, CLOSED_PIPE when the pool does not listen any more. */
static enum auricle_error decode_all(struct worker *worker, struct audio_reader *reader)
{
    float block[BLOCK_SAMPLES];
    size_t n;
    do {
        struct au_fault *fault = &worker->report.fault;
        enum auricle_error error = audio_read(reader, block, BLOCK_SAMPLES, &n, fault);
        if (!error)
            error = write_samples(worker, block, n);
        if (error)
            return error;
        if (n > 0 && !tell_progress(worker))
            return AURICLE_E_CLOSED_PIPE;
    } while (n > 0);
    return AURICLE_OK;
}

static enum auricle_error decode(struct worker *worker)
{
    struct media_report *report = &worker->report;
    struct audio_reader *reader;
    struct audio_source source = {.fd = worker->fds[FD_INPUT],
                                  .is_pipe = worker->job.is_pipe,
                                  .spool_fd = worker->fds[FD_SPOOL],
                                  .first = worker->job.first,
                                  .bytes = worker->job.bytes};
    enum auricle_error error = audio_open_source(&source, worker->job.name, &worker->job.options,
                                                 &reader, &report->fault);
    if (error)
        return error;
    copy_info(report, audio_info(reader));
    error = check_shape(worker);
    if (!error && !tell(worker, MEDIA_OPENED))
        error = AURICLE_E_CLOSED_PIPE;
    if (!error)
        error = decode_all(worker, reader);
    copy_info(report, audio_info(reader));
    copy_text(report->warning, sizeof report->warning, audio_warning(reader));
    audio_close(reader);
    return error;
}

/* Memory is short because the recording asks for much of it: a limit, not an accident. */
static void name_memory_limit(struct worker *worker)
{
    if (worker->report.fault.code == AURICLE_E_NOMEM)
        au_fail(&worker->report.fault, AURICLE_E_LIMIT,
                "%s: decoding needs more than the %llu MiB of memory that one recording may have",
                worker->job.name,
                (unsigned long long)(worker->hello.max_memory_bytes / MAX_MEMORY_SHOWN));
}

static bool serve_job(struct worker *worker)
{
    memset(&worker->report, 0, sizeof worker->report);
    worker->told_samples = 0;
    worker->told_ns = au_now_ns();
    worker->job.name[sizeof worker->job.name - 1] = '\0';
    worker->job.options.no_ffmpeg = !worker->hello.with_ffmpeg;
    if (worker->hook)
        worker->hook(worker->job.name);
    enum auricle_error error = decode(worker);
    for (size_t i = 0; i < worker->n_fds; i++)
        close(worker->fds[i]);
    if (!error)
        return tell(worker, MEDIA_DONE);
    if (error == AURICLE_E_STATE)
        return tell(worker, MEDIA_DECLINED);
    name_memory_limit(worker);
    return tell(worker, MEDIA_FAILED);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* Decode a tenth of a second, so that libraries have made what they make on first use. */
static void warm_up(void)
{
    uint8_t wav[44 + 1600] = "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0"
                             "data\x40\6\0";
    wav[4] = (1600 + 36) & 0xff;
    wav[5] = (1600 + 36) >> 8;
    wav[6] = wav[7] = 0;
    struct audio_decode_options options = {.no_ffmpeg = true};
    struct audio_reader *reader;
    float samples[BLOCK_SAMPLES];
    size_t n = 1;
    if (audio_open_memory(wav, sizeof wav, "warm-up", &options, &reader, NULL))
        return;
    while (n > 0 && !audio_read(reader, samples, BLOCK_SAMPLES, &n, NULL))
        continue;
    audio_close(reader);
}

static bool receive_hello(struct media_hello *hello)
{
    ssize_t n = service_wire_receive(MEDIA_SOCKET_FD, hello, sizeof *hello, 0, NULL, 0, NULL);
    return n == (ssize_t)sizeof *hello && hello->protocol == MEDIA_PROTOCOL;
}

static bool receive_job(struct worker *worker)
{
    for (size_t i = 0; i < MEDIA_JOB_FDS; i++)
        worker->fds[i] = -1;
    ssize_t n = service_wire_receive(MEDIA_SOCKET_FD, &worker->job, sizeof worker->job, 0,
                                     worker->fds, MEDIA_JOB_FDS, &worker->n_fds);
    return n == (ssize_t)sizeof worker->job && worker->n_fds == 2 + (size_t)worker->job.is_pipe;
}

int service_worker_main(service_worker_hook *hook)
{
    static const char hint[] =
        "media-worker: decodes for a server, which starts it; it is of no use by itself\n";
    struct worker worker = {.hook = hook};
    if (!receive_hello(&worker.hello)) {
        (void)!write(STDERR_FILENO, hint, sizeof hint - 1);
        return 2;
    }
    tzset(); /* dates in containers: the zone's file could not be read later */
    if (worker.hello.with_ffmpeg)
        (void)audio_ffmpeg_version(NULL);
    warm_up();
    struct service_confinement limits = {MEDIA_SOCKET_FD, worker.hello.max_memory_bytes,
                                         worker.hello.max_file_bytes};
    if (service_confine(&limits, &worker.report.fault)) {
        (void)tell(&worker, MEDIA_UNFIT);
        return 1;
    }
    bool listening = tell(&worker, MEDIA_READY);
    while (listening && receive_job(&worker))
        listening = serve_job(&worker);
    _exit(0); /* what runs at an ordinary end may ask for more than the lock allows */
}
