/* Status codes of libauricle.
 *
 * One enumeration serves the whole program: every fallible function, public or internal, returns
 * AURICLE_OK or a negative code and writes its outputs only on success. Load and parse paths also
 * fill a sentence for people (struct auricle_message).               */
#ifndef AURICLE_ERROR_H
#define AURICLE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define AURICLE_MUST_CHECK __attribute__((warn_unused_result))
#define AURICLE_API        __attribute__((visibility("default")))
#else
#define AURICLE_MUST_CHECK
#define AURICLE_API
#endif

enum auricle_error {
    AURICLE_OK = 0,
    AURICLE_E_NOMEM = -1,       /* memory could not be had, or a memory limit was reached */
    AURICLE_E_IO = -2,          /* reading or writing failed; errno was folded into the sentence */
    AURICLE_E_NOT_FOUND = -3,   /* no such file, model, tensor, language or token */
    AURICLE_E_FORMAT = -4,      /* bytes that are damaged or not of the format they claim */
    AURICLE_E_UNSUPPORTED = -5, /* well-formed, but a kind this program does not handle */
    AURICLE_E_SHAPE = -6,       /* a tensor or model dimension differs from what was expected */
    AURICLE_E_INVALID = -7,     /* an argument or option is out of its range */
    AURICLE_E_LIMIT = -8,       /* a configured limit on size, length or count was exceeded */
    AURICLE_E_CANCELLED = -9,   /* the caller asked to stop */
    AURICLE_E_TIMEOUT = -10,    /* a deadline passed */
    AURICLE_E_STATE = -11,      /* call not allowed in the object's present state */
    AURICLE_E_AGAIN = -12,      /* nothing to do now: feed more, or try later */
    AURICLE_E_NO_AUDIO = -13,   /* the input holds no audio stream, or none that can be decoded */
    AURICLE_E_NO_SPACE = -14,   /* the disk is full, or a file size limit was reached */
    AURICLE_E_CLOSED_PIPE = -15 /* the reader of our output went away */
};

/* The code's name without prefix, for logs and JSON ("FORMAT"). Static storage; never NULL. */
AURICLE_API const char *auricle_error_name(enum auricle_error code);

#ifdef __cplusplus
}
#endif
#endif
