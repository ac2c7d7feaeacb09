/* Reader of .npy arrays and of gzip files for tests. See support.h; the format is described in
 * numpy.lib.format: magic, version, header length, a Python dictionary as text, then the data.   */
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "support/support.h"

#define MAX_BYTES ((size_t)256 << 20)

uint8_t *au_test_gunzip(const char *path, size_t *out_bytes)
{
    gzFile f = gzopen(path, "rb"); /* reads plain files as they are */
    if (!f)
        fail_msg("cannot open %s", path);
    struct au_buf buf;
    au_buf_init(&buf, MAX_BYTES);
    char block[1 << 16];
    int n;
    while ((n = gzread(f, block, sizeof block)) > 0)
        assert_int_equal(au_buf_append(&buf, block, (size_t)n), AURICLE_OK);
    if (n < 0 || gzclose(f) != Z_OK)
        fail_msg("%s is damaged", path);
    *out_bytes = buf.len;
    uint8_t *data = (uint8_t *)au_buf_take(&buf);
    assert_non_null(data);
    return data;
}

char *au_test_gunzip_to(const char *path, const char *folder, const char *name)
{
    size_t bytes;
    uint8_t *data = au_test_gunzip(path, &bytes);
    char *own = au_strdup(au_path_name(path));
    size_t n = strlen(own);
    if (n > 3 && strcmp(own + n - 3, ".gz") == 0)
        own[n - 3] = '\0';
    char *out = au_test_write(folder, name ? name : own, data, bytes);
    au_free(own);
    au_free(data);
    return out;
}

static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    float magnitude;
    if (exponent == 0)
        magnitude = ldexpf((float)fraction, -24);
    else if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    else
        magnitude = ldexpf((float)(fraction + 1024), exponent - 25);
    return h & 0x8000 ? -magnitude : magnitude;
}

static float float_at(const uint8_t *data, size_t i, int width)
{
    uint16_t half;
    float single;
    double wide;
    switch (width) {
    case 2: memcpy(&half, data + i * 2, 2); return half_to_float(half);
    case 4: memcpy(&single, data + i * 4, 4); return single;
    default: memcpy(&wide, data + i * 8, 8); return (float)wide;
    }
}

static int32_t integer_at(const uint8_t *data, size_t i, int width, bool is_signed)
{
    int64_t value = 0;
    memcpy(&value, data + i * (size_t)width, (size_t)width);
    if (is_signed && width < 8)
        value = (int64_t)((uint64_t)value << (64 - 8 * width)) >> (64 - 8 * width);
    assert_true(value >= INT32_MIN && value <= INT32_MAX);
    return (int32_t)value;
}

static void read_shape(struct au_test_npy *out, const char *header, const char *path)
{
    const char *p = strstr(header, "'shape': (");
    if (!p)
        fail_msg("%s: no shape in its header", path);
    p += strlen("'shape': (");
    for (int i = 0; i < AU_TEST_MAX_RANK; i++)
        out->shape[i] = 1;
    out->n = 1;
    while (*p != ')') {
        char *end;
        unsigned long long size = strtoull(p, &end, 10);
        if (end == p || out->rank == AU_TEST_MAX_RANK)
            fail_msg("%s: shape not understood: %s", path, header);
        out->shape[out->rank++] = (size_t)size;
        assert_true(au_mul_size(out->n, (size_t)size, &out->n));
        p = end + strspn(end, ", ");
    }
}

static void convert(struct au_test_npy *out, const uint8_t *data, size_t bytes, char kind,
                    int width, const char *path)
{
    size_t need;
    if (!au_mul_size(out->n, (size_t)width, &need) || need > bytes)
        fail_msg("%s: %zu bytes of data, its shape wants more", path, bytes);
    if (kind == 'f') {
        out->f32 = au_alloc_array(out->n, sizeof(float));
        assert_non_null(out->f32);
        for (size_t i = 0; i < out->n; i++)
            out->f32[i] = float_at(data, i, width);
        return;
    }
    out->i32 = au_alloc_array(out->n, sizeof(int32_t));
    assert_non_null(out->i32);
    for (size_t i = 0; i < out->n; i++)
        out->i32[i] = integer_at(data, i, width, kind == 'i');
}

struct au_test_npy au_test_npy_load(const char *path)
{
    size_t bytes;
    uint8_t *file = au_test_gunzip(path, &bytes);
    if (bytes < 12 || memcmp(file, "\x93NUMPY", 6) != 0)
        fail_msg("%s is not a .npy file", path);
    size_t length_bytes = file[6] == 1 ? 2 : 4, header_bytes = 0;
    for (size_t i = 0; i < length_bytes; i++)
        header_bytes |= (size_t)file[8 + i] << (8 * i);
    size_t data_at = 8 + length_bytes + header_bytes;
    if (header_bytes > bytes || data_at > bytes)
        fail_msg("%s is cut short", path);
    char *header = au_strndup((const char *)file + 8 + length_bytes, header_bytes);

    const char *type = strstr(header, "'descr': '");
    if (!type || !strstr(header, "'fortran_order': False"))
        fail_msg("%s: header not understood: %s", path, header);
    type += strlen("'descr': '");
    char kind = type[1];
    int width = type[2] - '0';
    bool known = (type[0] == '<' || type[0] == '|') && strchr("fiub", kind) &&
                 (width == 1 || width == 2 || width == 4 || width == 8) &&
                 (kind != 'f' || width >= 2);
    if (!known)
        fail_msg("%s: element type %.4s is not handled", path, type);

    struct au_test_npy out = {0};
    read_shape(&out, header, path);
    convert(&out, file + data_at, bytes - data_at, kind, width, path);
    au_free(header);
    au_free(file);
    return out;
}

struct au_test_npy au_test_npy_fixture(const char *name)
{
    char *path = au_test_fixture(name);
    struct au_test_npy array = au_test_npy_load(path);
    au_free(path);
    return array;
}

void au_test_npy_free(struct au_test_npy *array)
{
    au_free(array->f32);
    au_free(array->i32);
    *array = (struct au_test_npy){0};
}
