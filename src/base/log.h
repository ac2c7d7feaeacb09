/* The log: lines on standard error, used by the app, api and service layers alone.
 *
 * A line is "2026-01-31T23:59:59.123Z WARN text key=value", or a JSON object with the members
 * time, level, message and the keys, where whole numbers are integers; one write per line, so lines
 * of several threads do not mix. Text from outside is escaped. Threshold and form are set once at
 * start (LOG_LEVEL, LOG_FORMAT).
 * Thread: any, after au_log_init.                                                                */
#ifndef AU_BASE_LOG_H
#define AU_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum au_log_level { AU_LOG_DEBUG, AU_LOG_INFO, AU_LOG_WARN, AU_LOG_ERROR, AU_LOG_OFF };

/* "DEBUG", "info", "WARNING", "warn", "ERROR", "CRITICAL", "off" ...; false when unknown. */
bool au_log_level_parse(const char *text, enum au_log_level *out);
void au_log_init(enum au_log_level threshold);
void au_log_use_json(bool json); /* in place of plain lines */
bool au_log_uses_json(void);
bool au_log_enabled(enum au_log_level level);
void au_log(enum au_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line that no threshold holds back. level below OFF. */
void au_log_always(enum au_log_level level, const char *text);

/* What a line is about, for programs that read it. */
struct au_log_field {
    const char *key;  /* NULL ends a list */
    const char *text; /* NULL: number */
    double number;
};
void au_log_with(enum au_log_level level, const struct au_log_field *fields, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

#endif
