/* Digests of files. See digest.h. */
#include "service/registry/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include "base/mem.h"

#define BLOCK_BYTES ((size_t)1 << 20)

struct hashes {
    struct sha256_ctx sha256;
    struct sha1_ctx git;
    bool with_git;
};

static void put_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = 0;
}

void service_sha256(const void *bytes, size_t n, uint8_t out[SERVICE_SHA256_BYTES])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, n, bytes);
    sha256_digest(&context, SERVICE_SHA256_BYTES, out);
}

bool service_is_hex(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") == n && text[n] == 0;
}

static void begin(struct hashes *hashes, uint64_t bytes)
{
    char header[40];
    int n = snprintf(header, sizeof header, "blob %llu", (unsigned long long)bytes);
    sha256_init(&hashes->sha256);
    sha1_init(&hashes->git);
    sha1_update(&hashes->git, (size_t)n + 1, (const uint8_t *)header); /* its zero too */
}

static void finish(struct hashes *hashes, struct service_digests *out)
{
    uint8_t sha256[SHA256_DIGEST_SIZE], git[SHA1_DIGEST_SIZE];
    sha256_digest(&hashes->sha256, sizeof sha256, sha256);
    put_hex(sha256, sizeof sha256, out->sha256);
    if (!hashes->with_git)
        return;
    sha1_digest(&hashes->git, sizeof git, git);
    put_hex(git, sizeof git, out->git);
}

/* Reads at most total bytes, the length that the git name begins with. */
static enum auricle_error read_all(int fd, const char *path, uint64_t total, uint8_t *block,
                                   struct hashes *hashes, service_digest_watch *watch,
                                   void *context, struct au_fault *fault)
{
    uint64_t done = 0;
    while (done < total) {
        if (watch && watch(context, done, total))
            return au_fail(fault, AURICLE_E_CANCELLED, "stopped while %s was checked", path);
        ssize_t n = read(fd, block, BLOCK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return au_fail_errno(fault, errno, "cannot read %s", path);
        if (n == 0 || (uint64_t)n > total - done)
            return au_fail(fault, AURICLE_E_IO, "%s changed while it was read", path);
        sha256_update(&hashes->sha256, (size_t)n, block);
        if (hashes->with_git)
            sha1_update(&hashes->git, (size_t)n, block);
        done += (uint64_t)n;
    }
    return AURICLE_OK;
}

static enum auricle_error digest(const char *path, bool with_git, service_digest_watch *watch,
                                 void *context, struct service_digests *out, struct au_fault *fault)
{
    struct stat status;
    struct hashes hashes = {.with_git = with_git};
    enum auricle_error error = AURICLE_OK;
    uint8_t *block = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        error = au_fail_errno(fault, errno, "cannot read %s", path);
        goto done;
    }
    if (!S_ISREG(status.st_mode)) {
        error = au_fail(fault, AURICLE_E_INVALID, "%s is not a regular file", path);
        goto done;
    }
    block = au_alloc(BLOCK_BYTES);
    if (!block) {
        error = au_fail(fault, AURICLE_E_NOMEM, "no memory to read %s", path);
        goto done;
    }
    begin(&hashes, (uint64_t)status.st_size);
    error = read_all(fd, path, (uint64_t)status.st_size, block, &hashes, watch, context, fault);
    if (!error) {
        out->bytes = (uint64_t)status.st_size;
        finish(&hashes, out);
    }
done:
    au_free(block);
    if (fd >= 0)
        close(fd);
    return error;
}

enum auricle_error service_digest_file(const char *path, service_digest_watch *watch, void *context,
                                       struct service_digests *out, struct au_fault *fault)
{
    return digest(path, true, watch, context, out, fault);
}

enum auricle_error service_sha256_file(const char *path, service_digest_watch *watch, void *context,
                                       char out[SERVICE_SHA256_HEX], struct au_fault *fault)
{
    struct service_digests digests;
    enum auricle_error error = digest(path, false, watch, context, &digests, fault);
    if (!error)
        memcpy(out, digests.sha256, SERVICE_SHA256_HEX);
    return error;
}
