/* Voice activity against the original's own functions: get_speech_timestamps for every parameter
 * set and the events of VADIterator, from the recordings, through three weight files. Exact.     */
#include <math.h>

#include "base/json.h"
#include "recog/voice/vad.h"
#include "support/support.h"

static const struct {
    const char *key, *weights, *sound;
} sets[] = {
    {"16k_v62", "silero-vad/silero_vad_16k_v62.safetensors", "silero-vad/test_16k.flac"},
    {"8k_v62", "silero-vad/silero_vad_8k_v62.safetensors", "silero-vad/test_8k_30s.flac"},
    {"16k_repo_safetensors", "silero-vad/silero_vad_16k.safetensors", "silero-vad/test_16k.flac"},
};
#define N_SETS (sizeof sets / sizeof sets[0])

static struct silero_model *load(const char *name)
{
    char *path = au_test_fixture(name);
    struct au_fault fault = {0};
    struct format_weights *weights;
    struct silero_model *model;

    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    au_test_ok(silero_model_create(weights, kern_select(KERN_N_LEVELS), &model, &fault), &fault);
    format_weights_close(weights);
    au_free(path);
    return model;
}

static struct au_json *expected(void)
{
    char *path = au_test_fixture("silero-vad/timestamps.json");
    struct au_json *json;
    struct au_fault fault = {0};

    au_test_ok(au_json_read(path, 1 << 20, &json, &fault), &fault);
    au_free(path);
    return json;
}

static struct recog_vad_options options_of(const struct au_json *params)
{
    struct recog_vad_options o = RECOG_VAD_DEFAULT;

    o.threshold = au_json_number(au_json_get(params, "threshold"), o.threshold);
    o.neg_threshold = au_json_number(au_json_get(params, "neg_threshold"), o.neg_threshold);
    o.min_speech_ms = au_json_number(au_json_get(params, "min_speech_duration_ms"),
                                     o.min_speech_ms);
    o.max_speech_s = au_json_number(au_json_get(params, "max_speech_duration_s"), o.max_speech_s);
    o.min_silence_ms = au_json_number(au_json_get(params, "min_silence_duration_ms"),
                                      o.min_silence_ms);
    o.speech_pad_ms = au_json_number(au_json_get(params, "speech_pad_ms"), o.speech_pad_ms);
    o.cut_at_longest_silence = au_json_bool(au_json_get(params, "use_max_poss_sil_at_max_speech"),
                                            o.cut_at_longest_silence);
    return o;
}

struct spans {
    const struct au_json *want;
    size_t n;
};

static void take_spans(struct recog_vad *vad, struct spans *spans)
{
    struct recog_speech speech;

    while (recog_vad_next(vad, &speech)) {
        const struct au_json *want = au_json_item(spans->want, spans->n++);
        assert_int_equal(speech.start, au_json_int(au_json_get(want, "start"), -1));
        assert_int_equal(speech.end, au_json_int(au_json_get(want, "end"), -1));
    }
}

/* Feed in uneven pieces, as a pipe would. */
static void compare_spans(const struct silero_model *model, const float *samples, size_t n,
                          const struct au_json *entry)
{
    struct recog_vad_config config = {
        .model = model,
        .options = options_of(au_json_get(entry, "params")),
    };
    struct spans spans = {au_json_get(entry, "samples"), 0};
    struct au_fault fault = {0};
    struct recog_vad *vad;

    au_test_ok(recog_vad_create(&config, &vad, &fault), &fault);
    for (size_t at = 0, piece = 1; at < n; piece = piece * 7 % 1601) {
        size_t now = n - at < piece ? n - at : piece;
        at += recog_vad_feed(vad, samples + at, now);
        take_spans(vad, &spans);
    }
    recog_vad_finish(vad);
    take_spans(vad, &spans);
    assert_int_equal(spans.n, au_json_size(spans.want));
    recog_vad_destroy(vad);
}

static void spans_equal_get_speech_timestamps(void **state)
{
    struct au_json *json = expected();
    (void)state;

    for (size_t i = 0; i < N_SETS; i++) {
        const struct au_json *set = au_json_get(json, sets[i].key);
        struct silero_model *model = load(sets[i].weights);
        char *path = au_test_fixture(sets[i].sound);
        size_t n, compared = 0;
        float *samples = au_test_sound(path, &n);

        for (size_t j = 0; j < au_json_size(set); j++) {
            const char *name;
            const struct au_json *entry = au_json_member(set, j, &name);
            if (!au_json_get(entry, "samples"))
                continue;
            printf("  %s %s\n", sets[i].key, name);
            compare_spans(model, samples, n, entry);
            compared++;
        }
        assert_int_equal(compared, 6);
        au_free(samples);
        au_free(path);
        silero_model_destroy(model);
    }
    au_json_free(json);
}

static void events_equal_vad_iterator(void **state)
{
    static const char *const probs[N_SETS] = {"silero-vad/probs_16k_v62.npy",
                                              "silero-vad/probs_8k_v62.npy",
                                              "silero-vad/probs_16k_repo_safetensors.npy"};
    struct au_json *json = expected();
    struct recog_vad_options options = RECOG_VAD_DEFAULT;
    (void)state;

    for (size_t i = 0; i < N_SETS; i++) {
        const struct au_json *set = au_json_get(json, sets[i].key);
        const struct au_json *events = au_json_get(au_json_get(set, "vad_iterator_default"),
                                                   "events");
        struct au_test_npy p = au_test_npy_fixture(probs[i]);
        struct recog_vad_iterator iterator;
        int rate = i == 1 ? 8000 : 16000;
        size_t chunk = (size_t)rate / 1000 * 32, seen = 0;

        recog_vad_iterator_init(&iterator, &options, rate, chunk);
        for (size_t c = 0; c < p.n; c++) {
            int64_t sample = -1;
            enum recog_vad_event event = recog_vad_iterator_feed(&iterator, (double)p.f32[c],
                                                                 &sample);
            if (event == RECOG_VAD_NOTHING)
                continue;
            const struct au_json *want = au_json_item(events, seen++);
            const char *key = event == RECOG_VAD_START ? "start" : "end";
            assert_int_equal(au_json_int(au_json_get(want, "at_sample"), -1), (c + 1) * chunk);
            assert_int_equal(au_json_int(au_json_get(want, key), -1), sample);
        }
        assert_int_equal(seen, au_json_size(events));
        assert_true(seen > 10);
        au_test_npy_free(&p);
    }
    au_json_free(json);
}

/* The gate alone on a real recording: it must find most of what Silero calls speech. */
static void energy_gate_agrees_with_silero_on_clean_speech(void **state)
{
    struct au_test_npy p = au_test_npy_fixture("silero-vad/probs_16k_v62.npy");
    char *path = au_test_fixture("silero-vad/test_16k.flac");
    struct recog_vad_energy energy = RECOG_VAD_ENERGY_DEFAULT;
    size_t n, sure = 0, found = 0;
    float *samples = au_test_sound(path, &n);
    (void)state;

    for (size_t c = 0; (c + 1) * 512 <= n; c++) {
        if (p.f32[c] < 0.9F)
            continue;
        sure++;
        found += recog_vad_energy_passes(&energy, 16000, samples + c * 512, 512);
    }
    printf("  gate passes %zu of %zu sure chunks\n", found, sure);
    assert_true(found * 100 >= sure * 90);
    au_free(samples);
    au_free(path);
    au_test_npy_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_equal_get_speech_timestamps),
        cmocka_unit_test(events_equal_vad_iterator),
        cmocka_unit_test(energy_gate_agrees_with_silero_on_clean_speech),
    };
    return cmocka_run_group_tests_name("golden vad", tests, NULL, NULL);
}
