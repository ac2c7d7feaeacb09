/* Element types: their names and sizes, and their conversion to f32.
 *
 * The loops are plain and free of branches so that the compiler turns them into vector code: a
 * large model has 1.5 thousand million elements, and a call per element (kern_f16_to_f32) would
 * take seconds where this takes as long as reading the memory. Sources are unaligned, hence memcpy.
 * Block formats: ggml's definitions of Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0, 32 elements per block,
 * each product and sum rounded once in f32 as ggml does.
 * Thread: any. Nothing is allocated and nothing here fails: sizes were checked when the file was
 * opened.                                                                                        */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "format/bytes.h"
#include "format/store.h"
#include "kern/kern.h"

#define QUANT_BLOCK 32

struct type_info {
    const char *name;
    uint8_t block_elements;
    uint8_t block_bytes;
};

static const struct type_info type_table[] = {
    [FORMAT_F32] = {"f32", 1, 4},
    [FORMAT_F16] = {"f16", 1, 2},
    [FORMAT_BF16] = {"bf16", 1, 2},
    [FORMAT_I8] = {"i8", 1, 1},
    [FORMAT_I16] = {"i16", 1, 2},
    [FORMAT_I32] = {"i32", 1, 4},
    [FORMAT_I64] = {"i64", 1, 8},
    [FORMAT_U8] = {"u8", 1, 1},
    [FORMAT_F64] = {"f64", 1, 8},
    [FORMAT_BOOL] = {"bool", 1, 1},
    [FORMAT_Q4_0] = {"q4_0", QUANT_BLOCK, 18},
    [FORMAT_Q4_1] = {"q4_1", QUANT_BLOCK, 20},
    [FORMAT_Q5_0] = {"q5_0", QUANT_BLOCK, 22},
    [FORMAT_Q5_1] = {"q5_1", QUANT_BLOCK, 24},
    [FORMAT_Q8_0] = {"q8_0", QUANT_BLOCK, 34},
};

const char *format_type_name(enum format_type type)
{
    return type_table[type].name;
}

size_t format_type_block_elements(enum format_type type)
{
    return type_table[type].block_elements;
}

size_t format_type_block_bytes(enum format_type type)
{
    return type_table[type].block_bytes;
}

char *format_shape_text(const struct format_tensor *tensor, char *out, size_t out_bytes)
{
    size_t at = 0;
    for (int i = 0; i < tensor->n_dims && at < out_bytes; i++) {
        int n = snprintf(out + at, out_bytes - at, "%s%zu", i ? ", " : "[", tensor->shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    if (at < out_bytes)
        snprintf(out + at, out_bytes - at, "%s", tensor->n_dims ? "]" : "[]");
    return out;
}

/* ---- Plain types ----------------------------------------------------------------------------- */

/* The value of a binary16, as kern_f16_to_f32 gives it, in a form that vectorises: the exponent
 * is moved and re-biased, infinities and NaN get the largest one, and subnormals are normalised
 * by an exact subtraction. Choices are masks: gcc would turn a ?: around the subtraction into a
 * branch. */
static inline float half_to_float(uint32_t half)
{
    const uint32_t exponent_mask = 0x7c00u << 13;
    uint32_t shifted = (half & 0x7fffu) << 13;
    uint32_t exponent = shifted & exponent_mask;
    uint32_t is_special = 0u - (uint32_t)(exponent == exponent_mask);
    uint32_t is_small = 0u - (uint32_t)(exponent == 0);
    uint32_t bits = shifted + ((127u - 15u) << 23) + (is_special & (128u - 16u) << 23);
    union {
        uint32_t u;
        float f;
    } small = {.u = shifted + (113u << 23)}, value;
    small.f -= 0x1p-14f;
    value.u = (small.u & is_small) | (bits & ~is_small) | (half & 0x8000u) << 16;
    return value.f;
}

static float half_at(const uint8_t *p)
{
    return half_to_float(format_le16(p));
}

static void read_f16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, p + 2 * i, 2);
        out[i] = half_to_float(half);
    }
}

static void read_bf16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, p + 2 * i, 2);
        out[i] = kern_bf16_to_f32(bits);
    }
}

static void read_f64(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, p + 8 * i, 8);
        out[i] = (float)value;
    }
}

static void read_i8(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(int8_t)p[i];
}

static void read_u8(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)p[i];
}

static void read_bool(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] ? 1.0f : 0.0f;
}

static void read_i16(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        int16_t value;
        memcpy(&value, p + 2 * i, 2);
        out[i] = (float)value;
    }
}

static void read_i32(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        int32_t value;
        memcpy(&value, p + 4 * i, 4);
        out[i] = (float)value;
    }
}

static void read_i64(const uint8_t *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        memcpy(&value, p + 8 * i, 8);
        out[i] = (float)value;
    }
}

/* ---- Blocks of 32 ---------------------------------------------------------------------------- */

/* Nibble j holds element j in its low and element j + 16 in its high half. */
static void block_q4(const uint8_t *nibbles, float scale, int offset, float minimum, float *out)
{
    for (int j = 0; j < 16; j++) {
        out[j] = (float)((nibbles[j] & 15) - offset) * scale + minimum;
        out[j + 16] = (float)((nibbles[j] >> 4) - offset) * scale + minimum;
    }
}

/* The fifth bit of element j is bit j of `high`. */
static void block_q5(const uint8_t *nibbles, uint32_t high, float scale, int offset, float minimum,
                     float *out)
{
    for (int j = 0; j < 16; j++) {
        int low = (nibbles[j] & 15) | (int)(high >> j & 1) << 4;
        int top = (nibbles[j] >> 4) | (int)(high >> (j + 16) & 1) << 4;
        out[j] = (float)(low - offset) * scale + minimum;
        out[j + 16] = (float)(top - offset) * scale + minimum;
    }
}

static void read_block(enum format_type type, const uint8_t *p, float *out)
{
    float scale = half_at(p);
    switch (type) {
    case FORMAT_Q4_0: block_q4(p + 2, scale, 8, 0.0f, out); break;
    case FORMAT_Q4_1: block_q4(p + 4, scale, 0, half_at(p + 2), out); break;
    case FORMAT_Q5_0: block_q5(p + 6, format_le32(p + 2), scale, 16, 0.0f, out); break;
    case FORMAT_Q5_1: block_q5(p + 8, format_le32(p + 4), scale, 0, half_at(p + 2), out); break;
    default: /* FORMAT_Q8_0 */
        for (int j = 0; j < QUANT_BLOCK; j++)
            out[j] = (float)(int8_t)p[2 + j] * scale;
        break;
    }
}

/* `count` may end inside the last block of the range only when the tensor ends there; rows are
 * whole blocks, so that does not happen, and a caller's odd count is still kept in bounds.       */
static void read_blocks(enum format_type type, const uint8_t *p, size_t count, float *out)
{
    size_t block_bytes = type_table[type].block_bytes;
    for (; count >= QUANT_BLOCK; count -= QUANT_BLOCK, p += block_bytes, out += QUANT_BLOCK)
        read_block(type, p, out);
    if (count > 0) {
        float last[QUANT_BLOCK];
        read_block(type, p, last);
        memcpy(out, last, count * sizeof *out);
    }
}

/* ---- Any type -------------------------------------------------------------------------------- */

/* value / scale of the element's row; rows are the outermost axis. */
static void apply_row_scale(const struct format_tensor *tensor, size_t first, size_t count,
                            float *out)
{
    size_t row_elements = tensor->n_elements / tensor->shape[0];
    for (size_t i = 0; i < count;) {
        size_t row = (first + i) / row_elements;
        size_t end = (row + 1) * row_elements - first;
        float scale = tensor->row_scale[row];
        for (end = end < count ? end : count; i < end; i++)
            out[i] /= scale;
    }
}

void format_read_f32_range(const struct format_tensor *tensor, size_t first, size_t count,
                           float *out)
{
    const struct type_info *info = &type_table[tensor->type];
    assert(first <= tensor->n_elements && count <= tensor->n_elements - first);
    assert(first % info->block_elements == 0);
    const uint8_t *p = tensor->data + first / info->block_elements * info->block_bytes;
    if (count == 0)
        return;
    switch (tensor->type) {
    case FORMAT_F32: memcpy(out, p, count * sizeof *out); break;
    case FORMAT_F16: read_f16(p, count, out); break;
    case FORMAT_BF16: read_bf16(p, count, out); break;
    case FORMAT_F64: read_f64(p, count, out); break;
    case FORMAT_I8: read_i8(p, count, out); break;
    case FORMAT_U8: read_u8(p, count, out); break;
    case FORMAT_I16: read_i16(p, count, out); break;
    case FORMAT_I32: read_i32(p, count, out); break;
    case FORMAT_I64: read_i64(p, count, out); break;
    case FORMAT_BOOL: read_bool(p, count, out); break;
    default: read_blocks(tensor->type, p, count, out); break;
    }
    if (tensor->row_scale)
        apply_row_scale(tensor, first, count, out);
}

void format_read_f32(const struct format_tensor *tensor, float *out)
{
    format_read_f32_range(tensor, 0, tensor->n_elements, out);
}
