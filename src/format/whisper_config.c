/* Hugging Face and CTranslate2 side files of Whisper models. See whisper_config.h.
 *
 * A member that is absent or null leaves its "absent" value; one of the wrong type or out of range
 * is refused, because a misread id would spoil every transcript in silence.                      */
#include "format/whisper_config.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_CONFIG_BYTES (1u << 20)
#define MAX_DIMENSION    (1 << 20)

struct reader {
    const char *path;
    struct au_fault *fault;
    enum auricle_error error; /* first failure; later calls do nothing */
};

static bool is_absent(const struct au_json *value)
{
    return au_json_type(value) == AU_JSON_ABSENT || au_json_type(value) == AU_JSON_NULL;
}

/* An integer in [low, high], from any kind of number; booleans are not numbers. */
static bool to_int(const struct au_json *value, int64_t low, int64_t high, int32_t *out)
{
    int64_t number = au_json_int(value, INT64_MIN);
    if (number < low || number > high)
        return false;
    *out = (int32_t)number;
    return true;
}

static void read_int(struct reader *reader, const struct au_json *object, const char *key,
                     int32_t low, int32_t high, int32_t *out)
{
    const struct au_json *value = au_json_get(object, key);
    if (reader->error || is_absent(value))
        return;
    if (!to_int(value, low, high, out))
        reader->error = au_fail(reader->fault, AURICLE_E_FORMAT,
                                "%s: \"%s\" is not a whole number from %d to %d", reader->path, key,
                                low, high);
}

static void read_dimension(struct reader *reader, const struct au_json *object, const char *key,
                           int *out)
{
    read_int(reader, object, key, 1, MAX_DIMENSION, out);
}

static void read_id(struct reader *reader, const struct au_json *object, const char *key,
                    int32_t *out)
{
    read_int(reader, object, key, 0, MAX_DIMENSION, out);
}

/* A list of token ids. -1, which openai/whisper uses for "the default set", is no id. */
static void read_ids(struct reader *reader, const struct au_json *object, const char *key,
                     bool *has, int32_t *ids, size_t *n)
{
    const struct au_json *list = au_json_get(object, key);
    if (reader->error || is_absent(list))
        return;
    size_t count = au_json_size(list);
    if (au_json_type(list) != AU_JSON_ARRAY || count > FORMAT_MAX_SUPPRESSED) {
        reader->error = au_fail(reader->fault, AURICLE_E_FORMAT,
                                "%s: \"%s\" is not a list of at most %d ids", reader->path, key,
                                FORMAT_MAX_SUPPRESSED);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!to_int(au_json_item(list, i), 0, MAX_DIMENSION, &ids[i])) {
            reader->error = au_fail(reader->fault, AURICLE_E_FORMAT,
                                    "%s: entry %zu of \"%s\" is not a token id", reader->path, i,
                                    key);
            return;
        }
    *n = count;
    *has = true;
}

/* [[layer, head], ...] */
static void read_heads(struct reader *reader, const struct au_json *object,
                       struct format_whisper_config *out)
{
    const struct au_json *list = au_json_get(object, "alignment_heads");
    if (reader->error || is_absent(list))
        return;
    size_t count = au_json_size(list);
    bool good = au_json_type(list) == AU_JSON_ARRAY && count <= FORMAT_MAX_ALIGNMENT_HEADS;
    for (size_t i = 0; good && i < count; i++) {
        const struct au_json *pair = au_json_item(list, i);
        int32_t layer = -1, head = -1;
        good = au_json_type(pair) == AU_JSON_ARRAY && au_json_size(pair) == 2 &&
               to_int(au_json_item(pair, 0), 0, INT16_MAX, &layer) &&
               to_int(au_json_item(pair, 1), 0, INT16_MAX, &head);
        out->alignment_heads[i] = (struct format_alignment_head){(int16_t)layer, (int16_t)head};
    }
    if (!good) {
        reader->error = au_fail(reader->fault, AURICLE_E_FORMAT,
                                "%s: \"alignment_heads\" is not a list of at most %d pairs [layer, "
                                "head]",
                                reader->path, FORMAT_MAX_ALIGNMENT_HEADS);
        return;
    }
    out->n_alignment_heads = count;
    out->has_alignment_heads = true;
}

/* "<|en|>" -> "en". */
static bool language_code(const char *token, char out[FORMAT_LANGUAGE_CODE_BYTES])
{
    size_t n = strlen(token);
    if (n < 6 || n - 4 >= FORMAT_LANGUAGE_CODE_BYTES || memcmp(token, "<|", 2) != 0 ||
        memcmp(token + n - 2, "|>", 2) != 0)
        return false;
    memcpy(out, token + 2, n - 4);
    out[n - 4] = '\0';
    return true;
}

static void read_language_map(struct reader *reader, const struct au_json *object,
                              struct format_whisper_config *out)
{
    const struct au_json *map = au_json_get(object, "lang_to_id");
    if (reader->error || is_absent(map))
        return;
    size_t count = au_json_size(map);
    bool good = au_json_type(map) == AU_JSON_OBJECT && count <= FORMAT_MAX_CONFIG_LANGUAGES;
    for (size_t i = 0; good && i < count; i++) {
        const char *token;
        const struct au_json *id = au_json_member(map, i, &token);
        good = language_code(token, out->languages[i].code) &&
               to_int(id, 0, MAX_DIMENSION, &out->languages[i].id);
    }
    if (!good) {
        reader->error = au_fail(reader->fault, AURICLE_E_FORMAT,
                                "%s: \"lang_to_id\" is not a list of at most %d entries like "
                                "\"<|en|>\": 50259",
                                reader->path, FORMAT_MAX_CONFIG_LANGUAGES);
        return;
    }
    out->n_languages = count;
}

static void read_suppressed(struct reader *reader, const struct au_json *object,
                            struct format_whisper_config *out)
{
    read_ids(reader, object, "suppress_tokens", &out->has_suppress, out->suppress,
             &out->n_suppress);
    read_ids(reader, object, "begin_suppress_tokens", &out->has_suppress_begin, out->suppress_begin,
             &out->n_suppress_begin);
}

/* ---- One function per file ------------------------------------------------------------------- */

static void read_hf_config(struct reader *reader, const struct au_json *object,
                           struct format_whisper_config *out)
{
    int32_t width = -1;
    read_dimension(reader, object, "d_model", &width);
    out->n_audio_state = out->n_text_state = width;
    read_dimension(reader, object, "num_mel_bins", &out->n_mels);
    read_dimension(reader, object, "max_source_positions", &out->n_audio_ctx);
    read_dimension(reader, object, "encoder_attention_heads", &out->n_audio_head);
    read_dimension(reader, object, "encoder_layers", &out->n_audio_layer);
    read_dimension(reader, object, "encoder_ffn_dim", &out->n_audio_ffn);
    read_dimension(reader, object, "vocab_size", &out->n_vocab);
    read_dimension(reader, object, "max_target_positions", &out->n_text_ctx);
    read_dimension(reader, object, "decoder_attention_heads", &out->n_text_head);
    read_dimension(reader, object, "decoder_layers", &out->n_text_layer);
    read_dimension(reader, object, "decoder_ffn_dim", &out->n_text_ffn);
    read_id(reader, object, "eos_token_id", &out->eot);
    read_id(reader, object, "decoder_start_token_id", &out->sot);
    read_suppressed(reader, object, out);
    out->has_hf_config = true;
}

static void read_ct2_config(struct reader *reader, const struct au_json *object,
                            struct format_whisper_config *out)
{
    int32_t ids[FORMAT_MAX_SUPPRESSED];
    size_t n = 0;
    bool has = false;
    read_ids(reader, object, "suppress_ids", &out->has_suppress, out->suppress, &out->n_suppress);
    read_ids(reader, object, "suppress_ids_begin", &out->has_suppress_begin, out->suppress_begin,
             &out->n_suppress_begin);
    read_ids(reader, object, "lang_ids", &has, ids, &n);
    read_heads(reader, object, out);
    if (reader->error)
        return;
    if (n > FORMAT_MAX_CONFIG_LANGUAGES) {
        reader->error = au_fail(reader->fault, AURICLE_E_FORMAT,
                                "%s: \"lang_ids\" has %zu entries, at most %d are read",
                                reader->path, n, FORMAT_MAX_CONFIG_LANGUAGES);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out->languages[i] = (struct format_config_language){.code = "", .id = ids[i]};
    out->n_languages = n;
    out->has_ct2_config = true;
}

static void read_config(struct reader *reader, const struct au_json *object,
                        struct format_whisper_config *out)
{
    const char *type = au_json_string(au_json_get(object, "model_type"), NULL);
    if (type && au_str_equal(type, "whisper")) {
        read_hf_config(reader, object, out);
    } else if (type) {
        reader->error = au_fail(reader->fault, AURICLE_E_UNSUPPORTED,
                                "%s: describes a model of type \"%s\", expected \"whisper\"",
                                reader->path, type);
    } else if (au_json_get(object, "suppress_ids") || au_json_get(object, "lang_ids") ||
               au_json_get(object, "alignment_heads")) {
        read_ct2_config(reader, object, out);
    } else {
        reader->error = au_fail(reader->fault, AURICLE_E_UNSUPPORTED,
                                "%s: names no \"model_type\" and is not a CTranslate2 Whisper "
                                "configuration either",
                                reader->path);
    }
}

static void read_generation(struct reader *reader, const struct au_json *object,
                            struct format_whisper_config *out)
{
    const struct au_json *tasks = au_json_get(object, "task_to_id");
    const struct au_json *multilingual = au_json_get(object, "is_multilingual");
    read_id(reader, object, "decoder_start_token_id", &out->sot);
    read_id(reader, object, "prev_sot_token_id", &out->sot_prev);
    read_id(reader, object, "no_timestamps_token_id", &out->no_timestamps);
    read_id(reader, object, "max_initial_timestamp_index", &out->max_initial_timestamp_index);
    read_int(reader, object, "chunk_length_s", 1, MAX_DIMENSION, &out->chunk_length_s);
    read_int(reader, object, "num_beams", 1, MAX_DIMENSION, &out->num_beams);
    read_id(reader, tasks, "transcribe", &out->transcribe);
    read_id(reader, tasks, "translate", &out->translate);
    /* Some files list several ends of text; the first is <|endoftext|>. */
    const struct au_json *eot = au_json_get(object, "eos_token_id");
    if (au_json_type(eot) == AU_JSON_ARRAY)
        to_int(au_json_item(eot, 0), 0, MAX_DIMENSION, &out->eot);
    else
        read_id(reader, object, "eos_token_id", &out->eot);
    if (au_json_type(multilingual) == AU_JSON_BOOL)
        out->is_multilingual = au_json_bool(multilingual, false);
    read_suppressed(reader, object, out);
    read_heads(reader, object, out);
    read_language_map(reader, object, out);
    out->has_generation = true;
}

static void read_preprocessor(struct reader *reader, const struct au_json *object,
                              struct format_whisper_config *out)
{
    read_dimension(reader, object, "feature_size", &out->feature_size);
    read_dimension(reader, object, "nb_max_frames", &out->nb_max_frames);
    out->has_preprocessor = true;
}

/* Read folder/name when it is there, and let `apply` take what it needs. */
static enum auricle_error read_file(const char *folder, const char *name,
                                    void (*apply)(struct reader *, const struct au_json *,
                                                  struct format_whisper_config *),
                                    struct format_whisper_config *out, struct au_fault *fault)
{
    char *path = au_path_join(folder, name);
    struct reader reader = {path, fault, AURICLE_OK};
    struct au_json *document = NULL;
    if (!path)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", folder);
    if (!au_file_is_regular(path))
        goto done;
    reader.error = au_json_read(path, MAX_CONFIG_BYTES, &document, fault);
    if (reader.error)
        goto done;
    if (au_json_type(document) == AU_JSON_OBJECT)
        apply(&reader, document, out);
    else
        reader.error = au_fail(fault, AURICLE_E_FORMAT, "%s: is not a JSON object", path);
done:
    au_json_free(document);
    au_free(path);
    return reader.error;
}

static void set_absent(struct format_whisper_config *out)
{
    memset(out, 0, sizeof *out);
    out->n_mels = out->n_audio_ctx = out->n_audio_state = out->n_audio_head = -1;
    out->n_audio_layer = out->n_audio_ffn = out->n_vocab = out->n_text_ctx = -1;
    out->n_text_state = out->n_text_head = out->n_text_layer = out->n_text_ffn = -1;
    out->feature_size = out->nb_max_frames = -1;
    out->eot = out->sot = out->sot_prev = out->no_timestamps = -1;
    out->transcribe = out->translate = -1;
    out->max_initial_timestamp_index = out->is_multilingual = -1;
    out->chunk_length_s = out->num_beams = -1;
}

enum auricle_error format_whisper_config_read(const char *folder, struct format_whisper_config *out,
                                              struct au_fault *fault)
{
    struct format_whisper_config *read = au_alloc(sizeof *read); /* 20 KB: not for the stack */
    if (!read)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", folder);
    set_absent(read);
    enum auricle_error error = read_file(folder, "config.json", read_config, read, fault);
    if (!error)
        error = read_file(folder, "generation_config.json", read_generation, read, fault);
    if (!error)
        error = read_file(folder, "preprocessor_config.json", read_preprocessor, read, fault);
    if (!error)
        *out = *read;
    au_free(read);
    return error;
}
