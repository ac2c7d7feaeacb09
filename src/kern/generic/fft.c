/* 400-point power spectrum for any processor, and the tables all levels read. See fft_body.h. */
#include "kern/fft.h"

#include <math.h>

#define FFT_LANES    4
#define FFT_FUNCTION kern_power_spectrum_generic
#include "kern/generic/fft_body.h"

static void unit_root(float out[2], int k, int n)
{
    double angle = 6.283185307179586476925 * k / n;
    out[0] = (float)cos(angle);
    out[1] = (float)-sin(angle);
}

void kern_fft400_init(struct kern_fft400 *plan)
{
    for (int k = 0; k < 17; k++)
        unit_root(plan->w25[k], k, 25);
    for (int k = 0; k <= 100; k++)
        unit_root(plan->w400[k], k, 400);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 25; j++)
            plan->at[i][j] = (uint8_t)((25 * i + 8 * j) % 200);
    for (int k = 0; k <= 200; k++) /* bin 200 is bin 0 again */
        plan->bin[k] = plan->at[k % 8][k % 25];
    plan->bin[200] = plan->bin[0];
}
