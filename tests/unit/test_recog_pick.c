/* Candidates out of logits that are taken in piece by piece: the same tokens and the same
 * log-probabilities, bit for bit, as from a whole row; and right beside a plain computation.     */
#include <math.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "model/whisper/whisper.h"
#include "recog/decode/filter.h"
#include "support/support.h"

enum {
    VOCAB = 2100, /* four whole blocks and a part */
    N_BLOCKS = 5,
    EOT = 1600,
    NO_TIMESTAMPS = 1699,
    BEGIN = 1700,
    N_TOP = 6,
    N_ROWS = 3
};

static const int32_t suppressed[] = {-1, 0, 3, 511, 512, 1023, 1601, 2099, 50000};
static const int32_t suppressed_first[] = {7, EOT};

static struct recog_rules make_rules(bool timestamps, int32_t max_initial)
{
    return (struct recog_rules){
        .suppress = suppressed,
        .n_suppress = sizeof suppressed / sizeof suppressed[0],
        .suppress_first = suppressed_first,
        .n_suppress_first = 2,
        .timestamps = timestamps,
        .max_initial_timestamp = max_initial,
        .eot = EOT,
        .no_timestamps = NO_TIMESTAMPS,
        .timestamp_begin = BEGIN,
        .n_vocab = VOCAB,
    };
}

static size_t make_sampled(struct au_test_random *r, int32_t *sampled)
{
    const size_t n = au_test_random_u64(r) % 6;
    int32_t stamp = BEGIN;
    for (size_t i = 0; i < n; i++) {
        stamp += (int32_t)(au_test_random_u64(r) % 40);
        sampled[i] = au_test_random_u64(r) % 2 ? stamp : (int32_t)(au_test_random_u64(r) % EOT);
    }
    return n;
}

static void assert_same_pick(const struct recog_pick *a, const struct recog_pick *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->id, b->id, (size_t)a->n * sizeof a->id[0]);
    assert_memory_equal(a->logprob, b->logprob, (size_t)a->n * sizeof a->logprob[0]);
}

/* The best of what the filter left, one after the other, with sums in double. */
static void assert_right(const struct recog_filter *f, const float *logits,
                         const struct recog_pick *pick)
{
    double total = 0, stamps = 0, best_text = -(double)INFINITY;
    for (size_t i = f->s0; i < f->s1; i++)
        stamps += exp((double)logits[i]);
    for (size_t i = f->t0; i < f->t1; i++)
        best_text = fmax(best_text, (double)logits[i]);
    const bool text = !f->rules->timestamps || f->t0 == f->t1 || !(log(stamps) > best_text);
    for (size_t i = f->t0; text && i < f->t1; i++)
        total += exp((double)logits[i]);
    total = log(total + stamps);
    bool taken[VOCAB] = {false};
    for (int c = 0; c < pick->n; c++) {
        size_t best = VOCAB;
        for (size_t i = 0; i < VOCAB; i++) {
            const bool allowed = (text && i >= f->t0 && i < f->t1) || (i >= f->s0 && i < f->s1);
            if (allowed && !taken[i] && (best == VOCAB || logits[i] > logits[best]))
                best = i;
        }
        assert_int_equal(pick->id[c], best);
        assert_true(fabs((double)pick->logprob[c] - ((double)logits[best] - total)) < 1e-5);
        taken[best] = true;
    }
}

static void pieces_in_any_order_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    struct au_test_random r = {11};
    const struct kern_ops *ops = kern_select(au_test_level());
    for (int round = 0; round < 600; round++) {
        float whole[VOCAB], pieces[VOCAB];
        int32_t sampled[8];
        struct recog_block whole_blocks[N_BLOCKS], piece_blocks[N_BLOCKS];
        struct recog_filter a, b;
        struct recog_pick one, other;
        const struct recog_rules rules = make_rules(round % 4 != 0, round % 3 ? 50 : -1);
        const size_t n = make_sampled(&r, sampled);
        const float temperature = round % 5 == 0 ? 0.7F : 0.0F;
        for (size_t i = 0; i < VOCAB; i++) /* equal ones among them */
            whole[i] = pieces[i] = rintf(au_test_random_f32(&r) * 400.0F) * 0.02F;
        recog_filter_begin(&a, &rules, ops, whole_blocks, sampled, n);
        recog_filter_reduce(&a, whole, 0, VOCAB);
        recog_filter_begin(&b, &rules, ops, piece_blocks, sampled, n);
        for (size_t i = 0; i < N_BLOCKS; i++) {
            const size_t at = (i * 2 + (size_t)round) % N_BLOCKS * RECOG_BLOCK;
            recog_filter_reduce(&b, pieces, at,
                                at + RECOG_BLOCK < VOCAB ? at + RECOG_BLOCK : VOCAB);
        }
        assert_memory_equal(whole, pieces, sizeof whole);
        recog_filter_pick(&a, whole, N_TOP, temperature, (uint64_t)round, &one);
        recog_filter_pick(&b, pieces, N_TOP, temperature, (uint64_t)round, &other);
        assert_int_equal(one.n, N_TOP);
        assert_same_pick(&one, &other);
        if (temperature == 0.0F)
            assert_right(&a, whole, &one);
    }
}

/* ---- Through the decoder --------------------------------------------------------------------- */

struct told {
    struct recog_filter filter[N_ROWS];
    atomic_int n_told[N_ROWS][N_BLOCKS];
};

static void take_in(void *context, size_t row, float *logits, size_t n0, size_t n1)
{
    struct told *told = context;
    if (n0 % RECOG_BLOCK == 0 && (n1 == VOCAB || n1 == n0 + RECOG_BLOCK))
        atomic_fetch_add(&told->n_told[row][n0 / RECOG_BLOCK], 1);
    recog_filter_reduce(&told->filter[row], logits, n0, n1);
}

struct rig {
    struct au_pool *pool;
    struct whisper_model *model;
    struct tensor_workspace ws;
    struct whisper_cells *cells;
    struct whisper_window *window;
    float *logits; /* [4, VOCAB] */
};

static void rig_open(struct rig *rig, enum kern_type type)
{
    static const struct whisper_dims dims = {.n_mels = 8,
                                             .n_audio_ctx = 20,
                                             .n_audio_state = 32,
                                             .n_audio_head = 2,
                                             .n_audio_layer = 1,
                                             .n_vocab = VOCAB,
                                             .n_text_ctx = 16,
                                             .n_text_state = 32,
                                             .n_text_head = 2,
                                             .n_text_layer = 1};
    struct au_test_random random = {3};
    float mel[40 * 8];
    const float *mels[] = {mel};
    au_test_random_fill(&random, mel, 40 * 8);
    au_test_ok(au_pool_create(3, &rig->pool), NULL);
    au_test_ok(
        whisper_model_random(&dims, 5, kern_select(au_test_level()), type, rig->pool, &rig->model),
        NULL);
    const size_t encode = whisper_plan_encode(rig->model, 3, 1);
    const size_t decode = whisper_plan_decode(rig->model, 3, 4, 4);
    au_test_ok(tensor_workspace_create(&rig->ws, encode > decode ? encode : decode), NULL);
    au_test_ok(whisper_cells_create(rig->model, 4, &rig->cells), NULL);
    au_test_ok(whisper_window_create(rig->model, &rig->window), NULL);
    whisper_encode(rig->model, rig->pool, &rig->ws, 1, mels, &rig->window, NULL);
    rig->logits = au_alloc_array((size_t)4 * VOCAB, sizeof(float));
    assert_non_null(rig->logits);
}

static void rig_close(struct rig *rig)
{
    au_free(rig->logits);
    whisper_window_destroy(rig->window);
    whisper_cells_destroy(rig->cells);
    tensor_workspace_deinit(&rig->ws);
    whisper_model_destroy(rig->model);
    au_pool_destroy(rig->pool);
}

static void fill_rows(const struct rig *rig, struct whisper_row *rows)
{
    static const int32_t tokens[] = {4, 9, 1650, 30}, cells[] = {0, 1, 2, 3};
    rows[0] = (struct whisper_row){
        .window = rig->window, .tokens = tokens, .cells = cells, .n_tokens = 2, .n_logits = 2};
    rows[0].logits = rig->logits; /* of which the first row is not for the sink */
    rows[1] = (struct whisper_row){
        .window = rig->window, .tokens = tokens + 2, .cells = cells + 2, .n_tokens = 1};
    rows[2] = (struct whisper_row){
        .window = rig->window, .tokens = tokens + 3, .cells = cells + 3, .n_tokens = 1};
    rows[2].n_logits = 1;
    rows[2].logits = rig->logits + (size_t)3 * VOCAB; /* not beside the others */
}

static void decoding_into_a_filter_picks_what_decoding_and_filtering_do(void **state)
{
    (void)state;
    const struct kern_ops *ops = kern_select(au_test_level());
    const struct recog_rules rules = make_rules(true, 50);
    const int32_t sampled[] = {BEGIN, 9};
    for (int type = 0; type < KERN_N_TYPES; type++) {
        struct rig rig;
        struct whisper_row rows[N_ROWS];
        struct recog_block blocks[N_ROWS][N_BLOCKS], plain_blocks[N_BLOCKS];
        struct recog_pick pick[N_ROWS], plain;
        struct told told = {0};
        rig_open(&rig, (enum kern_type)type);
        fill_rows(&rig, rows);
        for (size_t i = 0; i < N_ROWS; i++)
            recog_filter_begin(&told.filter[i], &rules, ops, blocks[i], sampled, i);
        const struct whisper_sink sink = {take_in, &told};
        whisper_decode_into(rig.model, rig.pool, &rig.ws, rig.cells, N_ROWS, rows, &sink);
        recog_filter_pick(&told.filter[0], rig.logits + VOCAB, N_TOP, 0, 0, &pick[0]);
        recog_filter_pick(&told.filter[2], rows[2].logits, N_TOP, 0, 0, &pick[2]);

        whisper_decode(rig.model, NULL, &rig.ws, rig.cells, N_ROWS, rows);
        for (size_t i = 0; i < N_ROWS; i += 2) {
            struct recog_filter filter;
            float *logits = rows[i].logits + (size_t)(rows[i].n_logits - 1) * VOCAB;
            recog_filter_begin(&filter, &rules, ops, plain_blocks, sampled, i);
            recog_filter_reduce(&filter, logits, 0, VOCAB);
            recog_filter_pick(&filter, logits, N_TOP, 0, 0, &plain);
            assert_same_pick(&pick[i], &plain);
        }
        for (size_t i = 0; i < N_ROWS; i++)
            for (size_t b = 0; b < N_BLOCKS; b++)
                assert_int_equal(told.n_told[i][b], i == 1 ? 0 : 1);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_any_order_give_the_bits_of_the_whole),
        cmocka_unit_test(decoding_into_a_filter_picks_what_decoding_and_filtering_do),
    };
    return cmocka_run_group_tests_name("recog pick", tests, NULL, NULL);
}
