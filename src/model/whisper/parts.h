/* Whisper from the inside: the structures that bind.c fills and encode.c and decode.c run.
 * Private to this folder and to its tests.                                                       */
#ifndef MODEL_WHISPER_PARTS_H
#define MODEL_WHISPER_PARTS_H

#include "base/mem.h"
#include "format/packed.h"
#include "model/whisper/names.h"
#include "model/whisper/whisper.h"
#include "tensor/cross.h"
#include "tensor/linear.h"

#define WHISPER_LN_EPS    1e-5F
#define WHISPER_MLP_PARTS 4

struct whisper_norm {
    float *gamma, *beta; /* [D] each; owned */
};

/* One transformer block. Query, key and value are one product: three reads of the activations
 * become one, and the outputs land beside each other, which is how the caches keep them.         */
struct whisper_block {
    struct whisper_norm attn_ln;
    struct tensor_linear qkv;      /* [3D, D]: query, key (no bias), value */
    struct tensor_linear attn_out; /* [D, D] */
    struct whisper_norm cross_ln;  /* decoder only, down to cross_out */
    struct tensor_linear cross_q;
    struct tensor_linear cross_kv; /* [2D, D]: key (no bias), value */
    struct tensor_linear cross_out;
    struct whisper_norm mlp_ln;
    struct tensor_linear mlp_in;  /* [F, D]; F is 4 D in every published model */
    struct tensor_linear mlp_out; /* [D, F]; decoder */
    /* Encoder: the same cut into n_parts of [D, F / n_parts], so that a block of rows never has its
     * whole inside (4 D floats a row) in memory at once. The first one has the bias.            */
    struct tensor_linear mlp_out_part[WHISPER_MLP_PARTS];
    size_t n_parts;
};

struct whisper_model {
    struct whisper_dims dims;
    const struct kern_ops *ops;
    enum kern_type type;
    uint64_t bytes;               /* packed weights and tables */
    struct format_packed *packed; /* owns what is mapped from the cache; NULL: nothing is */
    struct tensor_arena arena;    /* owns the packed matrices where there is no cache */

    struct tensor_linear conv1;    /* [D, 3 * n_mels]: column = tap * channels + channel */
    struct tensor_linear conv2;    /* [D, 3 * D] */
    float *audio_positions;        /* [n_audio_ctx, D] */
    struct whisper_block *encoder; /* [n_audio_layer] */
    struct whisper_norm encoder_ln;

    struct format_tensor
        embedding;           /* [V, D] in the file's own type: rows are converted when used */
    uint8_t *embedding_data; /* its bytes, unless they are mapped, and scales; owned */
    float *embedding_scale;
    float *text_positions;         /* [n_text_ctx, D] */
    struct whisper_block *decoder; /* [n_text_layer] */
    struct whisper_norm decoder_ln;
    struct tensor_linear output; /* [V, D], tied to the embedding in most files */

    struct whisper_head *heads; /* alignment heads */
    size_t n_heads;
    int chunk_seconds; /* 0: as long as a window */
    int beams;         /* 0: not said */
};

/* Keys and values of one window, packed per layer and head:
 * [n_text_layer][n_text_head][head_bytes]. Layer and head: whisper_window_head.                  */
struct whisper_window {
    size_t head_bytes, n_heads;
    unsigned char *heads;
};

/* How a model's decoder attends to the audio. */
static inline struct tensor_cross whisper_cross(const struct whisper_model *model)
{
    return (struct tensor_cross){
        .ops = model->ops,
        .type = model->type,
        .n_keys = (size_t)model->dims.n_audio_ctx,
        .d = (size_t)(model->dims.n_text_state / model->dims.n_text_head),
    };
}

static inline unsigned char *whisper_window_head(const struct whisper_window *window, size_t layer,
                                                 size_t head)
{
    return window->heads + (layer * window->n_heads + head) * window->head_bytes;
}

/* Keys and values of tokens: [n_text_layer][n_cells][2 D], key then value. */
struct whisper_cells {
    size_t n_cells, layer_floats;
    float *kv;
};

/* Tests look at what passes between the stages; NULL in use. x is [rows, width]. */
struct whisper_trace {
    void (*stage)(void *context, const char *name, int layer, const float *x, size_t rows,
                  size_t width);
    void *context;
};
void whisper_encode_traced(const struct whisper_model *model, struct au_pool *pool,
                           struct tensor_workspace *ws, size_t n_windows, const float *const *mels,
                           struct whisper_window *const *windows, float *const *out,
                           const struct whisper_trace *trace);
void whisper_decode_traced(const struct whisper_model *model, struct au_pool *pool,
                           struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                           const struct whisper_row *rows, const struct whisper_trace *trace);

static inline size_t whisper_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Row-wise helpers shared by both (rows.c). x and out are [n, D]; in place is fine. */
void whisper_norm_rows(const struct whisper_model *model, struct au_pool *pool,
                       const struct whisper_norm *norm, const float *x, size_t n, float *out);
/* x += mlp(mlp_ln(x)) for n rows; normed [n, D] and hidden [n, F] are scratch. */
void whisper_mlp_rows(const struct whisper_model *model, struct au_pool *pool,
                      const struct whisper_block *block, size_t n, float *x, float *normed,
                      float *hidden, void *scratch);
size_t whisper_hidden_width(const struct whisper_block *blocks, int n); /* largest F */

/* Where weights come from: a file and its naming, or (weights NULL) random numbers. */
struct whisper_source {
    const struct format_weights *weights;
    enum whisper_naming naming;
    uint64_t seed;
    const char *cache_folder; /* NULL: no cache */
};
/* Convolutions see raw log-mel, whose rows have no common scale, and are 5 % of the work at most:
 * int8 would cost accuracy and save nothing.                                                     */
static inline enum kern_type whisper_conv_type(enum kern_type type)
{
    return type == KERN_INT8 ? KERN_BF16 : type;
}

/* Fill in everything of a model whose dims, ops and type are set (bind.c). On failure the model
 * is half built, as destroy accepts it. Errors: NOT_FOUND, SHAPE, UNSUPPORTED (tensor named),
 * NOMEM. */
AURICLE_MUST_CHECK enum auricle_error whisper_bind(struct whisper_model *model,
                                                   const struct whisper_source *source,
                                                   struct au_pool *pool, struct au_fault *fault);

/* dims.c */
AURICLE_MUST_CHECK enum auricle_error whisper_dims_check(const struct whisper_dims *dims,
                                                         const char *what, struct au_fault *fault);
/* The published list for these dimensions, else the upper half of the layers: writes at most max
 * entries when out is not NULL and returns how many there are.                                   */
size_t whisper_heads_published(const struct whisper_dims *dims, struct whisper_head *out,
                               size_t max);

#endif
