/* Packing of weights for all levels, and the layout sizes of prepared activations.
 *
 * Runs once per model, so it is plain C: what matters is that the bytes are the same on every
 * machine (they are cached on disk). Layouts: pack.h. Thread: any, on disjoint panels.           */
#include "kern/pack.h"

#include <math.h>
#include <string.h>

#include "kern/levels.h"

/* panels * chunks * bytes_per_tile + tail, or 0 on overflow. */
static size_t tiled_bytes(size_t n, size_t chunks, size_t tile_bytes, size_t tail_per_row)
{
    size_t tiles, bytes, tail;
    const size_t panels = kern_panels(n);
    if (__builtin_mul_overflow(panels, chunks, &tiles) ||
        __builtin_mul_overflow(tiles, tile_bytes, &bytes) ||
        __builtin_mul_overflow(panels, KERN_PANEL * tail_per_row, &tail) ||
        __builtin_add_overflow(bytes, tail, &bytes))
        return 0;
    return bytes;
}

size_t kern_pack_f32_bytes(size_t n, size_t k)
{
    return tiled_bytes(n, k, KERN_PANEL * sizeof(float), 0);
}

size_t kern_pack_bf16_bytes(size_t n, size_t k)
{
    return tiled_bytes(n, kern_chunks(k, KERN_CHUNK_BF16), KERN_TILE_BYTES, 0);
}

size_t kern_pack_int8_bytes(size_t n, size_t k)
{
    return tiled_bytes(n, kern_chunks(k, KERN_CHUNK_INT8), KERN_TILE_BYTES,
                       sizeof(float) + sizeof(int32_t));
}

size_t kern_prep_f32_bytes(size_t m, size_t k)
{
    size_t elements, bytes;
    if (__builtin_mul_overflow(m, k, &elements) ||
        __builtin_mul_overflow(elements, sizeof(float), &bytes))
        return 0;
    return bytes;
}

size_t kern_prep_bf16_bytes(size_t m, size_t k)
{
    return tiled_bytes(m, kern_chunks(k, KERN_CHUNK_BF16), KERN_TILE_BYTES, 0);
}

size_t kern_prep_int8_bytes(size_t m, size_t k)
{
    return tiled_bytes(m, kern_chunks(k, KERN_CHUNK_INT8), KERN_TILE_BYTES, sizeof(float));
}

void kern_prep_f32(void *prepared, const float *x, size_t x_stride, size_t m, size_t k, size_t m0,
                   size_t m1)
{
    (void)m;
    float *out = prepared;
    for (size_t row = m0; row < m1; row++)
        memcpy(out + row * k, x + row * x_stride, k * sizeof(float));
}

void kern_pack_f32(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                   size_t n1)
{
    (void)n;
    float *out = packed;
    for (size_t first = n0; first < n1; first += KERN_PANEL) {
        float *panel = out + first * k;
        memset(panel, 0, KERN_PANEL * k * sizeof(float));
        for (size_t row = first; row < n1 && row < first + KERN_PANEL; row++)
            for (size_t i = 0; i < k; i++)
                panel[i * KERN_PANEL + row - first] = w[(row - n0) * w_stride + i];
    }
}

void kern_pack_bf16(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                    size_t n1)
{
    (void)n;
    uint16_t *out = packed;
    const size_t panel_elements = kern_chunks(k, KERN_CHUNK_BF16) * 512;
    for (size_t first = n0; first < n1; first += KERN_PANEL) {
        memset(out + first / KERN_PANEL * panel_elements, 0, panel_elements * sizeof(*out));
        for (size_t row = first; row < n1 && row < first + KERN_PANEL; row++)
            for (size_t i = 0; i < k; i++)
                out[kern_pack_bf16_index(row, i, k)] = kern_f32_to_bf16(
                    w[(row - n0) * w_stride + i]);
    }
}

static float max_magnitude(const float *x, size_t n)
{
    float largest = 0.0f;
    for (size_t i = 0; i < n; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return largest;
}

static int8_t quantise(float x, float inverse)
{
    float q = rintf(x * inverse);
    q = q > -127.0f ? q : -127.0f; /* NaN lands here too */
    q = q < 127.0f ? q : 127.0f;
    return (int8_t)q;
}

void kern_pack_int8(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                    size_t n1)
{
    int8_t *out = packed;
    const size_t panel_bytes = kern_chunks(k, KERN_CHUNK_INT8) * KERN_TILE_BYTES;
    float *scales = (float *)(out + kern_panels(n) * panel_bytes);
    int32_t *sums = (int32_t *)(scales + kern_panels(n) * KERN_PANEL);
    for (size_t first = n0; first < n1; first += KERN_PANEL) {
        memset(out + first / KERN_PANEL * panel_bytes, 0, panel_bytes);
        for (size_t row = first; row < first + KERN_PANEL; row++) {
            scales[row] = 0.0f;
            sums[row] = 0;
            if (row >= n1)
                continue;
            const float *from = w + (row - n0) * w_stride;
            const float largest = max_magnitude(from, k);
            const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
            scales[row] = largest / 127.0f;
            for (size_t i = 0; i < k; i++) {
                const int8_t q = quantise(from[i], inverse);
                out[kern_pack_int8_index(row, i, k)] = q;
                sums[row] += q;
            }
        }
    }
}

void kern_prep_bf16_generic(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                            size_t m0, size_t m1)
{
    (void)m;
    const size_t chunks = kern_chunks(k, KERN_CHUNK_BF16);
    for (size_t row = m0; row < m1; row++) {
        char *to = (char *)prepared + kern_prep_row(row, chunks);
        for (size_t i = 0; i < chunks * KERN_CHUNK_BF16; i++) {
            uint16_t *cell = (uint16_t *)(to + i / KERN_CHUNK_BF16 * KERN_TILE_BYTES);
            cell[i % KERN_CHUNK_BF16] = i < k ? kern_f32_to_bf16(x[row * x_stride + i]) : 0;
        }
    }
}

static void quantise_row(int8_t *to, const float *x, size_t k, float largest)
{
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    for (size_t i = 0; i < kern_chunks(k, KERN_CHUNK_INT8) * KERN_CHUNK_INT8; i++)
        to[i / KERN_CHUNK_INT8 * KERN_TILE_BYTES + i % KERN_CHUNK_INT8] =
            i < k ? quantise(x[i], inverse) : 0;
}

static void residual(float *out, const float *x, size_t n, float largest)
{
    const float scale = largest / 127.0f, inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    for (size_t i = 0; i < n; i++)
        out[i] = fmaf(-(float)quantise(x[i], inverse), scale, x[i]);
}

#include "kern/generic/pairs_body.h"

void kern_prep_int8_generic(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
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

void kern_int8_residual_generic(float *out, const float *x, size_t n)
{
    residual(out, x, n, max_magnitude(x, n));
}

void kern_prep_int8_pairs_generic(void *prepared, const float *x, size_t x_stride, size_t m,
                                  size_t k, size_t i0, size_t i1)
{
    prepare_pairs(prepared, x, x_stride, m, k, i0, i1);
}
