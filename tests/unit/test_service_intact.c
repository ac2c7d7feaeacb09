/* Models against their records, before they are loaded: what is read when, and what is said. */
#include "support/support.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/intact.h"
#include "service/registry/sums.h"

enum { LARGE = 200000 };

/* A folder of models with a record for all of them: one, of a small and a large file. */
struct place {
    char *folder, *model, *cache, *small, *large;
};

static char *put(const char *folder, const char *name, const void *bytes, size_t n)
{
    struct au_fault fault = {0};
    char *path = au_path_join(folder, name);
    assert_non_null(path);
    au_test_ok(au_file_write_atomic(path, bytes, n, &fault), &fault);
    return path;
}

/* The digests of both files as they are now; `extra` lines follow. */
static void record(const struct place *p, const char *extra)
{
    char small[SERVICE_SHA256_HEX], large[SERVICE_SHA256_HEX];
    assert_int_equal(service_sha256_file(p->small, NULL, NULL, small, NULL), AURICLE_OK);
    assert_int_equal(service_sha256_file(p->large, NULL, NULL, large, NULL), AURICLE_OK);
    char *text = au_sprintf("%s  one/small\n%s  one/large\n%s", small, large, extra);
    assert_non_null(text);
    au_free(put(p->folder, SERVICE_SUMS_FILE, text, strlen(text)));
    au_free(text);
}

static struct place new_place(void)
{
    static uint8_t bytes[LARGE];
    struct place p = {.folder = au_test_scratch_folder()};
    p.model = au_path_join(p.folder, "one");
    p.cache = au_path_join(p.folder, "cache/inner"); /* made when it is needed */
    assert_int_equal(au_dir_make(p.model, NULL), AURICLE_OK);
    p.small = put(p.model, "small", "abc", 3);
    memset(bytes, 7, sizeof bytes);
    p.large = put(p.model, "large", bytes, sizeof bytes);
    record(&p, "");
    return p;
}

static void end(struct place *p)
{
    au_test_scratch_remove(p->folder);
    au_free(p->model);
    au_free(p->cache);
    au_free(p->small);
    au_free(p->large);
}

/* Another byte in the middle; the file's time moves by so many seconds and nothing else. */
static void damage(const char *path, long seconds)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(pwrite(fd, "#", 1, status.st_size / 2), 1);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {status.st_mtim.tv_sec + seconds, status.st_mtim.tv_nsec}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void expect(const struct place *p, const char *cache, enum auricle_error error,
                   const char *words, const char *more)
{
    struct au_fault fault = {0};
    assert_int_equal(service_intact_check(p->model, cache, &fault), error);
    if (error && (!strstr(fault.text, words) || !strstr(fault.text, more)))
        fail_msg("'%s' does not say '%s' and '%s'", fault.text, words, more);
}

static void damage_is_named_whatever_the_size(void **state)
{
    (void)state;
    struct place p = new_place();
    expect(&p, p.cache, AURICLE_OK, "", "");
    expect(&p, p.cache, AURICLE_OK, "", "");
    damage(p.large, 1);
    expect(&p, p.cache, AURICLE_E_FORMAT, "one/large is damaged", "tools/model_sums.py . --write");
    expect(&p, p.cache, AURICLE_E_FORMAT, "one/large is damaged", "expected");
    record(&p, ""); /* a change that was meant */
    expect(&p, p.cache, AURICLE_OK, "", "");
    damage(p.small, 0);
    expect(&p, p.cache, AURICLE_E_FORMAT, "one/small is damaged", "expected");
    end(&p);
}

/* A start from the cache does not read weights: they count as whole while size and time stay. */
static void what_was_found_whole_is_not_read_again(void **state)
{
    (void)state;
    struct place p = new_place();
    expect(&p, p.cache, AURICLE_OK, "", "");
    damage(p.large, 0);
    expect(&p, p.cache, AURICLE_OK, "", "");
    expect(&p, NULL, AURICLE_E_FORMAT, "one/large is damaged", "expected");
    struct au_fault fault = {0};
    assert_true(service_intact_is_damaged(p.model, &fault));
    assert_non_null(strstr(fault.text, "one/large is damaged"));
    end(&p);
}

static void missing_files_are_named(void **state)
{
    (void)state;
    struct place p = new_place();
    struct au_fault fault = {0};
    char *two = au_path_join(p.folder, "two"), *three = au_path_join(p.folder, "three");
    expect(&p, p.cache, AURICLE_OK, "", "");
    assert_false(service_intact_is_missing(p.model, &fault));
    assert_int_equal(remove(p.large), 0);
    expect(&p, p.cache, AURICLE_E_NOT_FOUND, "one/large is missing", "expected sha256");
    au_free(put(p.model, "large", "x", 1)); /* small now: read all the same */
    expect(&p, p.cache, AURICLE_E_FORMAT, "one/large is damaged", "expected");
    record(&p, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  two/weights\n");
    expect(&p, p.cache, AURICLE_OK, "", "");
    assert_true(service_intact_is_missing(two, &fault));
    assert_non_null(strstr(fault.text, "two/weights is missing (expected sha256 0123456789"));
    assert_false(service_intact_is_missing(three, &fault));
    au_free(two);
    au_free(three);
    end(&p);
}

/* A model's own record names another way to say that a change is meant. */
static void own_records_count_before_shared_ones(void **state)
{
    (void)state;
    static const char own[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  small\n";
    struct place p = new_place();
    au_free(put(p.model, SERVICE_SUMS_FILE, own, sizeof own - 1));
    expect(&p, p.cache, AURICLE_E_FORMAT, "one/small is damaged", "put its sha256 into");
    end(&p);
}

static void without_a_record_nothing_is_said(void **state)
{
    (void)state;
    struct place p = new_place();
    char *sums = put(p.folder, SERVICE_SUMS_FILE, "SHA256 (one/small) = abc\n", 25);
    damage(p.small, 1);
    expect(&p, p.cache, AURICLE_OK, "", ""); /* a warning is logged */
    assert_int_equal(remove(sums), 0);
    expect(&p, p.cache, AURICLE_OK, "", "");
    au_free(sums);
    end(&p);
}

/* Nothing but the stamp comes from the cache, and a stamp that is no stamp counts for nothing. */
static void a_cache_that_cannot_be_used_is_done_without(void **state)
{
    (void)state;
    struct place p = new_place();
    expect(&p, p.small, AURICLE_OK, "", ""); /* a file where the folder should be */
    damage(p.large, 0);
    expect(&p, p.small, AURICLE_E_FORMAT, "one/large is damaged", "expected");
    end(&p);
}

static enum auricle_error check_anew(void *context)
{
    const struct place *p = context;
    return service_intact_check(p->model, NULL, NULL);
}

static void running_out_of_memory_is_an_ordinary_error(void **state)
{
    (void)state;
    struct place p = new_place();
    assert_true(au_test_fail_each_allocation(check_anew, &p, 100) > 5);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_named_whatever_the_size),
        cmocka_unit_test(what_was_found_whole_is_not_read_again),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(own_records_count_before_shared_ones),
        cmocka_unit_test(without_a_record_nothing_is_said),
        cmocka_unit_test(a_cache_that_cannot_be_used_is_done_without),
        cmocka_unit_test(running_out_of_memory_is_an_ordinary_error),
    };
    return cmocka_run_group_tests_name("service intact", tests, NULL, NULL);
}
