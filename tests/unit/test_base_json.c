/* Unit tests of the JSON reader and writer. */
#include "support/support.h"

#include <float.h>
#include <math.h>

#include "base/buf.h"
#include "base/json.h"

static struct au_json *parse(const char *text)
{
    struct au_json *doc = NULL;
    struct au_fault fault = {0};
    au_test_ok(au_json_parse(text, strlen(text), "test", &doc, &fault), &fault);
    return doc;
}

static void check_refused(const char *text, size_t n, enum auricle_error expected)
{
    struct au_json *doc = NULL;
    struct au_fault fault = {0};
    enum auricle_error e = au_json_parse(text, n, "doc", &doc, &fault);
    if (e != expected)
        fail_msg("%.60s: %s, expected %s", text, auricle_error_name(e),
                 auricle_error_name(expected));
    assert_null(doc);
    assert_int_equal(strncmp(fault.text, "doc: ", 5), 0);
}

/* ---- Reader ---------------------------------------------------------------------------------- */

static void reader_gives_typed_values(void **state)
{
    (void)state;
    struct au_json *doc = parse(
        "{\"i\": -3, \"r\": 2.0, \"f\": 1.5, \"s\": \"h\\u00e9\", \"t\": true,"
        " \"n\": null, \"a\": [1, [2], {}], \"o\": {\"x\": \"y\"}}");
    assert_int_equal(au_json_type(doc), AU_JSON_OBJECT);
    assert_int_equal(au_json_size(doc), 8);
    assert_int_equal(au_json_int(au_json_get(doc, "i"), 9), -3);
    assert_int_equal(au_json_int(au_json_get(doc, "r"), 9), 2);
    assert_int_equal(au_json_int(au_json_get(doc, "f"), 9), 9);
    assert_true(au_json_number(au_json_get(doc, "f"), 0) == 1.5);
    assert_true(au_json_number(au_json_get(doc, "i"), 0) == -3);
    assert_string_equal(au_json_string(au_json_get(doc, "s"), ""), "hé");
    assert_int_equal(au_json_string_bytes(au_json_get(doc, "s")), 3);
    assert_true(au_json_bool(au_json_get(doc, "t"), false));
    assert_int_equal(au_json_type(au_json_get(doc, "n")), AU_JSON_NULL);
    const struct au_json *a = au_json_get(doc, "a");
    assert_int_equal(au_json_size(a), 3);
    assert_int_equal(au_json_int(au_json_item(au_json_item(a, 1), 0), 0), 2);
    assert_int_equal(au_json_size(au_json_item(a, 2)), 0);
    assert_string_equal(au_json_string(au_json_get(au_json_get(doc, "o"), "x"), ""), "y");
    au_json_free(doc);
}

static void absent_and_wrong_types_give_the_fallback(void **state)
{
    (void)state;
    struct au_json *doc = parse("{\"s\": \"text\", \"big\": 1e300}");
    const struct au_json *absent = au_json_get(doc, "nothing"), *s = au_json_get(doc, "s");
    assert_null(absent);
    assert_int_equal(au_json_type(absent), AU_JSON_ABSENT);
    assert_null(au_json_get(absent, "x"));
    assert_null(au_json_get(s, "x"));
    assert_null(au_json_item(s, 0));
    assert_null(au_json_item(doc, 0));
    assert_null(au_json_member(doc, 2, NULL));
    assert_int_equal(au_json_size(s), 0);
    assert_int_equal(au_json_int(s, 7), 7);
    assert_int_equal(au_json_int(au_json_get(doc, "big"), 7), 7);
    assert_true(au_json_number(s, 0.5) == 0.5);
    assert_true(au_json_bool(absent, true));
    assert_null(au_json_string(absent, NULL));
    assert_int_equal(au_json_string_bytes(absent), 0);
    au_json_free(doc);
    au_json_free(NULL);
}

static void large_objects_are_ordered_and_searchable(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct au_buf buf;
    au_buf_init(&buf, 0);
    au_buf_putc(&buf, '{');
    for (int i = 0; i < N; i++)
        au_buf_printf(&buf, "%s\"k%d\": %d", i ? "," : "", i * 7919 % N, i);
    au_buf_putc(&buf, '}');
    struct au_json *doc = parse(buf.data);
    assert_int_equal(au_json_size(doc), N);
    for (int i = 0; i < N; i++) {
        char expected[16];
        const char *key = NULL;
        snprintf(expected, sizeof expected, "k%d", i * 7919 % N);
        assert_int_equal(au_json_int(au_json_member(doc, (size_t)i, &key), -1), i);
        assert_string_equal(key, expected);
        assert_int_equal(au_json_int(au_json_get(doc, expected), -1), i);
    }
    au_json_free(doc);
    au_buf_deinit(&buf);
}

static void last_of_equal_keys_wins(void **state)
{
    (void)state;
    struct au_json *doc = parse("{\"a\": 1, \"b\": 2, \"a\": 3}");
    assert_int_equal(au_json_size(doc), 2);
    assert_int_equal(au_json_int(au_json_get(doc, "a"), 0), 3);
    au_json_free(doc);
}

static void damaged_documents_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       "{",        "[1,]",        "{\"a\"}", "{\"a\":1,}",    "nul",
        "01",     "1 2",      "\"a",         "\"\\x\"", "[1] x",         "\"\xff\"",
        "{a: 1}", "'a'",      "\"\\ud800\"", "+1",      "1e999",         "99999999999999999999",
        "// c",   "\"\x01\"", "[",           "]",       "\"a\\u0000b\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_refused(bad[i], strlen(bad[i]), AURICLE_E_FORMAT);
    check_refused("\"a\0b\"", 5, AURICLE_E_FORMAT);
    struct au_fault fault = {0};
    struct au_json *doc;
    assert_int_equal(au_json_parse("{\n \"a\": x}", 10, "c.json", &doc, &fault), AURICLE_E_FORMAT);
    assert_non_null(strstr(fault.text, "c.json: not valid JSON at line 2, column "));
}

static void every_prefix_of_a_document_is_refused(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, 2.5, \"\\u00e9\\n\", true, null], \"b\": {\"c\": {}}}";
    for (size_t n = 0; n + 1 < sizeof text; n++)
        if (n < sizeof text - 1)
            check_refused(text, n, AURICLE_E_FORMAT);
    struct au_json *doc = parse(text);
    au_json_free(doc);
}

static void depth_is_limited(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *text = au_alloc(2 * N);
    memset(text, '[', N);
    memset(text + N, ']', N);
    check_refused(text, N, AURICLE_E_LIMIT);
    check_refused(text, 2 * N, AURICLE_E_LIMIT);
    for (size_t i = 0; i < N; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    check_refused(text, N, AURICLE_E_LIMIT);
    struct au_json *doc = NULL;
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    au_test_ok(au_json_parse(text, 200, "x", &doc, NULL), NULL);
    au_json_free(doc);
    doc = parse("\"[[[[\\\"[[[\""); /* brackets in strings do not count */
    au_json_free(doc);
    au_free(text);
}

static enum auricle_error parse_sample(void *context)
{
    struct au_json *doc = NULL;
    enum auricle_error e = au_json_parse(context, strlen(context), "x", &doc, NULL);
    au_json_free(doc);
    return e;
}

static void reader_survives_every_allocation_failure(void **state)
{
    (void)state;
    char text[] = "{\"a\": [1, 2.5, \"x\"], \"b\": {\"c\": true}}";
    assert_true(au_test_fail_each_allocation(parse_sample, text, 100) > 4);
}

static void files_are_read_with_a_limit(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    char *path = au_test_write(folder, "a.json", "{\"a\": 1}", 8);
    struct au_fault fault = {0};
    struct au_json *doc = NULL;
    au_test_ok(au_json_read(path, 8, &doc, &fault), &fault);
    assert_int_equal(au_json_int(au_json_get(doc, "a"), 0), 1);
    au_json_free(doc);
    assert_int_equal(au_json_read(path, 7, &doc, &fault), AURICLE_E_LIMIT);
    au_free(path);
    au_test_scratch_remove(folder);
}

/* ---- Writer ---------------------------------------------------------------------------------- */

static void writer_nests_and_indents(void **state)
{
    (void)state;
    struct au_buf buf;
    struct au_json_writer w;
    for (int indent = 0; indent <= 2; indent += 2) {
        au_buf_init(&buf, 0);
        au_json_writer_init(&w, &buf, indent);
        au_json_open_object(&w);
        au_json_key(&w, "a");
        au_json_open_array(&w);
        au_json_put_int(&w, INT64_MIN);
        au_json_put_bool(&w, true);
        au_json_put_null(&w);
        au_json_open_object(&w);
        au_json_close_object(&w);
        au_json_close_array(&w);
        au_json_key(&w, "b");
        au_json_open_array(&w);
        au_json_close_array(&w);
        au_json_key(&w, "c");
        au_json_put_fixed(&w, 1.005, 2);
        au_json_close_object(&w);
        assert_int_equal(buf.error, AURICLE_OK);
        assert_string_equal(
            buf.data, indent ? "{\n  \"a\": [\n    -9223372036854775808,\n    true,\n    null,\n"
                               "    {}\n  ],\n  \"b\": [],\n  \"c\": 1.00\n}"
                             : "{\"a\": [-9223372036854775808, true, null, {}], \"b\": [], "
                               "\"c\": 1.00}");
        au_json_free(parse(buf.data));
        au_buf_deinit(&buf);
    }
}

static void check_string(const char *text, size_t n, const char *expected)
{
    struct au_buf buf;
    struct au_json_writer w;
    au_buf_init(&buf, 0);
    au_json_writer_init(&w, &buf, 0);
    au_json_put_string_n(&w, text, n);
    assert_string_equal(buf.data, expected);
    au_json_free(parse(buf.data));
    au_buf_deinit(&buf);
}

static void writer_escapes_strings(void **state)
{
    (void)state;
    check_string("a\"b\\c/\n\r\t\b\f", 11, "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\"");
    check_string("\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\"");
    check_string("é日😀", 9, "\"é日😀\"");
    check_string("a\xff"
                 "b\xe6\x97",
                 5,
                 "\"a\xEF\xBF\xBD"
                 "b\xEF\xBF\xBD\"");
    check_string("\xed\xa0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    check_string("\xEF\xBF\xBD", 3, "\"\xEF\xBF\xBD\"");
    check_string("", 0, "\"\"");
}

static void check_number(double value, const char *expected)
{
    struct au_buf buf;
    struct au_json_writer w;
    au_buf_init(&buf, 0);
    au_json_writer_init(&w, &buf, 0);
    au_json_put_number(&w, value);
    if (expected)
        assert_string_equal(buf.data, expected);
    if (isfinite(value)) {
        struct au_json *doc = parse(buf.data);
        double again = au_json_number(doc, (double)NAN);
        if (memcmp(&again, &value, sizeof value) != 0)
            fail_msg("%s reads back as %.17g, not %.17g", buf.data, again, value);
        au_json_free(doc);
    }
    au_buf_deinit(&buf);
}

static void numbers_are_short_and_read_back(void **state)
{
    (void)state;
    check_number(0, "0.0");
    check_number(-0.0, "-0.0");
    check_number(0.1, "0.1");
    check_number(100, "100.0");
    check_number(1.0 / 3, "0.3333333333333333");
    check_number(0.1 + 0.2, "0.30000000000000004");
    check_number(1e300, "1e+300");
    check_number(DBL_TRUE_MIN, "5e-324");
    check_number(DBL_MAX, "1.7976931348623157e+308");
    check_number((double)NAN, "null");
    check_number(-(double)INFINITY, "null");
    struct au_test_random r = {7};
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = au_test_random_u64(&r);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            check_number(value, NULL);
    }
}

static void writer_failures_stay_in_the_buffer(void **state)
{
    (void)state;
    struct au_buf buf;
    struct au_json_writer w;
    au_buf_init(&buf, 10);
    au_json_writer_init(&w, &buf, 2);
    au_json_open_array(&w);
    for (int i = 0; i < 100; i++)
        au_json_put_string(&w, "text");
    au_json_close_array(&w);
    assert_int_equal(buf.error, AURICLE_E_LIMIT);
    assert_true(buf.len <= 10);
    au_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_gives_typed_values),
        cmocka_unit_test(absent_and_wrong_types_give_the_fallback),
        cmocka_unit_test(large_objects_are_ordered_and_searchable),
        cmocka_unit_test(last_of_equal_keys_wins),
        cmocka_unit_test(damaged_documents_are_refused),
        cmocka_unit_test(every_prefix_of_a_document_is_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(reader_survives_every_allocation_failure),
        cmocka_unit_test(files_are_read_with_a_limit),
        cmocka_unit_test(writer_nests_and_indents),
        cmocka_unit_test(writer_escapes_strings),
        cmocka_unit_test(numbers_are_short_and_read_back),
        cmocka_unit_test(writer_failures_stay_in_the_buffer),
    };
    return cmocka_run_group_tests_name("base_json", tests, NULL, NULL);
}
