/* Which language is spoken: one encoder window and one decoder row. */
#include "text/language.h"
#include "base/mem.h"
#include "recog/decode/detect.h"
#include "recog/message.h"

const char *auricle_language_code(size_t index)
{
    return index < TEXT_N_LANGUAGES ? text_language_code((int)index) : NULL;
}

const char *auricle_language_name(size_t index)
{
    return index < TEXT_N_LANGUAGES ? text_language_name((int)index) : NULL;
}

static void run(struct auricle_engine *engine, struct auricle_unit *unit)
{
    struct auricle_unit *units[] = {unit};
    auricle_engine_run(engine, units, 1);
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
    struct auricle_unit unit = {.kind = RECOG_UNIT_ENCODE, .mel = mel, .window = window};
    run(engine, &unit);
    au_free(mel);
    return AURICLE_OK;
}

static enum auricle_error detect(struct auricle_engine *engine, const float *samples, size_t n,
                                 float *probabilities, size_t *n_languages, struct au_fault *fault)
{
    if (!engine->specials->multilingual)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this model is English-only and cannot tell languages apart");
    struct recog_detect row = {0};
    struct whisper_window *window = NULL;
    if (!recog_cells_reserve(engine->free_cells, 1))
        return au_fail(fault, AURICLE_E_LIMIT,
                       "every decoder cell is in use by other sessions: try again later");
    enum auricle_error error = whisper_window_create(engine->model, &window);
    if (!error)
        error = encode(engine, samples, n, window, fault);
    if (!error) {
        run(engine, recog_detect_unit(&row, engine, NULL, window));
        (void)recog_detect_done(&row);
        *n_languages = (size_t)engine->specials->n_languages;
        for (size_t i = 0; i < *n_languages; i++)
            probabilities[i] = row.probability[i];
    }
    recog_detect_deinit(&row);
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
