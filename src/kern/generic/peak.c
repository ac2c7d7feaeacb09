/* Arithmetic roof in plain C: independent chains of multiply and add that a compiler may turn into
 * the baseline's vector code. Only f32 has a roof here.                                          */
#include "kern/levels.h"

double kern_peak_generic(enum kern_type type, size_t rounds)
{
    enum { LANES = 48 };
    float lane[LANES];
    volatile float sink;
    if (type != KERN_F32)
        return 0.0;
    for (size_t i = 0; i < LANES; i++)
        lane[i] = (float)i;
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < LANES; i++)
            lane[i] = lane[i] * 0.5f + 1.0f;
    for (size_t i = 1; i < LANES; i++)
        lane[0] += lane[i];
    sink = lane[0];
    (void)sink;
    return 2.0 * LANES * (double)rounds;
}
