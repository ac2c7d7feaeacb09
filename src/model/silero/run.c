/* Silero, one chunk of every stream: all streams go through each product together.
 * Thread: any, one call at a time per workspace. Allocates: never.                               */
#include <math.h>
#include <string.h>

#include "model/silero/parts.h"

struct run {
    const struct silero_model *model;
    size_t n;
    const struct silero_trace *trace;

    float *columns; /* rows for the next product: STFT windows, then im2col */
    float *rows_a;  /* results, in turn */
    float *rows_b;
    float *joined; /* [n, width[3] + hidden]: LSTM input beside the previous h */
    float *gates;  /* [n, 4 * hidden] */
    void *scratch;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void take_buffers(struct run *run, struct tensor_workspace *ws)
{
    const struct silero_model *m = run->model;
    size_t n = run->n, frames = n * SILERO_FRAMES;
    size_t columns = larger(frames * larger(m->n_fft, 3 * m->bins),
                            n * larger(SILERO_FRAMES_2 * 3 * m->width[0], 3 * m->width[1]));
    size_t rows = frames *
                  larger(larger(2 * m->bins, m->width[0]), larger(m->width[1], m->width[2]));
    size_t scratch = larger(tensor_linear_scratch_bytes(&m->stft, frames),
                            tensor_linear_scratch_bytes(&m->lstm, n));

    for (int i = 0; i < 4; i++)
        scratch = larger(scratch, tensor_linear_scratch_bytes(&m->conv[i], frames));
    run->columns = tensor_take(ws, columns, sizeof(float));
    run->rows_a = tensor_take(ws, rows, sizeof(float));
    run->rows_b = tensor_take(ws, rows, sizeof(float));
    run->joined = tensor_take(ws, n * (m->width[3] + m->hidden), sizeof(float));
    run->gates = tensor_take(ws, n * 4 * m->hidden, sizeof(float));
    run->scratch = tensor_take(ws, scratch, 1);
}

static void trace_rows(const struct run *run, const char *name, const float *x, size_t rows,
                       size_t width)
{
    if (run->trace)
        run->trace->stage(run->trace->context, name, x, rows, width);
}

/* ---- Spectrum -------------------------------------------------------------------------------- */

/* Windows of one stream: context, chunk and the chunk's end reflected, n_fft long, hop apart. */
static void write_windows(const struct silero_model *m, const float *chunk,
                          struct silero_state *state, float *out)
{
    float line[SILERO_MAX_CONTEXT + 512 + SILERO_MAX_CONTEXT];
    size_t end = m->context + m->chunk;

    memcpy(line, state->context, m->context * sizeof *line);
    memcpy(line + m->context, chunk, m->chunk * sizeof *line);
    for (size_t i = 0; i < m->context; i++)
        line[end + i] = line[end - 2 - i];
    for (size_t f = 0; f < SILERO_FRAMES; f++)
        memcpy(out + f * m->n_fft, line + f * m->hop, m->n_fft * sizeof *line);
    silero_state_skip(m, state, chunk);
}

void silero_state_skip(const struct silero_model *model, struct silero_state *state,
                       const float *chunk)
{
    memcpy(state->context, chunk + model->chunk - model->context, model->context * sizeof *chunk);
}

/* Spectrum [rows, 2 * bins] to magnitudes [rows, bins]. */
static void write_magnitudes(const float *spectrum, size_t rows, size_t bins, float *out)
{
    for (size_t r = 0; r < rows; r++) {
        const float *re = spectrum + r * 2 * bins, *im = re + bins;
        for (size_t i = 0; i < bins; i++)
            out[r * bins + i] = sqrtf(re[i] * re[i] + im[i] * im[i]);
    }
}

/* ---- Convolutions ---------------------------------------------------------------------------- */

static void relu(float *x, size_t rows, size_t width, size_t stride)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++)
            x[r * stride + i] = x[r * stride + i] > 0.0F ? x[r * stride + i] : 0.0F;
}

/* x [n * frames_in, channels] to out [n * frames_out, width[i]]. */
static void convolve(const struct run *run, int i, const float *x, size_t frames_in,
                     size_t channels, size_t stride, float *out)
{
    const struct silero_model *m = run->model;
    size_t frames_out = frames_in / stride, k = 3 * channels;

    for (size_t s = 0; s < run->n; s++)
        m->ops->conv3_rows(run->columns + s * frames_out * k, x + s * frames_in * channels,
                           frames_in, channels, stride, 0, frames_out);
    tensor_linear_run(&m->conv[i], NULL, run->columns, k, run->n * frames_out, out, m->width[i],
                      NULL, KERN_ACT_NONE, run->scratch);
    relu(out, run->n * frames_out, m->width[i], m->width[i]);
}

/* ---- Memory and decision --------------------------------------------------------------------- */

static float sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

static void advance_cell(const float *gates, size_t hidden, struct silero_state *state)
{
    for (size_t j = 0; j < hidden; j++) {
        float in = sigmoid(gates[j]), forget = sigmoid(gates[hidden + j]);
        float candidate = tanhf(gates[2 * hidden + j]), pass = sigmoid(gates[3 * hidden + j]);
        state->c[j] = forget * state->c[j] + in * candidate;
        state->h[j] = pass * tanhf(state->c[j]);
    }
}

static float decide(const struct silero_model *m, const struct silero_state *state)
{
    float positive[SILERO_MAX_HIDDEN];
    memcpy(positive, state->h, m->hidden * sizeof *positive);
    relu(positive, 1, m->hidden, m->hidden);
    return sigmoid(m->ops->dot(positive, m->out_weight, m->hidden) + m->out_bias);
}

void silero_run_traced(const struct silero_model *model, struct tensor_workspace *ws, size_t n,
                       const float *const *chunks, struct silero_state *const *states, float *out,
                       const struct silero_trace *trace)
{
    const struct silero_model *m = model;
    struct run run = {.model = m, .n = n, .trace = trace};
    size_t mark = tensor_mark(ws), frames = n * SILERO_FRAMES, k = m->width[3] + m->hidden;

    take_buffers(&run, ws);
    for (size_t s = 0; s < n; s++)
        write_windows(m, chunks[s], states[s], run.columns + s * SILERO_FRAMES * m->n_fft);
    tensor_linear_run(&m->stft, NULL, run.columns, m->n_fft, frames, run.rows_a, 2 * m->bins, NULL,
                      KERN_ACT_NONE, run.scratch);
    write_magnitudes(run.rows_a, frames, m->bins, run.rows_b);
    trace_rows(&run, "stft_mag", run.rows_b, frames, m->bins);

    convolve(&run, 0, run.rows_b, SILERO_FRAMES, m->bins, 1, run.rows_a);
    trace_rows(&run, "conv1", run.rows_a, frames, m->width[0]);
    convolve(&run, 1, run.rows_a, SILERO_FRAMES, m->width[0], 2, run.rows_b);
    trace_rows(&run, "conv2", run.rows_b, n * SILERO_FRAMES_2, m->width[1]);
    convolve(&run, 2, run.rows_b, SILERO_FRAMES_2, m->width[1], 2, run.rows_a);
    trace_rows(&run, "conv3", run.rows_a, n, m->width[2]);
    tensor_linear_run(&m->conv[3], NULL, run.rows_a, m->width[2], n, run.joined, k, NULL,
                      KERN_ACT_NONE, run.scratch);
    relu(run.joined, n, m->width[3], k);
    for (size_t s = 0; s < n; s++)
        memcpy(run.joined + s * k + m->width[3], states[s]->h, m->hidden * sizeof(float));
    trace_rows(&run, "joined", run.joined, n, k);

    tensor_linear_run(&m->lstm, NULL, run.joined, k, n, run.gates, 4 * m->hidden, NULL,
                      KERN_ACT_NONE, run.scratch);
    for (size_t s = 0; s < n; s++) {
        advance_cell(run.gates + s * 4 * m->hidden, m->hidden, states[s]);
        out[s] = decide(m, states[s]);
    }
    tensor_release(ws, mark);
}

void silero_run(const struct silero_model *model, struct tensor_workspace *ws, size_t n,
                const float *const *chunks, struct silero_state *const *states, float *out)
{
    silero_run_traced(model, ws, n, chunks, states, out, NULL);
}

size_t silero_plan(const struct silero_model *model, size_t n)
{
    struct tensor_workspace ws;
    struct run run = {.model = model, .n = n};
    tensor_workspace_plan(&ws);
    take_buffers(&run, &ws);
    return ws.peak;
}
