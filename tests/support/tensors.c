/* Made-up safetensors files, f32 only. */
#include "support/tensors.h"

struct au_test_tensors *au_test_tensors_new(void)
{
    struct au_test_tensors *t = au_calloc(1, sizeof *t);
    assert_non_null(t);
    return t;
}

void au_test_tensors_free(struct au_test_tensors *t)
{
    au_free(t->header);
    au_free(t->data);
    au_free(t);
}

float *au_test_tensors_add(struct au_test_tensors *t, const char *name, int n_dims,
                           const size_t *shape)
{
    char axes[64] = "";
    size_t count = 1, start = t->n * sizeof(float);

    for (int i = 0; i < n_dims; i++) {
        size_t used = strlen(axes);
        count *= shape[i];
        snprintf(axes + used, sizeof axes - used, "%s%zu", i ? "," : "", shape[i]);
    }
    t->data = au_realloc(t->data, (t->n + count) * sizeof(float));
    assert_non_null(t->data);
    memset(t->data + t->n, 0, count * sizeof(float));
    t->n += count;

    char *header = au_sprintf(
        "%s%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
        t->header ? t->header : "{", t->header ? "," : "", name, axes, start, t->n * sizeof(float));
    assert_non_null(header);
    au_free(t->header);
    t->header = header;
    return t->data + t->n - count;
}

char *au_test_tensors_write(const struct au_test_tensors *t, const char *folder, const char *name)
{
    size_t text = strlen(t->header) + 1, bytes = 8 + text + t->n * sizeof(float);
    uint8_t *file = au_alloc(bytes);

    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)text >> (8 * i));
    memcpy(file + 8, t->header, text - 1);
    file[8 + text - 1] = '}';
    memcpy(file + 8 + text, t->data, t->n * sizeof(float));
    char *path = au_test_write(folder, name, file, bytes);
    au_free(file);
    return path;
}
