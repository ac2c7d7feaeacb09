/* The log. See log.h.
 *
 * The threshold is the one mutable value, written once by au_log_init before threads start.      */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define TEXT_BYTES 3072
#define LINE_BYTES 4096

static _Atomic int threshold_level = AU_LOG_INFO;

bool au_log_level_parse(const char *text, enum au_log_level *out)
{
    static const struct {
        const char *name;
        enum au_log_level level;
    } names[] = {
        {"debug", AU_LOG_DEBUG}, {"trace", AU_LOG_DEBUG},    {"info", AU_LOG_INFO},
        {"warn", AU_LOG_WARN},   {"warning", AU_LOG_WARN},   {"error", AU_LOG_ERROR},
        {"fatal", AU_LOG_ERROR}, {"critical", AU_LOG_ERROR}, {"off", AU_LOG_OFF},
        {"none", AU_LOG_OFF},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (au_str_equal_nocase(text, names[i].name)) {
            *out = names[i].level;
            return true;
        }
    }
    return false;
}

void au_log_init(enum au_log_level threshold)
{
    atomic_store(&threshold_level, (int)threshold);
}

bool au_log_enabled(enum au_log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold_level, memory_order_relaxed);
}

/* Copy text into out with control characters as \xNN, so that one message stays one line. */
static size_t escape(char *out, size_t out_bytes, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (; *text && n + 5 < out_bytes; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != 0x7F) {
            out[n++] = (char)c;
        } else if (c == '\n') {
            out[n++] = '\\';
            out[n++] = 'n';
        } else {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return n;
}

void au_log(enum au_log_level level, const char *format, ...)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    if (level >= AU_LOG_OFF || !au_log_enabled(level))
        return;
    int saved_errno = errno;
    char text[TEXT_BYTES], line[LINE_BYTES], time_text[AU_TIME_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    au_time_text(au_wall_ms(), time_text);
    int head = snprintf(line, sizeof line, "%s %s ", time_text, names[level]);
    size_t n = head < 0 ? 0 : (size_t)head;
    n += escape(line + n, sizeof line - n, text);
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n); /* a log that cannot be written is dropped */
    (void)written;
    errno = saved_errno;
}
