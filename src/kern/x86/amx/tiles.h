/* Tile configuration for the AMX kernels: a 2 x 2 square of accumulators (tiles 0 to 3), two tiles
 * of activations (4, 5) and two of weights (6, 7).                                              */
#ifndef KERN_X86_AMX_TILES_H
#define KERN_X86_AMX_TILES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
};

/* Activations and accumulators get rows_0 rows in the upper half of the square, rows_1 in the lower
 * (1 to 16); weights have 16. Fewer rows than 16 are computed faster.                           */
static inline void tiles_configure(size_t rows_0, size_t rows_1)
{
    struct tile_config config;
    memset(&config, 0, sizeof(config));
    config.palette = 1;
    for (int tile = 0; tile < 8; tile++) {
        config.bytes_per_row[tile] = 64;
        config.rows[tile] = 16;
    }
    config.rows[0] = config.rows[1] = config.rows[4] = (uint8_t)rows_0;
    config.rows[2] = config.rows[3] = config.rows[5] = (uint8_t)rows_1;
    /* gcc 12 believes that the instruction reads 8 bytes: without the barrier it drops the stores
     * to the others, and the first tile load faults.                                           */
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
}

#endif
