/* Messages for people on standard error. See app.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"

/* One write per line: lines of several processes on one terminal do not mix. What standard error
 * cannot take is lost, there being no better place to say so.                                    */
static void say(const char *prefix, const char *text)
{
    char line[AU_FAULT_TEXT_BYTES + 64];
    int n = snprintf(line, sizeof line, "%s%s\n", prefix, text);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

__attribute__((format(printf, 2, 0))) static void say_formatted(const char *prefix,
                                                                const char *format, va_list args)
{
    char text[AU_FAULT_TEXT_BYTES];
    vsnprintf(text, sizeof text, format, args);
    struct au_fault cleaned = {0}; /* file names in it may hold anything */
    au_fail(&cleaned, AURICLE_E_INVALID, "%s", text);
    say(prefix, cleaned.text);
}

void app_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_formatted("auricle: ", format, args);
    va_end(args);
}

void app_warn(bool quiet, const char *format, ...)
{
    if (quiet)
        return;
    va_list args;
    va_start(args, format);
    say_formatted("auricle: warning: ", format, args);
    va_end(args);
}

void app_note(bool quiet, const char *format, ...)
{
    if (quiet)
        return;
    va_list args;
    va_start(args, format);
    say_formatted("", format, args);
    va_end(args);
}
