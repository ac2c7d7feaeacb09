/* One file from the network to a path, whatever happens on the way.
 *
 * Bytes go to PATH.part; beside it PATH.part.of keeps what identifies the file at the server, so
 * that a later call takes up where this one stopped. A connection that breaks is made again after
 * a pause that doubles; pauses start over when bytes have come. Only a file of the right size and
 * digest is renamed to PATH. Thread: any; one download at a time per path.                       */
#ifndef SERVICE_DOWNLOAD_H
#define SERVICE_DOWNLOAD_H

#include "service/registry/digest.h"
#include "service/registry/fetch.h"

/* How to deal with the network; shared by the files of a model. */
struct service_net {
    bool allow_http;
    int connect_timeout_s, stall_timeout_s;
    int attempts;   /* without a byte of progress */
    double pause_s; /* before the second attempt */
    bool (*cancelled)(void *context);
    /* Bytes of this file so far; total 0: unknown. `what` is its name or what is being done. */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total);
    void (*note)(void *context, const char *sentence); /* a trouble that is being dealt with */
    void *context;
};

struct service_download {
    const char *url, *path;
    const char *what;   /* the file, for progress */
    const char *sha256; /* pinned; NULL: what the server announces */
    uint64_t max_bytes; /* larger answers are refused */
};

/* How a finished file was checked. */
enum service_proof {
    SERVICE_PROOF_NONE,
    SERVICE_PROOF_SIZE,
    SERVICE_PROOF_ANNOUNCED,
    SERVICE_PROOF_PINNED
};

/* Errors: NOT_FOUND (the server has no such file), FORMAT (wrong size or digest, said with both
 * values; the bytes are thrown away), NO_SPACE, LIMIT, TIMEOUT, IO, INVALID, CANCELLED (what came
 * is kept), STATE (the server refuses: login, rate, fault), NOMEM.                               */
AURICLE_MUST_CHECK enum auricle_error service_download_run(const struct service_download *download,
                                                           const struct service_net *net,
                                                           struct service_digests *digests,
                                                           enum service_proof *proof,
                                                           struct au_fault *fault);

#endif
