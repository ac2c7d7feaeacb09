/* Arithmetic roofs of AMX: tile products on four accumulators, operands loaded once. */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/amx/tiles.h"

double kern_peak_amx(enum kern_type type, size_t rounds)
{
    _Alignas(64) char zeros[KERN_TILE_BYTES] = {0};
    if (type == KERN_F32)
        return kern_peak_avx512vnni(type, rounds);
    tiles_configure(16, 16);
    _tile_loadd(4, zeros, 64);
    _tile_loadd(5, zeros, 64);
    _tile_loadd(6, zeros, 64);
    _tile_loadd(7, zeros, 64);
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
