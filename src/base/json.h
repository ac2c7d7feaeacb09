/* JSON: a bounded reader over jansson and a streaming writer of our own.
 *
 * Reading: documents come from outside, so depth, size and numbers are checked; getters return a
 * default when a member is absent or of another type, and au_json_require_* fill a fault.
 * Values are borrowed from the document. Writing: straight into an au_buf, commas and escapes
 * handled; invalid UTF-8 in strings becomes U+FFFD, so the output is always valid JSON.          */
#ifndef AU_BASE_JSON_H
#define AU_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct au_json; /* a value of any type; NULL stands for "absent" in every getter */

enum au_json_type {
    AU_JSON_ABSENT,
    AU_JSON_NULL,
    AU_JSON_BOOL,
    AU_JSON_INT,
    AU_JSON_REAL,
    AU_JSON_STRING,
    AU_JSON_ARRAY,
    AU_JSON_OBJECT
};

/* Parse a complete document (duplicate keys: last wins). `what` names it in error sentences.
 * Release with au_json_free. Errors: FORMAT (line and column in the sentence), LIMIT, NOMEM.    */
AURICLE_MUST_CHECK enum auricle_error au_json_parse(const char *text, size_t bytes,
                                                    const char *what, struct au_json **out,
                                                    struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error au_json_read(const char *path, size_t limit_bytes,
                                                   struct au_json **out, struct au_fault *fault);
void au_json_free(struct au_json *document);

enum au_json_type au_json_type(const struct au_json *value);
const struct au_json *au_json_get(const struct au_json *object, const char *key); /* NULL: absent */
size_t au_json_size(const struct au_json *array_or_object);
const struct au_json *au_json_item(const struct au_json *array, size_t i);
/* i-th member in document order. */
const struct au_json *au_json_member(const struct au_json *object, size_t i, const char **key);

const char *au_json_string(const struct au_json *value, const char *fallback);
size_t au_json_string_bytes(const struct au_json *value);           /* 0 when not a string */
int64_t au_json_int(const struct au_json *value, int64_t fallback); /* integral reals count */
double au_json_number(const struct au_json *value, double fallback);
bool au_json_bool(const struct au_json *value, bool fallback);

/* Writer. Calls must nest properly (asserted); errors collect in the buffer. */
struct au_json_writer {
    struct au_buf *out;
    int depth;
    int indent;         /* spaces per level; 0: compact */
    uint64_t has_items; /* bit per level */
    bool after_key;
};
void au_json_writer_init(struct au_json_writer *w, struct au_buf *out, int indent);
void au_json_open_object(struct au_json_writer *w);
void au_json_close_object(struct au_json_writer *w);
void au_json_open_array(struct au_json_writer *w);
void au_json_close_array(struct au_json_writer *w);
void au_json_key(struct au_json_writer *w, const char *key);
void au_json_put_string(struct au_json_writer *w, const char *text);
void au_json_put_string_n(struct au_json_writer *w, const char *text, size_t n);
void au_json_put_int(struct au_json_writer *w, int64_t value);
void au_json_put_number(struct au_json_writer *w,
                        double value); /* shortest that reads back; NaN, Inf: null */
void au_json_put_fixed(struct au_json_writer *w, double value, int decimals);
void au_json_put_bool(struct au_json_writer *w, bool value);
void au_json_put_null(struct au_json_writer *w);
/* A key and its value. */
void au_json_add_string(struct au_json_writer *w, const char *key,
                        const char *text); /* NULL: null */
void au_json_add_int(struct au_json_writer *w, const char *key, int64_t value);
void au_json_add_fixed(struct au_json_writer *w, const char *key, double value, int decimals);
void au_json_add_bool(struct au_json_writer *w, const char *key, bool value);

#endif
