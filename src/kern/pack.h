/* Memory layouts of packed weights and prepared activations: one per type, read by every level.
 *
 * Weights [N, K] are cut into panels of 16 outputs. Inside a panel the reduction runs forward:
 *   f32   [panel][k][16]                      one AVX-512 register per k
 *   bf16  [panel][chunk of 32][pair][16][2]   a chunk is one 1 KiB AMX tile, a row of it one
 *   register
 *   int8  [panel][chunk of 64][quad][16][4]   the same bytes for int8, then scale[N'], sum[N']
 * N' is N rounded up to panels; the padding is zero. sum[n] = sum over k of the quantised weights:
 * kernels whose instruction wants unsigned activations add 128 to them and take 128 * sum off.
 *
 * Activations [M, K]:
 *   f32   [M][K]
 *   bf16  [block of 16][chunk of 32][16][32]  a chunk of a block is one AMX tile
 *   int8  scale[M'] then [block of 16][chunk of 64][16][64]
 * M' is M rounded up to 16. Rows beyond M are never written and never needed; K's padding is zero.
 *
 * int8: q = round(x * (127 / max|x|)), ties to even, in [-127, 127]; scale = max|x| / 127.
 *   product = (float)sum_k(qx * qw) * (scale_x * scale_w) + bias, each operation rounded once.   */
#ifndef KERN_PACK_H
#define KERN_PACK_H

#include <stddef.h>
#include <stdint.h>

#define KERN_PANEL       16 /* outputs per panel, rows per block */
#define KERN_CHUNK_BYTES 64 /* one tile row */
#define KERN_TILE_BYTES  1024
#define KERN_CHUNK_BF16  32
#define KERN_CHUNK_INT8  64

static inline size_t kern_panels(size_t n)
{
    return (n + KERN_PANEL - 1) / KERN_PANEL;
}

static inline size_t kern_chunks(size_t k, size_t per_chunk)
{
    return (k + per_chunk - 1) / per_chunk;
}

/* Element (n, k) of packed weights. */
static inline size_t kern_pack_f32_index(size_t n, size_t k, size_t n_k)
{
    return (n / KERN_PANEL * n_k + k) * KERN_PANEL + n % KERN_PANEL;
}

static inline size_t kern_pack_bf16_index(size_t n, size_t k, size_t n_k)
{
    const size_t tile = n / KERN_PANEL * kern_chunks(n_k, KERN_CHUNK_BF16) + k / KERN_CHUNK_BF16;
    return tile * 512 + k % KERN_CHUNK_BF16 / 2 * 32 + n % KERN_PANEL * 2 + k % 2;
}

static inline size_t kern_pack_int8_index(size_t n, size_t k, size_t n_k)
{
    const size_t tile = n / KERN_PANEL * kern_chunks(n_k, KERN_CHUNK_INT8) + k / KERN_CHUNK_INT8;
    return tile * 1024 + k % KERN_CHUNK_INT8 / 4 * 64 + n % KERN_PANEL * 4 + k % 4;
}

/* What follows the tiles of packed int8 weights. */
static inline const float *kern_pack_int8_scales(const void *packed, size_t n, size_t k)
{
    const size_t tiles = kern_panels(n) * kern_chunks(k, KERN_CHUNK_INT8);
    return (const float *)((const int8_t *)packed + tiles * KERN_TILE_BYTES);
}

static inline const int32_t *kern_pack_int8_sums(const void *packed, size_t n, size_t k)
{
    return (const int32_t *)(kern_pack_int8_scales(packed, n, k) + kern_panels(n) * KERN_PANEL);
}

/* First byte of row m of prepared activations; its next chunks follow at KERN_TILE_BYTES. `tiles`
 * is where the blocks begin and n_chunks counts chunks per row.                                 */
static inline size_t kern_prep_row(size_t m, size_t n_chunks)
{
    return m / KERN_PANEL * n_chunks * KERN_TILE_BYTES + m % KERN_PANEL * KERN_CHUNK_BYTES;
}

/* Bytes of the scales before the blocks of prepared int8 activations. */
static inline size_t kern_prep_int8_head(size_t m)
{
    return kern_panels(m) * KERN_PANEL * sizeof(float);
}

#endif
