/* Rows of a 1-D convolution of width 3 and padding 1, laid out for a matrix product (im2col).
 * Time-major input makes each tap one contiguous copy, so memcpy serves every level.             */
#include <string.h>

#include "kern/levels.h"

void kern_conv3_rows(float *out, const float *x, size_t t_in, size_t channels, size_t stride,
                     size_t t0, size_t t1)
{
    for (size_t t = t0; t < t1; t++) {
        for (size_t tap = 0; tap < 3; tap++) {
            float *to = out + (t * 3 + tap) * channels;
            const size_t from = t * stride + tap; /* one more than the input row */
            if (from == 0 || from > t_in)
                memset(to, 0, channels * sizeof(float));
            else
                memcpy(to, x + (from - 1) * channels, channels * sizeof(float));
        }
    }
}
