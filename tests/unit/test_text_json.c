/* Tests of the walker that vocabularies are read with: what it accepts, what it refuses, and
 * that it reads the same as the document reader.                                                 */
#include "support/support.h"

#include "base/json.h"
#include "text/json_scan.h"

/* Walk over everything with enter, key, item and the value readers; numbers and strings are
 * counted. */
static void walk(struct text_json_scan *scan, int depth, size_t *n_values)
{
    (*n_values)++;
    const char first = text_json_peek(scan);
    if (first == '{' && depth < 20) {
        text_json_enter(scan, '{');
        while (text_json_next_key(scan))
            walk(scan, depth + 1, n_values);
    } else if (first == '[' && depth < 20) {
        text_json_enter(scan, '[');
        while (text_json_next_item(scan))
            walk(scan, depth + 1, n_values);
    } else if (first == '"') {
        text_json_string(scan);
    } else {
        text_json_skip(scan);
    }
}

static enum auricle_error walked(const char *text, size_t n, size_t *n_values)
{
    struct text_json_scan scan;
    struct au_fault fault = {0};
    *n_values = 0;
    text_json_scan_init(&scan, text, n);
    walk(&scan, 0, n_values);
    const enum auricle_error error = text_json_scan_result(&scan, &fault);
    assert_true((error == AURICLE_OK) == (fault.text[0] == '\0'));
    text_json_scan_deinit(&scan);
    return error;
}

static size_t count_values(const struct au_json *value)
{
    size_t n = 1;
    if (au_json_type(value) == AU_JSON_OBJECT) {
        for (size_t i = 0; i < au_json_size(value); i++)
            n += count_values(au_json_member(value, i, NULL));
    } else if (au_json_type(value) == AU_JSON_ARRAY) {
        for (size_t i = 0; i < au_json_size(value); i++)
            n += count_values(au_json_item(value, i));
    }
    return n;
}

static void good_documents_are_walked(void **state)
{
    (void)state;
    static const char *const GOOD[] = {
        "{}",
        " [ ] ",
        "[1,-2,3.5e7,true,false,null]",
        "{\"a\":{\"b\":[{},[[]],\"\"]},\"c\":0}",
        "\"\\u00e9\\ud83d\\ude00\\n\\\\\\\"\"",
        "[[[[[[1]]]]],\"]\",\"}\",\"\\\"\"]",
        "-7",
        "{\"\xC3\xA9\":\"\xE4\xBD\xA0\"}",
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct au_json *document = NULL;
        struct au_fault fault = {0};
        size_t n_values;
        au_test_ok(au_json_parse(GOOD[i], strlen(GOOD[i]), "x", &document, &fault), &fault);
        assert_int_equal(walked(GOOD[i], strlen(GOOD[i]), &n_values), AURICLE_OK);
        assert_int_equal(n_values, count_values(document));
        au_json_free(document);
    }
}

static void bad_documents_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "[1",
        "[1,",
        "[1 2]",
        "[,1]",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:2}",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "[1]]",
        "1 1",
        "[\"\xFF\"]",
        "@",
        "{}{}",
        "[1}",
        "\\",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        size_t n_values;
        if (walked(BAD[i], strlen(BAD[i]), &n_values) != AURICLE_E_FORMAT)
            fail_msg("\"%s\" was taken for JSON", BAD[i]);
    }
}

static void escapes_are_undone(void **state)
{
    (void)state;
    static const char TEXT[] = "{\"\\u0120a\\/\":\"\\ud83d\\ude00\\t\\u00E9\"}";
    struct text_json_scan scan;
    text_json_scan_init(&scan, TEXT, sizeof TEXT - 1);
    assert_true(text_json_enter(&scan, '{'));
    assert_true(text_json_next_key(&scan));
    assert_string_equal(scan.string.data, "\xC4\xA0"
                                          "a/");
    assert_true(text_json_string(&scan));
    assert_string_equal(scan.string.data, "\xF0\x9F\x98\x80\t\xC3\xA9");
    assert_false(text_json_next_key(&scan));
    assert_int_equal(text_json_scan_result(&scan, NULL), AURICLE_OK);
    text_json_scan_deinit(&scan);
}

static void integers_and_what_is_none(void **state)
{
    (void)state;
    static const char TEXT[] = "[0, 51865, -3, 1.5, 1e3, \"7\", null, 9999999999999999999, [1], -]";
    static const int64_t WANT[] = {0, 51865, -3, -9, -9, -9, -9, -9, -9, -9};
    struct text_json_scan scan;
    size_t n = 0;
    text_json_scan_init(&scan, TEXT, sizeof TEXT - 1);
    text_json_enter(&scan, '[');
    for (; text_json_next_item(&scan); n++)
        assert_int_equal(text_json_integer(&scan, -9), WANT[n]);
    assert_int_equal(n, 10);
    assert_int_equal(text_json_scan_result(&scan, NULL), AURICLE_OK);
    text_json_scan_deinit(&scan);
}

/* Every prefix of a document is refused, and a million brackets are no recursion. */
static void cut_and_deep_documents(void **state)
{
    (void)state;
    static const char WHOLE[] = "{\"model\":{\"vocab\":{\"a\\u0120\":0},\"x\":[1,\"]\",null]}}";
    enum { DEEP = 1 << 20 };
    size_t n_values;
    for (size_t n = 0; n < sizeof WHOLE - 1; n++)
        assert_int_equal(walked(WHOLE, n, &n_values), AURICLE_E_FORMAT);
    assert_int_equal(walked(WHOLE, sizeof WHOLE - 1, &n_values), AURICLE_OK);
    char *deep = au_alloc(2 * DEEP);
    memset(deep, '[', DEEP);
    memset(deep + DEEP, ']', DEEP);
    assert_int_equal(walked(deep, 2 * DEEP, &n_values), AURICLE_OK);
    assert_int_equal(walked(deep, 2 * DEEP - 1, &n_values), AURICLE_E_FORMAT);
    au_free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_documents_are_walked), cmocka_unit_test(bad_documents_are_refused),
        cmocka_unit_test(escapes_are_undone),        cmocka_unit_test(integers_and_what_is_none),
        cmocka_unit_test(cut_and_deep_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
