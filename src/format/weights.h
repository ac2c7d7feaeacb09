/* Named tensors from any of the supported files, behind one interface.
 *
 * A `format_weights` is a set of tensors (name, type, shape, bytes), mapped from safetensors (one
 * file or a sharded folder), a whisper.cpp .bin, an OpenAI .pt or a CTranslate2 model.bin. Names
 * are kept as the file has them; src/model binds them by its own name tables. Nothing is converted
 * until format_read_f32 asks for it. Every length is checked against the file before use, so a
 * damaged or hostile file is refused with a sentence.
 * Owner: the loader that opened it; read-only use from several threads is fine.                  */
#ifndef FORMAT_WEIGHTS_H
#define FORMAT_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FORMAT_MAX_DIMS 8

enum format_type {
    FORMAT_F32,
    FORMAT_F16,
    FORMAT_BF16,
    FORMAT_I8,
    FORMAT_I16,
    FORMAT_I32,
    FORMAT_I64,
    FORMAT_U8,
    FORMAT_F64,
    FORMAT_BOOL,
    FORMAT_Q4_0,
    FORMAT_Q4_1,
    FORMAT_Q5_0,
    FORMAT_Q5_1,
    FORMAT_Q8_0
};

struct format_tensor {
    const char *name;
    enum format_type type;
    int n_dims;
    size_t shape[FORMAT_MAX_DIMS]; /* outermost first, as PyTorch prints it */
    size_t n_elements;
    const uint8_t *data; /* contiguous, in the file's map; maybe unaligned */
    size_t bytes;
    const float *row_scale; /* CTranslate2 int8: [shape[0]], value / scale; else NULL */
};

enum format_kind { FORMAT_SAFETENSORS, FORMAT_GGML, FORMAT_PYTORCH, FORMAT_CTRANSLATE2 };

struct format_weights; /* opaque */

/* Open `path`: a .safetensors file, a folder holding model.safetensors,
 * model.safetensors.index.json or model.bin (CTranslate2), a ggml .bin or a .pt/.pth; decided by
 * content, not by the name.
 * Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED (named: GGUF, ONNX, pickle that builds other objects),
 * LIMIT, NOMEM.                                                                                  */
AURICLE_MUST_CHECK enum auricle_error format_weights_open(const char *path,
                                                          struct format_weights **out,
                                                          struct au_fault *fault);
/* The same over bytes in memory, which must outlive the result; `name` stands for the path. */
AURICLE_MUST_CHECK enum auricle_error format_weights_open_bytes(const char *name,
                                                                const uint8_t *data, size_t bytes,
                                                                struct format_weights **out,
                                                                struct au_fault *fault);
/* Let go of what was read of the files so far: a loader that is done with a tensor need not hold
 * its pages. Every tensor stays readable.                                                        */
void format_weights_forget(const struct format_weights *weights);
void format_weights_close(struct format_weights *weights);

enum format_kind format_weights_kind(const struct format_weights *weights);
const char *format_kind_name(enum format_kind kind);
const char *format_weights_path(const struct format_weights *weights);
size_t format_weights_count(const struct format_weights *weights);
const struct format_tensor *format_weights_at(const struct format_weights *weights, size_t i);
const struct format_tensor *format_weights_find(const struct format_weights *weights,
                                                const char *name);
/* Total bytes of tensor data. */
uint64_t format_weights_bytes(const struct format_weights *weights);

/* Convert all elements to f32 (dequantising where needed): out [n_elements]. */
void format_read_f32(const struct format_tensor *tensor, float *out);
/* Elements [first, first + count); for quantised types both are multiples of 32 or end at the
 * end. */
void format_read_f32_range(const struct format_tensor *tensor, size_t first, size_t count,
                           float *out);
const char *format_type_name(enum format_type type);
/* "[384, 80, 3]" into out, cut when too long. Returns out. */
char *format_shape_text(const struct format_tensor *tensor, char *out, size_t out_bytes);

/* What only some files carry beside tensors; absent parts are NULL or 0. Borrowed from weights. */
struct format_ggml_header {
    int32_t n_vocab, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer, n_text_ctx,
        n_text_state, n_text_head, n_text_layer, n_mels, ftype;
};
struct format_whisper_extra {
    const struct format_ggml_header *ggml; /* ggml and .pt (its "dims") files; ftype -1 for .pt */
    const float *mel_filters;              /* ggml: [n_mels, n_fft_bins] */
    int n_mel_bins, n_fft_bins;
    size_t n_vocab_entries; /* ggml: token byte strings in id order */
    const char *const *vocab_bytes;
    const uint32_t *vocab_lengths;
};
const struct format_whisper_extra *format_weights_whisper(const struct format_weights *weights);

#endif
