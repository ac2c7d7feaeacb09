/* int8 products with AVX-VNNI: four products of unsigned and signed bytes summed to 32 bits by one
 * instruction. 128 is added to the activations, 128 times the sum of the weights taken off.      */
#include <immintrin.h>

#define NAME                    kern_gemm_int8_avx2vnni
#define X_FLIP                  0x80808080U
#define ADD_PRODUCTS(acc, x, w) _mm256_dpbusd_avx_epi32(acc, x, w)
#include "kern/x86/avx2/gemm_int8_body.h"
