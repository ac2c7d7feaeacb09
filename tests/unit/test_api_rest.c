/* Form fields: kept as they were sent, read by tables, refused with words. Statuses of errors. */
#include <string.h>

#include "api/api.h"
#include "api/rest/fields.h"
#include "support/support.h"

struct params {
    const char *text;
    struct rest_list list;
    int whole, choice;
    double number;
    bool flag;
};

#define AT(member) offsetof(struct params, member)
static const struct rest_param table[] = {
    {"text", REST_TEXT, AT(text), 0, 0, NULL},
    {"list", REST_LIST, AT(list), 0, 0, NULL},
    {"whole", REST_INT, AT(whole), -1, 5, NULL},
    {"number", REST_NUMBER, AT(number), 0, 1, NULL},
    {"flag", REST_BOOL, AT(flag), 0, 0, NULL},
    {"choice", REST_CHOICE, AT(choice), 0, 0, "one|two|twofold"},
    {"fixed", REST_FIXED, 0, 0, 0, "0|false"},
    {NULL, REST_TEXT, 0, 0, 0, NULL},
};

static void add(struct rest_fields *fields, const char *name, const char *value)
{
    struct au_fault fault = {0};
    au_test_ok(rest_fields_begin(fields, name, &fault), &fault);
    for (size_t i = 0; value[i]; i++) /* one byte at a time */
        au_test_ok(rest_fields_value(fields, value + i, 1, &fault), &fault);
    au_test_ok(rest_fields_end(fields, &fault), &fault);
}

static enum auricle_error read_one(const char *name, const char *value, struct params *params,
                                   struct rest_reject *reject)
{
    struct rest_fields fields;
    rest_fields_init(&fields);
    add(&fields, name, value);
    enum auricle_error error = rest_params_read(&fields, table, params, reject);
    rest_fields_deinit(&fields);
    return error;
}

static void every_kind_is_read(void **state)
{
    (void)state;
    struct rest_fields fields;
    struct params params = {.whole = 3};
    struct rest_reject reject = {.code = NULL};
    rest_fields_init(&fields);
    add(&fields, "text", "first");
    add(&fields, "text", "last");
    add(&fields, "list[]", "a");
    add(&fields, "list", "b");
    add(&fields, "whole", "-1");
    add(&fields, "number", "0.25");
    add(&fields, "flag", "True");
    add(&fields, "choice", "twofold");
    add(&fields, "fixed", "false");
    au_test_ok(rest_params_read(&fields, table, &params, &reject), &reject.fault);
    assert_string_equal(params.text, "last");
    assert_int_equal(params.list.n, 2);
    assert_string_equal(params.list.at[0], "a");
    assert_string_equal(params.list.at[1], "b");
    assert_int_equal(params.whole, -1);
    assert_true(params.number > 0.24 && params.number < 0.26);
    assert_true(params.flag);
    assert_int_equal(params.choice, 2);
    rest_fields_deinit(&fields);
}

static void an_empty_value_is_none(void **state)
{
    (void)state;
    struct params params = {.whole = 3, .choice = 1};
    struct rest_reject reject = {.code = NULL};
    au_test_ok(read_one("whole", "", &params, &reject), &reject.fault);
    au_test_ok(read_one("choice", "", &params, &reject), &reject.fault);
    assert_int_equal(params.whole, 3);
    assert_int_equal(params.choice, 1);
}

static void refusals_name_the_field_and_the_value(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *code;
    } cases[] = {
        {"whole", "6", "invalid_value"},
        {"whole", "2.5", "invalid_value"},
        {"whole", "12345678901234567890", "invalid_value"},
        {"number", "nan", "invalid_value"},
        {"number", "1.01", "invalid_value"},
        {"flag", "maybe", "invalid_value"},
        {"choice", "tw", "invalid_value"},
        {"choice", "one|two", "invalid_value"},
        {"fixed", "1", "unsupported_value"},
        {"colour", "red", "unknown_parameter"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct params params = {.whole = 0};
        struct rest_reject reject = {.code = NULL};
        assert_int_equal(read_one(cases[i].name, cases[i].value, &params, &reject),
                         AURICLE_E_INVALID);
        assert_string_equal(reject.param, cases[i].name);
        assert_string_equal(reject.code, cases[i].code);
        assert_non_null(strstr(reject.fault.text, cases[i].name));
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xff", "a\xc3"};
    struct rest_fields fields;
    struct au_fault fault = {0};
    rest_fields_init(&fields);
    for (size_t i = 0; i < 2; i++) {
        au_test_ok(rest_fields_begin(&fields, "text", &fault), &fault);
        au_test_ok(rest_fields_value(&fields, bad[i], strlen(bad[i]), &fault), &fault);
        assert_int_equal(rest_fields_end(&fields, &fault), AURICLE_E_INVALID);
    }
    au_test_ok(rest_fields_begin(&fields, "text", &fault), &fault);
    au_test_ok(rest_fields_value(&fields, "a\0b", 3, &fault), &fault);
    assert_int_equal(rest_fields_end(&fields, &fault), AURICLE_E_INVALID);
    rest_fields_deinit(&fields);
}

static void fields_are_limited(void **state)
{
    (void)state;
    static const char block[4096];
    struct rest_fields fields;
    struct au_fault fault = {0};
    enum auricle_error error = AURICLE_OK;
    rest_fields_init(&fields);
    for (size_t i = 0; i < REST_MAX_FIELDS; i++)
        add(&fields, "text", "x");
    assert_int_equal(rest_fields_begin(&fields, "text", &fault), AURICLE_E_LIMIT);
    rest_fields_deinit(&fields);
    rest_fields_init(&fields);
    au_test_ok(rest_fields_begin(&fields, "text", &fault), &fault);
    size_t taken = 0;
    while (!error && taken < (size_t)4 * REST_MAX_FIELD_BYTES) {
        error = rest_fields_value(&fields, block, sizeof(block), &fault);
        taken += sizeof(block);
    }
    assert_int_equal(error, AURICLE_E_LIMIT);
    assert_true(taken <= (size_t)REST_MAX_FIELD_BYTES + sizeof(block));
    rest_fields_deinit(&fields);
}

/* SDKs send a request again after 408, 409, 429 and 5xx. */
static void only_what_may_pass_is_worth_another_try(void **state)
{
    (void)state;
    static const struct {
        enum auricle_error error;
        int status;
        bool later;
    } cases[] = {
        {AURICLE_E_TIMEOUT, 422, false}, {AURICLE_E_LIMIT, 413, false},
        {AURICLE_E_FORMAT, 400, false},  {AURICLE_E_AGAIN, 503, true},
        {AURICLE_E_NOMEM, 503, true},    {AURICLE_E_STATE, 500, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct api_error error = api_error_of(cases[i].error, "a sentence");
        assert_int_equal(error.status, cases[i].status);
        assert_int_equal(error.retry_after > 0, cases[i].later);
        assert_string_equal(error.message, "a sentence");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(an_empty_value_is_none),
        cmocka_unit_test(refusals_name_the_field_and_the_value),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(fields_are_limited),
        cmocka_unit_test(only_what_may_pass_is_worth_another_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
