/* Softmax on its way into an int8 product, for AVX-512: four passes over a row that stays in the
 * first-level cache, where the same by single kernels takes twelve. (To fetch the
 * values of the head meanwhile was tried: what it saves later it costs here.)                    */
#include <math.h>

#include "kern/levels.h"
#include "kern/x86/avx512vnni/quant.h"

/* sum = high + low; returns the largest (a NaN never wins). */
static float add_rows(const struct kern_soften_job *job)
{
    const __m512 none = _mm512_set1_ps(-INFINITY);
    __m512 largest = none;
    for (size_t i = 0; i < job->n; i += W) {
        const __mmask16 mask = mask16(job->n - i);
        const __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, job->high + i),
                                         _mm512_maskz_loadu_ps(mask, job->low + i));
        _mm512_mask_storeu_ps(job->sum + i, mask, sum);
        largest = _mm512_max_ps(_mm512_mask_mov_ps(none, mask, sum), largest);
    }
    return _mm512_reduce_max_ps(largest);
}

/* weights = exp(sum - highest); returns their sum, in 64 lanes as everywhere, and the largest. */
static float exponentials(const struct kern_soften_job *job, float highest, float *largest)
{
    const __m512 m = _mm512_set1_ps(highest);
    __m512 lane[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_ps()};
    __m512 most = _mm512_setzero_ps();
    for (size_t i = 0; i < job->n; i += 4 * W) {
        for (size_t j = 0; j < 4 && i + j * W < job->n; j++) {
            const size_t at = i + j * W;
            const __mmask16 mask = mask16(job->n - at);
            const __m512 e = exp512(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, job->sum + at), m));
            lane[j] = _mm512_mask_add_ps(lane[j], mask, lane[j], e);
            most = _mm512_mask_max_ps(most, mask, e, most);
            _mm512_mask_storeu_ps(job->weights + at, mask, e);
        }
    }
    *largest = _mm512_reduce_max_ps(most);
    return fold64(lane);
}

/* A row of prepared activations, and its scale. */
struct prepared_row {
    float *scale;
    int8_t *tiles;
};

static struct prepared_row row_of(const struct kern_soften_job *job, size_t row)
{
    const size_t chunks = kern_chunks(job->n, KERN_CHUNK_INT8);
    return (struct prepared_row){(float *)job->prepared + row, (int8_t *)job->prepared +
                                                                   kern_prep_int8_head(2 * job->m) +
                                                                   kern_prep_row(row, chunks)};
}

/* Scale the weights by `factor` and quantise them; what rounding left takes their place. Returns
 * its largest magnitude.                                                                         */
static float quantise_weights(const struct kern_soften_job *job, __m512 factor, float largest,
                              struct prepared_row to)
{
    const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    const __m512 scale = _mm512_set1_ps(largest / 127.0f);
    __m512 left = _mm512_setzero_ps();
    *to.scale = largest / 127.0f;
    for (size_t i = 0; i < job->n; i += KERN_CHUNK_INT8, to.tiles += KERN_TILE_BYTES) {
        __m512i part[4];
        for (size_t j = 0; j < 4; j++) {
            const size_t at = i + j * W;
            const __mmask16 mask = at < job->n ? mask16(job->n - at) : 0;
            const __m512 weight = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, job->weights + at),
                                                factor);
            part[j] = _mm512_maskz_mov_epi32(mask, round_to_int(weight, inverse));
            const __m512 kept = _mm512_cvtepi32_ps(
                _mm512_max_epi32(part[j], _mm512_set1_epi32(-127)));
            const __m512 rest = _mm512_fnmadd_ps(kept, scale, weight);
            _mm512_mask_storeu_ps(job->weights + at, mask, rest);
            left = larger_magnitude(left, rest);
        }
        _mm512_store_si512(to.tiles, pack_bytes(part));
    }
    return _mm512_reduce_max_ps(left);
}

static void quantise_rest(const struct kern_soften_job *job, float largest, struct prepared_row to)
{
    const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    *to.scale = largest / 127.0f;
    for (size_t i = 0; i < job->n; i += KERN_CHUNK_INT8, to.tiles += KERN_TILE_BYTES) {
        _mm512_store_si512(to.tiles, quantise_chunk(job->weights + i, job->n - i, inverse));
    }
}

void kern_soften_avx512vnni(const struct kern_ops *ops, const struct kern_soften_job *job)
{
    (void)ops;
    const float highest = add_rows(job);
    float factor = 0.0f, largest = 0.0f;
    if (highest > -INFINITY) {
        factor = 1.0f / exponentials(job, highest, &largest);
        largest *= factor; /* rounding keeps order: this is the largest of the scaled ones */
        largest = largest > 0.0f ? largest : 0.0f;
    } else {
        for (size_t i = 0; i < job->n; i += W)
            _mm512_mask_storeu_ps(job->weights + i, mask16(job->n - i), _mm512_setzero_ps());
    }
    const float left = quantise_weights(job, _mm512_set1_ps(factor), largest,
                                        row_of(job, job->row));
    quantise_rest(job, left, row_of(job, job->m + job->row));
}
