/* Attention: every level and odd size against a double reference, exact under splits. */
#include "util.h"

#include <float.h>
#include <math.h>

static const size_t sizes_t[] = {1, 2, 15, 63, 64, 65, 130};
static const size_t sizes_d[] = {8, 16, 24, 64, 80, 128};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
    size_t t, d, stride;
    struct guarded g[6];
    float *q, *k, *v, *out;
    float scale;
    void *packed, *scratch;
};

static void fixture_create(struct fixture *f, const struct kern_heads *heads, size_t t, size_t d)
{
    *f = (struct fixture){.t = t, .d = d, .stride = d + 5};
    const size_t bytes = ((t - 1) * f->stride + d) * sizeof(float);
    f->q = guarded_create(&f->g[0], bytes, 4);
    f->k = guarded_create(&f->g[1], bytes, 4);
    f->v = guarded_create(&f->g[2], bytes, 4);
    f->out = guarded_create(&f->g[3], bytes, 4);
    random_fill(f->q, bytes / sizeof(float), 1 + t);
    random_fill(f->k, bytes / sizeof(float), 2 + d);
    random_fill(f->v, bytes / sizeof(float), 3);
    memset(f->out, 0, bytes);
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        f->q[i] *= 8.0f; /* scores far apart, so that the running maximum matters */
    f->scale = 0.7f;
    f->packed = guarded_create(&f->g[4], heads->packed_bytes(t, d), 0);
    f->scratch = guarded_create(&f->g[5], heads->scratch_bytes(t, d), 0);
}

static void fixture_destroy(struct fixture *f)
{
    for (size_t i = 0; i < COUNT(f->g); i++)
        guarded_destroy(&f->g[i]);
}

/* softmax(q k^T * scale) v for one row in double; cells may be NULL. */
static void reference(const struct fixture *f, size_t row, const int32_t *cells, double *out)
{
    double score[256], largest = -(double)INFINITY, sum = 0.0;
    for (size_t i = 0; i < f->t; i++) {
        const float *key = f->k + (cells ? (size_t)cells[i] : i) * f->stride;
        score[i] = 0.0;
        for (size_t c = 0; c < f->d; c++)
            score[i] += (double)f->q[row * f->stride + c] * (double)key[c];
        score[i] *= (double)f->scale;
        largest = fmax(largest, score[i]);
    }
    for (size_t c = 0; c < f->d; c++)
        out[c] = 0.0;
    for (size_t i = 0; i < f->t; i++)
        sum += exp(score[i] - largest);
    for (size_t i = 0; i < f->t; i++) {
        const float *v = f->v + (cells ? (size_t)cells[i] : i) * f->stride;
        for (size_t c = 0; c < f->d; c++)
            out[c] += exp(score[i] - largest) / sum * (double)v[c];
    }
}

/* |values| <= 1, so an error e in a score moves the output by at most 2 e. In bf16 q and k are
 * off by 2^-9 of themselves each and the largest score is 8 * 0.7 * D / 3 or so; weights and
 * values add 2^-8. Errors of many terms do not all point one way: a quarter of the sum is still
 * generous.                                                                                      */
static double bound(const struct fixture *f, enum kern_type type)
{
    const double unit = type == KERN_F32 ? (double)FLT_EPSILON : 0x1p-9;
    const double n = type == KERN_F32 ? (double)(f->d + 4) : sqrt((double)f->d);
    const double score_error = 8.0 * 0.7 * n * unit;
    return 2.0 * score_error + (type == KERN_F32 ? (double)(f->t + 16) : 2.0) * unit;
}

static void every_size(void (*check)(const struct kern_ops *, enum kern_type, size_t, size_t))
{
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    for (size_t l = 0; l < n_levels; l++)
        for (int type = 0; type < KERN_N_TYPES; type++)
            for (size_t i = 0; i < COUNT(sizes_t); i++)
                for (size_t j = 0; j < COUNT(sizes_d); j++)
                    check(level[l], (enum kern_type)type, sizes_t[i], sizes_d[j]);
}

static void check_full(const struct kern_ops *ops, enum kern_type type, size_t t, size_t d)
{
    const struct kern_heads *heads = ops->heads[type];
    struct fixture f;
    double wanted[128];
    fixture_create(&f, heads, t, d);
    heads->pack(f.packed, f.q, f.k, f.v, f.stride, t, d, f.scale, 0, t);
    heads->run(f.packed, t, d, f.out, f.stride, 0, t, f.scratch);
    for (size_t row = 0; row < t; row++) {
        reference(&f, row, NULL, wanted);
        for (size_t c = 0; c < d; c++)
            assert_near((double)f.out[row * f.stride + c], wanted[c], bound(&f, type));
    }
    fixture_destroy(&f);
}

static void attention_matches_double_reference(void **state)
{
    (void)state;
    every_size(check_full);
}

/* Many keys of the same score, then one 9 octaves above them: the weights of both come out about
 * alike, so whatever was summed before the late one has to be corrected, wherever it stands.     */
static void check_late_maximum(const struct kern_ops *ops, enum kern_type type, size_t late,
                               size_t t)
{
    const struct kern_heads *heads = ops->heads[type];
    struct fixture f;
    double wanted[128];
    fixture_create(&f, heads, t, 16);
    f.scale = 0.693147181f; /* scores in octaves */
    memset(f.q, 0, ((t - 1) * f.stride + f.d) * sizeof(float));
    for (size_t i = 0; i < t; i++) {
        f.q[i * f.stride] = i % 3 == 0 ? 0.5f : 1.0f; /* neighbours that need no correction */
        f.k[i * f.stride] = i == late ? 9.0f : i < late ? 0.0f : -20.0f;
        f.v[i * f.stride] = i == late ? -1.0f : 1.0f;
    }
    heads->pack(f.packed, f.q, f.k, f.v, f.stride, t, f.d, f.scale, 0, t);
    heads->run(f.packed, t, f.d, f.out, f.stride, 0, t, f.scratch);
    for (size_t row = 0; row < t; row++) {
        reference(&f, row, NULL, wanted);
        assert_near((double)f.out[row * f.stride], wanted[0], type == KERN_F32 ? 1e-5 : 0.01);
    }
    fixture_destroy(&f);
}

static void a_late_maximum_corrects_what_was_summed(void **state)
{
    static const size_t late[] = {40, 70, 100, 130, 200, 249};
    const struct kern_ops *level[MOST_TABLES];
    const size_t n_levels = usable_levels(level);
    (void)state;
    for (size_t l = 0; l < n_levels; l++)
        for (int type = 0; type < KERN_N_TYPES; type++)
            for (size_t i = 0; i < COUNT(late); i++)
                check_late_maximum(level[l], (enum kern_type)type, late[i], 250);
}

/* Packed in pieces and run over any rows, in any order. */
static void check_split(const struct kern_ops *ops, enum kern_type type, size_t t, size_t d)
{
    const struct kern_heads *heads = ops->heads[type];
    struct fixture whole, split;
    fixture_create(&whole, heads, t, d);
    fixture_create(&split, heads, t, d);
    heads->pack(whole.packed, whole.q, whole.k, whole.v, whole.stride, t, d, 0.7f, 0, t);
    for (size_t end = t; end > 0;) {
        const size_t begin = (end - 1) / heads->tile_t * heads->tile_t, from = begin * split.stride;
        heads->pack(split.packed, split.q + from, split.k + from, split.v + from, split.stride, t,
                    d, 0.7f, begin, end);
        end = begin;
    }
    heads->run(whole.packed, t, d, whole.out, whole.stride, 0, t, whole.scratch);
    for (size_t t0 = 0; t0 < t; t0 += 5)
        heads->run(split.packed, t, d, split.out, split.stride, t0, t0 + 5 < t ? t0 + 5 : t,
                   split.scratch);
    for (size_t row = 0; row < t; row++)
        assert_same_bits(whole.out + row * whole.stride, split.out + row * split.stride, d);
    fixture_destroy(&whole);
    fixture_destroy(&split);
}

static void splits_do_not_change_bits(void **state)
{
    (void)state;
    every_size(check_split);
}

static void check_row(const struct kern_ops *ops, enum kern_type type, size_t t, size_t d)
{
    if (type != KERN_F32)
        return;
    struct fixture f;
    struct guarded g;
    double wanted[128];
    int32_t cells[256];
    fixture_create(&f, ops->heads[type], t, d);
    float *scores = guarded_create(&g, t * sizeof(float), 4);
    for (size_t i = 0; i < t; i++)
        cells[i] = (int32_t)(t - 1 - i);
    for (int with_cells = 0; with_cells < 2; with_cells++) {
        struct kern_attn_row_job job = {.q = f.q,
                                        .k = f.k,
                                        .v = f.v,
                                        .cells = with_cells ? cells : NULL,
                                        .scores = scores,
                                        .out = f.out,
                                        .kv_stride = f.stride,
                                        .n_keys = t,
                                        .d = d,
                                        .scale = f.scale};
        ops->attn_row(&job);
        reference(&f, 0, job.cells, wanted);
        double sum = 0.0;
        for (size_t i = 0; i < t; i++)
            sum += (double)scores[i];
        assert_near(sum, 1.0, (double)(t + 8) * (double)FLT_EPSILON);
        for (size_t c = 0; c < d; c++)
            assert_near((double)f.out[c], wanted[c], bound(&f, type));
    }
    guarded_destroy(&g);
    fixture_destroy(&f);
}

static void one_row_over_cells_matches_double_reference(void **state)
{
    (void)state;
    every_size(check_row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_matches_double_reference),
        cmocka_unit_test(a_late_maximum_corrects_what_was_summed),
        cmocka_unit_test(splits_do_not_change_bits),
        cmocka_unit_test(one_row_over_cells_matches_double_reference),
    };
    return cmocka_run_group_tests_name("kern attention", tests, NULL, NULL);
}
