/* One HTTP download: the only file that knows libcurl.
 *
 * libcurl is loaded on first use, so that a program that fetches nothing does not pay for its some
 * thirty libraries. HTTPS only unless plain HTTP is allowed; redirects are few and never lead from
 * HTTPS to anything else. A fetch is one request: attempts and resuming are download.c's.
 * Thread: any; one fetch belongs to one thread.                                                  */
#ifndef SERVICE_FETCH_H
#define SERVICE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What the server said before the body. */
struct service_response {
    int status;          /* of the last answer; 0 while there is none */
    uint64_t first_byte; /* 206: where the body begins in the whole; else 0 */
    int64_t total_bytes; /* of the whole file; -1 unknown */
    char validator[200]; /* strong ETag or date of change, for If-Range; "" where there is none */
    char announced[72];  /* digest by the host that was asked: 64 hexadecimal digits of SHA-256, 40
                            of a git name; "" where there is none */
    int64_t announced_bytes; /* size by that host; -1 unknown */
    int retry_after_s;       /* 0: not said */
};

struct service_fetch {
    const char *url;
    bool allow_http;
    uint64_t offset;       /* ask for the bytes from here on */
    const char *validator; /* only if the file is still this one (If-Range); NULL: offset is 0 */
    int connect_timeout_s, stall_timeout_s;

    /* Called once, when the answer is 200 or 206, and then for each piece of the body. What they
     * return other than OK ends the fetch with that error. */
    enum auricle_error (*head)(void *context, const struct service_response *response,
                               struct au_fault *fault);
    enum auricle_error (*data)(void *context, const void *bytes, size_t n, struct au_fault *fault);
    bool (*cancelled)(void *context); /* asked several times a second */
    void *context;
};

/* OK when an answer came to its end, whatever its status: look at out->status. *again tells, on
 * failure, whether the same request may succeed later.
 * Errors: IO (the network; sentence of libcurl), TIMEOUT (no connection, or nothing came for
 * stall_timeout_s), INVALID (an address or redirect that is not accepted), UNSUPPORTED (no
 * libcurl), CANCELLED, NOMEM; those of head and data.                                            */
AURICLE_MUST_CHECK enum auricle_error service_fetch_run(const struct service_fetch *fetch,
                                                        struct service_response *out, bool *again,
                                                        struct au_fault *fault);

/* "https://host" of an address, for sentences; cut when too long. Returns out. */
char *service_fetch_host(const char *url, char *out, size_t out_bytes);

#endif
