/* The audio encoder: two convolutions as matrix products, positions, transformer blocks, final
 * norm, then the cross-attention keys and values of every decoder layer, which is all the decoder
 * ever reads of the audio.
 *
 * Windows are worked through one after the other: 1500 rows already fill the kernels, and one
 * window's activations (9 MB at width 384) stay in cache where a batch's would not. So a window's
 * bits cannot depend on its neighbours, and the workspace does not grow with the batch.
 *
 * Thread: one call at a time per workspace and pool. Allocates: never; buffers come from the
 * workspace, and planning runs the same functions with an empty one.                             */
#include <math.h>

#include "model/whisper/parts.h"

#define CONV_ROWS  128 /* im2col rows per task */
#define QUERY_ROWS 128 /* attention queries per task: keys and values are read once for them */

struct encoding {
    const struct whisper_model *model;
    struct au_pool *pool;
    struct tensor_workspace *ws;
    int n_threads;
    size_t n, d; /* rows (audio context) and width */
    float *x;    /* [n, d] residual stream */
    const struct whisper_trace *trace;
};

static void trace_rows(const struct encoding *e, const char *name, int layer, const float *x)
{
    if (e->trace)
        e->trace->stage(e->trace->context, name, layer, x, e->n, e->d);
}

/* ---- Convolutions ---------------------------------------------------------------------------- */

struct im2col_call {
    const struct kern_ops *ops;
    const float *x;
    float *out;
    size_t rows_in, rows_out, channels, stride;
};

static void im2col_task(void *context, size_t task, int worker)
{
    const struct im2col_call *call = context;
    size_t first = task * CONV_ROWS;
    size_t end = first + CONV_ROWS < call->rows_out ? first + CONV_ROWS : call->rows_out;
    (void)worker;

    call->ops->conv3_rows(call->out, call->x, call->rows_in, call->channels, call->stride, first,
                          end);
}

static void im2col(const struct encoding *e, const float *x, size_t rows_in, size_t channels,
                   size_t stride, float *out)
{
    struct im2col_call call = {e->model->ops, x, out, rows_in, rows_in / stride, channels, stride};
    au_pool_run(e->pool, (call.rows_out + CONV_ROWS - 1) / CONV_ROWS, im2col_task, &call);
}

/* mel [2n, n_mels] to x [n, d]; mel is not read while planning. */
static void convolve(const struct encoding *e, const float *mel)
{
    const struct whisper_model *model = e->model;
    size_t frames = 2 * e->n, channels = (size_t)model->dims.n_mels, d = e->d;
    size_t mark = tensor_mark(e->ws);

    size_t columns_1 = frames * 3 * channels, columns_2 = e->n * 3 * d;
    float *columns = tensor_take(e->ws, columns_1 > columns_2 ? columns_1 : columns_2,
                                 sizeof(float));
    float *hidden = tensor_take(e->ws, frames * d, sizeof(float));
    size_t scratch_1 = tensor_linear_scratch_bytes(&model->conv1, frames);
    size_t scratch_2 = tensor_linear_scratch_bytes(&model->conv2, e->n);
    void *scratch = tensor_take(e->ws, scratch_1 > scratch_2 ? scratch_1 : scratch_2, 1);

    if (mel) {
        im2col(e, mel, frames, channels, 1, columns);
        tensor_linear_run(&model->conv1, e->pool, columns, 3 * channels, frames, hidden, d, NULL,
                          KERN_ACT_GELU, scratch);
        im2col(e, hidden, frames, d, 2, columns);
        tensor_linear_run(&model->conv2, e->pool, columns, 3 * d, e->n, e->x, d,
                          model->audio_positions, KERN_ACT_GELU, scratch);
        trace_rows(e, "conv", 0, e->x);
    }
    tensor_release(e->ws, mark);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

struct block_buffers {
    float *normed; /* [n, d] normed rows, then the heads' outputs */
    float *wide;   /* [n, max(3d, F)] queries, keys and values, then the perceptron's inside */
    void *scratch; /* products */
    unsigned char *head_scratch; /* [n_threads][head_bytes] */
    size_t head_bytes;
};

static struct block_buffers take_block_buffers(const struct encoding *e)
{
    const struct whisper_model *model = e->model;
    size_t head_width = e->d / (size_t)model->dims.n_audio_head;
    size_t hidden = whisper_hidden_width(model->encoder, model->dims.n_audio_layer);
    size_t scratch = 0;

    for (int i = 0; i < model->dims.n_audio_layer; i++) {
        scratch = whisper_larger(scratch,
                                 tensor_linear_scratch_bytes(&model->encoder[i].qkv, e->n));
        scratch = whisper_larger(scratch,
                                 tensor_linear_scratch_bytes(&model->encoder[i].attn_out, e->n));
        scratch = whisper_larger(scratch,
                                 tensor_linear_scratch_bytes(&model->encoder[i].mlp_in, e->n));
        scratch = whisper_larger(scratch,
                                 tensor_linear_scratch_bytes(&model->encoder[i].mlp_out, e->n));
    }
    for (int i = 0; i < model->dims.n_text_layer; i++)
        scratch = whisper_larger(scratch,
                                 tensor_linear_scratch_bytes(&model->decoder[i].cross_kv, e->n));

    struct block_buffers b;
    b.head_bytes = au_round_up(model->ops->attn_scratch_bytes(e->n, head_width), AU_ALIGN);
    b.normed = tensor_take(e->ws, e->n * e->d, sizeof(float));
    b.wide = tensor_take(e->ws, e->n * whisper_larger(3 * e->d, hidden), sizeof(float));
    b.scratch = tensor_take(e->ws, scratch, 1);
    b.head_scratch = tensor_take(e->ws, (size_t)e->n_threads, b.head_bytes);
    return b;
}

struct attention_call {
    const struct encoding *e;
    const struct block_buffers *b;
    size_t blocks; /* of query rows */
};

static void attention_task(void *context, size_t task, int worker)
{
    const struct attention_call *call = context;
    const struct encoding *e = call->e;
    size_t head_width = e->d / (size_t)e->model->dims.n_audio_head;
    size_t column = task / call->blocks * head_width;
    size_t first = task % call->blocks * QUERY_ROWS;
    size_t end = first + QUERY_ROWS < e->n ? first + QUERY_ROWS : e->n;
    struct kern_attn_job job = {
        .q = call->b->wide + column,
        .k = call->b->wide + e->d + column,
        .v = call->b->wide + 2 * e->d + column,
        .out = call->b->normed + column,
        .q_stride = 3 * e->d,
        .kv_stride = 3 * e->d,
        .out_stride = e->d,
        .n_keys = e->n,
        .d = head_width,
        .scale = 1.0F / sqrtf((float)head_width),
        .scratch = call->b->head_scratch + (size_t)worker * call->b->head_bytes,
    };
    e->model->ops->attn(&job, first, end);
}

static void run_block(const struct encoding *e, const struct whisper_block *block,
                      const struct block_buffers *b)
{
    const struct whisper_model *model = e->model;
    size_t n = e->n, d = e->d;

    whisper_norm_rows(model, e->pool, &block->attn_ln, e->x, n, b->normed);
    tensor_linear_run(&block->qkv, e->pool, b->normed, d, n, b->wide, 3 * d, NULL, KERN_ACT_NONE,
                      b->scratch);

    struct attention_call call = {e, b, (n + QUERY_ROWS - 1) / QUERY_ROWS};
    au_pool_run(e->pool, call.blocks * (size_t)model->dims.n_audio_head, attention_task, &call);

    tensor_linear_run(&block->attn_out, e->pool, b->normed, d, n, e->x, d, e->x, KERN_ACT_NONE,
                      b->scratch);
    whisper_mlp_rows(model, e->pool, block, n, e->x, b->normed, b->wide, b->scratch);
}

/* ---- One window ------------------------------------------------------------------------------ */

static void encode_window(struct encoding *e, const float *mel, struct whisper_window *window,
                          float *out)
{
    const struct whisper_model *model = e->model;
    size_t mark = tensor_mark(e->ws);

    e->x = tensor_take(e->ws, e->n * e->d, sizeof(float));
    convolve(e, mel);
    struct block_buffers b = take_block_buffers(e);
    if (mel) {
        for (int i = 0; i < model->dims.n_audio_layer; i++) {
            run_block(e, &model->encoder[i], &b);
            trace_rows(e, "block", i, e->x);
        }
        float *final = out ? out : e->x;
        whisper_norm_rows(model, e->pool, &model->encoder_ln, e->x, e->n, final);
        for (int i = 0; i < model->dims.n_text_layer; i++)
            tensor_linear_run(&model->decoder[i].cross_kv, e->pool, final, e->d, e->n,
                              window->kv + (size_t)i * window->layer_floats, 2 * e->d, NULL,
                              KERN_ACT_NONE, b.scratch);
    }
    tensor_release(e->ws, mark);
}

void whisper_encode_traced(const struct whisper_model *model, struct au_pool *pool,
                           struct tensor_workspace *ws, size_t n_windows, const float *const *mels,
                           struct whisper_window *const *windows, float *const *out,
                           const struct whisper_trace *trace)
{
    struct encoding e = {
        .model = model,
        .pool = pool,
        .ws = ws,
        .n_threads = au_pool_threads(pool),
        .n = (size_t)model->dims.n_audio_ctx,
        .d = (size_t)model->dims.n_audio_state,
        .trace = trace,
    };
    for (size_t i = 0; i < n_windows; i++)
        encode_window(&e, mels[i], windows[i], out ? out[i] : NULL);
}

void whisper_encode(const struct whisper_model *model, struct au_pool *pool,
                    struct tensor_workspace *ws, size_t n_windows, const float *const *mels,
                    struct whisper_window *const *windows, float *const *out)
{
    whisper_encode_traced(model, pool, ws, n_windows, mels, windows, out, NULL);
}

size_t whisper_plan_encode(const struct whisper_model *model, int n_threads, size_t n_windows)
{
    struct tensor_workspace ws;
    struct encoding e = {
        .model = model,
        .ws = &ws,
        .n_threads = n_threads,
        .n = (size_t)model->dims.n_audio_ctx,
        .d = (size_t)model->dims.n_audio_state,
    };
    tensor_workspace_plan(&ws);
    if (n_windows > 0)
        encode_window(&e, NULL, NULL, NULL);
    return ws.peak;
}
