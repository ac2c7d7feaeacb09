/* Names of output files, the progress line, the search for models. */
#include "app/output.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/progress.h"
#include "base/file.h"
#include "base/utf8.h"
#include "service/registry/local.h"
#include "support/support.h"

/* ---- Names ----------------------------------------------------------------------------------- */

static void expect_names(const char *const *inputs, const char *const *expected, size_t n)
{
    char *names[16];
    assert_int_equal(app_output_names(inputs, n, names), AURICLE_OK);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(names[i], expected[i]);
        au_free(names[i]);
    }
}

static void names_are_stems(void **state)
{
    (void)state;
    static const char *const inputs[] = {"talk.mp3", "/a/b.c/x", "-", ".hidden", "a.tar.gz", "n."};
    static const char *const expected[] = {"talk", "x", "stdin", ".hidden", "a.tar", "n"};
    expect_names(inputs, expected, 6);
}

static void equal_stems_do_not_overwrite_each_other(void **state)
{
    (void)state;
    static const char *const inputs[] = {"talk.mp3",   "talk.wav",   "b/talk.wav",
                                         "c/talk.wav", "d/talk.mp3", "talk.wav-2.flac"};
    static const char *const expected[] = {"talk",       "talk.wav", "talk.wav-2",
                                           "talk.wav-3", "talk.mp3", "talk.wav-2.flac"};
    expect_names(inputs, expected, 6);
}

static void names_without_memory(void **state)
{
    (void)state;
    static const char *const inputs[] = {"talk.mp3", "talk.wav"};
    for (uint64_t n = 0; n < 3; n++) {
        char *names[2];
        au_mem_fail_at(n, true);
        enum auricle_error error = app_output_names(inputs, 2, names);
        au_mem_fail_never();
        assert_int_equal(error, AURICLE_E_NOMEM);
        assert_null(names[0]);
    }
}

static void output_folder_is_made_or_refused(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    char *inner = au_path_join(folder, "x/y"), *file = au_test_write(folder, "file", "1", 1);
    struct au_fault fault = {0};
    assert_int_equal(app_output_folder(inner, &fault), AURICLE_OK);
    assert_int_equal(app_output_folder(inner, &fault), AURICLE_OK);
    assert_true(au_file_is_dir(inner));
    assert_int_equal(app_output_folder(file, &fault), AURICLE_E_INVALID);
    assert_non_null(strstr(fault.text, file));
    assert_true(app_same_file(file, file));
    assert_false(app_same_file(file, inner));
    assert_false(app_same_file("/no/such", "/no/such"));
    au_free(inner);
    au_free(file);
    au_test_scratch_remove(folder);
}

/* ---- Progress -------------------------------------------------------------------------------- */

static void expect_line(const char *label, double done, double total, double elapsed, int columns,
                        const char *expected)
{
    struct au_buf line;
    au_buf_init(&line, 0);
    app_progress_line(&line, label, done, total, elapsed, columns);
    assert_string_equal(line.data, expected);
    au_buf_deinit(&line);
}

static void progress_says_how_far_how_fast_how_long(void **state)
{
    (void)state;
    expect_line("talk.mp3", 150, 600, 30, 80,
                "talk.mp3 [====>         ]  25 %  2:30 of 10:00  5.0x  1:30 left");
    expect_line("talk.mp3", 600, 600, 60, 60, "talk.mp3  100 %  10:00 of 10:00  10.0x  0:00 left");
    expect_line("-", 3725, -1, 100, 80, "-  1:02:05  37.2x");
    expect_line("a.wav", 30, 120, 10, 0, "a.wav   25 %  0:30 of 2:00  3.0x  0:30 left");
    expect_line("a.wav", 0, 100, 0, 80, "a.wav [>                   ]   0 %  0:00 of 1:40");
}

static void progress_of_bytes(void **state)
{
    (void)state;
    static const struct {
        double before, done, total;
        const char *expected;
    } cases[] = {
        {0, 65e6, 130e6, "model   50 %  65.0 of 130.0 MB  6.5 MB/s  0:10 left"},
        {60e6, 65e6, 70e6, "model   93 %  65.0 of 70.0 MB  0.5 MB/s  0:10 left"}, /* resumed */
        {65e6, 65e6, 130e6, "model   50 %  65.0 of 130.0 MB"},
        {0, 65e6, -1, "model  65.0 MB  6.5 MB/s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct au_buf line;
        au_buf_init(&line, 0);
        app_progress_bytes_line(&line, "model", cases[i].before, cases[i].done, cases[i].total, 10,
                                0);
        assert_string_equal(line.data, cases[i].expected);
        au_buf_deinit(&line);
    }
}

static size_t characters(const char *text)
{
    size_t n = 0, bytes = strlen(text);
    uint32_t c;
    for (size_t i = 0; i < bytes; n++)
        i += au_utf8_decode(text + i, bytes - i, &c);
    return n;
}

static void progress_fits_every_terminal(void **state)
{
    (void)state;
    static const double dones[] = {0, 1, 1e4, 1e9, -5, (double)NAN, (double)INFINITY};
    for (int columns = 1; columns < 200; columns++)
        for (size_t i = 0; i < 7; i++)
            for (size_t k = 0; k < 7; k++) {
                struct au_buf line;
                au_buf_init(&line, 0);
                app_progress_line(&line, "ein sehr langer Name mit ö und \x01\x1b[31m.flac",
                                  dones[i], dones[k], 17, columns);
                assert_int_equal(line.error, AURICLE_OK);
                assert_true(characters(line.data) <= (size_t)columns);
                assert_null(strchr(line.data, '\x1b'));
                au_buf_deinit(&line);
            }
}

/* ---- Models ---------------------------------------------------------------------------------- */

static char *model_folder(void)
{
    char *folder = au_test_scratch_folder();
    char *inner = au_path_join(folder, "nano");
    assert_int_equal(mkdir(inner, 0700), 0);
    au_free(au_test_write(inner, "config.json", "{}", 2));
    au_free(au_test_write(inner, "model.safetensors", "12345678", 8));
    au_free(inner);
    au_free(au_test_write(folder, "ggml-base.en.bin", "123", 3));
    au_free(au_test_write(folder, "tiny.pt", "1", 1));
    au_free(au_test_write(folder, "notes.md", "1", 1));
    return folder;
}

static void expect_model(const struct service_model_folders *folders, const char *name,
                         const char *file)
{
    char *path = NULL;
    struct au_fault fault = {0};
    if (service_local_find(folders, name, &path, &fault) != AURICLE_OK)
        fail_msg("%s", fault.text);
    assert_string_equal(au_path_name(path), file);
    au_free(path);
}

static void models_are_found_by_name_and_by_path(void **state)
{
    (void)state;
    char *folder = model_folder(), *path = au_path_join(folder, "tiny.pt");
    struct service_model_folders folders;
    assert_int_equal(service_model_folders_init(folder, &folders), AURICLE_OK);
    assert_string_equal(folders.at[0], folder);
    expect_model(&folders, "nano", "nano");
    expect_model(&folders, "base.en", "ggml-base.en.bin");
    expect_model(&folders, "ggml-base.en.bin", "ggml-base.en.bin");
    expect_model(&folders, "tiny", "tiny.pt");
    expect_model(&folders, path, "tiny.pt");
    service_model_folders_deinit(&folders);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void unknown_models_are_explained(void **state)
{
    (void)state;
    char *folder = model_folder(), *path = NULL;
    struct service_model_folders folders;
    struct au_fault fault = {0};
    assert_int_equal(service_model_folders_init(folder, &folders), AURICLE_OK);
    assert_int_equal(service_local_find(&folders, "base.ne", &path, &fault), AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "\"base.ne\": did you mean base.en?"));
    assert_non_null(strstr(fault.text, "base.en, nano, tiny"));
    assert_non_null(strstr(fault.text, folder));
    assert_int_equal(service_local_find(&folders, "/no/such", &path, &fault), AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "/no/such"));
    assert_int_equal(service_local_find(&folders, "", &path, &fault), AURICLE_E_NOT_FOUND);
    assert_null(path);
    service_model_folders_deinit(&folders);
    au_test_scratch_remove(folder);
}

static void the_default_is_the_best_small_one(void **state)
{
    (void)state;
    char *folder = model_folder(), *path = NULL;
    bool bundled = true;
    struct service_model_folders folders = {.at = {folder}, .n = 1};
    static const struct {
        const char *file; /* the best one left */
        bool multilingual;
    } expected[] = {{"tiny.pt", false},      {"large-v3.bin", true},
                    {"medium.bin", true},    {"ggml-base.en.bin", false},
                    {"medium.en.pt", false}, {"distil-large-v2.pt", false},
                    {"nano", true}};
    au_free(au_test_write(folder, "medium.bin", "12345", 5));
    au_free(au_test_write(folder, "large-v3.bin", "1234", 4)); /* the smaller of the two */
    au_free(au_test_write(folder, "medium.en.pt", "12", 2));
    au_free(au_test_write(folder, "distil-large-v2.pt", "123", 3));
    au_free(au_test_write(folder, "aasist.bin", "1", 1)); /* writes no words */
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        bool last = i + 1 == sizeof expected / sizeof expected[0];
        assert_int_equal(service_local_find_default(&folders, false, &path, &bundled, NULL),
                         AURICLE_OK);
        assert_string_equal(au_path_name(path), expected[i].file);
        assert_int_equal(bundled, last);
        char *other = NULL;
        assert_int_equal(service_local_find_default(&folders, true, &other, &bundled, NULL),
                         AURICLE_OK);
        assert_string_equal(au_path_name(other), expected[i].multilingual ? expected[i].file
                                                 : i == 0                 ? "tiny.pt"
                                                                          : "nano");
        au_free(other);
        if (!last)
            assert_int_equal(unlink(path), 0);
        au_free(path);
    }
    au_test_scratch_remove(folder);
}

static void models_are_listed_with_their_sizes(void **state)
{
    (void)state;
    char *folder = model_folder();
    struct service_model_folders folders = {.at = {folder}, .n = 1};
    struct service_local_list list;
    assert_int_equal(service_local_list_init(&folders, &list), AURICLE_OK);
    assert_int_equal(list.n, 3);
    assert_string_equal(list.entries[0].name, "base.en");
    assert_int_equal(list.entries[0].bytes, 3);
    assert_string_equal(list.entries[1].name, "nano");
    assert_int_equal(list.entries[1].bytes, 10);
    assert_string_equal(list.entries[2].name, "tiny");
    service_local_list_deinit(&list);
    au_test_scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_stems),
        cmocka_unit_test(equal_stems_do_not_overwrite_each_other),
        cmocka_unit_test(names_without_memory),
        cmocka_unit_test(output_folder_is_made_or_refused),
        cmocka_unit_test(progress_says_how_far_how_fast_how_long),
        cmocka_unit_test(progress_of_bytes),
        cmocka_unit_test(progress_fits_every_terminal),
        cmocka_unit_test(models_are_found_by_name_and_by_path),
        cmocka_unit_test(unknown_models_are_explained),
        cmocka_unit_test(the_default_is_the_best_small_one),
        cmocka_unit_test(models_are_listed_with_their_sizes),
    };
    return cmocka_run_group_tests_name("app_output", tests, NULL, NULL);
}
