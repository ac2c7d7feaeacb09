/* The 400-point power spectrum at every level (kern.h, kern_ops.power_spectrum).
 *
 * All levels compile the same body (generic/fft_body.h) for their own vector width, without fused
 * multiply-add, so their results are equal bit for bit.                                          */
#ifndef KERN_FFT_H
#define KERN_FFT_H

#include "kern/kern.h"

void kern_power_spectrum_generic(const struct kern_fft400 *plan, const float *x, size_t hop,
                                 size_t n_frames, const float *window, float *power);
void kern_power_spectrum_avx2(const struct kern_fft400 *plan, const float *x, size_t hop,
                              size_t n_frames, const float *window, float *power);
void kern_power_spectrum_avx512vnni(const struct kern_fft400 *plan, const float *x, size_t hop,
                                    size_t n_frames, const float *window, float *power);
void kern_power_spectrum_neon(const struct kern_fft400 *plan, const float *x, size_t hop,
                              size_t n_frames, const float *window, float *power);

#endif
