/* Silero against the official model: every stage of the first chunks, every probability of a
 * minute, at every instruction level of this machine, from three weight files.                   */
#include "model/silero/parts.h"
#include "support/support.h"

struct published {
    const char *weights, *sound, *probs, *stages;
    int rate_hz;
};

static const struct published published[] = {
    {"silero_vad_16k_v62.safetensors", "test_16k.flac", "probs_16k_v62.npy", "16k_v62", 16000},
    {"silero_vad_8k_v62.safetensors", "test_8k_30s.flac", "probs_8k_v62.npy", "8k_v62", 8000},
    {"silero_vad_16k.safetensors", "test_16k.flac", "probs_16k_repo_safetensors.npy",
     "16k_repo_safetensors", 16000},
};

static char *fixture(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "silero-vad/%s", name);
    return au_test_fixture(path);
}

static struct silero_model *load(const char *name, enum kern_level level)
{
    char *path = fixture(name);
    struct au_fault fault = {0};
    struct format_weights *weights;
    struct silero_model *model;

    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    au_test_ok(silero_model_create(weights, kern_select(level), &model, &fault), &fault);
    format_weights_close(weights);
    au_free(path);
    return model;
}

/* Chunk c of a sound; the last one is filled with zeros. */
static const float *chunk_at(const float *samples, size_t n, size_t chunk, size_t c, float *last)
{
    if ((c + 1) * chunk <= n)
        return samples + c * chunk;
    memset(last, 0, chunk * sizeof *last);
    memcpy(last, samples + c * chunk, (n - c * chunk) * sizeof *last);
    return last;
}

static void probabilities_equal_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        char name[64], *path = fixture(published[i].sound);
        size_t n;
        float *samples = au_test_sound(path, &n), last[512], *probs;
        snprintf(name, sizeof name, "silero-vad/%s", published[i].probs);
        struct au_test_npy want = au_test_npy_fixture(name);
        probs = au_alloc_array(want.n, sizeof *probs);
        for (int level = KERN_GENERIC; level <= KERN_AMX; level++) {
            if (!kern_level_usable((enum kern_level)level))
                continue;
            struct silero_model *model = load(published[i].weights, (enum kern_level)level);
            size_t chunk = silero_chunk_samples(model);
            assert_int_equal(silero_rate_hz(model), published[i].rate_hz);
            assert_int_equal((n + chunk - 1) / chunk, want.n);
            struct tensor_workspace ws;
            struct silero_state stream, *streams[] = {&stream};
            silero_state_reset(&stream);
            au_test_ok(tensor_workspace_create(&ws, silero_plan(model, 1)), NULL);
            for (size_t c = 0; c < want.n; c++) {
                const float *now = chunk_at(samples, n, chunk, c, last);
                silero_run(model, &ws, 1, &now, streams, probs + c);
            }
            au_test_close(probs, want.f32, want.n, 1e-5);
            tensor_workspace_deinit(&ws);
            silero_model_destroy(model);
        }
        au_free(probs);
        au_test_npy_free(&want);
        au_free(samples);
        au_free(path);
    }
}

/* ---- Stages ---------------------------------------------------------------------------------- */

struct stage_check {
    const struct published *set;
    size_t chunk;
};

/* x is [frames, width] of one stream; the fixture [3, width, frames]. */
static void compare_stage(void *context, const char *name, const float *x, size_t frames,
                          size_t width)
{
    const struct stage_check *check = context;
    bool joined = strcmp(name, "joined") == 0; /* after the last convolution, beside h */
    char path[128];

    snprintf(path, sizeof path, "silero-vad/chunks012/%s_%s.npy", check->set->stages,
             joined ? "conv4" : name);
    struct au_test_npy want = au_test_npy_fixture(path);
    if (joined)
        width = want.shape[1];
    assert_int_equal(want.n, 3 * width * frames);
    for (size_t t = 0; t < frames; t++)
        for (size_t i = 0; i < width; i++) {
            float expected = want.f32[(check->chunk * width + i) * frames + t];
            float got = x[t * width + i];
            if (!(got - expected < 2e-5F && expected - got < 2e-5F))
                fail_msg("%s frame %zu channel %zu: %.7f, expected %.7f", path, t, i, (double)got,
                         (double)expected);
        }
    au_test_npy_free(&want);
}

static void compare_memory(const struct published *set, size_t chunk, const char *name,
                           const float *got)
{
    char path[128];
    snprintf(path, sizeof path, "silero-vad/chunks012/%s_%s.npy", set->stages, name);
    struct au_test_npy want = au_test_npy_fixture(path);
    au_test_close(got, want.f32 + chunk * want.shape[1], want.shape[1], 1e-5);
    au_test_npy_free(&want);
}

static void every_stage_equals_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        struct silero_model *model = load(published[i].weights, au_test_level());
        char *path = fixture(published[i].sound);
        size_t n, chunk = silero_chunk_samples(model);
        float *samples = au_test_sound(path, &n), probability;
        struct tensor_workspace ws;
        struct silero_state stream, *streams[] = {&stream};
        struct stage_check check = {&published[i], 0};
        struct silero_trace trace = {compare_stage, &check};

        silero_state_reset(&stream);
        au_test_ok(tensor_workspace_create(&ws, silero_plan(model, 1)), NULL);
        for (; check.chunk < 3; check.chunk++) {
            const float *now = samples + check.chunk * chunk;
            silero_run_traced(model, &ws, 1, &now, streams, &probability, &trace);
            compare_memory(&published[i], check.chunk, "h", stream.h);
            compare_memory(&published[i], check.chunk, "c", stream.c);
        }
        tensor_workspace_deinit(&ws);
        au_free(samples);
        au_free(path);
        silero_model_destroy(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_equals_reference),
        cmocka_unit_test(probabilities_equal_reference),
    };
    return cmocka_run_group_tests_name("golden silero", tests, NULL, NULL);
}
