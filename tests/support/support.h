/* What the tests of every layer share: paths of fixtures, .npy arrays, gunzip, comparison, scratch
 * folders and failing allocations.
 *
 * Fixtures lie outside the repository ($AURICLE_SHARED/fixtures, see tests/meson.build). A test
 * that needs one begins with
 *     char *path = au_test_fixture("mel/mel_filters_80.npy");
 * which prints what is missing and skips the test (cmocka's skip(), it does not return) where the
 * file is absent. All other helpers fail the test, with a sentence, when something goes wrong.
 * Release strings and blocks with au_free.                                                       */
#ifndef AURICLE_TESTS_SUPPORT_H
#define AURICLE_TESTS_SUPPORT_H

/* cmocka.h wants these four before it, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auricle/error.h"
#include "base/error.h"
#include "base/mem.h"
#include "kern/kern.h"

/* ---- Paths ----------------------------------------------------------------------------------- */

char *au_test_fixture(const char *name); /* path under fixtures; skips the test when absent */
char *au_test_shared(const char *name);  /* the same directly under $AURICLE_SHARED */
char *au_test_source(
    const char *name); /* path in the source tree ("models/nano"); fails if absent */

char *au_test_scratch_folder(void);        /* new empty folder */
void au_test_scratch_remove(char *folder); /* removes it with all it holds; frees the string */
char *au_test_write(const char *folder, const char *name, const void *data,
                    size_t bytes); /* writes folder/name; returns its path */

/* ---- Processor ------------------------------------------------------------------------------- */

/* The level that tests of upper layers run at: $AURICLE_CPU_LEVEL, else the processor's own; for
 * kern_select. `make check-long` runs the tests once for each level.                             */
enum kern_level au_test_level(void);

/* ---- Arrays ---------------------------------------------------------------------------------- */

#define AU_TEST_MAX_RANK 4

/* A little-endian, C-ordered .npy file. f32, f16 and f64 become floats; integers of any width and
 * booleans become int32 (a value that does not fit fails the test). One of the two is NULL.      */
struct au_test_npy {
    int rank;
    size_t shape[AU_TEST_MAX_RANK]; /* 1 beyond rank */
    size_t n;                       /* elements */
    float *f32;
    int32_t *i32;
};
struct au_test_npy au_test_npy_load(const char *path);
struct au_test_npy au_test_npy_fixture(const char *name); /* au_test_fixture, then load */
void au_test_npy_free(struct au_test_npy *array);

/* Whole contents of a .gz (or plain) file, at most 256 MiB. */
uint8_t *au_test_gunzip(const char *path, size_t *out_bytes);
/* The same, written to folder/name (name NULL: the file's own without ".gz"); returns the path. */
char *au_test_gunzip_to(const char *path, const char *folder, const char *name);
char *au_test_read(const char *path, size_t *out_bytes); /* whole file, zero terminated */

/* Samples of a mono sound file at its own rate. */
float *au_test_sound(const char *path, size_t *n_out);

/* ---- Comparison ------------------------------------------------------------------------------ */

struct au_test_diff {
    double max_abs, mean_abs, rms;
    double relative_rms; /* rms of the difference over rms of `expected` */
    double correlation;
    size_t worst; /* index of max_abs; NaN against a number counts as infinite */
};
struct au_test_diff au_test_compare(const float *got, const float *expected, size_t n);

/* Fails with the worst element and both values when the bound is passed. */
#define au_test_close(got, expected, n, max_abs) \
    au_test_close_at(got, expected, n, max_abs, #got, __FILE__, __LINE__)
void au_test_close_at(const float *got, const float *expected, size_t n, double max_abs,
                      const char *name, const char *file, int line);

/* code must be AURICLE_OK; prints the fault's sentence otherwise (fault may be NULL). */
#define au_test_ok(code, fault) au_test_ok_at(code, fault, #code, __FILE__, __LINE__)
void au_test_ok_at(enum auricle_error code, const struct au_fault *fault, const char *name,
                   const char *file, int line);

/* ---- Random numbers and failing memory ------------------------------------------------------- */

/* SplitMix64: reproducible numbers for made-up inputs. */
struct au_test_random {
    uint64_t state;
};
uint64_t au_test_random_u64(struct au_test_random *r);
float au_test_random_f32(struct au_test_random *r); /* in [-1, 1) */
void au_test_random_fill(struct au_test_random *r, float *x, size_t n);

/* Run `attempt` again and again, with the first, second, third ... allocation failing, until it
 * reports success with no failure left to meet. attempt returns its code and has released all it
 * made; each failing run must return AURICLE_E_NOMEM. At most max_allocations runs. Returns how
 * many allocations the successful run makes.                                                     */
uint64_t au_test_fail_each_allocation(enum auricle_error (*attempt)(void *context), void *context,
                                      uint64_t max_allocations);

#endif
