/* Running units: equal kinds of many sessions become one batch.
 *
 * Encoder windows go in batches of max_windows. Decoder rows are gathered until the batch's room
 * for rows, tokens or logits is used up; then the model runs once for all of them and each row's
 * candidates are picked in parallel. A row's logits pass its filter piece by piece as they are
 * made, unless something else is to be read from them first. What a row gets never depends on its
 * neighbours.
 * Thread: any; calls wait for one another.  Allocates: never.                                    */
#include <assert.h>
#include <math.h>

#include "base/clock.h"
#include "recog/engine.h"
#include "recog/unit.h"

static void run_encodes(struct auricle_engine *engine, struct auricle_unit *const *units, size_t n)
{
    size_t batch = 0;
    for (size_t i = 0; i <= n; i++) {
        if (batch && (i == n || batch == (size_t)engine->max_windows)) {
            whisper_encode(engine->model, engine->pool, &engine->workspace, batch, engine->mels,
                           engine->windows, NULL);
            batch = 0;
        }
        if (i < n && units[i]->kind == RECOG_UNIT_ENCODE) {
            engine->mels[batch] = units[i]->mel;
            engine->windows[batch++] = units[i]->window;
        }
    }
}

/* Ids below zero, languages that the vocabulary lacks, get probability zero. */
static void choose_among(struct auricle_engine *engine, const struct recog_row *row,
                         const float *logits)
{
    for (int i = 0; i < row->n_choose; i++)
        row->choose_prob[i] = row->choose[i] < 0 ? -INFINITY : logits[row->choose[i]];
    engine->ops->softmax(row->choose_prob, (size_t)row->n_choose);
}

static void rate_targets(struct auricle_engine *engine, const struct recog_row *row)
{
    for (int i = 0; i < row->n_targets; i++) {
        const float *logits = row->model.logits + (size_t)i * (size_t)engine->dims->n_vocab;
        row->target_prob[i] = recog_probability(engine->ops, logits, (size_t)row->target_below,
                                                row->targets[i]);
    }
}

/* Whether the filter may suppress logits as soon as they are there. */
static bool filters_at_once(const struct recog_row *row)
{
    return row->rules && row->no_speech < 0 && !row->choose && row->n_targets == 0;
}

static void prepare_row(struct auricle_engine *engine, size_t i)
{
    const struct recog_row *row = engine->recog_rows[i];
    const size_t n_blocks = recog_filter_blocks((size_t)engine->dims->n_vocab);
    engine->model_rows[i] = row->model;
    if (row->rules)
        recog_filter_begin(&engine->filters[i], row->rules, engine->ops,
                           engine->blocks + i * n_blocks, row->sampled, row->n_sampled);
}

static void piece_ready(void *context, size_t row, float *logits, size_t n0, size_t n1)
{
    const struct auricle_engine *engine = context;
    if (filters_at_once(engine->recog_rows[row]))
        recog_filter_reduce(&engine->filters[row], logits, n0, n1);
}

static void pick_task(void *context, size_t task, int worker)
{
    (void)worker;
    struct auricle_engine *engine = context;
    struct recog_row *row = engine->recog_rows[task];
    size_t n_vocab = (size_t)engine->dims->n_vocab;
    float *first = row->model.logits, *last = first + (size_t)(row->model.n_logits - 1) * n_vocab;
    if (row->no_speech >= 0)
        row->no_speech_prob = recog_probability(engine->ops, first, n_vocab, row->no_speech);
    if (row->choose)
        choose_among(engine, row, first);
    rate_targets(engine, row);
    if (!row->rules)
        return;
    if (!filters_at_once(row))
        recog_filter_reduce(&engine->filters[task], last, 0, n_vocab);
    recog_filter_pick(&engine->filters[task], last, row->n_top, row->temperature, row->seed,
                      &row->pick);
}

struct batch {
    size_t rows, tokens, logits;
};

static void run_batch(struct auricle_engine *engine, struct batch *batch)
{
    if (!batch->rows)
        return;
    for (size_t i = 0; i < batch->rows; i++)
        prepare_row(engine, i);
    const struct whisper_sink sink = {piece_ready, engine};
    whisper_decode_into(engine->model, engine->pool, &engine->workspace, engine->cells, batch->rows,
                        engine->model_rows, &sink);
    au_pool_run(engine->pool, batch->rows, pick_task, engine);
    *batch = (struct batch){0};
}

static void add_row(struct auricle_engine *engine, struct batch *batch, struct recog_row *row)
{
    size_t tokens = (size_t)row->model.n_tokens, logits = (size_t)row->model.n_logits;
    assert(tokens <= engine->batch_tokens && logits <= engine->batch_logits && logits > 0);
    if (batch->rows == engine->batch_rows || batch->tokens + tokens > engine->batch_tokens ||
        batch->logits + logits > engine->batch_logits)
        run_batch(engine, batch);
    row->model.logits = engine->logits + batch->logits * (size_t)engine->dims->n_vocab;
    engine->recog_rows[batch->rows++] = row;
    batch->tokens += tokens;
    batch->logits += logits;
}

static void run_decodes(struct auricle_engine *engine, struct auricle_unit *const *units, size_t n)
{
    struct batch batch = {0};
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; units[i]->kind == RECOG_UNIT_DECODE && r < units[i]->n_rows; r++)
            add_row(engine, &batch, &units[i]->rows[r]);
    }
    run_batch(engine, &batch);
}

static size_t weight_of(const struct auricle_unit *unit, enum recog_unit_kind kind)
{
    if (unit->kind != kind)
        return 0;
    return kind == RECOG_UNIT_ENCODE ? 1 : unit->n_rows;
}

/* Windows, and rows, cost the same each: near enough for people who read timings. */
static void share_time(struct auricle_unit *const *units, size_t n, enum recog_unit_kind kind,
                       int64_t spent_ns)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += weight_of(units[i], kind);
    for (size_t i = 0; i < n; i++)
        if (units[i]->kind == kind)
            units[i]->seconds = (double)spent_ns * 1e-9 * (double)weight_of(units[i], kind) /
                                (double)(total ? total : 1);
}

void auricle_engine_run(struct auricle_engine *engine, struct auricle_unit *const *units, size_t n)
{
    pthread_mutex_lock(&engine->running);
    int64_t begin = au_now_ns();
    run_encodes(engine, units, n);
    int64_t encoded = au_now_ns();
    run_decodes(engine, units, n);
    share_time(units, n, RECOG_UNIT_ENCODE, encoded - begin);
    share_time(units, n, RECOG_UNIT_DECODE, au_now_ns() - encoded);
    pthread_mutex_unlock(&engine->running);
}
