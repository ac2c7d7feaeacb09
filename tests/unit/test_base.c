/* Unit tests of src/base: memory, errors, buffers, maps and the parsers of str.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auricle/version.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

static void mem_refuses_overflow(void **state)
{
    (void)state;
    assert_null(au_calloc(SIZE_MAX / 2, 3));
    assert_null(au_alloc_array(SIZE_MAX / 2, 3));
    assert_null(au_alloc_aligned(SIZE_MAX - 8));
    size_t out = 7;
    assert_false(au_mul_size(SIZE_MAX, 2, &out));
    assert_false(au_add_size(SIZE_MAX, 1, &out));
    assert_int_equal(out, 7);
    assert_true(au_mul_size(6, 7, &out));
    assert_int_equal(out, 42);
}

static void mem_zero_bytes_gives_a_block(void **state)
{
    (void)state;
    void *blocks[] = {au_alloc(0), au_calloc(0, 8), au_alloc_array(3, 0), au_alloc_aligned(0)};
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(blocks[i]);
        au_free(blocks[i]);
    }
    au_free(NULL);
}

static void mem_aligned_blocks_are_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 100000, (8u << 20) - 1, 8u << 20, (9u << 20) + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *block = au_alloc_aligned(sizes[i]);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % AU_ALIGN, 0);
        memset(block, 0xA5, au_round_up(sizes[i], AU_ALIGN)); /* the rounded size is ours */
        au_free(block);
    }
}

static void mem_fails_where_told(void **state)
{
    (void)state;
    uint64_t before = au_mem_count();
    au_mem_fail_at(1, false);
    void *first = au_alloc(8), *second = au_alloc(8), *third = au_alloc(8);
    au_mem_fail_at(0, true);
    void *fourth = au_calloc(1, 8), *fifth = au_alloc_aligned(8);
    void *grown = au_realloc(first, 100);
    au_mem_fail_never();
    assert_int_equal(au_mem_count() - before, 6);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    assert_null(fourth);
    assert_null(fifth);
    assert_null(grown);
    au_free(first);
    au_free(third);
    void *after = au_alloc(8);
    assert_non_null(after);
    au_free(after);
}

static void mem_arrays_grow(void **state)
{
    (void)state;
    size_t capacity = 0;
    int *items = NULL;
    for (size_t n = 0; n < 1000; n++) {
        size_t before = capacity;
        int *grown = au_grow(items, n, &capacity, sizeof *items);
        assert_non_null(grown);
        assert_true(capacity > n);
        assert_true(n < before ? grown == items && capacity == before : capacity >= 2 * before);
        items = grown;
        items[n] = (int)n;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    size_t full = capacity;
    au_mem_fail_at(0, true);
    assert_null(au_grow(items, full, &capacity, sizeof *items));
    au_mem_fail_never();
    assert_int_equal(capacity, full);
    assert_int_equal(items[999], 999);
    capacity = SIZE_MAX / 2; /* twice as many fit, their bytes do not */
    assert_null(au_grow(items, capacity, &capacity, sizeof *items));
    assert_int_equal(capacity, SIZE_MAX / 2);
    au_free(items);
}

static void mem_copies_text(void **state)
{
    (void)state;
    char *a = au_strdup("straße"), *b = au_strndup("abcdef", 3), *c = au_strndup("ab", 30);
    char *d = au_sprintf("%d-%s", 42, "x");
    assert_string_equal(a, "straße");
    assert_string_equal(b, "abc");
    assert_string_equal(c, "ab");
    assert_string_equal(d, "42-x");
    au_free(a);
    au_free(b);
    au_free(c);
    au_free(d);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void fail_records_a_sentence(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    assert_int_equal(au_fail(&fault, AURICLE_E_SHAPE, "%s has %d rows", "w", 3), AURICLE_E_SHAPE);
    assert_int_equal(fault.code, AURICLE_E_SHAPE);
    assert_string_equal(fault.text, "w has 3 rows");
    au_fault_prefix(&fault, "m.bin");
    assert_string_equal(fault.text, "m.bin: w has 3 rows");
    assert_int_equal(au_fail(NULL, AURICLE_E_IO, "x"), AURICLE_E_IO);
    au_fault_prefix(NULL, "x");
    struct au_fault none = {0};
    au_fault_prefix(&none, "x");
    assert_string_equal(none.text, "");
}

static void fail_cannot_damage_a_terminal(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    au_fail(&fault, AURICLE_E_FORMAT, "%s",
            "a\x1b[31mb\nc\x7f"
            "d\xC2\x9B"
            "e\xFF"
            "f\xE2\x80\xAEg");
    assert_string_equal(fault.text, "a?[31mb?c?d?e?f?g");
    au_fail(&fault, AURICLE_E_FORMAT, "%s", "é\xEF\xBF\xBD日");
    assert_string_equal(fault.text, "é\xEF\xBF\xBD日");
}

/* The block ends with the text, so that a sanitizer sees a look beyond it. */
static void fail_with_a_bad_last_byte_reads_no_further(void **state)
{
    (void)state;
    char text[AU_FAULT_TEXT_BYTES];
    struct au_fault *fault = au_calloc(1, sizeof *fault);
    assert_non_null(fault);
    memset(text, 'a', sizeof text);
    text[sizeof text - 2] = '\x80';
    text[sizeof text - 1] = '\0';
    au_fail(fault, AURICLE_E_FORMAT, "%s", text);
    text[sizeof text - 2] = '?';
    assert_string_equal(fault->text, text);
    au_free(fault);
}

static void fail_cuts_long_text_between_characters(void **state)
{
    (void)state;
    char text[2000];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "日", 4);
        struct au_fault fault;
        au_fail(&fault, AURICLE_E_FORMAT, "%s", text);
        size_t n = strlen(fault.text);
        assert_true(n < AU_FAULT_TEXT_BYTES && n > AU_FAULT_TEXT_BYTES - 5);
        assert_true(au_utf8_valid(fault.text, n));
        assert_memory_equal(fault.text, text, n);
    }
}

static void fail_errno_maps_codes(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    assert_int_equal(au_fail_errno(&fault, 2 /* ENOENT */, "cannot open %s", "x.wav"),
                     AURICLE_E_NOT_FOUND);
    assert_string_equal(fault.text, "cannot open x.wav: No such file or directory");
    assert_int_equal(au_fail_errno(NULL, 28 /* ENOSPC */, "x"), AURICLE_E_NO_SPACE);
    assert_int_equal(au_fail_errno(NULL, 32 /* EPIPE */, "x"), AURICLE_E_CLOSED_PIPE);
    assert_int_equal(au_fail_errno(NULL, 12 /* ENOMEM */, "x"), AURICLE_E_NOMEM);
    assert_int_equal(au_fail_errno(NULL, 5 /* EIO */, "x"), AURICLE_E_IO);
}

static void every_error_has_a_name(void **state)
{
    (void)state;
    for (int code = 0; code >= AURICLE_E_CLOSED_PIPE; code--) {
        const char *name = auricle_error_name((enum auricle_error)code);
        assert_string_not_equal(name, "UNKNOWN");
        for (int other = 0; other > code; other--)
            assert_string_not_equal(name, auricle_error_name((enum auricle_error)other));
    }
    assert_string_equal(auricle_error_name((enum auricle_error) - 999), "UNKNOWN");
    assert_string_equal(auricle_version(), AURICLE_VERSION);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

static void buf_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct au_buf buf;
    au_buf_init(&buf, 0);
    assert_string_equal(buf.data, "");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(au_buf_printf(&buf, "%d,", i), AURICLE_OK);
        assert_int_equal(buf.data[buf.len], 0);
    }
    assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_memory_equal(buf.data, "0,1,2,3,4,", 10);
    au_buf_clear(&buf);
    assert_string_equal(buf.data, "");
    assert_int_equal(au_buf_puts(&buf, "x"), AURICLE_OK);
    assert_int_equal(au_buf_putc(&buf, 'y'), AURICLE_OK);
    assert_int_equal(au_buf_append(&buf, NULL, 0), AURICLE_OK);
    assert_string_equal(buf.data, "xy");
    au_buf_deinit(&buf);
    au_buf_deinit(&buf);
}

static void buf_keeps_its_limit(void **state)
{
    (void)state;
    struct au_buf buf;
    au_buf_init(&buf, 5);
    assert_int_equal(au_buf_puts(&buf, "12345"), AURICLE_OK);
    assert_int_equal(au_buf_puts(&buf, ""), AURICLE_OK);
    assert_int_equal(au_buf_putc(&buf, '6'), AURICLE_E_LIMIT);
    assert_int_equal(au_buf_puts(&buf, ""), AURICLE_E_LIMIT); /* stays failed */
    assert_int_equal(buf.error, AURICLE_E_LIMIT);
    assert_string_equal(buf.data, "12345");
    assert_null(au_buf_take(&buf));
    au_buf_clear(&buf);
    assert_int_equal(au_buf_printf(&buf, "%s", "123456"), AURICLE_E_LIMIT);
    assert_string_equal(buf.data, "");
    au_buf_clear(&buf);
    assert_int_equal(au_buf_reserve(&buf, SIZE_MAX), AURICLE_E_LIMIT);
    au_buf_deinit(&buf);
    au_buf_init(&buf, 0);
    assert_int_equal(au_buf_reserve(&buf, SIZE_MAX), AURICLE_E_NOMEM);
    au_buf_deinit(&buf);
}

static void buf_take_hands_over(void **state)
{
    (void)state;
    struct au_buf buf;
    au_buf_init(&buf, 0);
    char *nothing = au_buf_take(&buf);
    assert_string_equal(nothing, "");
    au_buf_puts(&buf, "text");
    char *text = au_buf_take(&buf);
    assert_string_equal(text, "text");
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.data, "");
    au_free(nothing);
    au_free(text);
}

static void buf_survives_no_memory(void **state)
{
    (void)state;
    struct au_buf buf;
    au_buf_init(&buf, 0);
    au_buf_puts(&buf, "kept");
    au_mem_fail_at(0, true);
    char big[500] = {0};
    assert_int_equal(au_buf_append(&buf, big, sizeof big), AURICLE_E_NOMEM);
    au_mem_fail_never();
    assert_string_equal(buf.data, "kept");
    au_buf_deinit(&buf);
}

/* ---- Maps ------------------------------------------------------------------------------------ */

static void map_holds_what_was_put(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct au_map *map;
    union au_map_value v;
    assert_int_equal(au_map_create(0, &map), AURICLE_OK);
    assert_false(au_map_get(map, "", 0, &v));
    for (int64_t i = 0; i < N; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "key%c%lld", i % 3 ? '\0' : 'x', (long long)(i * i));
        assert_int_equal(au_map_put(map, key, (size_t)n, (union au_map_value){.integer = i}),
                         AURICLE_OK);
    }
    assert_int_equal(au_map_put(map, "", 0, (union au_map_value){.integer = -5}), AURICLE_OK);
    assert_int_equal(au_map_count(map), N + 1);
    for (int64_t i = 0; i < N; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "key%c%lld", i % 3 ? '\0' : 'x', (long long)(i * i));
        assert_true(au_map_get(map, key, (size_t)n, &v));
        assert_int_equal(v.integer, i);
        const char *stored;
        size_t stored_n;
        au_map_at(map, (size_t)i, &stored, &stored_n, &v); /* insertion order */
        assert_int_equal(stored_n, n);
        assert_memory_equal(stored, key, stored_n);
        assert_false(au_map_get(map, key, (size_t)n - 1, &v) && v.integer == i);
    }
    assert_true(au_map_get(map, "", 0, &v));
    assert_int_equal(v.integer, -5);
    au_map_destroy(map);
    au_map_destroy(NULL);
}

static void map_put_replaces(void **state)
{
    (void)state;
    struct au_map *map;
    union au_map_value v;
    assert_int_equal(au_map_create(4, &map), AURICLE_OK);
    assert_int_equal(au_map_put(map, "a", 1, (union au_map_value){.integer = 1}), AURICLE_OK);
    assert_int_equal(au_map_put(map, "a", 1, (union au_map_value){.integer = 2}), AURICLE_OK);
    assert_int_equal(au_map_count(map), 1);
    assert_true(au_map_get(map, "a", 1, &v));
    assert_int_equal(v.integer, 2);
    au_map_destroy(map);
}

static void map_survives_every_allocation_failure(void **state)
{
    (void)state;
    for (uint64_t n = 0;; n++) {
        struct au_map *map = NULL;
        union au_map_value v;
        int64_t n_put = 0;
        au_mem_fail_at(n, false);
        bool complete = au_map_create(1, &map) == AURICLE_OK;
        if (complete) {
            for (int64_t i = 0; i < 200; i++) {
                char key[16];
                int length = snprintf(key, sizeof key, "%lld", (long long)i);
                if (au_map_put(map, key, (size_t)length, (union au_map_value){.integer = i})) {
                    complete = false;
                    break;
                }
                n_put++;
            }
        }
        au_mem_fail_never();
        for (int64_t i = 0; map && i < n_put; i++) {
            char key[16];
            int length = snprintf(key, sizeof key, "%lld", (long long)i);
            assert_true(au_map_get(map, key, (size_t)length, &v));
            assert_int_equal(v.integer, i);
        }
        au_map_destroy(map);
        if (complete)
            return;
        assert_true(n < 100);
    }
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void str_compares(void **state)
{
    (void)state;
    assert_true(au_str_equal("a", "a"));
    assert_false(au_str_equal("a", "A"));
    assert_false(au_str_equal(NULL, "a"));
    assert_true(au_str_equal(NULL, NULL));
    assert_true(au_str_equal_nocase("MiB", "mIb"));
    assert_false(au_str_equal_nocase("MiB", "mI"));
    assert_true(au_str_starts("abc", "ab"));
    assert_false(au_str_starts("a", "ab"));
    assert_true(au_str_starts_nocase("Text/Plain", "text/"));
    assert_false(au_str_starts_nocase("tex", "text/"));
    assert_true(au_str_ends("a.wav", ".wav"));
    assert_false(au_str_ends("wav", ".wav"));
    assert_true(au_str_ends_nocase("A.WAV", ".wav"));
}

static void str_copy_cuts_between_characters(void **state)
{
    (void)state;
    char out[6];
    assert_int_equal(au_str_copy(out, sizeof out, "abcde"), 5);
    assert_string_equal(out, "abcde");
    assert_int_equal(au_str_copy(out, sizeof out, "abcdé"), 4);
    assert_string_equal(out, "abcd");
    assert_int_equal(au_str_copy(out, 1, "x"), 0);
    assert_string_equal(out, "");
    assert_int_equal(au_str_copy(out, 0, "x"), 0);
}

static void parse_integers_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " 1", "1 ", "+", "-", "1.0", "0x10", "1e3", "--1", "a"};
    int64_t i = 99;
    uint64_t u = 99;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_false(au_parse_i64(bad[k], &i));
        assert_false(au_parse_u64(bad[k], &u));
    }
    assert_false(au_parse_i64(NULL, &i));
    assert_false(au_parse_u64(NULL, &u));
    assert_false(au_parse_i64("9223372036854775808", &i));
    assert_false(au_parse_i64("-9223372036854775809", &i));
    assert_false(au_parse_u64("18446744073709551616", &u));
    assert_false(au_parse_u64("-1", &u));
    assert_int_equal(i, 99);
    assert_int_equal(u, 99);
    assert_true(au_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(au_parse_i64("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(au_parse_i64("+007", &i) && i == 7);
    assert_true(au_parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
}

static void parse_doubles_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   ".",  "nan", "inf",   "1e",       "1e+",   "0x1p3",
                                      " 1", "1 ", "1,5", "1e999", "infinity", "1.2.3", "e5"};
    double d = 99;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_false(au_parse_double(bad[k], &d));
    assert_false(au_parse_double(NULL, &d));
    assert_true(d == 99);
    assert_true(au_parse_double("-1.5e-3", &d) && d == -1.5e-3);
    assert_true(au_parse_double(".5", &d) && d == 0.5);
    assert_true(au_parse_double("5.", &d) && d == 5);
    assert_true(au_parse_double("+2E2", &d) && d == 200);
    assert_true(au_parse_double("1e-400", &d) && d == 0);
}

static void parse_settings(void **state)
{
    (void)state;
    bool b = false;
    assert_true(au_parse_bool("True", &b) && b);
    assert_true(au_parse_bool("OFF", &b) && !b);
    assert_true(au_parse_bool("1", &b) && b);
    assert_false(au_parse_bool("2", &b));
    assert_false(au_parse_bool("", &b));
    assert_false(au_parse_bool(NULL, &b));

    uint64_t bytes = 1;
    assert_true(au_parse_bytes("500MB", &bytes) && bytes == 500000000);
    assert_true(au_parse_bytes("2GiB", &bytes) && bytes == 2ull << 30);
    assert_true(au_parse_bytes("123", &bytes) && bytes == 123);
    assert_true(au_parse_bytes("0kb", &bytes) && bytes == 0);
    assert_false(au_parse_bytes("MB", &bytes));
    assert_false(au_parse_bytes("1 MB", &bytes));
    assert_false(au_parse_bytes("-1", &bytes));
    assert_false(au_parse_bytes("99999999999TiB", &bytes));
    assert_false(au_parse_bytes("1.5GB", &bytes));

    double s = 0;
    assert_true(au_parse_seconds("300", &s) && s == 300);
    assert_true(au_parse_seconds("300s", &s) && s == 300);
    assert_true(au_parse_seconds("1.5m", &s) && s == 90);
    assert_true(au_parse_seconds("1h", &s) && s == 3600);
    assert_true(au_parse_seconds("250ms", &s) && s == 0.25);
    assert_true(au_parse_seconds("00:01:30.5", &s) && s == 90.5);
    assert_true(au_parse_seconds("90:00", &s) && s == 5400);
    assert_false(au_parse_seconds("1:60", &s));
    assert_false(au_parse_seconds("1:2:3:4", &s));
    assert_false(au_parse_seconds("-1", &s));
    assert_false(au_parse_seconds("1:-5", &s));
    assert_false(au_parse_seconds(":5", &s));
    assert_false(au_parse_seconds("5 s", &s));
    assert_false(au_parse_seconds("", &s));
}

/* ---- Time and log ---------------------------------------------------------------------------- */

static void time_text_is_iso(void **state)
{
    (void)state;
    char text[AU_TIME_TEXT_BYTES];
    au_time_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    au_time_text(1769903999123, text);
    assert_string_equal(text, "2026-01-31T23:59:59.123Z");
    au_time_text(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    au_time_text(INT64_MAX, text);
    assert_true(strlen(text) < AU_TIME_TEXT_BYTES);
    int64_t start = au_now_ns(), cpu = au_cpu_ns();
    assert_true(au_now_ns() >= start && au_cpu_ns() >= cpu && au_wall_ms() > 1600000000000);
}

static void log_levels_parse(void **state)
{
    (void)state;
    enum au_log_level level;
    assert_true(au_log_level_parse("DEBUG", &level) && level == AU_LOG_DEBUG);
    assert_true(au_log_level_parse("Warning", &level) && level == AU_LOG_WARN);
    assert_true(au_log_level_parse("critical", &level) && level == AU_LOG_ERROR);
    assert_false(au_log_level_parse("loud", &level));
    assert_false(au_log_level_parse(NULL, &level));
    au_log_init(AU_LOG_WARN);
    assert_false(au_log_enabled(AU_LOG_INFO));
    assert_true(au_log_enabled(AU_LOG_WARN));
    au_log_init(AU_LOG_OFF);
    assert_false(au_log_enabled(AU_LOG_ERROR));
    au_log_init(AU_LOG_INFO);
}

/* What a call of the log writes to standard error. */
static char *logged(bool json, const struct au_log_field *fields, const char *text)
{
    char *line = au_alloc(4096);
    int pipes[2], saved = dup(STDERR_FILENO);
    assert_true(line && saved >= 0 && pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    au_log_use_json(json);
    if (fields)
        au_log_with(AU_LOG_WARN, fields, "%s", text);
    else
        au_log(AU_LOG_WARN, "%s", text);
    au_log_use_json(false);
    dup2(saved, STDERR_FILENO);
    close(pipes[1]);
    ssize_t n = read(pipes[0], line, 4095);
    close(pipes[0]);
    close(saved);
    assert_true(n > 0 && line[n - 1] == '\n');
    line[n - 1] = 0;
    return line;
}

static void log_lines_have_fields(void **state)
{
    (void)state;
    const struct au_log_field fields[] = {{"id", "req_1", 0},
                                          {"path", "/a \"b\"\n", 0},
                                          {"status", NULL, 200},
                                          {"ms", NULL, 1.5},
                                          {NULL, NULL, 0}};
    char *line = logged(false, fields, "done\nand\tover");
    assert_string_equal(line + 25, "WARN done\\nand\\x09over id=req_1 path=\"/a \\\"b\\\"\\n\" "
                                   "status=200 ms=1.5");
    au_free(line);
    line = logged(false, NULL, "plain");
    assert_string_equal(line + 25, "WARN plain");
    au_free(line);
}

static void log_lines_are_json_where_wanted(void **state)
{
    (void)state;
    const struct au_log_field fields[] = {
        {"id", "\xff\"\n", 0}, {"status", NULL, 200}, {NULL, NULL, 0}};
    char *line = logged(true, fields, "say \"x\"\nhere");
    struct au_json *json;
    struct au_fault fault = {0};
    assert_int_equal(au_json_parse(line, strlen(line), "line", &json, &fault), AURICLE_OK);
    assert_string_equal(au_json_string(au_json_get(json, "level"), ""), "WARN");
    assert_string_equal(au_json_string(au_json_get(json, "message"), ""), "say \"x\"\nhere");
    assert_string_equal(au_json_string(au_json_get(json, "id"), ""), "\xef\xbf\xbd\"\n");
    assert_int_equal((int)au_json_int(au_json_get(json, "status"), 0), 200);
    assert_int_equal(strlen(au_json_string(au_json_get(json, "time"), "")), 24);
    au_json_free(json);
    au_free(line);
    line = logged(true, NULL, "plain");
    assert_non_null(strstr(line, "\"message\": \"plain\"}"));
    au_free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem_refuses_overflow),
        cmocka_unit_test(mem_zero_bytes_gives_a_block),
        cmocka_unit_test(mem_aligned_blocks_are_aligned),
        cmocka_unit_test(mem_fails_where_told),
        cmocka_unit_test(mem_arrays_grow),
        cmocka_unit_test(mem_copies_text),
        cmocka_unit_test(fail_records_a_sentence),
        cmocka_unit_test(fail_cannot_damage_a_terminal),
        cmocka_unit_test(fail_with_a_bad_last_byte_reads_no_further),
        cmocka_unit_test(fail_cuts_long_text_between_characters),
        cmocka_unit_test(fail_errno_maps_codes),
        cmocka_unit_test(every_error_has_a_name),
        cmocka_unit_test(buf_grows_and_stays_terminated),
        cmocka_unit_test(buf_keeps_its_limit),
        cmocka_unit_test(buf_take_hands_over),
        cmocka_unit_test(buf_survives_no_memory),
        cmocka_unit_test(map_holds_what_was_put),
        cmocka_unit_test(map_put_replaces),
        cmocka_unit_test(map_survives_every_allocation_failure),
        cmocka_unit_test(str_compares),
        cmocka_unit_test(str_copy_cuts_between_characters),
        cmocka_unit_test(parse_integers_strictly),
        cmocka_unit_test(parse_doubles_strictly),
        cmocka_unit_test(parse_settings),
        cmocka_unit_test(time_text_is_iso),
        cmocka_unit_test(log_levels_parse),
        cmocka_unit_test(log_lines_have_fields),
        cmocka_unit_test(log_lines_are_json_where_wanted),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
