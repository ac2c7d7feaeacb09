/* Error sentences.
 *
 * Functions return enum auricle_error. Those on load, parse and input paths also take a
 * `struct au_fault *` and leave one sentence for people in it: what was being read, where, which
 * value was seen, what is accepted or what to do. The caller decides whether and where it is shown;
 * layers below service never log.                                                               */
#ifndef AU_BASE_ERROR_H
#define AU_BASE_ERROR_H

#include "auricle/error.h"

#define AU_FAULT_TEXT_BYTES 768

struct au_fault {
    enum auricle_error code; /* AURICLE_OK while nothing failed */
    char text[AU_FAULT_TEXT_BYTES];
};

/* Record a failure and hand its code back, so that callers write
 *     return au_fail(fault, AURICLE_E_FORMAT, "%s: header says %zu tensors", path, n);
 * fault may be NULL. The text is cut at a UTF-8 boundary when it is too long, and control
 * characters in it are replaced: names that come from files cannot damage a terminal.
 * Thread: any (no shared state). Allocates: never.                                              */
enum auricle_error au_fail(struct au_fault *fault, enum auricle_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As au_fail, with ": " and the sentence of errno_value appended; picks NOT_FOUND for ENOENT,
 * NO_SPACE for ENOSPC, EDQUOT and EFBIG, CLOSED_PIPE for EPIPE, NOMEM for ENOMEM, else IO.       */
enum auricle_error au_fail_errno(struct au_fault *fault, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the recorded sentence (a path, say). No effect on a NULL or empty fault. */
void au_fault_prefix(struct au_fault *fault, const char *prefix);

#endif
