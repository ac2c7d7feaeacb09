/* Settings from the environment and from a configuration file. */
#include "service/settings/settings.h"

#include "support/support.h"

static const char *nothing(const char *name)
{
    (void)name;
    return NULL;
}

static const char *environment(const char *name)
{
    if (strcmp(name, "LOG_LEVEL") == 0)
        return "debug";
    return strcmp(name, "MAX_CONCURRENT_JOBS") == 0 ? "1GB"
           : strcmp(name, "MODEL_PATH")             ? NULL
                                                    : "";
}

static char *config(char *folder, const char *text)
{
    return au_test_write(folder, "auricle.conf", text, strlen(text));
}

static void file_is_read(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    char *path = config(folder, "# a comment\n\n"
                                "MODEL_PATH=/models/base\r\n"
                                "  OMP_NUM_THREADS = 4  \n"
                                "export LOG_LEVEL='info'\n"
                                "AURICLE_MODELS=\"/a b:/c=d\"\n"
                                "AUDIO_OPTIMIZATION=");
    struct service_settings settings;
    const char *origin = NULL;
    assert_int_equal(service_settings_load(path, nothing, &settings, NULL), AURICLE_OK);
    assert_string_equal(service_settings_get(&settings, "MODEL_PATH", &origin), "/models/base");
    assert_non_null(strstr(origin, "auricle.conf:3"));
    assert_string_equal(service_settings_get(&settings, "OMP_NUM_THREADS", NULL), "4");
    assert_string_equal(service_settings_get(&settings, "LOG_LEVEL", NULL), "info");
    assert_string_equal(service_settings_get(&settings, "AURICLE_MODELS", NULL), "/a b:/c=d");
    assert_null(service_settings_get(&settings, "AUDIO_OPTIMIZATION", NULL));
    assert_null(service_settings_get(&settings, "NO_SUCH_NAME", NULL));
    assert_int_equal(settings.warnings.len, 0);
    service_settings_deinit(&settings);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void comments_begin_after_white_space(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    char *path = config(folder, "LOG_LEVEL = debug # more than usual\n"
                                "MODEL_PATH=/models/a#b\t# a name with it # and more\n"
                                "AURICLE_MODELS=\"/a # b:/c\" # quoted\n"
                                "AURICLE_CACHE='/x #y'\n"
                                "AURICLE_HOST= # nothing\n"
                                "API_KEYS_FILE=#1\n"
                                "LOG_FORMAT=\"text # an open quote\n");
    struct service_settings settings;
    assert_int_equal(service_settings_load(path, nothing, &settings, NULL), AURICLE_OK);
    assert_string_equal(service_settings_get(&settings, "LOG_LEVEL", NULL), "debug");
    assert_string_equal(service_settings_get(&settings, "MODEL_PATH", NULL), "/models/a#b");
    assert_string_equal(service_settings_get(&settings, "AURICLE_MODELS", NULL), "/a # b:/c");
    assert_string_equal(service_settings_get(&settings, "AURICLE_CACHE", NULL), "/x #y");
    assert_null(service_settings_get(&settings, "AURICLE_HOST", NULL));
    assert_string_equal(service_settings_get(&settings, "API_KEYS_FILE", NULL), "#1");
    assert_string_equal(service_settings_get(&settings, "LOG_FORMAT", NULL), "\"text");
    service_settings_deinit(&settings);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void environment_goes_over_file_and_empty_is_unset(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    char *path = config(folder, "LOG_LEVEL=error\nMODEL_PATH=base\n");
    struct service_settings settings;
    const char *origin = NULL;
    assert_int_equal(service_settings_load(path, environment, &settings, NULL), AURICLE_OK);
    assert_string_equal(service_settings_get(&settings, "LOG_LEVEL", &origin), "debug");
    assert_string_equal(origin, "environment");
    assert_string_equal(service_settings_get(&settings, "MODEL_PATH", NULL), "base");
    service_settings_deinit(&settings);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void parts_that_are_absent_and_unknown_names_are_warned_of(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    char *path = config(folder, "CUDA_VISIBLE_DEVICES=0\nOPM_NUM_THREADS=2\n");
    struct service_settings settings;
    assert_int_equal(service_settings_load(path, environment, &settings, NULL), AURICLE_OK);
    const char *warnings = settings.warnings.data;
    assert_non_null(
        strstr(warnings, "MAX_CONCURRENT_JOBS (environment) has no effect: the job queue"));
    assert_non_null(strstr(warnings, "CUDA_VISIBLE_DEVICES ("));
    assert_non_null(strstr(warnings, "auricle.conf:2: no setting has the name OPM_NUM_THREADS"));
    service_settings_deinit(&settings);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    struct service_settings settings;
    struct au_fault fault = {0};
    char *path = config(folder, "LOG_LEVEL=info\njust words\n");
    assert_int_equal(service_settings_load(path, nothing, &settings, &fault), AURICLE_E_INVALID);
    assert_non_null(strstr(fault.text, "auricle.conf:2"));
    assert_non_null(strstr(fault.text, "just words"));
    au_free(path);

    path = au_test_write(folder, "binary", "A\0B=C\n", 6);
    assert_int_equal(service_settings_load(path, nothing, &settings, &fault), AURICLE_E_INVALID);
    assert_non_null(strstr(fault.text, "zero bytes"));
    au_free(path);

    assert_int_equal(service_settings_load("/no/such/file", nothing, &settings, &fault),
                     AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "/no/such/file"));
    au_test_scratch_remove(folder);
}

static void every_known_name_has_a_help_or_a_part(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct service_setting *s; (s = service_settings_known(n)); n++)
        assert_true((s->part != NULL) != (s->help != NULL));
    assert_true(n >= 19);
}

static void without_memory_nothing_leaks(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 4; n++) {
        struct service_settings settings;
        struct au_fault fault = {0};
        au_mem_fail_at(n, true);
        enum auricle_error error = service_settings_load(NULL, environment, &settings, &fault);
        au_mem_fail_never();
        if (error)
            assert_int_equal(error, AURICLE_E_NOMEM);
        else
            service_settings_deinit(&settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_read),
        cmocka_unit_test(comments_begin_after_white_space),
        cmocka_unit_test(environment_goes_over_file_and_empty_is_unset),
        cmocka_unit_test(parts_that_are_absent_and_unknown_names_are_warned_of),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(every_known_name_has_a_help_or_a_part),
        cmocka_unit_test(without_memory_nothing_leaks),
    };
    return cmocka_run_group_tests_name("app_settings", tests, NULL, NULL);
}
