/* Loading a model and reserving the memory to run it. See engine.h. */
#include "recog/engine.h"

#include <math.h>
#include <string.h>

#include "audio/decode.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "format/weights.h"
#include "recog/decode/search.h"
#include "recog/message.h"

enum {
    DEFAULT_WINDOWS = 8,
    DEFAULT_BEAMS = 5,
    MIN_TEXT_CTX = 16,  /* a prompt with one token of everything, and some text */
    PROMPT_LOGITS = 16, /* rows of logits one prompt or alignment may want (search.c, align.c) */
};

size_t recog_engine_window_frames(const struct auricle_engine *engine)
{
    return (size_t)engine->dims->n_audio_ctx * 2;
}

size_t recog_engine_window_mel(const struct auricle_engine *engine, const float *samples, size_t n,
                               float *mel)
{
    size_t window = recog_engine_window_frames(engine), n_mels = (size_t)engine->dims->n_mels;
    size_t inside = (n + AUDIO_MEL_HOP - 1) / AUDIO_MEL_HOP;
    inside = inside < window ? inside : window;
    /* The end is never mirrored: silence follows. */
    struct audio_span span = {.samples = samples,
                              .count = n,
                              .total = (int64_t)(window + 2) * AUDIO_MEL_HOP + AUDIO_MEL_FFT};
    float max = -INFINITY;
    audio_mel_log(engine->mel, &span, 0, (int64_t)inside, mel, &max);
    audio_mel_normalise(mel, inside * n_mels, max);
    memset(mel + inside * n_mels, 0, (window - inside) * n_mels * sizeof(float));
    return inside;
}

/* ---- Compute --------------------------------------------------------------------------------- */

static enum auricle_error choose_ops(struct auricle_engine *engine, const char *level,
                                     struct au_fault *fault)
{
    enum kern_level limit = KERN_N_LEVELS;
    if (level && !kern_level_parse(level, &limit))
        return au_fail(
            fault, AURICLE_E_INVALID,
            "CPU level \"%s\" is not known; levels are generic, avx2, avx512vnni, amx, neon, i8mm",
            level);
    if (level && !kern_level_usable(limit))
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this processor cannot run level %s; its own is %s", level,
                       kern_level_name(kern_detect()));
    engine->ops = kern_select(limit);
    return AURICLE_OK;
}

/* int8 is the smallest and, wherever there are integer kernels of the processor's own, the
 * fastest. */
static enum kern_type choose_type(enum auricle_compute compute, enum kern_level level)
{
    switch (compute) {
    case AURICLE_COMPUTE_AUTO: return level == KERN_GENERIC ? KERN_F32 : KERN_INT8;
    case AURICLE_COMPUTE_INT8: return KERN_INT8;
    case AURICLE_COMPUTE_BF16: return KERN_BF16;
    case AURICLE_COMPUTE_F32: break;
    }
    return KERN_F32;
}

/* ---- Vocabulary ------------------------------------------------------------------------------ */

static enum auricle_error vocabulary_of_ggml(const struct format_whisper_extra *extra,
                                             size_t n_vocab, struct text_tokenizer **out,
                                             struct au_fault *fault)
{
    struct text_vocab vocab = {.n_tokens = extra->n_vocab_entries,
                               .bytes = extra->vocab_bytes,
                               .lengths = extra->vocab_lengths,
                               .n_model_vocab = n_vocab};
    return text_tokenizer_create(&vocab, out, fault);
}

/* An OpenAI checkpoint carries no vocabulary: it lies beside it under one of these names. */
static enum auricle_error vocabulary_beside(const char *path, size_t n_vocab,
                                            struct text_tokenizer **out, struct au_fault *fault)
{
    const char *name = n_vocab == 51864 ? "gpt2.tiktoken" : "multilingual.tiktoken";
    char *folder = au_strndup(path, (size_t)(au_path_name(path) - path));
    char *file = folder ? au_path_join(*folder ? folder : ".", name) : NULL;
    enum auricle_error error = AURICLE_E_NOMEM;
    if (!file)
        (void)au_fail(fault, error, "out of memory");
    else if (!au_file_exists(file))
        error = au_fail(fault, AURICLE_E_NOT_FOUND,
                        "%s: an OpenAI checkpoint carries no vocabulary; put %s (from the same "
                        "project) beside it",
                        path, name);
    else
        error = text_tokenizer_from_tiktoken(file, n_vocab, out, fault);
    au_free(folder);
    au_free(file);
    return error;
}

static enum auricle_error load_vocabulary(struct auricle_engine *engine,
                                          const struct format_weights *weights,
                                          struct au_fault *fault)
{
    size_t n_vocab = (size_t)engine->dims->n_vocab;
    const char *path = format_weights_path(weights);
    const struct format_whisper_extra *extra = format_weights_whisper(weights);
    if (extra && extra->n_vocab_entries)
        return vocabulary_of_ggml(extra, n_vocab, &engine->tokenizer, fault);
    if (format_weights_kind(weights) == FORMAT_PYTORCH)
        return vocabulary_beside(path, n_vocab, &engine->tokenizer, fault);
    if (au_file_is_dir(path))
        return text_tokenizer_from_folder(path, n_vocab, &engine->tokenizer, fault);
    char *folder = au_strndup(path, (size_t)(au_path_name(path) - path));
    if (!folder)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = text_tokenizer_from_folder(*folder ? folder : ".", n_vocab,
                                                          &engine->tokenizer, fault);
    au_free(folder);
    return error;
}

/* Every decoding begins with these; a vocabulary of another model family lacks some. */
static enum auricle_error check_vocabulary(const struct auricle_engine *engine,
                                           struct au_fault *fault)
{
    const struct text_specials *s = engine->specials;
    const bool many = s->multilingual;
    const struct {
        const char *name;
        int32_t id;
    } needed[] = {
        {"<|endoftext|>", s->eot},
        {"<|startoftranscript|>", s->sot},
        {"<|startofprev|>", s->sot_prev},
        {"<|notimestamps|>", s->no_timestamps},
        {"<|0.00|>", s->timestamp_begin},
        {"<|transcribe|>", many ? s->transcribe : 0},
        {"<|translate|>", many ? s->translate : 0},
    };
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
        if (needed[i].id < 0 || needed[i].id >= engine->dims->n_vocab)
            return au_fail(fault, AURICLE_E_UNSUPPORTED,
                           "%s: its vocabulary has no %s, which a Whisper model begins with",
                           engine->path, needed[i].name);
    }
    if (engine->dims->n_text_ctx < MIN_TEXT_CTX)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: a text context of %d tokens; at least %d are needed", engine->path,
                       engine->dims->n_text_ctx, MIN_TEXT_CTX);
    return AURICLE_OK;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static enum auricle_error reserve(struct auricle_engine *engine)
{
    size_t rows = (size_t)engine->max_windows * (size_t)engine->max_beams;
    size_t n_ctx = (size_t)engine->dims->n_text_ctx, windows = (size_t)engine->max_windows;
    int threads = au_pool_threads(engine->pool);
    engine->batch_rows = rows;
    engine->batch_tokens = rows > n_ctx ? rows : n_ctx;
    engine->batch_logits = rows > PROMPT_LOGITS ? rows : PROMPT_LOGITS;
    size_t encode = whisper_plan_encode(engine->model, threads, windows);
    size_t decode = whisper_plan_decode(engine->model, threads, engine->batch_tokens,
                                        engine->batch_logits);
    enum auricle_error error = tensor_workspace_create(&engine->workspace,
                                                       encode > decode ? encode : decode);
    size_t cells = recog_search_cells_needed(engine->max_beams, (int)n_ctx) * windows + windows,
           bytes;
    if (!error)
        error = whisper_cells_create(engine->model, cells, &engine->cells);
    if (!error)
        error = recog_cells_create(cells, &engine->free_cells);
    if (!error)
        error = recog_seats_create(engine->model, engine->free_cells, engine->max_windows,
                                   &engine->seats);
    if (error)
        return error;
    engine->model_rows = au_calloc(rows, sizeof(*engine->model_rows));
    engine->recog_rows = au_calloc(rows, sizeof(*engine->recog_rows));
    engine->filters = au_calloc(rows, sizeof(*engine->filters));
    engine->blocks = au_calloc(rows * recog_filter_blocks((size_t)engine->dims->n_vocab),
                               sizeof(*engine->blocks));
    engine->mels = au_calloc(windows, sizeof(*engine->mels));
    engine->windows = au_calloc(windows, sizeof(*engine->windows));
    if (!au_mul_size(engine->batch_logits * sizeof(float), (size_t)engine->dims->n_vocab, &bytes))
        return AURICLE_E_NOMEM;
    engine->logits = au_alloc_sparse(bytes);
    if (!engine->model_rows || !engine->recog_rows || !engine->mels || !engine->windows ||
        !engine->logits || !engine->filters || !engine->blocks)
        return AURICLE_E_NOMEM;
    return audio_mel_create(engine->dims->n_mels, engine->ops, &engine->mel);
}

static void fill_info(struct auricle_engine *engine, const struct format_weights *weights,
                      int64_t started_ns)
{
    const struct whisper_dims *d = engine->dims;
    struct auricle_model_info *info = &engine->info;
    info->path = engine->path;
    info->format = format_kind_name(format_weights_kind(weights));
    info->compute = kern_type_name(whisper_model_type(engine->model));
    info->cpu_level = kern_level_name(engine->ops->level);
    info->threads = au_pool_threads(engine->pool);
    info->multilingual = engine->specials->multilingual;
    info->n_mels = d->n_mels;
    info->n_vocab = d->n_vocab;
    info->n_audio_layers = d->n_audio_layer;
    info->n_text_layers = d->n_text_layer;
    info->audio_width = d->n_audio_state;
    info->text_width = d->n_text_state;
    for (size_t i = 0; i < format_weights_count(weights); i++)
        info->parameters += format_weights_at(weights, i)->n_elements;
    info->weight_bytes = whisper_model_bytes(engine->model);
    info->cached = whisper_model_cached(engine->model);
    info->load_seconds = (double)(au_now_ns() - started_ns) * 1e-9;
}

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error load(struct auricle_engine *engine,
                               const struct auricle_engine_options *options,
                               struct format_weights *weights, struct au_fault *fault)
{
    enum auricle_error error = whisper_model_create_cached(
        weights, engine->ops, choose_type(options->compute, engine->ops->level), engine->pool,
        options->cache_folder, &engine->model, fault);
    if (error)
        return error;
    engine->info.cache_failed = options->cache_folder && !whisper_model_kept(engine->model);
    engine->dims = whisper_model_dims(engine->model);
    error = load_vocabulary(engine, weights, fault);
    if (error)
        return error;
    engine->specials = text_tokenizer_specials(engine->tokenizer);
    error = check_vocabulary(engine, fault);
    if (error)
        return error;
    error = reserve(engine);
    return error ? au_fail(fault, error,
                           "%s: not enough memory to run this model with %d windows of %d beams",
                           engine->path, engine->max_windows, engine->max_beams)
                 : AURICLE_OK;
}

static enum auricle_error load_vad(struct auricle_engine *engine, const char *path,
                                   struct au_fault *fault)
{
    if (!path)
        return AURICLE_OK;
    struct format_weights *weights = NULL;
    enum auricle_error error = format_weights_open(path, &weights, fault);
    if (!error)
        error = silero_model_create(weights, engine->ops, &engine->vad, fault);
    format_weights_close(weights);
    if (!error && silero_rate_hz(engine->vad) != AUDIO_RATE_HZ)
        error = au_fail(fault, AURICLE_E_UNSUPPORTED,
                        "%s: a voice activity model for %d Hz; one for %d Hz is needed", path,
                        silero_rate_hz(engine->vad), AUDIO_RATE_HZ);
    return error;
}

static enum auricle_error check(const struct auricle_engine_options *o, struct au_fault *fault)
{
    if (!o->model || o->size != sizeof(*o))
        return au_fail(fault, AURICLE_E_INVALID,
                       "engine options need a model and the size of this version");
    if (o->threads < 0 || o->threads > 1024)
        return au_fail(fault, AURICLE_E_INVALID,
                       "%d threads asked for; 1 to 1024 are accepted, 0 chooses", o->threads);
    if (o->max_windows < 0 || o->max_windows > 256 || o->max_beams < 0 ||
        o->max_beams > RECOG_MAX_BEAM)
        return au_fail(fault, AURICLE_E_INVALID,
                       "%d windows of %d beams asked for; at most 256 of %d are accepted",
                       o->max_windows, o->max_beams, RECOG_MAX_BEAM);
    return AURICLE_OK;
}

static enum auricle_error create(const struct auricle_engine_options *options,
                                 struct auricle_engine **out, struct au_fault *fault)
{
    int64_t started_ns = au_now_ns();
    enum auricle_error error = check(options, fault);
    if (error)
        return error;
    struct format_weights *weights = NULL;
    struct auricle_engine *engine = au_calloc(1, sizeof(*engine));
    if (!engine)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    engine->max_windows = options->max_windows ? options->max_windows : DEFAULT_WINDOWS;
    engine->max_beams = options->max_beams ? options->max_beams : DEFAULT_BEAMS;
    pthread_mutex_init(&engine->running, NULL);
    engine->path = au_strdup(options->model);
    error = engine->path ? choose_ops(engine, options->cpu_level, fault) : AURICLE_E_NOMEM;
    if (!error)
        error = au_pool_create(options->threads ? options->threads : au_cpu_count(), &engine->pool);
    if (!error)
        error = format_weights_open(options->model, &weights, fault);
    if (!error)
        error = load(engine, options, weights, fault);
    if (!error)
        error = load_vad(engine, options->vad_model, fault);
    if (!error)
        fill_info(engine, weights, started_ns);
    format_weights_close(weights);
    if (error) {
        auricle_engine_destroy(engine);
        return error;
    }
    *out = engine;
    return AURICLE_OK;
}

enum auricle_error auricle_engine_create(const struct auricle_engine_options *options,
                                         struct auricle_engine **out,
                                         struct auricle_message *message)
{
    struct au_fault fault = {0};
    return recog_message(create(options, out, &fault), &fault, message);
}

void auricle_engine_destroy(struct auricle_engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_destroy(&engine->running);
    recog_seats_destroy(engine->seats);
    recog_cells_destroy(engine->free_cells);
    whisper_cells_destroy(engine->cells);
    tensor_workspace_deinit(&engine->workspace);
    audio_mel_destroy(engine->mel);
    silero_model_destroy(engine->vad);
    text_tokenizer_destroy(engine->tokenizer);
    whisper_model_destroy(engine->model);
    au_pool_destroy(engine->pool);
    au_free(engine->logits);
    au_free(engine->model_rows);
    au_free(engine->recog_rows);
    au_free(engine->filters);
    au_free(engine->blocks);
    au_free(engine->mels);
    au_free(engine->windows);
    au_free(engine->path);
    au_free(engine);
}

const char *auricle_token_bytes(const struct auricle_engine *engine, int32_t token, size_t *n)
{
    *n = 0;
    if (token < 0 || text_token_is_special(engine->tokenizer, token))
        return NULL;
    return text_token_bytes(engine->tokenizer, token, n);
}

void auricle_engine_info(const struct auricle_engine *engine, struct auricle_model_info *out)
{
    *out = engine->info;
}
