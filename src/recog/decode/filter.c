/* Logit filters and candidate selection. See filter.h.
 *
 * Nothing is written to masked ranges: what is allowed is kept as two ranges, text [t0, t1) and
 * timestamps [s0, s1), and only single suppressed ids are set to minus infinity.                */
#include "recog/decode/filter.h"

#include <math.h>

struct allowed {
    size_t t0, t1; /* text and special tokens below the timestamps */
    size_t s0, s1; /* timestamps */
};

double recog_uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

static void suppress(float *logits, size_t n_vocab, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= 0 && (size_t)ids[i] < n_vocab)
            logits[ids[i]] = -INFINITY;
    }
}

/* The rules on where timestamps may stand: in pairs, not decreasing, first of all. */
static struct allowed allow(const struct recog_rules *rules, const int32_t *sampled, size_t n)
{
    size_t begin = (size_t)rules->timestamp_begin;
    struct allowed a = {0, begin, begin, rules->n_vocab};
    if (n == 0) {
        a.t1 = 0;
        size_t bound = begin + (size_t)rules->max_initial_timestamp + 1;
        if (rules->max_initial_timestamp >= 0 && bound < a.s1)
            a.s1 = bound;
        return a;
    }
    bool last = sampled[n - 1] >= rules->timestamp_begin;
    bool before_last = n < 2 || sampled[n - 2] >= rules->timestamp_begin;
    if (last && before_last)
        a.s0 = a.s1; /* a pair is complete: text must follow */
    else if (last)
        a.t0 = (size_t)rules->eot; /* a pair is open: its second half, or the end */
    for (size_t i = n; i-- > 0 && a.s0 < a.s1;) {
        if (sampled[i] < rules->timestamp_begin)
            continue;
        size_t lowest = (size_t)sampled[i] + (last && !before_last ? 0 : 1);
        a.s0 = lowest < a.s1 ? lowest : a.s1;
        break;
    }
    return a;
}

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

static void scale_range(float *logits, size_t begin, size_t end, float factor)
{
    for (size_t i = begin; i < end; i++)
        logits[i] *= factor;
}

/* Walk the cumulative distribution over both ranges until it passes u. */
static size_t draw(const struct kern_ops *ops, const float *logits, const struct allowed *a,
                   double u)
{
    double lse = log_add((double)ops->log_sum_exp(logits + a->t0, a->t1 - a->t0),
                         (double)ops->log_sum_exp(logits + a->s0, a->s1 - a->s0));
    double sum = 0;
    size_t last = a->t0 < a->t1 ? a->t0 : a->s0;
    for (int part = 0; part < 2; part++) {
        size_t begin = part ? a->s0 : a->t0, end = part ? a->s1 : a->t1;
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

void recog_pick(const struct recog_rules *rules, const struct kern_ops *ops, float *logits,
                const int32_t *sampled, size_t n_sampled, int n_top, float temperature,
                uint64_t seed, struct recog_pick *out)
{
    suppress(logits, rules->n_vocab, rules->suppress, rules->n_suppress);
    if (n_sampled == 0)
        suppress(logits, rules->n_vocab, rules->suppress_first, rules->n_suppress_first);
    struct allowed a = {0, rules->n_vocab, rules->n_vocab, rules->n_vocab};
    if (rules->timestamps) {
        suppress(logits, rules->n_vocab, &rules->no_timestamps, 1);
        a = allow(rules, sampled, n_sampled);
    }
    double text = (double)ops->log_sum_exp(logits + a.t0, a.t1 - a.t0);
    double stamps = (double)ops->log_sum_exp(logits + a.s0, a.s1 - a.s0);
    if (rules->timestamps && a.t0 < a.t1) {
        size_t best;
        float best_text = ops->max(logits + a.t0, a.t1 - a.t0, &best);
        /* Together the timestamps outweigh every single text token: one of them comes. */
        if (stamps > (double)best_text) {
            a.t1 = a.t0;
            text = (double)-INFINITY;
        }
    }
    double total = log_add(text, stamps);
    out->n = 0;
    if (isinf(total) || isnan(total))
        return;
    if (temperature > 0) {
        scale_range(logits, a.t0, a.t1, 1.0f / temperature);
        scale_range(logits, a.s0, a.s1, 1.0f / temperature);
        for (int i = 0; i < n_top; i++) {
            size_t id = draw(ops, logits, &a, recog_uniform(&seed));
            out->id[i] = (int32_t)id;
            out->logprob[i] = (float)((double)(logits[id] * temperature) - total);
        }
        out->n = n_top;
        return;
    }
    offer_range(out, n_top, logits, a.t0, a.t1);
    offer_range(out, n_top, logits, a.s0, a.s1);
    for (int i = 0; i < out->n; i++)
        out->logprob[i] = (float)((double)out->logprob[i] - total);
}

float recog_probability(const struct kern_ops *ops, const float *logits, size_t n_vocab, int32_t id)
{
    if (id < 0 || (size_t)id >= n_vocab)
        return 0;
    return (float)exp((double)logits[id] - (double)ops->log_sum_exp(logits, n_vocab));
}
