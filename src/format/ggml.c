/* whisper.cpp's own .bin: header, mel filters, vocabulary, tensors one after another to the end.
 *
 * Layout (ggml-org/whisper.cpp, whisper_model_load), all integers 32 bits:
 *   magic, 11 numbers (struct format_ggml_header)
 *   n_mel, n_fft, n_mel * n_fft floats
 *   n tokens, each a length and its bytes
 *   tensors: n_dims, name bytes, type, n_dims sizes (innermost first), name, data
 * The file type is quantisation version * 1000 + type. Nothing is aligned. Dimensions are turned
 * round, so that `shape` reads as in the other formats.
 * Every count is checked against what is left of the file before anything is read or reserved.   */
#include "base/mem.h"
#include "format/bytes.h"
#include "format/store.h"

#define MAX_DIMENSION   (1 << 20)
#define MAX_TENSOR_DIMS 4
#define MAX_MELS        1024
#define MAX_FFT_BINS    8192
#define MAX_VOCABULARY  (1 << 20)
#define MAX_TOKEN_BYTES 4096
#define QUANT_VERSION   2 /* blocks with f16 scales, since May 2023 */
#define QUANT_FACTOR    1000
#define VAD_MODEL_NAME  "silero"

static enum auricle_error cut_short(struct au_fault *fault, const char *part)
{
    return au_fail(fault, AURICLE_E_FORMAT, "the file ends inside its %s: it is cut short", part);
}

/* ---- Header ---------------------------------------------------------------------------------- */

/* whisper.cpp's voice detectors share the magic and then name themselves. */
static bool is_vad_model(const struct format_cursor *cursor)
{
    const uint8_t *p = cursor->data + cursor->at;
    return format_left(cursor) >= 4 + sizeof VAD_MODEL_NAME &&
           memcmp(p + 4, VAD_MODEL_NAME, sizeof VAD_MODEL_NAME - 1) == 0;
}

static enum auricle_error parse_header(struct format_weights *weights, struct format_cursor *cursor,
                                       struct au_fault *fault)
{
    static const char *const names[] = {"n_vocab",      "n_audio_ctx",   "n_audio_state",
                                        "n_audio_head", "n_audio_layer", "n_text_ctx",
                                        "n_text_state", "n_text_head",   "n_text_layer",
                                        "n_mels",       "ftype"};
    struct format_ggml_header *h = &weights->header;
    int32_t *const fields[] = {&h->n_vocab,      &h->n_audio_ctx,   &h->n_audio_state,
                               &h->n_audio_head, &h->n_audio_layer, &h->n_text_ctx,
                               &h->n_text_state, &h->n_text_head,   &h->n_text_layer,
                               &h->n_mels,       &h->ftype};
    const size_t n = sizeof fields / sizeof *fields;
    if (is_vad_model(cursor))
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "is a Silero voice detector in whisper.cpp's form: load its safetensors file");
    for (size_t i = 0; i < n; i++) {
        uint32_t value;
        if (!format_take_u32(cursor, &value))
            return cut_short(fault, "header");
        bool is_type = i == n - 1;
        if (value > INT32_MAX || (!is_type && (value < 1 || value > MAX_DIMENSION)))
            return au_fail(fault, AURICLE_E_FORMAT,
                           "the header says %s = %d, which no Whisper model has: the file is "
                           "damaged or of another model",
                           names[i], (int32_t)value);
        *fields[i] = (int32_t)value;
    }
    weights->extra.ggml = h;
    return AURICLE_OK;
}

static enum auricle_error parse_filters(struct format_weights *weights,
                                        struct format_cursor *cursor, struct au_fault *fault)
{
    uint32_t n_mels, n_bins;
    const uint8_t *data;
    if (!format_take_u32(cursor, &n_mels) || !format_take_u32(cursor, &n_bins))
        return cut_short(fault, "mel filters");
    if (n_mels != (uint32_t)weights->header.n_mels || n_mels > MAX_MELS || n_bins < 1 ||
        n_bins > MAX_FFT_BINS)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the mel filters are [%u, %u] but the header says %d mels: the file is "
                       "damaged",
                       n_mels, n_bins, weights->header.n_mels);
    size_t bytes = (size_t)n_mels * n_bins * sizeof(float);
    if (!format_take(cursor, bytes, &data))
        return cut_short(fault, "mel filters");
    float *filters = format_store_block(weights, bytes);
    if (!filters)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the mel filters");
    memcpy(filters, data, bytes); /* they lie unaligned in the file */
    weights->extra.mel_filters = filters;
    weights->extra.n_mel_bins = (int)n_mels;
    weights->extra.n_fft_bins = (int)n_bins;
    return AURICLE_OK;
}

static enum auricle_error parse_vocabulary(struct format_weights *weights,
                                           struct format_cursor *cursor, struct au_fault *fault)
{
    uint32_t n;
    if (!format_take_u32(cursor, &n))
        return cut_short(fault, "vocabulary");
    if (n > MAX_VOCABULARY || n > (uint32_t)weights->header.n_vocab)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the vocabulary has %u tokens but the header says %d: the file is damaged",
                       n, weights->header.n_vocab);
    if (n > format_left(cursor) / 4)
        return cut_short(fault, "vocabulary");
    const char **tokens = format_store_block(weights, n * sizeof *tokens);
    uint32_t *lengths = format_store_block(weights, n * sizeof *lengths);
    if (!tokens || !lengths)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the vocabulary");
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *bytes;
        if (!format_take_u32(cursor, &lengths[i]))
            return cut_short(fault, "vocabulary");
        if (lengths[i] > MAX_TOKEN_BYTES)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "token %u claims %u bytes, at most %d are read: the file is damaged", i,
                           lengths[i], MAX_TOKEN_BYTES);
        if (!format_take(cursor, lengths[i], &bytes))
            return cut_short(fault, "vocabulary");
        tokens[i] = (const char *)bytes;
    }
    weights->extra.n_vocab_entries = n;
    weights->extra.vocab_bytes = tokens;
    weights->extra.vocab_lengths = lengths;
    return AURICLE_OK;
}

/* ---- Tensors --------------------------------------------------------------------------------- */

static const char *unread_type_name(uint32_t type)
{
    static const char *const names[] = {
        [4] = "q4_2",  [5] = "q4_3",  [9] = "q8_1",  [10] = "q2_k", [11] = "q3_k",
        [12] = "q4_k", [13] = "q5_k", [14] = "q6_k", [15] = "q8_k"};
    const char *name = type < sizeof names / sizeof *names ? names[type] : NULL;
    return name ? name : "unknown";
}

static enum auricle_error parse_type(const struct format_weights *weights, uint32_t id,
                                     enum format_type *out, struct au_fault *fault)
{
    switch (id) {
    case 0: *out = FORMAT_F32; return AURICLE_OK;
    case 1: *out = FORMAT_F16; return AURICLE_OK;
    case 2: *out = FORMAT_Q4_0; break;
    case 3: *out = FORMAT_Q4_1; break;
    case 6: *out = FORMAT_Q5_0; break;
    case 7: *out = FORMAT_Q5_1; break;
    case 8: *out = FORMAT_Q8_0; break;
    default:
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "tensor %zu has type %s (%u); f32, f16, q4_0, q4_1, q5_0, q5_1 and q8_0 are "
                       "read: quantise the model to one of these",
                       weights->n_tensors, unread_type_name(id), id);
    }
    /* Files without a version number come from converters that never wrote one. */
    int version = weights->header.ftype / QUANT_FACTOR;
    if (version != QUANT_VERSION && version != 0)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "the file has quantisation version %d, version %d is read: quantise the "
                       "model again with a current whisper.cpp",
                       version, QUANT_VERSION);
    return AURICLE_OK;
}

/* The sizes stand innermost first; four is what whisper.cpp itself can hold. A count that is not
 * checked here overran a fixed array there (whisper.cpp#3787).                                   */
static enum auricle_error parse_dims(struct format_cursor *cursor, size_t position, uint32_t n_dims,
                                     struct format_tensor *tensor, struct au_fault *fault)
{
    if (n_dims > MAX_TENSOR_DIMS)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor %zu has %d dimensions, 0 to %d are accepted: the file is damaged",
                       position, (int32_t)n_dims, MAX_TENSOR_DIMS);
    tensor->n_dims = (int)n_dims;
    for (uint32_t i = 0; i < n_dims; i++) {
        uint32_t size;
        if (!format_take_u32(cursor, &size))
            return cut_short(fault, "tensors");
        if (size < 1 || size > INT32_MAX)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "tensor %zu has a dimension of %d: the file is damaged", position,
                           (int32_t)size);
        tensor->shape[n_dims - 1 - i] = size;
    }
    return AURICLE_OK;
}

static enum auricle_error parse_tensor(struct format_weights *weights, struct format_cursor *cursor,
                                       struct au_fault *fault)
{
    uint32_t n_dims, name_bytes, type;
    const uint8_t *name, *data;
    struct format_tensor tensor = {0};
    if (!format_take_u32(cursor, &n_dims) || !format_take_u32(cursor, &name_bytes) ||
        !format_take_u32(cursor, &type))
        return cut_short(fault, "tensors");
    enum auricle_error error = parse_dims(cursor, weights->n_tensors, n_dims, &tensor, fault);
    if (!error)
        error = parse_type(weights, type, &tensor.type, fault);
    if (error)
        return error;
    if (!format_take(cursor, name_bytes, &name))
        return cut_short(fault, "tensors");
    tensor.data = cursor->data + cursor->at;
    tensor.bytes = format_left(cursor);
    error = format_store_add(weights, (const char *)name, name_bytes, &tensor, false, fault);
    if (error)
        return error;
    size_t taken = weights->tensors[weights->n_tensors - 1].bytes;
    return format_take(cursor, taken, &data) ? AURICLE_OK : cut_short(fault, "tensors");
}

enum auricle_error format_parse_ggml(struct format_weights *weights, const uint8_t *data,
                                     size_t bytes, struct au_fault *fault)
{
    struct format_cursor cursor = {data, bytes, 0};
    uint32_t magic;
    if (!format_take_u32(&cursor, &magic))
        return cut_short(fault, "header");
    enum auricle_error error = parse_header(weights, &cursor, fault);
    if (!error)
        error = parse_filters(weights, &cursor, fault);
    if (!error)
        error = parse_vocabulary(weights, &cursor, fault);
    while (!error && format_left(&cursor) > 0)
        error = parse_tensor(weights, &cursor, fault);
    if (!error && weights->n_tensors == 0)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "has a header but no weights: it is one of whisper.cpp's test files, or cut "
                       "short");
    return error;
}
