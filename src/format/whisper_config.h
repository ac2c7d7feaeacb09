/* What the text files beside a Whisper model say: dimensions, suppressed tokens, alignment heads.
 *
 * Hugging Face folders have config.json (dimensions), generation_config.json (how to decode) and
 * preprocessor_config.json (the features); CTranslate2 folders have a config.json of their own.
 * All are optional to some degree, so each part has a flag or is -1 where absent; nothing is made
 * up here. Where two files speak of the same thing, generation_config.json wins over config.json,
 * as it does in transformers.
 * Plain data: copy it freely.                                                                    */
#ifndef FORMAT_WHISPER_CONFIG_H
#define FORMAT_WHISPER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FORMAT_MAX_ALIGNMENT_HEADS  1024 /* large: 32 layers of 20 heads */
#define FORMAT_MAX_SUPPRESSED       1024
#define FORMAT_MAX_CONFIG_LANGUAGES 128
#define FORMAT_LANGUAGE_CODE_BYTES  16

struct format_alignment_head {
    int16_t layer, head;
};

struct format_config_language {
    char code[FORMAT_LANGUAGE_CODE_BYTES]; /* "en"; "" in CTranslate2 files, which list ids only */
    int32_t id;
};

struct format_whisper_config {
    /* Which files were there. */
    bool has_hf_config, has_ct2_config, has_generation, has_preprocessor;

    /* config.json; -1 where absent. Both halves of a Whisper model have the width d_model. */
    int n_mels, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer, n_audio_ffn;
    int n_vocab, n_text_ctx, n_text_state, n_text_head, n_text_layer, n_text_ffn;

    /* preprocessor_config.json; -1 where absent. */
    int feature_size, nb_max_frames;

    /* Token ids; -1 where absent. */
    int32_t eot, sot, sot_prev, no_timestamps, transcribe, translate;
    int max_initial_timestamp_index;
    int is_multilingual; /* 0, 1, or -1 */
    int chunk_length_s;  /* longest stretch to decode at once that the model was made for; or -1 */
    int num_beams;       /* texts to follow at once unless the caller says otherwise; or -1 */

    /* A list that is there may be empty: then nothing is suppressed. */
    bool has_suppress, has_suppress_begin, has_alignment_heads;
    size_t n_suppress, n_suppress_begin, n_alignment_heads, n_languages;
    int32_t suppress[FORMAT_MAX_SUPPRESSED];
    int32_t suppress_begin[FORMAT_MAX_SUPPRESSED];
    struct format_alignment_head alignment_heads[FORMAT_MAX_ALIGNMENT_HEADS];
    struct format_config_language languages[FORMAT_MAX_CONFIG_LANGUAGES];
};

/* Read what lies in `folder`. No file at all is no error: every flag is then false.
 * Errors: UNSUPPORTED (config.json is of another model family; named), FORMAT (not JSON, or a value
 * of the wrong type or out of range; file and value named), LIMIT, IO, NOMEM.                    */
AURICLE_MUST_CHECK enum auricle_error format_whisper_config_read(const char *folder,
                                                                 struct format_whisper_config *out,
                                                                 struct au_fault *fault);

#endif
