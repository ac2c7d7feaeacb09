/* Unit tests of UTF-8 decoding: the Unicode standard's tables 3-7 to 3-11, and every code point. */
#include "support/support.h"

#include "base/utf8.h"

static void every_code_point_round_trips(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char bytes[4];
        uint32_t back;
        size_t n = au_utf8_encode(c, bytes);
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        size_t expected = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (n != (surrogate ? 3 : expected) || !au_utf8_valid(bytes, n) ||
            au_utf8_decode(bytes, n, &back) != n || back != (surrogate ? AU_UTF8_REPLACEMENT : c))
            fail_msg("U+%04X", c);
        for (size_t cut = 1; cut < n; cut++) {
            if (au_utf8_valid(bytes, cut) || au_utf8_decode(bytes, cut, &back) != cut ||
                au_utf8_complete_prefix(bytes, cut) != 0)
                fail_msg("U+%04X cut to %zu bytes", c, cut);
        }
        if (au_utf8_complete_prefix(bytes, n) != n)
            fail_msg("U+%04X is complete", c);
    }
    char bytes[4];
    assert_int_equal(au_utf8_encode(0x110000, bytes), 3);
    assert_memory_equal(bytes, "\xEF\xBF\xBD", 3);
}

/* Text with bad sequences as the decoder should see it, replacement characters written as '?'.
 * Expected results: the standard's tables 3-8 to 3-11, and Python's bytes.decode("utf-8",
 * "replace"). */
static void bad_sequences_give_maximal_subparts(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"\x41\xC0\xAF\x41\xF4\x80\x80\x41", "A??A?A"},
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "????????A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "????????A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "?????A??B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "????A"},
        {"\x80", "?"},
        {"\xC1\x81", "??"},
        {"\xF5\x80\x80\x80", "????"},
        {"\xF8\x88\x80\x80\x80", "?????"},
        {"\xFC\x84\x80\x80\x80\x80", "??????"},
        {"\xFE\xFF", "??"},
        {"\xE0\x9F\xBF", "???"},
        {"\xF0\x8F\xBF\xBF", "????"},
        {"\xF0\x90\x80", "?"},
        {"\xC3(", "?("},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].bytes;
        size_t n = strlen(text), n_out = 0;
        char out[32] = {0};
        assert_false(au_utf8_valid(text, n));
        for (size_t at = 0; at < n;) {
            uint32_t c;
            size_t used = au_utf8_decode(text + at, n - at, &c);
            assert_true(used >= 1 && used <= n - at);
            out[n_out++] = c == AU_UTF8_REPLACEMENT ? '?' : (char)c;
            at += used;
        }
        if (strcmp(out, cases[i].expected) != 0)
            fail_msg("case %zu: %s, expected %s", i, out, cases[i].expected);
    }
}

static void complete_prefix_waits_only_for_what_can_come(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t expected;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"a\xC3", 1},
        {"a\xE6\x97", 1},
        {"a\xE6\x97\xA5", 4},
        {"a\xF0\x9F\x98", 1},
        {"a\xF0\x9F", 1},
        {"a\xE0\x80", 3},     /* can never become valid: nothing to wait for */
        {"a\xED\xA0", 3},     /* a surrogate */
        {"a\xF4\x90\x80", 4}, /* past U+10FFFF */
        {"a\x80\x80\x80", 4}, /* stray continuation bytes */
        {"a\x80\x80\x80\x80", 5},
        {"\xFF", 1},
        {"\xC3\xC3", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t got = au_utf8_complete_prefix(cases[i].bytes, strlen(cases[i].bytes));
        if (got != cases[i].expected)
            fail_msg("case %zu: %zu, expected %zu", i, got, cases[i].expected);
    }
}

static void valid_text_is_valid(void **state)
{
    (void)state;
    assert_true(au_utf8_valid("", 0));
    assert_true(au_utf8_valid("a\0b", 3));
    assert_true(au_utf8_valid("żółć 日本語 😀 \xEF\xBF\xBD", strlen("żółć 日本語 😀 \xEF\xBF\xBD")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_round_trips),
        cmocka_unit_test(bad_sequences_give_maximal_subparts),
        cmocka_unit_test(complete_prefix_waits_only_for_what_can_come),
        cmocka_unit_test(valid_text_is_valid),
    };
    return cmocka_run_group_tests_name("base_utf8", tests, NULL, NULL);
}
