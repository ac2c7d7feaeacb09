/* Preparing activations for NEON: rows to int8 or bf16 in tile order (kern/pack.h). */
#include "kern/arm/neon/simd.h"
#include "kern/levels.h"
#include "kern/pack.h"

static float max_magnitude(const float *x, size_t n)
{
    float32x4_t largest = vdupq_n_f32(0.0f);
    for (size_t i = 0; i < n; i += W)
        largest = larger4(vabsq_f32(load4(x + i, n - i)), largest);
    return vmaxvq_f32(largest);
}

/* Four columns from i; zeros from n on. */
static inline float32x4_t load_padded(const float *x, size_t i, size_t n)
{
    return i < n ? load4(x + i, n - i) : vdupq_n_f32(0.0f);
}

static inline int32x4_t quantise(float32x4_t x, float inverse)
{
    const float32x4_t low = vdupq_n_f32(-127.0f);
    const float32x4_t q = larger4(vmulq_n_f32(x, inverse), low); /* NaN becomes -127 */
    return vcvtnq_s32_f32(vminq_f32(q, vdupq_n_f32(127.0f)));
}

/* Eight columns from i as bytes; zeros from n on. */
static inline int8x8_t quantise8(const float *x, size_t i, size_t n, float inverse)
{
    const int32x4_t low = quantise(load_padded(x, i, n), inverse);
    const int32x4_t high = quantise(load_padded(x, i + W, n), inverse);
    return vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high)));
}

static inline void quantise_row(int8_t *to, const float *x, size_t k, float largest)
{
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    for (size_t i = 0; i < kern_chunks(k, KERN_CHUNK_INT8) * KERN_CHUNK_INT8; i += 2 * W)
        vst1_s8(to + i / KERN_CHUNK_INT8 * KERN_TILE_BYTES + i % KERN_CHUNK_INT8,
                quantise8(x, i, k, inverse));
}

static inline void residual(float *out, const float *x, size_t n, float largest)
{
    const float32x4_t scale = vdupq_n_f32(largest / 127.0f);
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    for (size_t i = 0; i < n; i += W) {
        const float32x4_t value = load4(x + i, n - i);
        const float32x4_t kept = vcvtq_f32_s32(quantise(value, inverse));
        store4(out + i, n - i, vfmsq_f32(value, kept, scale));
    }
}

#include "kern/generic/pairs_body.h"

void kern_prep_int8_neon(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                         size_t m0, size_t m1)
{
    const size_t chunks = kern_chunks(k, KERN_CHUNK_INT8);
    float *scales = prepared;
    int8_t *blocks = (int8_t *)prepared + kern_prep_int8_head(m);
    for (size_t row = m0; row < m1; row++) {
        const float *from = x + row * x_stride;
        const float largest = max_magnitude(from, k);
        scales[row] = largest / 127.0f;
        quantise_row(blocks + kern_prep_row(row, chunks), from, k, largest);
    }
}

void kern_prep_int8_pairs_neon(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                               size_t i0, size_t i1)
{
    prepare_pairs(prepared, x, x_stride, m, k, i0, i1);
}

/* Round to nearest even, NaN made quiet: the scalar conversion, four at a time. */
static inline uint16x4_t to_bf16(float32x4_t x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x), high = vshrq_n_u32(bits, 16);
    const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    const uint32x4_t up = vaddq_u32(vdupq_n_u32(0x7fff), odd);
    const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, up), 16);
    const uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
    return vmovn_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet));
}

void kern_prep_bf16_neon(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                         size_t m0, size_t m1)
{
    (void)m;
    const size_t chunks = kern_chunks(k, KERN_CHUNK_BF16);
    for (size_t row = m0; row < m1; row++) {
        char *to = (char *)prepared + kern_prep_row(row, chunks);
        for (size_t i = 0; i < chunks * KERN_CHUNK_BF16; i += W) {
            char *at = to + i / KERN_CHUNK_BF16 * KERN_TILE_BYTES + i % KERN_CHUNK_BF16 * 2;
            vst1_u16((uint16_t *)at, to_bf16(load_padded(x + row * x_stride, i, k)));
        }
    }
}

void kern_int8_residual_neon(float *out, const float *x, size_t n)
{
    residual(out, x, n, max_magnitude(x, n));
}
