/* The pickle machine on its own, so that the fuzzer need not keep a zip archive in order: every
 * tensor that comes out lies inside the storage that was handed in.                              */
#include "format/pickle.h"
#include "fuzz.h"

static const uint8_t storage[4096];

/* Keys of odd length exist, others do not. */
static bool find_storage(void *context, const char *key, size_t key_bytes, const uint8_t **data,
                         size_t *bytes)
{
    (void)context, (void)key;
    *data = storage;
    *bytes = sizeof storage;
    return key_bytes % 2 == 1;
}

static void check_tensor(const struct format_pickle_tensor *tensor)
{
    size_t last = tensor->offset;
    FUZZ_CHECK(tensor->n_dims >= 0 && tensor->n_dims <= FORMAT_MAX_DIMS);
    for (int i = 0; i < tensor->n_dims; i++) {
        if (tensor->shape[i] == 0)
            return;
        last += (tensor->shape[i] - 1) * tensor->stride[i];
    }
    FUZZ_CHECK(tensor->storage.data == storage);
    FUZZ_CHECK(last < tensor->storage.n_elements);
    FUZZ_CHECK(tensor->storage.n_elements <= sizeof storage);
}

/* Two levels, as far as checkpoints go; deeper would follow a value into itself. */
static void check_items(const struct format_pickle_value *value, int depth)
{
    if (value->kind == FORMAT_PICKLE_TENSOR)
        check_tensor(value->tensor);
    if (depth == 0 || (value->kind != FORMAT_PICKLE_TUPLE && value->kind != FORMAT_PICKLE_LIST &&
                       value->kind != FORMAT_PICKLE_DICT))
        return;
    size_t n = 0;
    for (const struct format_pickle_item *item = value->items.first; item; item = item->next) {
        FUZZ_CHECK((item->key != NULL) == (value->kind == FORMAT_PICKLE_DICT));
        check_items(item->value, depth - 1);
        n++;
    }
    FUZZ_CHECK(n == value->items.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct format_pickle *pickle;
    struct au_fault fault = {0};
    if (format_pickle_load(data, size, find_storage, NULL, &pickle, &fault)) {
        FUZZ_CHECK(fault.text[0]);
        return 0;
    }
    check_items(format_pickle_root(pickle), 2);
    format_pickle_free(pickle);
    return 0;
}
