/* Assembling and damaging model files for the tests of src/format. See test_format.h. */
#include "test_format.h"

#include <stdlib.h>

void put_bytes(struct au_buf *file, const void *bytes, size_t n)
{
    assert_int_equal(au_buf_append(file, bytes, n), AURICLE_OK);
}

void put_text(struct au_buf *file, const char *text)
{
    put_bytes(file, text, strlen(text));
}

static void put_little(struct au_buf *file, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put_bytes(file, bytes, n);
}

void put_u8(struct au_buf *file, uint8_t value)
{
    put_little(file, value, 1);
}

void put_u16(struct au_buf *file, uint16_t value)
{
    put_little(file, value, 2);
}

void put_u32(struct au_buf *file, uint32_t value)
{
    put_little(file, value, 4);
}

void put_u64(struct au_buf *file, uint64_t value)
{
    put_little(file, value, 8);
}

void put_f32(struct au_buf *file, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put_u32(file, bits);
}

/* ---- Reading --------------------------------------------------------------------------------- */

void open_bytes(const void *data, size_t n, struct opened *out)
{
    *out = (struct opened){0};
    out->bytes = malloc(n ? n : 1);
    assert_non_null(out->bytes);
    memcpy(out->bytes, data, n);
    out->error = format_weights_open_bytes("test", out->bytes, n, &out->weights, &out->fault);
    if (out->error) {
        assert_null(out->weights);
        assert_int_equal(out->fault.code, out->error);
        assert_true(out->fault.text[0] != '\0');
    }
}

void open_file(const struct au_buf *file, struct opened *out)
{
    open_bytes(file->data, file->len, out);
}

void close_opened(struct opened *opened)
{
    format_weights_close(opened->weights);
    free(opened->bytes);
}

void assert_loads(const struct au_buf *file)
{
    struct opened opened;
    open_file(file, &opened);
    if (opened.error)
        fail_msg("not loaded: %s", opened.fault.text);
    close_opened(&opened);
}

void assert_refused(const struct au_buf *file, enum auricle_error error, const char *part)
{
    struct opened opened;
    open_file(file, &opened);
    if (opened.error != error || !strstr(opened.fault.text, part))
        fail_msg("expected %s with '%s', got %s: %s", auricle_error_name(error), part,
                 auricle_error_name(opened.error), opened.fault.text);
    close_opened(&opened);
}

float element(const struct format_weights *weights, const char *name, size_t i)
{
    const struct format_tensor *tensor = format_weights_find(weights, name);
    assert_non_null(tensor);
    assert_true(i < tensor->n_elements);
    float *all = au_alloc_array(tensor->n_elements, sizeof *all);
    assert_non_null(all);
    format_read_f32(tensor, all);
    float value = all[i];
    au_free(all);
    return value;
}

void assert_shape(const struct format_weights *weights, const char *name, const char *shape)
{
    char text[128];
    const struct format_tensor *tensor = format_weights_find(weights, name);
    assert_non_null(tensor);
    assert_string_equal(format_shape_text(tensor, text, sizeof text), shape);
}

/* Touch every byte that the store says is there. */
static void read_everything(const struct format_weights *weights)
{
    const struct format_whisper_extra *extra = format_weights_whisper(weights);
    volatile float sum = 0;
    for (size_t i = 0; i < format_weights_count(weights); i++) {
        const struct format_tensor *tensor = format_weights_at(weights, i);
        float *all = au_alloc_array(tensor->n_elements, sizeof *all);
        assert_non_null(all);
        format_read_f32(tensor, all);
        for (size_t j = 0; j < tensor->n_elements; j++)
            sum += all[j];
        au_free(all);
    }
    for (size_t i = 0; i < extra->n_vocab_entries; i++)
        for (uint32_t j = 0; j < extra->vocab_lengths[i]; j++)
            sum += (float)extra->vocab_bytes[i][j];
    for (int i = 0; extra->mel_filters && i < extra->n_mel_bins * extra->n_fft_bins; i++)
        sum += extra->mel_filters[i];
    (void)sum;
}

static void open_and_read(const uint8_t *data, size_t n)
{
    struct opened opened;
    open_bytes(data, n, &opened);
    if (!opened.error)
        read_everything(opened.weights);
    close_opened(&opened);
}

void assert_every_cut_is_refused(const struct au_buf *file, bool (*may_load)(size_t length))
{
    for (size_t n = 0; n < file->len; n++) {
        struct opened opened;
        open_bytes(file->data, n, &opened);
        if (!opened.error && !(may_load && may_load(n)))
            fail_msg("a file cut from %zu to %zu bytes was loaded", file->len, n);
        close_opened(&opened);
    }
}

void survive_damage(const struct au_buf *file, size_t n)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', '{', '9'};
    uint8_t *copy = au_alloc(file->len);
    assert_non_null(copy);
    n = n && n < file->len ? n : file->len;
    for (size_t i = 0; i < n; i++) {
        memcpy(copy, file->data, file->len);
        for (int bit = 0; bit < 8; bit++) {
            copy[i] = (uint8_t)(file->data[i] ^ 1 << bit);
            open_and_read(copy, file->len);
        }
        for (size_t v = 0; v < sizeof values; v++) {
            copy[i] = values[v];
            open_and_read(copy, file->len);
        }
        memset(copy + i, 0xff, file->len - i < 4 ? file->len - i : 4);
        open_and_read(copy, file->len);
    }
    au_free(copy);
}

static enum auricle_error open_attempt(void *context)
{
    struct opened opened;
    const struct au_buf *file = context;
    open_file(file, &opened);
    close_opened(&opened);
    return opened.error;
}

void survive_failing_memory(const struct au_buf *file)
{
    au_test_fail_each_allocation(open_attempt, (void *)(uintptr_t)file, 100000);
}

void write_text(const char *folder, const char *name, const char *text)
{
    au_free(au_test_write(folder, name, text, strlen(text)));
}
