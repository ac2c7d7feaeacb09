/* 400-point power spectrum, 8 frames at a time. See generic/fft_body.h. */
#include "kern/fft.h"

#define FFT_LANES    8
#define FFT_FUNCTION kern_power_spectrum_avx2
#include "kern/generic/fft_body.h"
