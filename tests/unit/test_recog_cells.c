/* Claims on decoder cells: oldest first, big ones not starved, sleepers passed. */
#include "recog/decode/cells.h"
#include "support/support.h"

static struct recog_cells *cells_of(size_t n)
{
    struct recog_cells *cells = NULL;
    au_test_ok(recog_cells_create(n, &cells), NULL);
    return cells;
}

static void a_big_claim_is_not_starved_by_small_ones(void **state)
{
    (void)state;
    struct recog_cells *cells = cells_of(8);
    struct recog_claim big = {0}, small = {0};
    assert_true(recog_cells_claim(cells, &small, 2));
    assert_false(recog_cells_claim(cells, &big, 8));
    for (int i = 0; i < 20; i++) { /* room enough for the small one, but not its turn */
        assert_false(recog_cells_claim(cells, &small, 2));
        assert_false(recog_cells_claim(cells, &big, 8));
    }
    recog_cells_unreserve(cells, 2);
    assert_false(recog_cells_claim(cells, &small, 2));
    assert_true(recog_cells_claim(cells, &big, 8));
    recog_cells_unreserve(cells, 8);
    assert_true(recog_cells_claim(cells, &small, 2));
    recog_cells_unreserve(cells, 2);
    recog_cells_destroy(cells);
}

static void who_asks_first_is_served_first(void **state)
{
    (void)state;
    enum { N = 5 };
    struct recog_cells *cells = cells_of(1);
    struct recog_claim claims[N] = {{0}}, holder = {0};
    assert_true(recog_cells_claim(cells, &holder, 1));
    for (int i = 0; i < N; i++)
        assert_false(recog_cells_claim(cells, &claims[i], 1));
    for (int served = 0; served < N; served++) {
        recog_cells_unreserve(cells, 1);
        for (int i = N - 1; i > served; i--)
            assert_false(recog_cells_claim(cells, &claims[i], 1));
        assert_true(recog_cells_claim(cells, &claims[served], 1));
    }
    recog_cells_unreserve(cells, 1);
    recog_cells_destroy(cells);
}

/* The oldest claim's owner is not driven any more: the next waits a little, then goes ahead. */
static void a_claim_that_sleeps_holds_nobody_up(void **state)
{
    (void)state;
    struct recog_cells *cells = cells_of(4);
    struct recog_claim holder = {0}, sleeper = {0}, awake = {0};
    assert_true(recog_cells_claim(cells, &holder, 3));
    assert_false(recog_cells_claim(cells, &sleeper, 4));
    int tries = 1;
    while (!recog_cells_claim(cells, &awake, 1))
        assert_true(++tries < 10);
    assert_true(tries > 1);
    recog_cells_unreserve(cells, 4);
    assert_true(recog_cells_claim(cells, &sleeper, 4)); /* it was not forgotten */
    recog_cells_unreserve(cells, 4);
    recog_cells_destroy(cells);
}

static void a_claim_may_be_given_up_anywhere_in_the_queue(void **state)
{
    (void)state;
    struct recog_cells *cells = cells_of(1);
    for (int gone = 0; gone < 3; gone++) {
        struct recog_claim holder = {0}, claims[3] = {{0}};
        assert_true(recog_cells_claim(cells, &holder, 1));
        for (int i = 0; i < 3; i++)
            assert_false(recog_cells_claim(cells, &claims[i], 1));
        recog_cells_unclaim(cells, &claims[gone]);
        recog_cells_unclaim(cells, &claims[gone]); /* a second time is nothing */
        recog_cells_unreserve(cells, 1);
        for (int i = 0; i < 3; i++) {
            if (i == gone)
                continue;
            assert_true(recog_cells_claim(cells, &claims[i], 1));
            recog_cells_unreserve(cells, 1);
        }
    }
    recog_cells_destroy(cells);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_big_claim_is_not_starved_by_small_ones),
        cmocka_unit_test(who_asks_first_is_served_first),
        cmocka_unit_test(a_claim_that_sleeps_holds_nobody_up),
        cmocka_unit_test(a_claim_may_be_given_up_anywhere_in_the_queue),
    };
    return cmocka_run_group_tests_name("recog_cells", tests, NULL, NULL);
}
