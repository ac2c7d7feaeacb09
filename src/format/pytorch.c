/* PyTorch checkpoints: a zip archive with a pickle and one entry per storage.
 *
 * Read are OpenAI's Whisper files ({"dims": {...}, "model_state_dict": {...}}), plain state dicts
 * and those under "state_dict" or "model". The pickle is read by our own machine (pickle.h), which
 * can only build data. Tensors that are stored contiguously point into the file; transposed and
 * strided views are copied, within a budget of the file's size.
 * Source: torch/serialization.py (zip layout), openai/whisper model.py (dims).                   */
#include <string.h>

#include "format/pickle.h"
#include "format/store.h"
#include "format/zip.h"

#define MAX_PICKLE_BYTES (64u << 20)
#define MAX_DIMENSION    (1 << 20)

struct checkpoint {
    struct format_weights *weights;
    struct format_zip *zip;
    const char *prefix; /* folder of data.pkl in the archive, with its '/' */
    size_t prefix_bytes;
    size_t copy_budget; /* bytes that views may still take */
};

/* ---- The archive ----------------------------------------------------------------------------- */

static bool ends_with(const struct format_zip_entry *entry, const char *suffix)
{
    size_t n = strlen(suffix);
    return entry->name_bytes >= n && memcmp(entry->name + entry->name_bytes - n, suffix, n) == 0;
}

/* The entry prefix + name, or NULL. */
static const struct format_zip_entry *find_entry(const struct checkpoint *checkpoint,
                                                 const char *folder, const char *name,
                                                 size_t name_bytes)
{
    char full[512];
    size_t n = checkpoint->prefix_bytes, folder_bytes = strlen(folder);
    if (name_bytes > 128 || n > 256)
        return NULL;
    memcpy(full, checkpoint->prefix, n);
    memcpy(full + n, folder, folder_bytes);
    memcpy(full + n + folder_bytes, name, name_bytes);
    return format_zip_find(checkpoint->zip, full, n + folder_bytes + name_bytes);
}

static bool find_storage(void *context, const char *key, size_t key_bytes, const uint8_t **data,
                         size_t *bytes)
{
    const struct format_zip_entry *entry = find_entry(context, "data/", key, key_bytes);
    if (!entry)
        return false;
    *data = entry->data;
    *bytes = entry->bytes;
    return true;
}

/* Find data.pkl and with it the folder that everything lies in. */
static enum auricle_error find_pickle(struct checkpoint *checkpoint,
                                      const struct format_zip_entry **out, struct au_fault *fault)
{
    const struct format_zip_entry *found = NULL;
    for (size_t i = 0; i < format_zip_count(checkpoint->zip) && !found; i++) {
        const struct format_zip_entry *entry = format_zip_at(checkpoint->zip, i);
        if (ends_with(entry, "data.pkl"))
            found = entry;
    }
    if (!found)
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "is a zip archive without a data.pkl, so not a PyTorch checkpoint: unpack it "
            "and load the model inside");
    checkpoint->prefix = found->name;
    checkpoint->prefix_bytes = found->name_bytes - strlen("data.pkl");
    if (find_entry(checkpoint, "", "constants.pkl", strlen("constants.pkl")))
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "is a TorchScript program, not a checkpoint: load the model's state_dict or "
                       "its safetensors file");
    const struct format_zip_entry *order = find_entry(checkpoint, "", "byteorder",
                                                      strlen("byteorder"));
    if (order && (order->bytes != 6 || memcmp(order->data, "little", 6) != 0))
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "was written on a big-endian machine: save it again on another one");
    if (found->bytes > MAX_PICKLE_BYTES)
        return au_fail(fault, AURICLE_E_LIMIT, "data.pkl has %zu bytes, at most %u are read",
                       found->bytes, MAX_PICKLE_BYTES);
    *out = found;
    return AURICLE_OK;
}

/* ---- Tensors --------------------------------------------------------------------------------- */

static bool is_contiguous(const struct format_pickle_tensor *t)
{
    size_t expected = 1;
    for (int i = t->n_dims; i-- > 0;) {
        if (t->shape[i] != 1 && t->stride[i] != expected)
            return false;
        expected *= t->shape[i]; /* no overflow: the view fits its storage */
    }
    return true;
}

/* Copy a strided view row by row into one that is contiguous. Every element lies in the storage. */
static void copy_view(const struct format_pickle_tensor *t, size_t element, uint8_t *out)
{
    size_t index[FORMAT_MAX_DIMS] = {0};
    size_t row = t->shape[t->n_dims - 1], step = t->stride[t->n_dims - 1];
    for (;;) {
        size_t at = t->offset;
        for (int i = 0; i < t->n_dims - 1; i++)
            at += index[i] * t->stride[i];
        for (size_t j = 0; j < row; j++, out += element)
            memcpy(out, t->storage.data + (at + j * step) * element, element);
        int i = t->n_dims - 2;
        while (i >= 0 && ++index[i] == t->shape[i])
            index[i--] = 0;
        if (i < 0)
            return;
    }
}

static enum auricle_error materialise(struct checkpoint *checkpoint,
                                      const struct format_pickle_tensor *source,
                                      struct format_tensor *tensor, struct au_fault *fault)
{
    size_t n_elements, bytes;
    if (!format_shape_size(tensor->type, tensor->n_dims, tensor->shape, &n_elements, &bytes))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "a tensor has an impossible shape: the file is "
                       "damaged");
    if (bytes > checkpoint->copy_budget)
        return au_fail(
            fault, AURICLE_E_LIMIT,
            "the views in this checkpoint take more memory than the file itself: save the "
            "model with .contiguous() tensors");
    uint8_t *copy = format_store_block(checkpoint->weights, bytes);
    if (!copy)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for %zu bytes of a tensor", bytes);
    checkpoint->copy_budget -= bytes;
    copy_view(source, format_type_block_bytes(tensor->type), copy);
    tensor->data = copy;
    tensor->bytes = bytes;
    return AURICLE_OK;
}

static enum auricle_error add_tensor(struct checkpoint *checkpoint,
                                     const struct format_pickle_value *key,
                                     const struct format_pickle_tensor *source,
                                     struct au_fault *fault)
{
    size_t element = format_type_block_bytes(source->storage.type);
    struct format_tensor tensor = {.type = source->storage.type, .n_dims = source->n_dims};
    bool is_empty = false;
    for (int i = 0; i < source->n_dims; i++) {
        tensor.shape[i] = source->shape[i];
        is_empty = is_empty || source->shape[i] == 0;
    }
    if (is_empty) {
        tensor.data = source->storage.data;
        tensor.bytes = 0;
    } else if (is_contiguous(source)) {
        tensor.data = source->storage.data + source->offset * element;
        tensor.bytes = (source->storage.n_elements - source->offset) * element;
    } else {
        enum auricle_error error = materialise(checkpoint, source, &tensor, fault);
        if (error)
            return error;
    }
    return format_store_add(checkpoint->weights, key->string.text, key->string.bytes, &tensor,
                            false, fault);
}

static enum auricle_error add_state_dict(struct checkpoint *checkpoint,
                                         const struct format_pickle_value *dict,
                                         struct au_fault *fault)
{
    for (const struct format_pickle_item *item = dict->items.first; item; item = item->next) {
        if (item->key->kind != FORMAT_PICKLE_STRING || item->value->kind != FORMAT_PICKLE_TENSOR)
            continue; /* epochs, names, options */
        enum auricle_error error = add_tensor(checkpoint, item->key, item->value->tensor, fault);
        if (error)
            return error;
    }
    if (checkpoint->weights->n_tensors == 0)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "is a PyTorch file without tensors by name: expected a state_dict, alone or "
                       "under \"model_state_dict\", \"state_dict\" or \"model\"");
    return AURICLE_OK;
}

/* ---- Whisper's dims -------------------------------------------------------------------------- */

static enum auricle_error read_dims(struct format_weights *weights,
                                    const struct format_pickle_value *dims, struct au_fault *fault)
{
    struct format_ggml_header *h = &weights->header;
    const struct {
        const char *name;
        int32_t *field;
    } fields[] = {{"n_vocab", &h->n_vocab},
                  {"n_audio_ctx", &h->n_audio_ctx},
                  {"n_audio_state", &h->n_audio_state},
                  {"n_audio_head", &h->n_audio_head},
                  {"n_audio_layer", &h->n_audio_layer},
                  {"n_text_ctx", &h->n_text_ctx},
                  {"n_text_state", &h->n_text_state},
                  {"n_text_head", &h->n_text_head},
                  {"n_text_layer", &h->n_text_layer},
                  {"n_mels", &h->n_mels}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct format_pickle_value *number = format_pickle_get(dims, fields[i].name);
        if (!number || number->kind != FORMAT_PICKLE_INT || number->integer < 1 ||
            number->integer > MAX_DIMENSION)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "\"dims\" of the checkpoint has no usable %s: expected OpenAI's Whisper",
                           fields[i].name);
        *fields[i].field = (int32_t)number->integer;
    }
    h->ftype = -1;
    weights->extra.ggml = h;
    return AURICLE_OK;
}

static enum auricle_error add_contents(struct checkpoint *checkpoint,
                                       const struct format_pickle_value *root,
                                       struct au_fault *fault)
{
    static const char *const names[] = {"model_state_dict", "state_dict", "model"};
    const struct format_pickle_value *state = root, *dims = format_pickle_get(root, "dims");
    if (root->kind != FORMAT_PICKLE_DICT)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "is a PyTorch file that does not hold a dictionary: expected a state_dict");
    for (size_t i = 0; i < sizeof names / sizeof *names && state == root; i++) {
        const struct format_pickle_value *inner = format_pickle_get(root, names[i]);
        if (inner && inner->kind == FORMAT_PICKLE_DICT)
            state = inner;
    }
    enum auricle_error error = AURICLE_OK;
    if (dims && dims->kind == FORMAT_PICKLE_DICT)
        error = read_dims(checkpoint->weights, dims, fault);
    return error ? error : add_state_dict(checkpoint, state, fault);
}

enum auricle_error format_parse_pytorch(struct format_weights *weights, const uint8_t *data,
                                        size_t bytes, struct au_fault *fault)
{
    struct checkpoint checkpoint = {.weights = weights, .copy_budget = bytes};
    const struct format_zip_entry *entry = NULL;
    struct format_pickle *pickle = NULL;
    enum auricle_error error = format_zip_open(data, bytes, &checkpoint.zip, fault);
    if (error)
        return error;
    error = find_pickle(&checkpoint, &entry, fault);
    if (!error)
        error = format_pickle_load(entry->data, entry->bytes, find_storage, &checkpoint, &pickle,
                                   fault);
    if (!error)
        error = add_contents(&checkpoint, format_pickle_root(pickle), fault);
    format_pickle_free(pickle);
    format_zip_close(checkpoint.zip);
    return error;
}
