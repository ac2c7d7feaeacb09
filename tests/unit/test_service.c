/* service: the table of models, digests, records of digests. Pulling and importing are tested from
 * end to end in tests/service.                                                                   */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/digest.h"
#include "service/registry/fetch.h"
#include "service/registry/registry.h"
#include "service/registry/sums.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180-2 */

static char *write_file(const char *folder, const char *name, const char *text)
{
    struct au_fault fault = {0};
    char *path = au_path_join(folder, name);
    assert_non_null(path);
    assert_int_equal(au_file_write_atomic(path, text, strlen(text), &fault), AURICLE_OK);
    return path;
}

/* ---- Registry ------------------------------------------------------------------------------- */

static void every_model_is_well_described(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct service_model *m = service_models; m->name; m++, n++) {
        assert_true(service_model_name_ok(m->name));
        assert_ptr_equal(service_model_find(m->name), m); /* no name twice */
        assert_true(m->bytes > 100000);
        assert_non_null(strchr(m->repository, '/'));
        assert_non_null(m->files[0].name);
        for (const struct service_model_file *f = m->files; f->name; f++)
            assert_true(!f->sha256 || service_is_hex(f->sha256, 64));
    }
    assert_true(n > 20);
    for (const struct service_model_alias *a = service_model_aliases; a->alias; a++)
        assert_string_equal(service_model_find(a->alias)->name, a->name);
    assert_null(service_model_find("nothing-such"));
}

static void expect_url(const char *name, const char *base, const char *path, const char *expected)
{
    char *url = service_model_url(service_model_find(name), base, path);
    assert_string_equal(url, expected);
    au_free(url);
}

static void addresses(void **state)
{
    (void)state;
    expect_url("tiny", NULL, "config.json",
               "https://huggingface.co/openai/whisper-tiny/resolve/main/config.json");
    expect_url("tiny", "http://mirror:8080/hub//", "config.json",
               "http://mirror:8080/hub/openai/whisper-tiny/resolve/main/config.json");
    expect_url("aasist-l", NULL, "models/weights/AASIST-L.pth",
               "https://raw.githubusercontent.com/clovaai/aasist/"
               "8ec3bf996b1e3591ee6371cc28980a74e5042136/models/weights/AASIST-L.pth");
    char host[64];
    assert_string_equal(service_fetch_host("https://a.b:1/c?d", host, sizeof host),
                        "https://a.b:1");
}

static void names_that_cannot_be(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",   "..",  ".hidden", "-x",
                                      "a/b", "a b", "a\n", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(service_model_name_ok(bad[i]));
    struct service_model model;
    assert_true(service_model_from_repository("some/where.1", &model));
    assert_string_equal(model.name, "where.1");
    assert_false(service_model_from_repository("no-slash", &model));
    assert_false(service_model_from_repository("a/b/c", &model));
    assert_false(service_model_from_repository("../b", &model));
    assert_false(service_model_from_repository("/b", &model));
}

/* ---- Digests -------------------------------------------------------------------------------- */

static bool stop_at_once(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    (void)done;
    (void)total;
    return true;
}

static void digests_of_files(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    struct service_digests digests;
    char *folder = au_test_scratch_folder();
    char *path = write_file(folder, "abc", "abc");
    assert_int_equal(service_digest_file(path, NULL, NULL, &digests, &fault), AURICLE_OK);
    assert_int_equal(digests.bytes, 3);
    assert_string_equal(digests.sha256, ABC);
    assert_string_equal(digests.git,
                        "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"); /* git hash-object */
    assert_int_equal(service_digest_file(path, stop_at_once, NULL, &digests, &fault),
                     AURICLE_E_CANCELLED);
    assert_int_equal(service_digest_file(folder, NULL, NULL, &digests, &fault), AURICLE_E_INVALID);
    au_free(path);
    path = write_file(folder, "empty", "");
    assert_int_equal(service_digest_file(path, NULL, NULL, &digests, &fault), AURICLE_OK);
    assert_string_equal(digests.git, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    au_free(path);
    au_test_scratch_remove(folder);
}

/* ---- Records -------------------------------------------------------------------------------- */

static void records_are_written_read_and_checked(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    struct service_sums sums = {0}, read = {0};
    char *folder = au_test_scratch_folder();
    char *file = write_file(folder, "abc", "abc"),
         *record = au_path_join(folder, SERVICE_SUMS_FILE);
    assert_int_equal(service_sums_add(&sums, "abc", ABC), AURICLE_OK);
    assert_int_equal(service_sums_write(&sums, record, &fault), AURICLE_OK);
    assert_int_equal(service_sums_find(folder, &read, &fault), AURICLE_OK);
    assert_int_equal(read.n, 1);
    assert_false(read.shared);
    assert_int_equal(service_sums_check(&read, NULL, NULL, &fault), AURICLE_OK);
    au_free(write_file(folder, "abc", "abd"));
    assert_int_equal(service_sums_check(&read, NULL, NULL, &fault), AURICLE_E_FORMAT);
    assert_non_null(strstr(fault.text, ABC));
    assert_non_null(strstr(fault.text, file));
    service_sums_deinit(&read);
    /* Beside another file of the folder, the same record counts for the file of that name alone. */
    assert_int_equal(service_sums_find(file, &read, &fault), AURICLE_OK);
    assert_int_equal(read.n, 1);
    assert_true(read.shared);
    service_sums_deinit(&read);
    service_sums_deinit(&sums);
    au_free(record);
    au_free(file);
    au_test_scratch_remove(folder);
}

static void lines_that_are_no_records(void **state)
{
    (void)state;
    static const char *const bad[] = {ABC,          ABC "  ",        ABC " abc",    ABC "  ../abc",
                                      ABC "  /abc", "x" ABC "  abc", "BA7816  abc", "\n\nnothing"};
    struct au_fault fault = {0};
    struct service_sums sums = {0};
    char *folder = au_test_scratch_folder();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        au_free(write_file(folder, SERVICE_SUMS_FILE, bad[i]));
        assert_int_equal(service_sums_find(folder, &sums, &fault), AURICLE_E_FORMAT);
        assert_int_equal(sums.n, 0);
    }
    au_free(write_file(folder, SERVICE_SUMS_FILE, ABC " *abc\n\n" ABC "  d/e\n"));
    assert_int_equal(service_sums_find(folder, &sums, &fault), AURICLE_OK);
    assert_int_equal(sums.n, 2);
    service_sums_deinit(&sums);
    au_test_scratch_remove(folder);
}

static void reading_records_without_memory(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    au_free(write_file(folder, SERVICE_SUMS_FILE, ABC "  abc\n" ABC "  def\n"));
    enum auricle_error error = AURICLE_E_NOMEM;
    for (uint64_t n = 0; error && n < 1000; n++) {
        struct service_sums sums = {0};
        au_mem_fail_at(n, false);
        error = service_sums_find(folder, &sums, NULL);
        au_mem_fail_never();
        service_sums_deinit(&sums);
        assert_true(error == AURICLE_OK || error == AURICLE_E_NOMEM);
    }
    assert_int_equal(error, AURICLE_OK);
    au_test_scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_well_described),
        cmocka_unit_test(addresses),
        cmocka_unit_test(names_that_cannot_be),
        cmocka_unit_test(digests_of_files),
        cmocka_unit_test(records_are_written_read_and_checked),
        cmocka_unit_test(lines_that_are_no_records),
        cmocka_unit_test(reading_records_without_memory),
    };
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
