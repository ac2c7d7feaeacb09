/* Word alignment of a fixed text against the original's: the cross-attention matrix after median
 * filter, the path of the warping, and the words' probabilities. At every level of this machine. */
#include <math.h>

#include "base/json.h"
#include "recog/words/align.h"
#include "support/support.h"

enum { N_TEXT = 25, N_FRAMES = 550, N_PREFIX = 3, MAX_TOKENS = 64 };

static const int32_t prefix[N_PREFIX] = {50258, 50259, 50359};
enum { NO_TIMESTAMPS = 50363, EOT = 50257 };

struct rig {
    struct au_pool *pool;
    struct whisper_model *model;
    struct whisper_window *window;
    struct whisper_cells *kv;
    struct recog_cells *cells;
    struct tensor_workspace ws;
    struct recog_align *align;
    int32_t text[N_TEXT];
};

static void read_text(const struct au_json *json, int32_t *text)
{
    const struct au_json *tokens = au_json_get(json, "text_tokens");
    assert_int_equal(au_json_size(tokens), N_TEXT);
    for (size_t i = 0; i < N_TEXT; i++)
        text[i] = (int32_t)au_json_int(au_json_item(tokens, i), -1);
}

static void rig_open(struct rig *rig, enum kern_level level)
{
    char *path = au_test_fixture("whisper-micro/ggml-model-f16.bin");
    struct au_fault fault = {0};
    struct format_weights *weights;

    au_test_ok(format_weights_open(path, &weights, &fault), &fault);
    au_test_ok(au_pool_create(2, &rig->pool), NULL);
    au_test_ok(
        whisper_model_create(weights, kern_select(level), KERN_F32, rig->pool, &rig->model, &fault),
        &fault);
    format_weights_close(weights);
    au_free(path);
    au_test_ok(whisper_window_create(rig->model, &rig->window), NULL);
    au_test_ok(whisper_cells_create(rig->model, MAX_TOKENS, &rig->kv), NULL);
    au_test_ok(recog_cells_create(MAX_TOKENS, &rig->cells), NULL);
    assert_true(recog_cells_reserve(rig->cells, MAX_TOKENS));
    size_t encode = whisper_plan_encode(rig->model, 2, 1);
    size_t decode = whisper_plan_decode(rig->model, 2, MAX_TOKENS, MAX_TOKENS);
    au_test_ok(tensor_workspace_create(&rig->ws, encode > decode ? encode : decode), NULL);
    au_test_ok(recog_align_create(rig->model, rig->cells, &rig->align), NULL);
}

static void rig_close(struct rig *rig)
{
    recog_align_destroy(rig->align);
    tensor_workspace_deinit(&rig->ws);
    recog_cells_destroy(rig->cells);
    whisper_cells_destroy(rig->kv);
    whisper_window_destroy(rig->window);
    whisper_model_destroy(rig->model);
    au_pool_destroy(rig->pool);
}

static void encode_jfk(struct rig *rig)
{
    struct au_test_npy mel = au_test_npy_fixture("whisper-micro/ref/mel.npy");
    float *rows = au_alloc_array(mel.n, sizeof *rows);

    assert_non_null(rows);
    for (size_t t = 0; t < 3000; t++)
        for (size_t m = 0; m < 80; m++)
            rows[t * 80 + m] = mel.f32[m * 3000 + t];
    const float *mels[] = {rows};
    whisper_encode(rig->model, rig->pool, &rig->ws, 1, mels, &rig->window, NULL);
    au_free(rows);
    au_test_npy_free(&mel);
}

/* What the engine does with a unit's targets: probabilities among the ids below target_below. */
static void pick_targets(const struct kern_ops *ops, struct recog_row *row, size_t vocab)
{
    for (int i = 0; i < row->n_targets; i++) {
        const float *logits = row->model.logits + (size_t)i * vocab;
        float sum = ops->log_sum_exp(logits, (size_t)row->target_below);
        row->target_prob[i] = row->targets[i] < row->target_below
                                  ? expf(logits[row->targets[i]] - sum)
                                  : 0.0F;
    }
}

static void run_align(struct rig *rig, const struct kern_ops *ops)
{
    struct recog_align_config config = {
        .window = rig->window,
        .prefix = prefix,
        .n_prefix = N_PREFIX,
        .no_timestamps = NO_TIMESTAMPS,
        .eot = EOT,
        .text = rig->text,
        .n_text = N_TEXT,
        .n_frames = N_FRAMES,
    };
    size_t vocab = (size_t)whisper_model_dims(rig->model)->n_vocab, n_rows;
    float *logits = au_alloc_array(MAX_TOKENS * vocab, sizeof *logits);
    struct recog_row *rows;

    assert_non_null(logits);
    au_test_ok(recog_align_begin(rig->align, &config), NULL);
    while (recog_align_next(rig->align, &rows, &n_rows)) {
        assert_int_equal(n_rows, 1);
        rows->model.logits = logits;
        whisper_decode(rig->model, rig->pool, &rig->ws, rig->kv, 1, &rows->model);
        pick_targets(ops, rows, vocab);
        recog_align_complete(rig->align, ops);
    }
    assert_true(recog_align_finished(rig->align));
    assert_int_equal(recog_cells_in_use(rig->cells), 0);
    au_free(logits);
}

static void compare_frames(const struct rig *rig)
{
    struct au_test_npy path = au_test_npy_fixture("whisper-micro/ref/align_path.npy");
    size_t steps = path.shape[1];

    for (size_t i = steps; i-- > 0;) {
        int32_t token = path.i32[i];
        if (i > 0 && path.i32[i - 1] == token)
            continue; /* not where the token begins */
        assert_int_equal(recog_align_frame(rig->align, (size_t)token), path.i32[steps + i]);
    }
    au_test_npy_free(&path);
}

static void compare_words(const struct rig *rig, const struct au_json *words)
{
    size_t token = 0;

    for (size_t i = 0; i < au_json_size(words); i++) {
        const struct au_json *word = au_json_item(words, i);
        size_t n = au_json_size(au_json_get(word, "tokens"));
        double sum = 0.0, want = au_json_number(au_json_get(word, "probability"), -1.0);
        double start = 0.02 * recog_align_frame(rig->align, token);
        assert_true(fabs(start - au_json_number(au_json_get(word, "start"), -1.0)) < 1e-6);
        for (size_t j = 0; j < n; j++, token++)
            sum += (double)recog_align_probability(rig->align, token);
        assert_true(fabs(sum / (double)n - want) <= 1e-3 * want);
    }
    assert_int_equal(token, N_TEXT);
}

static void alignment_equals_reference(void **state)
{
    char *path = au_test_fixture("whisper-micro/ref/align.json");
    struct au_test_npy want = au_test_npy_fixture("whisper-micro/ref/align_matrix.npy");
    struct au_json *json;
    struct au_fault fault = {0};
    (void)state;

    au_test_ok(au_json_read(path, 1 << 20, &json, &fault), &fault);
    assert_int_equal(want.n, (N_TEXT + 1) * N_FRAMES);
    for (int level = KERN_GENERIC; level <= KERN_AMX; level++) {
        struct rig rig = {0};
        if (!kern_level_usable((enum kern_level)level))
            continue;
        printf("  at %s\n", kern_level_name((enum kern_level)level));
        rig_open(&rig, (enum kern_level)level);
        read_text(json, rig.text);
        encode_jfk(&rig);
        run_align(&rig, kern_select((enum kern_level)level));
        au_test_close(recog_align_matrix(rig.align), want.f32, want.n, 1e-4);
        compare_frames(&rig);
        compare_words(&rig, au_json_get(json, "words"));
        rig_close(&rig);
    }
    au_json_free(json);
    au_test_npy_free(&want);
    au_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment_equals_reference),
    };
    return cmocka_run_group_tests_name("golden align", tests, NULL, NULL);
}
