/* The parser of command lines: forms, kinds, mistakes, settings in place of options. */
#include "app/options.h"

#include <stdlib.h>

#include "app/app.h"
#include "base/nearest.h"
#include "support/support.h"

struct args {
    bool loud, fast;
    const char *name;
    int count, color;
    double ratio, time;
    int triple;
};

static enum auricle_error parse_triple(void *target, const char *value, struct au_fault *fault)
{
    if (strlen(value) != 3)
        return au_fail(fault, AURICLE_E_INVALID, "\"%s\" has not three letters", value);
    ((struct args *)target)->triple = value[0];
    return AURICLE_OK;
}

static const struct app_option first_options[] = {
    {.name = "loud", .letter = 'l', .kind = APP_FLAG, .offset = offsetof(struct args, loud)},
    {.name = "fast",
     .letter = 'f',
     .kind = APP_FLAG,
     .offset = offsetof(struct args, fast),
     .setting = "LOG_PERFORMANCE_METRICS"},
    {.name = "output-name",
     .letter = 'o',
     .kind = APP_TEXT,
     .value = "NAME",
     .alias = "title",
     .offset = offsetof(struct args, name),
     .setting = "MODEL_PATH"},
    {.name = NULL},
};
static const struct app_option second_options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = APP_INT,
     .value = "N",
     .offset = offsetof(struct args, count),
     .min = 1,
     .max = 9,
     .setting = "OMP_NUM_THREADS",
     .setting2 = "MKL_NUM_THREADS"},
    {.name = "color",
     .kind = APP_CHOICE,
     .value = "red|green|blue",
     .offset = offsetof(struct args, color)},
    {.name = "ratio",
     .kind = APP_NUMBER,
     .value = "X",
     .offset = offsetof(struct args, ratio),
     .min = -1,
     .max = 1},
    {.name = "time",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = offsetof(struct args, time),
     .max = 1e6},
    {.name = "triple", .kind = APP_PARSED, .value = "ABC", .parse = parse_triple},
    {.name = NULL},
};
static const struct app_group first = {"First", first_options}, second = {"Second", second_options};
static const struct app_group *const groups[] = {&first, &second, NULL};

#define MAX_WORDS 16

/* A command line in one string, words separated by spaces. */
struct line {
    char text[256];
    char *argv[MAX_WORDS];
    int argc;
    struct args args;
    struct app_parsed parsed;
    struct au_fault fault;
};

static enum auricle_error parse(struct line *line, const char *text)
{
    memset(line, 0, sizeof *line);
    snprintf(line->text, sizeof line->text, "command %s", text);
    char *at = line->text;
    while (*at) {
        line->argv[line->argc++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = 0;
    }
    return app_options_parse(groups, line->argc, line->argv, &line->args, &line->parsed,
                             &line->fault);
}

static void expect_mistake(const char *text, const char *word1, const char *word2)
{
    struct line line;
    assert_int_equal(parse(&line, text), AURICLE_E_INVALID);
    if (!strstr(line.fault.text, word1) || !strstr(line.fault.text, word2))
        fail_msg("\"%s\" gave \"%s\", which lacks \"%s\" or \"%s\"", text, line.fault.text, word1,
                 word2);
}

static void every_form_of_an_option(void **state)
{
    (void)state;
    static const char *const forms[] = {"--output-name x --count 3",
                                        "--output-name=x --count=3",
                                        "-o x -n 3",
                                        "-ox -n3",
                                        "--output_name x --count 3",
                                        "--title x -n3"};
    for (size_t i = 0; i < 6; i++) {
        struct line line;
        assert_int_equal(parse(&line, forms[i]), AURICLE_OK);
        assert_string_equal(line.args.name, "x");
        assert_int_equal(line.args.count, 3);
    }
}

static void flags_stand_together(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(parse(&line, "-lfox"), AURICLE_OK);
    assert_true(line.args.loud && line.args.fast);
    assert_string_equal(line.args.name, "x");
    assert_true(app_options_given(groups, &line.parsed, "loud"));
    assert_false(app_options_given(groups, &line.parsed, "count"));
}

static void flags_are_turned_off_again(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(parse(&line, "--loud --fast --no-loud --no_fast"), AURICLE_OK);
    assert_false(line.args.loud || line.args.fast);
    assert_true(app_options_given(groups, &line.parsed, "loud"));
    expect_mistake("--no-count", "--no-count", "no option");
    expect_mistake("--no-loud=1", "--no-loud", "no option");
}

static void one_option_can_be_seen_before_the_others(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(parse(&line, ""), AURICLE_OK);
    char *words[] = {"c", "--color", "red", "x", "--color=blue", "--colors", "y", "--", "--color"};
    assert_string_equal(app_options_peek(9, words, "color"), "blue");
    assert_string_equal(app_options_peek(4, words, "color"), "red");
    assert_null(app_options_peek(2, words, "color"));
    assert_null(app_options_peek(9, words, "loud"));
}

static void operands_keep_their_order(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(parse(&line, "a -l b --count 2 - -- --loud -n"), AURICLE_OK);
    static const char *const expected[] = {"a", "b", "-", "--loud", "-n"};
    assert_int_equal(line.parsed.n_operands, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(line.parsed.operands[i], expected[i]);
}

static void kinds_of_values(void **state)
{
    (void)state;
    struct line line;
    assert_int_equal(parse(&line, "--color blue --ratio -0.5 --time 1.5m --triple xyz"),
                     AURICLE_OK);
    assert_int_equal(line.args.color, 2);
    assert_true(line.args.ratio == -0.5);
    assert_true(line.args.time == 90.0);
    assert_int_equal(line.args.triple, 'x');
}

static void mistakes_are_explained(void **state)
{
    (void)state;
    expect_mistake("--coutn 3", "--coutn", "did you mean --count?");
    expect_mistake("--outputname x", "--outputname", "--output-name");
    expect_mistake("--zebra", "--zebra", "no option");
    expect_mistake("-z", "-z", "no option");
    expect_mistake("-xloud", "-x", "two dashes");
    expect_mistake("--count", "--count", "wants a value");
    expect_mistake("--count --loud", "--count", "an option follows");
    expect_mistake("-n", "-n", "wants a value");
    expect_mistake("--count ten", "\"ten\"", "from 1 to 9");
    expect_mistake("--count 10", "\"10\"", "from 1 to 9");
    expect_mistake("--count 3x", "\"3x\"", "--count");
    expect_mistake("--ratio 2", "\"2\"", "from -1 to 1");
    expect_mistake("--ratio nan", "\"nan\"", "--ratio");
    expect_mistake("--time soon", "\"soon\"", "00:01:30");
    expect_mistake("--color pink", "\"pink\"", "red, green or blue");
    expect_mistake("--color re", "\"re\"", "red, green or blue");
    expect_mistake("--loud=1", "--loud", "no value");
    expect_mistake("--triple ab", "--triple", "three letters");
}

/* ---- Settings -------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    static const char *const pairs[][2] = {{"MODEL_PATH", "from-environment"},
                                           {"MKL_NUM_THREADS", "7"},
                                           {"LOG_PERFORMANCE_METRICS", "True"}};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(pairs[i][0], name) == 0)
            return pairs[i][1];
    return NULL;
}

static const char *bad_environment(const char *name)
{
    return strcmp(name, "MKL_NUM_THREADS") == 0 ? "many" : NULL;
}

static void settings_stand_in_for_absent_options(void **state)
{
    (void)state;
    struct line line;
    struct service_settings settings;
    assert_int_equal(parse(&line, "--output-name from-flag"), AURICLE_OK);
    assert_int_equal(service_settings_load(NULL, environment, &settings, NULL), AURICLE_OK);
    assert_int_equal(
        app_options_from_settings(groups, &settings, line.parsed.given, &line.args, &line.fault),
        AURICLE_OK);
    assert_string_equal(line.args.name, "from-flag");
    assert_int_equal(line.args.count, 7);
    assert_true(line.args.fast);
    service_settings_deinit(&settings);
}

static void a_bad_setting_is_named_with_its_origin(void **state)
{
    (void)state;
    struct line line;
    struct service_settings settings;
    assert_int_equal(parse(&line, ""), AURICLE_OK);
    assert_int_equal(service_settings_load(NULL, bad_environment, &settings, NULL), AURICLE_OK);
    assert_int_equal(app_options_from_settings(groups, &settings, 0, &line.args, &line.fault),
                     AURICLE_E_INVALID);
    assert_non_null(strstr(line.fault.text, "MKL_NUM_THREADS (environment)"));
    assert_non_null(strstr(line.fault.text, "\"many\""));
    service_settings_deinit(&settings);
}

/* ---- Near words ------------------------------------------------------------------------------ */

static const char *nearest_of(const char *word)
{
    static const char *const known[] = {"transcribe", "doctor", "german", "en"};
    struct au_nearest nearest = {word, NULL, 0};
    for (size_t i = 0; i < 4; i++)
        au_nearest_offer(&nearest, known[i]);
    return au_nearest_pick(&nearest);
}

static void near_words_are_found_and_far_ones_are_not(void **state)
{
    (void)state;
    assert_string_equal(nearest_of("Transcirbe"), "transcribe");
    assert_string_equal(nearest_of("germna"), "german");
    assert_null(nearest_of("english"));
    assert_null(nearest_of("e"));
    assert_null(nearest_of(""));
    assert_null(nearest_of("a-word-so-long-that-nobody-would-compare-it-with-others"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_option),
        cmocka_unit_test(flags_stand_together),
        cmocka_unit_test(flags_are_turned_off_again),
        cmocka_unit_test(one_option_can_be_seen_before_the_others),
        cmocka_unit_test(operands_keep_their_order),
        cmocka_unit_test(kinds_of_values),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(settings_stand_in_for_absent_options),
        cmocka_unit_test(a_bad_setting_is_named_with_its_origin),
        cmocka_unit_test(near_words_are_found_and_far_ones_are_not),
    };
    return cmocka_run_group_tests_name("app_options", tests, NULL, NULL);
}
