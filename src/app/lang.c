/* auricle lang: which language is spoken in recordings.
 *
 * Of each recording the first 30 s of speech are laid side by side, as auricle transcribe does with
 * its first window, and the model is asked once. The rest of the recording is not read.          */
#include <stdlib.h>

#include "app/input.h"
#include "app/interrupt.h"
#include "app/output.h"
#include "app/shared_options.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "recog/engine.h"
#include "recog/longform/source.h"
#include "recog/voice/vad.h"

enum {
    WINDOW = 30 * AUDIO_RATE_HZ, /* what the model hears at once */
    BLOCK = AUDIO_RATE_HZ,       /* samples fed to the detector at a time */
    MAX_LANGUAGES = 128          /* as auricle_detect_language may fill in */
};

struct lang_args {
    struct app_transcribe_args base; /* first; of it the model, the input and --vad */
    int format;                      /* txt, json */
    int top;
    bool all;
};

/* One call of the command. */
struct run {
    const struct lang_args *args;
    const struct app_parsed *parsed;
    bool *bad; /* [n_operands] */
    struct auricle_engine *engine;
    struct recog_vad *vad; /* NULL: everything counts as speech */
    float *block, *voice;  /* [BLOCK], [WINDOW] */
    struct app_results results;
    bool input_failed;
};

/* One recording of it. */
struct work {
    struct run *run;
    const char *input, *label;
    struct recog_source *source;
    int64_t fed;    /* samples given to the detector */
    size_t n_voice; /* collected */
    bool full;
    float probabilities[MAX_LANGUAGES];
    size_t n_languages;
    size_t order[MAX_LANGUAGES]; /* likeliest first */
};

/* ---- The first 30 s of speech ---------------------------------------------------------------- */

/* Add one stretch. One that does not fit ends it, unless it is the first. */
static enum auricle_error add(struct work *work, const struct recog_speech *speech,
                              struct au_fault *fault)
{
    size_t length = (size_t)(speech->end - speech->start), room = WINDOW - work->n_voice, got = 0;
    work->full = length >= room;
    if (length > room && work->n_voice)
        return AURICLE_OK;
    length = length < room ? length : room;
    enum auricle_error error = recog_source_read(work->source, speech->start, length,
                                                 work->run->voice + work->n_voice, &got, fault);
    if (!error)
        work->n_voice += got;
    return error;
}

static enum auricle_error add_ready(struct work *work, struct au_fault *fault)
{
    struct recog_speech speech;
    enum auricle_error error = AURICLE_OK;
    while (!error && !work->full && recog_vad_next(work->run->vad, &speech))
        error = add(work, &speech, fault);
    return error;
}

static enum auricle_error collect(struct work *work, struct au_fault *fault)
{
    struct run *run = work->run;
    size_t n = BLOCK;
    enum auricle_error error = AURICLE_OK;
    if (!run->vad)
        return recog_source_read(work->source, 0, WINDOW, run->voice, &work->n_voice, fault);
    recog_vad_reset(run->vad);
    while (!error && !work->full && n == BLOCK && !app_interrupted()) {
        error = recog_source_read(work->source, work->fed, BLOCK, run->block, &n, fault);
        if (error)
            return error;
        work->fed += (int64_t)n;
        for (size_t done = 0; done < n && !error && !work->full;) {
            done += recog_vad_feed(run->vad, run->block + done, n - done);
            error = add_ready(work, fault);
        }
    }
    if (error || work->full || app_interrupted())
        return error;
    recog_vad_finish(run->vad);
    return add_ready(work, fault);
}

/* ---- The model ------------------------------------------------------------------------------- */

/* Few enough for the simplest way. Equal ones keep the model's order. */
static void sort(struct work *work)
{
    for (size_t i = 0; i < work->n_languages; i++) {
        size_t at = i;
        for (; at > 0 && work->probabilities[work->order[at - 1]] < work->probabilities[i]; at--)
            work->order[at] = work->order[at - 1];
        work->order[at] = i;
    }
}

static enum auricle_error detect(struct work *work, struct au_fault *fault)
{
    struct auricle_message message = {""};
    const struct audio_decode_options decoding = app_input_decoding(&work->run->args->base.options,
                                                                    AUDIO_RATE_HZ);
    enum auricle_error error = recog_source_open(work->input, &decoding, &work->source, fault);
    if (!error)
        error = collect(work, fault);
    if (error || app_interrupted())
        return error;
    if (recog_source_length(work->source) == 0)
        return au_fail(fault, AURICLE_E_NO_AUDIO, "%s: holds no sound (0 samples)", work->label);
    if (!work->n_voice)
        return AURICLE_OK;
    error = auricle_detect_language(work->run->engine, work->run->voice, work->n_voice,
                                    work->probabilities, &work->n_languages, &message);
    if (error)
        return au_fail(fault, error, "%s", message.text);
    sort(work);
    return AURICLE_OK;
}

/* ---- Results --------------------------------------------------------------------------------- */

static size_t n_shown(const struct work *work)
{
    const struct lang_args *args = work->run->args;
    bool all = args->all || (size_t)args->top > work->n_languages;
    return all ? work->n_languages : (size_t)args->top;
}

static void put_text(const struct work *work, struct au_buf *out)
{
    for (size_t i = 0; i < n_shown(work); i++) {
        size_t language = work->order[i];
        if (work->run->parsed->n_operands > 1) {
            app_put_name(out, work->label);
            au_buf_puts(out, ": ");
        }
        au_buf_printf(out, "%-3s  %-14s %6.2f %%\n", auricle_language_code(language),
                      auricle_language_name(language),
                      100.0 * (double)work->probabilities[language]);
    }
}

static void put_probability(struct au_json_writer *w, float probability)
{
    au_json_add_fixed(w, "probability", (double)probability, 6);
}

static void put_json(const struct work *work, struct au_buf *out)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "file", work->label);
    au_json_key(&w, "language");
    if (work->n_languages)
        au_json_put_string(&w, auricle_language_code(work->order[0]));
    else
        au_json_put_null(&w);
    put_probability(&w, work->n_languages ? work->probabilities[work->order[0]] : 0.0F);
    au_json_add_fixed(&w, "heard", (double)work->n_voice / AUDIO_RATE_HZ, 3);
    au_json_key(&w, "languages");
    au_json_open_array(&w);
    for (size_t i = 0; i < n_shown(work); i++) {
        au_json_open_object(&w);
        au_json_add_string(&w, "language", auricle_language_code(work->order[i]));
        au_json_add_string(&w, "name", auricle_language_name(work->order[i]));
        put_probability(&w, work->probabilities[work->order[i]]);
        au_json_close_object(&w);
    }
    au_json_close_array(&w);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
}

static void write_result(const struct work *work)
{
    struct run *run = work->run;
    bool quiet = run->args->base.general.quiet;
    const char *warning = recog_source_warning(work->source);
    struct au_buf out;
    au_buf_init(&out, 0);
    if (run->args->format == 1)
        put_json(work, &out);
    else
        put_text(work, &out);
    app_results_write(&run->results, &out);
    au_buf_deinit(&out);
    if (warning)
        app_warn(quiet, "%s: %s", work->label, warning);
    if (!work->n_voice)
        app_note(quiet, "%s: no speech was found", work->label);
    au_log(AU_LOG_INFO, "%s: told from %.1f s of %s", work->label,
           (double)work->n_voice / AUDIO_RATE_HZ, run->vad ? "speech" : "sound");
}

static void tell_language(struct run *run, const char *input)
{
    struct work work = {.run = run, .input = input, .label = app_input_label(input)};
    struct au_fault fault = {0};
    if (detect(&work, &fault) != AURICLE_OK) {
        app_input_failed(input, fault.text);
        run->input_failed = true;
    } else if (!app_interrupted()) {
        write_result(&work);
    }
    recog_source_close(work.source);
}

/* ---- The call -------------------------------------------------------------------------------- */

/* With the options that auricle transcribe has for it. */
static enum auricle_error make_detector(struct run *run, struct au_fault *fault)
{
    const struct auricle_options *o = &run->args->base.options;
    if (o->vad == AURICLE_VAD_OFF)
        return AURICLE_OK;
    struct recog_vad_config config = {.model = o->vad == AURICLE_VAD_ENERGY ? NULL
                                                                            : run->engine->vad,
                                      .rate_hz = AUDIO_RATE_HZ,
                                      .options = RECOG_VAD_DEFAULT,
                                      .energy = RECOG_VAD_ENERGY_DEFAULT};
    config.options.threshold = (double)o->vad_threshold;
    config.options.min_speech_ms = o->vad_min_speech_ms;
    config.options.min_silence_ms = o->vad_min_silence_ms;
    config.options.speech_pad_ms = o->vad_speech_pad_ms;
    config.options.max_speech_s = (double)WINDOW / AUDIO_RATE_HZ;
    return recog_vad_create(&config, &run->vad, fault);
}

static int load(struct run *run, struct au_fault *fault)
{
    struct auricle_model_info info;
    int code = app_transcribe_load(&run->args->base, &run->engine, fault);
    if (code != APP_EXIT_OK)
        return code;
    auricle_engine_info(run->engine, &info);
    enum auricle_error error = AURICLE_OK;
    if (!info.multilingual)
        error = au_fail(fault, AURICLE_E_UNSUPPORTED,
                        "%s: knows English only and cannot tell languages apart; name a "
                        "multilingual model with --model",
                        info.path);
    if (!error)
        error = make_detector(run, fault);
    return error ? APP_EXIT_MODEL : APP_EXIT_OK;
}

static int run_all(struct run *run)
{
    struct au_fault fault = {0};
    if (!app_inputs_look("lang", run->parsed, run->bad, &run->input_failed))
        return APP_EXIT_INPUT;
    int code = load(run, &fault);
    if (code != APP_EXIT_OK) {
        app_error("%s", fault.text);
        return code;
    }
    for (size_t i = 0; i < run->parsed->n_operands && !app_interrupted(); i++)
        if (!run->bad[i] && run->results.exit_code == APP_EXIT_OK)
            tell_language(run, run->parsed->operands[i]);
    app_results_close(&run->results);
    return app_results_exit(&run->results, run->input_failed);
}

static int run_checked(const struct lang_args *args, const struct app_parsed *parsed)
{
    struct au_fault fault = {0};
    if (app_inputs_check("lang", &args->base.options, parsed, &fault) != AURICLE_OK) {
        app_error("%s", fault.text);
        return APP_EXIT_USAGE;
    }
    struct run run = {.args = args, .parsed = parsed};
    run.bad = au_calloc(parsed->n_operands, sizeof *run.bad);
    run.block = au_alloc_array(BLOCK, sizeof *run.block);
    run.voice = au_alloc_array(WINDOW, sizeof *run.voice);
    int code = APP_EXIT_INPUT;
    if (run.bad && run.block && run.voice)
        code = run_all(&run);
    else
        app_error("out of memory");
    recog_vad_destroy(run.vad);
    auricle_engine_destroy(run.engine);
    au_free(run.voice);
    au_free(run.block);
    au_free(run.bad);
    return code;
}

static int run_lang(const struct app_command *self, int argc, char **argv)
{
    struct lang_args args = {.top = 5};
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    app_transcribe_args_init(&args.base, 0, NULL);
    args.base.batch_size = 1; /* nothing is decoded: the least memory */
    args.base.options.best_of = 1;
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    args.base.settings = &settings;
    app_transcribe_options_finish(&args.base);
    app_interrupt_watch(NULL);
    code = run_checked(&args, &parsed);
    service_settings_deinit(&settings);
    return code;
}

#define ARGS(member) offsetof(struct lang_args, member)

static const struct app_option output_options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = APP_CHOICE,
     .value = "txt|json",
     .offset = ARGS(format),
     .help = "lines for people, or a JSON object for each recording",
     .otherwise = "txt"},
    {.name = "top",
     .letter = 'n',
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(top),
     .min = 1,
     .max = MAX_LANGUAGES,
     .help = "how many languages to show, the likeliest first",
     .otherwise = "5"},
    {.name = "all",
     .letter = 'a',
     .kind = APP_FLAG,
     .offset = ARGS(all),
     .help = "show every language the model knows"},
    {.name = NULL},
};

static const struct app_option speech_options[] = {
    {.name = "vad",
     .kind = APP_CHOICE,
     .value = "auto|silero|energy|off",
     .offset = ARGS(base.vad),
     .help = "what finds the speech to listen to: a Silero model, loudness, or nothing: the first "
             "30 s as they are; auto: the model where there is one, else loudness",
     .otherwise = "auto"},
    APP_OPTION_VAD_MODEL,
    {.name = NULL},
};

static const struct app_group output_group = {"Output", output_options};
static const struct app_group speech_group = {"Speech", speech_options};
static const struct app_group *const lang_groups[] = {
    &output_group,  &app_group_model,   &speech_group, &app_group_input,
    &app_group_log, &app_group_general, NULL,
};

const struct app_command app_command_lang = {
    .name = "lang",
    .summary = "tell which language is spoken in recordings",
    .operands = "FILE... | -",
    .about = "Tells which language is spoken, with the probability of each, from the first 30 "
             "seconds of speech in every recording. The model must be a multilingual one.",
    .examples = "  auricle lang talk.mp3\n"
                "  auricle lang --top 1 *.flac\n"
                "  auricle lang --all --format json --model small talk.mp3\n",
    .groups = lang_groups,
    .notes =
        "Output:\n"
        "  A line for each language: code, name, probability; of several recordings with\n"
        "  the name in front. A recording without speech gives no line, and a note.\n"
        "\n"
        "Exit codes:\n"
        "    0  all done, also where nobody speaks\n" APP_NOTE_INPUT APP_NOTE_USAGE
        "    3  the model was not found or cannot be used, or knows English only\n" APP_NOTE_OUTPUT
            APP_NOTE_PIPE APP_NOTE_STOPPED,
    .run = run_lang,
};
