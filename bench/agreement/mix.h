/* Models of which some parts compute in f32 and others as a narrower type does.
 *
 * A part is a group of matrices, their weights and inputs apart, or a kind of attention. A mixed
 * model borrows everything from four models of the same weights (f32; the type that is measured;
 * and f32 products of rounded weights, of rounded inputs) and owns only its lists of blocks.
 * Owner: one thread.                                                                            */
#ifndef BENCH_AGREEMENT_MIX_H
#define BENCH_AGREEMENT_MIX_H

#include "model/whisper/parts.h"

enum mix_part {
    MIX_CONVOLUTIONS,
    MIX_ENCODER_ATTENTION,
    MIX_ENCODER_QKV,
    MIX_ENCODER_OUT,
    MIX_ENCODER_MLP_IN,
    MIX_ENCODER_MLP_OUT,
    MIX_CROSS_KV, /* the projection of the encoder's output */
    MIX_CROSS,    /* attention over packed keys and values */
    MIX_DECODER_SELF,
    MIX_DECODER_CROSS,
    MIX_DECODER_MLP,
    MIX_VOCABULARY,
    MIX_N_PARTS
};

#define MIX_ALL ((1U << MIX_N_PARTS) - 1)

/* Which parts are rounded, one bit each, in their weights and in their inputs. Attention has
 * only inputs; a part that is rounded in both is run by the measured type's own kernels. Inputs
 * alone are rounded to one row each, which is not what the decoder does
 * (tensor_linear_run_fine).                                                                      */
struct mix {
    const char *name;
    unsigned weights, inputs;
};

struct mix_sources {
    struct kern_ops rounded_weights_ops, rounded_inputs_ops;
    struct kern_gemm rounded_weights_gemm, rounded_inputs_gemm;
    struct whisper_model *exact, *narrow, *rounded_weights, *rounded_inputs;
};

/* Load the four models; `type` is the measured one (the halves need KERN_INT8 and are NULL for
 * others). A zeroed struct may be deinitialised, and it must not move in memory.                 */
AURICLE_MUST_CHECK enum auricle_error mix_sources_init(struct mix_sources *sources,
                                                       const struct format_weights *weights,
                                                       const struct kern_ops *ops,
                                                       enum kern_type type, struct au_pool *pool,
                                                       struct au_fault *fault);
void mix_sources_deinit(struct mix_sources *sources);

struct mixed_model {
    struct whisper_model model; /* to be run; not to be destroyed */
    struct kern_ops ops;
};

/* Must not move in memory. Errors: NOMEM, INVALID (a half is asked for that there is not). */
AURICLE_MUST_CHECK enum auricle_error mixed_model_init(struct mixed_model *mixed,
                                                       const struct mix_sources *sources,
                                                       const struct mix *mix);
void mixed_model_deinit(struct mixed_model *mixed);

#endif
