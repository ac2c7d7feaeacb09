/* Silero from named tensors: shapes give the widths, every further shape must agree with them.   */
#include <string.h>

#include "base/mem.h"
#include "model/silero/parts.h"

#define MAX_WIDTH 1024

struct loader {
    const struct format_weights *weights;
    const char *path;
    struct silero_model *model;
    struct au_fault *fault;
};

static enum auricle_error out_of_memory(const struct loader *l)
{
    return au_fail(l->fault, AURICLE_E_NOMEM, "%s: not enough memory for the model's weights",
                   l->path);
}

/* Find `name` with up to three axes; 0 in want means any length from 1 to MAX_WIDTH. */
static enum auricle_error find(const struct loader *l, const char *name, int n_want,
                               const size_t *want, const struct format_tensor **out)
{
    const struct format_tensor *tensor = format_weights_find(l->weights, name);
    char seen[96];

    if (!tensor)
        return au_fail(l->fault, AURICLE_E_NOT_FOUND,
                       "%s: tensor '%s' is missing, so this is not a complete Silero model",
                       l->path, name);
    bool fits = tensor->n_dims == n_want;
    for (int i = 0; i < n_want && fits; i++)
        fits = want[i] ? tensor->shape[i] == want[i]
                       : tensor->shape[i] >= 1 && tensor->shape[i] <= MAX_WIDTH;
    if (!fits)
        return au_fail(l->fault, AURICLE_E_SHAPE,
                       "%s: the shape %s of tensor '%s' does not fit the model's other tensors",
                       l->path, format_shape_text(tensor, seen, sizeof seen), name);
    *out = tensor;
    return AURICLE_OK;
}

static float *read_all(const struct format_tensor *tensor)
{
    float *data = au_alloc_array(tensor->n_elements, sizeof *data);
    if (data)
        format_read_f32(tensor, data);
    return data;
}

static enum auricle_error pack(const struct loader *l, const float *w, const float *bias, size_t n,
                               size_t k, struct tensor_linear *out)
{
    const struct kern_gemm *gemm = l->model->ops->gemm[KERN_F32];
    if (tensor_linear_create(out, gemm, w, bias, n, k, NULL))
        return out_of_memory(l);
    l->model->bytes += gemm->packed_bytes(n, k) + (bias ? n * sizeof *bias : 0);
    return AURICLE_OK;
}

/* ---- The parts ------------------------------------------------------------------------------- */

static enum auricle_error load_stft(const struct loader *l)
{
    struct silero_model *model = l->model;
    const struct format_tensor *tensor;
    enum auricle_error error = find(l, "stft_conv.weight", 3, (const size_t[]){0, 1, 0}, &tensor);
    if (error)
        return error;
    size_t n_fft = tensor->shape[2];
    if ((n_fft != 256 && n_fft != 128) || tensor->shape[0] != n_fft + 2)
        return au_fail(l->fault, AURICLE_E_UNSUPPORTED,
                       "%s: 'stft_conv.weight' has %zu filters of %zu samples; 258 of 256 (16 kHz) "
                       "and 130 of 128 (8 kHz) are known",
                       l->path, tensor->shape[0], n_fft);
    model->rate_hz = n_fft == 256 ? 16000 : 8000;
    model->n_fft = n_fft;
    model->hop = n_fft / 2;
    model->context = n_fft / 4;
    model->chunk = 2 * n_fft;
    model->bins = n_fft / 2 + 1;

    float *w = read_all(tensor);
    if (!w)
        return out_of_memory(l);
    error = pack(l, w, NULL, 2 * model->bins, n_fft, &model->stft);
    au_free(w);
    return error;
}

/* [N, C, 3] to rows of tap * C + channel; the last convolution keeps tap 1 alone. */
static void arrange_taps(const float *w, size_t n, size_t channels, bool middle_only, float *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t tap = middle_only ? 1 : 0; tap < (middle_only ? 2 : 3); tap++)
            for (size_t c = 0; c < channels; c++)
                *out++ = w[(i * channels + c) * 3 + tap];
}

static enum auricle_error load_conv(const struct loader *l, int i, size_t channels)
{
    static const char *const names[4][2] = {{"conv1.weight", "conv1.bias"},
                                            {"conv2.weight", "conv2.bias"},
                                            {"conv3.weight", "conv3.bias"},
                                            {"conv4.weight", "conv4.bias"}};
    const struct format_tensor *weight, *bias;
    enum auricle_error error = find(l, names[i][0], 3, (const size_t[]){0, channels, 3}, &weight);
    if (error)
        return error;
    size_t n = weight->shape[0], taps = i == 3 ? 1 : 3;
    error = find(l, names[i][1], 1, &n, &bias);
    if (error)
        return error;
    l->model->width[i] = n;

    float *w = read_all(weight), *b = read_all(bias);
    float *arranged = au_alloc_array(n * taps * channels, sizeof *arranged);
    if (!w || !b || !arranged) {
        error = out_of_memory(l);
    } else {
        arrange_taps(w, n, channels, taps == 1, arranged);
        error = pack(l, arranged, b, n, taps * channels, &l->model->conv[i]);
    }
    au_free(arranged);
    au_free(b);
    au_free(w);
    return error;
}

/* Input and recurrent matrices side by side, biases added: one product per step. */
static enum auricle_error load_lstm(const struct loader *l)
{
    struct silero_model *model = l->model;
    const struct format_tensor *w[2], *b[2];
    size_t in = model->width[3];

    enum auricle_error error = find(l, "lstm_cell.weight_ih", 2, (const size_t[]){0, in}, &w[0]);
    if (error)
        return error;
    size_t gates = w[0]->shape[0], hidden = gates / 4, k = in + hidden;
    if (gates % 4 != 0 || hidden > SILERO_MAX_HIDDEN)
        return au_fail(l->fault, AURICLE_E_UNSUPPORTED,
                       "%s: 'lstm_cell.weight_ih' has %zu rows; 4 gates of at most %d are accepted",
                       l->path, gates, SILERO_MAX_HIDDEN);
    error = find(l, "lstm_cell.weight_hh", 2, (const size_t[]){gates, hidden}, &w[1]);
    if (!error)
        error = find(l, "lstm_cell.bias_ih", 1, &gates, &b[0]);
    if (!error)
        error = find(l, "lstm_cell.bias_hh", 1, &gates, &b[1]);
    if (error)
        return error;
    model->hidden = hidden;

    float *joined = au_alloc_array(gates * k + 2 * gates, sizeof *joined);
    if (!joined)
        return out_of_memory(l);
    float *bias = joined + gates * k, *bias_2 = bias + gates;
    for (size_t i = 0; i < gates; i++) {
        format_read_f32_range(w[0], i * in, in, joined + i * k);
        format_read_f32_range(w[1], i * hidden, hidden, joined + i * k + in);
    }
    format_read_f32(b[0], bias);
    format_read_f32(b[1], bias_2);
    model->ops->add(bias, bias, bias_2, gates);
    error = pack(l, joined, bias, gates, k, &model->lstm);
    au_free(joined);
    return error;
}

static enum auricle_error load_output(const struct loader *l)
{
    const struct format_tensor *weight, *bias;
    enum auricle_error error = find(l, "final_conv.weight", 3,
                                    (const size_t[]){1, l->model->hidden, 1}, &weight);
    if (!error)
        error = find(l, "final_conv.bias", 1, (const size_t[]){1}, &bias);
    if (error)
        return error;
    l->model->out_weight = read_all(weight);
    if (!l->model->out_weight)
        return out_of_memory(l);
    format_read_f32(bias, &l->model->out_bias);
    return AURICLE_OK;
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

enum auricle_error silero_model_create(const struct format_weights *weights,
                                       const struct kern_ops *ops, struct silero_model **out,
                                       struct au_fault *fault)
{
    struct loader l = {weights, format_weights_path(weights), NULL, fault};

    if (!format_weights_find(weights, "stft_conv.weight"))
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "%s: not a Silero voice activity model (tensor 'stft_conv.weight' is absent)", l.path);
    l.model = au_calloc(1, sizeof *l.model);
    if (!l.model)
        return out_of_memory(&l);
    l.model->ops = ops;
    enum auricle_error error = load_stft(&l);
    size_t channels = l.model->bins;
    for (int i = 0; i < 4 && !error; i++) {
        error = load_conv(&l, i, channels);
        channels = l.model->width[i];
    }
    if (!error)
        error = load_lstm(&l);
    if (!error)
        error = load_output(&l);
    if (error) {
        silero_model_destroy(l.model);
        return error;
    }
    *out = l.model;
    return AURICLE_OK;
}

void silero_model_destroy(struct silero_model *model)
{
    if (!model)
        return;
    tensor_linear_deinit(&model->stft);
    for (int i = 0; i < 4; i++)
        tensor_linear_deinit(&model->conv[i]);
    tensor_linear_deinit(&model->lstm);
    au_free(model->out_weight);
    au_free(model);
}

int silero_rate_hz(const struct silero_model *model)
{
    return model->rate_hz;
}

size_t silero_chunk_samples(const struct silero_model *model)
{
    return model->chunk;
}

uint64_t silero_model_bytes(const struct silero_model *model)
{
    return model->bytes;
}

void silero_state_reset(struct silero_state *state)
{
    memset(state, 0, sizeof *state);
}
