/* Byte sources. See input.h. */
#include "audio/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define SPOOL_MEMORY_BYTES ((size_t)16 << 20)
#define SPOOL_STEP_BYTES   ((size_t)64 << 10)
#define ASK_MS             500

struct audio_input {
    char *name;
    struct au_fault fault;
    uint64_t max_bytes;
    uint64_t size; /* with `complete`: the length; else what a pipe has given so far */
    bool complete;

    const uint8_t *memory; /* a borrowed block, or NULL */

    int fd; /* file or pipe, or -1 */
    bool owns_fd;
    bool is_pipe;
    audio_go_on *go_on; /* of a pipe; NULL: nobody is asked */
    void *go_on_context;
    uint64_t base; /* of a file: where its first byte stands */

    uint8_t *spool; /* of a pipe: its bytes while they are few */
    size_t spool_capacity;
    int spool_fd; /* its bytes once they are many, or -1 */
    int given_fd; /* a file for them that is borrowed, or -1: one is made */
};

static enum auricle_error over_limit(const char *name, uint64_t max_bytes, struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_LIMIT,
                   "%s: larger than the limit of %llu bytes for one recording", name,
                   (unsigned long long)max_bytes);
}

static struct audio_input *input_new(const char *name, uint64_t max_bytes)
{
    struct audio_input *input = au_calloc(1, sizeof *input);
    if (!input)
        return NULL;
    input->max_bytes = max_bytes;
    input->fd = input->spool_fd = input->given_fd = -1;
    input->name = au_strdup(name ? name : "input");
    if (!input->name) {
        au_free(input);
        return NULL;
    }
    return input;
}

/* A regular file of which `size` bytes follow the position `base`. */
static enum auricle_error adopt_file(struct audio_input *input, uint64_t base, uint64_t size,
                                     struct au_fault *fault)
{
    input->base = base;
    input->size = size;
    input->complete = true;
    if (input->max_bytes && input->size > input->max_bytes)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "%s: %llu bytes are more than the limit of %llu for one recording",
                       input->name, (unsigned long long)input->size,
                       (unsigned long long)input->max_bytes);
    return AURICLE_OK;
}

/* Take a regular file or a pipe into `input`; anything else cannot be listened to. */
static enum auricle_error adopt_fd(struct audio_input *input, int fd, struct au_fault *fault)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return au_fail_errno(fault, errno, "%s: cannot be read", input->name);
    if (S_ISDIR(status.st_mode))
        return au_fail(fault, AURICLE_E_INVALID, "%s: is a directory, not a recording",
                       input->name);
    input->fd = fd;
    off_t position = S_ISREG(status.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
    if (position < 0) {
        input->is_pipe = true;
        return AURICLE_OK;
    }
    uint64_t base = (uint64_t)position, size = (uint64_t)status.st_size;
    return adopt_file(input, base, size > base ? size - base : 0, fault);
}

enum auricle_error audio_input_open_path(const char *path, uint64_t max_bytes,
                                         struct audio_input **out, struct au_fault *fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return au_fail_errno(fault, errno, "%s: cannot be opened", path);
    enum auricle_error error = audio_input_open_fd(fd, path, max_bytes, out, fault);
    if (error)
        close(fd);
    else
        (*out)->owns_fd = true;
    return error;
}

enum auricle_error audio_input_open_fd(int fd, const char *name, uint64_t max_bytes,
                                       struct audio_input **out, struct au_fault *fault)
{
    struct audio_input *input = input_new(name, max_bytes);
    if (!input)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name ? name : "input");
    enum auricle_error error = adopt_fd(input, fd, fault);
    if (error) {
        audio_input_close(input);
        return error;
    }
    *out = input;
    return AURICLE_OK;
}

enum auricle_error audio_input_open_source(const struct audio_source *source, const char *name,
                                           uint64_t max_bytes, struct audio_input **out,
                                           struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    struct audio_input *input = input_new(name, max_bytes);
    if (!input)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name ? name : "input");
    input->fd = source->fd;
    input->given_fd = source->spool_fd;
    if (source->is_pipe)
        input->is_pipe = true;
    else
        error = adopt_file(input, source->first, source->bytes, fault);
    if (error)
        audio_input_close(input);
    else
        *out = input;
    return error;
}

enum auricle_error audio_input_open_memory(const uint8_t *data, size_t bytes, const char *name,
                                           uint64_t max_bytes, struct audio_input **out,
                                           struct au_fault *fault)
{
    if (max_bytes && bytes > max_bytes)
        return over_limit(name ? name : "input", max_bytes, fault);
    struct audio_input *input = input_new(name, max_bytes);
    if (!input)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name ? name : "input");
    input->memory = data;
    input->size = bytes;
    input->complete = true;
    *out = input;
    return AURICLE_OK;
}

void audio_input_ask(struct audio_input *input, audio_go_on *go_on, void *context)
{
    input->go_on = go_on;
    input->go_on_context = context;
}

void audio_input_close(struct audio_input *input)
{
    if (!input)
        return;
    if (input->owns_fd)
        close(input->fd);
    if (input->spool_fd >= 0 && input->spool_fd != input->given_fd)
        close(input->spool_fd);
    au_free(input->spool);
    au_free(input->name);
    au_free(input);
}

const char *audio_input_name(const struct audio_input *input)
{
    return input->name;
}

const struct au_fault *audio_input_fault(const struct audio_input *input)
{
    return &input->fault;
}

/* ---- Pipes ----------------------------------------------------------------------------------- */

static bool write_all(int fd, uint64_t offset, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, bytes, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

static bool spool_to_file(struct audio_input *input)
{
    input->spool_fd = input->given_fd >= 0 ? input->given_fd : au_file_open_nameless(NULL);
    if (input->spool_fd < 0 || !write_all(input->spool_fd, 0, input->spool, (size_t)input->size)) {
        au_fail_errno(&input->fault, errno, "%s: cannot be kept in a temporary file", input->name);
        return false;
    }
    au_free(input->spool);
    input->spool = NULL;
    input->spool_capacity = 0;
    return true;
}

static bool spool_append(struct audio_input *input, const uint8_t *bytes, size_t n)
{
    if (input->spool_fd < 0 && input->size + n > SPOOL_MEMORY_BYTES && !spool_to_file(input))
        return false;
    if (input->spool_fd >= 0) {
        if (write_all(input->spool_fd, input->size, bytes, n))
            return true;
        au_fail_errno(&input->fault, errno, "%s: cannot be kept in a temporary file", input->name);
        return false;
    }
    size_t need = (size_t)input->size + n;
    if (need > input->spool_capacity) {
        size_t capacity = input->spool_capacity ? input->spool_capacity : SPOOL_STEP_BYTES;
        while (capacity < need)
            capacity *= 2; /* bounded: need is at most 16 MiB */
        uint8_t *grown = au_realloc(input->spool, capacity);
        if (!grown) {
            au_fail(&input->fault, AURICLE_E_NOMEM, "%s: out of memory", input->name);
            return false;
        }
        input->spool = grown;
        input->spool_capacity = capacity;
    }
    memcpy(input->spool + input->size, bytes, n);
    return true;
}

/* read() that waits for data and retries after signals; 0 at the end, < 0 with errno. A signal may
 * come right before the wait and break none, so whoever is to be asked is asked twice a second. */
static ssize_t read_some(const struct audio_input *input, void *out, size_t n)
{
    for (;;) {
        struct pollfd wait = {.fd = input->fd, .events = POLLIN};
        if (input->go_on && !input->go_on(input->go_on_context)) {
            errno = ECANCELED;
            return -1;
        }
        int ready = poll(&wait, 1, input->go_on ? ASK_MS : -1);
        ssize_t got = ready > 0 ? read(input->fd, out, n) : -1;
        bool again = ready == 0 || errno == EINTR || errno == EAGAIN;
        if (got >= 0 || !again)
            return got;
    }
}

/* Take a pipe in until it has given `want` bytes in all, or ended, or failed. */
static void spool_until(struct audio_input *input, uint64_t want)
{
    uint8_t step[SPOOL_STEP_BYTES];
    while (!input->complete && input->size < want) {
        ssize_t got = read_some(input, step, sizeof step);
        if (got < 0 && errno == ECANCELED) {
            au_fail(&input->fault, AURICLE_E_CANCELLED, "%s: reading was given up", input->name);
            input->complete = true;
        } else if (got < 0) {
            au_fail_errno(&input->fault, errno, "%s: reading failed", input->name);
            input->complete = true;
        } else if (got == 0) {
            input->complete = true;
        } else if (input->max_bytes && input->size + (uint64_t)got > input->max_bytes) {
            (void)over_limit(input->name, input->max_bytes, &input->fault);
            input->complete = true;
        } else if (!spool_append(input, step, (size_t)got)) {
            input->complete = true;
        } else {
            input->size += (uint64_t)got;
        }
    }
}

/* ---- Reading --------------------------------------------------------------------------------- */

static size_t read_at(struct audio_input *input, int fd, uint64_t offset, uint8_t *out, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, out + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            au_fail_errno(&input->fault, errno, "%s: reading failed", input->name);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

size_t audio_input_read(struct audio_input *input, uint64_t offset, void *out, size_t n)
{
    return audio_input_read_some(input, offset, out, n, n);
}

size_t audio_input_read_some(struct audio_input *input, uint64_t offset, void *out, size_t n,
                             size_t least)
{
    if (input->is_pipe && !input->complete) {
        uint64_t want;
        if (__builtin_add_overflow(offset, (uint64_t)(least < n ? least : n), &want))
            return 0;
        spool_until(input, want);
    }
    if (offset >= input->size)
        return 0;
    if (n > input->size - offset)
        n = (size_t)(input->size - offset);
    if (input->memory || input->spool) {
        memcpy(out, (input->memory ? input->memory : input->spool) + offset, n);
        return n;
    }
    if (input->is_pipe)
        return read_at(input, input->spool_fd, offset, out, n);
    return read_at(input, input->fd, input->base + offset, out, n);
}

bool audio_input_size(const struct audio_input *input, uint64_t *out)
{
    if (!input->complete)
        return false;
    *out = input->size;
    return true;
}

uint64_t audio_input_measure(struct audio_input *input)
{
    if (!input->complete)
        spool_until(input, UINT64_MAX);
    return input->size;
}
