/* Products of 2 x 2 blocks, shared by the int8 and the bf16 kernel of this level.
 *
 * SMMLA multiplies two rows of eight int8 by two others, BFMMLA two rows of four bf16 by two
 * others: 8 bytes a row. A row of a weight tile holds 4 bytes of k for each of sixteen outputs,
 * so interleaving two rows of it word by word gives both outputs of an operand; the layout stays
 * that of the other levels. An odd last row is paired with itself and its copy dropped, which
 * keeps every output's chain the same in any company.                                            */
#ifndef KERN_ARM_I8MM_MMLA_H
#define KERN_ARM_I8MM_MMLA_H

#include "kern/arm/neon/finish.h"

#define MMLA_PAIRS 4 /* most pairs of rows of a tile */
#define MMLA_STEP  8 /* bytes of k of one instruction */

/* Eight bytes of each of two rows. */
static inline uint32x4_t mmla_rows(const uint8_t *a, const uint8_t *b)
{
    return vreinterpretq_u32_u8(vcombine_u8(vld1_u8(a), vld1_u8(b)));
}

/* Weights of outputs 0, 1 and 2, 3 at one step; `w` points at the first of two tile rows. */
static inline uint32x4x2_t mmla_weights(const uint8_t *w)
{
    const uint32x4_t first = vreinterpretq_u32_u8(vld1q_u8(w));
    const uint32x4_t second = vreinterpretq_u32_u8(vld1q_u8(w + KERN_CHUNK_BYTES));
    return vzipq_u32(first, second);
}

/* First byte of rows m and m + 1 (or m again, when that is n_m) of prepared activations. */
static inline void mmla_row_pair(const uint8_t *row[2], const uint8_t *blocks, size_t m, size_t n_m,
                                 size_t chunks)
{
    row[0] = blocks + kern_prep_row(m, chunks);
    row[1] = m + 1 < n_m ? blocks + kern_prep_row(m + 1, chunks) : row[0];
}

#endif
