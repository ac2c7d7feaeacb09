/* Whisper: weights and the two functions that run them.
 *
 * Plain functions over (model, state, workspace): the model is immutable and shared by every
 * stream; the state of a window (cross-attention keys and values) and of a hypothesis (self-
 * attention cells) belongs to the caller; batch is the first axis everywhere and a row's result
 * never depends on the other rows.
 * Source: Radford et al. 2022; openai/whisper model.py.                                         */
#ifndef MODEL_WHISPER_H
#define MODEL_WHISPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "format/weights.h"
#include "kern/kern.h"
#include "tensor/workspace.h"

struct whisper_dims {
    int n_mels, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer;
    int n_vocab, n_text_ctx, n_text_state, n_text_head, n_text_layer;
};

struct whisper_model; /* opaque, immutable after loading */

/* Read dimensions from the file's own header or from a Hugging Face / CTranslate2 config.json
 * beside it, bind every tensor by name, check every shape, pack for `ops` and `type`. The
 * weights may be closed afterwards. Errors: SHAPE, NOT_FOUND (a tensor; named), FORMAT,
 * UNSUPPORTED (another model family; named), NOMEM.                                              */
AURICLE_MUST_CHECK enum auricle_error whisper_model_create(
    const struct format_weights *weights, const struct kern_ops *ops, enum kern_type type,
    struct au_pool *pool, struct whisper_model **out, struct au_fault *fault);
/* The same through a cache: the packed matrices are kept in `folder` (made when missing) and mapped
 * from there the next time, for these weights and these kernels. A cache that is damaged is made
 * anew, a folder that cannot be written is done without; neither is an error. folder NULL: none. */
AURICLE_MUST_CHECK enum auricle_error whisper_model_create_cached(
    const struct format_weights *weights, const struct kern_ops *ops, enum kern_type type,
    struct au_pool *pool, const char *folder, struct whisper_model **out, struct au_fault *fault);
bool whisper_model_cached(const struct whisper_model *model); /* was it mapped from the cache? */
bool whisper_model_kept(const struct whisper_model *model);   /* does it lie in the cache now? */
/* Random weights of a true shape (benchmarks). Seeded; the same everywhere. */
AURICLE_MUST_CHECK enum auricle_error whisper_model_random(
    const struct whisper_dims *dims, uint64_t seed, const struct kern_ops *ops, enum kern_type type,
    struct au_pool *pool, struct whisper_model **out);
/* Dimensions of a named size: "tiny" ... "large-v3", "turbo", with ".en" variants; false when
 * unknown. */
bool whisper_dims_named(const char *name, struct whisper_dims *out);
/* Dimensions of a file or folder, from its headers, side files and tensors; loads nothing. Errors:
 * UNSUPPORTED (not a Whisper model), SHAPE (out of range), FORMAT, NOMEM.                        */
AURICLE_MUST_CHECK enum auricle_error whisper_dims_read(const struct format_weights *weights,
                                                        struct whisper_dims *out,
                                                        struct au_fault *fault);
void whisper_model_destroy(struct whisper_model *model);
const struct whisper_dims *whisper_model_dims(const struct whisper_model *model);
uint64_t whisper_model_bytes(const struct whisper_model *model);
enum kern_type whisper_model_type(const struct whisper_model *model);

/* ---- Windows: what the encoder leaves for the decoder ---------------------------------------- */

/* Cross-attention keys and values of one window for all decoder layers, and the encoder output on
 * request. Opaque size: whisper_window_bytes at admission.                                      */
struct whisper_window;
AURICLE_MUST_CHECK enum auricle_error whisper_window_create(const struct whisper_model *model,
                                                            struct whisper_window **out);
void whisper_window_destroy(struct whisper_window *window);
size_t whisper_window_bytes(const struct whisper_model *model);

/* Encode B windows of log-mel.
 *   mels     [B] pointers to [2 * n_audio_ctx, n_mels] f32, time major, normalised; borrowed
 *   windows  [B] receive cross keys and values, or NULL (the array or an entry): none are made
 *   out      [B] pointers to [n_audio_ctx, D] f32 for the encoder output, or NULL (the array or an
 *   entry)
 * Thread: one call at a time per workspace and pool.  Allocates: never (whisper_plan_encode).    */
void whisper_encode(const struct whisper_model *model, struct au_pool *pool,
                    struct tensor_workspace *ws, size_t n_windows, const float *const *mels,
                    struct whisper_window *const *windows, float *const *out);
/* Cross keys and values of one window from its encoder output [n_audio_ctx, D]. As
 * whisper_encode. */
void whisper_encode_cross(const struct whisper_model *model, struct au_pool *pool,
                          struct tensor_workspace *ws, const float *encoded,
                          struct whisper_window *window);
size_t whisper_plan_encode(const struct whisper_model *model, int n_threads, size_t n_windows);

/* ---- Self-attention cells -------------------------------------------------------------------- */

/* A pool of cells, each the keys and values of one token in all decoder layers. A hypothesis is
 * a list of cell numbers in position order, so beams that share a past share cells and
 * reordering copies 4 bytes per position and no keys. Which cells are free is the caller's
 * business (recog).                                                                              */
struct whisper_cells;
AURICLE_MUST_CHECK enum auricle_error whisper_cells_create(const struct whisper_model *model,
                                                           size_t n_cells,
                                                           struct whisper_cells **out);
void whisper_cells_destroy(struct whisper_cells *cells);
size_t whisper_cells_count(const struct whisper_cells *cells);
size_t whisper_cells_bytes(const struct whisper_model *model, size_t n_cells);

/* One hypothesis of a decoder call: n_tokens new tokens after n_past cached ones. */
struct whisper_row {
    const struct whisper_window *window;
    const int32_t *tokens; /* [n_tokens], at least 1 */
    const int32_t *cells;  /* [n_past + n_tokens]; the last n_tokens are written by this call */
    int n_tokens, n_past;
    int n_logits;  /* logits of the last n_logits tokens are wanted, 0 to n_tokens */
    float *logits; /* [n_logits, n_vocab] */
    float
        *cross_weights; /* NULL, or [n_heads listed, n_tokens, n_audio_ctx]: softmax INPUT scores of
                                  the alignment heads (q.k scaled, before softmax) */
};

/* (layer, head) pairs whose cross-attention scores whisper_decode hands out. */
struct whisper_head {
    int16_t layer, head;
};
/* Alignment heads: from generation_config.json, else the published table for the dims, else all
 * heads of the upper half. Borrowed. */
const struct whisper_head *whisper_alignment_heads(const struct whisper_model *model, size_t *n);

/* Seconds of speech the model reads best at a time: "chunk_length_s" of generation_config.json.
 * 0 where the files do not say: as much as a window holds. */
int whisper_chunk_seconds(const struct whisper_model *model);

/* Texts to follow at once where the caller leaves that to the model: "num_beams" of
 * generation_config.json. 0 where the files do not say. */
int whisper_beams(const struct whisper_model *model);

/* Step R rows as one batch. Rows must not write the same cell. n_past + n_tokens <= n_text_ctx.
 * Thread and allocation as whisper_encode.                                                      */
void whisper_decode(const struct whisper_model *model, struct au_pool *pool,
                    struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                    const struct whisper_row *rows);
/* The same, and each piece [n0, n1) of the last logits [n_vocab] of a row is shown to `ready`
 * while it is in the nearest cache: from any worker, in any order. It may change the piece, and
 * nothing else. n0 is a multiple of WHISPER_LOGITS_PIECE, n1 the next one or n_vocab.            */
#define WHISPER_LOGITS_PIECE 512
struct whisper_sink {
    void (*ready)(void *context, size_t row, float *logits, size_t n0, size_t n1);
    void *context;
};
void whisper_decode_into(const struct whisper_model *model, struct au_pool *pool,
                         struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                         const struct whisper_row *rows, const struct whisper_sink *sink);
/* Bytes for a call over at most n_tokens tokens and n_logits logit rows in all. */
size_t whisper_plan_decode(const struct whisper_model *model, int n_threads, size_t n_tokens,
                           size_t n_logits);

#endif
