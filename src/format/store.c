/* The set of tensors a parser fills: memory, names, limits and look-up. See store.h. */
#include "format/store.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

void *format_store_block(struct format_weights *weights, size_t bytes)
{
    void **blocks = au_grow(weights->blocks, weights->n_blocks, &weights->block_capacity,
                            sizeof *weights->blocks);
    if (!blocks)
        return NULL;
    weights->blocks = blocks;
    void *block = au_alloc_aligned(bytes ? bytes : 1);
    if (block)
        weights->blocks[weights->n_blocks++] = block;
    return block;
}

bool format_shape_size(enum format_type type, int n_dims, const size_t *shape, size_t *n_elements,
                       size_t *bytes)
{
    size_t elements = 1;
    for (int i = 0; i < n_dims; i++)
        if (!au_mul_size(elements, shape[i], &elements))
            return false;
    size_t unit = format_type_block_elements(type);
    if (unit > 1 && (n_dims < 1 || shape[n_dims - 1] % unit != 0))
        return false;
    size_t total;
    if (!au_mul_size(elements / unit, format_type_block_bytes(type), &total))
        return false;
    *n_elements = elements;
    *bytes = total;
    return true;
}

static enum auricle_error check_name(const char *name, size_t n, size_t position,
                                     struct au_fault *fault)
{
    if (n == 0 || n > FORMAT_MAX_NAME_BYTES)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the name of tensor %zu has %zu bytes, 1 to %d are accepted: the file is "
                       "damaged",
                       position, n, FORMAT_MAX_NAME_BYTES);
    if (memchr(name, '\0', n) || !au_utf8_valid(name, n))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the name of tensor %zu is not text: the file is damaged", position);
    return AURICLE_OK;
}

/* Compare the bytes at hand with those the shape needs, and fill the counts in. */
static enum auricle_error check_size(struct format_tensor *tensor, const char *name, bool exact,
                                     struct au_fault *fault)
{
    char shape[96];
    size_t needed;
    if (tensor->n_dims < 0 || tensor->n_dims > FORMAT_MAX_DIMS)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor '%s' has %d dimensions, 0 to %d are accepted", name, tensor->n_dims,
                       FORMAT_MAX_DIMS);
    if (!format_shape_size(tensor->type, tensor->n_dims, tensor->shape, &tensor->n_elements,
                           &needed))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor '%s' has the impossible shape %s for type %s: the file is damaged",
                       name, format_shape_text(tensor, shape, sizeof shape),
                       format_type_name(tensor->type));
    if (exact ? tensor->bytes != needed : tensor->bytes < needed)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "tensor '%s' %s %s needs %zu bytes but the file holds %zu for it: the file "
                       "is cut short or damaged",
                       name, format_type_name(tensor->type),
                       format_shape_text(tensor, shape, sizeof shape), needed, tensor->bytes);
    tensor->bytes = needed;
    return AURICLE_OK;
}

enum auricle_error format_store_add(struct format_weights *weights, const char *name,
                                    size_t name_bytes, const struct format_tensor *tensor,
                                    bool exact, struct au_fault *fault)
{
    if (weights->n_tensors >= FORMAT_MAX_TENSORS)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "more than %d tensors; no model this program runs "
                       "has so many",
                       FORMAT_MAX_TENSORS);
    enum auricle_error error = check_name(name, name_bytes, weights->n_tensors, fault);
    if (error)
        return error;

    struct format_tensor added = *tensor;
    char *copy = au_strndup(name, name_bytes);
    if (!copy)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the list of tensors");
    added.name = copy;
    added.row_scale = NULL;
    error = check_size(&added, copy, exact, fault);
    if (error)
        goto fail;
    if (format_store_find(weights, copy)) {
        error = au_fail(fault, AURICLE_E_FORMAT, "tensor '%s' is there twice: the file is damaged",
                        copy);
        goto fail;
    }

    struct format_tensor *tensors = au_grow(weights->tensors, weights->n_tensors,
                                            &weights->tensor_capacity, sizeof *weights->tensors);
    error = tensors ? AURICLE_OK : AURICLE_E_NOMEM;
    if (tensors) {
        weights->tensors = tensors;
        union au_map_value value = {.integer = (int64_t)weights->n_tensors};
        error = au_map_put(weights->index, copy, name_bytes, value);
    }
    if (error) {
        au_fail(fault, error, "out of memory for the list of tensors");
        goto fail;
    }
    weights->tensors[weights->n_tensors++] = added;
    weights->tensor_bytes += added.bytes;
    return AURICLE_OK;

fail:
    au_free(copy);
    return error;
}

enum auricle_error format_store_alias(struct format_weights *weights, const char *name,
                                      size_t name_bytes, const struct format_tensor *tensor,
                                      struct au_fault *fault)
{
    struct format_tensor copy = *tensor; /* adding may move the list */
    enum auricle_error error = format_store_add(weights, name, name_bytes, &copy, true, fault);
    if (error)
        return error;
    weights->tensors[weights->n_tensors - 1].row_scale = copy.row_scale;
    weights->tensor_bytes -= copy.bytes;
    return AURICLE_OK;
}

struct format_tensor *format_store_find(struct format_weights *weights, const char *name)
{
    union au_map_value value;
    if (!au_map_get(weights->index, name, strlen(name), &value))
        return NULL;
    return &weights->tensors[value.integer];
}
