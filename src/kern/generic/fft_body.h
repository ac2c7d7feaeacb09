/* Power spectra of real frames of 400 samples, one frame per vector lane.
 *
 * Included once by each level's fft.c after it has defined
 *     FFT_LANES     floats in a vector (a power of two that divides KERN_FFT_TILE)
 *     FFT_FUNCTION  name of the function to define
 *
 * Frames stand side by side in the lanes, so the transform below is plain scalar mathematics
 * written once over `vec`; no lane ever looks at another, which is what makes a frame's spectrum
 * independent of its neighbours. Steps, for FFT_LANES frames at a time:
 *  1. transpose the frames into lanes and apply the window;
 *  2. read sample pairs as 200 complex numbers z[n] = x[2n] + i x[2n+1];
 *  3. complex transform of 200 = 8 * 25 by the prime-factor algorithm (Good 1958), in place: eight
 *     and twenty-five have no common factor, so no twiddles stand between the two stages;
 *     25 = 5 * 5 is an ordinary Cooley-Tukey step;
 *  4. separate the spectra of the even and odd samples and combine them to the 201 real-input bins.
 * Vector types are the compilers' own (gcc and clang), not one instruction set's.               */

typedef float vec __attribute__((vector_size(4 * FFT_LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * FFT_LANES), aligned(4), may_alias));

struct cvec {
    vec re, im;
};

#define FFT_INLINE static inline __attribute__((always_inline))

/* {a0 b0 a1 b1 ...} of the lower and of the upper halves. */
#if FFT_LANES == 4
#define INTERLEAVE_LOW(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#elif FFT_LANES == 8
#define INTERLEAVE_LOW(a, b)  __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif FFT_LANES == 16
#define INTERLEAVE_LOW(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#else
#error "FFT_LANES must be 4, 8 or 16"
#endif

/* Transpose a square block: log2(lanes) rounds of perfect shuffles. */
FFT_INLINE void transpose(vec block[FFT_LANES])
{
    for (int round = 1; round < FFT_LANES; round *= 2) {
        vec shuffled[FFT_LANES];
        for (int i = 0; i < FFT_LANES / 2; i++) {
            shuffled[2 * i] = INTERLEAVE_LOW(block[i], block[i + FFT_LANES / 2]);
            shuffled[2 * i + 1] = INTERLEAVE_HIGH(block[i], block[i + FFT_LANES / 2]);
        }
        for (int i = 0; i < FFT_LANES; i++)
            block[i] = shuffled[i];
    }
}

/* Columns of FFT_LANES rows into lanes, times the window. 400 is a multiple of every lane count. */
FFT_INLINE void load_frames(vec data[400], const float *const rows[FFT_LANES], const float *window)
{
    for (int column = 0; column < 400; column += FFT_LANES) {
        vec block[FFT_LANES];
        for (int lane = 0; lane < FFT_LANES; lane++)
            block[lane] = *(const vec_unaligned *)(const void *)(rows[lane] + column);
        transpose(block);
        for (int i = 0; i < FFT_LANES; i++)
            data[column + i] = block[i] * window[column + i];
    }
}

FFT_INLINE struct cvec cadd(struct cvec a, struct cvec b)
{
    return (struct cvec){a.re + b.re, a.im + b.im};
}

FFT_INLINE struct cvec csub(struct cvec a, struct cvec b)
{
    return (struct cvec){a.re - b.re, a.im - b.im};
}

FFT_INLINE struct cvec times_minus_i(struct cvec a)
{
    return (struct cvec){a.im, -a.re};
}

FFT_INLINE struct cvec cscale(struct cvec a, const float w[2])
{
    return (struct cvec){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

/* Four-point transform in place, outputs in order. */
FFT_INLINE void dft4(struct cvec *a, struct cvec *b, struct cvec *c, struct cvec *d)
{
    struct cvec even = cadd(*a, *c), even_diff = csub(*a, *c);
    struct cvec odd = cadd(*b, *d), odd_diff = times_minus_i(csub(*b, *d));
    *a = cadd(even, odd);
    *b = cadd(even_diff, odd_diff);
    *c = csub(even, odd);
    *d = csub(even_diff, odd_diff);
}

FFT_INLINE void dft8(struct cvec z[8])
{
    static const float w1[2] = {0.70710678f, -0.70710678f}, w3[2] = {-0.70710678f, -0.70710678f};
    struct cvec e0 = z[0], e1 = z[2], e2 = z[4], e3 = z[6];
    struct cvec o0 = z[1], o1 = z[3], o2 = z[5], o3 = z[7];
    dft4(&e0, &e1, &e2, &e3);
    dft4(&o0, &o1, &o2, &o3);
    o1 = cscale(o1, w1);
    o2 = times_minus_i(o2);
    o3 = cscale(o3, w3);
    z[0] = cadd(e0, o0), z[4] = csub(e0, o0);
    z[1] = cadd(e1, o1), z[5] = csub(e1, o1);
    z[2] = cadd(e2, o2), z[6] = csub(e2, o2);
    z[3] = cadd(e3, o3), z[7] = csub(e3, o3);
}

FFT_INLINE void dft5(struct cvec z[5])
{
    const float c1 = 0.30901699f, c2 = -0.80901699f; /* cos(2 pi/5), cos(4 pi/5) */
    const float s1 = 0.95105652f, s2 = 0.58778525f;  /* sin(2 pi/5), sin(4 pi/5) */
    struct cvec sum1 = cadd(z[1], z[4]), diff1 = csub(z[1], z[4]);
    struct cvec sum2 = cadd(z[2], z[3]), diff2 = csub(z[2], z[3]);
    struct cvec real1 = {z[0].re + sum1.re * c1 + sum2.re * c2,
                         z[0].im + sum1.im * c1 + sum2.im * c2};
    struct cvec real2 = {z[0].re + sum1.re * c2 + sum2.re * c1,
                         z[0].im + sum1.im * c2 + sum2.im * c1};
    struct cvec turn1 = times_minus_i(
        (struct cvec){diff1.re * s1 + diff2.re * s2, diff1.im * s1 + diff2.im * s2});
    struct cvec turn2 = times_minus_i(
        (struct cvec){diff1.re * s2 - diff2.re * s1, diff1.im * s2 - diff2.im * s1});
    z[0] = cadd(z[0], cadd(sum1, sum2));
    z[1] = cadd(real1, turn1), z[4] = csub(real1, turn1);
    z[2] = cadd(real2, turn2), z[3] = csub(real2, turn2);
}

/* Twenty-five points at z[at[0..25)], in place: n = 5a + b, k = c + 5d. */
FFT_INLINE void dft25(const struct kern_fft400 *plan, struct cvec *z, const uint8_t at[25])
{
    struct cvec middle[5][5]; /* [c][b] */
    for (int b = 0; b < 5; b++) {
        struct cvec column[5];
        for (int a = 0; a < 5; a++)
            column[a] = z[at[5 * a + b]];
        dft5(column);
        for (int c = 0; c < 5; c++)
            middle[c][b] = b && c ? cscale(column[c], plan->w25[b * c]) : column[c];
    }
    for (int c = 0; c < 5; c++) {
        dft5(middle[c]);
        for (int d = 0; d < 5; d++)
            z[at[c + 5 * d]] = middle[c][d];
    }
}

/* Complex transform of 200 in place; bin k ends up at z[plan->bin[k]]. */
FFT_INLINE void dft200(const struct kern_fft400 *plan, struct cvec z[200])
{
    for (int n2 = 0; n2 < 25; n2++) {
        struct cvec row[8];
        for (int n1 = 0; n1 < 8; n1++)
            row[n1] = z[plan->at[n1][n2]];
        dft8(row);
        for (int k1 = 0; k1 < 8; k1++)
            z[plan->at[k1][n2]] = row[k1];
    }
    for (int k1 = 0; k1 < 8; k1++)
        dft25(plan, z, plan->at[k1]);
}

/* X[k] = E + W^k O and X[200 - k] = conj(E - W^k O), where E and O are the spectra of the even and
 * the odd samples: 2E = Z[k] + conj Z[200-k], 2O = -i (Z[k] - conj Z[200-k]), W = exp(-2 pi i/400).
 * The factor 2 is taken out of the power.                                                       */
FFT_INLINE void store_power(const struct kern_fft400 *plan, const struct cvec z[200], float *power)
{
    for (int k = 0; k <= 100; k++) {
        struct cvec a = z[plan->bin[k]], b = z[plan->bin[200 - k]];
        struct cvec even = {a.re + b.re, a.im - b.im};
        struct cvec odd = cscale((struct cvec){a.im + b.im, b.re - a.re}, plan->w400[k]);
        struct cvec low = cadd(even, odd), high = csub(even, odd);
        vec *low_out = (vec *)(void *)(power + (size_t)k * KERN_FFT_TILE);
        vec *high_out = (vec *)(void *)(power + (size_t)(200 - k) * KERN_FFT_TILE);
        *high_out = (high.re * high.re + high.im * high.im) * 0.25f;
        *low_out = (low.re * low.re + low.im * low.im) * 0.25f;
    }
}

void FFT_FUNCTION(const struct kern_fft400 *plan, const float *x, size_t hop, size_t n_frames,
                  const float *window, float *power)
{
    static const float silence[400];
    union {
        vec samples[400];
        struct cvec pairs[200];
    } data;
    for (size_t first = 0; first < KERN_FFT_TILE; first += FFT_LANES) {
        const float *rows[FFT_LANES];
        for (size_t lane = 0; lane < FFT_LANES; lane++)
            rows[lane] = first + lane < n_frames ? x + (first + lane) * hop : silence;
        load_frames(data.samples, rows, window);
        dft200(plan, data.pairs);
        store_power(plan, data.pairs, power + first);
    }
}
