/* Tensor names of Whisper in the files people have: Hugging Face (with and without the "model."
 * prefix), OpenAI .pt and whisper.cpp .bin (one naming), CTranslate2. Pure functions over constant
 * tables; which tensors a model needs and their shapes is bind.c's business.                     */
#ifndef MODEL_WHISPER_NAMES_H
#define MODEL_WHISPER_NAMES_H

#include <stdbool.h>

#include "format/weights.h"

#define WHISPER_NAME_BYTES 128

enum whisper_naming {
    WHISPER_NAMES_HF,
    WHISPER_NAMES_HF_BARE, /* saved from the inner model: no "model." prefix */
    WHISPER_NAMES_OPENAI,
    WHISPER_NAMES_CT2,
    WHISPER_N_NAMINGS
};

enum whisper_side { WHISPER_ENCODER, WHISPER_DECODER };

enum whisper_slot {
    WHISPER_CONV1, /* encoder only */
    WHISPER_CONV2,
    WHISPER_POSITIONS, /* whole names: no weight or bias after them */
    WHISPER_EMBEDDING, /* decoder only */
    WHISPER_FINAL_LN,
    WHISPER_ATTN_LN, /* from here on: one per block */
    WHISPER_ATTN_Q,
    WHISPER_ATTN_K, /* CTranslate2 stacks query, key and value: the same name three times */
    WHISPER_ATTN_V,
    WHISPER_ATTN_OUT,
    WHISPER_CROSS_LN, /* decoder only, down to CROSS_OUT */
    WHISPER_CROSS_Q,
    WHISPER_CROSS_K,
    WHISPER_CROSS_V,
    WHISPER_CROSS_OUT,
    WHISPER_MLP_LN,
    WHISPER_MLP_IN,
    WHISPER_MLP_OUT,
    WHISPER_N_SLOTS
};

enum whisper_param { WHISPER_WEIGHT, WHISPER_BIAS };

/* The naming whose first encoder tensor the file holds; false when it holds none of them. */
bool whisper_naming_detect(const struct format_weights *weights, enum whisper_naming *out);
/* Compose a name into out [WHISPER_NAME_BYTES]; layer counts for block slots only. Returns out. */
const char *whisper_name(enum whisper_naming naming, enum whisper_side side, int layer,
                         enum whisper_slot slot, enum whisper_param param, char *out);
/* The vocabulary projection where it is a tensor of its own; NULL where it is always tied. */
const char *whisper_output_name(enum whisper_naming naming);

#endif
