/* Decoding without a model: logit filters against a plain restatement of the rules, search
 * driven by made-up candidates, cutting at timestamps, and the cells' book-keeping. */
#include <math.h>

#include "recog/decode/cells.h"
#include "recog/decode/filter.h"
#include "recog/decode/search.h"
#include "recog/longform/segments.h"
#include "recog/trim.h"
#include "support/support.h"

enum { EOT = 20, NO_TIMESTAMPS = 27, BEGIN = 28, VOCAB = 60 };

static const int32_t suppressed[] = {3, 21, 22};
static const int32_t suppressed_first[] = {0, EOT};

static struct recog_rules test_rules(bool timestamps)
{
    return (struct recog_rules){.suppress = suppressed,
                                .n_suppress = 3,
                                .suppress_first = suppressed_first,
                                .n_suppress_first = 2,
                                .timestamps = timestamps,
                                .max_initial_timestamp = 10,
                                .eot = EOT,
                                .no_timestamps = NO_TIMESTAMPS,
                                .timestamp_begin = BEGIN,
                                .n_vocab = VOCAB};
}

static double lse(const double *x, int begin, int end)
{
    double sum = 0;
    for (int i = begin; i < end; i++)
        sum += exp(x[i]);
    return log(sum);
}

static void mask(double *x, int begin, int end)
{
    for (int i = begin; i < end; i++)
        x[i] = -(double)INFINITY;
}

/* The rules as the original states them, one after the other, on log-probabilities. */
static void reference_filter(const float *logits, const int32_t *seq, int n, bool timestamps,
                             double *out)
{
    for (int i = 0; i < VOCAB; i++)
        out[i] = (double)logits[i];
    if (n == 0) {
        mask(out, 0, 1);
        mask(out, EOT, EOT + 1);
    }
    mask(out, 3, 4);
    mask(out, 21, 23);
    if (timestamps) {
        bool last = n >= 1 && seq[n - 1] >= BEGIN, penultimate = n < 2 || seq[n - 2] >= BEGIN;
        int latest = -1;
        for (int i = 0; i < n; i++)
            latest = seq[i] >= BEGIN ? seq[i] : latest;
        mask(out, NO_TIMESTAMPS, NO_TIMESTAMPS + 1);
        if (last && penultimate)
            mask(out, BEGIN, VOCAB);
        else if (last)
            mask(out, 0, EOT);
        if (latest >= 0)
            mask(out, BEGIN, last && !penultimate ? latest : latest + 1);
        if (n == 0) {
            mask(out, 0, BEGIN);
            mask(out, BEGIN + 11, VOCAB);
        }
        double best = -(double)INFINITY;
        for (int i = 0; i < BEGIN; i++)
            best = out[i] > best ? out[i] : best;
        if (lse(out, BEGIN, VOCAB) > best)
            mask(out, 0, BEGIN);
    }
    double total = lse(out, 0, VOCAB);
    for (int i = 0; i < VOCAB; i++)
        out[i] -= total;
}

static int random_sequence(struct au_test_random *r, int32_t *seq)
{
    int n = (int)(au_test_random_u64(r) % 6), stamp = BEGIN;
    for (int i = 0; i < n; i++) {
        bool is_stamp = au_test_random_u64(r) % 2 && stamp < VOCAB - 1;
        stamp += is_stamp ? (int)(au_test_random_u64(r) % 4) : 0;
        stamp = stamp < VOCAB ? stamp : VOCAB - 1;
        seq[i] = is_stamp ? stamp : (int32_t)(au_test_random_u64(r) % EOT);
    }
    return n;
}

/* A whole row at once. */
static void pick_row(const struct recog_rules *rules, const struct kern_ops *ops, float *logits,
                     const int32_t *sampled, size_t n_sampled, int n_top, float temperature,
                     uint64_t seed, struct recog_pick *out)
{
    struct recog_block blocks[1];
    struct recog_filter filter;
    assert_int_equal(recog_filter_blocks(rules->n_vocab), 1);
    recog_filter_begin(&filter, rules, ops, blocks, sampled, n_sampled);
    recog_filter_reduce(&filter, logits, 0, rules->n_vocab);
    recog_filter_pick(&filter, logits, n_top, temperature, seed, out);
}

static void candidates_follow_the_rules(void **state)
{
    (void)state;
    struct au_test_random r = {7};
    const struct kern_ops *ops = kern_select(KERN_N_LEVELS);
    for (int round = 0; round < 5000; round++) {
        float logits[VOCAB];
        double want[VOCAB];
        int32_t seq[8];
        for (int i = 0; i < VOCAB; i++)
            logits[i] = au_test_random_f32(&r) * 6;
        int n = random_sequence(&r, seq);
        bool timestamps = round % 3 != 0;
        struct recog_rules rules = test_rules(timestamps);
        struct recog_pick pick;
        reference_filter(logits, seq, n, timestamps, want);
        pick_row(&rules, ops, logits, seq, (size_t)n, 5, 0, 0, &pick);
        for (int i = 0; i < pick.n; i++) {
            assert_true(fabs((double)pick.logprob[i] - want[pick.id[i]]) < 1e-5);
            want[pick.id[i]] = -(double)INFINITY;
            for (int j = 0; j < VOCAB; j++)
                assert_true(!(want[j] > (double)pick.logprob[i] + 1e-5));
        }
        assert_true(pick.n > 0);
    }
}

static void nothing_allowed_gives_no_candidate(void **state)
{
    (void)state;
    struct recog_rules rules = test_rules(false);
    struct recog_pick pick;
    float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -INFINITY;
    pick_row(&rules, kern_select(KERN_N_LEVELS), logits, NULL, 0, 3, 0, 0, &pick);
    assert_int_equal(pick.n, 0);
}

/* The tokenizer refuses such a vocabulary; the filter leaves nothing to read before its row. */
static void an_end_behind_the_timestamps_is_no_harm(void **state)
{
    (void)state;
    struct recog_rules rules = test_rules(true);
    const int32_t seq[] = {5, BEGIN + 3};
    rules.eot = BEGIN + 10;
    for (int i = 0; i < 2; i++) {
        struct recog_pick pick;
        float logits[VOCAB];
        for (int id = 0; id < VOCAB; id++)
            logits[id] = (float)(id % 7);
        pick_row(&rules, kern_select(KERN_N_LEVELS), logits, seq, 2, 1, i ? 1.0F : 0.0F, 7, &pick);
        assert_int_equal(pick.n, 1);
        assert_true(pick.id[0] >= BEGIN + 3);
    }
}

static void samples_follow_the_distribution(void **state)
{
    (void)state;
    struct recog_rules rules = test_rules(false);
    const struct kern_ops *ops = kern_select(KERN_N_LEVELS);
    const int32_t seq[] = {5};
    int count[VOCAB] = {0}, n_draws = 20000;
    for (int round = 0; round < n_draws; round++) {
        float logits[VOCAB];
        for (int i = 0; i < VOCAB; i++)
            logits[i] = -20;
        logits[5] = 1;
        logits[40] = 0; /* the ratio at temperature 0.5 is e^2 */
        struct recog_pick pick;
        pick_row(&rules, ops, logits, seq, 1, 1, 0.5f, (uint64_t)round * 77, &pick);
        assert_int_equal(pick.n, 1);
        count[pick.id[0]]++;
        double want = pick.id[0] == 5 ? log(1 / (1 + exp(-1))) : log(1 / (1 + exp(1)));
        assert_true(fabs((double)pick.logprob[0] - want) < 1e-4);
    }
    double share = (double)count[5] / n_draws, expected = 1 / (1 + exp(-2));
    assert_true(fabs(share - expected) < 0.01);
    assert_int_equal(count[5] + count[40], n_draws);
}

/* ---- Search ---------------------------------------------------------------------------------- */

/* A made-up language model: the score of a token depends on the tokens before it. */
static double score(const int32_t *seq, size_t n, int32_t token)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)seq[i]) * 1099511628211u;
    h = (h ^ (uint64_t)token) * 1099511628211u;
    h ^= h >> 29;
    return -0.1 - (double)(h % 1000) / 250.0;
}

static void fake_pick(struct recog_row *row, int n_tokens)
{
    float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i < n_tokens || i == EOT ? (float)score(row->sampled, row->n_sampled, i)
                                             : -INFINITY;
    pick_row(row->rules, kern_select(KERN_N_LEVELS), logits, row->sampled, row->n_sampled,
             row->n_top, row->temperature, row->seed, &row->pick);
}

static void drive(struct recog_search *search, int n_tokens)
{
    struct recog_row *rows;
    size_t n;
    while (recog_search_next(search, &rows, &n)) {
        for (size_t i = 0; i < n; i++) {
            if (rows[i].rules)
                fake_pick(&rows[i], n_tokens);
        }
        recog_search_complete(search);
    }
    assert_true(recog_search_finished(search));
}

static struct recog_search_config small_config(const struct recog_rules *rules,
                                               const int32_t *prompt)
{
    return (struct recog_search_config){.prompt = prompt,
                                        .n_prompt = 3,
                                        .rules = rules,
                                        .n_samples = 1,
                                        .patience = 1,
                                        .length_penalty = -1,
                                        .max_tokens = 4,
                                        .n_text_ctx = 32,
                                        .no_speech = -1};
}

/* Best normalised score over all sequences of a tiny vocabulary, by trying them all. */
static void try_all(int32_t *seq, size_t n, double sum, size_t most, double *best)
{
    struct recog_rules rules = test_rules(false);
    float logits[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i < 3 || i == EOT ? (float)score(seq, n, i) : -INFINITY;
    struct recog_pick pick;
    pick_row(&rules, kern_select(KERN_N_LEVELS), logits, seq, n, 5, 0, 0, &pick);
    for (int i = 0; i < pick.n; i++) {
        double total = sum + (double)pick.logprob[i];
        if (pick.id[i] == EOT || n + 1 == most) {
            double rank = total / (double)(pick.id[i] == EOT ? n : n + 1);
            *best = rank > *best ? rank : *best;
        }
        if (pick.id[i] != EOT && n + 1 < most) {
            seq[n] = pick.id[i];
            try_all(seq, n + 1, total, most, best);
        }
    }
}

static void a_wide_beam_with_patience_finds_the_best(void **state)
{
    (void)state;
    struct recog_rules rules = test_rules(false);
    const int32_t prompt[] = {23, 24, 25};
    struct recog_cells *cells = NULL;
    struct recog_search *search = NULL;
    au_test_ok(recog_cells_create(1024, &cells), NULL);
    au_test_ok(recog_search_create(16, 32, cells, &search), NULL);
    struct recog_search_config config = small_config(&rules, prompt);
    config.beam_size = 16;
    config.patience = 4; /* wide enough to hold every sequence of up to two tokens */
    config.max_tokens = 3;
    recog_search_begin(search, &config);
    drive(search, 3);
    struct recog_search_result got;
    recog_search_result(search, &got);
    int32_t seq[8];
    double best = -(double)INFINITY;
    try_all(seq, 0, 0, 3, &best);
    assert_true(fabs(got.sum_logprob / got.n_tokens - best) < 1e-5);
    recog_search_destroy(search);
    assert_int_equal(recog_cells_in_use(cells), 0);
    recog_cells_destroy(cells);
}

static void every_search_gives_its_cells_back(void **state)
{
    (void)state;
    struct recog_rules rules = test_rules(false);
    const int32_t prompt[] = {23, 24, 25, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct recog_cells *cells = NULL;
    struct recog_search *search = NULL;
    au_test_ok(recog_cells_create(recog_search_cells_needed(5, 32), &cells), NULL);
    au_test_ok(recog_search_create(5, 32, cells, &search), NULL);
    for (int round = 0; round < 200; round++) {
        struct recog_search_config config = small_config(&rules, prompt);
        config.n_prompt = round % 7 ? 3 : 14; /* a long prefix takes two prompt steps */
        config.beam_size = round % 3 ? 5 : 0;
        config.temperature = config.beam_size ? 0 : 0.8f;
        config.n_samples = config.beam_size ? 1 : 1 + round % 5;
        config.max_tokens = 40; /* runs into the end of the context */
        config.seed = (uint64_t)round;
        recog_search_begin(search, &config);
        if (round % 11 == 0)
            continue; /* abandoned */
        drive(search, 6);
        assert_int_equal(recog_cells_in_use(cells), 0);
    }
    recog_search_destroy(search);
    assert_int_equal(recog_cells_in_use(cells), 0);
    recog_cells_destroy(cells);
}

static void best_of_keeps_the_likeliest_sample(void **state)
{
    (void)state;
    struct recog_rules rules = test_rules(false);
    const int32_t prompt[] = {23, 24, 25};
    struct recog_cells *cells = NULL;
    struct recog_search *search = NULL;
    au_test_ok(recog_cells_create(1024, &cells), NULL);
    au_test_ok(recog_search_create(5, 32, cells, &search), NULL);
    struct recog_search_config config = small_config(&rules, prompt);
    config.temperature = 1;
    config.n_samples = 5;
    config.seed = 99;
    recog_search_begin(search, &config);
    drive(search, 6);
    struct recog_search_result got;
    recog_search_result(search, &got);
    assert_int_equal(recog_search_candidates(search), 5);
    for (int i = 0; i < 5; i++) {
        const int32_t *tokens;
        int n;
        double sum;
        recog_search_candidate(search, i, &tokens, &n, &sum);
        assert_true(sum / n <= got.sum_logprob / got.n_tokens + 1e-12);
    }
    recog_search_destroy(search);
    recog_cells_destroy(cells);
}

static void no_memory_is_an_ordinary_error(void **state)
{
    (void)state;
    assert_int_equal(recog_search_create(17, 32, NULL, NULL), AURICLE_E_INVALID);
}

/* ---- Segments -------------------------------------------------------------------------------- */

#define T(seconds) (BEGIN + (int32_t)((seconds) / 0.02 + 0.5))

static void pairs_of_timestamps_cut_segments(void **state)
{
    (void)state;
    const int32_t tokens[] = {T(0), 1, 2, T(1), T(1), 3, T(2.5), T(2.5), 4};
    struct recog_span spans[RECOG_MAX_SPANS];
    int64_t advance;
    size_t n = recog_segments_cut(tokens, 9, BEGIN, 3000, false, spans, &advance);
    assert_int_equal(n, 2);
    assert_int_equal(spans[1].first, 4);
    assert_int_equal(spans[1].n, 3);
    assert_int_equal(spans[1].start, 50);
    assert_int_equal(spans[1].end, 125);
    assert_int_equal(advance, 250); /* the open segment is heard again in the next window */
}

static void a_single_ending_finishes_the_window(void **state)
{
    (void)state;
    const int32_t tokens[] = {T(0), 1, T(1), T(1), 3, T(2)};
    struct recog_span spans[RECOG_MAX_SPANS];
    int64_t advance;
    assert_int_equal(recog_segments_cut(tokens, 6, BEGIN, 1100, false, spans, &advance), 2);
    assert_int_equal(spans[1].end, 100);
    assert_int_equal(advance, 1100);
}

static void no_pair_gives_one_segment(void **state)
{
    (void)state;
    const int32_t tokens[] = {T(0), 1, 2, T(3)}, bare[] = {1, 2};
    struct recog_span spans[RECOG_MAX_SPANS];
    int64_t advance;
    assert_int_equal(recog_segments_cut(tokens, 4, BEGIN, 1100, false, spans, &advance), 1);
    assert_int_equal(spans[0].end, 150);
    assert_int_equal(recog_segments_cut(bare, 2, BEGIN, 1100, false, spans, &advance), 1);
    assert_int_equal(spans[0].end, 550);
    assert_int_equal(advance, 1100);
    assert_int_equal(recog_segments_cut(bare, 0, BEGIN, 40, false, spans, &advance), 1);
    assert_int_equal(spans[0].n, 0);
}

static void a_tail_without_text_is_no_segment(void **state)
{
    (void)state;
    const int32_t pair[] = {T(0), 1, T(2), T(2)}, text[] = {T(0), 1, T(2), T(2), 5};
    struct recog_span spans[RECOG_MAX_SPANS];
    int64_t advance;
    assert_int_equal(recog_segments_cut(pair, 4, BEGIN, 1100, true, spans, &advance), 1);
    assert_int_equal(recog_segments_cut(text, 5, BEGIN, 1100, true, spans, &advance), 2);
    assert_int_equal(spans[1].start, 100);
    assert_int_equal(spans[1].end, 550);
}

static void text_without_a_first_timestamp_begins_with_the_window(void **state)
{
    (void)state;
    const int32_t tokens[] = {1, 2, T(1), T(1), 3, T(2)};
    struct recog_span spans[RECOG_MAX_SPANS];
    int64_t advance;
    assert_int_equal(recog_segments_cut(tokens, 6, BEGIN, 1100, false, spans, &advance), 2);
    assert_int_equal(spans[0].start, 0);
    assert_int_equal(spans[0].end, 50);
}

static void trimming_knows_wide_spaces(void **state)
{
    (void)state;
    size_t begin;
    const char *text = " \t\xe3\x80\x80hello \xc2\xa0";
    assert_int_equal(recog_trim(text, strlen(text), &begin), 5);
    assert_int_equal(begin, 5);
    assert_int_equal(recog_trim("  ", 2, &begin), 0);
    assert_int_equal(recog_trim("", 0, &begin), 0);
}

static void reservations_hold(void **state)
{
    (void)state;
    struct recog_cells *cells = NULL;
    au_test_ok(recog_cells_create(10, &cells), NULL);
    assert_true(recog_cells_reserve(cells, 6));
    assert_false(recog_cells_reserve(cells, 5));
    assert_true(recog_cells_reserve(cells, 4));
    recog_cells_unreserve(cells, 10);
    int32_t list[3] = {recog_cells_take(cells), recog_cells_take(cells), recog_cells_take(cells)};
    recog_cells_ref(cells, list, 2);
    recog_cells_unref(cells, list, 3);
    assert_int_equal(recog_cells_in_use(cells), 2);
    recog_cells_unref(cells, list, 2);
    assert_int_equal(recog_cells_in_use(cells), 0);
    assert_int_equal(recog_cells_take(cells), list[0]); /* the oldest is reused first */
    recog_cells_destroy(cells);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_follow_the_rules),
        cmocka_unit_test(nothing_allowed_gives_no_candidate),
        cmocka_unit_test(an_end_behind_the_timestamps_is_no_harm),
        cmocka_unit_test(samples_follow_the_distribution),
        cmocka_unit_test(a_wide_beam_with_patience_finds_the_best),
        cmocka_unit_test(every_search_gives_its_cells_back),
        cmocka_unit_test(best_of_keeps_the_likeliest_sample),
        cmocka_unit_test(no_memory_is_an_ordinary_error),
        cmocka_unit_test(pairs_of_timestamps_cut_segments),
        cmocka_unit_test(a_single_ending_finishes_the_window),
        cmocka_unit_test(no_pair_gives_one_segment),
        cmocka_unit_test(a_tail_without_text_is_no_segment),
        cmocka_unit_test(text_without_a_first_timestamp_begins_with_the_window),
        cmocka_unit_test(trimming_knows_wide_spaces),
        cmocka_unit_test(reservations_hold),
    };
    return cmocka_run_group_tests_name("recog search", tests, NULL, NULL);
}
