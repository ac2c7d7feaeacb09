/* Which language is spoken: one encoder window and one decoder row. */
#include <string.h>

#include "base/mem.h"
#include "recog/engine.h"
#include "recog/message.h"
#include "recog/unit.h"
#include "text/language.h"

const char *auricle_language_code(size_t index)
{
    return index < TEXT_N_LANGUAGES ? text_language_code((int)index) : NULL;
}

const char *auricle_language_name(size_t index)
{
    return index < TEXT_N_LANGUAGES ? text_language_name((int)index) : NULL;
}

static enum auricle_error encode(struct auricle_engine *engine, const float *samples, size_t n,
                                 struct whisper_window *window, struct au_fault *fault)
{
    size_t frames = recog_engine_window_frames(engine);
    if (frames != AUDIO_MEL_WINDOW_FRAMES)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this model hears windows of %zu frames; language detection needs %d",
                       frames, AUDIO_MEL_WINDOW_FRAMES);
    float *mel = au_alloc_array(frames * (size_t)engine->dims->n_mels, sizeof(float));
    if (!mel)
        return AURICLE_E_NOMEM;
    audio_mel_window(engine->mel, samples, n, mel);
    struct auricle_unit unit = {.kind = RECOG_UNIT_ENCODE, .mel = mel, .window = window},
                        *units[] = {&unit};
    auricle_engine_run(engine, units, 1);
    au_free(mel);
    return AURICLE_OK;
}

static void decode(struct auricle_engine *engine, const struct whisper_window *window, int32_t cell,
                   float *probabilities)
{
    struct recog_row row = {.no_speech = -1,
                            .choose = engine->specials->language,
                            .n_choose = engine->specials->n_languages,
                            .choose_prob = probabilities};
    row.model = (struct whisper_row){.window = window,
                                     .tokens = &engine->specials->sot,
                                     .cells = &cell,
                                     .n_tokens = 1,
                                     .n_logits = 1};
    struct auricle_unit unit = {.kind = RECOG_UNIT_DECODE, .rows = &row, .n_rows = 1},
                        *units[] = {&unit};
    auricle_engine_run(engine, units, 1);
}

static enum auricle_error detect(struct auricle_engine *engine, const float *samples, size_t n,
                                 float *probabilities, size_t *n_languages, struct au_fault *fault)
{
    if (!engine->specials->multilingual)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this model is English-only and cannot tell languages apart");
    if (!recog_cells_reserve(engine->free_cells, 1))
        return au_fail(fault, AURICLE_E_LIMIT,
                       "every decoder cell is in use by other sessions: try again later");
    struct whisper_window *window = NULL;
    enum auricle_error error = whisper_window_create(engine->model, &window);
    if (!error)
        error = encode(engine, samples, n, window, fault);
    if (!error) {
        int32_t cell = recog_cells_take(engine->free_cells);
        decode(engine, window, cell, probabilities);
        recog_cells_unref(engine->free_cells, &cell, 1);
        *n_languages = (size_t)engine->specials->n_languages;
    }
    recog_cells_unreserve(engine->free_cells, 1);
    whisper_window_destroy(window);
    return error;
}

enum auricle_error auricle_detect_language(struct auricle_engine *engine, const float *samples,
                                           size_t n, float *probabilities, size_t *n_languages,
                                           struct auricle_message *message)
{
    struct au_fault fault = {0};
    return recog_message(detect(engine, samples, n, probabilities, n_languages, &fault), &fault,
                         message);
}
