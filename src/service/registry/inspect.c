/* What a model is. See inspect.h. */
#include "service/registry/inspect.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/whisper_config.h"
#include "text/tokenizer.h"

enum { ENGLISH_VOCABULARY = 51864, V3_VOCABULARY = 51866 };

/* A tensor that only this family has. */
static const struct {
    enum service_family family;
    const char *tensor;
} marks[] = {
    {SERVICE_FAMILY_SILERO, "stft_conv.weight"},
    {SERVICE_FAMILY_WAV2VEC2, "wav2vec2.feature_projection.projection.weight"},
    {SERVICE_FAMILY_WAV2VEC2, "feature_projection.projection.weight"},
    {SERVICE_FAMILY_AASIST, "GAT_layer_S.att_proj.weight"},
    {SERVICE_FAMILY_WHISPER, "model.encoder.conv1.weight"},
    {SERVICE_FAMILY_WHISPER, "encoder.conv1.weight"},
    {SERVICE_FAMILY_WHISPER, "encoder/conv1/weight"},
};

const char *service_family_name(enum service_family family)
{
    static const char *const names[] = {"unknown", "whisper", "silero", "wav2vec2", "aasist"};
    return names[family];
}

static enum service_family family_of(const struct format_weights *weights)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (format_weights_find(weights, marks[i].tensor))
            return marks[i].family;
    return SERVICE_FAMILY_UNKNOWN;
}

static void count(const struct format_weights *weights, struct service_facts *out)
{
    uint64_t bytes_of[FORMAT_Q8_0 + 1] = {0};
    out->n_tensors = format_weights_count(weights);
    out->weight_bytes = format_weights_bytes(weights);
    for (size_t i = 0; i < out->n_tensors; i++) {
        const struct format_tensor *tensor = format_weights_at(weights, i);
        out->parameters += tensor->n_elements;
        bytes_of[tensor->type] += tensor->bytes;
        if (bytes_of[tensor->type] > bytes_of[out->type])
            out->type = tensor->type;
    }
}

/* Folder in which the texts of a model lie; new string. */
static char *folder_of(const char *path)
{
    if (au_file_is_dir(path))
        return au_strdup(path);
    size_t n = (size_t)(au_path_name(path) - path);
    return n ? au_strndup(path, n) : au_strdup(".");
}

static enum auricle_error count_languages(const char *folder, struct service_facts *out,
                                          struct au_fault *fault)
{
    struct format_whisper_config *config = au_alloc(sizeof *config);
    if (!config)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = format_whisper_config_read(folder, config, fault);
    if (!error && out->dims.n_vocab == ENGLISH_VOCABULARY)
        out->n_languages = 1;
    else if (!error && config->n_languages > 0)
        out->n_languages = config->n_languages;
    else if (!error)
        out->n_languages = out->dims.n_vocab == V3_VOCABULARY ? 100 : 99;
    au_free(config);
    return error;
}

/* ggml files carry their vocabulary, OpenAI's want it beside them under a name of its own. */
static enum auricle_error check_vocabulary(const char *folder, const struct service_facts *facts,
                                           struct au_fault *fault)
{
    struct text_tokenizer *tokenizer = NULL;
    if (facts->kind == FORMAT_GGML || facts->kind == FORMAT_PYTORCH)
        return AURICLE_OK;
    enum auricle_error error = text_tokenizer_from_folder(folder, (size_t)facts->dims.n_vocab,
                                                          &tokenizer, fault);
    if (!error)
        text_tokenizer_destroy(tokenizer);
    return error;
}

static enum auricle_error inspect_whisper(const char *path, const struct format_weights *weights,
                                          struct service_facts *out, struct au_fault *fault)
{
    enum auricle_error error = whisper_dims_read(weights, &out->dims, fault);
    char *folder = error ? NULL : folder_of(path);
    if (!error && !folder)
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    if (!error)
        error = count_languages(folder, out, fault);
    if (!error)
        error = check_vocabulary(folder, out, fault);
    au_free(folder);
    return error;
}

enum auricle_error service_inspect(const char *path, struct service_facts *out,
                                   struct au_fault *fault)
{
    struct format_weights *weights = NULL;
    struct service_facts facts;
    memset(&facts, 0, sizeof facts);
    enum auricle_error error = format_weights_open(path, &weights, fault);
    if (error)
        return error;
    facts.kind = format_weights_kind(weights);
    facts.family = family_of(weights);
    count(weights, &facts);
    if (facts.family == SERVICE_FAMILY_WHISPER)
        error = inspect_whisper(path, weights, &facts, fault);
    format_weights_close(weights);
    if (!error)
        *out = facts;
    return error;
}
