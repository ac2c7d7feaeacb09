/* The log: lines on standard error, used by the app, api and service layers alone.
 *
 * A line is "2026-01-31T23:59:59.123Z WARN text"; one write per line, so lines of several threads
 * do not mix. Text from outside is escaped. The threshold is set once at start (LOG_LEVEL).
 * Thread: any, after au_log_init.                                                                */
#ifndef AU_BASE_LOG_H
#define AU_BASE_LOG_H

#include <stdbool.h>

enum au_log_level { AU_LOG_DEBUG, AU_LOG_INFO, AU_LOG_WARN, AU_LOG_ERROR, AU_LOG_OFF };

/* "DEBUG", "info", "WARNING", "warn", "ERROR", "CRITICAL", "off" ...; false when unknown. */
bool au_log_level_parse(const char *text, enum au_log_level *out);
void au_log_init(enum au_log_level threshold);
bool au_log_enabled(enum au_log_level level);
void au_log(enum au_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
