/* Test helpers. See support.h. They run in one thread, before or after the code under test. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"

#define MAX_FILE_BYTES ((size_t)256 << 20)

/* ---- Paths ----------------------------------------------------------------------------------- */

static char *below(const char *variable, const char *folder, const char *name)
{
    const char *root = getenv(variable);
    char *path = au_sprintf("%s/%s%s", root ? root : "", folder, name);
    assert_non_null(path);
    if (root && au_file_exists(path))
        return path;
    print_message("%s is absent\n", path);
    au_free(path);
    return NULL;
}

char *au_test_fixture(const char *name)
{
    char *path = below("AURICLE_SHARED", "fixtures/", name);
    if (!path)
        skip();
    return path;
}

char *au_test_shared(const char *name)
{
    char *path = below("AURICLE_SHARED", "", name);
    if (!path)
        skip();
    return path;
}

char *au_test_source(const char *name)
{
    char *path = below("AURICLE_SOURCE", "", name);
    assert_non_null(path);
    return path;
}

char *au_test_scratch_folder(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = au_sprintf("%s/auricle-test-XXXXXX", parent && *parent ? parent : "/tmp");
    assert_non_null(folder);
    if (!mkdtemp(folder))
        fail_msg("cannot make a scratch folder %s", folder);
    return folder;
}

void au_test_scratch_remove(char *folder)
{
    char *command = au_sprintf("rm -rf '%s'", folder);
    assert_non_null(command);
    assert_int_equal(system(command), 0);
    au_free(command);
    au_free(folder);
}

char *au_test_write(const char *folder, const char *name, const void *data, size_t bytes)
{
    char *path = au_path_join(folder, name);
    assert_non_null(path);
    FILE *f = fopen(path, "wb");
    if (!f)
        fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
    return path;
}

char *au_test_read(const char *path, size_t *out_bytes)
{
    char *text = NULL;
    struct au_fault fault = {0};
    au_test_ok(au_file_read(path, MAX_FILE_BYTES, &text, out_bytes, &fault), &fault);
    return text;
}

/* ---- Processor ------------------------------------------------------------------------------- */

enum kern_level au_test_level(void)
{
    const char *name = getenv("AURICLE_CPU_LEVEL");
    enum kern_level level = KERN_N_LEVELS;
    if (name && *name && !kern_level_parse(name, &level))
        fail_msg("AURICLE_CPU_LEVEL=%s is no level", name);
    return level;
}

/* ---- Comparison ------------------------------------------------------------------------------ */

struct au_test_diff au_test_compare(const float *got, const float *expected, size_t n)
{
    struct au_test_diff diff = {0};
    double sum_squares = 0, expected_squares = 0, got_squares = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)got[i], b = (double)expected[i], d = fabs(a - b);
        if (got[i] == expected[i]) /* equal infinities too */
            d = 0;
        else if (isnan(d))
            d = (double)INFINITY;
        if (d > diff.max_abs) {
            diff.max_abs = d;
            diff.worst = i;
        }
        diff.mean_abs += d;
        sum_squares += d * d;
        expected_squares += b * b;
        got_squares += a * a;
        product += a * b;
    }
    if (n > 0) {
        diff.mean_abs /= (double)n;
        diff.rms = sqrt(sum_squares / (double)n);
        diff.relative_rms = sqrt(sum_squares / expected_squares);
        diff.correlation = product / sqrt(expected_squares * got_squares);
    }
    return diff;
}

void au_test_close_at(const float *got, const float *expected, size_t n, double max_abs,
                      const char *name, const char *file, int line)
{
    struct au_test_diff diff = au_test_compare(got, expected, n);
    if (diff.max_abs <= max_abs)
        return;
    print_error("%s differs by at most %g allowed, seen %g (mean %g) at [%zu] of %zu: %.9g, "
                "expected %.9g\n",
                name, max_abs, diff.max_abs, diff.mean_abs, diff.worst, n, (double)got[diff.worst],
                (double)expected[diff.worst]);
    _fail(file, line);
}

void au_test_ok_at(enum auricle_error code, const struct au_fault *fault, const char *name,
                   const char *file, int line)
{
    if (code == AURICLE_OK)
        return;
    print_error("%s: %s: %s\n", name, auricle_error_name(code), fault ? fault->text : "");
    _fail(file, line);
}

/* ---- Random numbers and failing memory ------------------------------------------------------- */

uint64_t au_test_random_u64(struct au_test_random *r)
{
    uint64_t x = r->state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

float au_test_random_f32(struct au_test_random *r)
{
    return (float)(au_test_random_u64(r) >> 40) * 0x1p-23f - 1.0f;
}

void au_test_random_fill(struct au_test_random *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = au_test_random_f32(r);
}

uint64_t au_test_fail_each_allocation(enum auricle_error (*attempt)(void *context), void *context,
                                      uint64_t max_allocations)
{
    for (uint64_t n = 0; n <= max_allocations; n++) {
        uint64_t before = au_mem_count();
        au_mem_fail_at(n, false);
        enum auricle_error code = attempt(context);
        au_mem_fail_never();
        uint64_t n_made = au_mem_count() - before;
        if (n_made <= n) { /* the run ended before the failing allocation came up */
            assert_int_equal(code, AURICLE_OK);
            return n_made;
        }
        if (code != AURICLE_E_NOMEM)
            fail_msg("allocation %llu failed and the call returned %s", (unsigned long long)n,
                     auricle_error_name(code));
    }
    fail_msg("more than %llu allocations", (unsigned long long)max_allocations);
    return 0;
}
