/* Row-wise parts that the encoder and the decoder share: layer norm and the two-layer perceptron.
 * Rows are independent, so any split over workers gives the same bits.                           */
#include "model/whisper/parts.h"

#define NORM_ROWS 32 /* per task: about 10 us of work at width 1280, well above a task's cost */

struct norm_call {
    const struct kern_ops *ops;
    const struct whisper_norm *norm;
    const float *x;
    float *out;
    size_t n, d;
};

static void norm_task(void *context, size_t task, int worker)
{
    const struct norm_call *call = context;
    size_t first = task * NORM_ROWS;
    size_t end = first + NORM_ROWS < call->n ? first + NORM_ROWS : call->n;
    (void)worker;

    for (size_t row = first; row < end; row++)
        call->ops->layer_norm(call->out + row * call->d, call->x + row * call->d, call->norm->gamma,
                              call->norm->beta, call->d, WHISPER_LN_EPS);
}

void whisper_norm_rows(const struct whisper_model *model, struct au_pool *pool,
                       const struct whisper_norm *norm, const float *x, size_t n, float *out)
{
    struct norm_call call = {
        model->ops, norm, x, out, n, (size_t)model->dims.n_text_state,
    };
    size_t tasks = (n + NORM_ROWS - 1) / NORM_ROWS;
    au_pool_run(tasks > 1 ? pool : NULL, tasks, norm_task, &call);
}

void whisper_mlp_rows(const struct whisper_model *model, struct au_pool *pool,
                      const struct whisper_block *block, size_t n, float *x, float *normed,
                      float *hidden, void *scratch)
{
    size_t d = block->mlp_in.k, width = block->mlp_in.n;

    whisper_norm_rows(model, pool, &block->mlp_ln, x, n, normed);
    tensor_linear_run_fine(&block->mlp_in, pool, normed, d, n, hidden, width, NULL, KERN_ACT_GELU,
                           scratch);
    tensor_linear_run_fine(&block->mlp_out, pool, hidden, width, n, x, d, x, KERN_ACT_NONE,
                           scratch);
}

size_t whisper_hidden_width(const struct whisper_block *blocks, int n)
{
    size_t width = 0;
    for (int i = 0; i < n; i++)
        width = blocks[i].mlp_in.n > width ? blocks[i].mlp_in.n : width;
    return width;
}
