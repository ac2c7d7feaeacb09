/* Silero on made-up weights, narrower than the published ones: streams do not depend on each other,
 * damaged files are refused in sentences, running out of memory is an error.                     */
#include "model/silero/parts.h"
#include "support/support.h"
#include "support/tensors.h"

/* A model of hidden width 24 for 16 kHz; `bend` names a tensor that gets one row more and `skip`
 * one that is left out.                                                                          */
static char *make_file(const char *folder, const char *skip, const char *bend)
{
    static const struct {
        const char *name;
        int n_dims;
        size_t shape[3];
    } parts[] = {
        {"stft_conv.weight", 3, {258, 1, 256}},
        {"conv1.weight", 3, {16, 129, 3}},
        {"conv1.bias", 1, {16}},
        {"conv2.weight", 3, {8, 16, 3}},
        {"conv2.bias", 1, {8}},
        {"conv3.weight", 3, {12, 8, 3}},
        {"conv3.bias", 1, {12}},
        {"conv4.weight", 3, {20, 12, 3}},
        {"conv4.bias", 1, {20}},
        {"lstm_cell.weight_ih", 2, {96, 20}},
        {"lstm_cell.weight_hh", 2, {96, 24}},
        {"lstm_cell.bias_ih", 1, {96}},
        {"lstm_cell.bias_hh", 1, {96}},
        {"final_conv.weight", 3, {1, 24, 1}},
        {"final_conv.bias", 1, {1}},
    };
    struct au_test_tensors *t = au_test_tensors_new();
    struct au_test_random random = {5};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t shape[3], n = 1;
        memcpy(shape, parts[i].shape, sizeof shape);
        if (skip && strcmp(skip, parts[i].name) == 0)
            continue;
        if (bend && strcmp(bend, parts[i].name) == 0)
            shape[0]++;
        for (int j = 0; j < parts[i].n_dims; j++)
            n *= shape[j];
        float *x = au_test_tensors_add(t, parts[i].name, parts[i].n_dims, shape);
        au_test_random_fill(&random, x, n);
        for (size_t j = 0; j < n; j++)
            x[j] *= 0.3F;
    }
    char *path = au_test_tensors_write(t, folder, "silero.safetensors");
    au_test_tensors_free(t);
    return path;
}

static enum auricle_error load(const char *path, struct silero_model **out, struct au_fault *fault)
{
    struct format_weights *weights;
    au_test_ok(format_weights_open(path, &weights, fault), fault);
    enum auricle_error error = silero_model_create(weights, kern_select(au_test_level()), out,
                                                   fault);
    format_weights_close(weights);
    return error;
}

static void streams_do_not_depend_on_each_other(void **state)
{
    enum { STREAMS = 3, CHUNKS = 5 };
    static float sound[STREAMS][CHUNKS][512];
    float alone[STREAMS][CHUNKS], together[STREAMS];
    char *folder = au_test_scratch_folder(), *path = make_file(folder, NULL, NULL);
    struct au_test_random random = {77};
    struct silero_state stream[STREAMS];
    struct silero_model *model;
    struct tensor_workspace ws;
    struct au_fault fault = {0};
    (void)state;

    au_test_ok(load(path, &model, &fault), &fault);
    assert_int_equal(silero_rate_hz(model), 16000);
    au_test_random_fill(&random, &sound[0][0][0], sizeof sound / sizeof(float));
    au_test_ok(tensor_workspace_create(&ws, silero_plan(model, STREAMS)), NULL);
    for (size_t s = 0; s < STREAMS; s++) {
        struct silero_state *one = &stream[s];
        silero_state_reset(one);
        for (size_t c = 0; c < CHUNKS; c++) {
            const float *chunk = sound[s][c];
            silero_run(model, &ws, 1, &chunk, &one, &alone[s][c]);
            assert_true(alone[s][c] > 0.0F && alone[s][c] < 1.0F);
        }
    }
    assert_true(alone[0][0] != alone[0][1]); /* the weights do something */
    for (size_t s = 0; s < STREAMS; s++)
        silero_state_reset(&stream[s]);
    for (size_t c = 0; c < CHUNKS; c++) { /* in another order, too */
        const float *chunks[] = {sound[2][c], sound[0][c], sound[1][c]};
        struct silero_state *states[] = {&stream[2], &stream[0], &stream[1]};
        silero_run(model, &ws, STREAMS, chunks, states, together);
        assert_memory_equal(&together[0], &alone[2][c], sizeof(float));
        assert_memory_equal(&together[1], &alone[0][c], sizeof(float));
        assert_memory_equal(&together[2], &alone[1][c], sizeof(float));
    }
    tensor_workspace_deinit(&ws);
    silero_model_destroy(model);
    au_free(path);
    au_test_scratch_remove(folder);
}

static void damaged_models_are_refused_by_tensor_name(void **state)
{
    static const struct {
        const char *skip, *bend;
        enum auricle_error code;
        const char *words;
    } cases[] = {
        {"conv3.bias", NULL, AURICLE_E_NOT_FOUND, "'conv3.bias' is missing"},
        {"stft_conv.weight", NULL, AURICLE_E_UNSUPPORTED, "not a Silero"},
        {NULL, "stft_conv.weight", AURICLE_E_UNSUPPORTED, "259 filters"},
        {NULL, "conv1.weight", AURICLE_E_SHAPE, "'conv1.bias'"},
        {NULL, "conv4.bias", AURICLE_E_SHAPE, "[21]"},
        {NULL, "lstm_cell.weight_ih", AURICLE_E_UNSUPPORTED, "97 rows"},
        {NULL, "lstm_cell.weight_hh", AURICLE_E_SHAPE, "[97, 24]"},
        {NULL, "final_conv.weight", AURICLE_E_SHAPE, "[2, 24, 1]"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *folder = au_test_scratch_folder();
        char *path = make_file(folder, cases[i].skip, cases[i].bend);
        struct silero_model *model = NULL;
        struct au_fault fault = {0};
        assert_int_equal(load(path, &model, &fault), cases[i].code);
        assert_null(model);
        if (!strstr(fault.text, cases[i].words))
            fail_msg("'%s' does not say '%s'", fault.text, cases[i].words);
        au_free(path);
        au_test_scratch_remove(folder);
    }
}

static enum auricle_error load_and_drop(void *weights)
{
    struct silero_model *model = NULL;
    enum auricle_error error = silero_model_create(weights, kern_select(au_test_level()), &model,
                                                   NULL);
    silero_model_destroy(model);
    return error;
}

static void running_out_of_memory_is_an_ordinary_error(void **state)
{
    char *folder = au_test_scratch_folder(), *path = make_file(folder, NULL, NULL);
    struct format_weights *weights;
    struct au_fault fault = {0};
    (void)state;

    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    assert_true(au_test_fail_each_allocation(load_and_drop, weights, 500) > 10);
    format_weights_close(weights);
    au_free(path);
    au_test_scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_do_not_depend_on_each_other),
        cmocka_unit_test(damaged_models_are_refused_by_tensor_name),
        cmocka_unit_test(running_out_of_memory_is_an_ordinary_error),
    };
    return cmocka_run_group_tests_name("model silero", tests, NULL, NULL);
}
