/* API keys: who may come in, how often, and how many at a time.
 *
 * Keys come from a file, or from text (an environment variable), one per line or separated by
 * white space:
 *     NAME:KEY[:REQUESTS_PER_MINUTE[:AT_ONCE]]
 * NAME is for the log; 0 stands for no limit; empty lines and lines that begin with "#" are
 * skipped. A key alone, without a colon, is allowed too. Only digests of the keys are kept, and all
 * are compared with what a client shows, in the same time whether one fits or none.
 * Thread: any.                                                                                   */
#ifndef SERVICE_ACCESS_H
#define SERVICE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SERVICE_MIN_KEY_BYTES 16
#define SERVICE_MAX_KEYS      4096

struct service_access; /* opaque */
struct service_grant;  /* opaque: one request that was let in with a key */

struct service_access_config {
    const char *file;        /* NULL: none */
    const char *keys;        /* NULL: none */
    int64_t (*now_ns)(void); /* NULL: au_now_ns */
};

/* Without a file and without keys everybody is let in. The strings are copied. Errors: those of
 * reading the file; INVALID, with the line; LIMIT: too many keys; NOMEM.                         */
AURICLE_MUST_CHECK enum auricle_error service_access_create(
    const struct service_access_config *config, struct service_access **out,
    struct au_fault *fault);
/* No grant may be held. */
void service_access_destroy(struct service_access *access);

/* Read the file again. Requests in flight go on, keys that stay keep their names and counts; on
 * failure the old keys hold. Errors: as service_access_create.                                   */
AURICLE_MUST_CHECK enum auricle_error service_access_reload(struct service_access *access,
                                                            struct au_fault *fault);
size_t service_access_count(struct service_access *access); /* keys; 0: everybody is let in */

/* key: as shown by the client, NULL for none. *grant is NULL where no keys are set; give it back
 * when the request is over. Errors: INVALID: no key, or a wrong one; LIMIT: too often or too
 * many at once, *retry_after_seconds says when to come again.                                    */
AURICLE_MUST_CHECK enum auricle_error service_access_check(struct service_access *access,
                                                           const char *key,
                                                           struct service_grant **grant,
                                                           double *retry_after_seconds,
                                                           struct au_fault *fault);
const char *service_access_name(const struct service_grant *grant); /* of the key, for the log */
void service_access_leave(struct service_access *access, struct service_grant *grant); /* NULL ok */

#endif
