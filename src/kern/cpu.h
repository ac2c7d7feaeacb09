/* What this processor and operating system can run. Internal to kern: upper layers ask
 * kern_level_usable.                                                                            */
#ifndef KERN_CPU_H
#define KERN_CPU_H

#include <stdbool.h>
#include <stdint.h>

enum kern_cpu_feature {
    KERN_CPU_AVX2 = 1 << 0,    /* AVX2, FMA and F16C, with their registers saved by the system */
    KERN_CPU_AVX512 = 1 << 1,  /* AVX-512 F, BW, DQ, VL and VNNI, with their registers saved */
    KERN_CPU_AMX = 1 << 2,     /* AMX tile, int8 and bf16 and AVX-512 BF16; permission granted */
    KERN_CPU_AVXVNNI = 1 << 3, /* VNNI in the 256-bit encoding of AVX */
    KERN_CPU_NEON = 1 << 4,    /* Advanced SIMD of 64-bit ARM */
    KERN_CPU_I8MM = 1 << 5,    /* its matrix products of int8 and of bf16 */
    KERN_CPU_DOTPROD = 1 << 6, /* its dot products of int8 */
};

/* Bits of kern_cpu_feature. Thread: any; computed once, every caller would compute the same. */
uint32_t kern_cpu_features(void);

#endif
