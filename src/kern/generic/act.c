/* Elementwise kernels in plain C. The formulas and their accuracy: kern/approx.h. */
#include "kern/generic/approx.h"
#include "kern/levels.h"

#define SPREAD_WIDTH 4
#include "kern/generic/spread_body.h"

void kern_gelu_generic(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = kern_gelu1(x[i]);
}

void kern_add_generic(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

void kern_spread_generic(float *out, const float *x, size_t n)
{
    spread_row(out, x, n);
}
