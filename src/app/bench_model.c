/* The stages of one window through a model: log-mel, encoder, keys and values for the decoder, a
 * prompt, and steps of 1 to 64 hypotheses. The sound is noise: the time does not depend on it.   */
#include <string.h>

#include "app/bench.h"
#include "audio/mel.h"
#include "base/mem.h"

#define N_WINDOWS      8
#define MOST_ROWS      64
#define PROMPT_TOKENS  4
#define PAST_TOKENS    64 /* tokens before a measured step */
#define ROW_CELLS      (PAST_TOKENS + 1)
#define STEP_REPEATS   10 /* steps per iteration: they are short */
#define WINDOW_SAMPLES 480000

/* Everything the stages work on. */
struct bench {
    const struct whisper_model *model;
    const struct whisper_dims *dims;
    struct au_pool *pool;
    struct tensor_workspace ws;
    struct audio_mel *filters;
    struct whisper_cells *cells;
    struct whisper_window *windows[N_WINDOWS];
    float *samples, *mel, *encoded, *logits;
    int32_t *cell_numbers; /* [MOST_ROWS][ROW_CELLS] */
    int32_t tokens[PROMPT_TOKENS];
    struct whisper_row rows[MOST_ROWS];
    size_t n_rows;
};

static void destroy(struct bench *b)
{
    tensor_workspace_deinit(&b->ws);
    audio_mel_destroy(b->filters);
    whisper_cells_destroy(b->cells);
    for (size_t i = 0; i < N_WINDOWS; i++)
        whisper_window_destroy(b->windows[i]);
    au_free(b->samples);
    au_free(b->mel);
    au_free(b->encoded);
    au_free(b->logits);
    au_free(b->cell_numbers);
}

static enum auricle_error create_buffers(struct bench *b, const struct kern_ops *ops)
{
    const struct whisper_dims *dims = b->dims;
    int threads = au_pool_threads(b->pool);
    size_t encode = whisper_plan_encode(b->model, threads, 1);
    size_t decode = whisper_plan_decode(b->model, threads, MOST_ROWS, MOST_ROWS);
    size_t frames = 2 * (size_t)dims->n_audio_ctx;
    enum auricle_error error = tensor_workspace_create(&b->ws, encode > decode ? encode : decode);
    if (!error)
        error = audio_mel_create(dims->n_mels, ops, &b->filters);
    if (!error)
        error = whisper_cells_create(b->model, MOST_ROWS * ROW_CELLS, &b->cells);
    for (size_t i = 0; i < N_WINDOWS && !error; i++)
        error = whisper_window_create(b->model, &b->windows[i]);
    b->samples = au_alloc_array(WINDOW_SAMPLES, sizeof(float));
    b->mel = au_alloc_array((frames > 3000 ? frames : 3000) * (size_t)dims->n_mels, sizeof(float));
    b->encoded = au_alloc_array((size_t)dims->n_audio_ctx * (size_t)dims->n_audio_state,
                                sizeof(float));
    b->logits = au_alloc_array((size_t)MOST_ROWS * (size_t)dims->n_vocab, sizeof(float));
    b->cell_numbers = au_alloc_array((size_t)MOST_ROWS * ROW_CELLS, sizeof(int32_t));
    if (!b->samples || !b->mel || !b->encoded || !b->logits || !b->cell_numbers)
        error = AURICLE_E_NOMEM;
    return error;
}

static void fill_samples(float *samples)
{
    uint32_t state = 1;
    for (size_t i = 0; i < WINDOW_SAMPLES; i++) {
        state = state * 1664525U + 1013904223U;
        samples[i] = 0.1F * ((float)(state >> 8) * 0x1p-23F - 1.0F);
    }
}

/* ---- Stages --------------------------------------------------------------------------------- */

static void run_mel(void *context)
{
    struct bench *b = context;
    audio_mel_window(b->filters, b->samples, WINDOW_SAMPLES, b->mel);
}

static void run_encoder(void *context)
{
    struct bench *b = context;
    const float *mels[] = {b->mel};
    float *out[] = {b->encoded};
    whisper_encode(b->model, b->pool, &b->ws, 1, mels, NULL, out);
}

static void run_cross(void *context)
{
    struct bench *b = context;
    whisper_encode_cross(b->model, b->pool, &b->ws, b->encoded, b->windows[0]);
}

static void run_rows(void *context)
{
    struct bench *b = context;
    whisper_decode(b->model, b->pool, &b->ws, b->cells, b->n_rows, b->rows);
}

static void set_rows(struct bench *b, size_t n_rows, size_t n_windows, int n_tokens, int n_past)
{
    b->n_rows = n_rows;
    for (size_t r = 0; r < n_rows; r++)
        b->rows[r] = (struct whisper_row){
            /* Rows of a window stand together, as in use. */
            .window = b->windows[r * n_windows / n_rows],
            .tokens = b->tokens,
            .cells = b->cell_numbers + r * ROW_CELLS,
            .n_tokens = n_tokens,
            .n_past = n_past,
            .n_logits = 1,
            .logits = b->logits + r * (size_t)b->dims->n_vocab,
        };
}

/* ---- Work ----------------------------------------------------------------------------------- */

static double encoder_operations(const struct whisper_dims *dims)
{
    double n = dims->n_audio_ctx, d = dims->n_audio_state;
    double convolutions = 2.0 * n * 3.0 * dims->n_mels * d + n * 3.0 * d * d;
    double layer = n * 12.0 * d * d + 2.0 * n * n * d;
    return 2.0 * (convolutions + dims->n_audio_layer * layer);
}

static double cross_operations(const struct whisper_dims *dims)
{
    double d = dims->n_text_state;
    return 2.0 * dims->n_text_layer * (double)dims->n_audio_ctx * 2.0 * d * d;
}

static double type_bytes(enum kern_type type)
{
    return type == KERN_INT8 ? 1.0 : type == KERN_BF16 ? 2.0 : 4.0;
}

/* Weights of all decoder layers and the vocabulary, keys and values of the windows, cells. */
static double step_bytes(const struct bench *b, double n_windows, double n_rows)
{
    const struct whisper_dims *dims = b->dims;
    double d = dims->n_text_state, layers = dims->n_text_layer;
    double weights = layers * 14.0 * d * d + dims->n_vocab * d;
    double cross = layers * 2.0 * dims->n_audio_ctx * d * n_windows;
    double cells = layers * 2.0 * PAST_TOKENS * d * n_rows * 4.0;
    return (weights + cross) * type_bytes(whisper_model_type(b->model)) + cells;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static struct bench_stage *next_stage(struct bench_stages *out)
{
    struct bench_stage *stage = &out->stage[out->n++];
    *stage = (struct bench_stage){0};
    return stage;
}

static void measure_steps(struct bench *b, int iterations, struct bench_stages *out)
{
    static const struct {
        const char *name;
        size_t n_rows, n_windows;
    } steps[] = {{"step_b1", 1, 1},
                 {"step_b5", 5, 1},
                 {"step_b8", 8, 8},
                 {"step_b16", 16, 8},
                 {"step_b64", 64, 8}};

    set_rows(b, 1, 1, PROMPT_TOKENS, 0);
    bench_time(next_stage(out), "prompt", iterations, run_rows, b);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct bench_stage *stage = next_stage(out);
        set_rows(b, steps[i].n_rows, steps[i].n_windows, 1, PAST_TOKENS);
        run_rows(b);
        bench_time(stage, steps[i].name, STEP_REPEATS * iterations, run_rows, b);
        stage->bytes = step_bytes(b, (double)steps[i].n_windows, (double)steps[i].n_rows);
    }
}

static void measure(struct bench *b, int iterations, struct bench_stages *out)
{
    bench_time(next_stage(out), "mel", iterations, run_mel, b);
    struct bench_stage *encoder = next_stage(out);
    run_encoder(b);
    bench_time(encoder, "encoder", iterations, run_encoder, b);
    encoder->operations = encoder_operations(b->dims);
    struct bench_stage *cross = next_stage(out);
    bench_time(cross, "cross_kv", iterations, run_cross, b);
    cross->operations = cross_operations(b->dims);
    for (size_t i = 1; i < N_WINDOWS; i++)
        whisper_encode_cross(b->model, b->pool, &b->ws, b->encoded, b->windows[i]);
    measure_steps(b, iterations, out);
}

enum auricle_error bench_model(const struct whisper_model *model, const struct kern_ops *ops,
                               struct au_pool *pool, int iterations, struct bench_stages *out)
{
    struct bench b = {.model = model, .dims = whisper_model_dims(model), .pool = pool};
    enum auricle_error error = create_buffers(&b, ops);
    if (!error) {
        fill_samples(b.samples);
        for (size_t i = 0; i < (size_t)MOST_ROWS * ROW_CELLS; i++)
            b.cell_numbers[i] = (int32_t)i;
        for (int i = 0; i < PROMPT_TOKENS; i++)
            b.tokens[i] = i + 1;
        measure(&b, iterations, out);
    }
    destroy(&b);
    return error;
}
