/* Greedy, best-of and beam search as a state machine. See search.h.
 *
 * A hypothesis is its sampled tokens and the list of its cells, prompt included. Beams copy cell
 * lists, never keys or values. Finished beams are kept as candidates without cells.              */
#include "recog/decode/search.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

struct hypothesis {
    int32_t *tokens; /* [n_text_ctx] sampled */
    float *logprobs; /* [n_text_ctx] */
    int32_t *cells;  /* [n_text_ctx] prompt and sampled */
    int n_tokens, n_cells;
    double sum;
    bool ended; /* end-of-text was sampled */
};

enum phase { PHASE_IDLE, PHASE_SOT, PHASE_PROMPT, PHASE_STEP, PHASE_DONE };

struct recog_search {
    struct recog_search_config config;
    struct recog_cells *cells;
    int max_group, n_text_ctx;
    enum phase phase;
    int n_live;               /* hypotheses in use */
    struct hypothesis *live;  /* [max_group] */
    struct hypothesis *spare; /* [max_group] where the next generation of beams is built */
    struct hypothesis *ended; /* [ended_room]: candidates, at most round(beam * patience) kept */
    int n_ended, max_ended, ended_room;
    struct recog_row *rows; /* [max_group] */
    int *row_owner;         /* [max_group] hypothesis of each row */
    size_t n_rows;
    int best; /* index into ended after finishing */
    float no_speech_prob;
    int n_steps;
    uint64_t random;
};

static bool hypothesis_init(struct hypothesis *h, int n_text_ctx)
{
    h->tokens = au_calloc((size_t)n_text_ctx + 1, sizeof(int32_t));
    h->logprobs = au_calloc((size_t)n_text_ctx + 1, sizeof(float));
    h->cells = au_calloc((size_t)n_text_ctx + 1, sizeof(int32_t));
    return h->tokens && h->logprobs && h->cells;
}

static void hypothesis_deinit(struct hypothesis *h)
{
    au_free(h->tokens);
    au_free(h->logprobs);
    au_free(h->cells);
}

static struct hypothesis *hypotheses_create(int n, int n_text_ctx)
{
    struct hypothesis *list = au_calloc((size_t)n, sizeof(*list));
    for (int i = 0; list && i < n; i++) {
        if (!hypothesis_init(&list[i], n_text_ctx)) {
            for (int j = 0; j <= i; j++)
                hypothesis_deinit(&list[j]);
            au_free(list);
            return NULL;
        }
    }
    return list;
}

static void hypotheses_destroy(struct hypothesis *list, int n)
{
    for (int i = 0; list && i < n; i++)
        hypothesis_deinit(&list[i]);
    au_free(list);
}

static void copy_tokens(struct hypothesis *to, const struct hypothesis *from)
{
    memcpy(to->tokens, from->tokens, (size_t)from->n_tokens * sizeof(int32_t));
    memcpy(to->logprobs, from->logprobs, (size_t)from->n_tokens * sizeof(float));
    to->n_tokens = from->n_tokens;
    to->sum = from->sum;
    to->ended = from->ended;
}

static void copy_cells(struct recog_search *s, struct hypothesis *to, const struct hypothesis *from)
{
    memcpy(to->cells, from->cells, (size_t)from->n_cells * sizeof(int32_t));
    to->n_cells = from->n_cells;
    recog_cells_ref(s->cells, to->cells, (size_t)to->n_cells);
}

static void drop_cells(struct recog_search *s, struct hypothesis *h)
{
    recog_cells_unref(s->cells, h->cells, (size_t)h->n_cells);
    h->n_cells = 0;
}

static void append(struct hypothesis *h, int32_t token, float logprob)
{
    h->tokens[h->n_tokens] = token;
    h->logprobs[h->n_tokens++] = logprob;
}

size_t recog_search_cells_needed(int max_group, int n_text_ctx)
{
    /* While a generation of beams is exchanged both share their past, so one set is enough. */
    return (size_t)max_group * (size_t)n_text_ctx;
}

enum auricle_error recog_search_create(int max_group, int n_text_ctx, struct recog_cells *cells,
                                       struct recog_search **out)
{
    if (max_group < 1 || max_group > RECOG_MAX_BEAM || n_text_ctx < 1)
        return AURICLE_E_INVALID;
    struct recog_search *s = au_calloc(1, sizeof(*s));
    if (!s)
        return AURICLE_E_NOMEM;
    s->max_group = max_group;
    s->n_text_ctx = n_text_ctx;
    s->cells = cells;
    s->ended_room = RECOG_MAX_PATIENCE * max_group;
    s->live = hypotheses_create(max_group, n_text_ctx);
    s->spare = hypotheses_create(max_group, n_text_ctx);
    s->ended = hypotheses_create(s->ended_room, n_text_ctx);
    s->rows = au_calloc((size_t)max_group, sizeof(*s->rows));
    s->row_owner = au_calloc((size_t)max_group, sizeof(*s->row_owner));
    if (!s->live || !s->spare || !s->ended || !s->rows || !s->row_owner) {
        recog_search_destroy(s);
        return AURICLE_E_NOMEM;
    }
    *out = s;
    return AURICLE_OK;
}

static void drop_live(struct recog_search *s)
{
    for (int i = 0; s->live && i < s->n_live; i++)
        drop_cells(s, &s->live[i]);
    s->n_live = 0;
}

void recog_search_destroy(struct recog_search *s)
{
    if (!s)
        return;
    drop_live(s);
    hypotheses_destroy(s->live, s->max_group);
    hypotheses_destroy(s->spare, s->max_group);
    hypotheses_destroy(s->ended, s->ended_room);
    au_free(s->rows);
    au_free(s->row_owner);
    au_free(s);
}

void recog_search_begin(struct recog_search *s, const struct recog_search_config *config)
{
    assert(config->n_prompt >= 1 && config->n_prompt < s->n_text_ctx);
    assert(config->beam_size <= s->max_group && config->n_samples <= s->max_group);
    drop_live(s);
    s->config = *config;
    int wanted = (int)lroundf((float)config->beam_size * config->patience);
    s->max_ended = config->beam_size == 0   ? config->n_samples
                   : wanted < 1             ? 1
                   : wanted < s->ended_room ? wanted
                                            : s->ended_room;
    s->n_live = 1;
    s->live[0].n_tokens = s->live[0].n_cells = 0;
    s->live[0].sum = 0;
    s->live[0].ended = false;
    s->n_ended = s->n_steps = 0;
    s->best = -1;
    s->no_speech_prob = 0;
    s->random = config->seed;
    s->phase = config->sot_index + 8 < config->n_prompt ? PHASE_SOT : PHASE_PROMPT;
}

static void fill_row(struct recog_search *s, struct recog_row *row, struct hypothesis *h,
                     const int32_t *tokens, int n_tokens, int n_logits)
{
    const struct recog_search_config *c = &s->config;
    memset(row, 0, sizeof(*row));
    row->model.window = c->window;
    row->model.tokens = tokens;
    row->model.n_tokens = n_tokens;
    row->model.n_past = h->n_cells;
    row->model.cells = h->cells;
    row->model.n_logits = n_logits;
    for (int i = 0; i < n_tokens; i++)
        h->cells[h->n_cells++] = recog_cells_take(s->cells);
    row->rules = c->rules;
    row->sampled = h->tokens;
    row->n_sampled = (size_t)h->n_tokens;
    bool fan = c->temperature > 0 && s->phase == PHASE_PROMPT;
    row->n_top = c->beam_size ? c->beam_size + 1 : fan ? c->n_samples : 1;
    row->temperature = c->temperature;
    row->seed = s->random;
    (void)recog_uniform(&s->random);
    row->no_speech = -1;
}

/* The prompt in one call; a long prefix after <|startoftranscript|> makes it two, so that few
 * rows of logits are kept.                                                                       */
static void prompt_row(struct recog_search *s)
{
    const struct recog_search_config *c = &s->config;
    struct hypothesis *h = &s->live[0];
    int end = s->phase == PHASE_SOT ? c->sot_index + 1 : c->n_prompt;
    int begin = h->n_cells;
    bool has_sot = begin <= c->sot_index;
    int n_logits = has_sot ? end - c->sot_index : 1;
    fill_row(s, &s->rows[0], h, c->prompt + begin, end - begin, n_logits);
    s->rows[0].no_speech = has_sot ? c->no_speech : -1;
    if (s->phase == PHASE_SOT)
        s->rows[0].rules = NULL;
    s->row_owner[0] = 0;
    s->n_rows = 1;
}

static void step_rows(struct recog_search *s)
{
    s->n_rows = 0;
    for (int i = 0; i < s->n_live; i++) {
        struct hypothesis *h = &s->live[i];
        if (h->ended)
            continue;
        s->row_owner[s->n_rows] = i;
        fill_row(s, &s->rows[s->n_rows], h, &h->tokens[h->n_tokens - 1], 1, 1);
        s->n_rows++;
    }
}

bool recog_search_next(struct recog_search *s, struct recog_row **rows, size_t *n_rows)
{
    if (s->phase == PHASE_DONE || s->phase == PHASE_IDLE)
        return false;
    if (s->phase == PHASE_STEP)
        step_rows(s);
    else
        prompt_row(s);
    s->n_steps++;
    *rows = s->rows;
    *n_rows = s->n_rows;
    return true;
}

/* ---- Ranking --------------------------------------------------------------------------------- */

static double rank(const struct recog_search *s, const struct hypothesis *h)
{
    int length = h->n_tokens;
    if (s->config.length_penalty < 0)
        return length ? h->sum / length : h->sum;
    return h->sum / pow((5.0 + length) / 6.0, (double)s->config.length_penalty);
}

static void finish(struct recog_search *s)
{
    s->best = 0;
    for (int i = 1; i < s->n_ended; i++) {
        if (rank(s, &s->ended[i]) > rank(s, &s->ended[s->best]))
            s->best = i;
    }
    drop_live(s);
    s->phase = PHASE_DONE;
}

static void keep_ended(struct recog_search *s, const struct hypothesis *h)
{
    assert(s->n_ended < s->ended_room);
    copy_tokens(&s->ended[s->n_ended++], h);
}

/* Whether another step is allowed after this one left n_tokens sampled tokens. */
static bool has_room(const struct recog_search *s, int n_tokens)
{
    return n_tokens < s->config.max_tokens && s->config.n_prompt + n_tokens <= s->n_text_ctx;
}

/* ---- Greedy and best-of ---------------------------------------------------------------------- */

static void take_sample(struct recog_search *s, struct hypothesis *h, const struct recog_pick *pick,
                        int i)
{
    if (pick->n <= i || pick->id[i] == s->config.rules->eot) {
        if (pick->n > i)
            h->sum += (double)pick->logprob[i];
        h->ended = true;
        return;
    }
    h->sum += (double)pick->logprob[i];
    append(h, pick->id[i], pick->logprob[i]);
}

/* All samples start as copies of the prompt; each has drawn its own first token. */
static void fan_out(struct recog_search *s)
{
    for (int i = 1; i < s->config.n_samples; i++) {
        copy_tokens(&s->live[i], &s->live[0]);
        copy_cells(s, &s->live[i], &s->live[0]);
    }
    s->n_live = s->config.n_samples;
    for (int i = 0; i < s->n_live; i++)
        take_sample(s, &s->live[i], &s->rows[0].pick, i);
}

static void complete_samples(struct recog_search *s, bool first)
{
    if (first)
        fan_out(s);
    for (size_t r = 0; !first && r < s->n_rows; r++)
        take_sample(s, &s->live[s->row_owner[r]], &s->rows[r].pick, 0);
    bool any = false;
    for (int i = 0; i < s->n_live; i++)
        any |= !s->live[i].ended && has_room(s, s->live[i].n_tokens);
    if (any)
        return;
    for (int i = 0; i < s->n_live; i++)
        keep_ended(s, &s->live[i]);
    finish(s);
}

/* ---- Beam ------------------------------------------------------------------------------------ */

struct candidate {
    double sum;
    float logprob;
    int32_t token;
    int parent;
};

/* All continuations of all beams, best first; equals keep the order beam by beam. */
static int collect(struct recog_search *s, struct candidate *list)
{
    int n = 0;
    for (size_t r = 0; r < s->n_rows; r++) {
        const struct hypothesis *h = &s->live[s->row_owner[r]];
        for (int i = 0; i < s->rows[r].pick.n; i++) {
            struct candidate c = {.logprob = s->rows[r].pick.logprob[i],
                                  .token = s->rows[r].pick.id[i],
                                  .parent = s->row_owner[r]};
            c.sum = h->sum + (double)c.logprob;
            int at = n++;
            for (; at > 0 && list[at - 1].sum < c.sum; at--)
                list[at] = list[at - 1];
            list[at] = c;
        }
    }
    return n;
}

static void grow(struct recog_search *s, struct hypothesis *to, const struct candidate *c)
{
    copy_tokens(to, &s->live[c->parent]);
    copy_cells(s, to, &s->live[c->parent]);
    append(to, c->token, c->logprob);
    to->sum = c->sum;
}

static void keep_candidate(struct recog_search *s, const struct candidate *c)
{
    if (s->n_ended >= s->max_ended)
        return;
    keep_ended(s, &s->live[c->parent]);
    s->ended[s->n_ended - 1].sum = c->sum;
    s->ended[s->n_ended - 1].ended = true;
}

/* Too few beams ended by themselves: the unfinished ones count, best first. */
static void keep_unfinished(struct recog_search *s)
{
    bool used[RECOG_MAX_BEAM] = {false};
    while (s->n_ended < s->config.beam_size) {
        int best = -1;
        for (int i = 0; i < s->n_live; i++) {
            if (!used[i] && (best < 0 || s->live[i].sum >= s->live[best].sum))
                best = i;
        }
        if (best < 0)
            return;
        used[best] = true;
        keep_ended(s, &s->live[best]);
    }
}

static void complete_beams(struct recog_search *s)
{
    struct candidate list[RECOG_MAX_BEAM * RECOG_MAX_TOP];
    int n = collect(s, list), n_next = 0;
    if (n == 0) { /* logits that are no numbers: what was written so far is all there is */
        for (int i = 0; i < s->n_live; i++)
            s->live[i].ended = true;
        keep_unfinished(s);
        finish(s);
        return;
    }
    for (int i = 0; i < n && n_next < s->config.beam_size; i++) {
        if (list[i].token == s->config.rules->eot)
            keep_candidate(s, &list[i]);
        else
            grow(s, &s->spare[n_next++], &list[i]);
    }
    int n_tokens = s->live[0].n_tokens + 1;
    for (int i = 0; i < s->n_live; i++)
        drop_cells(s, &s->live[i]);
    struct hypothesis *old = s->live;
    s->live = s->spare;
    s->spare = old;
    s->n_live = n_next;
    if (s->n_ended < s->max_ended && n_next > 0 && has_room(s, n_tokens))
        return;
    if (s->n_ended < s->config.beam_size)
        keep_unfinished(s);
    finish(s);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

void recog_search_complete(struct recog_search *s)
{
    if (s->rows[0].no_speech >= 0)
        s->no_speech_prob = s->rows[0].no_speech_prob;
    if (s->phase == PHASE_SOT) {
        s->phase = PHASE_PROMPT;
        return;
    }
    bool first = s->phase == PHASE_PROMPT;
    s->phase = PHASE_STEP;
    if (s->config.beam_size) {
        complete_beams(s);
        return;
    }
    complete_samples(s, first);
}

bool recog_search_finished(const struct recog_search *s)
{
    return s->phase == PHASE_DONE;
}

void recog_search_result(const struct recog_search *s, struct recog_search_result *out)
{
    assert(s->phase == PHASE_DONE);
    const struct hypothesis *h = &s->ended[s->best];
    out->tokens = h->tokens;
    out->logprobs = h->logprobs;
    out->n_tokens = h->n_tokens;
    out->sum_logprob = h->sum;
    out->avg_logprob = (float)(h->sum / (h->n_tokens + 1));
    out->no_speech_prob = s->no_speech_prob;
    out->ended = h->ended;
    out->n_steps = s->n_steps;
}

int recog_search_candidates(const struct recog_search *s)
{
    return s->n_ended;
}

void recog_search_candidate(const struct recog_search *s, int i, const int32_t **tokens, int *n,
                            double *sum)
{
    *tokens = s->ended[i].tokens;
    *n = s->ended[i].n_tokens;
    *sum = s->ended[i].sum;
}
