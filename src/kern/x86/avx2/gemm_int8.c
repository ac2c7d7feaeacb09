/* int8 products with AVX2 alone: unsigned times signed bytes, pairs summed to 16 bits.
 *
 * The instruction saturates at 32767. With the magnitude of a weight (at most 127) as the unsigned
 * side and the activation with the weight's sign as the other, a pair is at most 2 * 127 * 127 =
 * 32258: exact.                                                                                  */
#include <immintrin.h>

static inline __m256i add_products(__m256i acc, __m256i x, __m256i w)
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#define NAME                    kern_gemm_int8_avx2
#define X_FLIP                  0U
#define ADD_PRODUCTS(acc, x, w) add_products(acc, x, w)
#include "kern/x86/avx2/gemm_int8_body.h"
