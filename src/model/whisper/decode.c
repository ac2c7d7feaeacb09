/* The text decoder: one step of any number of hypotheses, each with any number of new tokens.
 *
 * All new tokens of all rows form one matrix [N, D], so a step of 5 beams of 8 sessions reads the
 * weights once. Attention is per token and head: a token attends to its own hypothesis' cells up to
 * its own position, and to the audio of its own window. Nothing else crosses rows, and the products
 * give a row the same bits in any batch, so prefilling four tokens at once equals four steps, bit
 * for bit.
 *
 * Self-attention keys and values live in cells that hypotheses share by number: reordering beams
 * moves integers, never keys.
 *
 * Thread: one call at a time per workspace and pool. Allocates: never; buffers come from the
 * workspace, and planning takes the same ones.                                                   */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/whisper/parts.h"

/* Attention smaller than this many multiply-adds runs on the caller: a region costs more. */
#define INLINE_MACS 16000

/* One new token: which row it belongs to and its index among that row's new tokens. */
struct place {
    const struct whisper_row *row;
    int index;
};

struct decoding {
    const struct whisper_model *model;
    struct au_pool *pool;
    int n_threads;
    struct whisper_cells *cells;
    const struct whisper_row *rows;
    size_t n_rows;
    size_t n, n_logits; /* tokens, logit rows */
    size_t d, head_width, n_heads;

    struct place *places; /* [n] */
    size_t *groups;       /* [n_groups + 1] first tokens of groups that share a window */
    size_t n_groups;
    float *x;      /* [n, d] residual stream */
    float *normed; /* [n, d] normed rows, then the heads' outputs */
    float *wide;   /* [n, max(3d, F)] queries (keys, values), then the perceptron's inside */
    float *picked; /* [n_logits, d] final rows whose logits are wanted */
    size_t *owner; /* [n_logits] row whose last logits these are, or n_rows: of none */
    const struct whisper_sink *sink;
    float *scores; /* [n_threads][n_scores] */
    size_t n_scores;
    unsigned char *cross_scratch; /* [n_threads][cross_bytes] */
    size_t cross_bytes;
    void *scratch; /* products */
};

static size_t product_scratch(const struct whisper_model *model, size_t n, size_t n_logits)
{
    size_t bytes = tensor_linear_fine_scratch_bytes(&model->output, n_logits);
    for (int i = 0; i < model->dims.n_text_layer; i++) {
        const struct whisper_block *block = &model->decoder[i];
        bytes = whisper_larger(bytes, tensor_linear_fine_scratch_bytes(&block->qkv, n));
        bytes = whisper_larger(bytes, tensor_linear_fine_scratch_bytes(&block->attn_out, n));
        bytes = whisper_larger(bytes, tensor_linear_fine_scratch_bytes(&block->cross_q, n));
        bytes = whisper_larger(bytes, tensor_linear_fine_scratch_bytes(&block->cross_out, n));
        bytes = whisper_larger(bytes, tensor_linear_fine_scratch_bytes(&block->mlp_in, n));
        bytes = whisper_larger(bytes, tensor_linear_fine_scratch_bytes(&block->mlp_out, n));
    }
    return bytes;
}

/* Fill in the sizes and take every buffer; the same calls plan and run. */
static void take_buffers(struct decoding *dec, struct tensor_workspace *ws)
{
    const struct whisper_dims *dims = &dec->model->dims;
    size_t hidden = whisper_hidden_width(dec->model->decoder, dims->n_text_layer);

    dec->d = (size_t)dims->n_text_state;
    dec->n_heads = (size_t)dims->n_text_head;
    dec->head_width = dec->d / dec->n_heads;
    dec->n_scores = au_round_up((size_t)dims->n_text_ctx, AU_ALIGN / sizeof(float));
    dec->places = tensor_take(ws, dec->n, sizeof *dec->places);
    dec->groups = tensor_take(ws, dec->n + 1, sizeof *dec->groups);
    dec->x = tensor_take(ws, dec->n * dec->d, sizeof(float));
    dec->normed = tensor_take(ws, dec->n * dec->d, sizeof(float));
    dec->wide = tensor_take(ws, dec->n * whisper_larger(3 * dec->d, hidden), sizeof(float));
    dec->picked = tensor_take(ws, dec->n_logits * dec->d, sizeof(float));
    dec->owner = tensor_take(ws, dec->n_logits, sizeof *dec->owner);
    dec->scores = tensor_take(ws, (size_t)dec->n_threads * dec->n_scores, sizeof(float));
    struct tensor_cross cross = whisper_cross(dec->model);
    dec->cross_bytes = au_round_up(tensor_cross_scratch_bytes(&cross), AU_ALIGN);
    dec->cross_scratch = tensor_take(ws, (size_t)dec->n_threads, dec->cross_bytes);
    dec->scratch = tensor_take(ws, product_scratch(dec->model, dec->n, dec->n_logits), 1);
}

/* ---- Embedding ------------------------------------------------------------------------------- */

static void embed(struct decoding *dec)
{
    const struct whisper_model *model = dec->model;
    size_t t = 0;

    for (size_t r = 0; r < dec->n_rows; r++) {
        const struct whisper_row *row = &dec->rows[r];
        assert(row->n_tokens >= 1 && row->n_past >= 0);
        assert(row->n_past + row->n_tokens <= model->dims.n_text_ctx);
        for (int i = 0; i < row->n_tokens; i++, t++) {
            size_t token = (size_t)row->tokens[i];
            size_t position = (size_t)(row->n_past + i);
            float *x = dec->x + t * dec->d;
            assert(row->tokens[i] >= 0 && row->tokens[i] < model->dims.n_vocab);
            dec->places[t] = (struct place){row, i};
            format_read_f32_range(&model->embedding, token * dec->d, dec->d, x);
            model->ops->add(x, x, model->text_positions + position * dec->d, dec->d);
        }
    }
}

/* ---- Attention ------------------------------------------------------------------------------- */

struct attention_call {
    struct decoding *dec;
    int layer;
};

/* Tasks are head-major: neighbours in time share a head, so beams of one window find its keys in
 * cache. task = head * n + token.                                                                */
static void run_heads(struct decoding *dec, int layer, size_t keys, au_pool_task *task)
{
    struct attention_call call = {dec, layer};
    size_t tasks = dec->n * dec->n_heads;
    size_t macs = tasks * keys * dec->head_width * 2;
    au_pool_run(macs > INLINE_MACS ? dec->pool : NULL, tasks, task, &call);
}

static void self_task(void *context, size_t task, int worker)
{
    const struct attention_call *call = context;
    struct decoding *dec = call->dec;
    size_t token = task % dec->n, column = task / dec->n * dec->head_width;
    const struct place *place = &dec->places[token];
    const float *kv = dec->cells->kv + (size_t)call->layer * dec->cells->layer_floats;
    struct kern_attn_row_job job = {
        .q = dec->wide + token * 3 * dec->d + column,
        .k = kv + column,
        .v = kv + dec->d + column,
        .cells = place->row->cells,
        .scores = dec->scores + (size_t)worker * dec->n_scores,
        .out = dec->normed + token * dec->d + column,
        .kv_stride = 2 * dec->d,
        .n_keys = (size_t)(place->row->n_past + place->index + 1),
        .d = dec->head_width,
        .scale = 1.0F / sqrtf((float)dec->head_width),
    };
    dec->model->ops->attn_row(&job);
}

static void self_attention(struct decoding *dec, int layer)
{
    const struct whisper_block *block = &dec->model->decoder[layer];
    float *kv = dec->cells->kv + (size_t)layer * dec->cells->layer_floats;
    size_t d = dec->d, keys = 0;

    whisper_norm_rows(dec->model, dec->pool, &block->attn_ln, dec->x, dec->n, dec->normed);
    tensor_linear_run_fine(&block->qkv, dec->pool, dec->normed, d, dec->n, dec->wide, 3 * d, NULL,
                           KERN_ACT_NONE, dec->scratch);
    for (size_t t = 0; t < dec->n; t++) {
        const struct place *place = &dec->places[t];
        size_t position = (size_t)(place->row->n_past + place->index);
        size_t cell = (size_t)place->row->cells[position];
        assert(cell < dec->cells->n_cells);
        memcpy(kv + cell * 2 * d, dec->wide + t * 3 * d + d, 2 * d * sizeof(float));
        keys = whisper_larger(keys, position + 1);
    }
    run_heads(dec, layer, keys, self_task);
    tensor_linear_run_fine(&block->attn_out, dec->pool, dec->normed, d, dec->n, dec->x, d, dec->x,
                           KERN_ACT_NONE, dec->scratch);
}

/* Where the head's scores before softmax are wanted for a token (word alignment normalises over the
 * frames that hold sound only), or NULL.                                                        */
static float *wanted_scores(const struct decoding *dec, const struct place *place, int layer,
                            size_t head)
{
    const struct whisper_model *model = dec->model;
    const struct whisper_row *row = place->row;

    for (size_t i = 0; row->cross_weights && i < model->n_heads; i++)
        if (model->heads[i].layer == layer && (size_t)model->heads[i].head == head)
            return row->cross_weights + (i * (size_t)row->n_tokens + (size_t)place->index) *
                                            (size_t)model->dims.n_audio_ctx;
    return NULL;
}

/* task = head * n_groups + group: workers that run at the same time share a group's keys. */
static void cross_task(void *context, size_t task, int worker)
{
    const struct attention_call *call = context;
    struct decoding *dec = call->dec;
    const struct tensor_cross cross = whisper_cross(dec->model);
    size_t head = task / dec->n_groups, first = dec->groups[task % dec->n_groups];
    size_t m = dec->groups[task % dec->n_groups + 1] - first;
    const float *q[TENSOR_CROSS_QUERIES];
    float *out[TENSOR_CROSS_QUERIES], *scores[TENSOR_CROSS_QUERIES];

    for (size_t i = 0; i < m; i++) {
        q[i] = dec->wide + (first + i) * dec->d + head * dec->head_width;
        out[i] = dec->normed + (first + i) * dec->d + head * dec->head_width;
        scores[i] = wanted_scores(dec, &dec->places[first + i], call->layer, head);
    }
    const struct whisper_window *window = dec->places[first].row->window;
    tensor_cross_run(&cross, whisper_window_head(window, (size_t)call->layer, head), q, out, scores,
                     m, 1.0F / sqrtf((float)dec->head_width),
                     dec->cross_scratch + (size_t)worker * dec->cross_bytes);
}

/* Neighbouring tokens of the same window form a group. */
static void find_groups(struct decoding *dec)
{
    dec->n_groups = 0;
    for (size_t t = 0; t < dec->n; t++) {
        size_t first = dec->n_groups > 0 ? dec->groups[dec->n_groups - 1] : 0;
        if (t == 0 || t - first == TENSOR_CROSS_QUERIES ||
            dec->places[t].row->window != dec->places[first].row->window)
            dec->groups[dec->n_groups++] = t;
    }
    dec->groups[dec->n_groups] = dec->n;
}

static void cross_attention(struct decoding *dec, int layer)
{
    const struct whisper_block *block = &dec->model->decoder[layer];
    struct attention_call call = {dec, layer};
    size_t d = dec->d;

    whisper_norm_rows(dec->model, dec->pool, &block->cross_ln, dec->x, dec->n, dec->normed);
    tensor_linear_run_fine(&block->cross_q, dec->pool, dec->normed, d, dec->n, dec->wide, d, NULL,
                           KERN_ACT_NONE, dec->scratch);
    au_pool_run(dec->pool, dec->n_heads * dec->n_groups, cross_task, &call);
    tensor_linear_run_fine(&block->cross_out, dec->pool, dec->normed, d, dec->n, dec->x, d, dec->x,
                           KERN_ACT_NONE, dec->scratch);
}

/* ---- Logits ---------------------------------------------------------------------------------- */

/* Rows from `first` on whose logits follow each other as one matrix [n, V]: returns where they
 * end.                                                                                           */
static size_t adjacent_rows(const struct decoding *dec, size_t first, float **logits, size_t *n)
{
    size_t vocab = (size_t)dec->model->dims.n_vocab, r = first;

    *logits = NULL;
    for (*n = 0; r < dec->n_rows; r++) {
        const struct whisper_row *row = &dec->rows[r];
        if (row->n_logits == 0)
            continue;
        if (!*logits)
            *logits = row->logits;
        else if (row->logits != *logits + *n * vocab)
            break;
        *n += (size_t)row->n_logits;
    }
    return r;
}

/* The matrix of logits that is being made. */
struct pieces_call {
    const struct decoding *dec;
    size_t first;  /* its first row among all rows of logits */
    float *logits; /* [n, V] */
};

static void piece_ready(void *context, size_t m0, size_t m1, size_t n0, size_t n1)
{
    const struct pieces_call *call = context;
    const struct whisper_sink *sink = call->dec->sink;
    const size_t vocab = (size_t)call->dec->model->dims.n_vocab;
    for (size_t m = m0; m < m1; m++) {
        const size_t row = call->dec->owner[call->first + m];
        if (row < call->dec->n_rows)
            sink->ready(sink->context, row, call->logits + m * vocab, n0, n1);
    }
}

static void project(struct decoding *dec, const struct whisper_trace *trace)
{
    const struct whisper_model *model = dec->model;
    size_t vocab = (size_t)model->dims.n_vocab, d = dec->d, t = 0, done = 0, n;

    for (size_t r = 0; r < dec->n_rows; r++) {
        size_t tokens = (size_t)dec->rows[r].n_tokens, wanted = (size_t)dec->rows[r].n_logits;
        assert(wanted <= tokens);
        whisper_norm_rows(model, NULL, &model->decoder_ln, dec->x + (t + tokens - wanted) * d,
                          wanted, dec->picked + done * d);
        for (size_t i = 0; i < wanted; i++)
            dec->owner[done + i] = i + 1 == wanted ? r : dec->n_rows;
        t += tokens;
        done += wanted;
    }
    if (trace)
        trace->stage(trace->context, "ln", 0, dec->picked, done, d);
    done = 0;
    for (size_t r = 0; r < dec->n_rows; done += n) {
        struct pieces_call call = {.dec = dec, .first = done};
        r = adjacent_rows(dec, r, &call.logits, &n);
        tensor_linear_run_then(&model->output, dec->pool, dec->picked + done * d, d, n, call.logits,
                               vocab, dec->scratch, WHISPER_LOGITS_PIECE,
                               dec->sink ? piece_ready : NULL, &call);
    }
}

/* ---- The step -------------------------------------------------------------------------------- */

static void decode(const struct whisper_model *model, struct au_pool *pool,
                   struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                   const struct whisper_row *rows, const struct whisper_sink *sink,
                   const struct whisper_trace *trace)
{
    size_t mark = tensor_mark(ws);
    struct decoding dec = {
        .model = model,
        .pool = pool,
        .n_threads = au_pool_threads(pool),
        .cells = cells,
        .rows = rows,
        .n_rows = n_rows,
        .sink = sink,
    };
    for (size_t r = 0; r < n_rows; r++) {
        dec.n += (size_t)rows[r].n_tokens;
        dec.n_logits += (size_t)rows[r].n_logits;
    }
    take_buffers(&dec, ws);
    embed(&dec);
    find_groups(&dec);
    for (int i = 0; i < model->dims.n_text_layer; i++) {
        self_attention(&dec, i);
        cross_attention(&dec, i);
        whisper_mlp_rows(model, pool, &model->decoder[i], dec.n, dec.x, dec.normed, dec.wide,
                         dec.scratch);
        if (trace)
            trace->stage(trace->context, "block", i, dec.x, dec.n, dec.d);
    }
    project(&dec, trace);
    tensor_release(ws, mark);
}

void whisper_decode_traced(const struct whisper_model *model, struct au_pool *pool,
                           struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                           const struct whisper_row *rows, const struct whisper_trace *trace)
{
    decode(model, pool, ws, cells, n_rows, rows, NULL, trace);
}

void whisper_decode(const struct whisper_model *model, struct au_pool *pool,
                    struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                    const struct whisper_row *rows)
{
    decode(model, pool, ws, cells, n_rows, rows, NULL, NULL);
}

void whisper_decode_into(const struct whisper_model *model, struct au_pool *pool,
                         struct tensor_workspace *ws, struct whisper_cells *cells, size_t n_rows,
                         const struct whisper_row *rows, const struct whisper_sink *sink)
{
    decode(model, pool, ws, cells, n_rows, rows, sink, NULL);
}

size_t whisper_plan_decode(const struct whisper_model *model, int n_threads, size_t n_tokens,
                           size_t n_logits)
{
    struct tensor_workspace ws;
    struct decoding dec = {
        .model = model,
        .n_threads = n_threads,
        .n = n_tokens,
        .n_logits = n_logits,
    };
    tensor_workspace_plan(&ws);
    take_buffers(&dec, &ws);
    return ws.peak;
}
