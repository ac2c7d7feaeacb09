/* The audio encoder: two convolutions as matrix products, positions, transformer blocks, final
 * norm, then the cross-attention keys and values of every decoder layer, which is all the decoder
 * ever reads of the audio.
 *
 * What limits it is memory, not arithmetic: f32 activations of a layer are four times the int8
 * weights, and both are larger than the second-level cache. So a worker takes a block of rows and
 * carries it through everything that is row by row (output projection, perceptron, the next layer's
 * queries, keys and values) before it lets go of it; only attention, where rows meet, ends such a
 * passage. A layer is thus two parallel regions: heads, then rows. Within a block a product goes
 * strip by strip of few rows, so that the f32 intermediate of a strip is read again while it is
 * still near, and the weights of the product stay in the second-level cache for all strips.
 *
 * Windows are worked through one after the other: 1500 rows already fill the kernels. So a
 * window's bits cannot depend on its neighbours, and the workspace does not grow with the batch.
 *
 * Thread: one call at a time per workspace and pool. Allocates: never; buffers come from the
 * workspace, and planning runs the same functions with an empty one.                             */
#include <math.h>
#include <string.h>

#include "model/whisper/parts.h"

/* Attention queries per task: a head's keys and values stay in the second-level cache for them. */
#define QUERY_ROWS 256

/* What may be of use again soon in a second-level cache of 2 MiB. Blocks and strips are whole
 * squares of tiles.                                                                              */
#define CACHE_BYTES (1900 << 10)
#define ROW_ALIGN   32
#define MOST_ROWS   256

/* Weights of one product up to here stay in that cache while strips of STRIP_ROWS pass. Where
 * they are larger, a strip is the whole block, and the kernel takes the weights in pieces.       */
#define STRIP_WEIGHTS (640 << 10)
#define STRIP_ROWS    64

/* What a worker has to itself while it carries a block of rows. */
struct worker_buffers {
    float *wide;    /* [strip_rows, widest], the convolution's frames, or a head's values */
    float *row;     /* one normed or spread row, or three of the end of a convolution's input */
    void *prepared; /* a product's input, strip by strip */
    void *prepared_inner; /* the perceptron's inside, quantised, strip by strip */
    void *head_scratch;
};

struct encoding {
    const struct whisper_model *model;
    struct au_pool *pool;
    struct tensor_workspace *ws;
    int n_threads;
    size_t n, d;       /* rows (audio context) and width */
    size_t block_rows; /* rows a worker carries at a time */
    size_t strip_rows; /* rows of a block that a product takes at a time */
    size_t head_width, head_bytes;
    const float *mel;     /* [2n, n_mels] */
    float *x;             /* [n, d] residual stream */
    float *mixed;         /* [n, d] the heads' outputs */
    unsigned char *heads; /* [n_heads][head_bytes] queries, keys and values of the layer */
    struct worker_buffers *workers; /* [n_threads] */
    const struct whisper_trace *trace;
};

static void trace_rows(const struct encoding *e, const char *name, int layer, const float *x)
{
    if (e->trace)
        e->trace->stage(e->trace->context, name, layer, x, e->n, e->d);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

/* The widest intermediate of a row: a projection, a part of the perceptron, or keys and values. */
static size_t widest_row(const struct encoding *e)
{
    size_t widest = 2 * e->d;
    for (int i = 0; i < e->model->dims.n_audio_layer; i++) {
        const struct whisper_block *block = &e->model->encoder[i];
        widest = whisper_larger(widest, block->mlp_in.n / block->n_parts);
    }
    return widest;
}

static size_t type_bytes(enum kern_type type)
{
    return type == KERN_F32 ? 4 : type == KERN_BF16 ? 2 : 1;
}

/* Rows of a block: as many as the cache takes beside the weights of a product, but blocks enough
 * for every worker, and alike. Weights that the cache does not take come from the last level
 * once for every block, which costs more than rows that do: blocks are then as large as they may
 * be (96, 160, 192, 256 rows of 1280: 606, 595, 571, 564 ms). Then rows of a strip.              */
static void choose_rows(struct encoding *e)
{
    size_t d = e->d, threads = (size_t)e->n_threads, fit = MOST_ROWS;
    size_t weights = d * d * type_bytes(e->model->type);
    bool strips = weights <= STRIP_WEIGHTS;
    if (strips) {
        size_t beside = weights + STRIP_ROWS * d * sizeof(float);
        size_t row_bytes = 6 * d; /* residual in f32, two inputs in int8 */
        fit = (CACHE_BYTES - beside) / row_bytes < fit ? (CACHE_BYTES - beside) / row_bytes : fit;
    }
    size_t blocks = (e->n + fit - 1) / fit;
    blocks = (blocks + threads - 1) / threads * threads;
    e->block_rows = au_round_up((e->n + blocks - 1) / blocks, ROW_ALIGN);
    e->strip_rows = strips ? STRIP_ROWS : e->block_rows;
}

/* Bytes of a strip's rows, prepared for a product. */
static size_t strip_bytes(const struct encoding *e, const struct tensor_linear *linear)
{
    return au_round_up(tensor_linear_scratch_bytes(linear, e->strip_rows), AU_ALIGN);
}

static size_t prepared_bytes(const struct encoding *e, const struct tensor_linear *linear)
{
    return (e->block_rows + e->strip_rows - 1) / e->strip_rows * strip_bytes(e, linear);
}

/* Frames of the first convolution that rows [0, rows) of the second one read. */
static size_t frames_of(size_t rows)
{
    return 2 * rows + 1;
}

static void take_worker_buffers(const struct encoding *e, struct worker_buffers *w)
{
    const struct whisper_model *model = e->model;
    size_t rows = e->block_rows, widest = widest_row(e);
    size_t prepared = whisper_larger(tensor_linear_scratch_bytes(&model->conv1, frames_of(rows)),
                                     tensor_linear_scratch_bytes(&model->conv2, rows));
    size_t inner = 0;

    for (int i = 0; i < model->dims.n_audio_layer; i++) {
        const struct whisper_block *block = &model->encoder[i];
        prepared = whisper_larger(prepared, prepared_bytes(e, &block->qkv));
        prepared = whisper_larger(prepared, prepared_bytes(e, &block->attn_out));
        prepared = whisper_larger(prepared, prepared_bytes(e, &block->mlp_in));
        inner = whisper_larger(inner, prepared_bytes(e, &block->mlp_out_part[0]));
    }
    for (int i = 0; i < model->dims.n_text_layer; i++)
        prepared = whisper_larger(prepared,
                                  tensor_linear_scratch_bytes(&model->decoder[i].cross_kv, rows));
    size_t values = e->n * (size_t)(model->dims.n_text_state / model->dims.n_text_head);
    size_t wide = whisper_larger(rows * 2 * e->d, frames_of(rows) * e->d);
    wide = whisper_larger(wide, e->strip_rows * widest);
    w->wide = tensor_take(e->ws, whisper_larger(wide, values), sizeof(float));
    size_t row = whisper_larger(widest, 3 * whisper_larger(e->d, (size_t)model->dims.n_mels));
    w->row = tensor_take(e->ws, row, sizeof(float));
    w->prepared = tensor_take(e->ws, prepared, 1);
    w->prepared_inner = tensor_take(e->ws, inner, 1);
    w->head_scratch = tensor_take(
        e->ws, model->ops->heads[model->type]->scratch_bytes(e->n, e->head_width), 1);
}

/* Fill in the sizes and take every buffer; the same calls plan and run. */
static void take_buffers(struct encoding *e)
{
    const struct whisper_model *model = e->model;
    size_t n_heads = (size_t)model->dims.n_audio_head;

    e->n = (size_t)model->dims.n_audio_ctx;
    e->d = (size_t)model->dims.n_audio_state;
    choose_rows(e);
    e->head_width = e->d / n_heads;
    e->head_bytes = au_round_up(model->ops->heads[model->type]->packed_bytes(e->n, e->head_width),
                                AU_ALIGN);
    e->x = tensor_take(e->ws, e->n * e->d, sizeof(float));
    e->mixed = tensor_take(e->ws, e->n * e->d, sizeof(float));
    e->heads = tensor_take(e->ws, n_heads, e->head_bytes);
    e->workers = tensor_take(e->ws, (size_t)e->n_threads, sizeof *e->workers);
    for (int i = 0; i < e->n_threads; i++) {
        struct worker_buffers w;
        take_worker_buffers(e, &w);
        if (e->workers)
            e->workers[i] = w;
    }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A passage over rows: `task` works on the block [first, end). */
struct passage {
    const struct encoding *e;
    int layer;
    void (*rows)(const struct passage *p, struct worker_buffers *w, size_t first, size_t end);
    struct whisper_window *window;
    float *out;           /* where the final norm goes */
    const float *encoded; /* what it has left there */
};

static void passage_task(void *context, size_t task, int worker)
{
    const struct passage *p = context;
    size_t first = task * p->e->block_rows;
    size_t end = first + p->e->block_rows < p->e->n ? first + p->e->block_rows : p->e->n;
    p->rows(p, &p->e->workers[worker], first, end);
}

static void run_passage(const struct passage *p)
{
    size_t tasks = (p->e->n + p->e->block_rows - 1) / p->e->block_rows;
    au_pool_run(p->e->pool, tasks, passage_task, (void *)(uintptr_t)p);
}

/* Strip `i` of a block of m rows: its first row and how many it has. */
static size_t strip_of(const struct encoding *e, size_t m, size_t i, size_t *first)
{
    *first = i * e->strip_rows;
    if (*first >= m)
        return 0;
    return m - *first < e->strip_rows ? m - *first : e->strip_rows;
}

/* Prepare the norm of x [m, d], strip by strip. */
static void prepare_normed(const struct encoding *e, const struct whisper_norm *norm,
                           const struct tensor_linear *linear, struct worker_buffers *w,
                           const float *x, size_t m)
{
    unsigned char *to = w->prepared;
    size_t at, n;
    for (size_t i = 0; (n = strip_of(e, m, i, &at)) > 0; i++, to += strip_bytes(e, linear))
        tensor_linear_prepare_normed(linear, e->model->ops, norm->gamma, norm->beta, WHISPER_LN_EPS,
                                     x + at * e->d, e->d, n, w->row, to);
}

/* x += product of the strips in `prepared`. */
static void add_product(const struct encoding *e, const struct tensor_linear *linear,
                        const void *prepared, float *x, size_t m)
{
    const unsigned char *from = prepared;
    size_t at, n, d = e->d;
    for (size_t i = 0; (n = strip_of(e, m, i, &at)) > 0; i++, from += strip_bytes(e, linear))
        tensor_linear_apply(linear, from, n, x + at * d, d, x + at * d, KERN_ACT_NONE);
}

/* Queries, keys and values of the block's rows, one after the other, laid out for the heads. */
static void project_heads(const struct encoding *e, int layer, struct worker_buffers *w,
                          size_t first, size_t end)
{
    const struct whisper_model *model = e->model;
    const struct whisper_block *block = &model->encoder[layer];
    const struct kern_heads *heads = model->ops->heads[model->type];
    size_t m = end - first, d = e->d, at, n;
    float scale = 1.0F / sqrtf((float)e->head_width);

    prepare_normed(e, &block->attn_ln, &block->qkv, w, e->x + first * d, m);
    for (size_t part = 0; part < 3; part++) {
        const unsigned char *from = w->prepared;
        for (size_t i = 0; (n = strip_of(e, m, i, &at)) > 0; i++) {
            tensor_linear_apply_part(&block->qkv, from, n, part * d, (part + 1) * d, w->wide, d,
                                     KERN_ACT_NONE);
            from += strip_bytes(e, &block->qkv);
            for (size_t head = 0; head < (size_t)model->dims.n_audio_head; head++) {
                const float *x = w->wide + head * e->head_width;
                heads->pack(e->heads + head * e->head_bytes, part == 0 ? x : NULL,
                            part == 1 ? x : NULL, part == 2 ? x : NULL, d, e->n, e->head_width,
                            scale, first + at, first + at + n);
            }
        }
    }
}

/* x += mlp(norm(x)), part by part of the perceptron's inside. */
static void mlp_rows(const struct encoding *e, const struct whisper_block *block,
                     struct worker_buffers *w, float *x, size_t m)
{
    size_t inner = block->mlp_in.n / block->n_parts, at, n;

    prepare_normed(e, &block->mlp_ln, &block->mlp_in, w, x, m);
    for (size_t part = 0; part < block->n_parts; part++) {
        const struct tensor_linear *out = &block->mlp_out_part[part];
        const unsigned char *from = w->prepared;
        unsigned char *to = w->prepared_inner;
        for (size_t i = 0; (n = strip_of(e, m, i, &at)) > 0; i++) {
            tensor_linear_apply_part(&block->mlp_in, from, n, part * inner, (part + 1) * inner,
                                     w->wide, inner, KERN_ACT_GELU);
            tensor_linear_prepare(out, e->model->ops, w->wide, inner, n, w->row, to);
            from += strip_bytes(e, &block->mlp_in);
            to += strip_bytes(e, out);
        }
        add_product(e, out, w->prepared_inner, x, m);
    }
}

/* What follows a layer's attention, and what precedes the next one's. */
static void layer_rows(const struct passage *p, struct worker_buffers *w, size_t first, size_t end)
{
    const struct encoding *e = p->e;
    const struct whisper_model *model = e->model;
    const struct whisper_block *block = &model->encoder[p->layer];
    size_t m = end - first, d = e->d;
    float *x = e->x + first * d;

    unsigned char *to = w->prepared;
    size_t at, n;
    for (size_t i = 0; (n = strip_of(e, m, i, &at)) > 0;
         i++, to += strip_bytes(e, &block->attn_out))
        tensor_linear_prepare(&block->attn_out, model->ops, e->mixed + (first + at) * d, d, n,
                              w->row, to);
    add_product(e, &block->attn_out, w->prepared, x, m);
    mlp_rows(e, block, w, x, m);
    if (p->layer + 1 < model->dims.n_audio_layer)
        project_heads(e, p->layer + 1, w, first, end);
}

/* Rows at - 1 to at + 1 of x [rows, channels] beside each other, zeros beyond its ends: the
 * input of a convolution of width 3. Time-major rows are neighbours already, so this is a
 * pointer into x, except at the ends, which are put together in `row`.                           */
static const float *three_rows(const float *x, size_t rows, size_t channels, size_t at, float *row)
{
    if (at > 0 && at + 1 < rows)
        return x + (at - 1) * channels;
    size_t first = at > 0 ? at - 1 : 0, end = at + 2 < rows ? at + 2 : rows;
    memset(row, 0, 3 * channels * sizeof *row);
    memcpy(row + (first + 1 - at) * channels, x + first * channels,
           (end - first) * channels * sizeof *row);
    return row;
}

/* Both convolutions, of stride 1 and 2, for the block's rows. Neighbouring blocks compute the frame
 * between them twice.                                                                            */
static void convolution_rows(const struct passage *p, struct worker_buffers *w, size_t first,
                             size_t end)
{
    const struct encoding *e = p->e;
    const struct tensor_linear *conv1 = &e->model->conv1, *conv2 = &e->model->conv2;
    size_t channels = (size_t)e->model->dims.n_mels, d = e->d, m = end - first;
    size_t first_frame = first > 0 ? 2 * first - 1 : 0, frames = 2 * end - first_frame;

    for (size_t i = 0; i < frames; i++) {
        const float *from = three_rows(e->mel, 2 * e->n, channels, first_frame + i, w->row);
        conv1->gemm->prepare(w->prepared, from, 0, frames, conv1->k, i, i + 1);
    }
    tensor_linear_apply(conv1, w->prepared, frames, w->wide, d, NULL, KERN_ACT_GELU);
    for (size_t i = 0; i < m; i++) {
        const float *from = three_rows(w->wide, frames, d, 2 * (first + i) - first_frame, w->row);
        conv2->gemm->prepare(w->prepared, from, 0, m, conv2->k, i, i + 1);
    }
    tensor_linear_apply(conv2, w->prepared, m, e->x + first * d, d,
                        e->model->audio_positions + first * d, KERN_ACT_GELU);
    project_heads(e, 0, w, first, end);
}

/* The final norm. */
static void norm_rows(const struct passage *p, struct worker_buffers *w, size_t first, size_t end)
{
    const struct encoding *e = p->e;
    const struct whisper_norm *norm = &e->model->encoder_ln;
    (void)w;

    for (size_t row = first; row < end; row++)
        e->model->ops->layer_norm(p->out + row * e->d, e->x + row * e->d, norm->gamma, norm->beta,
                                  e->d, WHISPER_LN_EPS);
}

/* Keys of one decoder layer, packed; its values, which can only be packed when all are there. */
static void cross_rows(const struct passage *p, struct worker_buffers *w, size_t first, size_t end)
{
    const struct encoding *e = p->e;
    const struct whisper_model *model = e->model;
    const struct tensor_linear *cross_kv = &model->decoder[p->layer].cross_kv;
    const struct tensor_cross cross = whisper_cross(model);
    size_t m = end - first, d = e->d;
    const float *x = p->encoded + first * d;

    tensor_linear_prepare(cross_kv, model->ops, x, d, m, w->row, w->prepared);
    tensor_linear_apply(cross_kv, w->prepared, m, w->wide, 2 * d, NULL, KERN_ACT_NONE);
    for (size_t head = 0; head < (size_t)model->dims.n_text_head; head++)
        tensor_cross_pack_keys(&cross, whisper_window_head(p->window, (size_t)p->layer, head),
                               w->wide + head * cross.d, 2 * d, first, end);
    for (size_t i = 0; i < m; i++)
        memcpy(e->mixed + (first + i) * d, w->wide + i * 2 * d + d, d * sizeof(float));
}

static void cross_values_task(void *context, size_t task, int worker)
{
    const struct passage *p = context;
    const struct encoding *e = p->e;
    const struct tensor_cross cross = whisper_cross(e->model);
    tensor_cross_pack_values(&cross, whisper_window_head(p->window, (size_t)p->layer, task),
                             e->mixed + task * cross.d, e->d, e->workers[worker].wide);
}

/* ---- Heads ----------------------------------------------------------------------------------- */

/* As many heads side by side as there are workers, block by block: a worker that keeps pace with
 * the others stays with one head, whose keys and values it then reads from far away only once.   */
static void heads_task(void *context, size_t task, int worker)
{
    const struct encoding *e = context;
    size_t blocks = (e->n + QUERY_ROWS - 1) / QUERY_ROWS;
    size_t n_heads = (size_t)e->model->dims.n_audio_head, threads = (size_t)e->n_threads;
    size_t group = task / (threads * blocks) * threads, within = task % (threads * blocks);
    size_t side = n_heads - group < threads ? n_heads - group : threads;
    size_t head = group + within % side, first = within / side * QUERY_ROWS;
    size_t end = first + QUERY_ROWS < e->n ? first + QUERY_ROWS : e->n;

    e->model->ops->heads[e->model->type]->run(e->heads + head * e->head_bytes, e->n, e->head_width,
                                              e->mixed + head * e->head_width, e->d, first, end,
                                              e->workers[worker].head_scratch);
}

static void run_heads(struct encoding *e)
{
    size_t blocks = (e->n + QUERY_ROWS - 1) / QUERY_ROWS;
    au_pool_run(e->pool, (size_t)e->model->dims.n_audio_head * blocks, heads_task, e);
}

/* ---- One window ------------------------------------------------------------------------------ */

static void encode_cross(struct encoding *e, const float *encoded, struct whisper_window *window)
{
    struct passage p = {.e = e, .rows = cross_rows, .window = window, .encoded = encoded};

    for (p.layer = 0; p.layer < e->model->dims.n_text_layer; p.layer++) {
        run_passage(&p);
        au_pool_run(e->pool, (size_t)e->model->dims.n_text_head, cross_values_task, &p);
    }
}

static void encode_window(struct encoding *e, struct whisper_window *window, float *out)
{
    const struct whisper_model *model = e->model;
    struct passage p = {.e = e, .rows = convolution_rows, .out = out ? out : e->x};

    run_passage(&p);
    trace_rows(e, "conv", 0, e->x);
    for (int i = 0; i < model->dims.n_audio_layer; i++) {
        run_heads(e);
        p.rows = layer_rows;
        p.layer = i;
        run_passage(&p);
        trace_rows(e, "block", i, e->x);
    }
    p.rows = norm_rows;
    run_passage(&p);
    if (window)
        encode_cross(e, p.out, window);
}

void whisper_encode_traced(const struct whisper_model *model, struct au_pool *pool,
                           struct tensor_workspace *ws, size_t n_windows, const float *const *mels,
                           struct whisper_window *const *windows, float *const *out,
                           const struct whisper_trace *trace)
{
    size_t mark = tensor_mark(ws);
    struct encoding e = {
        .model = model,
        .pool = pool,
        .ws = ws,
        .n_threads = au_pool_threads(pool),
        .trace = trace,
    };
    take_buffers(&e);
    for (size_t i = 0; i < n_windows; i++) {
        e.mel = mels[i];
        encode_window(&e, windows ? windows[i] : NULL, out ? out[i] : NULL);
    }
    tensor_release(ws, mark);
}

void whisper_encode(const struct whisper_model *model, struct au_pool *pool,
                    struct tensor_workspace *ws, size_t n_windows, const float *const *mels,
                    struct whisper_window *const *windows, float *const *out)
{
    whisper_encode_traced(model, pool, ws, n_windows, mels, windows, out, NULL);
}

void whisper_encode_cross(const struct whisper_model *model, struct au_pool *pool,
                          struct tensor_workspace *ws, const float *encoded,
                          struct whisper_window *window)
{
    size_t mark = tensor_mark(ws);
    struct encoding e = {
        .model = model,
        .pool = pool,
        .ws = ws,
        .n_threads = au_pool_threads(pool),
    };
    take_buffers(&e);
    encode_cross(&e, encoded, window);
    tensor_release(ws, mark);
}

size_t whisper_plan_encode(const struct whisper_model *model, int n_threads, size_t n_windows)
{
    struct tensor_workspace ws;
    struct encoding e = {.model = model, .ws = &ws, .n_threads = n_threads};

    tensor_workspace_plan(&ws);
    if (n_windows > 0)
        take_buffers(&e);
    return ws.peak;
}
