/* Mixed models. See mix.h.
 *
 * A `tensor_linear` remembers the kernel that packed it and is run by that one alone, so a
 * matrix of one model can stand in another. Halves of a product are simulated in f32: weights or
 * inputs go through the int8 kernel's own rounding and back, so what is measured is what that
 * kernel does.                                                                                   */
#include "bench/agreement/mix.h"

#include <string.h>

#include "kern/pack.h"

/* ---- Rounding there and back ----------------------------------------------------------------- */

/* The simulated kernels have no context argument: packing and preparing in the layouts of the
 * lowest level gives the same bytes at every level.                                              */
static const struct kern_gemm *int8_kernel(void)
{
    return kern_select(KERN_GENERIC)->gemm[KERN_INT8];
}

static void pack_rounded(void *packed, const float *w, size_t w_stride, size_t n, size_t k,
                         size_t n0, size_t n1)
{
    const struct kern_gemm *int8 = int8_kernel();
    const size_t rows = n1 - n0;
    int8_t *quantised = au_alloc_aligned(int8->packed_bytes(rows, k));
    float *back = au_alloc_array(rows * k, sizeof *back);
    if (quantised && back) {
        int8->pack(quantised, w, w_stride, rows, k, 0, rows);
        const float *scales = kern_pack_int8_scales(quantised, rows, k);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < k; j++)
                back[i * k + j] = scales[i] * (float)quantised[kern_pack_int8_index(i, j, k)];
        kern_select(KERN_GENERIC)->gemm[KERN_F32]->pack(packed, back, k, n, k, n0, n1);
    }
    au_free(back);
    au_free(quantised);
}

static void prepare_rounded(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                            size_t m0, size_t m1)
{
    const struct kern_gemm *int8 = int8_kernel();
    const size_t rows = m1 - m0, chunks = kern_chunks(k, KERN_CHUNK_INT8);
    unsigned char *quantised = au_alloc_aligned(int8->prepared_bytes(rows, k));
    float *out = (float *)prepared + m0 * k;
    (void)m;

    if (!quantised)
        return;
    int8->prepare(quantised, x + m0 * x_stride, x_stride, rows, k, 0, rows);
    const float *scales = (const float *)quantised;
    for (size_t i = 0; i < rows; i++) {
        const int8_t *row = (const int8_t *)quantised + kern_prep_int8_head(rows) +
                            kern_prep_row(i, chunks);
        for (size_t j = 0; j < k; j++)
            out[i * k + j] =
                scales[i] * (float)row[j / KERN_CHUNK_INT8 * KERN_TILE_BYTES + j % KERN_CHUNK_INT8];
    }
    au_free(quantised);
}

/* ---- Sources --------------------------------------------------------------------------------- */

enum auricle_error mix_sources_init(struct mix_sources *s, const struct format_weights *weights,
                                    const struct kern_ops *ops, enum kern_type type,
                                    struct au_pool *pool, struct au_fault *fault)
{
    *s = (struct mix_sources){.rounded_weights_ops = *ops, .rounded_inputs_ops = *ops};
    s->rounded_weights_gemm = *ops->gemm[KERN_F32];
    s->rounded_weights_gemm.coarse = ops->gemm[KERN_INT8]->coarse;
    s->rounded_inputs_gemm = s->rounded_weights_gemm;
    s->rounded_weights_gemm.pack = pack_rounded;
    s->rounded_weights_ops.gemm[KERN_F32] = &s->rounded_weights_gemm;
    s->rounded_inputs_gemm.prepare = prepare_rounded;
    s->rounded_inputs_ops.gemm[KERN_F32] = &s->rounded_inputs_gemm;

    enum auricle_error error = whisper_model_create(weights, ops, KERN_F32, pool, &s->exact, fault);
    if (!error)
        error = whisper_model_create(weights, ops, type, pool, &s->narrow, fault);
    if (!error && type == KERN_INT8)
        error = whisper_model_create(weights, &s->rounded_weights_ops, KERN_F32, pool,
                                     &s->rounded_weights, fault);
    if (!error && type == KERN_INT8)
        error = whisper_model_create(weights, &s->rounded_inputs_ops, KERN_F32, pool,
                                     &s->rounded_inputs, fault);
    return error;
}

void mix_sources_deinit(struct mix_sources *s)
{
    whisper_model_destroy(s->exact);
    whisper_model_destroy(s->narrow);
    whisper_model_destroy(s->rounded_weights);
    whisper_model_destroy(s->rounded_inputs);
}

/* ---- Mixing ---------------------------------------------------------------------------------- */

struct choice {
    const struct mix_sources *sources;
    const struct mix *mix;
};

/* The model that a part's matrices come from. */
static const struct whisper_model *source_of(const struct choice *c, enum mix_part part)
{
    const bool weights = c->mix->weights >> part & 1, inputs = c->mix->inputs >> part & 1;
    return weights && inputs ? c->sources->narrow
           : weights         ? c->sources->rounded_weights
           : inputs          ? c->sources->rounded_inputs
                             : c->sources->exact;
}

static enum auricle_error check(const struct mix_sources *sources, const struct mix *mix)
{
    const unsigned matrices = ~(1U << MIX_ENCODER_ATTENTION | 1U << MIX_CROSS);
    const bool halves = ((mix->weights ^ mix->inputs) & matrices) != 0;
    return halves && !sources->rounded_weights ? AURICLE_E_INVALID : AURICLE_OK;
}

static void mix_encoder_block(const struct choice *c, size_t i, struct whisper_block *out)
{
    const struct whisper_block *mlp_out = &source_of(c, MIX_ENCODER_MLP_OUT)->encoder[i];
    *out = c->sources->exact->encoder[i];
    out->qkv = source_of(c, MIX_ENCODER_QKV)->encoder[i].qkv;
    out->attn_out = source_of(c, MIX_ENCODER_OUT)->encoder[i].attn_out;
    out->mlp_in = source_of(c, MIX_ENCODER_MLP_IN)->encoder[i].mlp_in;
    memcpy(out->mlp_out_part, mlp_out->mlp_out_part, sizeof out->mlp_out_part);
}

static void mix_decoder_block(const struct choice *c, size_t i, struct whisper_block *out)
{
    const struct whisper_block *self = &source_of(c, MIX_DECODER_SELF)->decoder[i];
    const struct whisper_block *cross = &source_of(c, MIX_DECODER_CROSS)->decoder[i];
    const struct whisper_block *mlp = &source_of(c, MIX_DECODER_MLP)->decoder[i];
    *out = c->sources->exact->decoder[i];
    out->qkv = self->qkv;
    out->attn_out = self->attn_out;
    out->cross_q = cross->cross_q;
    out->cross_out = cross->cross_out;
    out->cross_kv = source_of(c, MIX_CROSS_KV)->decoder[i].cross_kv;
    out->mlp_in = mlp->mlp_in;
    out->mlp_out = mlp->mlp_out;
}

enum auricle_error mixed_model_init(struct mixed_model *mixed, const struct mix_sources *sources,
                                    const struct mix *mix)
{
    const struct choice c = {sources, mix};
    const enum kern_type narrow = sources->narrow->type;
    struct whisper_model *model = &mixed->model;
    enum auricle_error error = check(sources, mix);

    *mixed = (struct mixed_model){.model = *sources->exact, .ops = *sources->exact->ops};
    const size_t n_encoder = (size_t)model->dims.n_audio_layer;
    const size_t n_decoder = (size_t)model->dims.n_text_layer;
    model->encoder = au_alloc_array(n_encoder, sizeof *model->encoder);
    model->decoder = au_alloc_array(n_decoder, sizeof *model->decoder);
    if (!error && (!model->encoder || !model->decoder))
        error = AURICLE_E_NOMEM;
    if (error) {
        mixed_model_deinit(mixed);
        return error;
    }
    for (size_t i = 0; i < n_encoder; i++)
        mix_encoder_block(&c, i, &model->encoder[i]);
    for (size_t i = 0; i < n_decoder; i++)
        mix_decoder_block(&c, i, &model->decoder[i]);
    model->conv1 = source_of(&c, MIX_CONVOLUTIONS)->conv1;
    model->conv2 = source_of(&c, MIX_CONVOLUTIONS)->conv2;
    model->output = source_of(&c, MIX_VOCABULARY)->output;
    /* The model's type chooses the kinds of attention and nothing else once it is bound. */
    model->type = mix->inputs >> MIX_CROSS & 1 ? narrow : KERN_F32;
    model->ops = &mixed->ops;
    mixed->ops.heads[model->type] =
        sources->exact->ops->heads[mix->inputs >> MIX_ENCODER_ATTENTION & 1 ? narrow : KERN_F32];
    return AURICLE_OK;
}

void mixed_model_deinit(struct mixed_model *mixed)
{
    au_free(mixed->model.encoder);
    au_free(mixed->model.decoder);
    *mixed = (struct mixed_model){0};
}
