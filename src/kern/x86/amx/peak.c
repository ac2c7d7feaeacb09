/* Arithmetic roofs of AMX: tile products on four accumulators, operands loaded once.
 *
 * The operands are mixed as real ones are. On zeros the matrix unit draws so little power that the
 * clock stays higher (12.5 cycles of 2.6 GHz a product instead of 13.6; 15 when the operands change
 * all the time), which no product of a model can reach.                                          */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/amx/tiles.h"

#define N_OPERANDS 4

/* Bytes of no pattern; as bf16 their size is kept between 1/2 and 2. */
static void fill_operands(uint16_t *operands, enum kern_type type)
{
    uint32_t state = 1;
    for (size_t i = 0; i < N_OPERANDS * KERN_TILE_BYTES / sizeof *operands; i++) {
        state = state * 1664525U + 1013904223U;
        const uint16_t bits = (uint16_t)(state >> 16);
        operands[i] = type == KERN_INT8 ? bits : (uint16_t)((bits & 0x80ffU) | 0x3f00U);
    }
}

double kern_peak_amx(enum kern_type type, size_t rounds)
{
    _Alignas(64) uint16_t operands[N_OPERANDS][KERN_TILE_BYTES / 2];
    if (type == KERN_F32)
        return kern_peak_avx512vnni(type, rounds);
    fill_operands(&operands[0][0], type);
    tiles_configure(16, 16);
    _tile_loadd(4, operands[0], 64);
    _tile_loadd(5, operands[1], 64);
    _tile_loadd(6, operands[2], 64);
    _tile_loadd(7, operands[3], 64);
    for (size_t round = 0; round < rounds; round++) {
        if (type == KERN_INT8) {
            _tile_dpbssd(0, 4, 6);
            _tile_dpbssd(1, 4, 7);
            _tile_dpbssd(2, 5, 6);
            _tile_dpbssd(3, 5, 7);
        } else {
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_release();
    return 4.0 * 2.0 * 16.0 * 16.0 * (type == KERN_INT8 ? 64.0 : 32.0) * (double)rounds;
}
