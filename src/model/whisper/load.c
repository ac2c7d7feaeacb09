/* Loading a model: which naming the file uses, which dimensions and alignment heads it has, then
 * bind.c does the rest.
 *
 * Dimensions come from the tensors themselves; a header (ggml, .pt) or the config.json of a folder
 * has the last word, and where the two disagree binding names the first tensor that does not fit.
 * Only what no tensor shows, the number of heads, has to be believed or guessed (64 wide, as in
 * every published model).                                                                        */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "format/whisper_config.h"
#include "model/whisper/parts.h"

#define GUESSED_HEAD_WIDTH 64
#define GUESSED_AUDIO_CTX  1500
#define MAX_LAYERS         128

/* ---- Dimensions from tensors ----------------------------------------------------------------- */

static const struct format_tensor *find(const struct whisper_source *source, enum whisper_side side,
                                        int layer, enum whisper_slot slot)
{
    char name[WHISPER_NAME_BYTES];
    whisper_name(source->naming, side, layer, slot, WHISPER_WEIGHT, name);
    return format_weights_find(source->weights, name);
}

static int axis(const struct format_tensor *tensor, int i)
{
    if (!tensor || i >= tensor->n_dims || tensor->shape[i] > INT32_MAX)
        return 0;
    return (int)tensor->shape[i];
}

static int count_layers(const struct whisper_source *source, enum whisper_side side)
{
    int n = 0;
    while (n <= MAX_LAYERS && find(source, side, n, WHISPER_ATTN_LN))
        n++;
    return n;
}

/* CTranslate2 stores the number of heads as a tensor without axes. */
static int count_heads(const struct whisper_source *source, const char *name, int width)
{
    const struct format_tensor *tensor = format_weights_find(source->weights, name);
    float value;

    if (!tensor || tensor->n_elements != 1)
        return width > GUESSED_HEAD_WIDTH ? width / GUESSED_HEAD_WIDTH : 1;
    format_read_f32(tensor, &value);
    return value >= 1.0F && value <= 1024.0F ? (int)value : 0;
}

static void dims_from_tensors(const struct whisper_source *source, struct whisper_dims *dims)
{
    const struct format_tensor *conv = find(source, WHISPER_ENCODER, 0, WHISPER_CONV1);
    const struct format_tensor *frames = find(source, WHISPER_ENCODER, 0, WHISPER_POSITIONS);
    const struct format_tensor *tokens = find(source, WHISPER_DECODER, 0, WHISPER_EMBEDDING);
    const struct format_tensor *places = find(source, WHISPER_DECODER, 0, WHISPER_POSITIONS);

    *dims = (struct whisper_dims){
        .n_mels = conv && conv->n_dims == 2 ? axis(conv, 1) / 3 : axis(conv, 1),
        .n_audio_ctx = frames ? axis(frames, 0) : GUESSED_AUDIO_CTX,
        .n_audio_state = axis(conv, 0),
        .n_audio_layer = count_layers(source, WHISPER_ENCODER),
        .n_vocab = axis(tokens, 0),
        .n_text_ctx = axis(places, 0),
        .n_text_state = axis(tokens, 1),
        .n_text_layer = count_layers(source, WHISPER_DECODER),
    };
    dims->n_audio_head = count_heads(source, "encoder/num_heads", dims->n_audio_state);
    dims->n_text_head = count_heads(source, "decoder/num_heads", dims->n_text_state);
}

/* ---- Dimensions from headers ----------------------------------------------------------------- */

static void dims_from_header(const struct format_ggml_header *header, struct whisper_dims *dims)
{
    *dims = (struct whisper_dims){
        .n_mels = header->n_mels,
        .n_audio_ctx = header->n_audio_ctx,
        .n_audio_state = header->n_audio_state,
        .n_audio_head = header->n_audio_head,
        .n_audio_layer = header->n_audio_layer,
        .n_vocab = header->n_vocab,
        .n_text_ctx = header->n_text_ctx,
        .n_text_state = header->n_text_state,
        .n_text_head = header->n_text_head,
        .n_text_layer = header->n_text_layer,
    };
}

static void override(int *dim, int configured)
{
    if (configured >= 0)
        *dim = configured;
}

static void dims_from_config(const struct format_whisper_config *config, struct whisper_dims *dims)
{
    override(&dims->n_mels, config->n_mels);
    override(&dims->n_audio_ctx, config->n_audio_ctx);
    override(&dims->n_audio_state, config->n_audio_state);
    override(&dims->n_audio_head, config->n_audio_head);
    override(&dims->n_audio_layer, config->n_audio_layer);
    override(&dims->n_vocab, config->n_vocab);
    override(&dims->n_text_ctx, config->n_text_ctx);
    override(&dims->n_text_state, config->n_text_state);
    override(&dims->n_text_head, config->n_text_head);
    override(&dims->n_text_layer, config->n_text_layer);
}

/* Folder of the weights: the path itself, or what stands before its last '/'. NULL: no memory. */
static char *weights_folder(const struct format_weights *weights)
{
    const char *path = format_weights_path(weights);
    if (au_file_is_dir(path))
        return au_strdup(path);
    size_t n = (size_t)(au_path_name(path) - path);
    return n > 0 ? au_strndup(path, n) : au_strdup(".");
}

static enum auricle_error read_config(const struct format_weights *weights,
                                      struct format_whisper_config *out, struct au_fault *fault)
{
    char *folder = weights_folder(weights);
    if (!folder)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: not enough memory",
                       format_weights_path(weights));
    enum auricle_error error = format_whisper_config_read(folder, out, fault);
    au_free(folder);
    return error;
}

/* ---- Alignment heads ------------------------------------------------------------------------- */

/* Some converted models list heads of the model they were distilled from: a list with a head that
 * does not exist is not believed at all.                                                         */
static bool heads_fit(const struct format_whisper_config *config, const struct whisper_dims *dims)
{
    for (size_t i = 0; i < config->n_alignment_heads; i++) {
        const struct format_alignment_head *head = &config->alignment_heads[i];
        if (head->layer < 0 || head->layer >= dims->n_text_layer || head->head < 0 ||
            head->head >= dims->n_text_head)
            return false;
    }
    return config->n_alignment_heads > 0;
}

static enum auricle_error choose_heads(struct whisper_model *model,
                                       const struct format_whisper_config *config,
                                       struct au_fault *fault)
{
    bool listed = config && config->has_alignment_heads && heads_fit(config, &model->dims);

    model->n_heads = listed ? config->n_alignment_heads
                            : whisper_heads_published(&model->dims, NULL, 0);
    model->heads = au_alloc_array(model->n_heads, sizeof *model->heads);
    if (!model->heads)
        return au_fail(fault, AURICLE_E_NOMEM, "not enough memory for the list of alignment heads");
    if (!listed)
        whisper_heads_published(&model->dims, model->heads, model->n_heads);
    for (size_t i = 0; listed && i < model->n_heads; i++)
        model->heads[i] = (struct whisper_head){config->alignment_heads[i].layer,
                                                config->alignment_heads[i].head};
    return AURICLE_OK;
}

/* ---- Creation -------------------------------------------------------------------------------- */

static enum auricle_error not_whisper(const struct format_weights *weights, struct au_fault *fault)
{
    const char *path = format_weights_path(weights);
    if (format_weights_count(weights) == 0)
        return au_fail(fault, AURICLE_E_FORMAT, "%s: the file holds no tensors", path);
    return au_fail(fault, AURICLE_E_UNSUPPORTED,
                   "%s: not a Whisper model: the first encoder block is missing under every known "
                   "naming; the file's first tensor is '%s'",
                   path, format_weights_at(weights, 0)->name);
}

/* Whatever kernels pack, and the tables besides: more than f32 twice it never is. */
static size_t most_packed_bytes(const struct format_weights *weights)
{
    size_t elements = 0, bytes;
    for (size_t i = 0; i < format_weights_count(weights); i++)
        elements += format_weights_at(weights, i)->n_elements;
    return au_mul_size(elements, 2 * sizeof(float), &bytes) ? bytes : 0;
}

/* The layouts of both kernels in use (convolutions may have their own) are part of the name. */
static struct format_packed *open_cache(const struct whisper_model *model,
                                        const struct whisper_source *source)
{
    char kernels[64];
    snprintf(kernels, sizeof kernels, "%s+%s", model->ops->gemm[model->type]->id,
             model->ops->gemm[whisper_conv_type(model->type)]->id);
    return format_packed_open(source->cache_folder, format_weights_fingerprint(source->weights),
                              kernels, most_packed_bytes(source->weights));
}

static enum auricle_error build(const struct whisper_dims *dims,
                                const struct format_whisper_config *config,
                                const struct whisper_source *source, const struct kern_ops *ops,
                                enum kern_type type, struct au_pool *pool,
                                struct whisper_model **out, struct au_fault *fault)
{
    const char *what = source->weights ? format_weights_path(source->weights) : "random weights";
    enum auricle_error error = whisper_dims_check(dims, what, fault);
    if (error)
        return error;
    struct whisper_model *model = au_calloc(1, sizeof *model);
    if (!model)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: not enough memory for the model", what);
    model->dims = *dims;
    model->ops = ops;
    model->type = type;
    model->chunk_seconds = config && config->chunk_length_s > 0 ? config->chunk_length_s : 0;
    model->beams = config && config->num_beams > 0 ? config->num_beams : 0;
    error = choose_heads(model, config, fault);
    if (!error && source->cache_folder)
        model->packed = open_cache(model, source);
    if (!error)
        error = whisper_bind(model, source, pool, fault);
    if (error) {
        whisper_model_destroy(model);
        return error;
    }
    if (model->packed && !format_packed_finish(model->packed)) {
        struct whisper_source uncached = *source;
        uncached.cache_folder = NULL;
        whisper_model_destroy(model);
        return build(dims, config, &uncached, ops, type, pool, out, fault);
    }
    *out = model;
    return AURICLE_OK;
}

enum auricle_error whisper_model_create(const struct format_weights *weights,
                                        const struct kern_ops *ops, enum kern_type type,
                                        struct au_pool *pool, struct whisper_model **out,
                                        struct au_fault *fault)
{
    return whisper_model_create_cached(weights, ops, type, pool, NULL, out, fault);
}

/* Dimensions and, where the weights have no header of their own, what the folder's texts say:
 * *config is then a new block, else NULL.                                                        */
static enum auricle_error read_dims(const struct whisper_source *source, struct whisper_dims *dims,
                                    struct format_whisper_config **config, struct au_fault *fault)
{
    const struct format_whisper_extra *extra = format_weights_whisper(source->weights);
    *config = NULL;
    if (extra && extra->ggml) {
        dims_from_header(extra->ggml, dims);
        return AURICLE_OK;
    }
    struct format_whisper_config *read = au_calloc(1, sizeof *read);
    if (!read)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: not enough memory",
                       format_weights_path(source->weights));
    enum auricle_error error = read_config(source->weights, read, fault);
    if (error) {
        au_free(read);
        return error;
    }
    dims_from_tensors(source, dims);
    dims_from_config(read, dims);
    *config = read;
    return AURICLE_OK;
}

enum auricle_error whisper_dims_read(const struct format_weights *weights, struct whisper_dims *out,
                                     struct au_fault *fault)
{
    struct whisper_source source = {.weights = weights};
    struct format_whisper_config *config = NULL;
    struct whisper_dims dims;
    if (!whisper_naming_detect(weights, &source.naming))
        return not_whisper(weights, fault);
    enum auricle_error error = read_dims(&source, &dims, &config, fault);
    au_free(config);
    if (!error)
        error = whisper_dims_check(&dims, format_weights_path(weights), fault);
    if (!error)
        *out = dims;
    return error;
}

enum auricle_error whisper_model_create_cached(const struct format_weights *weights,
                                               const struct kern_ops *ops, enum kern_type type,
                                               struct au_pool *pool, const char *folder,
                                               struct whisper_model **out, struct au_fault *fault)
{
    struct whisper_source source = {.weights = weights, .cache_folder = folder};
    struct format_whisper_config *config = NULL;
    struct whisper_dims dims;

    if (!whisper_naming_detect(weights, &source.naming))
        return not_whisper(weights, fault);
    enum auricle_error error = read_dims(&source, &dims, &config, fault);
    if (!error)
        error = build(&dims, config, &source, ops, type, pool, out, fault);
    au_free(config);
    return error;
}

enum auricle_error whisper_model_random(const struct whisper_dims *dims, uint64_t seed,
                                        const struct kern_ops *ops, enum kern_type type,
                                        struct au_pool *pool, struct whisper_model **out)
{
    struct whisper_source source = {.naming = WHISPER_NAMES_OPENAI, .seed = seed};
    return build(dims, NULL, &source, ops, type, pool, out, NULL);
}
