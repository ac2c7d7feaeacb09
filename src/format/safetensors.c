/* safetensors: a JSON header that names every tensor, then the bytes.
 *
 * Layout (huggingface/safetensors, README): u64 length of the header; a JSON object
 * {"name": {"dtype": "F16", "shape": [..], "data_offsets": [begin, end]}, "__metadata__": {..}};
 * the data, offsets counted from its start. As the format demands, the tensors must cover the data
 * without overlap and without gaps: that also refuses a file that was cut or glued.
 * A folder with several files is format_weights_open's business: it calls this once per file.    */
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/bytes.h"
#include "format/store.h"

#define MAX_HEADER_BYTES (100u * 1000u * 1000u) /* as the format's own library */

#define MAX_HEADER_VALUES (32 * FORMAT_MAX_TENSORS)

struct extent {
    uint64_t begin, end;
};

static bool parse_type(const char *name, enum format_type *out)
{
    static const struct {
        const char *name;
        enum format_type type;
    } types[] = {{"F32", FORMAT_F32},  {"F16", FORMAT_F16}, {"BF16", FORMAT_BF16},
                 {"F64", FORMAT_F64},  {"I64", FORMAT_I64}, {"I32", FORMAT_I32},
                 {"I16", FORMAT_I16},  {"I8", FORMAT_I8},   {"U8", FORMAT_U8},
                 {"BOOL", FORMAT_BOOL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (au_str_equal(name, types[i].name)) {
            *out = types[i].type;
            return true;
        }
    return false;
}

static enum auricle_error parse_shape(const char *name, const struct au_json *shape,
                                      struct format_tensor *tensor, struct au_fault *fault)
{
    size_t n = au_json_size(shape);
    if (au_json_type(shape) != AU_JSON_ARRAY || n > FORMAT_MAX_DIMS)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor '%s' has no shape, or one of more than %d dimensions", name,
                       FORMAT_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        int64_t size = au_json_int(au_json_item(shape, i), -1);
        if (size < 0)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "tensor '%s' has a dimension that is not a count", name);
        tensor->shape[i] = (size_t)size;
    }
    tensor->n_dims = (int)n;
    return AURICLE_OK;
}

static enum auricle_error parse_tensor(struct format_weights *weights, const char *name,
                                       const struct au_json *entry, const uint8_t *data,
                                       size_t bytes, struct extent *extent, struct au_fault *fault)
{
    struct format_tensor tensor = {0};
    const char *type = au_json_string(au_json_get(entry, "dtype"), NULL);
    if (!type)
        return au_fail(fault, AURICLE_E_FORMAT, "tensor '%s' has no dtype in the header", name);
    if (!parse_type(type, &tensor.type))
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "tensor '%s' has type %s; F64, F32, F16, BF16, I64, I32, I16, I8, U8 and "
                       "BOOL are read: load the f16 or f32 file of this model",
                       name, type);
    enum auricle_error error = parse_shape(name, au_json_get(entry, "shape"), &tensor, fault);
    if (error)
        return error;

    const struct au_json *offsets = au_json_get(entry, "data_offsets");
    int64_t begin = au_json_int(au_json_item(offsets, 0), -1);
    int64_t end = au_json_int(au_json_item(offsets, 1), -1);
    if (au_json_type(offsets) != AU_JSON_ARRAY || au_json_size(offsets) != 2 || begin < 0 ||
        end < begin)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor '%s' has no data_offsets [begin, end] in the header", name);
    if ((uint64_t)end > bytes)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor '%s' ends at byte %lld of the data but there are only %zu: the file "
                       "is cut short",
                       name, (long long)end, bytes);
    tensor.data = data + begin;
    tensor.bytes = (size_t)(end - begin);
    *extent = (struct extent){(uint64_t)begin, (uint64_t)end};
    return format_store_add(weights, name, strlen(name), &tensor, true, fault);
}

static int compare_extents(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static enum auricle_error check_cover(struct extent *extents, size_t n, uint64_t bytes,
                                      struct au_fault *fault)
{
    uint64_t at = 0;
    qsort(extents, n, sizeof *extents, compare_extents);
    for (size_t i = 0; i < n; i++) {
        if (extents[i].begin != at)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "two tensors %s at byte %llu of the data: the header is damaged",
                           extents[i].begin < at ? "overlap" : "leave a gap",
                           (unsigned long long)at);
        at = extents[i].end;
    }
    if (at != bytes)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the tensors end at byte %llu of the data but the file has %llu: it is "
                       "damaged, or two files were joined",
                       (unsigned long long)at, (unsigned long long)bytes);
    return AURICLE_OK;
}

static enum auricle_error parse_header(struct format_weights *weights, const struct au_json *header,
                                       const uint8_t *data, size_t bytes, struct au_fault *fault)
{
    size_t n = au_json_size(header), n_extents = 0;
    if (au_json_type(header) != AU_JSON_OBJECT)
        return au_fail(fault, AURICLE_E_FORMAT, "the safetensors header is not a JSON object");
    if (n > FORMAT_MAX_TENSORS)
        return au_fail(fault, AURICLE_E_LIMIT, "the header names %zu tensors, at most %d are read",
                       n, FORMAT_MAX_TENSORS);
    struct extent *extents = au_alloc_array(n, sizeof *extents);
    if (!extents)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the list of tensors");
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; i < n && !error; i++) {
        const char *name;
        const struct au_json *entry = au_json_member(header, i, &name);
        if (au_str_equal(name, "__metadata__"))
            continue;
        error = parse_tensor(weights, name, entry, data, bytes, &extents[n_extents++], fault);
    }
    if (!error)
        error = check_cover(extents, n_extents, bytes, fault);
    au_free(extents);
    return error;
}

/* A tensor has some 14 values, but 100 MB have room for fifty million, which as a tree would take
 * gigabytes: so they are counted, strings left out, before the tree is made.                     */
static bool too_many_values(const uint8_t *header, size_t bytes)
{
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        if (in_string && header[i] == '\\')
            i++;
        else if (header[i] == '"')
            in_string = !in_string;
        else if (!in_string && (header[i] == ',' || header[i] == ':'))
            n++;
    }
    return n > MAX_HEADER_VALUES;
}

enum auricle_error format_parse_safetensors(struct format_weights *weights, const uint8_t *data,
                                            size_t bytes, struct au_fault *fault)
{
    if (bytes < 8)
        return au_fail(fault, AURICLE_E_FORMAT, "%zu bytes are too few for a safetensors file",
                       bytes);
    uint64_t header_bytes = format_le64(data);
    if (header_bytes > MAX_HEADER_BYTES)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "the safetensors header claims %llu bytes, at most %u are read: the file is "
                       "damaged",
                       (unsigned long long)header_bytes, MAX_HEADER_BYTES);
    if (header_bytes > bytes - 8)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the safetensors header claims %llu bytes but only %zu follow: the file is "
                       "cut short",
                       (unsigned long long)header_bytes, bytes - 8);
    if (too_many_values(data + 8, (size_t)header_bytes))
        return au_fail(fault, AURICLE_E_LIMIT,
                       "the safetensors header has more than %d values: no model has so many",
                       MAX_HEADER_VALUES);
    const uint8_t *tensors = data + 8 + header_bytes;
    struct au_json *header = NULL;
    enum auricle_error error = au_json_parse((const char *)data + 8, (size_t)header_bytes,
                                             "the safetensors header", &header, fault);
    if (!error)
        error = parse_header(weights, header, tensors, bytes - 8 - (size_t)header_bytes, fault);
    au_json_free(header);
    return error;
}
