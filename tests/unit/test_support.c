/* Tests of the test helpers: a comparison that cannot fail would make every golden test
 * worthless. */
#include "support/support.h"

#include <math.h>

static void compare_sees_every_difference(void **state)
{
    (void)state;
    float a[] = {1, 2, 3, INFINITY}, b[] = {1, 2.5f, 3, INFINITY}, c[] = {1, 2, NAN, INFINITY};
    struct au_test_diff diff = au_test_compare(b, a, 4);
    assert_true(diff.max_abs == 0.5 && diff.worst == 1 && diff.mean_abs == 0.125);
    diff = au_test_compare(c, a, 4);
    assert_true(isinf(diff.max_abs) && diff.worst == 2);
    diff = au_test_compare(a, a, 4);
    assert_true(diff.max_abs == 0);
    diff = au_test_compare(a, b, 3);
    assert_true(fabs(diff.relative_rms - 0.5 / sqrt(1 + 6.25 + 9)) < 1e-12);
}

static char *write_npy(const char *folder, const char *header, const void *data, size_t bytes)
{
    char file[512] = "\x93NUMPY\x01\x00";
    size_t n = strlen(header);
    file[8] = (char)n;
    file[9] = 0;
    memcpy(file + 10, header, n);
    memcpy(file + 10 + n, data, bytes);
    return au_test_write(folder, "a.npy", file, 10 + n + bytes);
}

static void npy_types_are_converted(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    static const uint16_t half[] = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000, 0x3555};
    char *path = write_npy(folder, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }",
                           half, sizeof half);
    struct au_test_npy a = au_test_npy_load(path);
    static const float expected[] = {1, -2, 0x1p-24f, 65504, -0.0f, 0.333251953125f};
    assert_true(a.rank == 2 && a.shape[0] == 2 && a.shape[1] == 3 && a.shape[2] == 1 && a.n == 6);
    assert_memory_equal(a.f32, expected, sizeof expected);
    assert_null(a.i32);
    au_test_npy_free(&a);
    au_free(path);

    static const int16_t shorts[] = {-1, 300};
    path = write_npy(folder, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }", shorts,
                     4);
    a = au_test_npy_load(path);
    assert_true(a.rank == 1 && a.n == 2 && a.i32[0] == -1 && a.i32[1] == 300);
    au_test_npy_free(&a);
    au_free(path);

    static const int64_t wide[] = {-7};
    path = write_npy(folder, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }", wide, 8);
    a = au_test_npy_load(path);
    assert_true(a.rank == 0 && a.n == 1 && a.i32[0] == -7);
    au_test_npy_free(&a);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void fixture_arrays_load(void **state)
{
    (void)state;
    struct au_test_npy a = au_test_npy_fixture("mel/mel_filters_80.npy");
    assert_true(a.rank == 2 && a.shape[0] == 80 && a.shape[1] == 201 && a.f32);
    au_test_npy_free(&a);
    a = au_test_npy_fixture("whisper-micro/ref/align_path.npy");
    assert_true(a.rank == 2 && a.shape[0] == 2 && a.shape[1] == 575 && a.i32);
    au_test_npy_free(&a);
}

static void gunzip_unpacks(void **state)
{
    (void)state;
    char *packed = au_test_fixture("whisper-micro-v3/model.pt.gz");
    char *folder = au_test_scratch_folder();
    char *path = au_test_gunzip_to(packed, folder, NULL);
    size_t bytes;
    char *data = au_test_read(path, &bytes);
    assert_true(bytes > 2570802 && memcmp(data, "PK\x03\x04", 4) == 0);
    assert_string_equal(path + strlen(folder), "/model.pt");
    au_free(data);
    au_free(path);
    au_free(packed);
    au_test_scratch_remove(folder);
}

static enum auricle_error make_two(void *context)
{
    int *n_runs = context;
    ++*n_runs;
    void *a = au_alloc(1), *b = a ? au_alloc(1) : NULL;
    enum auricle_error e = b ? AURICLE_OK : AURICLE_E_NOMEM;
    au_free(a);
    au_free(b);
    return e;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    int n_runs = 0;
    assert_int_equal(au_test_fail_each_allocation(make_two, &n_runs, 10), 2);
    assert_int_equal(n_runs, 3);
}

static void random_is_reproducible(void **state)
{
    (void)state;
    struct au_test_random r = {1}, s = {1};
    float low = 1, high = -1;
    for (int i = 0; i < 1000; i++) {
        float x = au_test_random_f32(&r);
        assert_true(x == au_test_random_f32(&s) && x >= -1 && x < 1);
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    assert_true(low < -0.9f && high > 0.9f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compare_sees_every_difference), cmocka_unit_test(npy_types_are_converted),
        cmocka_unit_test(fixture_arrays_load),           cmocka_unit_test(gunzip_unpacks),
        cmocka_unit_test(each_allocation_fails_once),    cmocka_unit_test(random_is_reproducible),
    };
    return cmocka_run_group_tests_name("support", tests, NULL, NULL);
}
