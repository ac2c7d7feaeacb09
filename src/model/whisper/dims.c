/* Sizes of Whisper: the named ones, their limits, and the cross-attention heads that follow the
 * audio. Constant tables and pure functions.                                                     */
#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "model/whisper/parts.h"

/* ---- Named sizes ----------------------------------------------------------------------------- */

enum { ENGLISH = 51864, MULTILINGUAL = 51865, MULTILINGUAL_V3 = 51866 };

struct named_size {
    const char *name;
    int n_mels, width, heads, audio_layers, text_layers, n_vocab;
};

/* openai/whisper's checkpoints and distil-whisper's. Both contexts are 1500 and 448 everywhere. */
static const struct named_size named_sizes[] = {
    {"tiny.en", 80, 384, 6, 4, 4, ENGLISH},
    {"tiny", 80, 384, 6, 4, 4, MULTILINGUAL},
    {"base.en", 80, 512, 8, 6, 6, ENGLISH},
    {"base", 80, 512, 8, 6, 6, MULTILINGUAL},
    {"small.en", 80, 768, 12, 12, 12, ENGLISH},
    {"small", 80, 768, 12, 12, 12, MULTILINGUAL},
    {"medium.en", 80, 1024, 16, 24, 24, ENGLISH},
    {"medium", 80, 1024, 16, 24, 24, MULTILINGUAL},
    {"large-v1", 80, 1280, 20, 32, 32, MULTILINGUAL},
    {"large-v2", 80, 1280, 20, 32, 32, MULTILINGUAL},
    {"large-v3", 128, 1280, 20, 32, 32, MULTILINGUAL_V3},
    {"large", 128, 1280, 20, 32, 32, MULTILINGUAL_V3},
    {"large-v3-turbo", 128, 1280, 20, 32, 4, MULTILINGUAL_V3},
    {"turbo", 128, 1280, 20, 32, 4, MULTILINGUAL_V3},
    {"distil-small.en", 80, 768, 12, 12, 4, ENGLISH},
    {"distil-medium.en", 80, 1024, 16, 24, 2, ENGLISH},
    {"distil-large-v2", 80, 1280, 20, 32, 2, MULTILINGUAL},
    {"distil-large-v3", 128, 1280, 20, 32, 2, MULTILINGUAL_V3},
    {"distil-large-v3.5", 128, 1280, 20, 32, 2, MULTILINGUAL_V3},
};

bool whisper_dims_named(const char *name, struct whisper_dims *out)
{
    for (size_t i = 0; i < sizeof named_sizes / sizeof named_sizes[0]; i++) {
        const struct named_size *size = &named_sizes[i];
        if (!au_str_equal_nocase(size->name, name))
            continue;
        *out = (struct whisper_dims){
            .n_mels = size->n_mels,
            .n_audio_ctx = 1500,
            .n_audio_state = size->width,
            .n_audio_head = size->heads,
            .n_audio_layer = size->audio_layers,
            .n_vocab = size->n_vocab,
            .n_text_ctx = 448,
            .n_text_state = size->width,
            .n_text_head = size->heads,
            .n_text_layer = size->text_layers,
        };
        return true;
    }
    return false;
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* Far above every published model, far below what would overflow a product of three of them. */
struct dim_limit {
    size_t offset;
    const char *name;
    int max;
};

#define LIMIT(field, max)                                 \
    {                                                     \
        offsetof(struct whisper_dims, field), #field, max \
    }
static const struct dim_limit dim_limits[] = {
    LIMIT(n_mels, 256),       LIMIT(n_audio_ctx, 6000),  LIMIT(n_audio_state, 8192),
    LIMIT(n_audio_head, 128), LIMIT(n_audio_layer, 128), LIMIT(n_vocab, 1 << 20),
    LIMIT(n_text_ctx, 8192),  LIMIT(n_text_state, 8192), LIMIT(n_text_head, 128),
    LIMIT(n_text_layer, 128),
};
#undef LIMIT

static enum auricle_error check_heads(const char *what, const char *side, int width, int heads,
                                      struct au_fault *fault)
{
    if (width % heads != 0)
        return au_fail(fault, AURICLE_E_SHAPE, "%s: %s width %d is not a multiple of its %d heads",
                       what, side, width, heads);
    int head_width = width / heads;
    if (head_width % 8 != 0 || head_width > 128)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: %s heads are %d wide; multiples of 8 up to 128 are supported", what,
                       side, head_width);
    return AURICLE_OK;
}

enum auricle_error whisper_dims_check(const struct whisper_dims *dims, const char *what,
                                      struct au_fault *fault)
{
    for (size_t i = 0; i < sizeof dim_limits / sizeof dim_limits[0]; i++) {
        const struct dim_limit *limit = &dim_limits[i];
        int value;
        memcpy(&value, (const char *)dims + limit->offset, sizeof value);
        if (value < 1 || value > limit->max)
            return au_fail(fault, AURICLE_E_SHAPE, "%s: %s is %d; a Whisper model has 1 to %d",
                           what, limit->name, value, limit->max);
    }
    enum auricle_error error = check_heads(what, "encoder", dims->n_audio_state, dims->n_audio_head,
                                           fault);
    if (!error)
        error = check_heads(what, "decoder", dims->n_text_state, dims->n_text_head, fault);
    if (error)
        return error;
    if (dims->n_audio_state != dims->n_text_state)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: the encoder is %d wide and the decoder %d; Whisper's are equal", what,
                       dims->n_audio_state, dims->n_text_state);
    return AURICLE_OK;
}

/* ---- Alignment heads ------------------------------------------------------------------------- */

/* Published with the checkpoints (openai/whisper __init__.py), found there by dynamic time warping
 * against known word times.                                                                      */
#define HEADS(name, ...) static const struct whisper_head name[] = {__VA_ARGS__}
HEADS(tiny_en, {1, 0}, {2, 0}, {2, 5}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4});
HEADS(tiny, {2, 2}, {3, 0}, {3, 2}, {3, 3}, {3, 4}, {3, 5});
HEADS(base_en, {3, 3}, {4, 7}, {5, 1}, {5, 5}, {5, 7});
HEADS(base, {3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6});
HEADS(small_en, {6, 6}, {7, 0}, {7, 3}, {7, 8}, {8, 2}, {8, 5}, {8, 7}, {9, 0}, {9, 4}, {9, 8},
      {9, 10}, {10, 0}, {10, 1}, {10, 2}, {10, 3}, {10, 6}, {10, 11}, {11, 2}, {11, 4});
HEADS(small, {5, 3}, {5, 9}, {8, 0}, {8, 4}, {8, 7}, {8, 8}, {9, 0}, {9, 7}, {9, 9}, {10, 5});
HEADS(medium_en, {11, 4}, {14, 1}, {14, 12}, {14, 14}, {15, 4}, {16, 0}, {16, 4}, {16, 9}, {17, 12},
      {17, 14}, {18, 7}, {18, 10}, {18, 15}, {20, 0}, {20, 3}, {20, 9}, {20, 14}, {21, 12});
HEADS(medium, {13, 15}, {15, 4}, {15, 15}, {16, 1}, {20, 0}, {23, 4});
HEADS(large_v2, {10, 12}, {13, 17}, {16, 11}, {16, 12}, {16, 13}, {17, 15}, {17, 16}, {18, 4},
      {18, 11}, {18, 19}, {19, 11}, {21, 2}, {21, 3}, {22, 3}, {22, 9}, {22, 12}, {23, 5}, {23, 7},
      {23, 13}, {25, 5}, {26, 1}, {26, 12}, {27, 15});
HEADS(large_v3, {7, 0}, {10, 17}, {12, 18}, {13, 12}, {16, 1}, {17, 14}, {19, 11}, {21, 4}, {24, 1},
      {25, 6});
HEADS(turbo, {2, 4}, {2, 11}, {3, 3}, {3, 6}, {3, 11}, {3, 14});
#undef HEADS

struct head_table {
    int layers, heads, n_vocab;
    const struct whisper_head *list;
    size_t n;
};

/* large-v1 has the dimensions of large-v2 and cannot be told apart; v2 is what people have. */
#define TABLE(layers, heads, vocab, name)                        \
    {                                                            \
        layers, heads, vocab, name, sizeof name / sizeof name[0] \
    }
static const struct head_table head_tables[] = {
    TABLE(4, 6, ENGLISH, tiny_en),         TABLE(4, 6, MULTILINGUAL, tiny),
    TABLE(6, 8, ENGLISH, base_en),         TABLE(6, 8, MULTILINGUAL, base),
    TABLE(12, 12, ENGLISH, small_en),      TABLE(12, 12, MULTILINGUAL, small),
    TABLE(24, 16, ENGLISH, medium_en),     TABLE(24, 16, MULTILINGUAL, medium),
    TABLE(32, 20, MULTILINGUAL, large_v2), TABLE(32, 20, MULTILINGUAL_V3, large_v3),
    TABLE(4, 20, MULTILINGUAL_V3, turbo),
};
#undef TABLE

size_t whisper_heads_published(const struct whisper_dims *dims, struct whisper_head *out,
                               size_t max)
{
    for (size_t i = 0; i < sizeof head_tables / sizeof head_tables[0]; i++) {
        const struct head_table *table = &head_tables[i];
        if (table->layers != dims->n_text_layer || table->heads != dims->n_text_head ||
            table->n_vocab != dims->n_vocab)
            continue;
        for (size_t j = 0; out && j < table->n && j < max; j++)
            out[j] = table->list[j];
        return table->n;
    }
    size_t n = 0;
    for (int layer = dims->n_text_layer / 2; layer < dims->n_text_layer; layer++) {
        for (int head = 0; head < dims->n_text_head; head++, n++) {
            if (out && n < max)
                out[n] = (struct whisper_head){(int16_t)layer, (int16_t)head};
        }
    }
    return n;
}
