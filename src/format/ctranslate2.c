/* CTranslate2's model.bin, as faster-whisper's folders have it.
 *
 * Layout (OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py), little-endian:
 *   u32 version, text spec name, u32 spec revision
 *   u32 n variables: text name, u8 rank, u32 sizes, u8 type, u32 bytes, data
 *   u32 n aliases: text alias, text name of a variable
 * where a text is a u16 length that counts the zero byte at its end. Versions 4, 5 and 6 share
 * this layout (they differ in how activations are rounded); no Whisper model is older. int8 and
 * int16 weights w have a variable w_scale: one number per row, or one for all. It is handed out
 * as row_scale of the weight.                                                                    */
#include <math.h>

#include "base/mem.h"
#include "format/bytes.h"
#include "format/store.h"

#define FIRST_VERSION  4
#define LAST_VERSION   6
#define SPEC_NAME      "WhisperSpec"
#define SCALE_SUFFIX   "_scale"
#define MAX_SCALE_NAME (FORMAT_MAX_NAME_BYTES + sizeof SCALE_SUFFIX)

static enum auricle_error cut_short(struct au_fault *fault, const char *part)
{
    return au_fail(fault, AURICLE_E_FORMAT, "the file ends inside its %s: it is cut short", part);
}

/* A counted text; *bytes leaves the zero byte at its end out. */
static bool take_text(struct format_cursor *cursor, const char **text, size_t *bytes)
{
    uint16_t n;
    const uint8_t *p;
    if (!format_take_u16(cursor, &n) || n < 1 || !format_take(cursor, n, &p) || p[n - 1] != 0)
        return false;
    *text = (const char *)p;
    *bytes = n - 1u;
    return true;
}

static enum auricle_error parse_header(struct format_cursor *cursor, struct au_fault *fault)
{
    uint32_t version, revision;
    const char *spec;
    size_t spec_bytes;
    if (!format_take_u32(cursor, &version) || !take_text(cursor, &spec, &spec_bytes) ||
        !format_take_u32(cursor, &revision))
        return cut_short(fault, "header");
    if (version < FIRST_VERSION || version > LAST_VERSION)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "is a CTranslate2 model of binary version %u, versions %d to %d are read: "
                       "convert the model with CTranslate2 4",
                       version, FIRST_VERSION, LAST_VERSION);
    if (spec_bytes != strlen(SPEC_NAME) || memcmp(spec, SPEC_NAME, spec_bytes) != 0)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "is a CTranslate2 model of kind '%.*s', expected " SPEC_NAME,
                       (int)(spec_bytes < 64 ? spec_bytes : 64), spec);
    return AURICLE_OK;
}

static enum auricle_error parse_variable(struct format_weights *weights,
                                         struct format_cursor *cursor, struct au_fault *fault)
{
    static const enum format_type types[] = {FORMAT_F32, FORMAT_I8,  FORMAT_I16,
                                             FORMAT_I32, FORMAT_F16, FORMAT_BF16};
    struct format_tensor tensor = {0};
    const char *name;
    size_t name_bytes;
    uint8_t rank, type;
    uint32_t bytes;
    if (!take_text(cursor, &name, &name_bytes) || !format_take_u8(cursor, &rank))
        return cut_short(fault, "variables");
    if (rank > FORMAT_MAX_DIMS)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "variable %zu has %u dimensions, 0 to %d are accepted: the file is damaged",
                       weights->n_tensors, rank, FORMAT_MAX_DIMS);
    for (tensor.n_dims = 0; tensor.n_dims < rank; tensor.n_dims++) {
        uint32_t size;
        if (!format_take_u32(cursor, &size))
            return cut_short(fault, "variables");
        tensor.shape[tensor.n_dims] = size;
    }
    if (!format_take_u8(cursor, &type) || !format_take_u32(cursor, &bytes))
        return cut_short(fault, "variables");
    if (type >= sizeof types / sizeof *types)
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "variable %zu has type %u; float32, int8, int16, int32, float16 and bfloat16 "
            "(0 to 5) are read",
            weights->n_tensors, type);
    if (!format_take(cursor, bytes, &tensor.data))
        return cut_short(fault, "variables");
    tensor.type = types[type];
    tensor.bytes = bytes;
    return format_store_add(weights, name, name_bytes, &tensor, true, fault);
}

/* ---- Scales ---------------------------------------------------------------------------------- */

static struct format_tensor *find_scale(struct format_weights *weights, const char *name)
{
    char scale_name[MAX_SCALE_NAME];
    size_t n = strlen(name);
    memcpy(scale_name, name, n);
    memcpy(scale_name + n, SCALE_SUFFIX, sizeof SCALE_SUFFIX);
    return format_store_find(weights, scale_name);
}

static enum auricle_error add_scale(struct format_weights *weights, struct format_tensor *tensor,
                                    struct au_fault *fault)
{
    const struct format_tensor *scale = find_scale(weights, tensor->name);
    size_t rows = tensor->shape[0], bytes;
    bool is_real = scale && (scale->type == FORMAT_F32 || scale->type == FORMAT_F16 ||
                             scale->type == FORMAT_BF16);
    if (!is_real || (scale->n_elements != rows && scale->n_elements != 1))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "variable '%s' is %s but has no scale for each of its %zu rows: the file is "
                       "damaged",
                       tensor->name, format_type_name(tensor->type), rows);
    /* A single scale is spread out, and rows without elements must not buy memory with it. */
    if (rows == 0 || tensor->n_elements < rows || !au_mul_size(rows, sizeof(float), &bytes))
        return au_fail(fault, AURICLE_E_FORMAT, "variable '%s' has rows without elements",
                       tensor->name);
    float *values = format_store_block(weights, bytes);
    if (!values)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the scales of '%s'",
                       tensor->name);
    format_read_f32(scale, values);
    for (size_t i = 0; i < rows; i++) {
        if (scale->n_elements == 1)
            values[i] = values[0];
        if (!isfinite(values[i]) || values[i] == 0.0f)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "row %zu of variable '%s' has the scale %g: the file is damaged", i,
                           tensor->name, (double)values[i]);
    }
    tensor->row_scale = values;
    return AURICLE_OK;
}

/* Integers of rank 0 are settings (num_heads), of rank 1 ids: both stay as they are. */
static enum auricle_error add_scales(struct format_weights *weights, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; i < weights->n_tensors && !error; i++) {
        struct format_tensor *tensor = &weights->tensors[i];
        if ((tensor->type == FORMAT_I8 || tensor->type == FORMAT_I16) && tensor->n_dims >= 2)
            error = add_scale(weights, tensor, fault);
    }
    return error;
}

/* ---- Aliases --------------------------------------------------------------------------------- */

static enum auricle_error parse_alias(struct format_weights *weights, struct format_cursor *cursor,
                                      struct au_fault *fault)
{
    const char *alias, *name;
    size_t alias_bytes, name_bytes;
    if (!take_text(cursor, &alias, &alias_bytes) || !take_text(cursor, &name, &name_bytes))
        return cut_short(fault, "aliases");
    const struct format_tensor *target = format_store_find(weights, name);
    if (!target)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the alias '%s' stands for '%s', which is not there: the file is damaged",
                       alias, name);
    return format_store_alias(weights, alias, alias_bytes, target, fault);
}

/* n of something, each at least `least` bytes long. */
static bool take_count(struct format_cursor *cursor, size_t least, uint32_t *n)
{
    return format_take_u32(cursor, n) && *n <= format_left(cursor) / least;
}

enum auricle_error format_parse_ctranslate2(struct format_weights *weights, const uint8_t *data,
                                            size_t bytes, struct au_fault *fault)
{
    struct format_cursor cursor = {data, bytes, 0};
    uint32_t n;
    enum auricle_error error = parse_header(&cursor, fault);
    if (error)
        return error;
    if (!take_count(&cursor, 2 + 1 + 1 + 4, &n))
        return cut_short(fault, "variables");
    for (uint32_t i = 0; i < n && !error; i++)
        error = parse_variable(weights, &cursor, fault);
    if (!error)
        error = add_scales(weights, fault);
    if (error)
        return error;
    if (!take_count(&cursor, 2 + 2, &n))
        return cut_short(fault, "aliases");
    for (uint32_t i = 0; i < n && !error; i++)
        error = parse_alias(weights, &cursor, fault);
    if (error)
        return error;
    if (format_left(&cursor) > 0)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "%zu bytes follow the end of the model: the file is damaged",
                       format_left(&cursor));
    return AURICLE_OK;
}
