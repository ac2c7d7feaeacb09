/* Opening and closing weights: which file, which parser, which folder layout.
 *
 * Files are mapped, not read: pages that no tensor touches are never loaded, and replicas on one
 * host share them. Folders are recognised by the names that Hugging Face and CTranslate2 give their
 * files; inside a folder the kind is still decided by content.                                   */
#include "format/weights.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/store.h"

#define MAX_INDEX_BYTES (4u << 20) /* 16,384 tensors with long names */

static enum auricle_error parse(struct format_weights *weights, const uint8_t *data, size_t bytes,
                                struct au_fault *fault)
{
    enum auricle_error error = format_sniff(data, bytes, &weights->kind, fault);
    if (error)
        return error;
    switch (weights->kind) {
    case FORMAT_SAFETENSORS: return format_parse_safetensors(weights, data, bytes, fault);
    case FORMAT_GGML: return format_parse_ggml(weights, data, bytes, fault);
    case FORMAT_PYTORCH: return format_parse_pytorch(weights, data, bytes, fault);
    case FORMAT_CTRANSLATE2: return format_parse_ctranslate2(weights, data, bytes, fault);
    }
    return AURICLE_E_FORMAT; /* not reached: sniff gives one of these */
}

static enum auricle_error create(const char *path, struct format_weights **out,
                                 struct au_fault *fault)
{
    struct format_weights *weights = au_calloc(1, sizeof *weights);
    if (weights)
        weights->path = au_strdup(path);
    if (!weights || !weights->path || au_map_create(2048, &weights->index)) {
        format_weights_close(weights);
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", path);
    }
    *out = weights;
    return AURICLE_OK;
}

void format_weights_forget(const struct format_weights *weights)
{
    for (size_t i = 0; i < weights->n_maps; i++)
        au_file_map_forget(&weights->maps[i]);
}

void format_weights_close(struct format_weights *weights)
{
    if (!weights)
        return;
    for (size_t i = 0; i < weights->n_tensors; i++)
        au_free((char *)(uintptr_t)weights->tensors[i].name);
    au_free(weights->tensors);
    au_map_destroy(weights->index);
    for (size_t i = 0; i < weights->n_blocks; i++)
        au_free(weights->blocks[i]);
    au_free(weights->blocks);
    for (size_t i = 0; i < weights->n_maps; i++)
        au_file_map_close(&weights->maps[i]);
    au_free(weights->maps);
    au_free(weights->path);
    au_free(weights);
}

/* ---- Files and folders ----------------------------------------------------------------------- */

/* Map one file and add its tensors; sentences begin with its path. */
static enum auricle_error add_file(struct format_weights *weights, const char *path,
                                   struct au_fault *fault)
{
    struct au_file_map *maps = au_realloc(weights->maps,
                                          (weights->n_maps + 1) * sizeof *weights->maps);
    if (!maps)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", path);
    weights->maps = maps;
    struct au_file_map *map = &maps[weights->n_maps];
    *map = (struct au_file_map){0};
    enum auricle_error error = au_file_map_open(path, map, fault);
    if (error)
        return error;
    weights->n_maps++;
    error = parse(weights, map->data, map->bytes, fault);
    if (error)
        au_fault_prefix(fault, path);
    return error;
}

static enum auricle_error add_file_in(struct format_weights *weights, const char *folder,
                                      const char *name, struct au_fault *fault)
{
    char *path = au_path_join(folder, name);
    if (!path)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", folder);
    enum auricle_error error = add_file(weights, path, fault);
    au_free(path);
    return error;
}

/* A shard's name comes from a file: it must stay in the folder. */
static bool plain_file_name(const char *name)
{
    return name[0] && name[0] != '.' && strlen(name) <= 255 && !strchr(name, '/') &&
           !strchr(name, '\\');
}

/* Open each shard the index names, once, in the order of first mention. */
static enum auricle_error add_shards(struct format_weights *weights, const char *folder,
                                     const struct au_json *names, struct au_map *seen,
                                     struct au_fault *fault)
{
    for (size_t i = 0; i < au_json_size(names); i++) {
        const char *tensor;
        const char *shard = au_json_string(au_json_member(names, i, &tensor), NULL);
        if (!shard || !plain_file_name(shard))
            return au_fail(
                fault, AURICLE_E_FORMAT,
                "%s: the index gives tensor '%s' the file '%s', which is not a file name "
                "in this folder",
                folder, tensor, shard ? shard : "(none)");
        if (au_map_get(seen, shard, strlen(shard), &(union au_map_value){0}))
            continue;
        if (au_map_count(seen) >= FORMAT_MAX_SHARDS)
            return au_fail(fault, AURICLE_E_LIMIT, "%s: the index names more than %d files", folder,
                           FORMAT_MAX_SHARDS);
        enum auricle_error error = au_map_put(seen, shard, strlen(shard), (union au_map_value){0});
        if (error)
            return au_fail(fault, error, "%s: out of memory", folder);
        error = add_file_in(weights, folder, shard, fault);
        if (error)
            return error;
    }
    return AURICLE_OK;
}

static enum auricle_error check_index(struct format_weights *weights, const char *folder,
                                      const struct au_json *names, struct au_fault *fault)
{
    for (size_t i = 0; i < au_json_size(names); i++) {
        const char *tensor;
        au_json_member(names, i, &tensor);
        if (!format_store_find(weights, tensor))
            return au_fail(fault, AURICLE_E_FORMAT,
                           "%s: the index names tensor '%s' but no file has it", folder, tensor);
    }
    return AURICLE_OK;
}

static enum auricle_error add_sharded(struct format_weights *weights, const char *folder,
                                      const char *index_name, struct au_fault *fault)
{
    struct au_json *index = NULL;
    struct au_map *seen = NULL;
    char *path = au_path_join(folder, index_name);
    enum auricle_error error = path ? au_map_create(16, &seen) : AURICLE_E_NOMEM;
    if (error) {
        au_fail(fault, error, "%s: out of memory", folder);
        goto done;
    }
    error = au_json_read(path, MAX_INDEX_BYTES, &index, fault);
    if (error)
        goto done;
    const struct au_json *names = au_json_get(index, "weight_map");
    if (au_json_type(names) != AU_JSON_OBJECT || au_json_size(names) == 0 ||
        au_json_size(names) > FORMAT_MAX_TENSORS) {
        error = au_fail(fault, AURICLE_E_FORMAT,
                        "%s: has no \"weight_map\" that names 1 to %d tensors", path,
                        FORMAT_MAX_TENSORS);
        goto done;
    }
    error = add_shards(weights, folder, names, seen, fault);
    if (!error)
        error = check_index(weights, folder, names, fault);
done:
    au_map_destroy(seen);
    au_json_free(index);
    au_free(path);
    return error;
}

static enum auricle_error folder_has(const char *folder, const char *name, bool *out,
                                     struct au_fault *fault)
{
    char *path = au_path_join(folder, name);
    if (!path)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", folder);
    *out = au_file_is_regular(path);
    au_free(path);
    return AURICLE_OK;
}

/* What a folder may hold, in order of preference. */
struct layout {
    const char *name;
    enum auricle_error (*add)(struct format_weights *weights, const char *folder, const char *name,
                              struct au_fault *fault);
};

static enum auricle_error refuse_other(struct format_weights *weights, const char *folder,
                                       const char *name, struct au_fault *fault)
{
    (void)weights;
    return au_fail(fault, AURICLE_E_UNSUPPORTED,
                   "%s: holds %s, which is not read: add the model.safetensors of the same model, "
                   "or give another model",
                   folder, name);
}

static enum auricle_error add_folder(struct format_weights *weights, const char *folder,
                                     struct au_fault *fault)
{
    static const struct layout layouts[] = {
        {"model.safetensors", add_file_in},
        {"model.safetensors.index.json", add_sharded},
        {"model.bin", add_file_in}, /* CTranslate2 */
        {"pytorch_model.bin", add_file_in},
        {"pytorch_model.bin.index.json", add_sharded},
        {"onnx/encoder_model.onnx", refuse_other},
        {"encoder_model.onnx", refuse_other},
        {"model.onnx", refuse_other},
        {"tf_model.h5", refuse_other},
        {"flax_model.msgpack", refuse_other},
        {"openvino_encoder_model.xml", refuse_other},
    };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        bool is_there = false;
        enum auricle_error error = folder_has(folder, layouts[i].name, &is_there, fault);
        if (error)
            return error;
        if (is_there)
            return layouts[i].add(weights, folder, layouts[i].name, fault);
    }
    return au_fail(
        fault, AURICLE_E_NOT_FOUND,
        "%s: holds no weights: expected model.safetensors, model.safetensors.index.json, "
        "pytorch_model.bin or model.bin (CTranslate2)",
        folder);
}

enum auricle_error format_weights_open(const char *path, struct format_weights **out,
                                       struct au_fault *fault)
{
    struct format_weights *weights = NULL;
    enum auricle_error error = create(path, &weights, fault);
    if (error)
        return error;
    error = au_file_is_dir(path) ? add_folder(weights, path, fault)
                                 : add_file(weights, path, fault);
    if (error) {
        format_weights_close(weights);
        return error;
    }
    *out = weights;
    return AURICLE_OK;
}

enum auricle_error format_weights_open_bytes(const char *name, const uint8_t *data, size_t bytes,
                                             struct format_weights **out, struct au_fault *fault)
{
    struct format_weights *weights = NULL;
    enum auricle_error error = create(name, &weights, fault);
    if (error)
        return error;
    error = parse(weights, data, bytes, fault);
    if (error) {
        au_fault_prefix(fault, name);
        format_weights_close(weights);
        return error;
    }
    *out = weights;
    return AURICLE_OK;
}

/* ---- Reading --------------------------------------------------------------------------------- */

enum format_kind format_weights_kind(const struct format_weights *weights)
{
    return weights->kind;
}

const char *format_kind_name(enum format_kind kind)
{
    switch (kind) {
    case FORMAT_SAFETENSORS: return "safetensors";
    case FORMAT_GGML: return "whisper.cpp";
    case FORMAT_PYTORCH: return "PyTorch";
    case FORMAT_CTRANSLATE2: return "CTranslate2";
    }
    return "unknown";
}

const char *format_weights_path(const struct format_weights *weights)
{
    return weights->path;
}

size_t format_weights_count(const struct format_weights *weights)
{
    return weights->n_tensors;
}

const struct format_tensor *format_weights_at(const struct format_weights *weights, size_t i)
{
    return i < weights->n_tensors ? &weights->tensors[i] : NULL;
}

const struct format_tensor *format_weights_find(const struct format_weights *weights,
                                                const char *name)
{
    union au_map_value value;
    if (!au_map_get(weights->index, name, strlen(name), &value))
        return NULL;
    return &weights->tensors[value.integer];
}

uint64_t format_weights_bytes(const struct format_weights *weights)
{
    return weights->tensor_bytes;
}

const struct format_whisper_extra *format_weights_whisper(const struct format_weights *weights)
{
    return &weights->extra;
}
