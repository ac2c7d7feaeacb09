/* Tests of normalisers, alignment, error rates and the bootstrap. */
#include "support/support.h"

#include <math.h>

#include "text/align.h"
#include "text/normalize.h"
#include "text/wer.h"

/* --- normalisers ---------------------------------------------------------------------------- */

static void assert_english(const struct text_spelling *spelling, const char *text,
                           const char *expected)
{
    struct au_buf out;
    au_buf_init(&out, 0);
    assert_int_equal(text_normalize_english(spelling, text, strlen(text), &out), AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, expected);
    au_buf_deinit(&out);
}

static void english_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"twenty one hundred", "2100"},
        {"one hundred one", "101"},
        {"two thousand and nineteen", "2019"},
        {"nine decillion decillion", "9000000000000000000000000000000000"},
        {"zero thousand", "0"},
        {"point five thousand", "500"},
        {"one point five hundred", "150"},
        {"one point two three four thousand", "1234"},
        {"one point two three four five thousand", "one.2345 1000"},
        {"twelve million three hundred forty five thousand six hundred", "12345600"},
        {"five thousandths", "5 thousandths"},
        {"five thousandth", "5000th"},
        {"point fives", "5s"},
        {"two and a half million", "2500000"},
        {"and a half", ""},
        {"you and a half", "you and a half"},
        {"thirty per cent and ten percent", "30% and 10%"},
        {"five per hour", "5 per hour"},
        {"$3 and 7 cents", "$3.07"},
        {"$0.75", "\xC2\xA2"
                  "75"},
        {"1 and 1s", "one and ones"},
        {"007", "7"},
        {"\xD9\xA1\xD9\xA2\xD9\xA3 people", "123 people"}, /* Arabic digits */
        {"double five six triple oh", "556000"},
        {"double trouble", "double trouble"},
        {"negative five and plus minus", "-5 and +minus"},
        {"99999999999999999999999999 thousand", "100000000000000000000998000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_english(NULL, cases[i].text, cases[i].expected);
}

static void english_words(void **state)
{
    (void)state;
    assert_english(NULL, "They 're SURE; it's Mr. Um's (aside) [noise]",
                   "they are sure it is mister is");
    assert_english(NULL,
                   "a\xFF"
                   "b",
                   "a b");
    assert_english(NULL, "() (x", "x");
    assert_english(NULL, "[unclosed", "unclosed");
    assert_english(NULL, "1,2,3", "12 3");
    assert_english(NULL, "", "");
}

static struct text_spelling *load_spelling(const char *json, enum auricle_error expected)
{
    struct text_spelling *spelling = NULL;
    struct au_fault fault = {0};
    char *folder = au_test_scratch_folder();
    char *path = au_test_write(folder, "words.json", json, strlen(json));
    assert_int_equal(text_spelling_load(path, &spelling, &fault), expected);
    assert_true((expected == AURICLE_OK) == (fault.text[0] == '\0'));
    au_free(path);
    au_test_scratch_remove(folder);
    return spelling;
}

static void spelling_comes_from_a_file(void **state)
{
    (void)state;
    struct text_spelling *spelling = load_spelling("{\"colour\":\"color\"}", AURICLE_OK);
    assert_english(spelling, "Colour, colours", "color colours");
    assert_english(NULL, "Colour", "colour");
    text_spelling_destroy(spelling);
    assert_null(load_spelling("{\"colour\":1}", AURICLE_E_FORMAT));
    assert_null(load_spelling("[]", AURICLE_E_FORMAT));
    assert_null(load_spelling("{", AURICLE_E_FORMAT));
    text_spelling_destroy(NULL);
}

static void the_table_of_the_project_folds_spellings(void **state)
{
    (void)state;
    struct text_spelling *spelling = NULL;
    struct au_fault fault = {0};
    char *path = au_test_source("data/spelling/english.json");
    au_test_ok(text_spelling_load(path, &spelling, &fault), &fault);
    assert_english(spelling, "The theatre's neighbours organised grey travellers' analyses.",
                   "the theater is neighbors organized gray travelers analyses");
    text_spelling_destroy(spelling);
    au_free(path);
}

static void basic_letters(void **state)
{
    (void)state;
    struct au_buf out;
    au_buf_init(&out, 0);
    /* jamo that compose are one character; a mark that does not compose is a blank */
    static const char TEXT[] = "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"
                               "A\xCC\x8A"
                               "x\xCC\xA5!b";
    assert_int_equal(text_normalize_basic(TEXT_BASIC_SPLIT_LETTERS, TEXT, sizeof TEXT - 1, &out),
                     AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, "\xED\x95\x9C \xC3\xA5 x b");
    au_buf_deinit(&out);
}

static void normalizing_endless_text_ends(void **state)
{
    (void)state;
    enum { BYTES = 1 << 17 }; /* a quadratic pass would take minutes */
    static const char *const FILL[] = {
        "[",    "(",      "()",       "a",         "1",   "1,",      ".",        "' ",
        "one ", "and a ", "\xCC\x81", "\xCE\xA3'", "$0.", "double ", "hundred ", "\xFF"};
    char *text = au_alloc(BYTES);
    for (size_t f = 0; f < sizeof FILL / sizeof FILL[0]; f++) {
        struct au_buf out;
        const size_t n = strlen(FILL[f]);
        for (size_t i = 0; i < BYTES; i++)
            text[i] = FILL[f][i % n];
        au_buf_init(&out, 0);
        assert_int_equal(text_normalize_english(NULL, text, BYTES, &out), AURICLE_OK);
        au_buf_clear(&out);
        assert_int_equal(text_normalize_basic(TEXT_BASIC_SPLIT_LETTERS, text, BYTES, &out),
                         AURICLE_OK);
        au_buf_deinit(&out);
    }
    au_free(text);
}

static enum auricle_error normalize_all(void *context)
{
    static const char TEXT[] = "It's two and a half (x) dollars.";
    struct au_buf out;
    (void)context;
    au_buf_init(&out, 0);
    enum auricle_error error = text_normalize_english(NULL, TEXT, sizeof TEXT - 1, &out);
    if (!error)
        error = text_normalize_basic(TEXT_BASIC_NO_DIACRITICS, TEXT, sizeof TEXT - 1, &out);
    au_buf_deinit(&out);
    return error;
}

static void normalizing_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(au_test_fail_each_allocation(normalize_all, NULL, 1000) > 5);
}

/* --- alignment ------------------------------------------------------------------------------ */

/* The distance by the plain table: what the alignment must reach. */
static size_t distance(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
    uint32_t *row = au_alloc_array(m + 1, sizeof *row);
    for (size_t j = 0; j <= m; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 0; i < n; i++) {
        uint32_t diagonal = row[0];
        row[0]++;
        for (size_t j = 0; j < m; j++) {
            uint32_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            best = best < diagonal + 1 ? best : diagonal + 1;
            row[j + 1] = best < row[j] + 1 ? best : row[j] + 1;
        }
    }
    const size_t result = row[m];
    au_free(row);
    return result;
}

/* The edits lead from a to b, and no cheaper way is known. */
static void check_alignment(const uint32_t *a, size_t n, const uint32_t *b, size_t m,
                            size_t n_symbols)
{
    unsigned char *edits = au_alloc(n + m);
    size_t n_edits = 0, i = 0, j = 0, cost = 0;
    assert_int_equal(text_align_symbols(a, n, b, m, n_symbols, edits, &n_edits), AURICLE_OK);
    assert_true(n_edits <= n + m);
    for (size_t k = 0; k < n_edits; k++) {
        if (edits[k] == TEXT_EDIT_HIT)
            assert_true(i < n && j < m && a[i] == b[j]);
        if (edits[k] == TEXT_EDIT_SUBSTITUTE)
            assert_true(i < n && j < m && a[i] != b[j]);
        cost += edits[k] != TEXT_EDIT_HIT;
        i += edits[k] != TEXT_EDIT_INSERT;
        j += edits[k] != TEXT_EDIT_DELETE;
    }
    assert_int_equal(i, n);
    assert_int_equal(j, m);
    assert_int_equal(cost, distance(a, n, b, m));
    au_free(edits);
}

static void alignments_are_valid_and_best(void **state)
{
    (void)state;
    struct au_test_random random = {21};
    for (int round = 0; round < 3000; round++) {
        uint32_t a[40], b[40];
        const size_t n = au_test_random_u64(&random) % 40, m = au_test_random_u64(&random) % 40;
        const uint32_t n_symbols = 1 + au_test_random_u64(&random) % 6;
        for (size_t i = 0; i < 40; i++) {
            a[i] = (uint32_t)au_test_random_u64(&random) % n_symbols;
            b[i] = au_test_random_u64(&random) % 4 ? a[i] : (uint32_t)i % n_symbols;
        }
        check_alignment(a, n, b, m, n_symbols);
    }
}

/* Past the small table: the halving and its bit vectors. Odd sizes around the blocks of 64. */
static void long_alignments_are_valid_and_best(void **state)
{
    (void)state;
    static const size_t SIZES[][2] = {{3001, 2999}, {4096, 300},  {300, 4097},  {1, 2000000},
                                      {2000000, 1}, {1100000, 2}, {2, 1100000}, {2048, 2048}};
    struct au_test_random random = {22};
    for (size_t s = 0; s < sizeof SIZES / sizeof SIZES[0]; s++) {
        const size_t n = SIZES[s][0], m = SIZES[s][1];
        uint32_t *a = au_alloc_array(n, sizeof *a), *b = au_alloc_array(m, sizeof *b);
        const uint32_t n_symbols = s % 2 ? 3 : 2000;
        for (size_t i = 0; i < n; i++)
            a[i] = (uint32_t)au_test_random_u64(&random) % n_symbols;
        for (size_t j = 0; j < m; j++)
            b[j] = au_test_random_u64(&random) % 5
                       ? a[j * n / m]
                       : (uint32_t)au_test_random_u64(&random) % n_symbols;
        check_alignment(a, n, b, m, n_symbols);
        au_free(a);
        au_free(b);
    }
}

/* --- units and rates ------------------------------------------------------------------------ */

static struct text_error_counts count(const char *reference, const char *hypothesis,
                                      bool characters)
{
    struct text_units a = {0}, b = {0};
    struct text_alignment alignment = {0};
    enum auricle_error (*cut)(const char *, size_t, struct text_units *) =
        characters ? text_units_characters : text_units_words;
    assert_int_equal(cut(reference, strlen(reference), &a), AURICLE_OK);
    assert_int_equal(cut(hypothesis, strlen(hypothesis), &b), AURICLE_OK);
    assert_int_equal(text_align_units(&a, &b, &alignment), AURICLE_OK);
    const struct text_error_counts counts = alignment.counts;
    text_alignment_deinit(&alignment);
    text_units_deinit(&a);
    text_units_deinit(&b);
    return counts;
}

static void counts_of_words(void **state)
{
    (void)state;
    struct text_error_counts c = count("the quick brown fox", "the brown dog jumps", false);
    assert_int_equal(c.n_reference, 4);
    assert_int_equal(c.hits, 2);
    assert_int_equal(c.substitutions + c.deletions, 2);
    assert_int_equal(c.insertions, c.deletions);
    assert_true(fabs(text_error_rate(&c) - 0.75) < 1e-12);
    c = count("a b c", "a b c", false);
    assert_true(c.hits == 3 && text_error_rate(&c) == 0);
    c = count("", "a b", false);
    assert_true(c.insertions == 2 && c.n_reference == 0 && text_error_rate(&c) == 1);
    c = count("", " \n ", false);
    assert_true(text_error_rate(&c) == 0);
    c = count("a b", "", false);
    assert_true(c.deletions == 2 && text_error_rate(&c) == 1);
    c = count("a", "b c d", false);
    assert_true(text_error_rate(&c) == 3);
}

static void counts_of_characters(void **state)
{
    (void)state;
    struct text_error_counts c = count("\xE4\xBB\x8A\xE5\xA4\xA9 \xE5\xA5\xBD", /* 3 Han, a blank */
                                       "\xE4\xBB\x8A\xE6\x97\xA5\xE5\xA5\xBD", true);
    assert_true(c.n_reference == 3 && c.hits == 2 && c.substitutions == 1);
    c = count("e\xCC\x81t\xC3\xA9", "e\xCC\x81te", true); /* a letter with its accent is one */
    assert_true(c.n_reference == 3 && c.hits == 2 && c.substitutions == 1);
    c = count(" a  b ", "ab", true);
    assert_true(c.n_reference == 2 && c.hits == 2);
}

static void printed_alignment(void **state)
{
    (void)state;
    static const char A[] = "the quick \xE5\xA5\xBD fox", B[] = "the \xE5\xA5\xBD do\x1Bg jumps";
    struct text_units a = {0}, b = {0};
    struct text_alignment alignment = {0};
    struct au_buf out;
    au_buf_init(&out, 0);
    assert_int_equal(text_units_words(A, sizeof A - 1, &a), AURICLE_OK);
    assert_int_equal(text_units_words(B, sizeof B - 1, &b), AURICLE_OK);
    assert_int_equal(text_align_units(&a, &b, &alignment), AURICLE_OK);
    assert_int_equal(text_alignment_print(&alignment, &a, &b, 80, &out), AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, "REF: the quick \xE5\xA5\xBD **** fox\n"
                                  "HYP: the ***** \xE5\xA5\xBD do?g jumps\n"
                                  "OP :     D        I    S\n");
    au_buf_clear(&out);
    assert_int_equal(text_alignment_print(&alignment, &a, &b, 16, &out), AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, "REF: the quick\nHYP: the *****\nOP :     D\n\n"
                                  "REF: \xE5\xA5\xBD ****\nHYP: \xE5\xA5\xBD do?g\nOP :    I\n\n"
                                  "REF: fox\nHYP: jumps\nOP : S\n");
    au_buf_deinit(&out);
    text_alignment_deinit(&alignment);
    text_units_deinit(&a);
    text_units_deinit(&b);
}

static void interval_of_the_rate(void **state)
{
    (void)state;
    struct text_error_counts recordings[50] = {0};
    double low = -1, high = -1, again_low, again_high;
    for (size_t i = 0; i < 50; i++)
        recordings[i] = (struct text_error_counts){
            .n_reference = 10, .hits = 10 - i % 5, .substitutions = i % 5};
    assert_int_equal(text_error_rate_interval(recordings, 50, 1000, 0.95, 1, &low, &high),
                     AURICLE_OK);
    /* rate 0.2, standard deviation of a recording 0.1414, of their mean 0.02 */
    assert_true(low > 0.14 && low < 0.18 && high > 0.22 && high < 0.26);
    assert_int_equal(
        text_error_rate_interval(recordings, 50, 1000, 0.95, 1, &again_low, &again_high),
        AURICLE_OK);
    assert_true(low == again_low && high == again_high);
    assert_int_equal(text_error_rate_interval(recordings, 1, 10, 0.95, 1, &low, &high), AURICLE_OK);
    assert_true(low == 0 && high == 0);
    assert_int_equal(text_error_rate_interval(recordings, 0, 10, 0.95, 1, &low, &high),
                     AURICLE_E_INVALID);
    assert_int_equal(text_error_rate_interval(recordings, 1, 0, 0.95, 1, &low, &high),
                     AURICLE_E_INVALID);
    assert_int_equal(text_error_rate_interval(recordings, 1, 10, 1.5, 1, &low, &high),
                     AURICLE_E_INVALID);
    assert_int_equal(text_error_rate_interval(recordings, 1, 10, (double)NAN, 1, &low, &high),
                     AURICLE_E_INVALID);
}

static enum auricle_error align_once(void *context)
{
    struct text_units a = {0}, b = {0};
    struct text_alignment alignment = {0};
    (void)context;
    enum auricle_error error = text_units_words("a b c d", 7, &a);
    if (!error)
        error = text_units_characters("abd", 3, &b);
    if (!error)
        error = text_align_units(&a, &b, &alignment);
    text_alignment_deinit(&alignment);
    text_units_deinit(&a);
    text_units_deinit(&b);
    return error;
}

static void aligning_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(au_test_fail_each_allocation(align_once, NULL, 1000) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(english_numbers),
        cmocka_unit_test(english_words),
        cmocka_unit_test(spelling_comes_from_a_file),
        cmocka_unit_test(the_table_of_the_project_folds_spellings),
        cmocka_unit_test(basic_letters),
        cmocka_unit_test(normalizing_endless_text_ends),
        cmocka_unit_test(normalizing_without_memory_is_an_error),
        cmocka_unit_test(alignments_are_valid_and_best),
        cmocka_unit_test(long_alignments_are_valid_and_best),
        cmocka_unit_test(counts_of_words),
        cmocka_unit_test(counts_of_characters),
        cmocka_unit_test(printed_alignment),
        cmocka_unit_test(interval_of_the_rate),
        cmocka_unit_test(aligning_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
