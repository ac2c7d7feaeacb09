/* The parts of a stream: stable words, borders of utterances, the queue of events. */
#include <math.h>

#include "recog/stream/agree.h"
#include "recog/stream/endpoint.h"
#include "recog/stream/events.h"
#include "support/support.h"

/* ---- Stable words ---------------------------------------------------------------------------- */

static void hear(struct recog_agree *agree, const char *text, bool spaces, const char *shown,
                 const char *stable)
{
    au_test_ok(recog_agree_hear(agree, text, strlen(text), spaces), NULL);
    assert_string_equal(agree->shown.data, shown);
    assert_int_equal(agree->n_stable, strlen(stable));
    assert_memory_equal(agree->shown.data, stable, agree->n_stable);
}

static void two_passes_make_words_stable(void **state)
{
    (void)state;
    struct recog_agree agree;
    recog_agree_init(&agree);
    hear(&agree, "and so", true, "and so", "");
    hear(&agree, "and so my fell", true, "and so my fell", "and so");
    hear(&agree, "and so my fellow", true, "and so my fellow", "and so my");
    hear(&agree, "and so my fellow Americans", true, "and so my fellow Americans",
         "and so my fellow");
    recog_agree_reset(&agree);
    hear(&agree, "and so my fellow", true, "and so my fellow", "");
    recog_agree_deinit(&agree);
}

/* The model thinks better of it: what was stable stays, what follows is taken by its place. */
static void what_is_stable_stays(void **state)
{
    (void)state;
    struct recog_agree agree;
    recog_agree_init(&agree);
    hear(&agree, "I scream now", true, "I scream now", "");
    hear(&agree, "I scream today", true, "I scream today", "I scream");
    hear(&agree, "Ice cream today please", true, "I scream today please", "I scream today");
    hear(&agree, "Ice", true, "I scream today", "I scream today");
    hear(&agree, "", true, "I scream today", "I scream today");
    hear(&agree, "I scream today please", true, "I scream today please", "I scream today");
    recog_agree_deinit(&agree);
}

static void characters_are_words_where_there_are_no_spaces(void **state)
{
    (void)state;
    struct recog_agree agree;
    recog_agree_init(&agree);
    hear(&agree, "今日は雨", false, "今日は雨", "");
    hear(&agree, "今日も雨です", false, "今日も雨です", "今日");
    hear(&agree, "今日も雨でした", false, "今日も雨でした", "今日も雨で");
    recog_agree_deinit(&agree);
}

/* ---- Borders --------------------------------------------------------------------------------- */

enum { CHUNK = 512, RATE = 16000, MAX_HEARD = 64 };

struct found {
    struct recog_utterance list[MAX_HEARD];
    int64_t starts[MAX_HEARD];
    size_t n, n_starts;
};

static struct recog_endpoint endpoint_of(double longest_seconds)
{
    struct recog_endpoint endpoint;
    const struct recog_endpoint_config config = {.threshold = 0.5,
                                                 .silence_ms = 500,
                                                 .pad_ms = 400,
                                                 .min_speech_ms = 100,
                                                 .longest = (int64_t)(longest_seconds * RATE),
                                                 .rate_hz = RATE,
                                                 .chunk_samples = CHUNK};
    au_test_ok(recog_endpoint_init(&endpoint, &config), NULL);
    return endpoint;
}

static void note(struct found *found, const struct recog_endpoint_news *news)
{
    if (news->started)
        found->starts[found->n_starts++] = news->start;
    if (news->heard)
        found->list[found->n++] = news->utterance;
}

static void feed(struct recog_endpoint *endpoint, struct found *found, double seconds,
                 double probability, float power)
{
    struct recog_endpoint_news news;
    for (int64_t i = 0; i < (int64_t)(seconds * RATE / CHUNK); i++) {
        recog_endpoint_feed(endpoint, probability, power, &news);
        note(found, &news);
    }
}

static void a_silence_ends_an_utterance(void **state)
{
    (void)state;
    struct recog_endpoint endpoint = endpoint_of(28);
    struct found found = {.n = 0};
    feed(&endpoint, &found, 2, 0.01, 0);
    feed(&endpoint, &found, 0.064, 0.9, 1); /* a click */
    feed(&endpoint, &found, 2, 0.01, 0);
    assert_int_equal(found.n_starts, 0);
    feed(&endpoint, &found, 3, 0.9, 1);
    feed(&endpoint, &found, 0.3, 0.01, 0); /* too short a pause */
    feed(&endpoint, &found, 1, 0.9, 1);
    feed(&endpoint, &found, 0.7, 0.01, 0);
    feed(&endpoint, &found, 1, 0.9, 1);
    struct recog_endpoint_news news;
    recog_endpoint_end(&endpoint, endpoint.now + 100, &news); /* in the middle of a chunk */
    note(&found, &news);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.n_starts, 2);
    assert_true(fabs((double)found.list[0].begin / RATE - 3.65) < 0.1);
    assert_true(fabs((double)found.list[0].end / RATE - 8.7) < 0.1);
    assert_int_equal(found.starts[0], found.list[0].begin);
    assert_int_equal(found.list[0].begin % 160, 0);
    assert_int_equal(found.list[0].end % 160, 0);
    assert_true(found.list[1].begin >= found.list[0].end);
    assert_int_equal(found.list[1].end, endpoint.now + 100);
    assert_true(found.list[0].last && found.list[1].last);
    recog_endpoint_deinit(&endpoint);
}

static void long_speech_is_cut_in_its_silence(void **state)
{
    (void)state;
    struct recog_endpoint endpoint = endpoint_of(10);
    struct found found = {.n = 0};
    feed(&endpoint, &found, 7, 0.9, 1);
    feed(&endpoint, &found, 0.3, 0.01, 0); /* the best place */
    feed(&endpoint, &found, 1, 0.9, 1);
    feed(&endpoint, &found, 0.15, 0.01, 0);
    feed(&endpoint, &found, 6, 0.9, 1);
    feed(&endpoint, &found, 0.2, 0.9, 0.1F); /* never a silence: the quietest place */
    feed(&endpoint, &found, 6, 0.9, 1);
    feed(&endpoint, &found, 1, 0.01, 0);
    assert_int_equal(found.n_starts, 1);
    assert_int_equal(found.n, 3);
    assert_true(fabs((double)found.list[0].end / RATE - 7.15) < 0.1);
    assert_true(fabs((double)found.list[1].end / RATE - 14.5) < 0.15);
    for (size_t i = 0; i < found.n; i++) {
        assert_true(i == 0 || found.list[i].begin == found.list[i - 1].end);
        assert_true(found.list[i].end - found.list[i].begin <= 10 * RATE);
        assert_true(found.list[i].voiced > 0);
        assert_true(found.list[i].last == (i == 2));
    }
    recog_endpoint_deinit(&endpoint);
}

/* Ten hours of speech and pauses: no state grows, times stay exact. */
static void hours_go_by(void **state)
{
    (void)state;
    struct recog_endpoint endpoint = endpoint_of(28);
    struct found found;
    int64_t last = 0;
    for (int i = 0; i < 3600; i++) {
        found.n = found.n_starts = 0;
        feed(&endpoint, &found, 8, 0.9, 1);
        feed(&endpoint, &found, 2, 0.01, 0);
        assert_int_equal(found.n, 1);
        assert_true(found.list[0].begin >= last && found.list[0].end <= endpoint.now);
        assert_true(found.list[0].voiced == 8 * RATE / CHUNK * CHUNK);
        last = found.list[0].end;
    }
    recog_endpoint_deinit(&endpoint);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void add(struct recog_events *events, enum auricle_stream_kind kind, const char *text)
{
    const struct auricle_stream_event event = {.kind = kind, .text = text};
    au_test_ok(recog_events_add(events, &event), NULL);
}

static void expect(struct recog_events *events, enum auricle_stream_kind kind, const char *text)
{
    struct auricle_stream_event event;
    assert_true(recog_events_next(events, &event));
    assert_int_equal(event.kind, kind);
    assert_string_equal(event.text ? event.text : "", text);
}

static void partials_give_way_and_finals_stay(void **state)
{
    (void)state;
    struct recog_events events = {0};
    struct auricle_stream_event event;
    assert_false(recog_events_next(&events, &event));
    add(&events, AURICLE_STREAM_SPEECH_STARTED, NULL);
    add(&events, AURICLE_STREAM_PARTIAL, "one");
    add(&events, AURICLE_STREAM_PARTIAL, "one two");
    expect(&events, AURICLE_STREAM_SPEECH_STARTED, "");
    expect(&events, AURICLE_STREAM_PARTIAL, "one two");
    assert_false(recog_events_next(&events, &event));
    add(&events, AURICLE_STREAM_PARTIAL, "one two three");
    add(&events, AURICLE_STREAM_FINAL, "One, two.");
    add(&events, AURICLE_STREAM_FINAL, "Three.");
    add(&events, AURICLE_STREAM_SPEECH_ENDED, NULL);
    expect(&events, AURICLE_STREAM_FINAL, "One, two.");
    expect(&events, AURICLE_STREAM_FINAL, "Three.");
    add(&events, AURICLE_STREAM_PARTIAL, "left in the queue");
    recog_events_deinit(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_passes_make_words_stable),
        cmocka_unit_test(what_is_stable_stays),
        cmocka_unit_test(characters_are_words_where_there_are_no_spaces),
        cmocka_unit_test(a_silence_ends_an_utterance),
        cmocka_unit_test(long_speech_is_cut_in_its_silence),
        cmocka_unit_test(hours_go_by),
        cmocka_unit_test(partials_give_way_and_finals_stay),
    };
    return cmocka_run_group_tests_name("recog_stream", tests, NULL, NULL);
}
