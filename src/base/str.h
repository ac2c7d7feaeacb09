/* Text helpers: strict number parsing and small string tests.
 *
 * Parsers take the whole string: leading or trailing junk, overflow and an empty string are
 * refused. None depends on the locale.                                                          */
#ifndef AU_BASE_STR_H
#define AU_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool au_str_equal(const char *a, const char *b);        /* NULLs compare equal to NULL only */
bool au_str_equal_nocase(const char *a, const char *b); /* ASCII case */
bool au_str_starts(const char *text, const char *prefix);
bool au_str_starts_nocase(const char *text, const char *prefix);
bool au_str_ends(const char *text, const char *suffix);
bool au_str_ends_nocase(const char *text, const char *suffix);
size_t au_str_copy(char *out, size_t out_bytes,
                   const char *text); /* cut at a UTF-8 boundary; returns bytes written */

bool au_parse_i64(const char *text, int64_t *out);
bool au_parse_u64(const char *text, uint64_t *out);
bool au_parse_double(const char *text, double *out);  /* finite decimal numbers only */
bool au_parse_bool(const char *text, bool *out);      /* true/True/1/yes/on, false/False/0/no/off */
bool au_parse_bytes(const char *text, uint64_t *out); /* "500MB" (10^6), "2GiB" (2^30), "123" */
bool au_parse_seconds(const char *text,
                      double *out); /* "300", "300s", "1.5m", "1h", "00:01:30.5" */

#endif
