/* Lifetimes and plain questions: the model, windows and cells. What fills the model is in bind.c.
 * Everything here allocates at load or admission; encode and decode never do.                    */
#include "model/whisper/parts.h"

/* ---- Model ----------------------------------------------------------------------------------- */

static void norm_deinit(struct whisper_norm *norm)
{
    au_free(norm->gamma);
    au_free(norm->beta);
}

static void blocks_destroy(struct whisper_block *blocks, int n)
{
    for (int i = 0; blocks && i < n; i++) {
        struct whisper_block *block = &blocks[i];
        norm_deinit(&block->attn_ln);
        tensor_linear_deinit(&block->qkv);
        tensor_linear_deinit(&block->attn_out);
        norm_deinit(&block->cross_ln);
        tensor_linear_deinit(&block->cross_q);
        tensor_linear_deinit(&block->cross_kv);
        tensor_linear_deinit(&block->cross_out);
        norm_deinit(&block->mlp_ln);
        tensor_linear_deinit(&block->mlp_in);
        tensor_linear_deinit(&block->mlp_out);
        for (size_t part = 0; part < WHISPER_MLP_PARTS; part++)
            tensor_linear_deinit(&block->mlp_out_part[part]);
    }
    au_free(blocks);
}

void whisper_model_destroy(struct whisper_model *model)
{
    if (!model)
        return;
    tensor_linear_deinit(&model->conv1);
    tensor_linear_deinit(&model->conv2);
    au_free(model->audio_positions);
    blocks_destroy(model->encoder, model->dims.n_audio_layer);
    norm_deinit(&model->encoder_ln);
    au_free(model->embedding_data);
    au_free(model->embedding_scale);
    au_free(model->text_positions);
    blocks_destroy(model->decoder, model->dims.n_text_layer);
    norm_deinit(&model->decoder_ln);
    tensor_linear_deinit(&model->output);
    au_free(model->heads);
    format_packed_close(model->packed);
    tensor_arena_deinit(&model->arena);
    au_free(model);
}

const struct whisper_dims *whisper_model_dims(const struct whisper_model *model)
{
    return &model->dims;
}

uint64_t whisper_model_bytes(const struct whisper_model *model)
{
    return model->bytes;
}

bool whisper_model_cached(const struct whisper_model *model)
{
    return model->packed && format_packed_mapped(model->packed);
}

bool whisper_model_kept(const struct whisper_model *model)
{
    return model->packed != NULL;
}

enum kern_type whisper_model_type(const struct whisper_model *model)
{
    return model->type;
}

const struct whisper_head *whisper_alignment_heads(const struct whisper_model *model, size_t *n)
{
    *n = model->n_heads;
    return model->heads;
}

int whisper_chunk_seconds(const struct whisper_model *model)
{
    return model->chunk_seconds;
}

int whisper_beams(const struct whisper_model *model)
{
    return model->beams;
}

/* ---- Windows --------------------------------------------------------------------------------- */

static size_t window_heads_bytes(const struct whisper_model *model)
{
    struct tensor_cross cross = whisper_cross(model);
    return tensor_cross_bytes(&cross) * (size_t)model->dims.n_text_head *
           (size_t)model->dims.n_text_layer;
}

size_t whisper_window_bytes(const struct whisper_model *model)
{
    return sizeof(struct whisper_window) + window_heads_bytes(model);
}

enum auricle_error whisper_window_create(const struct whisper_model *model,
                                         struct whisper_window **out)
{
    struct tensor_cross cross = whisper_cross(model);
    struct whisper_window *window = au_calloc(1, sizeof *window);
    if (!window)
        return AURICLE_E_NOMEM;
    window->head_bytes = tensor_cross_bytes(&cross);
    window->n_heads = (size_t)model->dims.n_text_head;
    window->heads = au_alloc_aligned(window_heads_bytes(model));
    if (!window->heads) {
        whisper_window_destroy(window);
        return AURICLE_E_NOMEM;
    }
    *out = window;
    return AURICLE_OK;
}

void whisper_window_destroy(struct whisper_window *window)
{
    if (!window)
        return;
    au_free(window->heads);
    au_free(window);
}

/* ---- Cells ----------------------------------------------------------------------------------- */

/* Bytes of keys and values; false when the count is absurd. */
static bool cells_kv_bytes(const struct whisper_model *model, size_t n_cells, size_t *out)
{
    size_t per_cell = 2 * (size_t)model->dims.n_text_state * (size_t)model->dims.n_text_layer;
    return au_mul_size(n_cells, per_cell * sizeof(float), out);
}

size_t whisper_cells_bytes(const struct whisper_model *model, size_t n_cells)
{
    size_t bytes;
    if (!cells_kv_bytes(model, n_cells, &bytes))
        return SIZE_MAX;
    return sizeof(struct whisper_cells) + bytes;
}

enum auricle_error whisper_cells_create(const struct whisper_model *model, size_t n_cells,
                                        struct whisper_cells **out)
{
    size_t bytes;
    if (!cells_kv_bytes(model, n_cells, &bytes))
        return AURICLE_E_NOMEM;
    struct whisper_cells *cells = au_calloc(1, sizeof *cells);
    if (!cells)
        return AURICLE_E_NOMEM;
    cells->n_cells = n_cells;
    cells->layer_floats = n_cells * 2 * (size_t)model->dims.n_text_state;
    cells->kv = au_alloc_sparse(bytes); /* most cells wait for beams that seldom come */
    if (!cells->kv) {
        whisper_cells_destroy(cells);
        return AURICLE_E_NOMEM;
    }
    *out = cells;
    return AURICLE_OK;
}

void whisper_cells_destroy(struct whisper_cells *cells)
{
    if (!cells)
        return;
    au_free(cells->kv);
    au_free(cells);
}

size_t whisper_cells_count(const struct whisper_cells *cells)
{
    return cells->n_cells;
}
