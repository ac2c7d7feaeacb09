/* auricle lang: which language is spoken in recordings.
 *
 * Each recording is begun as auricle transcribe begins it, and left when the language is known: so
 * both hear the same window of speech, and say the same. With --vad off the first 30 s are heard as
 * the original's detect_language hears them, with silence after what is shorter; transcription
 * pads such a window with zeros of the spectrum, as it decodes it. The rest is not read.         */
#include <stdlib.h>
#include <string.h>

#include "app/input.h"
#include "app/interrupt.h"
#include "app/output.h"
#include "app/shared_options.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "recog/message.h"
#include "recog/session.h"

enum {
    WINDOW = 30 * AUDIO_RATE_HZ, /* what the model hears at once */
    MAX_LANGUAGES = 128          /* as auricle_detect_language may fill in */
};
_Static_assert(TEXT_MAX_LANGUAGES <= MAX_LANGUAGES, "a session's languages have room");

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
    struct au_fault *faults; /* [n_operands] of those found wanting before anything was loaded */
    struct auricle_engine *engine;
    float *sound; /* [WINDOW] with --vad off, else NULL */
    struct app_results results;
    bool input_failed;
};

/* One recording of it. */
struct work {
    struct run *run;
    const char *input, *label;
    struct recog_source *source;     /* the session's, where there is one */
    struct auricle_session *session; /* NULL with --vad off */
    size_t n_heard;                  /* samples that the model was shown */
    float probabilities[MAX_LANGUAGES];
    size_t n_languages;
    size_t order[MAX_LANGUAGES]; /* likeliest first */
};

/* ---- Hearing --------------------------------------------------------------------------------- */

/* A session up to the point where it knows the language, or finds no speech. */
static enum auricle_error hear_speech(struct work *work, struct auricle_message *message)
{
    struct auricle_engine *engine = work->run->engine;
    struct auricle_session *session = work->session;
    enum auricle_error error = AURICLE_OK;
    while (!error && session->language < 0 && !auricle_session_finished(session) &&
           !app_interrupted()) {
        struct auricle_unit *unit;
        error = auricle_session_next(session, &unit, message);
        if (error || !unit)
            continue;
        auricle_engine_run(engine, &unit, 1);
        error = auricle_session_complete(session, unit, message);
    }
    if (error || session->language < 0)
        return error;
    work->n_heard = (size_t)session->language_samples;
    work->n_languages = (size_t)engine->specials->n_languages;
    memcpy(work->probabilities, session->language_probabilities,
           work->n_languages * sizeof *work->probabilities);
    return AURICLE_OK;
}

static enum auricle_error hear_sound(struct work *work, struct auricle_message *message)
{
    struct run *run = work->run;
    struct au_fault fault = {0};
    enum auricle_error error = recog_source_read(work->source, 0, WINDOW, run->sound,
                                                 &work->n_heard, &fault);
    if (error || !work->n_heard || app_interrupted())
        return recog_message(error, &fault, message);
    return auricle_detect_language(run->engine, run->sound, work->n_heard, work->probabilities,
                                   &work->n_languages, message);
}

static enum auricle_error open_input(struct work *work, struct au_fault *fault)
{
    const struct auricle_options *options = &work->run->args->base.options;
    const struct audio_decode_options decoding = app_input_decoding(options, AUDIO_RATE_HZ);
    enum auricle_error error = recog_source_open(work->input, &decoding, &work->source, fault);
    if (error || work->run->sound)
        return error;
    struct recog_source *source = work->source;
    work->source = NULL; /* taken, on failure too */
    error = recog_session_create(work->run->engine, source, options, NULL, &work->session, fault);
    if (!error)
        work->source = source;
    return error;
}

static void close_input(struct work *work)
{
    if (!work->session)
        recog_source_close(work->source);
    auricle_session_destroy(work->session);
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
    enum auricle_error error = open_input(work, fault);
    if (error)
        return error;
    error = work->session ? hear_speech(work, &message) : hear_sound(work, &message);
    if (error)
        return au_fail(fault, error, "%s", message.text);
    if (recog_source_length(work->source) == 0 && !app_interrupted())
        return au_fail(fault, AURICLE_E_NO_AUDIO, "%s: holds no sound (0 samples)", work->label);
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
    au_json_add_fixed(&w, "heard", (double)work->n_heard / AUDIO_RATE_HZ, 3);
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
    if (!work->n_heard)
        app_note(quiet, "%s: no speech was found", work->label);
    au_log(AU_LOG_INFO, "%s: told from %.1f s of %s", work->label,
           (double)work->n_heard / AUDIO_RATE_HZ, work->session ? "speech" : "sound");
}

static void write_failure(struct run *run, const char *input, const char *sentence)
{
    run->input_failed = true;
    if (run->args->format == 1)
        app_write_failed(&run->results, input, sentence);
}

static void tell_language(struct run *run, const char *input)
{
    struct work work = {.run = run, .input = input, .label = app_input_label(input)};
    struct au_fault fault = {0};
    enum auricle_error error = detect(&work, &fault);
    if (error == AURICLE_E_CANCELLED) {
        app_warn(run->args->base.general.quiet, "%s: stopped before the language was known",
                 work.label);
    } else if (error) {
        app_input_failed(input, fault.text);
        write_failure(run, input, fault.text);
    } else if (!app_interrupted()) {
        write_result(&work);
    }
    close_input(&work);
}

/* ---- The call -------------------------------------------------------------------------------- */

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
    return error ? APP_EXIT_MODEL : APP_EXIT_OK;
}

static int run_all(struct run *run)
{
    struct au_fault fault = {0};
    bool any = app_inputs_look("lang", run->parsed, run->faults, &run->input_failed);
    int code = any ? load(run, &fault) : APP_EXIT_OK;
    if (code != APP_EXIT_OK) {
        app_error("%s", fault.text);
        return code;
    }
    for (size_t i = 0; i < run->parsed->n_operands && !app_interrupted(); i++) {
        if (run->results.exit_code != APP_EXIT_OK)
            break;
        if (run->faults[i].code)
            write_failure(run, run->parsed->operands[i], run->faults[i].text);
        else
            tell_language(run, run->parsed->operands[i]);
    }
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
    run.faults = au_calloc(parsed->n_operands, sizeof *run.faults);
    bool all_is_heard = args->base.options.vad == AURICLE_VAD_OFF;
    if (all_is_heard)
        run.sound = au_alloc_array(WINDOW, sizeof *run.sound);
    int code = APP_EXIT_INPUT;
    if (run.faults && (run.sound || !all_is_heard))
        code = run_all(&run);
    else
        app_error("out of memory");
    auricle_engine_destroy(run.engine);
    au_free(run.sound);
    au_free(run.faults);
    return code;
}

static int run_lang(const struct app_command *self, int argc, char **argv)
{
    struct lang_args args = {.top = 5};
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    app_transcribe_args_init(&args.base, 0, NULL);
    args.base.multilingual = true;
    args.base.batch_size = 1; /* nothing is decoded: the least memory */
    args.base.options.best_of = 1;
    args.base.long_form = AURICLE_LONG_FORM_BATCHED;
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
     .help = "what finds the speech to listen to: a model of Silero's kind, loudness, or nothing: "
             "the first "
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
             "seconds of speech in every recording, or as many as the model reads at once: what "
             "auricle transcribe hears first, and tells as its language. The model must be a "
             "multilingual one.",
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
