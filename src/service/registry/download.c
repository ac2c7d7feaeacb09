/* Resumable, checked downloads. See download.h. */
#include "service/registry/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/install.h"

#define MAX_PAUSE_S    60.0
#define TICK_S         0.1
#define PROGRESS_BYTES ((uint64_t)64 << 10) /* so much more counts as progress */
#define MAX_MISMATCHES 2                    /* whole files with a wrong digest */
#define SPARE_BYTES    ((uint64_t)16 << 20) /* left free on the disk */
#define MAX_OF_BYTES   4096

struct job {
    const struct service_download *download;
    const struct service_net *net;
    char *part, *of; /* PATH.part, PATH.part.of */
    int fd;
    uint64_t have;                /* bytes in the part */
    char validator[200];          /* of the file that the part belongs to */
    struct service_response last; /* what the server said last */
    bool resumed;                 /* the part is of more than one answer */
};

static enum auricle_error no_memory(struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

/* ---- The part ------------------------------------------------------------------------------- */

static enum auricle_error open_part(struct job *job, struct au_fault *fault)
{
    struct stat status;
    job->fd = open(job->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (job->fd < 0 || fstat(job->fd, &status) != 0)
        return au_fail_errno(fault, errno, "cannot write %s", job->part);
    char *text = NULL;
    size_t n = 0;
    struct au_fault ignored = {0};
    job->have = 0;
    if (status.st_size > 0 &&
        au_file_read(job->of, MAX_OF_BYTES, &text, &n, &ignored) == AURICLE_OK) {
        au_str_copy(job->validator, sizeof job->validator, text);
        job->have = job->validator[0] ? (uint64_t)status.st_size : 0;
    }
    au_free(text);
    return AURICLE_OK;
}

static enum auricle_error empty_part(struct job *job, struct au_fault *fault)
{
    job->have = 0;
    job->resumed = false;
    job->validator[0] = 0;
    if (ftruncate(job->fd, 0) != 0 || lseek(job->fd, 0, SEEK_SET) != 0)
        return au_fail_errno(fault, errno, "cannot write %s", job->part);
    return AURICLE_OK;
}

static void delete_part(struct job *job)
{
    unlink(job->part);
    unlink(job->of);
}

/* ---- What the fetch hands over -------------------------------------------------------------- */

static enum auricle_error check_size(const struct job *job, const struct service_response *response,
                                     struct au_fault *fault)
{
    const struct service_download *download = job->download;
    if (response->total_bytes < 0)
        return AURICLE_OK;
    uint64_t total = (uint64_t)response->total_bytes;
    if (total > download->max_bytes)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "%s: the server announces %llu bytes, more than the %llu accepted here",
                       download->url, (unsigned long long)total,
                       (unsigned long long)download->max_bytes);
    if (response->announced_bytes >= 0 && response->announced_bytes != response->total_bytes)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "%s: the server announces %lld bytes and would send %llu", download->url,
                       (long long)response->announced_bytes, (unsigned long long)total);
    char *folder = au_strndup(job->part, (size_t)(au_path_name(job->part) - job->part));
    uint64_t free_bytes = folder ? service_free_bytes(folder) : UINT64_MAX;
    au_free(folder);
    uint64_t more = total > job->have ? total - job->have : 0;
    if (free_bytes < more || free_bytes - more < SPARE_BYTES)
        return au_fail(fault, AURICLE_E_NO_SPACE,
                       "%s: %.1f MB are still to come and the disk has %.1f MB left: make room or "
                       "name another folder (--model-dir)",
                       job->part, (double)more / 1e6, (double)free_bytes / 1e6);
    return AURICLE_OK;
}

static enum auricle_error check_pinned(const struct job *job,
                                       const struct service_response *response,
                                       struct au_fault *fault)
{
    const char *pinned = job->download->sha256;
    if (!pinned || strlen(response->announced) != 64 || au_str_equal(pinned, response->announced))
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_FORMAT,
                   "%s: the server offers a file with sha256 %s; expected %s. Nothing was loaded",
                   job->download->url, response->announced, pinned);
}

/* Where the body goes: behind what is there, or from the beginning. */
static enum auricle_error on_head(void *context, const struct service_response *response,
                                  struct au_fault *fault)
{
    struct job *job = context;
    bool continues = response->status == 206 && job->have > 0;
    if (continues && response->first_byte != job->have)
        return au_fail(fault, AURICLE_E_AGAIN, "%s: asked for the bytes from %llu on, got %llu",
                       job->download->url, (unsigned long long)job->have,
                       (unsigned long long)response->first_byte);
    enum auricle_error error = continues ? AURICLE_OK : empty_part(job, fault);
    if (!error && continues && lseek(job->fd, (off_t)job->have, SEEK_SET) < 0)
        error = au_fail_errno(fault, errno, "cannot write %s", job->part);
    if (!error)
        error = check_size(job, response, fault);
    if (!error)
        error = check_pinned(job, response, fault);
    if (error)
        return error;
    job->resumed = job->resumed || continues;
    if (!continues && response->validator[0]) {
        au_str_copy(job->validator, sizeof job->validator, response->validator);
        error = au_file_write_atomic(job->of, response->validator, strlen(response->validator),
                                     fault);
    }
    return error;
}

static enum auricle_error on_data(void *context, const void *bytes, size_t n,
                                  struct au_fault *fault)
{
    struct job *job = context;
    const char *at = bytes;
    if (n > job->download->max_bytes || job->have > job->download->max_bytes - n)
        return au_fail(fault, AURICLE_E_LIMIT, "%s: more than the %llu bytes accepted here come",
                       job->download->url, (unsigned long long)job->download->max_bytes);
    while (n > 0) {
        ssize_t written = write(job->fd, at, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return au_fail_errno(fault, errno, "cannot write %s", job->part);
        at += written;
        n -= (size_t)written;
        job->have += (uint64_t)written;
    }
    if (job->net->progress)
        job->net->progress(job->net->context, job->download->what, job->have,
                           job->last.total_bytes > 0 ? (uint64_t)job->last.total_bytes : 0);
    return AURICLE_OK;
}

static bool is_cancelled(void *context)
{
    const struct job *job = context;
    return job->net->cancelled && job->net->cancelled(job->net->context);
}

/* ---- Attempts ------------------------------------------------------------------------------- */

/* What a status other than 200 and 206 means; *again as for the fetch. */
static enum auricle_error judge(struct job *job, bool *again, struct au_fault *fault)
{
    int status = job->last.status;
    const char *url = job->download->url;
    *again = status == 408 || status == 429 || status >= 500;
    if (status == 404 || status == 410)
        return au_fail(fault, AURICLE_E_NOT_FOUND, "%s: the server has no such file (%d)", url,
                       status);
    if (status == 401 || status == 403)
        return au_fail(fault, AURICLE_E_STATE,
                       "%s: the server refuses (%d): the file needs a login, or does not exist; "
                       "load it with a browser and import it (auricle models import)",
                       url, status);
    if (status == 429)
        return au_fail(fault, AURICLE_E_STATE, "%s: too many requests, says the server (429)", url);
    if (status == 416) {
        *again = true;
        return au_fail(fault, AURICLE_E_IO, "%s: the server does not know the rest of the file",
                       url);
    }
    return au_fail(fault, AURICLE_E_STATE, "%s: the server answers %d", url, status);
}

/* One request. OK: the part is as long as the server says. */
static enum auricle_error attempt(struct job *job, bool *again, struct au_fault *fault)
{
    struct service_fetch fetch = {
        .url = job->download->url,
        .allow_http = job->net->allow_http,
        .offset = job->have,
        .validator = job->have ? job->validator : NULL,
        .connect_timeout_s = job->net->connect_timeout_s,
        .stall_timeout_s = job->net->stall_timeout_s,
        .head = on_head,
        .data = on_data,
        .cancelled = is_cancelled,
        .context = job,
    };
    enum auricle_error error = service_fetch_run(&fetch, &job->last, again, fault);
    if (error == AURICLE_E_AGAIN) { /* on_head: the wrong part of the file came */
        *again = true;
        return empty_part(job, fault) ? AURICLE_E_IO : error;
    }
    if (error)
        return error;
    bool body = job->last.status == 200 || job->last.status == 206;
    if (job->last.status == 416 && job->last.total_bytes >= 0 &&
        job->have == (uint64_t)job->last.total_bytes)
        return AURICLE_OK; /* it was complete */
    if (job->last.status == 416 && empty_part(job, fault))
        return AURICLE_E_IO;
    if (!body)
        return judge(job, again, fault);
    if (job->last.total_bytes >= 0 && job->have != (uint64_t)job->last.total_bytes) {
        *again = true;
        return au_fail(fault, AURICLE_E_IO, "%s: %llu bytes came of %lld", job->download->url,
                       (unsigned long long)job->have, (long long)job->last.total_bytes);
    }
    return AURICLE_OK;
}

/* Wait, in short steps so that ctrl-C is heard; false when cancelled. */
static bool wait_for(struct job *job, double seconds)
{
    while (seconds > 0 && !is_cancelled(job)) {
        double step = seconds < TICK_S ? seconds : TICK_S;
        struct timespec time = {0, (long)(step * 1e9)};
        nanosleep(&time, NULL);
        seconds -= step;
    }
    return !is_cancelled(job);
}

static void note(const struct job *job, const char *trouble, double pause)
{
    char sentence[AU_FAULT_TEXT_BYTES + 64];
    if (!job->net->note)
        return;
    snprintf(sentence, sizeof sentence, "%s; trying again in %.0f s", trouble, pause);
    job->net->note(job->net->context, sentence);
}

/* Fetch until the part is complete, or the attempts are used up. */
static enum auricle_error fill_part(struct job *job, struct au_fault *fault)
{
    uint64_t most = job->have;
    double pause = job->net->pause_s;
    for (int tries = 1;; tries++) {
        bool again = false;
        enum auricle_error error = attempt(job, &again, fault);
        if (!error || !again)
            return error;
        if (job->have > most && job->have - most >= PROGRESS_BYTES) {
            most = job->have;
            tries = 1;
            pause = job->net->pause_s;
        }
        if (tries >= job->net->attempts)
            return error;
        double wait = pause > job->last.retry_after_s ? pause : job->last.retry_after_s;
        wait = wait < MAX_PAUSE_S ? wait : MAX_PAUSE_S;
        note(job, fault->text, wait);
        if (!wait_for(job, wait))
            return au_fail(fault, AURICLE_E_CANCELLED, "stopped");
        pause = 2 * pause < MAX_PAUSE_S ? 2 * pause : MAX_PAUSE_S;
    }
}

/* ---- Checking ------------------------------------------------------------------------------- */

static bool watch_digest(void *context, uint64_t done, uint64_t total)
{
    struct job *job = context;
    if (job->net->progress)
        job->net->progress(job->net->context, "checking", done, total);
    return is_cancelled(job);
}

/* Compare the part with what is known of the file. */
static enum auricle_error check(struct job *job, struct service_digests *digests,
                                enum service_proof *proof, struct au_fault *fault)
{
    const struct service_download *download = job->download;
    enum auricle_error error = service_digest_file(job->part, watch_digest, job, digests, fault);
    if (error)
        return error;
    const char *pinned = download->sha256, *announced = job->last.announced;
    bool whole = strlen(announced) == 64;
    const char *expected = pinned ? pinned : announced;
    const char *seen = pinned || whole ? digests->sha256 : digests->git;
    *proof = pinned                       ? SERVICE_PROOF_PINNED
             : announced[0]               ? SERVICE_PROOF_ANNOUNCED
             : job->last.total_bytes >= 0 ? SERVICE_PROOF_SIZE
                                          : SERVICE_PROOF_NONE;
    if (job->last.announced_bytes >= 0 && digests->bytes != (uint64_t)job->last.announced_bytes)
        return au_fail(fault, AURICLE_E_FORMAT, "%s: %llu bytes came, %lld were announced",
                       download->url, (unsigned long long)digests->bytes,
                       (long long)job->last.announced_bytes);
    if (expected[0] && !au_str_equal(expected, seen))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "%s: what came has the %s %s, expected %s; it was thrown away",
                       download->url, pinned || whole ? "sha256" : "git digest", seen, expected);
    return AURICLE_OK;
}

static enum auricle_error put_in_place(struct job *job, struct au_fault *fault)
{
    if (fsync(job->fd) != 0 || rename(job->part, job->download->path) != 0)
        return au_fail_errno(fault, errno, "cannot make %s", job->download->path);
    unlink(job->of);
    return AURICLE_OK;
}

/* A file that was put together of several answers may be of two versions: it is loaded again. So
 * is a whole one, once, for a proxy may have damaged it. */
static enum auricle_error run(struct job *job, struct service_digests *digests,
                              enum service_proof *proof, struct au_fault *fault)
{
    enum auricle_error error = open_part(job, fault);
    for (int mismatches = 0; !error;) {
        error = fill_part(job, fault);
        if (error)
            return error;
        bool was_resumed = job->resumed;
        error = check(job, digests, proof, fault);
        if (error != AURICLE_E_FORMAT)
            break;
        mismatches += was_resumed ? 0 : 1;
        if (mismatches >= MAX_MISMATCHES) {
            delete_part(job);
            return error;
        }
        note(job, fault->text, 0);
        error = empty_part(job, fault);
    }
    return error ? error : put_in_place(job, fault);
}

enum auricle_error service_download_run(const struct service_download *download,
                                        const struct service_net *net,
                                        struct service_digests *digests, enum service_proof *proof,
                                        struct au_fault *fault)
{
    struct au_fault own = {0};
    struct job job = {.download = download, .net = net, .fd = -1};
    job.part = au_sprintf("%s.part", download->path);
    job.of = au_sprintf("%s.part.of", download->path);
    enum auricle_error error = job.part && job.of ? run(&job, digests, proof, &own)
                                                  : no_memory(&own);
    if (job.fd >= 0)
        close(job.fd);
    if (error && (error == AURICLE_E_NOT_FOUND || error == AURICLE_E_LIMIT) && job.have == 0)
        delete_part(&job);
    au_free(job.part);
    au_free(job.of);
    if (error)
        return au_fail(fault, error, "%s", own.text);
    return AURICLE_OK;
}
