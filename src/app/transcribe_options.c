/* The options of `auricle transcribe`: one table, and readers for values of their own kind. */
#include <math.h>
#include <string.h>

#include "app/shared_options.h"
#include "base/nearest.h"
#include "base/str.h"
#include "text/language.h"

#define ARGS(member) offsetof(struct app_transcribe_args, member)

/* ---- Values --------------------------------------------------------------------------------- */

static enum auricle_error add_format(struct app_transcribe_args *args, const char *name,
                                     struct au_fault *fault)
{
    const struct recog_render *format = recog_render_find(name);
    if (!format) {
        struct au_nearest nearest = {name, NULL, 0};
        for (size_t i = 0; recog_render_at(i); i++)
            au_nearest_offer(&nearest, recog_render_at(i)->name);
        const char *best = au_nearest_pick(&nearest);
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is no output format%s%s%s: choose some of txt, srt, vtt, tsv, json, "
                       "lrc, separated by commas, or all",
                       name, best ? " (" : "", best ? best : "", best ? "?)" : "");
    }
    for (size_t i = 0; i < args->n_formats; i++)
        if (args->formats[i] == format)
            return AURICLE_OK;
    if (args->n_formats < APP_MAX_FORMATS)
        args->formats[args->n_formats++] = format;
    return AURICLE_OK;
}

static enum auricle_error parse_formats(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    args->n_formats = 0;
    if (au_str_equal(value, "all")) {
        for (size_t i = 0; recog_render_at(i); i++)
            (void)add_format(args, recog_render_at(i)->name, fault);
        return AURICLE_OK;
    }
    char item[32];
    do {
        if (!app_next_item(&value, item, sizeof item))
            return add_format(args, "(a long name)", fault);
        enum auricle_error error = add_format(args, item, fault);
        if (error)
            return error;
    } while (*value);
    return AURICLE_OK;
}

static enum auricle_error parse_language(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    args->options.language = NULL;
    if (au_str_equal_nocase(value, "auto"))
        return AURICLE_OK;
    return app_language_parse(value, ", or auto", &args->options.language, fault);
}

/* Candidates for detection: kept as they are once each is known. */
static enum auricle_error parse_languages(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    const char *list = value;
    do {
        char item[32];
        const char *code;
        if (!app_next_item(&list, item, sizeof item))
            return au_fail(fault, AURICLE_E_INVALID,
                           "\"%s\" is not accepted: give languages separated by commas, such as "
                           "en,de",
                           value);
        enum auricle_error error = app_language_parse(item, "", &code, fault);
        if (error)
            return error;
    } while (*list);
    args->options.languages = value;
    return AURICLE_OK;
}

/* One temperature, or the ladder. */
static enum auricle_error parse_temperature(void *target, const char *value, struct au_fault *fault)
{
    struct auricle_options *options = &((struct app_transcribe_args *)target)->options;
    const char *list = value;
    int n = 0;
    do {
        char item[32];
        double temperature;
        if (n == AURICLE_MAX_TEMPERATURES || !app_next_item(&list, item, sizeof item) ||
            !au_parse_double(item, &temperature) || temperature < 0 || temperature > 2)
            return au_fail(fault, AURICLE_E_INVALID,
                           "\"%s\" is not accepted: give one to %d numbers from 0 to 2, separated "
                           "by commas, such as 0 or 0,0.4,0.8",
                           value, AURICLE_MAX_TEMPERATURES);
        options->temperatures[n++] = (float)temperature;
    } while (*list);
    options->n_temperatures = n;
    return AURICLE_OK;
}

static enum auricle_error parse_suppress(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    const char *list = value;
    int n = 0;
    while (*list) {
        char item[32];
        int64_t id;
        if (n == APP_MAX_SUPPRESS || !app_next_item(&list, item, sizeof item) ||
            !au_parse_i64(item, &id) || id < -1 || id > INT32_MAX)
            return au_fail(fault, AURICLE_E_INVALID,
                           "\"%s\" is not accepted: give at most %d token numbers separated by "
                           "commas; -1 stands for the symbols that are not speech",
                           value, APP_MAX_SUPPRESS);
        args->suppress[n++] = (int32_t)id;
    }
    args->options.suppress_tokens = args->suppress;
    args->options.n_suppress_tokens = n;
    return AURICLE_OK;
}

static enum auricle_error parse_threshold(float *out, const char *value, struct au_fault *fault)
{
    double number = (double)NAN;
    if (!au_str_equal(value, "off") && !au_parse_double(value, &number))
        return au_fail(fault, AURICLE_E_INVALID, "\"%s\" is not accepted: give a number or off",
                       value);
    *out = (float)number;
    return AURICLE_OK;
}

static enum auricle_error parse_compression(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    return parse_threshold(&args->options.compression_ratio_threshold, value, fault);
}

static enum auricle_error parse_logprob(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    return parse_threshold(&args->options.logprob_threshold, value, fault);
}

static enum auricle_error parse_no_speech(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    return parse_threshold(&args->options.no_speech_threshold, value, fault);
}

/* start,end,start ...; the last end may be missing. */
static enum auricle_error parse_clips(void *target, const char *value, struct au_fault *fault)
{
    struct app_transcribe_args *args = target;
    const char *list = value;
    int n = 0;
    double last = 0;
    do {
        char item[32];
        if (n == APP_MAX_CLIPS || !app_next_item(&list, item, sizeof item) ||
            !au_parse_seconds(item, &args->clips[n]) || args->clips[n] < last)
            return au_fail(fault, AURICLE_E_INVALID,
                           "\"%s\" is not accepted: give at most %d times in rising order, start "
                           "and end by turns, such as 0,30,1:30,2:00",
                           value, APP_MAX_CLIPS);
        last = args->clips[n++];
    } while (*list);
    args->options.clip_seconds = args->clips;
    args->options.n_clip_seconds = n;
    return AURICLE_OK;
}

/* ---- The table ------------------------------------------------------------------------------ */

static const struct app_option output_options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = APP_PARSED,
     .value = "LIST",
     .parse = parse_formats,
     .alias = "output-format",
     .help = "one or more of txt, srt, vtt, tsv, json, lrc, separated by commas, or all",
     .otherwise = "txt"},
    {.name = "output-dir",
     .letter = 'o',
     .kind = APP_TEXT,
     .value = "DIR",
     .offset = ARGS(output_dir),
     .help =
         "write talk.srt for talk.mp3 into this folder (made when missing) in place of standard "
         "output"},
    {.name = NULL},
};

static const struct app_option speech_options[] = {
    {.name = "language",
     .letter = 'l',
     .kind = APP_PARSED,
     .value = "LANG",
     .parse = parse_language,
     .help = "the language that is spoken, by code or name (auricle help languages)",
     .otherwise = "auto: heard from the first window of speech"},
    {.name = "languages",
     .kind = APP_PARSED,
     .value = "LANG,...",
     .parse = parse_languages,
     .help = "the languages to choose among when it is heard",
     .otherwise = "all that the model knows"},
    {.name = "task",
     .kind = APP_CHOICE,
     .value = "transcribe|translate",
     .offset = ARGS(task),
     .help = "write down what is said, or say it in English",
     .otherwise = "transcribe"},
    {.name = "prompt",
     .kind = APP_TEXT,
     .value = "TEXT",
     .offset = ARGS(options.initial_prompt),
     .alias = "initial-prompt",
     .help = "text to read before every window, in the sequential form before the first alone: "
             "names, spellings, style"},
    {.name = "hotwords",
     .kind = APP_TEXT,
     .value = "TEXT",
     .offset = ARGS(options.hotwords),
     .help = "words to expect, told to every window: names, terms"},
    {.name = "carry-prompt",
     .kind = APP_FLAG,
     .offset = ARGS(options.carry_initial_prompt),
     .alias = "carry-initial-prompt",
     .help = "read the prompt before every window in the sequential form too"},
    {.name = "prefix",
     .kind = APP_TEXT,
     .value = "TEXT",
     .offset = ARGS(options.prefix),
     .help = "how the text of the first window begins"},
    {.name = "condition-on-previous-text",
     .kind = APP_FLAG,
     .offset = ARGS(options.condition_on_previous_text),
     .help = "read the text so far before each window: steadier style, more repetition"},
    {.name = "offset",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(options.offset_seconds),
     .max = 1e9,
     .help = "begin here: 90, 1.5m, 00:01:30",
     .otherwise = "0"},
    {.name = "duration",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(options.duration_seconds),
     .max = 1e9,
     .help = "end so long after the offset; 0: at the end of the recording",
     .otherwise = "0"},
    {.name = "clip-timestamps",
     .kind = APP_PARSED,
     .value = "LIST",
     .parse = parse_clips,
     .help = "only these parts: start,end,start,end ... in place of offset and duration"},
    {.name = "word-timestamps",
     .kind = APP_FLAG,
     .offset = ARGS(options.word_timestamps),
     .help = "times of every word: in json as words, and subtitles begin and end with their words"},
    {.name = "no-timestamps",
     .kind = APP_FLAG,
     .offset = ARGS(options.without_timestamps),
     .help = "do not ask the model for times; each window is one segment"},
    {.name = NULL},
};

static const struct app_option voice_options[] = {
    {.name = "long-form",
     .kind = APP_CHOICE,
     .value = "auto|sequential|batched",
     .offset = ARGS(long_form),
     .help = "sequential: one window after the other, as the original program does; batched: "
             "stretches of speech, many windows at once; auto: batched, unless text is conditioned "
             "on what came before",
     .otherwise = "auto"},
    {.name = "batch-size",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(batch_size),
     .min = 1,
     .max = 256,
     .help = "windows decoded at once; each takes memory",
     .otherwise = "8"},
    {.name = "vad",
     .kind = APP_CHOICE,
     .value = "auto|silero|energy|off",
     .offset = ARGS(vad),
     .help = "what finds speech for the batched form: a model of Silero's kind, loudness, or "
             "nothing; auto: "
             "the model where there is one, else loudness",
     .otherwise = "auto"},
    APP_OPTION_VAD_MODEL,
    {.name = "vad-threshold",
     .kind = APP_NUMBER,
     .value = "X",
     .offset = ARGS(vad_threshold),
     .min = 0,
     .max = 1,
     .help = "chance of speech from which it counts as speech",
     .otherwise = "0.5"},
    {.name = "vad-min-speech-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.vad_min_speech_ms),
     .max = 60000,
     .help = "shorter speech is dropped",
     .otherwise = "100"},
    {.name = "vad-min-silence-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.vad_min_silence_ms),
     .max = 60000,
     .help = "silence that ends a stretch of speech",
     .otherwise = "160"},
    {.name = "vad-speech-pad-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.vad_speech_pad_ms),
     .max = 10000,
     .help = "kept before and after speech",
     .otherwise = "400"},
    {.name = "vad-max-speech",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(options.vad_max_speech_seconds),
     .max = 30,
     .help = "longer stretches are cut at a silence; 0: what a window holds",
     .otherwise = "0"},
    {.name = "chunk-length",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(options.chunk_seconds),
     .max = 30,
     .help = "batched form: most speech decoded at once; 0: what the model's files ask for, else "
             "what a "
             "window holds",
     .otherwise = "0"},
    {.name = NULL},
};

static const struct app_option filter_options[] = {
    {.name = "no-filter",
     .kind = APP_FLAG,
     .offset = ARGS(no_filter),
     .help = "keep segments that a rule against invented text would drop"},
    {.name = "keep-filtered",
     .kind = APP_FLAG,
     .offset = ARGS(options.keep_filtered),
     .help = "keep them too, and name the rule in json"},
    {.name = "hallucination-silence-threshold",
     .kind = APP_SECONDS,
     .value = "S",
     .offset = ARGS(options.hallucination_silence_threshold),
     .min = 0,
     .max = 30,
     .help = "sequential, with word times: skip longer silence around text that looks invented",
     .otherwise = "off"},
    {.name = NULL},
};

static const struct app_option search_options[] = {
    {.name = "profile",
     .kind = APP_CHOICE,
     .value = "default|strict|reference",
     .offset = ARGS(profile),
     .help = "where all options here begin: strict tries nothing twice and takes doubt for "
             "silence, reference decodes exactly as the original program does",
     .otherwise = "default"},
    {.name = "beam-size",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(options.beam_size),
     .min = 1,
     .max = 16,
     .help = "texts followed at once at temperature 0; 1: the likeliest token at each step",
     .otherwise = "what the model asks for, else 1"},
    {.name = "patience",
     .kind = APP_NUMBER,
     .value = "X",
     .offset = ARGS(patience),
     .min = 0.1,
     .max = 4,
     .help = "finished texts to collect, as a multiple of the beam size",
     .otherwise = "1"},
    {.name = "length-penalty",
     .kind = APP_NUMBER,
     .value = "X",
     .offset = ARGS(length_penalty),
     .min = 0,
     .max = 1,
     .help = "exponent of Google's length penalty when texts are compared",
     .otherwise = "off: the mean per token"},
    {.name = "temperature",
     .kind = APP_PARSED,
     .value = "LIST",
     .parse = parse_temperature,
     .help = "one temperature, or several that are tried in turn until the text passes the tests "
             "below",
     .otherwise = "0,0.2,0.4,0.6,0.8,1"},
    {.name = "best-of",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(options.best_of),
     .min = 1,
     .max = 16,
     .help = "texts sampled above temperature 0, of which the likeliest is kept",
     .otherwise = "5"},
    {.name = "seed",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(seed),
     .min = 0,
     .max = INT32_MAX,
     .help = "of the sampling: the same seed gives the same text",
     .otherwise = "0"},
    {.name = "max-tokens",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(options.max_tokens),
     .min = 0,
     .max = 448,
     .help = "tokens per window at most; 0: half the model's text context",
     .otherwise = "0"},
    {.name = "compression-ratio-threshold",
     .kind = APP_PARSED,
     .value = "X|off",
     .parse = parse_compression,
     .help = "a text that packs better than this repeats itself: try the next temperature",
     .otherwise = "2.4"},
    {.name = "logprob-threshold",
     .kind = APP_PARSED,
     .value = "X|off",
     .parse = parse_logprob,
     .help = "a text less likely than this per token is doubtful: try the next temperature",
     .otherwise = "-1"},
    {.name = "no-speech-threshold",
     .kind = APP_PARSED,
     .value = "X|off",
     .parse = parse_no_speech,
     .help = "a doubtful window whose chance of silence is above this is skipped",
     .otherwise = "0.6"},
    {.name = "suppress-tokens",
     .kind = APP_PARSED,
     .value = "LIST",
     .parse = parse_suppress,
     .help = "token numbers that are never written; -1: symbols that are not speech",
     .otherwise = "-1"},
    {.name = "no-suppress-blank",
     .kind = APP_FLAG,
     .offset = ARGS(keep_blank),
     .help = "let a window begin with a blank or with nothing"},
    {.name = "max-initial-timestamp",
     .kind = APP_NUMBER,
     .value = "S",
     .offset = ARGS(max_initial_timestamp),
     .min = -1,
     .max = 30,
     .help = "the first time in a window is not above this; negative: no bound",
     .otherwise = "1"},
    {.name = NULL},
};

static const struct app_group output_group = {"Output", output_options};
static const struct app_group speech_group = {"Speech", speech_options};
static const struct app_group voice_group = {"Long recordings", voice_options};
static const struct app_group filter_group = {"Invented text", filter_options};
static const struct app_group search_group = {"Search", search_options};

const struct app_group *const app_transcribe_groups[] = {
    &output_group, &app_group_model, &speech_group,  &app_group_input,   &voice_group,
    &search_group, &filter_group,    &app_group_log, &app_group_general, NULL,
};

/* ---- Before and after parsing --------------------------------------------------------------- */

void app_transcribe_args_init(struct app_transcribe_args *args, int argc, char *const *argv)
{
    const char *profile = app_options_peek(argc, argv, "profile");
    memset(args, 0, sizeof *args);
    if (au_str_equal(profile, "reference"))
        auricle_options_reference(&args->options);
    else if (au_str_equal(profile, "strict"))
        auricle_options_strict(&args->options);
    else
        auricle_options_default(&args->options);
    args->long_form = (int)args->options.long_form;
    args->no_filter = !args->options.filter;
    args->formats[0] = recog_render_find("txt");
    args->n_formats = 1;
    args->patience = 1;
    args->batch_size = 8;
    args->vad_threshold = (double)args->options.vad_threshold;
    args->length_penalty = (double)args->options.length_penalty;
    args->max_initial_timestamp = (double)args->options.max_initial_timestamp;
}

void app_transcribe_options_finish(struct app_transcribe_args *args)
{
    struct auricle_options *options = &args->options;
    options->task = (enum auricle_task)args->task;
    options->long_form = (enum auricle_long_form)args->long_form;
    options->vad = (enum auricle_vad)args->vad;
    options->vad_threshold = (float)args->vad_threshold;
    options->seed = (uint64_t)args->seed;
    options->patience = (float)args->patience;
    options->length_penalty = (float)args->length_penalty;
    options->max_initial_timestamp = (float)args->max_initial_timestamp;
    options->suppress_blank = !args->keep_blank;
    options->filter = !args->no_filter;
}
