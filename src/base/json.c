/* JSON: reader over jansson, and the writer. See json.h.
 *
 * The reader counts what jansson parsed, then copies it into three blocks (nodes, key order, text)
 * and lets jansson's tree go. A vocabulary has 50,000 members: nodes side by side give the i-th
 * member in O(1), and each object has its members' numbers sorted by key for look-up.
 * Depth is checked before jansson recurses. This is the only file that includes jansson.h.       */
#include "base/json.h"

#include <assert.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

#define MAX_DEPTH 100 /* of documents read; every format we know stays below 12 */
#define MAX_LEVEL 63  /* of documents written: has_items has a bit per level */

/* ---- Reader ---------------------------------------------------------------------------------- */

struct au_json {
    enum au_json_type type;
    const char *key; /* of a member; NULL elsewhere */
    size_t n;        /* bytes of a string, items, members */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *string;
        const struct au_json *items; /* of arrays and objects, in document order */
    };
    const uint32_t *by_key; /* objects: numbers of the members, sorted by key */
};

struct document {
    struct au_json root; /* first: au_json_free receives its address */
    struct au_json *nodes;
    uint32_t *order;
    char *text;
};

struct extent { /* what is needed, then what has been used */
    size_t n_nodes, n_order, text_bytes;
};

static void count_value(const json_t *value, struct extent *need)
{
    const char *key;
    json_t *child;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_STRING: need->text_bytes += json_string_length(value) + 1; break;
    case JSON_ARRAY:
        need->n_nodes += json_array_size(value);
        json_array_foreach(value, i, child) count_value(child, need);
        break;
    case JSON_OBJECT:
        need->n_nodes += json_object_size(value);
        need->n_order += json_object_size(value);
        json_object_foreach((json_t *)(uintptr_t)value, key, child)
        {
            need->text_bytes += strlen(key) + 1;
            count_value(child, need);
        }
        break;
    default: break;
    }
}

static const char *copy_text(struct document *doc, struct extent *used, const char *text, size_t n)
{
    char *copy = doc->text + used->text_bytes;
    memcpy(copy, text, n);
    copy[n] = '\0';
    used->text_bytes += n + 1;
    return copy;
}

static int compare_keys(const void *a, const void *b, void *items)
{
    const struct au_json *nodes = items;
    return strcmp(nodes[*(const uint32_t *)a].key, nodes[*(const uint32_t *)b].key);
}

static void copy_value(struct document *doc, struct extent *used, const json_t *value,
                       struct au_json *out);

static void copy_array(struct document *doc, struct extent *used, const json_t *value,
                       struct au_json *out)
{
    struct au_json *items = doc->nodes + used->n_nodes;
    out->type = AU_JSON_ARRAY;
    out->n = json_array_size(value);
    out->items = items;
    used->n_nodes += out->n;
    for (size_t i = 0; i < out->n; i++)
        copy_value(doc, used, json_array_get(value, i), &items[i]);
}

static void copy_object(struct document *doc, struct extent *used, const json_t *value,
                        struct au_json *out)
{
    struct au_json *items = doc->nodes + used->n_nodes;
    uint32_t *order = doc->order + used->n_order;
    out->type = AU_JSON_OBJECT;
    out->n = json_object_size(value);
    out->items = items;
    out->by_key = order;
    used->n_nodes += out->n;
    used->n_order += out->n;
    size_t i = 0;
    const char *key;
    json_t *child;
    json_object_foreach((json_t *)(uintptr_t)value, key, child)
    {
        copy_value(doc, used, child, &items[i]);
        items[i].key = copy_text(doc, used, key, strlen(key));
        order[i] = (uint32_t)i;
        i++;
    }
    qsort_r(order, out->n, sizeof *order, compare_keys, items);
}

static void copy_value(struct document *doc, struct extent *used, const json_t *value,
                       struct au_json *out)
{
    *out = (struct au_json){.type = AU_JSON_NULL};
    switch (json_typeof(value)) {
    case JSON_OBJECT: copy_object(doc, used, value, out); break;
    case JSON_ARRAY: copy_array(doc, used, value, out); break;
    case JSON_STRING:
        out->type = AU_JSON_STRING;
        out->n = json_string_length(value);
        out->string = copy_text(doc, used, json_string_value(value), out->n);
        break;
    case JSON_INTEGER:
        out->type = AU_JSON_INT;
        out->integer = json_integer_value(value);
        break;
    case JSON_REAL:
        out->type = AU_JSON_REAL;
        out->real = json_real_value(value);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        out->type = AU_JSON_BOOL;
        out->boolean = json_is_true(value);
        break;
    case JSON_NULL: break;
    }
}

/* Brackets outside strings; jansson itself would recurse 2048 levels deep. */
static bool depth_is_sane(const char *text, size_t bytes)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > MAX_DEPTH)
                return false;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/* jansson's scanner reports some failed allocations as syntax errors and passes over others,
 * which cuts the text of a token. The parse on this thread therefore remembers whether memory
 * was refused: then it is NOMEM, whatever jansson says.                                          */
static _Thread_local bool memory_was_refused;

static void *allocate_for_jansson(size_t bytes)
{
    void *block = au_alloc(bytes);
    if (!block)
        memory_was_refused = true;
    return block;
}

/* Route jansson through base/mem, unless a host program has routed it elsewhere already. The blocks
 * are malloc's in both cases, so the change is safe at any time.                                 */
static void route_jansson(void)
{
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    if (allocate == malloc && release == free)
        json_set_alloc_funcs(allocate_for_jansson, au_free);
}

static enum auricle_error parse_failure(const json_error_t *error, const char *what,
                                        struct au_fault *fault)
{
    if (memory_was_refused || json_error_code(error) == json_error_out_of_memory)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: no memory to parse it", what);
    return au_fail(fault, AURICLE_E_FORMAT, "%s: not valid JSON at line %d, column %d: %s", what,
                   error->line, error->column, error->text);
}

enum auricle_error au_json_parse(const char *text, size_t bytes, const char *what,
                                 struct au_json **out, struct au_fault *fault)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, route_jansson);
    if (!depth_is_sane(text, bytes))
        return au_fail(fault, AURICLE_E_LIMIT, "%s: JSON nested deeper than %d levels", what,
                       MAX_DEPTH);
    json_error_t error = {0};
    memory_was_refused = false;
    json_t *tree = json_loadb(text, bytes, JSON_DECODE_ANY, &error);
    if (!tree || memory_was_refused) {
        json_decref(tree);
        return parse_failure(&error, what, fault);
    }

    struct extent need = {0}, used = {0};
    count_value(tree, &need);
    struct document *doc = au_calloc(1, sizeof *doc);
    if (!doc)
        goto fail;
    doc->nodes = au_alloc_array(need.n_nodes, sizeof *doc->nodes);
    doc->order = au_alloc_array(need.n_order, sizeof *doc->order);
    doc->text = au_alloc(need.text_bytes);
    if (!doc->nodes || !doc->order || !doc->text || need.n_nodes > UINT32_MAX)
        goto fail;
    copy_value(doc, &used, tree, &doc->root);
    json_decref(tree);
    *out = &doc->root;
    return AURICLE_OK;
fail:
    json_decref(tree);
    au_json_free(doc ? &doc->root : NULL);
    return au_fail(fault, AURICLE_E_NOMEM, "%s: no memory for its %zu values", what, need.n_nodes);
}

enum auricle_error au_json_read(const char *path, size_t limit_bytes, struct au_json **out,
                                struct au_fault *fault)
{
    char *text;
    size_t bytes;
    enum auricle_error e = au_file_read(path, limit_bytes, &text, &bytes, fault);
    if (e)
        return e;
    e = au_json_parse(text, bytes, path, out, fault);
    au_free(text);
    return e;
}

void au_json_free(struct au_json *document)
{
    struct document *doc = (struct document *)document;
    if (!doc)
        return;
    au_free(doc->nodes);
    au_free(doc->order);
    au_free(doc->text);
    au_free(doc);
}

enum au_json_type au_json_type(const struct au_json *value)
{
    return value ? value->type : AU_JSON_ABSENT;
}

const struct au_json *au_json_get(const struct au_json *object, const char *key)
{
    if (au_json_type(object) != AU_JSON_OBJECT)
        return NULL;
    size_t low = 0, high = object->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct au_json *member = &object->items[object->by_key[middle]];
        int order = strcmp(key, member->key);
        if (order == 0)
            return member;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

size_t au_json_size(const struct au_json *value)
{
    enum au_json_type type = au_json_type(value);
    return type == AU_JSON_ARRAY || type == AU_JSON_OBJECT ? value->n : 0;
}

const struct au_json *au_json_item(const struct au_json *array, size_t i)
{
    return au_json_type(array) == AU_JSON_ARRAY && i < array->n ? &array->items[i] : NULL;
}

const struct au_json *au_json_member(const struct au_json *object, size_t i, const char **key)
{
    if (au_json_type(object) != AU_JSON_OBJECT || i >= object->n)
        return NULL;
    if (key)
        *key = object->items[i].key;
    return &object->items[i];
}

const char *au_json_string(const struct au_json *value, const char *fallback)
{
    return au_json_type(value) == AU_JSON_STRING ? value->string : fallback;
}

size_t au_json_string_bytes(const struct au_json *value)
{
    return au_json_type(value) == AU_JSON_STRING ? value->n : 0;
}

int64_t au_json_int(const struct au_json *value, int64_t fallback)
{
    if (au_json_type(value) == AU_JSON_INT)
        return value->integer;
    bool integral = au_json_type(value) == AU_JSON_REAL && value->real >= -0x1p63 &&
                    value->real < 0x1p63 && trunc(value->real) == value->real;
    return integral ? (int64_t)value->real : fallback;
}

double au_json_number(const struct au_json *value, double fallback)
{
    switch (au_json_type(value)) {
    case AU_JSON_INT: return (double)value->integer;
    case AU_JSON_REAL: return value->real;
    default: return fallback;
    }
}

bool au_json_bool(const struct au_json *value, bool fallback)
{
    return au_json_type(value) == AU_JSON_BOOL ? value->boolean : fallback;
}

/* ---- Writer ---------------------------------------------------------------------------------- */

void au_json_writer_init(struct au_json_writer *w, struct au_buf *out, int indent)
{
    *w = (struct au_json_writer){.out = out, .indent = indent};
}

static uint64_t level_bit(const struct au_json_writer *w)
{
    return (uint64_t)1 << w->depth;
}

static void put_newline(struct au_json_writer *w)
{
    if (w->indent <= 0)
        return;
    au_buf_putc(w->out, '\n');
    for (int i = 0; i < w->indent * w->depth; i++)
        au_buf_putc(w->out, ' ');
}

/* Comma and line break before an item or a key; nothing between a key and its value. */
static void begin_item(struct au_json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0)
        return; /* values at the top stand for themselves: JSON lines */
    if (w->has_items & level_bit(w))
        au_buf_puts(w->out, w->indent > 0 ? "," : ", ");
    put_newline(w);
    w->has_items |= level_bit(w);
}

static void open_level(struct au_json_writer *w, char bracket)
{
    begin_item(w);
    assert(w->depth < MAX_LEVEL);
    au_buf_putc(w->out, bracket);
    w->depth++;
    w->has_items &= ~level_bit(w);
}

static void close_level(struct au_json_writer *w, char bracket)
{
    assert(w->depth > 0 && !w->after_key);
    bool had_items = w->has_items & level_bit(w);
    w->depth--;
    if (had_items)
        put_newline(w);
    au_buf_putc(w->out, bracket);
}

void au_json_open_object(struct au_json_writer *w)
{
    open_level(w, '{');
}

void au_json_close_object(struct au_json_writer *w)
{
    close_level(w, '}');
}

void au_json_open_array(struct au_json_writer *w)
{
    open_level(w, '[');
}

void au_json_close_array(struct au_json_writer *w)
{
    close_level(w, ']');
}

static void put_control(struct au_buf *out, unsigned char c)
{
    switch (c) {
    case '"': au_buf_puts(out, "\\\""); break;
    case '\\': au_buf_puts(out, "\\\\"); break;
    case '\n': au_buf_puts(out, "\\n"); break;
    case '\r': au_buf_puts(out, "\\r"); break;
    case '\t': au_buf_puts(out, "\\t"); break;
    case '\b': au_buf_puts(out, "\\b"); break;
    case '\f': au_buf_puts(out, "\\f"); break;
    default: au_buf_printf(out, "\\u%04x", c); break;
    }
}

static void put_quoted(struct au_buf *out, const char *text, size_t n)
{
    au_buf_putc(out, '"');
    for (size_t i = 0; i < n;) {
        unsigned char byte = (unsigned char)text[i];
        uint32_t c;
        if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7F) {
            put_control(out, byte);
            i++;
            continue;
        }
        size_t used = au_utf8_decode(text + i, n - i, &c);
        if (c == AU_UTF8_REPLACEMENT)
            au_buf_puts(out, "\xEF\xBF\xBD");
        else
            au_buf_append(out, text + i, used);
        i += used;
    }
    au_buf_putc(out, '"');
}

void au_json_key(struct au_json_writer *w, const char *key)
{
    assert(w->depth > 0 && !w->after_key);
    begin_item(w);
    put_quoted(w->out, key, strlen(key));
    au_buf_puts(w->out, ": ");
    w->after_key = true;
}

void au_json_put_string(struct au_json_writer *w, const char *text)
{
    au_json_put_string_n(w, text, strlen(text));
}

void au_json_put_string_n(struct au_json_writer *w, const char *text, size_t n)
{
    begin_item(w);
    put_quoted(w->out, text, n);
}

void au_json_put_int(struct au_json_writer *w, int64_t value)
{
    begin_item(w);
    au_buf_printf(w->out, "%lld", (long long)value);
}

/* printf writes the decimal point of the host program's locale: make it a point again. */
static void restore_point(char *text)
{
    char *to = text;
    bool in_point = false;
    for (const char *p = text; *p; p++) {
        bool numeric = (*p >= '0' && *p <= '9') || *p == '+' || *p == '-' || *p == 'e';
        if (numeric)
            *to++ = *p;
        else if (!in_point)
            *to++ = '.';
        in_point = !numeric;
    }
    *to = '\0';
}

void au_json_put_number(struct au_json_writer *w, double value)
{
    if (!isfinite(value)) {
        au_json_put_null(w);
        return;
    }
    begin_item(w);
    char text[48];
    /* 15 digits always survive a round trip and %g drops their zeros, so shorter ones need no try;
     * subnormal numbers have fewer digits to begin with.                                         */
    int n_digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    for (; n_digits <= DBL_DECIMAL_DIG; n_digits++) {
        double again;
        snprintf(text, sizeof text, "%.*g", n_digits, value);
        restore_point(text);
        if (au_parse_double(text, &again) && again == value)
            break;
    }
    au_buf_puts(w->out, text);
    if (!strpbrk(text, ".e"))
        au_buf_puts(w->out, ".0"); /* a real number stays one for strict readers */
}

void au_json_put_fixed(struct au_json_writer *w, double value, int decimals)
{
    if (!isfinite(value)) {
        au_json_put_null(w);
        return;
    }
    begin_item(w);
    char text[352]; /* 309 digits before the point */
    snprintf(text, sizeof text, "%.*f", decimals < 30 ? decimals : 30, value);
    restore_point(text);
    au_buf_puts(w->out, text);
}

void au_json_put_bool(struct au_json_writer *w, bool value)
{
    begin_item(w);
    au_buf_puts(w->out, value ? "true" : "false");
}

void au_json_put_null(struct au_json_writer *w)
{
    begin_item(w);
    au_buf_puts(w->out, "null");
}

void au_json_add_string(struct au_json_writer *w, const char *key, const char *text)
{
    au_json_key(w, key);
    if (text)
        au_json_put_string(w, text);
    else
        au_json_put_null(w);
}

void au_json_add_int(struct au_json_writer *w, const char *key, int64_t value)
{
    au_json_key(w, key);
    au_json_put_int(w, value);
}

void au_json_add_fixed(struct au_json_writer *w, const char *key, double value, int decimals)
{
    au_json_key(w, key);
    au_json_put_fixed(w, value, decimals);
}

void au_json_add_bool(struct au_json_writer *w, const char *key, bool value)
{
    au_json_key(w, key);
    au_json_put_bool(w, value);
}
