/* Error sentences and status names. See error.h and auricle/error.h.
 *
 * Sentences end up on terminals and in logs and often quote names that came from files, so each one
 * passes through make_printable before it is handed on. Thread: any; nothing is shared.          */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "auricle/version.h"
#include "base/utf8.h"

const char *auricle_error_name(enum auricle_error code)
{
    switch (code) {
    case AURICLE_OK: return "OK";
    case AURICLE_E_NOMEM: return "NOMEM";
    case AURICLE_E_IO: return "IO";
    case AURICLE_E_NOT_FOUND: return "NOT_FOUND";
    case AURICLE_E_FORMAT: return "FORMAT";
    case AURICLE_E_UNSUPPORTED: return "UNSUPPORTED";
    case AURICLE_E_SHAPE: return "SHAPE";
    case AURICLE_E_INVALID: return "INVALID";
    case AURICLE_E_LIMIT: return "LIMIT";
    case AURICLE_E_CANCELLED: return "CANCELLED";
    case AURICLE_E_TIMEOUT: return "TIMEOUT";
    case AURICLE_E_STATE: return "STATE";
    case AURICLE_E_AGAIN: return "AGAIN";
    case AURICLE_E_NO_AUDIO: return "NO_AUDIO";
    case AURICLE_E_NO_SPACE: return "NO_SPACE";
    case AURICLE_E_CLOSED_PIPE: return "CLOSED_PIPE";
    }
    return "UNKNOWN";
}

const char *auricle_version(void)
{
    return AURICLE_VERSION;
}

/* Replace what a terminal could act on, and what is not UTF-8, by '?', in place: never longer. */
static void make_printable(char *text)
{
    size_t n = strlen(text);
    n = au_utf8_complete_prefix(text, n); /* vsnprintf may have cut a sequence in two */

    size_t to = 0;
    for (size_t from = 0; from < n;) {
        uint32_t c;
        size_t used = au_utf8_decode(text + from, n - from, &c);
        bool is_itself = used == 3 && memcmp(text + from, "\xEF\xBF\xBD", 3) == 0;
        bool invalid = c == AU_UTF8_REPLACEMENT && !is_itself;
        if (invalid || !au_utf8_is_plain(c)) {
            text[to++] = '?';
        } else {
            memmove(text + to, text + from, used);
            to += used;
        }
        from += used;
    }
    text[to] = '\0';
}

enum auricle_error au_fail(struct au_fault *fault, enum auricle_error code, const char *format, ...)
{
    if (!fault)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    make_printable(fault->text);
    fault->code = code;
    return code;
}

static enum auricle_error code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT: return AURICLE_E_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return AURICLE_E_NO_SPACE;
    case EPIPE: return AURICLE_E_CLOSED_PIPE;
    case ENOMEM: return AURICLE_E_NOMEM;
    default: return AURICLE_E_IO;
    }
}

enum auricle_error au_fail_errno(struct au_fault *fault, int errno_value, const char *format, ...)
{
    enum auricle_error code = code_of_errno(errno_value);
    if (!fault)
        return code;
    char text[AU_FAULT_TEXT_BYTES], reason_store[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *reason = strerror_r(errno_value, reason_store, sizeof reason_store);
    return au_fail(fault, code, "%.600s: %.128s", text, reason);
}

void au_fault_prefix(struct au_fault *fault, const char *prefix)
{
    if (!fault || fault->code == AURICLE_OK)
        return;
    char text[AU_FAULT_TEXT_BYTES];
    memcpy(text, fault->text, sizeof text);
    au_fail(fault, fault->code, "%.300s: %s", prefix, text);
}
