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
    int32_t *start;              /* [n_text_ctx] first frame of each matrix row */
    /* from begin to the end of this alignment */
    float *chunk_scores;               /* [n_heads, CHUNK, n_audio_ctx] */
    float *scores;                     /* [n_heads, n_tokens, n_frames] */
    double *mean, *scale;              /* [n_frames] of one head's columns */
    int32_t *path_rows, *path_columns; /* [n_text + 1 + n_frames] */
    void *scratch;
    float *matrix; /* [n_text + 1, n_frames]; until the next begin */
    struct recog_row row;
    size_t n_text; /* tokens of the text that are aligned: all, unless the context is too small */
    size_t n_tokens, n_done;
    size_t n_cells; /* held: those done and those of the row that is out */
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
    size_t n_ctx = a->n_text_ctx = (size_t)dims->n_text_ctx;
    a->n_audio_ctx = (size_t)dims->n_audio_ctx;
    a->cells = cells;
    a->tokens = au_alloc_array(n_ctx, sizeof(int32_t));
    a->cell_list = au_alloc_array(n_ctx, sizeof(int32_t));
    a->probability = au_alloc_array(n_ctx, sizeof(float));
    a->start = au_alloc_array(n_ctx, sizeof(int32_t));
    bool ok = a->tokens && a->cell_list && a->probability && a->start;
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
    recog_cells_unref(a->cells, a->cell_list, a->n_cells);
    a->n_done = a->n_cells = 0;
}

static void release(struct recog_align *a)
{
    au_free(a->chunk_scores);
    au_free(a->scores);
    au_free(a->mean);
    au_free(a->scale);
    au_free(a->path_rows);
    au_free(a->path_columns);
    au_free(a->scratch);
    a->chunk_scores = a->scores = NULL;
    a->mean = a->scale = NULL;
    a->path_rows = a->path_columns = NULL;
    a->scratch = NULL;
}

void recog_align_destroy(struct recog_align *a)
{
    if (!a)
        return;
    drop_cells(a);
    release(a);
    au_free(a->matrix);
    au_free(a->tokens);
    au_free(a->cell_list);
    au_free(a->probability);
    au_free(a->start);
    au_free(a);
}

static float *table(size_t a, size_t b, size_t c)
{
    size_t n;
    return au_mul_size(a, b, &n) && au_mul_size(n, c, &n) ? au_alloc_array(n, sizeof(float)) : NULL;
}

/* Whatever is left of the last alignment goes first. */
static enum auricle_error allocate(struct recog_align *a)
{
    size_t n_frames = a->config.n_frames, n_rows = a->n_text + 1;
    release(a);
    au_free(a->matrix);
    a->matrix = table(1, n_rows, n_frames);
    a->chunk_scores = table(a->n_heads, CHUNK, a->n_audio_ctx);
    a->scores = table(a->n_heads, a->n_tokens, n_frames);
    a->mean = au_alloc_array(n_frames, sizeof(double));
    a->scale = au_alloc_array(n_frames, sizeof(double));
    a->path_rows = au_alloc_array(n_rows + n_frames, sizeof(int32_t));
    a->path_columns = au_alloc_array(n_rows + n_frames, sizeof(int32_t));
    a->scratch = au_alloc(recog_dtw_scratch_bytes(n_rows, n_frames));
    return a->matrix && a->chunk_scores && a->scores && a->mean && a->scale && a->path_rows &&
                   a->path_columns && a->scratch
               ? AURICLE_OK
               : AURICLE_E_NOMEM;
}

enum auricle_error recog_align_begin(struct recog_align *a, const struct recog_align_config *config)
{
    enum { MARKS = 2 }; /* no-timestamps and end-of-text */
    assert(config->n_prefix + MARKS < a->n_text_ctx);
    assert(config->n_frames >= 1 && config->n_frames <= a->n_audio_ctx);
    drop_cells(a);
    a->config = *config;
    size_t n = config->n_prefix, room = a->n_text_ctx - n - MARKS;
    a->n_text = config->n_text < room ? config->n_text : room;
    memcpy(a->tokens, config->prefix, n * sizeof(int32_t));
    a->tokens[n++] = config->no_timestamps;
    if (a->n_text)
        memcpy(a->tokens + n, config->text, a->n_text * sizeof(int32_t));
    n += a->n_text;
    a->tokens[n++] = config->eot;
    a->n_tokens = n;
    enum auricle_error error = allocate(a);
    a->finished = error != AURICLE_OK;
    return error;
}

bool recog_align_next(struct recog_align *a, struct recog_row **rows, size_t *n_rows)
{
    if (a->finished)
        return false;
    size_t left = a->n_tokens - a->n_done, n = left < CHUNK ? left : CHUNK;
    for (size_t i = 0; i < n; i++)
        a->cell_list[a->n_cells++] = recog_cells_take(a->cells);
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

/* Standardise every column over the tokens; one that never changes becomes zero. Row by row, which
 * adds in the same order as column by column and reads memory as it lies.                        */
static void standardise(float *x, size_t n_rows, size_t n_columns, double *mean, double *scale)
{
    memset(mean, 0, n_columns * sizeof(*mean));
    memset(scale, 0, n_columns * sizeof(*scale));
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_columns; c++)
            mean[c] += (double)x[r * n_columns + c];
    for (size_t c = 0; c < n_columns; c++)
        mean[c] /= (double)n_rows;
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t c = 0; c < n_columns; c++) {
            double d = (double)x[r * n_columns + c] - mean[c];
            scale[c] += d * d;
        }
    }
    for (size_t c = 0; c < n_columns; c++)
        scale[c] = scale[c] > 0 ? 1 / sqrt(scale[c] / (double)n_rows) : 0;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_columns; c++)
            x[r * n_columns + c] = (float)(((double)x[r * n_columns + c] - mean[c]) * scale[c]);
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
    size_t n_frames = a->config.n_frames, n_rows = a->n_text + 1;
    memset(a->matrix, 0, n_rows * n_frames * sizeof(float));
    for (size_t h = 0; h < a->n_heads; h++) {
        float *head = a->scores + h * a->n_tokens * n_frames;
        standardise(head, a->n_tokens, n_frames, a->mean, a->scale);
        for (size_t r = 0; r < n_rows; r++)
            add_filtered(a->matrix + r * n_frames, head + (a->config.n_prefix + r) * n_frames,
                         n_frames, 1.0f / (float)a->n_heads);
    }
}

static void warp(struct recog_align *a)
{
    size_t n_frames = a->config.n_frames, n_rows = a->n_text + 1, n = n_rows * n_frames;
    for (size_t i = 0; i < n; i++)
        a->matrix[i] = -a->matrix[i];
    size_t count = recog_dtw(a->matrix, n_rows, n_frames, a->scratch, a->path_rows,
                             a->path_columns);
    for (size_t i = 0; i < n; i++)
        a->matrix[i] = -a->matrix[i];
    /* Where the scores are no numbers the way back may leave the matrix: column -1. */
    for (size_t i = count; i-- > 0;)
        if (a->path_rows[i] >= 0)
            a->start[a->path_rows[i]] = a->path_columns[i] > 0 ? a->path_columns[i] : 0;
}

/* Softmax over the frames with audio and keep. */
static void keep_scores(struct recog_align *a, const struct kern_ops *ops, size_t n)
{
    size_t n_frames = a->config.n_frames;
    for (size_t h = 0; h < a->n_heads; h++) {
        for (size_t t = 0; t < n; t++) {
            float *to = a->scores + (h * a->n_tokens + a->n_done + t) * n_frames;
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
    release(a);
    a->finished = true;
}

bool recog_align_finished(const struct recog_align *a)
{
    return a->finished;
}

int32_t recog_align_frame(const struct recog_align *a, size_t i)
{
    return a->start[i < a->n_text ? i : a->n_text];
}

float recog_align_probability(const struct recog_align *a, size_t i)
{
    return i < a->n_text ? a->probability[a->config.n_prefix + i] : 0;
}

const float *recog_align_matrix(const struct recog_align *a)
{
    return a->matrix;
}
