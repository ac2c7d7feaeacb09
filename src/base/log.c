/* The log. See log.h.
 *
 * Threshold and form are the mutable values, written once before threads start. A plain line
 * without fields needs no memory; others are put together in a buffer, and dropped without one.  */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/utf8.h"

#define TEXT_BYTES    3072
#define LINE_BYTES    4096
#define MAX_WHOLE     9e15 /* below it every whole number is exact */
#define ESCAPED_BYTES 16   /* of one character */

static _Atomic int threshold_level = AU_LOG_INFO;
static _Atomic bool json_lines;

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

void au_log_use_json(bool json)
{
    atomic_store(&json_lines, json);
}

bool au_log_uses_json(void)
{
    return atomic_load_explicit(&json_lines, memory_order_relaxed);
}

bool au_log_enabled(enum au_log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold_level, memory_order_relaxed);
}

static size_t put_hex(char *out, const char *bytes, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        *out++ = '\\';
        *out++ = 'x';
        *out++ = hex[c >> 4];
        *out++ = hex[c & 15];
    }
    return 4 * n;
}

/* Copy text into out with what may not be shown as \xNN, so that one message stays one line and no
 * terminal obeys it.                                                                             */
static size_t escape(char *out, size_t out_bytes, const char *text)
{
    size_t n = 0, left = strlen(text);
    while (left && n + ESCAPED_BYTES < out_bytes) {
        uint32_t c;
        size_t used = au_utf8_decode(text, left, &c);
        bool invalid = c == AU_UTF8_REPLACEMENT && strncmp(text, "\xEF\xBF\xBD", 3) != 0;
        if (c == '\n') {
            memcpy(out + n, "\\n", 2);
            n += 2;
        } else if (invalid || !au_utf8_is_plain(c)) {
            n += put_hex(out + n, text, used);
        } else {
            memcpy(out + n, text, used);
            n += used;
        }
        text += used;
        left -= used;
    }
    return n;
}

static void put_line(const char *line, size_t n)
{
    ssize_t written = write(STDERR_FILENO, line, n); /* a log that cannot be written is dropped */
    (void)written;
}

static const struct au_log_field no_fields[] = {{NULL, NULL, 0}};

/* A value that would be taken for more than one word is put in quotes. */
static void put_plain_field(struct au_buf *out, const struct au_log_field *field)
{
    char escaped[512];
    if (!field->text) {
        au_buf_printf(out, " %s=%.10g", field->key, field->number);
        return;
    }
    size_t n = escape(escaped, sizeof escaped, field->text);
    bool quote = n == 0 || memchr(escaped, ' ', n) || memchr(escaped, '"', n);
    au_buf_printf(out, " %s=%s", field->key, quote ? "\"" : "");
    for (size_t i = 0; i < n; i++) {
        if (escaped[i] == '"')
            au_buf_putc(out, '\\');
        au_buf_putc(out, escaped[i]);
    }
    au_buf_puts(out, quote ? "\"" : "");
}

static void write_plain(const char *name, const char *time_text, const char *text,
                        const struct au_log_field *fields)
{
    char line[LINE_BYTES];
    struct au_buf whole;
    int head = snprintf(line, sizeof line, "%s %s ", time_text, name);
    size_t n = head < 0 ? 0 : (size_t)head;
    n += escape(line + n, sizeof line - n - 1, text);
    if (!fields->key) {
        line[n++] = '\n';
        put_line(line, n);
        return;
    }
    au_buf_init(&whole, 0);
    au_buf_append(&whole, line, n);
    for (; fields->key; fields++)
        put_plain_field(&whole, fields);
    au_buf_putc(&whole, '\n');
    if (!whole.error)
        put_line(whole.data, whole.len);
    au_buf_deinit(&whole);
}

static void write_json(const char *name, const char *time_text, const char *text,
                       const struct au_log_field *fields)
{
    struct au_buf line;
    struct au_json_writer w;
    au_buf_init(&line, 0);
    au_json_writer_init(&w, &line, 0);
    au_json_open_object(&w);
    au_json_key(&w, "time");
    au_json_put_string(&w, time_text);
    au_json_key(&w, "level");
    au_json_put_string(&w, name);
    au_json_key(&w, "message");
    au_json_put_string(&w, text);
    for (; fields->key; fields++) {
        au_json_key(&w, fields->key);
        if (fields->text)
            au_json_put_string(&w, fields->text);
        else if (fabs(fields->number) < MAX_WHOLE && fields->number == trunc(fields->number))
            au_json_put_int(&w, (int64_t)fields->number);
        else
            au_json_put_number(&w, fields->number);
    }
    au_json_close_object(&w);
    au_buf_putc(&line, '\n');
    if (!line.error)
        put_line(line.data, line.len);
    au_buf_deinit(&line);
}

static void write_entry(enum au_log_level level, const struct au_log_field *fields,
                        const char *text)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    char time_text[AU_TIME_TEXT_BYTES];
    int saved_errno = errno;
    au_time_text(au_wall_ms(), time_text);
    if (au_log_uses_json())
        write_json(names[level], time_text, text, fields);
    else
        write_plain(names[level], time_text, text, fields);
    errno = saved_errno;
}

static void write_formatted(enum au_log_level level, const struct au_log_field *fields,
                            const char *format, va_list args) __attribute__((format(printf, 3, 0)));
static void write_formatted(enum au_log_level level, const struct au_log_field *fields,
                            const char *format, va_list args)
{
    char text[TEXT_BYTES];
    if (level >= AU_LOG_OFF || !au_log_enabled(level))
        return;
    vsnprintf(text, sizeof text, format, args);
    write_entry(level, fields, text);
}

void au_log_always(enum au_log_level level, const char *text)
{
    write_entry(level, no_fields, text);
}

void au_log(enum au_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_formatted(level, no_fields, format, args);
    va_end(args);
}

void au_log_with(enum au_log_level level, const struct au_log_field *fields, const char *format,
                 ...)
{
    va_list args;
    va_start(args, format);
    write_formatted(level, fields, format, args);
    va_end(args);
}
