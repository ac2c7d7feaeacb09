/* From named tensors to a model: find each tensor under the file's own naming, check its shape,
 * pack it for the chosen kernels.
 *
 * A matrix is packed piece by piece straight from the mapped file, so loading needs little memory
 * beyond the model itself. Benchmarks use the same path with random numbers in place of a file.
 * Thread: one loader; packing is spread over the pool.                                           */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "model/whisper/names.h"
#include "model/whisper/parts.h"

struct binder {
    const struct format_weights *weights; /* NULL: random numbers */
    enum whisper_naming naming;
    struct format_packed *packed; /* NULL: no cache */
    const char *path;
    uint64_t seed; /* of the next random tensor */
    struct au_pool *pool;
    struct whisper_model *model;
    struct au_fault *fault;
};

static enum auricle_error out_of_memory(const struct binder *b)
{
    return au_fail(b->fault, AURICLE_E_NOMEM, "%s: not enough memory for the model's weights",
                   b->path);
}

/* ---- Finding and checking -------------------------------------------------------------------- */

static bool is_quantised(enum format_type type)
{
    return type >= FORMAT_Q4_0 && type <= FORMAT_Q8_0;
}

/* Axes of length 1 do not matter (ggml stores convolution biases as [n, 1]), and a convolution may
 * come flattened to [N, C * 3].                                                                  */
static bool shape_matches(const struct format_tensor *tensor, const size_t *want, int n_want)
{
    size_t flat = 1;
    int i = 0;

    for (int j = 0; j < tensor->n_dims; j++) {
        if (tensor->shape[j] == 1)
            continue;
        while (i < n_want && want[i] == 1)
            i++;
        if (i < n_want && tensor->shape[j] == want[i]) {
            i++;
            continue;
        }
        if (j != tensor->n_dims - 1 || i != 1)
            return false;
        for (; i < n_want; i++)
            flat *= want[i];
        return tensor->shape[j] == flat;
    }
    while (i < n_want && want[i] == 1)
        i++;
    return i == n_want;
}

static enum auricle_error check_shape(const struct binder *b, const struct format_tensor *tensor,
                                      const size_t *want, int n_want)
{
    char seen[96], wanted[96];
    struct format_tensor ideal = {.n_dims = n_want};

    for (int i = 0; i < n_want; i++)
        ideal.shape[i] = want[i];
    if (!shape_matches(tensor, want, n_want))
        return au_fail(b->fault, AURICLE_E_SHAPE,
                       "%s: tensor '%s' has the shape %s where this model's dimensions ask for %s; "
                       "the file is damaged or its configuration belongs to another model",
                       b->path, tensor->name, format_shape_text(tensor, seen, sizeof seen),
                       format_shape_text(&ideal, wanted, sizeof wanted));
    if (is_quantised(tensor->type) && want[n_want - 1] % 32 != 0)
        return au_fail(b->fault, AURICLE_E_UNSUPPORTED,
                       "%s: tensor '%s' is %s with rows of %zu; blocks of 32 must fill a row",
                       b->path, tensor->name, format_type_name(tensor->type), want[n_want - 1]);
    return AURICLE_OK;
}

/* Find `name` with the shape `want`. */
static enum auricle_error find_tensor(const struct binder *b, const char *name, const size_t *want,
                                      int n_want, const struct format_tensor **out)
{
    const struct format_tensor *tensor = format_weights_find(b->weights, name);
    if (!tensor)
        return au_fail(b->fault, AURICLE_E_NOT_FOUND,
                       "%s: tensor '%s' is missing, so this is not a complete Whisper model",
                       b->path, name);
    enum auricle_error error = check_shape(b, tensor, want, n_want);
    if (!error)
        *out = tensor;
    return error;
}

/* ---- Random numbers for benchmarks ----------------------------------------------------------- */

/* Uniform in [-1, 1), a function of seed and index alone (splitmix64's finaliser), so that workers
 * can make any part in any order.                                                                */
static float random_unit(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    z ^= z >> 31;
    return (float)(int32_t)(z >> 32) * 0x1p-31F;
}

static uint64_t next_seed(struct binder *b)
{
    return b->seed += 0xD1342543DE82EF95U;
}

/* ---- Vectors --------------------------------------------------------------------------------- */

/* Read a vector or table of `rows` x `columns`; random: `centre` plus a little noise. */
static enum auricle_error bind_table(struct binder *b, const char *name, size_t rows,
                                     size_t columns, float centre, float **out)
{
    const struct format_tensor *tensor = NULL;
    size_t want[2] = {rows, columns}, n = rows * columns;

    if (b->weights) {
        enum auricle_error error = rows == 1 ? find_tensor(b, name, &columns, 1, &tensor)
                                             : find_tensor(b, name, want, 2, &tensor);
        if (error)
            return error;
    }
    float *data = au_alloc_aligned(n * sizeof *data);
    if (!data)
        return out_of_memory(b);
    if (tensor) {
        format_read_f32(tensor, data);
    } else {
        uint64_t seed = next_seed(b);
        for (size_t i = 0; i < n; i++)
            data[i] = centre + 0.02F * random_unit(seed, i);
    }
    b->model->bytes += n * sizeof *data;
    *out = data;
    return AURICLE_OK;
}

static enum auricle_error bind_norm(struct binder *b, enum whisper_side side, int layer,
                                    enum whisper_slot slot, struct whisper_norm *out)
{
    char name[WHISPER_NAME_BYTES];
    size_t d = (size_t)b->model->dims.n_text_state;

    whisper_name(b->naming, side, layer, slot, WHISPER_WEIGHT, name);
    enum auricle_error error = bind_table(b, name, 1, d, 1.0F, &out->gamma);
    if (error)
        return error;
    whisper_name(b->naming, side, layer, slot, WHISPER_BIAS, name);
    return bind_table(b, name, 1, d, 0.0F, &out->beta);
}

/* The fixed sinusoids of the encoder: sines in the first half of a row, cosines in the second. */
static void write_sinusoids(float *out, size_t rows, size_t d)
{
    size_t half = d / 2;
    double step = log(10000.0) / (double)(half > 1 ? half - 1 : 1);

    for (size_t t = 0; t < rows; t++) {
        for (size_t i = 0; i < half; i++) {
            double angle = (double)t * exp(-step * (double)i);
            out[t * d + i] = (float)sin(angle);
            out[t * d + half + i] = (float)cos(angle);
        }
    }
}

static enum auricle_error bind_audio_positions(struct binder *b)
{
    struct whisper_model *model = b->model;
    size_t rows = (size_t)model->dims.n_audio_ctx, d = (size_t)model->dims.n_audio_state;
    char name[WHISPER_NAME_BYTES];

    whisper_name(b->naming, WHISPER_ENCODER, 0, WHISPER_POSITIONS, WHISPER_WEIGHT, name);
    if (b->weights && format_weights_find(b->weights, name))
        return bind_table(b, name, rows, d, 0.0F, &model->audio_positions);
    model->audio_positions = au_alloc_aligned(rows * d * sizeof(float));
    if (!model->audio_positions)
        return out_of_memory(b);
    write_sinusoids(model->audio_positions, rows, d);
    model->bytes += rows * d * sizeof(float);
    return AURICLE_OK;
}

/* ---- Matrices -------------------------------------------------------------------------------- */

#define MAX_PARTS 3 /* query, key, value */

/* A matrix [n_parts * part_rows, k], its parts below each other; a NULL part is random. */
struct stack {
    const struct format_tensor *part[MAX_PARTS];
    int n_parts;
    size_t part_rows, k;
    uint64_t seed;
    bool spread; /* where the kernel is coarse */
};

/* n elements from `at` on, of a scale that keeps the variance of what passes through. */
static void fill_randomly(const struct stack *stack, size_t at, size_t n, float *out)
{
    float scale = sqrtf(3.0F / (float)stack->k);
    for (size_t i = 0; i < n; i++)
        out[i] = scale * random_unit(stack->seed, at + i);
}

static void fill_from_stack(const void *context, size_t n0, size_t n1, float *rows)
{
    const struct stack *stack = context;
    size_t k = stack->k;

    while (n0 < n1) {
        size_t part = n0 / stack->part_rows, first = n0 % stack->part_rows;
        size_t count = stack->part_rows - first < n1 - n0 ? stack->part_rows - first : n1 - n0;
        if (stack->part[0])
            format_read_f32_range(stack->part[part], first * k, count * k, rows);
        else
            fill_randomly(stack, n0 * k, count * k, rows);
        rows += count * k;
        n0 += count;
    }
}

/* n elements from `at` on of a stack of one part. */
static void read_stack(const struct stack *stack, size_t at, size_t n, float *out)
{
    if (stack->part[0])
        format_read_f32_range(stack->part[0], at, n, out);
    else
        fill_randomly(stack, at, n, out);
}

/* Columns [first, first + n) of a stack. */
struct columns {
    const struct stack *stack;
    size_t first, n;
};

static void fill_from_columns(const void *context, size_t n0, size_t n1, float *rows)
{
    const struct columns *columns = context;
    const struct stack *stack = columns->stack;

    for (size_t row = n0; row < n1; row++, rows += columns->n)
        read_stack(stack, row * stack->k + columns->first, columns->n, rows);
}

static const struct kern_gemm *block_gemm(const struct binder *b)
{
    return b->model->ops->gemm[b->model->type];
}

static const struct kern_gemm *conv_gemm(const struct binder *b)
{
    return b->model->ops->gemm[whisper_conv_type(b->model->type)];
}

/* A matrix to be packed: rows come from fill(context, ...). */
struct matrix {
    tensor_linear_fill *fill;
    const void *context;
    size_t n, k;
    bool spread;
};

struct spreading {
    const struct matrix *matrix;
    const struct kern_ops *ops;
};

/* Spread both ways the product is 16 times the plain one: a power of two, taken off exactly. */
static void fill_spread(const void *context, size_t n0, size_t n1, float *rows)
{
    const struct spreading *spreading = context;
    const struct matrix *matrix = spreading->matrix;
    size_t k = matrix->k;

    matrix->fill(matrix->context, n0, n1, rows);
    for (size_t row = n0; row < n1; row++, rows += k) {
        spreading->ops->spread(rows, rows, k);
        for (size_t i = 0; i < k; i++)
            rows[i] *= 1.0F / 16.0F;
    }
}

static enum auricle_error create_linear(struct binder *b, const struct kern_gemm *gemm,
                                        const struct matrix *matrix, const float *bias,
                                        struct tensor_linear *out)
{
    struct spreading spreading = {matrix, b->model->ops};
    tensor_linear_fill *fill = matrix->spread ? fill_spread : matrix->fill;
    const void *context = matrix->spread ? &spreading : matrix->context;
    struct tensor_arena *arena = b->packed ? NULL : &b->model->arena;
    return tensor_linear_create_from(out, arena, gemm, fill, context, bias, matrix->n, matrix->k,
                                     b->pool);
}

/* Every matrix passes here: from the cache where it has it; else packed, and put into a cache that
 * is being made, where it stays.                                                                 */
static enum auricle_error pack_matrix(struct binder *b, const struct kern_gemm *gemm,
                                      const struct matrix *matrix, const float *bias,
                                      struct tensor_linear *out)
{
    size_t n = matrix->n, k = matrix->k, bytes = gemm->packed_bytes(n, k);
    const void *mapped = b->packed ? format_packed_take(b->packed, n, k, bytes) : NULL;
    b->model->bytes += bytes + (bias ? n * sizeof *bias : 0);
    enum auricle_error error = mapped ? tensor_linear_create_packed(out, gemm, mapped, bias, n, k)
                                      : create_linear(b, gemm, matrix, bias, out);
    if (error)
        return out_of_memory(b);
    out->spread = matrix->spread;
    if (mapped)
        return AURICLE_OK;
    if (b->packed)
        mapped = format_packed_put(b->packed, n, k, out->packed, bytes, false);
    if (mapped)
        tensor_linear_rest_on(out, mapped);
    if (b->weights)
        format_weights_forget(b->weights);
    return AURICLE_OK;
}

/* Cut the columns of a matrix of one part into n matrices; the first takes the bias. */
static enum auricle_error pack_columns(struct binder *b, const struct stack *stack,
                                       const float *bias, size_t n, struct tensor_linear *out)
{
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; i < n && !error; i++) {
        struct columns columns = {stack, i * (stack->k / n), stack->k / n};
        struct matrix matrix = {fill_from_columns, &columns, stack->part_rows, columns.n,
                                stack->spread && block_gemm(b)->coarse};
        error = pack_matrix(b, block_gemm(b), &matrix, i == 0 ? bias : NULL, &out[i]);
    }
    return error;
}

static enum auricle_error pack_stack(struct binder *b, const struct stack *stack, const float *bias,
                                     struct tensor_linear *out)
{
    struct matrix matrix = {fill_from_stack, stack, (size_t)stack->n_parts * stack->part_rows,
                            stack->k, stack->spread && block_gemm(b)->coarse};
    return pack_matrix(b, block_gemm(b), &matrix, bias, out);
}

/* Where a bias may be absent: Whisper's keys have none (a constant added to every score of a
 * softmax changes nothing).                                                                      */
static bool bias_optional(enum whisper_slot slot)
{
    return slot == WHISPER_ATTN_K || slot == WHISPER_CROSS_K;
}

static enum auricle_error read_bias(const struct binder *b, enum whisper_side side, int layer,
                                    enum whisper_slot slot, size_t n, float *out)
{
    char name[WHISPER_NAME_BYTES];
    const struct format_tensor *tensor = NULL;

    memset(out, 0, n * sizeof *out);
    if (!b->weights)
        return AURICLE_OK;
    whisper_name(b->naming, side, layer, slot, WHISPER_BIAS, name);
    if (bias_optional(slot) && !format_weights_find(b->weights, name))
        return AURICLE_OK;
    enum auricle_error error = find_tensor(b, name, &n, 1, &tensor);
    if (!error)
        format_read_f32(tensor, out);
    return error;
}

/* Pack the matrices of n_slots neighbouring slots, each [n, k], below each other with their biases.
 * CTranslate2 has them below each other already, under the first slot's name.                    */
static enum auricle_error bind_linear(struct binder *b, enum whisper_side side, int layer,
                                      enum whisper_slot slot, int n_slots, size_t n, size_t k,
                                      struct tensor_linear *out)
{
    char name[WHISPER_NAME_BYTES];
    bool stacked = b->naming == WHISPER_NAMES_CT2;
    struct stack stack = {
        .n_parts = stacked ? 1 : n_slots,
        .part_rows = stacked ? n * (size_t)n_slots : n,
        .k = k,
        .seed = next_seed(b),
        .spread = side == WHISPER_ENCODER || slot == WHISPER_CROSS_K,
    };
    size_t want[2] = {stack.part_rows, k};
    float *bias = au_alloc_array((size_t)n_slots * n, sizeof *bias);
    if (!bias)
        return out_of_memory(b);

    enum auricle_error error = AURICLE_OK;
    for (int i = 0; i < stack.n_parts && !error; i++) {
        enum whisper_slot part = (enum whisper_slot)(slot + (enum whisper_slot)i);
        whisper_name(b->naming, side, layer, part, WHISPER_WEIGHT, name);
        if (b->weights)
            error = find_tensor(b, name, want, 2, &stack.part[i]);
        if (!error)
            error = read_bias(b, side, layer, part, stack.part_rows,
                              bias + (size_t)i * stack.part_rows);
    }
    if (!error)
        error = pack_stack(b, &stack, bias, out);
    au_free(bias);
    return error;
}

struct convolution {
    const struct stack *stack;
    size_t channels;
};

/* [D, C, 3] of the file to rows of tap * C + channel, as im2col lays out its columns. */
static void fill_from_convolution(const void *context, size_t n0, size_t n1, float *rows)
{
    const struct convolution *conv = context;
    const size_t channels = conv->channels, k = conv->stack->k;
    float some[3 * 64];

    for (size_t at = n0 * k; at < n1 * k; at += k, rows += k) {
        for (size_t c = 0; c < channels; c += 64) {
            size_t n = channels - c < 64 ? channels - c : 64;
            read_stack(conv->stack, at + 3 * c, 3 * n, some);
            for (size_t i = 0; i < n; i++)
                for (size_t tap = 0; tap < 3; tap++)
                    rows[tap * channels + c + i] = some[3 * i + tap];
        }
    }
}

static enum auricle_error bind_conv(struct binder *b, enum whisper_slot slot, size_t channels,
                                    struct tensor_linear *out)
{
    char name[WHISPER_NAME_BYTES];
    size_t d = (size_t)b->model->dims.n_audio_state, k = 3 * channels;
    size_t want[3] = {d, channels, 3};
    struct stack stack = {.n_parts = 1, .part_rows = d, .k = k, .seed = next_seed(b)};
    struct convolution conv = {&stack, channels};
    enum auricle_error error = AURICLE_OK;

    whisper_name(b->naming, WHISPER_ENCODER, 0, slot, WHISPER_WEIGHT, name);
    if (b->weights)
        error = find_tensor(b, name, want, 3, &stack.part[0]);
    if (error)
        return error;
    float *bias = au_alloc_array(d, sizeof *bias);
    if (!bias)
        return out_of_memory(b);
    error = read_bias(b, WHISPER_ENCODER, 0, slot, d, bias);
    struct matrix matrix = {.fill = fill_from_convolution, .context = &conv, .n = d, .k = k};
    if (!error)
        error = pack_matrix(b, conv_gemm(b), &matrix, bias, out);
    au_free(bias);
    return error;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* The perceptron's inner width is not among the dimensions: read it from the tensor. */
static enum auricle_error hidden_width(const struct binder *b, enum whisper_side side, int layer,
                                       size_t d, size_t *out)
{
    char name[WHISPER_NAME_BYTES];

    *out = 4 * d;
    if (!b->weights)
        return AURICLE_OK;
    whisper_name(b->naming, side, layer, WHISPER_MLP_IN, WHISPER_WEIGHT, name);
    const struct format_tensor *tensor = format_weights_find(b->weights, name);
    if (!tensor || tensor->n_dims < 2)
        return AURICLE_OK; /* binding will say so */
    if (tensor->shape[0] < 1 || tensor->shape[0] > 16 * d)
        return au_fail(b->fault, AURICLE_E_SHAPE,
                       "%s: tensor '%s' has %zu rows; 1 to %zu are accepted", b->path, name,
                       tensor->shape[0], 16 * d);
    *out = tensor->shape[0];
    return AURICLE_OK;
}

static enum auricle_error bind_cross(struct binder *b, int layer, struct whisper_block *block)
{
    size_t d = (size_t)b->model->dims.n_text_state;
    enum auricle_error error = bind_norm(b, WHISPER_DECODER, layer, WHISPER_CROSS_LN,
                                         &block->cross_ln);
    if (!error)
        error = bind_linear(b, WHISPER_DECODER, layer, WHISPER_CROSS_Q, 1, d, d, &block->cross_q);
    if (!error)
        error = bind_linear(b, WHISPER_DECODER, layer, WHISPER_CROSS_K, 2, d, d, &block->cross_kv);
    if (!error)
        error = bind_linear(b, WHISPER_DECODER, layer, WHISPER_CROSS_OUT, 1, d, d,
                            &block->cross_out);
    return error;
}

/* The perceptron's second matrix, for the encoder in column parts (parts.h). */
static enum auricle_error bind_mlp_out(struct binder *b, enum whisper_side side, int layer,
                                       size_t d, size_t hidden, struct whisper_block *block)
{
    char name[WHISPER_NAME_BYTES];
    struct stack stack = {.n_parts = 1, .part_rows = d, .k = hidden, .spread = true};
    size_t want[2] = {d, hidden};

    if (side == WHISPER_DECODER)
        return bind_linear(b, side, layer, WHISPER_MLP_OUT, 1, d, hidden, &block->mlp_out);
    stack.seed = next_seed(b);
    whisper_name(b->naming, side, layer, WHISPER_MLP_OUT, WHISPER_WEIGHT, name);
    enum auricle_error error = AURICLE_OK;
    if (b->weights)
        error = find_tensor(b, name, want, 2, &stack.part[0]);
    if (error)
        return error;
    float *bias = au_alloc_array(d, sizeof *bias);
    if (!bias)
        return out_of_memory(b);
    error = read_bias(b, side, layer, WHISPER_MLP_OUT, d, bias);
    block->n_parts = hidden % (WHISPER_MLP_PARTS * 64) == 0 ? WHISPER_MLP_PARTS : 1;
    if (!error)
        error = pack_columns(b, &stack, bias, block->n_parts, block->mlp_out_part);
    au_free(bias);
    return error;
}

static enum auricle_error bind_block(struct binder *b, enum whisper_side side, int layer,
                                     struct whisper_block *block)
{
    size_t d = (size_t)b->model->dims.n_text_state, hidden = 0;
    enum auricle_error error = hidden_width(b, side, layer, d, &hidden);
    if (!error)
        error = bind_norm(b, side, layer, WHISPER_ATTN_LN, &block->attn_ln);
    if (!error)
        error = bind_linear(b, side, layer, WHISPER_ATTN_Q, 3, d, d, &block->qkv);
    if (!error)
        error = bind_linear(b, side, layer, WHISPER_ATTN_OUT, 1, d, d, &block->attn_out);
    if (!error && side == WHISPER_DECODER)
        error = bind_cross(b, layer, block);
    if (!error)
        error = bind_norm(b, side, layer, WHISPER_MLP_LN, &block->mlp_ln);
    if (!error)
        error = bind_linear(b, side, layer, WHISPER_MLP_IN, 1, hidden, d, &block->mlp_in);
    if (!error)
        error = bind_mlp_out(b, side, layer, d, hidden, block);
    return error;
}

static enum auricle_error bind_blocks(struct binder *b, enum whisper_side side, int n,
                                      struct whisper_block **out)
{
    /* Stored at once, zeroed, so that a failure half way is cleaned up by the model's destroy. */
    *out = au_calloc((size_t)n, sizeof **out);
    if (!*out)
        return out_of_memory(b);
    enum auricle_error error = AURICLE_OK;
    for (int i = 0; i < n && !error; i++)
        error = bind_block(b, side, i, &(*out)[i]);
    return error;
}

/* ---- Vocabulary ------------------------------------------------------------------------------ */

/* Rows are looked up one by one, so they stay in the file's own type, at its size. */
static enum auricle_error keep_embedding(struct binder *b, const struct format_tensor *tensor,
                                         size_t rows)
{
    struct whisper_model *model = b->model;
    size_t d = tensor->n_elements / rows;
    const void *mapped = b->packed ? format_packed_take(b->packed, rows, d, tensor->bytes) : NULL;

    if (!mapped && b->packed)
        mapped = format_packed_put(b->packed, rows, d, tensor->data, tensor->bytes, true);
    if (mapped) {
        au_file_map_sparse(mapped, tensor->bytes);
    } else {
        model->embedding_data = au_alloc_aligned(tensor->bytes);
        if (!model->embedding_data)
            return out_of_memory(b);
        memcpy(model->embedding_data, tensor->data, tensor->bytes);
        mapped = model->embedding_data;
    }
    model->embedding = *tensor;
    model->embedding.name = "embedding";
    model->embedding.data = mapped;
    model->bytes += tensor->bytes;
    if (tensor->row_scale) {
        size_t n_scales = tensor->shape[0]; /* 1 where the file has [1, V, D] */
        model->embedding_scale = au_alloc_array(n_scales, sizeof(float));
        if (!model->embedding_scale)
            return out_of_memory(b);
        memcpy(model->embedding_scale, tensor->row_scale, n_scales * sizeof(float));
        model->embedding.row_scale = model->embedding_scale;
        model->bytes += n_scales * sizeof(float);
    }
    return AURICLE_OK;
}

static enum auricle_error random_embedding(struct binder *b, size_t rows, size_t d)
{
    struct whisper_model *model = b->model;
    size_t n = rows * d;
    uint64_t seed = next_seed(b);
    uint16_t *data = au_alloc_aligned(n * sizeof *data);

    model->embedding_data = (uint8_t *)data;
    if (!data)
        return out_of_memory(b);
    for (size_t i = 0; i < n; i++)
        data[i] = kern_f32_to_f16(random_unit(seed, i));
    model->embedding = (struct format_tensor){
        .name = "embedding",
        .type = FORMAT_F16,
        .n_dims = 2,
        .shape = {rows, d},
        .n_elements = n,
        .data = model->embedding_data,
        .bytes = n * sizeof *data,
    };
    model->bytes += model->embedding.bytes;
    return AURICLE_OK;
}

/* The embedding, and the projection to the vocabulary: a tensor of its own where the file has one,
 * else the embedding again.                                                                      */
static enum auricle_error bind_vocabulary(struct binder *b)
{
    struct whisper_model *model = b->model;
    size_t rows = (size_t)model->dims.n_vocab, d = (size_t)model->dims.n_text_state;
    size_t want[2] = {rows, d};
    struct stack stack = {.n_parts = 1, .part_rows = rows, .k = d, .seed = next_seed(b)};
    enum auricle_error error;
    char name[WHISPER_NAME_BYTES];

    if (!b->weights) {
        error = random_embedding(b, rows, d);
    } else {
        whisper_name(b->naming, WHISPER_DECODER, 0, WHISPER_EMBEDDING, WHISPER_WEIGHT, name);
        error = find_tensor(b, name, want, 2, &stack.part[0]);
        if (!error)
            error = keep_embedding(b, stack.part[0], rows);
        const char *own = whisper_output_name(b->naming);
        if (!error && own && format_weights_find(b->weights, own))
            error = find_tensor(b, own, want, 2, &stack.part[0]);
    }
    return error ? error : pack_stack(b, &stack, NULL, &model->output);
}

/* ---- The whole ------------------------------------------------------------------------------- */

enum auricle_error whisper_bind(struct whisper_model *model, const struct whisper_source *source,
                                struct au_pool *pool, struct au_fault *fault)
{
    const struct whisper_dims *dims = &model->dims;
    struct binder binder = {
        .weights = source->weights,
        .naming = source->naming,
        .packed = model->packed,
        .path = source->weights ? format_weights_path(source->weights) : "random weights",
        .seed = source->seed,
        .pool = pool,
        .model = model,
        .fault = fault,
    };
    struct binder *b = &binder;
    char name[WHISPER_NAME_BYTES];

    enum auricle_error error = bind_conv(b, WHISPER_CONV1, (size_t)dims->n_mels, &model->conv1);
    if (!error)
        error = bind_conv(b, WHISPER_CONV2, (size_t)dims->n_audio_state, &model->conv2);
    if (!error)
        error = bind_audio_positions(b);
    if (!error)
        error = bind_blocks(b, WHISPER_ENCODER, dims->n_audio_layer, &model->encoder);
    if (!error)
        error = bind_norm(b, WHISPER_ENCODER, 0, WHISPER_FINAL_LN, &model->encoder_ln);
    if (!error)
        error = bind_vocabulary(b);
    whisper_name(b->naming, WHISPER_DECODER, 0, WHISPER_POSITIONS, WHISPER_WEIGHT, name);
    if (!error)
        error = bind_table(b, name, (size_t)dims->n_text_ctx, (size_t)dims->n_text_state, 0.0F,
                           &model->text_positions);
    if (!error)
        error = bind_blocks(b, WHISPER_DECODER, dims->n_text_layer, &model->decoder);
    if (!error)
        error = bind_norm(b, WHISPER_DECODER, 0, WHISPER_FINAL_LN, &model->decoder_ln);
    return error;
}
