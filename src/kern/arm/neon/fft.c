/* 400-point power spectrum, 4 frames at a time. See generic/fft_body.h. */
#include "kern/fft.h"

#define FFT_LANES    4
#define FFT_FUNCTION kern_power_spectrum_neon
#include "kern/generic/fft_body.h"
