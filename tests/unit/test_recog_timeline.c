/* The map from window time to recording time, clips, and cutting windows without a detector. */
#include <math.h>

#include "audio/decode.h"
#include "recog/longform/clips.h"
#include "recog/longform/timeline.h"
#include "support/support.h"

/* Random windows: the map is monotone, stays inside the recording, and keeps every moment inside
 * the stretch it came from.                                                                      */
static void the_map_is_monotone_and_inside(void **state)
{
    (void)state;
    struct au_test_random r = {11};
    for (int round = 0; round < 2000; round++) {
        struct recog_timeline line = {0};
        int64_t file = (int64_t)(au_test_random_u64(&r) % 16000), end = 0;
        size_t n = 1 + au_test_random_u64(&r) % 9;
        for (size_t i = 0; i < n; i++) {
            int64_t length = 1 + (int64_t)(au_test_random_u64(&r) % 50000);
            assert_true(recog_timeline_add(&line, file, length));
            end = file + length;
            file = end + (int64_t)(au_test_random_u64(&r) % 3 ? au_test_random_u64(&r) % 90000 : 0);
        }
        int64_t last_start = -1, last_end = -1;
        for (int64_t at = 0; at <= recog_timeline_length(&line); at += 977) {
            int64_t s = recog_timeline_map(&line, at, RECOG_SIDE_START);
            int64_t e = recog_timeline_map(&line, at, RECOG_SIDE_END);
            assert_true(s >= last_start && e >= last_end && e <= s);
            assert_true(s >= line.stretches[0].file && s <= end);
            last_start = s;
            last_end = e;
        }
    }
}

/* Speech placed at known times: a moment in the middle of a stretch maps back exactly. */
static void moments_map_back_within_a_sample(void **state)
{
    (void)state;
    struct recog_timeline line = {0};
    assert_true(recog_timeline_add(&line, 16000, 8000));
    assert_true(recog_timeline_add(&line, 80000, 16000));
    assert_int_equal(line.n, 2);
    assert_int_equal(recog_timeline_map(&line, 4000, RECOG_SIDE_START), 20000);
    assert_int_equal(recog_timeline_map(&line, 12000, RECOG_SIDE_END), 84000);
    /* the seam */
    assert_int_equal(recog_timeline_map(&line, 8000, RECOG_SIDE_END), 24000);
    assert_int_equal(recog_timeline_map(&line, 8000, RECOG_SIDE_START), 80000);
    /* outside */
    assert_int_equal(recog_timeline_map(&line, -5, RECOG_SIDE_START), 16000);
    assert_int_equal(recog_timeline_map(&line, 99999, RECOG_SIDE_END), 96000);
    assert_true(fabs(recog_timeline_seconds(&line, 0.75, RECOG_SIDE_START) - 5.25) < 1e-9);
}

static void neighbours_are_joined(void **state)
{
    (void)state;
    struct recog_timeline line = {0};
    for (int i = 0; i < 2 * RECOG_MAX_STRETCHES; i++)
        assert_true(recog_timeline_add(&line, i * 100, 100));
    assert_int_equal(line.n, 1);
    for (int i = 0; i < RECOG_MAX_STRETCHES - 1; i++)
        assert_true(recog_timeline_add(&line, 1000000 + i * 100, 50));
    assert_false(recog_timeline_add(&line, 9000000, 50));
}

/* What is left after dropping maps as it did before, further on by what was dropped. */
static void the_rest_of_a_window_keeps_its_place(void **state)
{
    (void)state;
    struct au_test_random r = {12};
    for (int round = 0; round < 500; round++) {
        struct recog_timeline line = {0};
        for (int64_t file = 100, i = 0; i < 6; i++, file += 40000)
            assert_true(
                recog_timeline_add(&line, file, 1 + (int64_t)(au_test_random_u64(&r) % 39000)));
        int64_t all = recog_timeline_length(&line);
        int64_t drop = (int64_t)(au_test_random_u64(&r) % (uint64_t)all);
        struct recog_timeline rest = line;
        recog_timeline_drop(&rest, drop);
        assert_int_equal(recog_timeline_length(&rest), all - drop);
        assert_int_equal(rest.stretches[0].window, 0);
        for (int64_t at = 0; at <= all - drop; at += 311) {
            assert_int_equal(recog_timeline_map(&rest, at, RECOG_SIDE_START),
                             recog_timeline_map(&line, drop + at, RECOG_SIDE_START));
            if (at > 0)
                assert_int_equal(recog_timeline_map(&rest, at, RECOG_SIDE_END),
                                 recog_timeline_map(&line, drop + at, RECOG_SIDE_END));
        }
    }
}

static void clips_cut_speech(void **state)
{
    (void)state;
    struct auricle_options options;
    double times[] = {1, 2, 3, 4, 6};
    auricle_options_default(&options);
    options.clip_seconds = times;
    options.n_clip_seconds = 5;
    struct recog_clips clips;
    au_test_ok(recog_clips_init(&clips, &options), NULL);
    struct recog_speech speech = {0, 56000}, inside, rest;
    assert_true(recog_clips_cut(&clips, &speech, &inside, &rest));
    assert_int_equal(inside.start, 16000);
    assert_int_equal(inside.end, 32000);
    assert_true(recog_clips_cut(&clips, &rest, &inside, &rest));
    assert_int_equal(inside.start, 48000);
    assert_int_equal(inside.end, 56000);
    speech = (struct recog_speech){64000, 90000};
    assert_false(recog_clips_cut(&clips, &speech, &inside, &rest));
    assert_true(recog_clips_at(&clips, 70000, &inside));
    assert_int_equal(inside.start, 96000);
    recog_clips_deinit(&clips);
}

static void offset_and_duration_are_one_clip(void **state)
{
    (void)state;
    struct auricle_options options;
    auricle_options_default(&options);
    options.offset_seconds = 2.5;
    options.duration_seconds = 1;
    struct recog_clips clips;
    struct recog_speech out;
    au_test_ok(recog_clips_init(&clips, &options), NULL);
    assert_true(recog_clips_at(&clips, 0, &out));
    assert_int_equal(out.start, 40000);
    assert_int_equal(out.end, 56000);
    assert_false(recog_clips_at(&clips, 56000, &out));
    recog_clips_deinit(&clips);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_is_monotone_and_inside),
        cmocka_unit_test(moments_map_back_within_a_sample),
        cmocka_unit_test(neighbours_are_joined),
        cmocka_unit_test(the_rest_of_a_window_keeps_its_place),
        cmocka_unit_test(clips_cut_speech),
        cmocka_unit_test(offset_and_duration_are_one_clip),
    };
    return cmocka_run_group_tests_name("recog timeline", tests, NULL, NULL);
}
