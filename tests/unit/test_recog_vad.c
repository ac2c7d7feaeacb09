/* Voice activity without a model: the gate, options, and properties of the cutter that hold for any
 * probabilities: spans are ordered, inside the signal, do not overlap, and are no longer than
 * asked.
 * */
#include <math.h>

#include "recog/voice/vad.h"
#include "support/support.h"

/* ---- Gate ------------------------------------------------------------------------------------ */

static bool gate(float amplitude, float hz, float offset)
{
    struct recog_vad_energy energy = RECOG_VAD_ENERGY_DEFAULT;
    static float x[1600];

    for (size_t i = 0; i < 1600; i++)
        x[i] = offset + amplitude * sinf(6.2831853F * hz * (float)i / 16000.0F);
    return recog_vad_energy_passes(&energy, 16000, x, 1600);
}

static void gate_wants_loudness_and_crossings(void **state)
{
    struct recog_vad_energy energy = RECOG_VAD_ENERGY_DEFAULT;
    (void)state;

    assert_true(gate(0.1F, 200.0F, 0.0F));
    assert_false(gate(0.005F, 200.0F, 0.0F)); /* 0.0035 effective */
    assert_true(gate(0.008F, 200.0F, 0.0F));
    assert_false(gate(0.5F, 10.0F, 0.0F));  /* 20 crossings a second: hum */
    assert_false(gate(0.1F, 200.0F, 0.5F)); /* never crosses zero */
    assert_false(gate(0.0F, 200.0F, 0.0F));
    assert_false(recog_vad_energy_passes(&energy, 16000, NULL, 0));
}

/* ---- Options --------------------------------------------------------------------------------- */

static void senseless_options_are_refused_in_words(void **state)
{
    struct recog_vad_options good = RECOG_VAD_DEFAULT, o;
    struct au_fault fault = {0};
    (void)state;

    au_test_ok(recog_vad_options_check(&good, &fault), &fault);
    o = good, o.threshold = 1.5;
    assert_int_equal(recog_vad_options_check(&o, &fault), AURICLE_E_INVALID);
    assert_non_null(strstr(fault.text, "1.5"));
    o = good, o.threshold = (double)NAN;
    assert_int_equal(recog_vad_options_check(&o, &fault), AURICLE_E_INVALID);
    o = good, o.min_silence_ms = -1.0;
    assert_int_equal(recog_vad_options_check(&o, &fault), AURICLE_E_INVALID);
    assert_non_null(strstr(fault.text, "-1 ms"));
    o = good, o.max_speech_s = 0.1;
    assert_int_equal(recog_vad_options_check(&o, &fault), AURICLE_E_INVALID);
    o = good, o.neg_threshold = 2.0;
    assert_int_equal(recog_vad_options_check(&o, &fault), AURICLE_E_INVALID);
}

/* ---- Cutter ---------------------------------------------------------------------------------- */

/* Probabilities that wander, from a seed. */
static void wander(uint64_t seed, float *p, size_t n)
{
    struct au_test_random random = {seed};
    float x = 0.5F;
    for (size_t i = 0; i < n; i++) {
        x += 0.25F * au_test_random_f32(&random);
        x = x < 0.0F ? 0.0F : x > 1.0F ? 1.0F : x;
        p[i] = x;
    }
}

static void check_spans(const struct recog_vad_options *options, const float *p, size_t n,
                        int64_t n_samples)
{
    struct recog_vad_cutter cutter;
    struct recog_speech speech;
    int64_t last = 0;
    bool ending = false;
    double longest = options->max_speech_s * 16000.0 + 1.0;

    recog_vad_cutter_init(&cutter, options, 16000, 512);
    for (size_t i = 0; i <= n; i++) {
        if (i < n)
            recog_vad_cutter_feed(&cutter, (double)p[i]);
        else {
            recog_vad_cutter_finish(&cutter, n_samples);
            ending = true;
        }
        while (recog_vad_cutter_next(&cutter, &speech)) {
            assert_true(speech.start >= last);
            assert_true(speech.end > speech.start);
            assert_true(speech.end <= n_samples);
            /* Only what the end of the signal closes may exceed the limit, by its last chunk. */
            if (!ending)
                assert_true((double)(speech.end - speech.start) <= longest);
            last = speech.end;
        }
    }
}

static void spans_are_ordered_inside_and_short_enough(void **state)
{
    enum { N = 2000 };
    static float p[N];
    (void)state;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct recog_vad_options options = RECOG_VAD_DEFAULT;
        options.max_speech_s = seed % 3 == 0 ? (double)INFINITY : 2.0;
        options.min_silence_ms = seed % 5 == 0 ? 0.0 : 100.0 * (double)(seed % 7);
        options.min_speech_ms = seed % 2 ? 0.0 : 250.0;
        options.speech_pad_ms = seed % 4 ? 30.0 : 200.0;
        options.cut_at_longest_silence = seed % 2;
        wander(seed, p, N);
        check_spans(&options, p, N, N * 512 - 100);
    }
}

/* All of what a cutter says. */
struct said {
    struct recog_speech spans[512];
    size_t n;
};

static void take_all(struct recog_vad_cutter *cutter, struct said *said)
{
    while (recog_vad_cutter_next(cutter, &said->spans[said->n]))
        assert_true(++said->n < 512);
}

/* pad: of the spans, in samples; negative: that of the options. */
static void cut(const struct recog_vad_options *options, double pad, const float *p, size_t n,
                int64_t n_samples, struct said *said)
{
    struct recog_vad_cutter cutter;

    said->n = 0;
    recog_vad_cutter_init(&cutter, options, 16000, 512);
    if (pad >= 0.0)
        cutter.pad = cutter.lead = pad;
    for (size_t i = 0; i < n; i++) {
        recog_vad_cutter_feed(&cutter, (double)p[i]);
        take_all(&cutter, said);
    }
    recog_vad_cutter_finish(&cutter, n_samples);
    take_all(&cutter, said);
}

/* Padding as the original gives it, when all spans are known: the end, or half of a short gap. */
static void pad_at_the_end(struct said *said, double pad, int64_t n_samples)
{
    struct recog_speech *s = said->spans;

    for (size_t i = 0; i < said->n; i++) {
        int64_t gap = i + 1 < said->n ? s[i + 1].start - s[i].end : INT64_MAX;
        if (i == 0)
            s[i].start = (int64_t)fmax(0.0, (double)s[i].start - pad);
        if (i + 1 == said->n) {
            s[i].end = (int64_t)fmin((double)n_samples, (double)s[i].end + pad);
        } else if ((double)gap < 2.0 * pad) {
            s[i].end += gap / 2;
            s[i + 1].start -= gap / 2;
        } else {
            s[i].end = (int64_t)((double)s[i].end + pad);
            s[i + 1].start = (int64_t)((double)s[i + 1].start - pad);
        }
    }
}

/* A span is handed out as soon as its padding is settled, and that it is settled must be true. */
static void padding_is_what_it_is_when_all_spans_are_known(void **state)
{
    enum { N = 2000 };
    static float p[N];
    static struct said said, raw;
    size_t compared = 0;
    (void)state;

    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct recog_vad_options options = RECOG_VAD_DEFAULT;
        int64_t n_samples = (int64_t)N * 512 - (int64_t)(seed % 512);
        options.max_speech_s = seed % 3 == 0 ? (double)INFINITY : 2.0;
        options.min_silence_ms = 50.0 * (double)(seed % 7);
        options.min_speech_ms = 125.0 * (double)(seed % 4);
        options.speech_pad_ms = 100.0 * (double)(seed % 5);
        options.cut_at_longest_silence = seed % 2;
        wander(seed, p, N - seed % 9);
        cut(&options, -1.0, p, N, n_samples, &said);
        cut(&options, 0.0, p, N, n_samples, &raw);
        pad_at_the_end(&raw, 16.0 * options.speech_pad_ms, n_samples);
        assert_int_equal(said.n, raw.n);
        assert_memory_equal(said.spans, raw.spans, raw.n * sizeof raw.spans[0]);
        compared += raw.n;
    }
    printf("  %zu spans\n", compared);
    assert_true(compared > 2500);
}

/* Chunks from the first call on until a span comes; chunks of `loud` speech, then these. */
static int chunks_until_span(struct recog_vad_cutter *cutter, int loud, int most,
                             double (*probability)(int i), struct recog_speech *speech)
{
    for (int i = 0; i < loud; i++) {
        recog_vad_cutter_feed(cutter, 0.9);
        assert_false(recog_vad_cutter_next(cutter, speech));
    }
    for (int i = 0; i < most; i++) {
        recog_vad_cutter_feed(cutter, probability(i));
        if (recog_vad_cutter_next(cutter, speech))
            return i + 1;
    }
    return -1;
}

static double silent(int i)
{
    (void)i;
    return 0.0;
}

/* 0.5 s of silence, then speech without an end. */
static double speaks_again(int i)
{
    return i < 16 ? 0.0 : 0.9;
}

/* Somebody who waits for a span, live or with its samples in hand, waits for its padding and not
 * until somebody else has spoken.                                                                */
static void a_span_does_not_wait_for_the_next_to_end(void **state)
{
    struct recog_vad_options options = RECOG_VAD_DEFAULT;
    struct recog_vad_cutter cutter;
    struct recog_speech speech;
    (void)state;

    options.speech_pad_ms = 400.0; /* 12.5 chunks on each side */
    recog_vad_cutter_init(&cutter, &options, 16000, 512);
    assert_int_equal(chunks_until_span(&cutter, 50, 1000, silent, &speech), 26);
    assert_int_equal(speech.start, 0);
    assert_int_equal(speech.end, 50 * 512 + 6400);
    /* The next one begins 16 chunks later and is known to be speech after 250 ms of it. */
    recog_vad_cutter_init(&cutter, &options, 16000, 512);
    assert_int_equal(chunks_until_span(&cutter, 50, 1000, speaks_again, &speech), 16 + 9);
    assert_int_equal(speech.end, 50 * 512 + 8 * 512);
    recog_vad_cutter_finish(&cutter, cutter.now);
    assert_true(recog_vad_cutter_next(&cutter, &speech));
    assert_int_equal(speech.start, 50 * 512 + 8 * 512);
}

static void silence_and_nothing_give_no_spans(void **state)
{
    struct recog_vad_options options = RECOG_VAD_DEFAULT;
    struct recog_vad_cutter cutter;
    struct recog_speech speech;
    (void)state;

    recog_vad_cutter_init(&cutter, &options, 16000, 512);
    recog_vad_cutter_finish(&cutter, 0);
    assert_false(recog_vad_cutter_next(&cutter, &speech));
    recog_vad_cutter_init(&cutter, &options, 16000, 512);
    for (int i = 0; i < 100; i++)
        recog_vad_cutter_feed(&cutter, 0.1);
    recog_vad_cutter_finish(&cutter, 51200);
    assert_false(recog_vad_cutter_next(&cutter, &speech));
}

static void speech_at_the_end_is_closed_by_the_end(void **state)
{
    struct recog_vad_options options = RECOG_VAD_DEFAULT;
    struct recog_vad_cutter cutter;
    struct recog_speech speech;
    (void)state;

    recog_vad_cutter_init(&cutter, &options, 16000, 512);
    for (int i = 0; i < 100; i++)
        recog_vad_cutter_feed(&cutter, i < 50 ? 0.0 : 0.9);
    recog_vad_cutter_finish(&cutter, 51000);
    assert_true(recog_vad_cutter_next(&cutter, &speech));
    assert_int_equal(speech.start, 50 * 512 - 480);
    assert_int_equal(speech.end, 51000);
    assert_false(recog_vad_cutter_next(&cutter, &speech));
}

/* ---- The whole, with the gate ---------------------------------------------------------------- */

/* 1 s of silence, 1 s of tone, 1 s of silence. */
static void tone_in_silence(float *x)
{
    memset(x, 0, 48000 * sizeof *x);
    for (size_t i = 16000; i < 32000; i++)
        x[i] = 0.2F * sinf(0.1F * (float)i);
}

static void gate_alone_finds_a_tone_in_silence(void **state)
{
    static float x[48000];
    struct recog_vad_config config = {
        .rate_hz = 16000, .options = RECOG_VAD_DEFAULT, .energy = RECOG_VAD_ENERGY_DEFAULT};
    struct recog_speech speech;
    struct recog_vad *vad;
    struct au_fault fault = {0};
    uint64_t skipped;
    (void)state;

    tone_in_silence(x);
    au_test_ok(recog_vad_create(&config, &vad, &fault), &fault);
    for (int round = 0; round < 2; round++) { /* reset makes it as new */
        for (size_t at = 0; at < 48000;)
            at += recog_vad_feed(vad, x + at, 48000 - at);
        assert_int_equal(recog_vad_chunks(vad, &skipped), 48000 / 512);
        recog_vad_finish(vad);
        assert_true(recog_vad_next(vad, &speech));
        assert_true(speech.start > 15000 && speech.start <= 16000);
        assert_true(speech.end >= 32000 && speech.end < 33100);
        assert_false(recog_vad_next(vad, &speech));
        recog_vad_reset(vad);
    }
    assert_int_equal(recog_vad_feed(vad, x, 0), 0);
    recog_vad_destroy(vad);
    recog_vad_destroy(NULL);
}

static enum auricle_error create_and_drop(void *context)
{
    struct recog_vad_config config = {
        .rate_hz = 16000, .options = RECOG_VAD_DEFAULT, .energy = RECOG_VAD_ENERGY_DEFAULT};
    struct recog_vad *vad = NULL;
    (void)context;

    enum auricle_error error = recog_vad_create(&config, &vad, NULL);
    recog_vad_destroy(vad);
    return error;
}

static void running_out_of_memory_is_an_ordinary_error(void **state)
{
    (void)state;
    assert_int_equal(au_test_fail_each_allocation(create_and_drop, NULL, 20), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_wants_loudness_and_crossings),
        cmocka_unit_test(senseless_options_are_refused_in_words),
        cmocka_unit_test(spans_are_ordered_inside_and_short_enough),
        cmocka_unit_test(padding_is_what_it_is_when_all_spans_are_known),
        cmocka_unit_test(a_span_does_not_wait_for_the_next_to_end),
        cmocka_unit_test(silence_and_nothing_give_no_spans),
        cmocka_unit_test(speech_at_the_end_is_closed_by_the_end),
        cmocka_unit_test(gate_alone_finds_a_tone_in_silence),
        cmocka_unit_test(running_out_of_memory_is_an_ordinary_error),
    };
    return cmocka_run_group_tests_name("recog vad", tests, NULL, NULL);
}
