/* Tests of scripts, letters, compression and repetition: the evidence for rules against
 * inventions. */
#include "support/support.h"

#include <math.h>

#include "text/compress.h"
#include "text/language.h"
#include "text/repeat.h"
#include "text/script.h"

static struct text_letters letters_of(const char *text)
{
    return text_count_letters(text, strlen(text));
}

static void scripts_of_letters(void **state)
{
    (void)state;
    static const struct {
        uint32_t c;
        enum text_script script;
    } cases[] = {
        {'a', TEXT_SCRIPT_LATIN},        {0xE9, TEXT_SCRIPT_LATIN},
        {0x1EA1, TEXT_SCRIPT_LATIN},     {0x416, TEXT_SCRIPT_CYRILLIC},
        {0x3A9, TEXT_SCRIPT_GREEK},      {0x5D0, TEXT_SCRIPT_HEBREW},
        {0x627, TEXT_SCRIPT_ARABIC},     {0x915, TEXT_SCRIPT_DEVANAGARI},
        {0xE01, TEXT_SCRIPT_THAI},       {0x1000, TEXT_SCRIPT_MYANMAR},
        {0x10D0, TEXT_SCRIPT_GEORGIAN},  {0x3042, TEXT_SCRIPT_KANA},
        {0x30AB, TEXT_SCRIPT_KANA},      {0xFF76, TEXT_SCRIPT_KANA},
        {0x4E00, TEXT_SCRIPT_HAN},       {0x20000, TEXT_SCRIPT_HAN},
        {0xAC00, TEXT_SCRIPT_HANGUL},    {0x1200, TEXT_SCRIPT_ETHIOPIC},
        {0x13A0, TEXT_SCRIPT_OTHER},     {0x10FFFF, TEXT_SCRIPT_OTHER},
        {0xFFFFFFFF, TEXT_SCRIPT_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(text_script_of(cases[i].c), cases[i].script);
    assert_string_equal(text_script_name(TEXT_SCRIPT_HAN), "han");
    for (int i = 0; i < TEXT_N_SCRIPTS; i++)
        assert_non_null(text_script_name((enum text_script)i));
}

static void letters_are_counted(void **state)
{
    (void)state;
    struct text_letters l = letters_of("Ab 12, \xD0\x96!");
    assert_int_equal(l.n_visible, 7);
    assert_int_equal(l.n_letters, 3);
    assert_int_equal(l.n_numbers, 2);
    assert_int_equal(l.by_script[TEXT_SCRIPT_LATIN], 2);
    assert_int_equal(text_letters_dominant(&l), TEXT_SCRIPT_LATIN);
    assert_true(fabs(text_letters_share(&l) - 5.0 / 7) < 1e-12);
    l = letters_of("\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D"); /* vowel sign, virama */
    assert_true(l.n_letters == 2 && text_letters_share(&l) == 1);
    l = letters_of("\xE2\x99\xAA \xE2\x99\xAA ...");
    assert_true(text_letters_share(&l) == 0);
    l = letters_of("");
    assert_true(text_letters_share(&l) == 0);
    assert_int_equal(text_letters_dominant(&l), TEXT_SCRIPT_OTHER);
}

static bool fits(const char *language, const char *text)
{
    return text_script_fits(language, text, strlen(text));
}

static void languages_and_their_scripts(void **state)
{
    (void)state;
    static const char RUSSIAN[] = "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82";
    static const char JAPANESE[] = "\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x81\xB8";
    static const char KOREAN[] = "\xEC\x95\x88\xEB\x85\x95";
    assert_true(fits("en", "Hello"));
    assert_false(fits("en", RUSSIAN));
    assert_true(fits("ru", RUSSIAN));
    assert_true(fits("sr", RUSSIAN));
    assert_true(fits("sr", "Dobar dan"));
    assert_true(fits("ja", JAPANESE));
    assert_false(fits("ko", JAPANESE));
    assert_true(fits("ko", KOREAN));
    assert_false(fits("zh", KOREAN));
    assert_true(fits("ja", "\xE6\x9D\xB1 Station")); /* a loan word */
    assert_false(fits("ja", "Thank you"));           /* nothing else */
    assert_false(fits("en", "A \xD0\x96\xD0\x96"));
    assert_true(fits("th", "123 ...")); /* no letters, no evidence */
    assert_true(fits("xx", RUSSIAN));
    assert_true(fits(NULL, RUSSIAN));
}

/* Every language of the model is known to the table: its script set is never "all". */
static void every_language_has_scripts(void **state)
{
    (void)state;
    const struct text_letters cherokee = letters_of("\xE1\x8E\xA0\xE1\x8E\xA1");
    assert_int_equal(cherokee.n_letters, 2);
    for (int i = 0; i < TEXT_N_LANGUAGES; i++)
        assert_true(text_script_share(text_language_code(i), &cherokee) == 0);
}

static void compression_ratios(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'a', sizeof text);
    assert_true(text_compression_ratio(text, sizeof text) > 80);
    /* header 2, stored as fixed codes 7, checksum 4 */
    assert_true(fabs(text_compression_ratio("Hello", 5) - 5.0 / 13) < 1e-12);
    assert_true(text_compression_ratio("", 0) == 0);
    au_mem_fail_at(0, true);
    const double ratio = text_compression_ratio(text, sizeof text);
    au_mem_fail_never();
    assert_true(ratio == 0);
}

static enum auricle_error count_repeats(void *context)
{
    struct text_units units = {0};
    double value;
    (void)context;
    enum auricle_error error = text_units_words("a b a b", 7, &units);
    if (!error)
        error = text_repeated_share(&units, 2, &value);
    text_units_deinit(&units);
    return error;
}

static void without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(au_test_fail_each_allocation(count_repeats, NULL, 1000) > 3);
}

static void assert_loop(const char *text, size_t begin, size_t period, size_t n_repeats)
{
    struct text_units units = {0};
    assert_int_equal(text_units_words(text, strlen(text), &units), AURICLE_OK);
    const struct text_loop loop = text_find_loop(&units, 8);
    assert_int_equal(loop.period, period);
    assert_int_equal(loop.n_repeats, n_repeats);
    assert_int_equal(loop.begin, begin);
    text_units_deinit(&units);
}

static void loops(void **state)
{
    (void)state;
    assert_loop("", 0, 0, 0);
    assert_loop("one", 0, 0, 0);
    assert_loop("a b c d", 0, 0, 0);
    assert_loop("x no no no no y", 1, 1, 4);
    assert_loop("well thank you thank you thank you thank", 1, 2, 3);
    assert_loop("a a b c b c b c", 2, 2, 3);
    assert_loop("a b a b", 0, 2, 2);
    assert_loop("1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9", 0, 0, 0); /* longer than asked for */
}

static void repeated_stretches(void **state)
{
    (void)state;
    static const char TEXT[] = "a b c a b d a b";
    struct text_units units = {0};
    double share = -1;
    assert_int_equal(text_units_words(TEXT, sizeof TEXT - 1, &units), AURICLE_OK);
    assert_int_equal(text_repeated_share(&units, 2, &share), AURICLE_OK);
    assert_true(fabs(share - 2.0 / 7) < 1e-12); /* "a b" twice more, of seven pairs */
    assert_int_equal(text_repeated_share(&units, 8, &share), AURICLE_OK);
    assert_true(share == 0);
    assert_int_equal(text_repeated_share(&units, 0, &share), AURICLE_E_INVALID);
    text_units_deinit(&units);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_of_letters),
        cmocka_unit_test(letters_are_counted),
        cmocka_unit_test(languages_and_their_scripts),
        cmocka_unit_test(every_language_has_scripts),
        cmocka_unit_test(compression_ratios),
        cmocka_unit_test(without_memory_is_an_error),
        cmocka_unit_test(loops),
        cmocka_unit_test(repeated_stretches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
