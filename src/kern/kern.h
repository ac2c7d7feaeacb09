/* The kernel contract.
 *
 * A kernel is a leaf: it computes on memory it is given and does not allocate, lock, log or start
 * threads. kern_select() picks one table of kernels for the process from the CPU's features and a
 * mask; everything above reaches kernels through that table only.
 *
 * Three rules that every kernel keeps:
 *  - Packing and kernel are one value. A `struct kern_gemm` both lays weights out and reads them;
 *    weights packed by one are only ever run by the same one (compare `id`).
 *  - Batch invariance. The result of a row never depends on m, on the row's position, or on how the
 *    work was split between calls: one reduction order per kernel family for every batch size.
 *  - Splits are free. Calls over disjoint row or column ranges give the same bits as one call.
 * Integer kernels give the same bits at every level; f32 and bf16 ones agree within a bound that
 * grows with the reduction length K (docs/KERNELS.md).
 *
 * Axes: M rows (tokens, frames), N outputs, K reduction, T time, D head width.
 * All pointers are to row-major f32 unless said; leading dimensions count elements.
 * Thread: any, on disjoint outputs.                                                             */
#ifndef KERN_KERN_H
#define KERN_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kern_level {
    KERN_GENERIC,
    KERN_AVX2,       /* AVX2, FMA, F16C */
    KERN_AVX512VNNI, /* AVX-512 F, BW, DQ, VL and VNNI */
    KERN_AMX,        /* the above, BF16, VBMI, AMX tile, int8, bf16, allowed by the kernel */
    KERN_NEON,       /* 64-bit ARM */
    KERN_I8MM,       /* the above, dot products, matrix products of int8 and bf16 */
    KERN_N_LEVELS
};

enum kern_type { KERN_F32, KERN_BF16, KERN_INT8, KERN_N_TYPES };

/* ---- Matrix product: out[m,n] = act(sum_k x[m,k] * w[n,k] + bias[n]) + residual[m,n] --------- */

enum kern_act { KERN_ACT_NONE, KERN_ACT_GELU /* erf form */ };

/* One product. `x` holds rows as `prepare` wrote them (for f32: plain rows, x_stride floats). */
struct kern_gemm_job {
    const void *x;         /* prepared rows, all of [M, K] */
    const void *w;         /* packed weights, all of [N, K] */
    const float *bias;     /* [N] or NULL */
    const float *residual; /* [M, N] with out_stride, or NULL; may be `out` itself */
    float *out;            /* [M, N] */
    size_t m, n, k;
    size_t n_base;     /* output that the first column of out and residual stands for */
    size_t out_stride; /* floats between rows of out and residual */
    enum kern_act act;
    bool pairs; /* int8: rows 2 i and 2 i + 1 of x are summed, before bias and all else, to row i of
                   out and residual; m, m0 and m1 count rows of x and are even */
};

struct kern_gemm {
    const char *id; /* "f32-avx512vnni-1": names the packed layout; changes whenever it does */
    enum kern_type type;
    bool coarse; /* one step for all of a row: large values should be spread first (kern_ops) */
    size_t tile_m, tile_n; /* row and column splits should be multiples; any split is right */

    /* Bytes of the packed form of w [N, K]; 0 when the product overflows. */
    size_t (*packed_bytes)(size_t n, size_t k);
    /* Pack rows [n0, n1) of the matrix; w points at row n0 (f32, row stride w_stride), so a matrix
     * can be packed from pieces. n0 and n1 are multiples of tile_n, except that n1 may be n. Calls
     * on disjoint ranges complete the packed form.                                               */
    void (*pack)(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                 size_t n1);

    /* Bytes of prepared activations for [M, K]; and convert rows [m0, m1) of x into them (round to
     * bf16, or quantise each row to int8 by its largest magnitude and keep its scale).           */
    size_t (*prepared_bytes)(size_t m, size_t k);
    void (*prepare)(void *prepared, const float *x, size_t x_stride, size_t m, size_t k, size_t m0,
                    size_t m1);
    /* int8, else NULL: rows 2 i and 2 i + 1 of the prepared [M, K] receive row i of x rounded, and
     * what rounding left, for i in [i0, i1): 16 bits in all, for jobs of `pairs`.               */
    void (*prepare_pairs)(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                          size_t i0, size_t i1);

    /* Compute out[m0:m1, n0:n1]. n0 is a multiple of tile_n. */
    void (*run)(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, size_t n1);
};

/* ---- Attention ------------------------------------------------------------------------------- */

/* Attention of one head, many queries against the same keys (an encoder). The head's rows are
 * laid out once for the kernel, in pieces and from several threads, and then read by calls over
 * any rows. f32 computes in f32; the other types may round q, k, v and the weights to bf16.      */
struct kern_heads {
    size_t tile_t; /* pack: pieces begin at multiples of it; run: splits should be */
    /* Bytes of a packed head of T rows and D columns (D at most 128); 0 when that overflows. */
    size_t (*packed_bytes)(size_t t, size_t d);
    /* Lay out rows [t0, t1), a multiple of tile_t except that t1 may be t; q, k and v point at row
     * t0, rows are stride floats apart; those that are NULL are left for another call. Scores are
     * multiplied by scale.                                                                       */
    void (*pack)(void *packed, const float *q, const float *k, const float *v, size_t stride,
                 size_t t, size_t d, float scale, size_t t0, size_t t1);
    size_t (*scratch_bytes)(size_t t, size_t d); /* of one call of run; AU_ALIGN aligned */
    /* out[t, d] = softmax(q k^T * scale) v for rows [t0, t1); out points at row 0. */
    void (*run)(const void *packed, size_t t, size_t d, float *out, size_t out_stride, size_t t0,
                size_t t1, void *scratch);
};

/* Attention of one query vector over cached rows: keys and values of position i stand at
 * k + cells[i] * kv_stride (cells NULL: i itself). scores is [n_keys] scratch and holds the softmax
 * weights afterwards.                                                                           */
struct kern_attn_row_job {
    const float *q; /* [D] */
    const float *k, *v;
    const int32_t *cells;
    float *scores;
    float *out; /* [D] */
    size_t kv_stride, n_keys, d;
    float scale;
};

/* Softmax of the sum of two rows, straight into an int8 product. Row `row` of `prepared`, which is
 * the prepared form of [2 m, n], receives softmax(high + low) rounded to int8, row m + row what
 * rounding left: 16 bits in all, for weights must not lose their small ones.                     */
struct kern_soften_job {
    const float *high, *low; /* [n] */
    float *sum;              /* [n] receives high + low; may be `high` */
    float *weights;          /* [n] scratch */
    void *prepared;
    size_t n, m, row;
};

/* ---- The table ------------------------------------------------------------------------------- */

struct kern_fft400;

struct kern_ops {
    enum kern_level level;
    const char *name; /* the level's, or of a variant of it: "avx2", "avx2+vnni" */
    const struct kern_gemm *gemm[KERN_N_TYPES]; /* never NULL: lower levels fill in */

    const struct kern_heads *heads[KERN_N_TYPES]; /* never NULL */

    /* The roof that benchmarks quote: `rounds` rounds of the level's best multiply-add for the type
     * on registers alone. Returns the operations done (2 per multiply-add); 0: no such unit.     */
    double (*peak)(enum kern_type type, size_t rounds);

    void (*attn_row)(const struct kern_attn_row_job *job);

    /* out[d] = (x[d] - mean) / sqrt(var + eps) * gamma[d] + beta[d], population variance. */
    void (*layer_norm)(float *out, const float *x, const float *gamma, const float *beta, size_t d,
                       float eps);
    void (*gelu)(float *x, size_t n); /* in place, erf form */
    void (*add)(float *out, const float *a, const float *b, size_t n);
    /* out = x - what int8 preparation keeps of x: the part for a second int8 row. */
    void (*int8_residual)(float *out, const float *x, size_t n);
    /* Share large values out: out [N] = 4 Q x, Q orthonormal and its own inverse, so the product of
     * two rows that are spread is 16 times their own; out may be x. (generic/spread_body.h)     */
    void (*spread)(float *out, const float *x, size_t n);
    void (*softmax)(float *x, size_t n); /* in place */
    void (*soften)(const struct kern_ops *ops, const struct kern_soften_job *job);
    float (*log_sum_exp)(const float *x, size_t n); /* -inf entries are fine; all -inf gives -inf */
    float (*max)(const float *x, size_t n, size_t *index); /* first of equals; NaN never wins */
    float (*dot)(const float *a, const float *b, size_t n);

    /* im2col of a 1-D convolution, width 3, padding 1: rows [t0, t1) of out [T_out, 3*C] from
     * x [T_in, C] (time major), stride 1 or 2; column = tap * C + channel.                       */
    void (*conv3_rows)(float *out, const float *x, size_t t_in, size_t channels, size_t stride,
                       size_t t0, size_t t1);

    /* Power spectra of n_frames (at most KERN_FFT_TILE) windows of 400 samples, `hop` apart:
     *   power[k, f] = |FFT400(x[f * hop + i] * window[i])|^2      [201, KERN_FFT_TILE], 64-byte
     *   aligned
     * bin major, so that mel filters and logarithm run over frames; columns from n_frames on are
     * 0. Reads x[0 .. (n_frames - 1) * hop + 400) only. Same bits at every level.                */
    void (*power_spectrum)(const struct kern_fft400 *plan, const float *x, size_t hop,
                           size_t n_frames, const float *window, float *power);
};

#define KERN_FFT_TILE 16

/* Tables of the 400-point real transform (kern/generic/fft_body.h says what each is for). Plain
 * data, filled once by kern_fft400_init.                                                         */
struct kern_fft400 {
    float w25[17][2];   /* exp(-2 pi i k / 25): products of two indices below 5 */
    float w400[101][2]; /* exp(-2 pi i k / 400) */
    uint8_t at[8][25];  /* prime-factor order of 200 points */
    uint8_t bin[201];   /* where bin k of the 200-point transform ends up */
};
void kern_fft400_init(struct kern_fft400 *plan);

/* Highest level this CPU and operating system can run, from CPUID and XGETBV (or the ARM auxv). The
 * first call asks the kernel for AMX permission (arch_prctl), once per process.                  */
enum kern_level kern_detect(void);
bool kern_level_usable(enum kern_level level);
const char *kern_level_name(enum kern_level level); /* "avx512vnni" */
bool kern_level_parse(const char *name, enum kern_level *out);
const char *kern_type_name(enum kern_type type); /* "f32", "bf16", "int8" */

/* Table of the highest usable level that is not above `limit`, where a level above every level of
 * this architecture means "no limit". Static storage; never NULL.                               */
const struct kern_ops *kern_select(enum kern_level limit);
/* Every table this machine can run, generic first; NULL past the last. A level may have several
 * (AVX2 with and without VNNI). For tests and benchmarks.                                        */
const struct kern_ops *kern_table(size_t index);

/* f32 <-> storage types, used when weights are read. Round to nearest, ties to even. */
float kern_f16_to_f32(uint16_t half);
uint16_t kern_f32_to_f16(float value);
static inline float kern_bf16_to_f32(uint16_t bits)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)bits << 16};
    return v.f;
}
uint16_t kern_f32_to_bf16(float value);

#endif
