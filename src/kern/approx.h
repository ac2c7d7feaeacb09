/* Constants of the elementary functions, shared by every level so that all of them give the same
 * bits: exp and the erf form of GELU. Each level evaluates the same fused operations in the same
 * order; generic/approx.h is the readable form.
 *
 * exp(x) = 2^n * p(r), n = round(x / ln 2), r = x - n ln 2 in two steps, p of degree 6 from
 * Chebyshev nodes: relative error 2.1e-8 before rounding, 2 units in the last place after it.
 *
 * gelu(x) = max(x, 0) - b(|x|), where b(z) = z * Phi(-z) is a bump that is gone at z = 6: sixteen
 * quintic pieces of width 3/8 centred on multiples of it, absolute error 1.4e-8 before rounding.
 * A table of sixteen fits one AVX-512 register per power, so a piece is picked by one permute.   */
#ifndef KERN_APPROX_H
#define KERN_APPROX_H

#define KERN_EXP_MIN    (-87.0f) /* below it exp is taken as 0 */
#define KERN_EXP_MAX    88.0f    /* above it as exp(88) */
#define KERN_EXP_LOG2E  0x1.715476p+0f
#define KERN_EXP_LN2_HI 0x1.62e4p-1f
#define KERN_EXP_LN2_LO 0x1.7f7d1cp-20f
#define KERN_ROUND      12582912.0f /* 1.5 * 2^23: adding it rounds to an integer */
#define KERN_EXP_C0     1.0f
#define KERN_EXP_C1     1.0f
#define KERN_EXP_C2     0.5f
#define KERN_EXP_C3     0x1.555402p-3f
#define KERN_EXP_C4     0x1.5554acp-5f
#define KERN_EXP_C5     0x1.12705ap-7f
#define KERN_EXP_C6     0x1.6d75e6p-10f

#define KERN_GELU_PER_UNIT (8.0f / 3.0f) /* pieces per unit of |x| */
#define KERN_GELU_LAST     15.499f /* |x| * KERN_GELU_PER_UNIT is clipped here, below the tie */

/* Row j holds the coefficients of u^j, u in [-1/2, 1/2] from the centre of the piece. The first
 * piece is fitted on [0, 1/2] without constant, so that gelu(0) is 0.                            */
static const float kern_gelu_c[6][16] = {
    {0.0f, 0x1.0fbddap-3f, 0x1.5c1980p-3f, 0x1.2c32d6p-3f, 0x1.9a76a6p-4f, 0x1.d2e35cp-5f,
     0x1.c2a496p-6f, 0x1.74a8e8p-7f, 0x1.096694p-8f, 0x1.468976p-10f, 0x1.5babd0p-12f,
     0x1.40b6d4p-14f, 0x1.008462p-16f, 0x1.63fa1cp-19f, 0x1.acb612p-22f, 0x1.c03002p-25f},
    {0x1.800000p-3f, 0x1.494b72p-4f, 0x1.3075c8p-12f, -0x1.4bfb1ep-5f, -0x1.8795dap-5f,
     -0x1.2ed4d2p-5f, -0x1.6ba96cp-6f, -0x1.6531aep-7f, -0x1.259382p-8f, -0x1.98ab4ep-10f,
     -0x1.e5280ap-12f, -0x1.ed6558p-14f, -0x1.af25fcp-16f, -0x1.446adep-18f, -0x1.a50e0ap-21f,
     -0x1.d7dc7ap-24f},
    {-0x1.cb9484p-5f, -0x1.8e4092p-5f, -0x1.f2affcp-6f, -0x1.66844cp-7f, 0x1.2a589ep-9f,
     0x1.e06624p-8f, 0x1.bfebd4p-8f, 0x1.1ec36ap-8f, 0x1.1dead8p-9f, 0x1.d04446p-11f,
     0x1.39902ap-12f, 0x1.649a9ap-14f, 0x1.5801a6p-16f, 0x1.1ae716p-18f, 0x1.8e116ap-21f,
     0x1.e06b06p-24f},
    {-0x1.65db90p-19f, 0x1.35fb16p-8f, 0x1.bf2eb4p-8f, 0x1.776b06p-8f, 0x1.87ab18p-9f,
     0x1.1fe5e0p-11f, -0x1.5da2e6p-11f, -0x1.bce81cp-11f, -0x1.32561ap-11f, -0x1.344cd8p-12f,
     -0x1.ea7a4cp-14f, -0x1.3ece00p-15f, -0x1.58ab96p-17f, -0x1.3936ecp-19f, -0x1.e1d666p-22f,
     -0x1.3b3c58p-24f},
    {0x1.5c9beep-10f, 0x1.e479fep-11f, 0x1.94dbc6p-14f, -0x1.267e92p-11f, -0x1.73836cp-11f,
     -0x1.e98d3ap-12f, -0x1.426b2ap-13f, 0x1.0e3bc8p-15f, 0x1.4d8fe2p-14f, 0x1.f415dcp-15f,
     0x1.fa47bep-16f, 0x1.88df68p-17f, 0x1.e9f352p-19f, 0x1.f6aa60p-21f, 0x1.ae2040p-23f,
     0x1.35b402p-25f},
    {-0x1.202dcap-15f, -0x1.275888p-13f, -0x1.60bef0p-13f, -0x1.5e5340p-14f, 0x1.4a282cp-16f,
     0x1.138ad8p-14f, 0x1.bd1c6ep-15f, 0x1.673036p-16f, 0x1.30e890p-23f, -0x1.a10072p-18f,
     -0x1.4e59f0p-18f, -0x1.4d053ep-19f, -0x1.ee69f4p-21f, -0x1.229028p-22f, -0x1.164200p-24f,
     -0x1.b96140p-27f},
};

#endif
