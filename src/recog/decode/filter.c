/* Logit filters and candidate selection. See filter.h.
 *
 * Nothing is written to masked ranges: what is allowed is kept as two ranges, text [t0, t1) and
 * timestamps [s0, s1), and only single suppressed ids are set to minus infinity.                */
#include "recog/decode/filter.h"

#include <math.h>

double recog_uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

/* Index of the first id that is at least `lowest`. */
static size_t first_from(const int32_t *ids, size_t n, size_t lowest)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ids[middle] >= 0 && (size_t)ids[middle] >= lowest)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void suppress(float *logits, size_t n0, size_t n1, const int32_t *ids, size_t n)
{
    for (size_t i = first_from(ids, n, n0); i < n && (size_t)ids[i] < n1; i++)
        logits[ids[i]] = -INFINITY;
}

/* The rules on where timestamps may stand: in pairs, not decreasing, first of all. */
static void allow(struct recog_filter *f, const int32_t *sampled, size_t n)
{
    const struct recog_rules *rules = f->rules;
    size_t begin = (size_t)rules->timestamp_begin;
    f->t0 = 0;
    f->t1 = f->s0 = begin;
    f->s1 = rules->n_vocab;
    if (n == 0) {
        f->t1 = 0;
        size_t bound = begin + (size_t)rules->max_initial_timestamp + 1;
        if (rules->max_initial_timestamp >= 0 && bound < f->s1)
            f->s1 = bound;
        return;
    }
    bool last = sampled[n - 1] >= rules->timestamp_begin;
    bool before_last = n < 2 || sampled[n - 2] >= rules->timestamp_begin;
    if (last && before_last)
        f->s0 = f->s1; /* a pair is complete: text must follow */
    else if (last)     /* a pair is open: its second half, or the end */
        f->t0 = (size_t)rules->eot < begin ? (size_t)rules->eot : begin;
    for (size_t i = n; i-- > 0 && f->s0 < f->s1;) {
        if (sampled[i] < rules->timestamp_begin)
            continue;
        size_t lowest = (size_t)sampled[i] + (last && !before_last ? 0 : 1);
        f->s0 = lowest < f->s1 ? lowest : f->s1;
        break;
    }
}

void recog_filter_begin(struct recog_filter *filter, const struct recog_rules *rules,
                        const struct kern_ops *ops, struct recog_block *blocks,
                        const int32_t *sampled, size_t n_sampled)
{
    *filter = (struct recog_filter){.rules = rules,
                                    .ops = ops,
                                    .blocks = blocks,
                                    .first = n_sampled == 0,
                                    .t1 = rules->n_vocab,
                                    .s0 = rules->n_vocab,
                                    .s1 = rules->n_vocab};
    if (rules->timestamps)
        allow(filter, sampled, n_sampled);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* What [a, b) and [c, d) have in common. */
struct range {
    size_t begin, end;
};

static struct range common(size_t a, size_t b, size_t c, size_t d)
{
    const size_t begin = a > c ? a : c, end = b < d ? b : d;
    return (struct range){begin, end > begin ? end : begin};
}

static float reduce_range(const struct kern_ops *ops, const float *logits, struct range range,
                          float *largest)
{
    *largest = -INFINITY;
    if (range.begin == range.end)
        return -INFINITY;
    *largest = ops->max(logits + range.begin, range.end - range.begin, NULL);
    return ops->log_sum_exp(logits + range.begin, range.end - range.begin);
}

void recog_filter_reduce(const struct recog_filter *filter, float *logits, size_t n0, size_t n1)
{
    const struct recog_rules *rules = filter->rules;
    suppress(logits, n0, n1, rules->suppress, rules->n_suppress);
    if (filter->first)
        suppress(logits, n0, n1, rules->suppress_first, rules->n_suppress_first);
    if (rules->timestamps)
        suppress(logits, n0, n1, &rules->no_timestamps, 1);
    for (size_t begin = n0; begin < n1; begin += RECOG_BLOCK) {
        struct recog_block *block = &filter->blocks[begin / RECOG_BLOCK];
        const size_t end = begin + RECOG_BLOCK < n1 ? begin + RECOG_BLOCK : n1;
        block->text = reduce_range(filter->ops, logits, common(filter->t0, filter->t1, begin, end),
                                   &block->text_max);
        block->stamps = reduce_range(
            filter->ops, logits, common(filter->s0, filter->s1, begin, end), &block->stamps_max);
    }
}

/* Of all blocks: the log of the sum, and the largest. Stamps: of timestamps, else of text. */
static double reduce_blocks(const struct recog_filter *filter, bool stamps, float *largest)
{
    const size_t n = recog_filter_blocks(filter->rules->n_vocab);
    double high = -(double)INFINITY, sum = 0;
    *largest = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const struct recog_block *block = &filter->blocks[i];
        const float most = stamps ? block->stamps_max : block->text_max;
        const double part = (double)(stamps ? block->stamps : block->text);
        *largest = most > *largest ? most : *largest;
        high = part > high ? part : high;
    }
    if (!(high > -(double)INFINITY))
        return high;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)(stamps ? filter->blocks[i].stamps : filter->blocks[i].text) - high);
    return high + log(sum);
}

/* ---- Candidates ------------------------------------------------------------------------------ */

static double log_add(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return isinf(low) ? high : high + log1p(exp(low - high));
}

/* Insert a candidate into the descending list; equal values keep the order of arrival. */
static void offer(struct recog_pick *pick, int n_top, float value, size_t id)
{
    int at = pick->n;
    while (at > 0 && pick->logprob[at - 1] < value)
        at--;
    if (at == n_top)
        return;
    if (pick->n < n_top)
        pick->n++;
    for (int i = pick->n - 1; i > at; i--) {
        pick->id[i] = pick->id[i - 1];
        pick->logprob[i] = pick->logprob[i - 1];
    }
    pick->id[at] = (int32_t)id;
    pick->logprob[at] = value;
}

static void offer_range(struct recog_pick *pick, int n_top, const float *logits, size_t begin,
                        size_t end)
{
    for (size_t i = begin; i < end; i++) {
        if (logits[i] > -INFINITY && (pick->n < n_top || logits[i] > pick->logprob[n_top - 1]))
            offer(pick, n_top, logits[i], i);
    }
}

/* The n_top-th largest of the blocks' largest: what is below it is no candidate. */
static float threshold(const struct recog_filter *filter, bool text, int n_top)
{
    struct recog_pick most = {0};
    const size_t n = recog_filter_blocks(filter->rules->n_vocab);
    for (size_t i = 0; i < n; i++) {
        const float largest[] = {text ? filter->blocks[i].text_max : -INFINITY,
                                 filter->blocks[i].stamps_max};
        offer_range(&most, n_top, largest, 0, 2);
    }
    return most.n == n_top ? most.logprob[n_top - 1] : -INFINITY;
}

/* The best of the text and of the timestamps, in the order of their ids. */
static void offer_blocks(const struct recog_filter *f, bool text, const float *logits, int n_top,
                         struct recog_pick *out)
{
    const size_t n = recog_filter_blocks(f->rules->n_vocab);
    const float lowest = threshold(f, text, n_top);
    for (int stamps = text ? 0 : 1; stamps < 2; stamps++) {
        for (size_t i = 0; i < n; i++) {
            const struct recog_block *block = &f->blocks[i];
            const size_t begin = i * RECOG_BLOCK, end = begin + RECOG_BLOCK;
            const struct range range = stamps ? common(f->s0, f->s1, begin, end)
                                              : common(f->t0, f->t1, begin, end);
            if ((stamps ? block->stamps_max : block->text_max) >= lowest)
                offer_range(out, n_top, logits, range.begin, range.end);
        }
    }
}

static void scale_range(float *logits, size_t begin, size_t end, float factor)
{
    for (size_t i = begin; i < end; i++)
        logits[i] *= factor;
}

/* Walk the cumulative distribution over text and timestamps until it passes u. */
static size_t draw(const struct recog_filter *f, bool text, const float *logits, double u)
{
    const size_t t1 = text ? f->t1 : f->t0;
    double lse = log_add((double)f->ops->log_sum_exp(logits + f->t0, t1 - f->t0),
                         (double)f->ops->log_sum_exp(logits + f->s0, f->s1 - f->s0));
    double sum = 0;
    size_t last = f->t0 < t1 ? f->t0 : f->s0;
    for (int part = 0; part < 2; part++) {
        size_t begin = part ? f->s0 : f->t0, end = part ? f->s1 : t1;
        for (size_t i = begin; i < end; i++) {
            if (!(logits[i] > -INFINITY))
                continue;
            sum += exp((double)logits[i] - lse);
            last = i;
            if (sum > u)
                return i;
        }
    }
    return last; /* rounding left the sum just under u */
}

void recog_filter_pick(const struct recog_filter *filter, float *logits, int n_top,
                       float temperature, uint64_t seed, struct recog_pick *out)
{
    const struct recog_filter *f = filter;
    float best_text, best_stamp;
    double text = reduce_blocks(f, false, &best_text);
    double stamps = reduce_blocks(f, true, &best_stamp);
    /* Together the timestamps outweigh every single text token: one of them comes. */
    const bool no_text = f->rules->timestamps && f->t0 < f->t1 && stamps > (double)best_text;
    double total = no_text ? stamps : log_add(text, stamps);
    out->n = 0;
    if (isinf(total) || isnan(total))
        return;
    if (temperature > 0) {
        if (!no_text)
            scale_range(logits, f->t0, f->t1, 1.0f / temperature);
        scale_range(logits, f->s0, f->s1, 1.0f / temperature);
        for (int i = 0; i < n_top; i++) {
            size_t id = draw(f, !no_text, logits, recog_uniform(&seed));
            out->id[i] = (int32_t)id;
            out->logprob[i] = (float)((double)(logits[id] * temperature) - total);
        }
        out->n = n_top;
        return;
    }
    offer_blocks(f, !no_text, logits, n_top, out);
    for (int i = 0; i < out->n; i++)
        out->logprob[i] = (float)((double)out->logprob[i] - total);
}

float recog_probability(const struct kern_ops *ops, const float *logits, size_t n_vocab, int32_t id)
{
    if (id < 0 || (size_t)id >= n_vocab)
        return 0;
    return (float)exp((double)logits[id] - (double)ops->log_sum_exp(logits, n_vocab));
}
