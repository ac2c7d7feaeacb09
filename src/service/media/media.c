/* The pool as its callers see it: making it, starting decodings, reading samples. See media.h; the
 * workers are the business of pool.c.                                                            */
#include "service/media/media.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/media/pool.h"

#define SAMPLE_BOUND 8.0f /* as audio/decode.h promises */

/* ---- The pool -------------------------------------------------------------------------------- */

static void fill_in(struct service_media_config *config)
{
    if (config->warm_workers <= 0)
        config->warm_workers = 1;
    if (config->max_workers <= 0)
        config->max_workers = 4;
    if (config->max_pipes <= 0)
        config->max_pipes = 64;
    if (config->max_memory_bytes == 0)
        config->max_memory_bytes = (uint64_t)512 << 20;
    if (!(config->max_cpu_seconds > 0))
        config->max_cpu_seconds = 600;
    if (!(config->max_wall_seconds > 0))
        config->max_wall_seconds = 30;
    if (!(config->max_wait_seconds > 0))
        config->max_wait_seconds = 60;
    if (!(config->max_seconds > 0))
        config->max_seconds = 4 * 3600;
    if (config->max_rate_hz <= 0)
        config->max_rate_hz = 768000;
    if (config->max_channels <= 0)
        config->max_channels = 64;
    /* What comes is believed to be a setting that somebody wrote by hand. */
    config->max_cpu_seconds = fmin(config->max_cpu_seconds, 1e6);
    config->max_wall_seconds = fmin(config->max_wall_seconds, 1e6);
    config->max_wait_seconds = fmin(config->max_wait_seconds, 1e6);
    config->max_seconds = fmin(config->max_seconds, 1e7);
}

static bool copy_texts(struct service_media *media)
{
    struct service_media_config *config = &media->config;
    if (config->spool_folder)
        media->spool_folder = au_strdup(config->spool_folder);
    if (config->program)
        media->program = au_strdup(config->program);
    bool complete = !config->spool_folder == !media->spool_folder &&
                    !config->program == !media->program;
    config->spool_folder = media->spool_folder;
    config->program = media->program;
    return complete;
}

enum auricle_error service_media_create(const struct service_media_config *config,
                                        struct service_media **out, struct au_fault *fault)
{
    /* Without this check a program that does not know the command would start itself for ever. */
    if (getenv(MEDIA_WORKER_MARK))
        return au_fail(
            fault, AURICLE_E_STATE,
            "decoder process: this program does not know its command " MEDIA_WORKER_WORD);
    struct service_media *media = au_calloc(1, sizeof *media);
    if (!media)
        return au_fail(fault, AURICLE_E_NOMEM, "decoder pool: out of memory");
    media->epoll_fd = media->wake_fd = -1;
    pthread_mutex_init(&media->lock, NULL);
    pthread_cond_init(&media->changed, NULL);
    if (config)
        media->config = *config;
    fill_in(&media->config);
    enum auricle_error error = AURICLE_OK;
    if (!copy_texts(media))
        error = au_fail(fault, AURICLE_E_NOMEM, "decoder pool: out of memory");
    if (!error)
        error = service_pool_start(media, fault);
    if (error)
        service_media_destroy(media);
    else
        *out = media;
    return error;
}

void service_media_destroy(struct service_media *media)
{
    if (!media)
        return;
    service_pool_stop(media);
    pthread_cond_destroy(&media->changed);
    pthread_mutex_destroy(&media->lock);
    au_free(media->spool_folder);
    au_free(media->program);
    au_free(media);
}

void service_media_set_limits(struct service_media *media, int max_pipes, double max_seconds)
{
    pthread_mutex_lock(&media->lock);
    media->config.max_pipes = max_pipes;
    media->config.max_seconds = max_seconds;
    fill_in(&media->config);
    service_pool_look(media);
    pthread_mutex_unlock(&media->lock);
}

/* ---- One decoding ---------------------------------------------------------------------------- */

/* What the worker may not ask: file or pipe, where it begins, how long it is. */
static enum auricle_error look_at(struct service_decode *decode, struct au_fault *fault)
{
    struct stat status;
    const char *name = decode->job.name;
    if (fstat(decode->fd, &status) != 0)
        return au_fail_errno(fault, errno, "%s: cannot be read", name);
    if (S_ISDIR(status.st_mode))
        return au_fail(fault, AURICLE_E_IO, "%s: is a directory, not a recording", name);
    off_t position = S_ISREG(status.st_mode) ? lseek(decode->fd, 0, SEEK_CUR) : -1;
    decode->job.is_pipe = position < 0;
    if (position >= 0) {
        decode->job.first = (uint64_t)position;
        decode->job.bytes = status.st_size > position ? (uint64_t)(status.st_size - position) : 0;
    }
    return AURICLE_OK;
}

static enum auricle_error open_files(struct service_decode *decode, struct au_fault *fault)
{
    enum auricle_error error = look_at(decode, fault);
    if (error)
        return error;
    decode->out_fd = au_file_open_nameless(decode->media->spool_folder);
    if (decode->out_fd >= 0 && decode->job.is_pipe)
        decode->spool_fd = au_file_open_nameless(decode->media->spool_folder);
    if (decode->out_fd < 0 || (decode->job.is_pipe && decode->spool_fd < 0))
        return au_fail_errno(fault, errno, "%s: no temporary file can be made", decode->job.name);
    return AURICLE_OK;
}

static void set_options(struct service_decode *decode, const struct audio_decode_options *options)
{
    struct audio_decode_options *o = &decode->job.options;
    pthread_mutex_lock(&decode->media->lock);
    double most = decode->media->config.max_seconds;
    pthread_mutex_unlock(&decode->media->lock);
    if (options)
        *o = *options;
    o->go_on = NULL; /* nobody there to ask: the worker is another process */
    o->go_on_context = NULL;
    o->rate_hz = AUDIO_RATE_HZ;
    if (o->max_seconds == 0 || o->max_seconds > most)
        o->max_seconds = most;
    /* A pipe cannot be tried twice, so it goes where everything is read. */
    decode->needs_ffmpeg = o->try_ffmpeg_only || (decode->job.is_pipe && o->raw == AUDIO_RAW_NONE);
}

static void destroy(struct service_decode *decode)
{
    int fds[] = {decode->fd, decode->spool_fd, decode->out_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (decode->n_bytes)
        decode->media->config.give_bytes(decode->media->config.context, decode->n_bytes);
    au_free(decode);
}

enum auricle_error service_media_start(struct service_media *media, int fd, const char *name,
                                       const struct audio_decode_options *options,
                                       service_decode_notify *notify, void *context,
                                       struct service_decode **out, struct au_fault *fault)
{
    struct service_decode *decode = au_calloc(1, sizeof *decode);
    if (!decode) {
        close(fd);
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name);
    }
    decode->media = media;
    decode->notify = notify;
    decode->context = context;
    decode->fd = fd;
    decode->spool_fd = decode->out_fd = -1;
    au_str_copy(decode->job.name, sizeof decode->job.name, name ? name : "recording");
    enum auricle_error error = open_files(decode, fault);
    if (error) {
        destroy(decode);
        return error;
    }
    set_options(decode, options);
    *out = decode; /* before anybody is notified */
    pthread_mutex_lock(&media->lock);
    service_pool_submit(decode);
    pthread_mutex_unlock(&media->lock);
    return AURICLE_OK;
}

void service_decode_release(struct service_decode *decode)
{
    if (!decode)
        return;
    struct service_media *media = decode->media;
    pthread_mutex_lock(&media->lock);
    service_pool_forget(decode);
    while (decode->notifying && !pthread_equal(pthread_self(), media->thread))
        pthread_cond_wait(&media->changed, &media->lock);
    pthread_mutex_unlock(&media->lock);
    destroy(decode);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The file was written by a process that may have been taken over: no value of it is trusted. */
static void sanitise(float *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x = samples[i];
        x = x - x == 0.0f ? x : 0.0f; /* NaN and both infinities */
        x = x < SAMPLE_BOUND ? x : SAMPLE_BOUND;
        samples[i] = x > -SAMPLE_BOUND ? x : -SAMPLE_BOUND;
    }
}

static enum auricle_error read_file(const struct service_decode *decode, int64_t first, size_t n,
                                    float *out, struct au_fault *fault)
{
    char *bytes = (char *)out;
    size_t left = n * sizeof *out;
    off_t at = (off_t)first * (off_t)sizeof *out;
    while (left > 0) {
        ssize_t got = pread(decode->out_fd, bytes, left, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return au_fail_errno(fault, errno, "%s: decoded samples", decode->job.name);
        if (got == 0)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "%s: the decoder wrote fewer samples than it said", decode->job.name);
        bytes += got;
        at += got;
        left -= (size_t)got;
    }
    sanitise(out, n);
    return AURICLE_OK;
}

enum auricle_error service_decode_read(struct service_decode *decode, int64_t first, size_t n,
                                       float *out, size_t *n_read, struct au_fault *fault)
{
    struct service_media *media = decode->media;
    struct au_fault failed = {0};
    pthread_mutex_lock(&media->lock);
    int64_t available = decode->n_samples;
    bool ended = decode->state == DECODE_ENDED;
    if (ended && decode->found.fault.code)
        failed = decode->found.fault;
    pthread_mutex_unlock(&media->lock);

    if (first < 0)
        return au_fail(fault, AURICLE_E_INVALID, "%s: samples before the first", decode->job.name);
    int64_t there = first < available ? available - first : 0;
    if ((uint64_t)there < n && !ended)
        return AURICLE_E_AGAIN;               /* no failure: nothing to be said */
    if ((uint64_t)there < n && failed.code) { /* a short read would pass for the end */
        if (fault)
            *fault = failed;
        return failed.code;
    }
    if ((uint64_t)there < n)
        n = (size_t)there;
    enum auricle_error error = read_file(decode, first, n, out, fault);
    if (!error)
        *n_read = n;
    return error;
}

int64_t service_decode_available(struct service_decode *decode)
{
    pthread_mutex_lock(&decode->media->lock);
    int64_t n = decode->n_samples;
    pthread_mutex_unlock(&decode->media->lock);
    return n;
}

bool service_decode_crowded(struct service_decode *decode)
{
    pthread_mutex_lock(&decode->media->lock);
    bool crowded = decode->crowded;
    pthread_mutex_unlock(&decode->media->lock);
    return crowded;
}

int64_t service_decode_length(struct service_decode *decode)
{
    pthread_mutex_lock(&decode->media->lock);
    bool whole = decode->state == DECODE_ENDED && !decode->found.fault.code;
    int64_t n = whole ? decode->n_samples : -1;
    pthread_mutex_unlock(&decode->media->lock);
    return n;
}

void service_decode_info(struct service_decode *decode, struct audio_info *out)
{
    *out = (struct audio_info){0};
    pthread_mutex_lock(&decode->media->lock);
    const struct media_report *found = &decode->found;
    if (decode->has_info)
        *out = (struct audio_info){.decoder = found->decoder,
                                   .fallback = found->fallback[0] ? found->fallback : NULL,
                                   .container = found->container,
                                   .codec = found->codec,
                                   .rate_hz = found->rate_hz,
                                   .channels = found->channels,
                                   .seconds = found->seconds,
                                   .decode_ms = found->decode_ms};
    pthread_mutex_unlock(&decode->media->lock);
}

const char *service_decode_warning(struct service_decode *decode)
{
    pthread_mutex_lock(&decode->media->lock);
    bool any = decode->state == DECODE_ENDED && decode->found.warning[0];
    pthread_mutex_unlock(&decode->media->lock);
    return any ? decode->found.warning : NULL;
}
