/* Which texts `auricle wer` puts side by side, and that it gives back all memory when there is none
 * left. What it prints is tested from end to end in tests/cli.                                   */
#include "app/wer_pairs.h"
#include "app/wer_text.h"
#include "support/support.h"

struct place {
    char *folder, *reference, *hypothesis; /* two lists, or two folders */
};

static void leave(struct place *place)
{
    au_free(place->reference);
    au_free(place->hypothesis);
    au_test_scratch_remove(place->folder);
}

static struct place two_lists(const char *reference, const char *hypothesis)
{
    struct place place = {.folder = au_test_scratch_folder()};
    place.reference = au_test_write(place.folder, "ref", reference, strlen(reference));
    place.hypothesis = au_test_write(place.folder, "hyp", hypothesis, strlen(hypothesis));
    return place;
}

static void expect_text(const struct app_wer_entry *entry, const char *id, const char *text)
{
    assert_string_equal(entry->id, id);
    assert_int_equal(entry->source.n, strlen(text));
    assert_memory_equal(entry->source.text, text, entry->source.n);
}

static void lines_meet_by_id_in_the_order_of_the_reference(void **state)
{
    struct place place = two_lists("b\tbee\nx\tlost\na\tay\n", "a\tA\nc\tsea\nb\t\n");
    struct app_wer_pairs pairs;
    struct au_fault fault = {0};
    (void)state;
    au_test_ok(app_wer_pairs_init(place.reference, place.hypothesis, true, &pairs, &fault), &fault);
    assert_int_equal(pairs.n, 2);
    expect_text(pairs.items[0].reference, "b", "bee");
    expect_text(pairs.items[0].hypothesis, "b", "");
    expect_text(pairs.items[1].reference, "a", "ay");
    expect_text(pairs.items[1].hypothesis, "a", "A");
    assert_int_equal(pairs.n_missing, 1);
    expect_text(pairs.missing[0], "x", "lost");
    assert_int_equal(pairs.n_unused, 1);
    expect_text(pairs.unused[0], "c", "sea");
    app_wer_pairs_deinit(&pairs);
    leave(&place);
}

static void two_files_meet_whatever_their_names(void **state)
{
    struct place place = two_lists("one", "two");
    struct app_wer_pairs pairs;
    struct au_fault fault = {0};
    (void)state;
    au_test_ok(app_wer_pairs_init(place.reference, place.hypothesis, false, &pairs, &fault),
               &fault);
    assert_int_equal(pairs.n, 1);
    assert_string_equal(pairs.items[0].reference->source.path, place.reference);
    assert_string_equal(pairs.items[0].hypothesis->source.path, place.hypothesis);
    app_wer_pairs_deinit(&pairs);
    leave(&place);
}

static enum auricle_error attempt(void *context)
{
    const struct place *place = context;
    struct app_wer_pairs pairs;
    struct app_wer_score score;
    struct au_fault fault = {0};
    enum auricle_error error = app_wer_pairs_init(place->reference, place->hypothesis, true, &pairs,
                                                  &fault);
    if (error)
        return error;
    error = app_wer_score(&pairs.items[0], APP_WER_BASIC, NULL, &score, &fault);
    if (!error)
        assert_int_equal(score.by_word.counts.substitutions, 1);
    app_wer_score_deinit(&score);
    app_wer_pairs_deinit(&pairs);
    return error;
}

static void lack_of_memory_is_an_error(void **state)
{
    struct place place = two_lists("a\tsome words\n", "a\tsome Birds\n");
    (void)state;
    assert_true(au_test_fail_each_allocation(attempt, &place, 200) > 10);
    leave(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_meet_by_id_in_the_order_of_the_reference),
        cmocka_unit_test(two_files_meet_whatever_their_names),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
