/* A pickle reader that can only build data.
 *
 * A pickle is a program for a stack machine, and Python's own reader lets it call anything. This
 * one knows None, booleans, numbers, strings, tuples, lists, dictionaries (OrderedDict too) and
 * tensors over storages; every other name or instruction is refused, by name. Nothing is ever
 * executed. Stack, memo, nesting of marks and the number of values are limited, and values are
 * never walked recursively here, so a pickle that contains itself does no harm.
 * Source: CPython Lib/pickletools.py; torch/_utils.py and torch/serialization.py. The values
 * live as long as the `format_pickle`; strings and storages point into the bytes given.          */
#ifndef FORMAT_PICKLE_H
#define FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/weights.h"

enum format_pickle_kind {
    FORMAT_PICKLE_NONE,
    FORMAT_PICKLE_BOOL,
    FORMAT_PICKLE_INT,
    FORMAT_PICKLE_REAL,
    FORMAT_PICKLE_STRING,
    FORMAT_PICKLE_TUPLE,
    FORMAT_PICKLE_LIST,
    FORMAT_PICKLE_DICT,
    FORMAT_PICKLE_GLOBAL, /* one of the few names that may be called */
    FORMAT_PICKLE_STORAGE,
    FORMAT_PICKLE_TENSOR
};

struct format_pickle_value;

/* An item of a tuple or list (key NULL), or a pair of a dictionary. */
struct format_pickle_item {
    const struct format_pickle_value *key, *value;
    struct format_pickle_item *next;
};

struct format_pickle_storage {
    enum format_type type;
    const uint8_t *data;
    size_t n_elements;
};

/* A view of a storage; checked: every element lies inside. */
struct format_pickle_tensor {
    struct format_pickle_storage storage;
    size_t offset; /* elements */
    int n_dims;
    size_t shape[FORMAT_MAX_DIMS], stride[FORMAT_MAX_DIMS];
};

struct format_pickle_value {
    enum format_pickle_kind kind;
    union {
        int64_t integer; /* BOOL, INT, GLOBAL (internal) */
        double real;
        struct {
            const char *text; /* not terminated */
            size_t bytes;
        } string;
        struct {
            struct format_pickle_item *first, *last;
            size_t n;
        } items;
        struct format_pickle_storage storage;
        const struct format_pickle_tensor *tensor;
    };
};

/* Where the bytes of a storage are found, by the key torch gave it. False: there is none. */
typedef bool format_pickle_source(void *context, const char *key, size_t key_bytes,
                                  const uint8_t **data, size_t *bytes);

struct format_pickle; /* opaque */

/* Run the pickle in data. Errors: FORMAT, UNSUPPORTED (wants anything but data; named), LIMIT,
 * NOMEM. */
AURICLE_MUST_CHECK enum auricle_error format_pickle_load(const uint8_t *data, size_t bytes,
                                                         format_pickle_source *source,
                                                         void *context, struct format_pickle **out,
                                                         struct au_fault *fault);
void format_pickle_free(struct format_pickle *pickle);
const struct format_pickle_value *format_pickle_root(const struct format_pickle *pickle);

/* The value of a string key; the last of equals, as in Python; NULL when absent or not a
 * dictionary. */
const struct format_pickle_value *format_pickle_get(const struct format_pickle_value *dict,
                                                    const char *key);

#endif
