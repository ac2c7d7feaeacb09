/* Cross-attention word alignment. See align.h. */
#include "recog/words/align.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "recog/words/dtw.h"

enum {
    CHUNK = 16, /* tokens per decoder row: bounds the logits and scores held at once */
    MEDIAN_WIDTH = 7,
};

struct recog_align {
    struct recog_align_config config;
    struct recog_cells *cells;
    size_t n_heads, n_audio_ctx, n_text_ctx;
    int32_t *tokens, *cell_list; /* [n_text_ctx] */
    float *probability;          /* [n_text_ctx] of the token after position i */
    float *chunk_scores;         /* [n_heads, CHUNK, n_audio_ctx] */
    float *scores;               /* [n_heads, n_text_ctx, n_audio_ctx], rows packed to n_frames */
    float *matrix;               /* [n_text_ctx, n_audio_ctx], rows packed to n_frames */
    int32_t *path_rows, *path_columns; /* [n_text_ctx + n_audio_ctx] */
    int32_t *start;                    /* [n_text_ctx] first frame of each matrix row */
    void *scratch;
    struct recog_row row;
    size_t n_tokens, n_done;
    bool finished;
};

enum auricle_error recog_align_create(const struct whisper_model *model, struct recog_cells *cells,
                                      struct recog_align **out)
{
    const struct whisper_dims *dims = whisper_model_dims(model);
    struct recog_align *a = au_calloc(1, sizeof(*a));
    if (!a)
        return AURICLE_E_NOMEM;
    (void)whisper_alignment_heads(model, &a->n_heads);
    size_t n_ctx = a->n_text_ctx = (size_t)dims->n_text_ctx,
           n_audio = a->n_audio_ctx = (size_t)dims->n_audio_ctx;
    a->cells = cells;
    a->tokens = au_alloc_array(n_ctx, sizeof(int32_t));
    a->cell_list = au_alloc_array(n_ctx, sizeof(int32_t));
    a->probability = au_alloc_array(n_ctx, sizeof(float));
    a->start = au_alloc_array(n_ctx, sizeof(int32_t));
    a->path_rows = au_alloc_array(n_ctx + n_audio, sizeof(int32_t));
    a->path_columns = au_alloc_array(n_ctx + n_audio, sizeof(int32_t));
    a->chunk_scores = au_alloc_array(a->n_heads * CHUNK * n_audio, sizeof(float));
    a->scores = au_alloc_array(a->n_heads * n_ctx * n_audio, sizeof(float));
    a->matrix = au_alloc_array(n_ctx * n_audio, sizeof(float));
    a->scratch = au_alloc(recog_dtw_scratch_bytes(n_ctx, n_audio));
    bool ok = a->tokens && a->cell_list && a->probability && a->start && a->path_rows &&
              a->path_columns && a->chunk_scores && a->scores && a->matrix && a->scratch;
    if (!ok) {
        recog_align_destroy(a);
        return AURICLE_E_NOMEM;
    }
    a->finished = true;
    *out = a;
    return AURICLE_OK;
}

static void drop_cells(struct recog_align *a)
{
    recog_cells_unref(a->cells, a->cell_list, a->n_done);
    a->n_done = 0;
}

void recog_align_destroy(struct recog_align *a)
{
    if (!a)
        return;
    drop_cells(a);
    au_free(a->tokens);
    au_free(a->cell_list);
    au_free(a->probability);
    au_free(a->start);
    au_free(a->path_rows);
    au_free(a->path_columns);
    au_free(a->chunk_scores);
    au_free(a->scores);
    au_free(a->matrix);
    au_free(a->scratch);
    au_free(a);
}

void recog_align_begin(struct recog_align *a, const struct recog_align_config *config)
{
    assert(config->n_prefix + config->n_text + 2 <= a->n_text_ctx);
    assert(config->n_frames >= 1 && config->n_frames <= a->n_audio_ctx);
    drop_cells(a);
    a->config = *config;
    size_t n = config->n_prefix;
    memcpy(a->tokens, config->prefix, n * sizeof(int32_t));
    a->tokens[n++] = config->no_timestamps;
    if (config->n_text)
        memcpy(a->tokens + n, config->text, config->n_text * sizeof(int32_t));
    n += config->n_text;
    a->tokens[n++] = config->eot;
    a->n_tokens = n;
    a->finished = false;
}

bool recog_align_next(struct recog_align *a, struct recog_row **rows, size_t *n_rows)
{
    if (a->finished)
        return false;
    size_t left = a->n_tokens - a->n_done, n = left < CHUNK ? left : CHUNK;
    for (size_t i = 0; i < n; i++)
        a->cell_list[a->n_done + i] = recog_cells_take(a->cells);
    a->row = (struct recog_row){.no_speech = -1,
                                .targets = a->tokens + a->n_done + 1,
                                .target_prob = a->probability + a->n_done,
                                .n_targets = (int)(left > n ? n : n - 1),
                                .target_below = a->config.eot};
    a->row.model = (struct whisper_row){.window = a->config.window,
                                        .tokens = a->tokens + a->n_done,
                                        .cells = a->cell_list,
                                        .n_tokens = (int)n,
                                        .n_past = (int)a->n_done,
                                        .n_logits = (int)n,
                                        .cross_weights = a->chunk_scores};
    *rows = &a->row;
    *n_rows = 1;
    return true;
}

/* ---- From scores to the path ----------------------------------------------------------------- */

/* Standardise every column over the tokens. */
static void standardise(float *x, size_t n_rows, size_t n_columns)
{
    for (size_t c = 0; c < n_columns; c++) {
        double sum = 0, square = 0;
        for (size_t r = 0; r < n_rows; r++)
            sum += (double)x[r * n_columns + c];
        double mean = sum / (double)n_rows;
        for (size_t r = 0; r < n_rows; r++) {
            double d = (double)x[r * n_columns + c] - mean;
            square += d * d;
        }
        double scale = 1 / sqrt(square / (double)n_rows);
        for (size_t r = 0; r < n_rows; r++)
            x[r * n_columns + c] = (float)(((double)x[r * n_columns + c] - mean) * scale);
    }
}

static float median_of(const float *x, ptrdiff_t at, ptrdiff_t n)
{
    float window[MEDIAN_WIDTH];
    for (ptrdiff_t k = 0; k < MEDIAN_WIDTH; k++) {
        ptrdiff_t i = at + k - MEDIAN_WIDTH / 2;
        i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
        ptrdiff_t slot = k;
        for (; slot > 0 && window[slot - 1] > x[i]; slot--)
            window[slot] = window[slot - 1];
        window[slot] = x[i];
    }
    return window[MEDIAN_WIDTH / 2];
}

/* Add the median-filtered row to the matrix row; too short a row is left as it is. */
static void add_filtered(float *to, const float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        to[i] += scale * (n > MEDIAN_WIDTH / 2 ? median_of(x, (ptrdiff_t)i, (ptrdiff_t)n) : x[i]);
}

static void build_matrix(struct recog_align *a)
{
    size_t n_frames = a->config.n_frames, n_rows = a->config.n_text + 1;
    memset(a->matrix, 0, n_rows * n_frames * sizeof(float));
    for (size_t h = 0; h < a->n_heads; h++) {
        float *head = a->scores + h * a->n_text_ctx * n_frames;
        standardise(head, a->n_tokens, n_frames);
        for (size_t r = 0; r < n_rows; r++)
            add_filtered(a->matrix + r * n_frames, head + (a->config.n_prefix + r) * n_frames,
                         n_frames, 1.0f / (float)a->n_heads);
    }
}

static void warp(struct recog_align *a)
{
    size_t n_frames = a->config.n_frames, n_rows = a->config.n_text + 1, n = n_rows * n_frames;
    for (size_t i = 0; i < n; i++)
        a->matrix[i] = -a->matrix[i];
    size_t count = recog_dtw(a->matrix, n_rows, n_frames, a->scratch, a->path_rows,
                             a->path_columns);
    for (size_t i = 0; i < n; i++)
        a->matrix[i] = -a->matrix[i];
    for (size_t i = count; i-- > 0;)
        a->start[a->path_rows[i]] = a->path_columns[i];
}

/* Softmax over the frames with audio and keep. */
static void keep_scores(struct recog_align *a, const struct kern_ops *ops, size_t n)
{
    size_t n_frames = a->config.n_frames;
    for (size_t h = 0; h < a->n_heads; h++) {
        for (size_t t = 0; t < n; t++) {
            float *to = a->scores + (h * a->n_text_ctx + a->n_done + t) * n_frames;
            memcpy(to, a->chunk_scores + (h * n + t) * a->n_audio_ctx, n_frames * sizeof(float));
            ops->softmax(to, n_frames);
        }
    }
}

void recog_align_complete(struct recog_align *a, const struct kern_ops *ops)
{
    size_t n = (size_t)a->row.model.n_tokens;
    keep_scores(a, ops, n);
    a->n_done += n;
    if (a->n_done < a->n_tokens)
        return;
    build_matrix(a);
    warp(a);
    drop_cells(a);
    a->finished = true;
}

bool recog_align_finished(const struct recog_align *a)
{
    return a->finished;
}

int32_t recog_align_frame(const struct recog_align *a, size_t i)
{
    return a->start[i];
}

float recog_align_probability(const struct recog_align *a, size_t i)
{
    return a->probability[a->config.n_prefix + i];
}

const float *recog_align_matrix(const struct recog_align *a)
{
    return a->matrix;
}
