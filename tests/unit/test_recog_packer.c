/* Windows from a recording: what of it is read, and how far back. The detector is the gate, so no
 * model is needed.                                                                               */
#include <math.h>

#include "recog/longform/packer.h"
#include "recog/options.h"
#include "support/support.h"

enum { RATE = 16000, WINDOW = 30 * RATE, KEPT = 60 * RATE };

/* A recording that is made while it is read: a second of tone in every `every` seconds. */
struct recording {
    int64_t n_samples, every;
    int64_t reached;  /* the furthest sample read */
    int64_t furthest; /* how far behind it a read began */
};

static float sample(const struct recording *r, int64_t at)
{
    return at % r->every < RATE ? 0.2F * sinf(0.1F * (float)(at % r->every)) : 0.0F;
}

static enum auricle_error read_recording(void *context, int64_t first, size_t n, float *out,
                                         size_t *n_read, struct auricle_message *message)
{
    struct recording *r = context;
    int64_t left = first < r->n_samples ? r->n_samples - first : 0;
    size_t count = (int64_t)n < left ? n : (size_t)left;
    (void)message;

    if (r->reached - first > r->furthest)
        r->furthest = r->reached - first;
    for (size_t i = 0; i < count; i++)
        out[i] = sample(r, first + (int64_t)i);
    if (first + (int64_t)count > r->reached)
        r->reached = first + (int64_t)count;
    *n_read = count;
    return AURICLE_OK;
}

static int64_t length_of(void *context)
{
    return ((struct recording *)context)->n_samples;
}

static double estimate_of(void *context)
{
    return (double)length_of(context) / RATE;
}

/* All windows of a recording; returns how many samples they hold. */
static size_t pack_all(struct recording *recording)
{
    static struct recog_timeline timeline;
    struct auricle_engine engine = {.vad = NULL};
    struct auricle_session session = {.engine = &engine};
    struct auricle_feed feed = {sizeof feed, recording, read_recording, length_of, estimate_of};
    struct recog_packer *packer;
    struct au_fault fault = {0};
    float *samples = au_alloc_array(WINDOW, sizeof *samples);
    size_t n, all = 0;

    assert_non_null(samples);
    auricle_options_default(&session.settings.options);
    session.settings.options.vad = AURICLE_VAD_ENERGY;
    au_test_ok(recog_source_from_feed(&feed, &session.source), NULL);
    au_test_ok(recog_packer_create(&session, WINDOW, &packer, &fault), &fault);
    do {
        n = timeline.n = 0;
        au_test_ok(recog_packer_fill(packer, samples, &n, &timeline, &fault), &fault);
        all += n;
    } while (n);
    recog_packer_destroy(packer);
    recog_source_close(session.source);
    au_free(samples);
    return all;
}

/* A file is decoded again from its beginning for what lies more than a minute back: with a word
 * every 70 seconds that was done for every word.                                                 */
static void long_silence_makes_no_read_go_back_far(void **state)
{
    (void)state;
    for (int64_t seconds = 2; seconds <= 130; seconds += 32) {
        struct recording recording = {.n_samples = 20 * seconds * RATE, .every = seconds * RATE};
        size_t all = pack_all(&recording);
        assert_true(all >= (size_t)20 * RATE && all < (size_t)20 * 2 * RATE);
        assert_int_equal(recording.reached, recording.n_samples);
        printf("  a word every %d s: %.2f s back at most\n", (int)seconds,
               (double)recording.furthest / RATE);
        assert_true(recording.furthest < 5 * RATE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_silence_makes_no_read_go_back_far),
    };
    return cmocka_run_group_tests_name("recog packer", tests, NULL, NULL);
}
