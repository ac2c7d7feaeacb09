/* 400-point power spectrum, 16 frames at a time. See generic/fft_body.h. */
#include "kern/fft.h"

#define FFT_LANES    16
#define FFT_FUNCTION kern_power_spectrum_avx512vnni
#include "kern/generic/fft_body.h"
