/* Form fields: what a client sent beside its recording, and tables that read them into structs.
 * Owner: one request, on the network thread.                                                     */
#ifndef REST_FIELDS_H
#define REST_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* ---- As they were sent ----------------------------------------------------------------------- */

enum { REST_MAX_FIELDS = 128, REST_MAX_FIELD_BYTES = 1 << 20 }; /* bytes of all values together */

struct rest_field {
    size_t name, value; /* offsets of texts in the buffer */
};

struct rest_fields {
    struct au_buf text;
    struct rest_field at[REST_MAX_FIELDS];
    size_t n;
};

void rest_fields_init(struct rest_fields *fields);
void rest_fields_deinit(struct rest_fields *fields);
/* Begin a field; its value comes with rest_fields_value, in pieces, and rest_fields_end closes it.
 * "x[]" counts as "x". Errors: LIMIT (too many, too long), INVALID (a zero byte, bad UTF-8), NOMEM.
 */
AURICLE_MUST_CHECK enum auricle_error rest_fields_begin(struct rest_fields *fields,
                                                        const char *name, struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error rest_fields_value(struct rest_fields *fields,
                                                        const void *bytes, size_t n,
                                                        struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error rest_fields_end(struct rest_fields *fields,
                                                      struct au_fault *fault);
const char *rest_field_name(const struct rest_fields *fields, size_t i);
const char *rest_field_value(const struct rest_fields *fields, size_t i);
/* The last value of that name so far; NULL: none. */
const char *rest_fields_find(const struct rest_fields *fields, const char *name);

/* ---- As they are meant ----------------------------------------------------------------------- */

enum rest_kind {
    REST_TEXT,   /* const char *: borrowed from the fields */
    REST_LIST,   /* struct rest_list: repeated fields, in order */
    REST_INT,    /* int, min to max */
    REST_NUMBER, /* double, min to max */
    REST_BOOL,   /* bool; null is false */
    REST_CHOICE, /* int: index into choices, "one|two|three" */
    REST_FIXED   /* only the values in choices do what they say; others are refused by name */
};

enum { REST_MAX_LIST = 64 };
struct rest_list {
    const char *at[REST_MAX_LIST];
    size_t n;
};

struct rest_param {
    const char *name; /* NULL ends a table */
    enum rest_kind kind;
    size_t offset; /* in the struct that the table fills */
    double min, max;
    const char *choices;
};

/* A field that cannot be accepted. */
struct rest_reject {
    char param[64];
    const char *code; /* "unknown_parameter", "invalid_value" ...; static */
    struct au_fault fault;
};

/* Read the fields into `out`, which holds the defaults. A scalar's last value counts, and an empty
 * one is as none. Errors: INVALID with the reject filled.                                        */
AURICLE_MUST_CHECK enum auricle_error rest_params_read(const struct rest_fields *fields,
                                                       const struct rest_param *table, void *out,
                                                       struct rest_reject *reject);
/* Refuse a field with a sentence. Returns INVALID. */
enum auricle_error rest_reject(struct rest_reject *reject, const char *param, const char *code,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
