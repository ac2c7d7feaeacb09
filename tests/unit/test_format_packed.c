/* Packed weights on disk: what is put is read back; the folder: its size, what goes first, what
 * never goes. */
#include "test_format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "format/packed.h"
#include "support/tensors.h"

#define PART_BYTES ((size_t)10000)

static const char kernels[] = "test";

static char *path_of(const char *folder, uint64_t fingerprint)
{
    return au_sprintf("%s/%016llx-%s" FORMAT_PACKED_ENDING, folder, (unsigned long long)fingerprint,
                      kernels);
}

/* A whole file in the folder, still held. */
static struct format_packed *make(const char *folder, uint64_t fingerprint)
{
    static uint8_t data[PART_BYTES];
    struct format_packed *packed = format_packed_open(folder, fingerprint, kernels, 1 << 20);
    assert_non_null(packed);
    assert_null(format_packed_take(packed, 1, PART_BYTES, PART_BYTES));
    assert_non_null(format_packed_put(packed, 1, PART_BYTES, data, PART_BYTES, false));
    assert_true(format_packed_finish(packed));
    return packed;
}

/* The same, let go, and last used so many seconds ago. */
static void leave(const char *folder, uint64_t fingerprint, int seconds_ago)
{
    format_packed_close(make(folder, fingerprint));
    char *path = path_of(folder, fingerprint);
    const struct timespec times[2] = {{.tv_sec = time(NULL) - seconds_ago},
                                      {.tv_sec = time(NULL) - seconds_ago}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    au_free(path);
}

static bool is_there(const char *folder, uint64_t fingerprint)
{
    char *path = path_of(folder, fingerprint);
    bool there = au_file_exists(path);
    au_free(path);
    return there;
}

/* ---- Fingerprint ----------------------------------------------------------------------------- */

enum { N_NUMBERS = 10000 };

/* A model file of one matrix, last written so many seconds after 2020. */
static uint64_t fingerprint_of(const char *folder, const char *name, const float *numbers,
                               long seconds)
{
    const struct timespec times[2] = {{.tv_sec = 1577836800 + seconds, .tv_nsec = 1},
                                      {.tv_sec = 1577836800 + seconds, .tv_nsec = 1}};
    struct au_test_tensors *tensors = au_test_tensors_new();
    struct format_weights *weights;
    struct au_fault fault = {0};

    memcpy(au_test_tensors_add(tensors, "x", 2, (size_t[]){100, 100}), numbers,
           N_NUMBERS * sizeof *numbers);
    char *path = au_test_tensors_write(tensors, folder, name);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    uint64_t fingerprint = format_weights_fingerprint(weights);
    format_weights_close(weights);
    au_test_tensors_free(tensors);
    au_free(path);
    return fingerprint;
}

/* Damage and repair leave the middle of a matrix, the size and the shapes as they were. */
static void a_file_that_was_written_again_has_another_fingerprint(void **state)
{
    static float numbers[N_NUMBERS];
    char *folder = au_test_scratch_folder();
    struct au_test_random random = {7};
    (void)state;

    au_test_random_fill(&random, numbers, N_NUMBERS);
    uint64_t first = fingerprint_of(folder, "model.safetensors", numbers, 0);
    assert_true(first == fingerprint_of(folder, "copy.safetensors", numbers, 0));
    assert_true(first != fingerprint_of(folder, "model.safetensors", numbers, 1));
    memset(numbers, 0, sizeof numbers * 2 / 5);
    assert_true(first != fingerprint_of(folder, "model.safetensors", numbers, 2));
    numbers[N_NUMBERS / 2] += 1.0F; /* other weights, where all files have the same time */
    assert_true(first != fingerprint_of(folder, "model.safetensors", numbers, 0));
    au_test_scratch_remove(folder);
}

/* ---- The folder ------------------------------------------------------------------------------ */

static void what_was_unused_for_longest_goes_first(void **state)
{
    char *folder = au_test_scratch_folder();
    (void)state;
    leave(folder, 1, 100);
    leave(folder, 2, 300);
    leave(folder, 3, 200);
    struct format_packed_usage all = format_packed_usage(folder);
    assert_int_equal(all.n_files, 3);
    assert_true(all.bytes > 3 * PART_BYTES);
    assert_int_equal(format_packed_trim(folder, all.bytes), 0);
    assert_int_equal(format_packed_trim(folder, all.bytes - 1), all.bytes / 3);
    assert_false(is_there(folder, 2));
    assert_int_equal(format_packed_usage(folder).n_files, 2);
    assert_int_equal(format_packed_trim(folder, 0), all.bytes / 3 * 2);
    assert_int_equal(format_packed_usage(folder).bytes, 0);
    au_test_scratch_remove(folder);
}

static void opening_a_file_is_using_it(void **state)
{
    char *folder = au_test_scratch_folder();
    (void)state;
    leave(folder, 1, 300);
    leave(folder, 2, 200);
    struct format_packed *packed = format_packed_open(folder, 1, kernels, 1 << 20);
    assert_non_null(format_packed_take(packed, 1, PART_BYTES, PART_BYTES));
    format_packed_close(packed);
    uint64_t bytes = format_packed_usage(folder).bytes;
    format_packed_trim(folder, bytes / 2);
    assert_true(is_there(folder, 1));
    assert_false(is_there(folder, 2));
    au_test_scratch_remove(folder);
}

static void what_is_in_use_stays(void **state)
{
    char *folder = au_test_scratch_folder();
    (void)state;
    struct format_packed *fresh = make(folder, 1); /* written by us, and mapped since */
    leave(folder, 2, 100);
    struct format_packed *mapped = format_packed_open(folder, 2, kernels, 1 << 20);
    assert_non_null(format_packed_take(mapped, 1, PART_BYTES, PART_BYTES));
    struct format_packed *writing = format_packed_open(folder, 3, kernels, 1 << 20);
    leave(folder, 4, 1);
    assert_true(format_packed_trim(folder, 0) > 0);
    assert_true(is_there(folder, 1));
    assert_true(is_there(folder, 2));
    assert_false(is_there(folder, 4));
    assert_true(format_packed_finish(writing));
    assert_true(is_there(folder, 3));
    format_packed_close(writing);
    format_packed_close(mapped);
    format_packed_close(fresh);
    format_packed_trim(folder, 0);
    assert_int_equal(format_packed_usage(folder).n_files, 0);
    au_test_scratch_remove(folder);
}

static void only_what_is_ours_goes(void **state)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char *folder = au_test_scratch_folder();
    (void)state;
    char *other = au_test_write(folder, "notes.txt", "mine", 4);
    char *stale = au_test_write(folder, "0-test.packed.tmp-1", "half", 4);
    char *recent = au_test_write(folder, "1-test.packed.tmp-2", "half", 4);
    char *away = au_path_join(folder, "away.packed");
    assert_int_equal(symlink(other, away), 0);
    assert_int_equal(utimensat(AT_FDCWD, stale, long_ago, 0), 0);
    assert_int_equal(format_packed_usage(folder).n_files, 0);
    assert_int_equal(format_packed_trim(folder, 0), 0);
    assert_true(au_file_exists(other));
    assert_true(au_file_exists(away));
    assert_true(au_file_exists(recent));
    assert_false(au_file_exists(stale)); /* left by a process that died */
    au_free(other);
    au_free(stale);
    au_free(recent);
    au_free(away);
    au_test_scratch_remove(folder);
}

static void a_folder_that_is_not_there_is_empty(void **state)
{
    (void)state;
    assert_int_equal(format_packed_usage("/no/such/folder").n_files, 0);
    assert_int_equal(format_packed_trim("/no/such/folder", 0), 0);
}

/* Sizes around the pieces in which a file is written, dense and sparse in turn. */
static void parts_of_any_size_lie_where_they_were_put(void **state)
{
    static const size_t sizes[] = {1, 63, 65408, 65536, 70001, 2097151, 2097152, 5000001, 64};
    enum { N = sizeof sizes / sizeof sizes[0] };
    char *folder = au_test_scratch_folder();
    const void *put[N];
    uint8_t *data = au_alloc(sizes[7] + N);
    (void)state;

    assert_non_null(data);
    for (size_t i = 0; i < sizes[7] + N; i++)
        data[i] = (uint8_t)(i * 2654435761U >> 24);
    struct format_packed *packed = format_packed_open(folder, 9, kernels, 1 << 26);
    assert_non_null(packed);
    for (size_t i = 0; i < N; i++) {
        assert_null(format_packed_take(packed, i, 7, sizes[i]));
        put[i] = format_packed_put(packed, i, 7, data + i, sizes[i], i % 2 == 1);
        assert_non_null(put[i]);
    }
    assert_true(format_packed_finish(packed));
    for (size_t i = 0; i < N; i++)
        assert_memory_equal(put[i], data + i, sizes[i]);
    format_packed_close(packed);

    packed = format_packed_open(folder, 9, kernels, 1 << 26);
    for (size_t i = 0; i < N; i++) {
        const void *taken = format_packed_take(packed, i, 7, sizes[i]);
        assert_non_null(taken);
        assert_memory_equal(taken, data + i, sizes[i]);
    }
    assert_true(format_packed_mapped(packed));
    format_packed_close(packed);
    au_free(data);
    au_test_scratch_remove(folder);
}

/* Room that is too small costs the map alone: the file is whole. */
static void parts_beyond_the_room_are_written_but_not_mapped(void **state)
{
    static uint8_t data[PART_BYTES];
    char *folder = au_test_scratch_folder();
    (void)state;

    struct format_packed *packed = format_packed_open(folder, 9, kernels, 16384);
    assert_non_null(packed);
    assert_non_null(format_packed_put(packed, 1, 1, data, PART_BYTES, false));
    assert_null(format_packed_put(packed, 2, 1, data, PART_BYTES, false));
    assert_true(format_packed_finish(packed));
    format_packed_close(packed);
    packed = format_packed_open(folder, 9, kernels, 16384);
    assert_non_null(format_packed_take(packed, 1, 1, PART_BYTES));
    assert_non_null(format_packed_take(packed, 2, 1, PART_BYTES));
    format_packed_close(packed);
    au_test_scratch_remove(folder);
}

int test_format_packed(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_was_written_again_has_another_fingerprint),
        cmocka_unit_test(what_was_unused_for_longest_goes_first),
        cmocka_unit_test(opening_a_file_is_using_it),
        cmocka_unit_test(what_is_in_use_stays),
        cmocka_unit_test(only_what_is_ours_goes),
        cmocka_unit_test(a_folder_that_is_not_there_is_empty),
        cmocka_unit_test(parts_of_any_size_lie_where_they_were_put),
        cmocka_unit_test(parts_beyond_the_room_are_written_but_not_mapped),
    };
    return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
