/* Folders: which file is taken, shards, and what a folder without weights is told. */
#include "test_format.h"

#include "base/file.h"

/* One f32 tensor of one element. */
static void write_single(const char *folder, const char *file_name, const char *tensor, float value)
{
    struct au_buf file, header;
    au_buf_init(&file, 0);
    au_buf_init(&header, 0);
    au_buf_printf(&header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                  tensor);
    put_u64(&file, header.len);
    put_bytes(&file, header.data, header.len);
    put_f32(&file, value);
    au_free(au_test_write(folder, file_name, file.data, file.len));
    au_buf_deinit(&header);
    au_buf_deinit(&file);
}

static void assert_folder_refused(const char *path, enum auricle_error error, const char *part)
{
    struct format_weights *weights = NULL;
    struct au_fault fault = {0};
    enum auricle_error got = format_weights_open(path, &weights, &fault);
    if (got != error || !strstr(fault.text, part))
        fail_msg("expected %s with '%s', got %s: %s", auricle_error_name(error), part,
                 auricle_error_name(got), fault.text);
    assert_null(weights);
    if (!strstr(fault.text, path))
        fail_msg("the sentence does not name %s: %s", path, fault.text);
}

static void a_file_and_the_folder_it_lies_in_open_alike(void **state)
{
    (void)state;
    struct format_weights *weights;
    struct au_fault fault = {0};
    char *folder = au_test_scratch_folder();
    write_single(folder, "model.safetensors", "x", 3.0f);
    assert_int_equal(format_weights_open(folder, &weights, &fault), AURICLE_OK);
    assert_string_equal(format_weights_path(weights), folder);
    assert_true(element(weights, "x", 0) == 3.0f);
    format_weights_close(weights);

    char *path = au_path_join(folder, "model.safetensors");
    assert_int_equal(format_weights_open(path, &weights, &fault), AURICLE_OK);
    assert_string_equal(format_weights_path(weights), path);
    format_weights_close(weights);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void shards_are_opened_once_each_and_checked_against_the_index(void **state)
{
    (void)state;
    struct format_weights *weights;
    struct au_fault fault = {0};
    char *folder = au_test_scratch_folder();
    write_single(folder, "model-00001-of-00002.safetensors", "x", 1.0f);
    write_single(folder, "model-00002-of-00002.safetensors", "y", 2.0f);
    write_text(folder, "model.safetensors.index.json",
               "{\"metadata\":{},\"weight_map\":{\"x\":\"model-00001-of-00002.safetensors\","
               "\"y\":\"model-00002-of-00002.safetensors\"}}");
    assert_int_equal(format_weights_open(folder, &weights, &fault), AURICLE_OK);
    assert_int_equal(format_weights_count(weights), 2);
    assert_true(element(weights, "x", 0) == 1.0f);
    assert_true(element(weights, "y", 0) == 2.0f);
    format_weights_close(weights);

    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\":{\"x\":\"model-00001-of-00002.safetensors\","
               "\"z\":\"model-00001-of-00002.safetensors\"}}");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "'z'");

    write_single(folder, "model-00002-of-00002.safetensors", "x", 2.0f);
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\":{\"x\":\"model-00001-of-00002.safetensors\","
               "\"y\":\"model-00002-of-00002.safetensors\"}}");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "twice");
    au_test_scratch_remove(folder);
}

static void shard_names_cannot_leave_the_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"\"../model.safetensors\"",
                                        "\"/etc/passwd\"",
                                        "\"sub/model.safetensors\"",
                                        "\"..\"",
                                        "\".hidden\"",
                                        "\"\"",
                                        "\"a\\\\b\"",
                                        "7",
                                        "null",
                                        "[]"};
    struct au_buf text;
    char *folder = au_test_scratch_folder();
    au_buf_init(&text, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        au_buf_clear(&text);
        au_buf_printf(&text, "{\"weight_map\":{\"x\":%s}}", names[i]);
        write_text(folder, "model.safetensors.index.json", text.data);
        assert_folder_refused(folder, AURICLE_E_FORMAT, "not a file name");
    }
    au_buf_deinit(&text);
    au_test_scratch_remove(folder);
}

static void a_bad_index_is_refused(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    write_text(folder, "model.safetensors.index.json", "{\"weight_map\":");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "index.json");
    write_text(folder, "model.safetensors.index.json", "{}");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "weight_map");
    write_text(folder, "model.safetensors.index.json", "{\"weight_map\":{}}");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "weight_map");
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\":{\"x\":\"missing.safetensors\"}}");
    assert_folder_refused(folder, AURICLE_E_NOT_FOUND, "missing.safetensors");
    au_test_scratch_remove(folder);
}

static void a_folder_without_weights_is_told_what_is_expected(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    assert_folder_refused(folder, AURICLE_E_NOT_FOUND, "model.safetensors");
    write_text(folder, "tf_model.h5", "x");
    assert_folder_refused(folder, AURICLE_E_UNSUPPORTED, "tf_model.h5");
    write_text(folder, "model.safetensors", "");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "model.safetensors");
    write_text(folder, "model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    assert_folder_refused(folder, AURICLE_E_FORMAT, "git lfs pull");
    char *missing = au_path_join(folder, "none.safetensors");
    assert_folder_refused(missing, AURICLE_E_NOT_FOUND, "none.safetensors");
    au_free(missing);
    au_test_scratch_remove(folder);
}

static enum auricle_error open_folder_attempt(void *folder)
{
    struct format_weights *weights = NULL;
    struct au_fault fault = {0};
    enum auricle_error error = format_weights_open(folder, &weights, &fault);
    format_weights_close(weights);
    return error;
}

static void failing_memory_while_opening_a_folder(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    write_single(folder, "a.safetensors", "x", 1.0f);
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\":{\"x\":\"a.safetensors\"}}");
    au_test_fail_each_allocation(open_folder_attempt, folder, 10000);
    au_test_scratch_remove(folder);
}

int test_format_folder(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_and_the_folder_it_lies_in_open_alike),
        cmocka_unit_test(shards_are_opened_once_each_and_checked_against_the_index),
        cmocka_unit_test(shard_names_cannot_leave_the_folder),
        cmocka_unit_test(a_bad_index_is_refused),
        cmocka_unit_test(a_folder_without_weights_is_told_what_is_expected),
        cmocka_unit_test(failing_memory_while_opening_a_folder),
    };
    return cmocka_run_group_tests_name("format: folders", tests, NULL, NULL);
}
