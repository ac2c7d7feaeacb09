/* Tensor names of Whisper: constant tables and the function that joins their parts.              */
#include <stdio.h>

#include "model/whisper/names.h"

/* What comes before a name outside the blocks: [naming][side]. */
static const char *const stems[WHISPER_N_NAMINGS][2] = {
    [WHISPER_NAMES_HF] = {"model.encoder.", "model.decoder."},
    [WHISPER_NAMES_HF_BARE] = {"encoder.", "decoder."},
    [WHISPER_NAMES_OPENAI] = {"encoder.", "decoder."},
    [WHISPER_NAMES_CT2] = {"encoder/", "decoder/"},
};

/* Around the number of a block. */
static const char *const blocks[WHISPER_N_NAMINGS][2] = {
    [WHISPER_NAMES_HF] = {"layers.", "."},
    [WHISPER_NAMES_HF_BARE] = {"layers.", "."},
    [WHISPER_NAMES_OPENAI] = {"blocks.", "."},
    [WHISPER_NAMES_CT2] = {"layer_", "/"},
};

enum kind { KIND_WHOLE, KIND_LINEAR, KIND_NORM };

struct slot_names {
    enum kind kind;
    const char *hf, *openai, *ct2;
};

static const struct slot_names slots[WHISPER_N_SLOTS] = {
    [WHISPER_CONV1] = {KIND_LINEAR, "conv1", "conv1", "conv1"},
    [WHISPER_CONV2] = {KIND_LINEAR, "conv2", "conv2", "conv2"},
    [WHISPER_POSITIONS] = {KIND_WHOLE, "embed_positions.weight", "positional_embedding",
                           "position_encodings/encodings"},
    [WHISPER_EMBEDDING] = {KIND_WHOLE, "embed_tokens.weight", "token_embedding.weight",
                           "embeddings/weight"},
    [WHISPER_FINAL_LN] = {KIND_NORM, "layer_norm", "ln_post", "layer_norm"},
    [WHISPER_ATTN_LN] = {KIND_NORM, "self_attn_layer_norm", "attn_ln", "self_attention/layer_norm"},
    [WHISPER_ATTN_Q] = {KIND_LINEAR, "self_attn.q_proj", "attn.query", "self_attention/linear_0"},
    [WHISPER_ATTN_K] = {KIND_LINEAR, "self_attn.k_proj", "attn.key", "self_attention/linear_0"},
    [WHISPER_ATTN_V] = {KIND_LINEAR, "self_attn.v_proj", "attn.value", "self_attention/linear_0"},
    [WHISPER_ATTN_OUT] = {KIND_LINEAR, "self_attn.out_proj", "attn.out", "self_attention/linear_1"},
    [WHISPER_CROSS_LN] = {KIND_NORM, "encoder_attn_layer_norm", "cross_attn_ln",
                          "attention/layer_norm"},
    [WHISPER_CROSS_Q] = {KIND_LINEAR, "encoder_attn.q_proj", "cross_attn.query",
                         "attention/linear_0"},
    [WHISPER_CROSS_K] = {KIND_LINEAR, "encoder_attn.k_proj", "cross_attn.key",
                         "attention/linear_1"},
    [WHISPER_CROSS_V] = {KIND_LINEAR, "encoder_attn.v_proj", "cross_attn.value",
                         "attention/linear_1"},
    [WHISPER_CROSS_OUT] = {KIND_LINEAR, "encoder_attn.out_proj", "cross_attn.out",
                           "attention/linear_2"},
    [WHISPER_MLP_LN] = {KIND_NORM, "final_layer_norm", "mlp_ln", "ffn/layer_norm"},
    [WHISPER_MLP_IN] = {KIND_LINEAR, "fc1", "mlp.0", "ffn/linear_0"},
    [WHISPER_MLP_OUT] = {KIND_LINEAR, "fc2", "mlp.2", "ffn/linear_1"},
};

static const char *slot_text(enum whisper_naming naming, enum whisper_side side,
                             enum whisper_slot slot)
{
    switch (naming) {
    case WHISPER_NAMES_OPENAI:
        /* The one name that differs between the two sides. */
        if (slot == WHISPER_FINAL_LN && side == WHISPER_DECODER)
            return "ln";
        return slots[slot].openai;
    case WHISPER_NAMES_CT2: return slots[slot].ct2;
    default: return slots[slot].hf;
    }
}

static const char *param_text(enum whisper_naming naming, enum kind kind, enum whisper_param param)
{
    if (kind == KIND_WHOLE)
        return "";
    if (naming != WHISPER_NAMES_CT2)
        return param == WHISPER_WEIGHT ? ".weight" : ".bias";
    if (kind == KIND_NORM)
        return param == WHISPER_WEIGHT ? "/gamma" : "/beta";
    return param == WHISPER_WEIGHT ? "/weight" : "/bias";
}

const char *whisper_name(enum whisper_naming naming, enum whisper_side side, int layer,
                         enum whisper_slot slot, enum whisper_param param, char *out)
{
    const char *stem = stems[naming][side];
    const char *text = slot_text(naming, side, slot);
    const char *tail = param_text(naming, slots[slot].kind, param);

    if (slot < WHISPER_ATTN_LN)
        snprintf(out, WHISPER_NAME_BYTES, "%s%s%s", stem, text, tail);
    else
        snprintf(out, WHISPER_NAME_BYTES, "%s%s%d%s%s%s", stem, blocks[naming][0], layer,
                 blocks[naming][1], text, tail);
    return out;
}

const char *whisper_output_name(enum whisper_naming naming)
{
    switch (naming) {
    case WHISPER_NAMES_HF: return "proj_out.weight";
    case WHISPER_NAMES_CT2: return "decoder/projection/weight";
    default: return NULL;
    }
}

bool whisper_naming_detect(const struct format_weights *weights, enum whisper_naming *out)
{
    char name[WHISPER_NAME_BYTES];

    for (int i = 0; i < WHISPER_N_NAMINGS; i++) {
        enum whisper_naming naming = (enum whisper_naming)i;
        whisper_name(naming, WHISPER_ENCODER, 0, WHISPER_ATTN_LN, WHISPER_WEIGHT, name);
        if (format_weights_find(weights, name)) {
            *out = naming;
            return true;
        }
    }
    return false;
}
