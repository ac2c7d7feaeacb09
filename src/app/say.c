/* Messages for people on standard error. See app.h. Where the log is JSON, they are lines of it:
 * what reads it finds nothing else there.                                                        */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "base/log.h"

/* One write per line: lines of several processes on one terminal do not mix. What standard error
 * cannot take is lost, there being no better place to say so.                                    */
static void say(const char *prefix, const char *text)
{
    char line[AU_FAULT_TEXT_BYTES + 64];
    int n = snprintf(line, sizeof line, "%s%s\n", prefix, text);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

__attribute__((format(printf, 3, 0))) static void say_formatted(enum au_log_level level,
                                                                const char *prefix,
                                                                const char *format, va_list args)
{
    char text[AU_FAULT_TEXT_BYTES];
    vsnprintf(text, sizeof text, format, args);
    struct au_fault cleaned = {0}; /* file names in it may hold anything */
    au_fail(&cleaned, AURICLE_E_INVALID, "%s", text);
    if (au_log_uses_json())
        au_log_always(level, cleaned.text);
    else
        say(prefix, cleaned.text);
}

void app_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_formatted(AU_LOG_ERROR, "auricle: ", format, args);
    va_end(args);
}

void app_warn(bool quiet, const char *format, ...)
{
    if (quiet)
        return;
    va_list args;
    va_start(args, format);
    say_formatted(AU_LOG_WARN, "auricle: warning: ", format, args);
    va_end(args);
}

void app_note(bool quiet, const char *format, ...)
{
    if (quiet)
        return;
    va_list args;
    va_start(args, format);
    say_formatted(AU_LOG_INFO, "", format, args);
    va_end(args);
}
