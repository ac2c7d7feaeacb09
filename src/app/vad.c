/* auricle vad: where in recordings somebody speaks.
 *
 * Samples come from the decoder block by block, go through the detector, and are forgotten: memory
 * does not grow with the recording. Stretches are printed as soon as they are settled (json: at
 * the end of the recording).                                                                     */
#include <stdio.h>
#include <string.h>

#include "app/input.h"
#include "app/interrupt.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/shared_options.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/voice/vad.h"
#include "service/registry/intact.h"
#include "service/registry/local.h"

enum { FORMAT_TXT, FORMAT_JSON, FORMAT_TSV };
enum { DETECTOR_AUTO, DETECTOR_SILERO, DETECTOR_ENERGY };
enum { BLOCK_SAMPLES = 16000 }; /* decoded at once, and the steps of the progress */

struct vad_args {
    struct app_transcribe_args base; /* first; of it the input, --model-dir and --vad-model */
    int format, detector;
    int rate; /* index of rates_hz; < 0: not said */
    struct recog_vad_options options;
    double max_speech; /* seconds; 0: no bound */
    bool cut_at_last_silence, energy_first;
};

static const int rates_hz[] = {8000, 16000};

/* One call of the command. */
struct run {
    const struct vad_args *args;
    const struct app_parsed *parsed;
    struct au_fault *faults;    /* [n_operands] of those found wanting at first sight */
    struct silero_model *model; /* NULL: loudness decides */
    char *name;                 /* of the model, as listed */
    struct recog_vad *vad;
    int rate_hz;
    float *block; /* [BLOCK_SAMPLES] */
    enum app_progress_mode progress_mode;
    struct app_results results;
    bool input_failed;
};

/* One recording of it. */
struct work {
    struct run *run;
    const char *label;
    struct audio_reader *reader;
    struct app_progress progress;
    struct au_buf out;
    struct au_json_writer json; /* into out */
    int64_t n_samples, n_speech;
    size_t n_segments;
    int64_t began_ns;
    bool stopped;
    char stop[80]; /* the sentence about it */
};

/* ---- Results --------------------------------------------------------------------------------- */

static double seconds(const struct work *work, int64_t samples)
{
    return (double)samples / work->run->rate_hz;
}

static void put_seconds(struct work *work, const char *key, int64_t samples)
{
    au_json_key(&work->json, key);
    au_json_put_number(&work->json, seconds(work, samples));
}

static void begin_json(struct work *work)
{
    au_json_writer_init(&work->json, &work->out, 0);
    au_json_open_object(&work->json);
    au_json_add_string(&work->json, "file", work->label);
    au_json_key(&work->json, "segments");
    au_json_open_array(&work->json);
}

/* What is to be said of the whole: that ctrl-C ended it, or what the decoder found; or NULL. */
static const char *warning(struct work *work)
{
    if (!work->stopped)
        return audio_warning(work->reader);
    snprintf(work->stop, sizeof work->stop, "stopped after %.0f s; what was finished is kept",
             seconds(work, work->n_samples));
    return work->stop;
}

static void end_json(struct work *work)
{
    au_json_close_array(&work->json);
    put_seconds(work, "duration", work->n_samples);
    put_seconds(work, "speech", work->n_speech);
    au_json_add_string(&work->json, "detector", work->run->name ? work->run->name : "energy");
    au_json_add_string(&work->json, "warning", warning(work));
    au_json_close_object(&work->json);
    au_buf_putc(&work->out, '\n');
}

static void write_out(struct work *work)
{
    if (!work->out.len && !work->out.error)
        return;
    app_progress_clear(&work->progress);
    app_results_write(&work->run->results, &work->out);
}

static void put_segment(struct work *work, const struct recog_speech *speech)
{
    double start = seconds(work, speech->start), end = seconds(work, speech->end);
    switch (work->run->args->format) {
    case FORMAT_JSON:
        au_json_open_object(&work->json);
        put_seconds(work, "start", speech->start);
        put_seconds(work, "end", speech->end);
        au_json_close_object(&work->json);
        return; /* written whole or not at all */
    case FORMAT_TSV:
        au_buf_printf(&work->out, "%.3f\t%.3f\t", start, end);
        app_put_name(&work->out, work->label);
        au_buf_putc(&work->out, '\n');
        break;
    default:
        if (work->run->parsed->n_operands > 1) {
            app_put_name(&work->out, work->label);
            au_buf_putc(&work->out, ':');
        }
        au_buf_printf(&work->out, "%10.3f %10.3f\n", start, end);
    }
    write_out(work);
}

static void take_segments(struct work *work)
{
    struct recog_speech speech;
    while (recog_vad_next(work->run->vad, &speech)) {
        work->n_segments++;
        work->n_speech += speech.end - speech.start;
        put_segment(work, &speech);
    }
}

/* ---- One recording --------------------------------------------------------------------------- */

static void feed(struct work *work, const float *samples, size_t n)
{
    for (size_t done = 0; done < n;) {
        done += recog_vad_feed(work->run->vad, samples + done, n - done);
        take_segments(work);
    }
    work->n_samples += (int64_t)n;
}

/* Up to the end, to ctrl-C, or until nobody reads. */
static enum auricle_error hear(struct work *work, struct au_fault *fault)
{
    struct run *run = work->run;
    double total = audio_info(work->reader)->seconds;
    size_t n;
    do {
        enum auricle_error error = audio_read(work->reader, run->block, BLOCK_SAMPLES, &n, fault);
        if (error == AURICLE_E_CANCELLED && work->n_samples > 0)
            n = 0; /* what was heard is kept */
        else if (error)
            return error;
        feed(work, run->block, n);
        app_progress_update(&work->progress, seconds(work, work->n_samples), total);
        work->stopped = app_interrupted() || run->results.exit_code != APP_EXIT_OK;
    } while (n > 0 && !work->stopped);
    if (work->n_samples == 0)
        return au_fail(fault, AURICLE_E_NO_AUDIO, "%s: holds no sound (0 samples)", work->label);
    recog_vad_finish(run->vad);
    take_segments(work);
    return AURICLE_OK;
}

static enum auricle_error open_reader(struct work *work, const char *input, struct au_fault *fault)
{
    const struct audio_decode_options options = app_input_decoding(&work->run->args->base.options,
                                                                   work->run->rate_hz);
    if (app_input_is_stdin(input))
        return audio_open_fd(0, work->label, &options, &work->reader, fault);
    return audio_open_path(input, &options, &work->reader, fault);
}

static void summarise(struct work *work)
{
    bool quiet = work->run->args->base.general.quiet;
    const char *said = warning(work);
    double heard = seconds(work, work->n_samples), speech = seconds(work, work->n_speech);
    double took = (double)(au_now_ns() - work->began_ns) / 1e9;
    uint64_t skipped, chunks = recog_vad_chunks(work->run->vad, &skipped);
    if (said)
        app_warn(quiet, "%s: %s", work->label, said);
    app_note(quiet, "%s: %.1f s of speech in %.1f s (%.1f %%), %zu segment%s", work->label, speech,
             heard, 100 * speech / heard, work->n_segments, work->n_segments == 1 ? "" : "s");
    au_log(
        AU_LOG_INFO,
        "%s: %llu chunks in %.1f ms (%.0fx real time), %.1f ms of it decoding, %llu not shown to "
        "the model",
        work->label, (unsigned long long)chunks, 1e3 * took, took > 0 ? heard / took : 0.0,
        audio_info(work->reader)->decode_ms, (unsigned long long)skipped);
}

static void write_failure(struct run *run, const char *input, const char *sentence)
{
    run->input_failed = true;
    if (run->args->format == FORMAT_JSON)
        app_write_failed(&run->results, input, sentence);
}

static void find_speech(struct run *run, const char *input)
{
    struct work work = {.run = run, .label = app_input_label(input), .began_ns = au_now_ns()};
    struct au_fault fault = {0};
    recog_vad_reset(run->vad);
    au_buf_init(&work.out, 0);
    app_progress_start(&work.progress, run->progress_mode, au_path_name(work.label));
    if (run->args->format == FORMAT_JSON)
        begin_json(&work);
    enum auricle_error error = open_reader(&work, input, &fault);
    if (!error)
        error = hear(&work, &fault);
    app_progress_clear(&work.progress);
    if (error == AURICLE_E_CANCELLED) {
        app_warn(run->args->base.general.quiet,
                 "%s: stopped before anything was heard; nothing is written", work.label);
    } else if (error) {
        app_input_failed(input, fault.text);
        write_failure(run, input, fault.text);
    } else {
        if (run->args->format == FORMAT_JSON)
            end_json(&work);
        write_out(&work);
        if (run->results.exit_code == APP_EXIT_OK)
            summarise(&work);
    }
    audio_close(work.reader);
    au_buf_deinit(&work.out);
}

/* ---- The detector ---------------------------------------------------------------------------- */

/* An installed model for the rate, a new string; NULL: there is none. */
static enum auricle_error find_installed(const struct service_model_folders *folders, int rate_hz,
                                         char **path, struct au_fault *fault)
{
    static const char *const names[] = {"silero-vad-8k", "silero_vad_8k"};
    if (rate_hz == AUDIO_RATE_HZ)
        return service_local_find_vad(folders, path, fault);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !*path; i++)
        if (service_local_find(folders, names[i], path, NULL) != AURICLE_OK)
            *path = NULL;
    return AURICLE_OK;
}

static int wanted_hz(const struct vad_args *args)
{
    return args->rate < 0 ? AUDIO_RATE_HZ : rates_hz[args->rate];
}

/* Path of the model, a new string; NULL: loudness decides. */
static enum auricle_error find_model(const struct vad_args *args, char **path,
                                     struct au_fault *fault)
{
    struct service_model_folders folders;
    enum auricle_error error = AURICLE_OK;
    if (args->detector == DETECTOR_ENERGY)
        return AURICLE_OK;
    if (service_model_folders_init(args->base.model_dir, &folders) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    if (args->base.vad_model)
        error = service_local_find(&folders, args->base.vad_model, path, fault);
    else
        error = find_installed(&folders, wanted_hz(args), path, fault);
    service_model_folders_deinit(&folders);
    if (!error && !*path && args->detector == DETECTOR_SILERO)
        error = au_fail(fault, AURICLE_E_NOT_FOUND,
                        "--vad silero: no Silero model for this rate is installed: %sname one with "
                        "--vad-model, or say --vad energy",
                        wanted_hz(args) == AUDIO_RATE_HZ
                            ? "auricle models pull silero-vad loads one; or "
                            : "");
    return error;
}

static enum auricle_error load_model(struct run *run, const char *path, struct au_fault *fault)
{
    struct format_weights *weights = NULL;
    enum auricle_error error = service_intact_check(path, NULL, fault);
    if (!error)
        error = format_weights_open(path, &weights, fault);
    if (!error)
        error = silero_model_create(weights, app_shared_kernels(&run->args->base), &run->model,
                                    fault);
    format_weights_close(weights);
    if (error) {
        if (!strstr(fault->text, path))
            au_fault_prefix(fault, path);
        return error;
    }
    int own_hz = silero_rate_hz(run->model);
    if (run->args->rate >= 0 && rates_hz[run->args->rate] != own_hz)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: a model for %d Hz, and --sample-rate says %d: name another with "
                       "--vad-model, or leave --sample-rate out",
                       path, own_hz, rates_hz[run->args->rate]);
    run->rate_hz = own_hz;
    run->name = service_local_name(path);
    return run->name ? AURICLE_OK : au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

static struct recog_vad_options detector_options(const struct vad_args *args)
{
    struct recog_vad_options options = args->options;
    options.max_speech_s = args->max_speech > 0 ? args->max_speech : (double)INFINITY;
    options.cut_at_longest_silence = !args->cut_at_last_silence;
    return options;
}

static enum auricle_error make_detector(struct run *run, struct au_fault *fault)
{
    const struct vad_args *args = run->args;
    char *path = NULL;
    run->rate_hz = wanted_hz(args);
    enum auricle_error error = find_model(args, &path, fault);
    if (!error && path)
        error = load_model(run, path, fault);
    if (!error && !path && args->detector == DETECTOR_AUTO)
        app_note(args->base.general.quiet,
                 "auricle: no Silero model for %d Hz is installed: loudness tells speech from "
                 "silence",
                 run->rate_hz);
    struct recog_vad_config config = {.model = run->model,
                                      .rate_hz = run->rate_hz,
                                      .options = detector_options(args),
                                      .energy = RECOG_VAD_ENERGY_DEFAULT,
                                      .energy_first = args->energy_first};
    if (!error)
        error = recog_vad_create(&config, &run->vad, fault);
    if (!error)
        au_log(AU_LOG_INFO, "voice activity by %s at %d Hz, chunks of %zu samples",
               path ? path : "loudness", run->rate_hz, recog_vad_chunk_samples(run->vad));
    au_free(path);
    return error;
}

/* ---- The call -------------------------------------------------------------------------------- */

static int run_all(struct run *run)
{
    struct au_fault fault = {0};
    bool any = app_inputs_look("vad", run->parsed, run->faults, &run->input_failed);
    if (any && make_detector(run, &fault) != AURICLE_OK) {
        app_error("%s", fault.text);
        return APP_EXIT_MODEL;
    }
    if (any && run->args->format == FORMAT_TSV) {
        struct au_buf header;
        au_buf_init(&header, 0);
        au_buf_puts(&header, "start\tend\tfile\n");
        app_results_write(&run->results, &header);
        au_buf_deinit(&header);
    }
    for (size_t i = 0; i < run->parsed->n_operands && !app_interrupted(); i++) {
        if (run->results.exit_code != APP_EXIT_OK)
            break;
        if (run->faults[i].code)
            write_failure(run, run->parsed->operands[i], run->faults[i].text);
        else
            find_speech(run, run->parsed->operands[i]);
    }
    app_results_close(&run->results);
    return app_results_exit(&run->results, run->input_failed);
}

static int run_checked(const struct vad_args *args, const struct app_parsed *parsed)
{
    struct au_fault fault = {0};
    const struct recog_vad_options options = detector_options(args);
    enum auricle_error error = app_inputs_check("vad", &args->base.options, parsed, &fault);
    if (!error)
        error = recog_vad_options_check(&options, &fault);
    if (error) {
        app_error("%s", fault.text);
        return APP_EXIT_USAGE;
    }
    struct run run = {.args = args, .parsed = parsed};
    run.progress_mode = app_progress_choose(args->base.general.quiet);
    run.faults = au_calloc(parsed->n_operands, sizeof *run.faults);
    run.block = au_alloc_array(BLOCK_SAMPLES, sizeof *run.block);
    int code = APP_EXIT_INPUT;
    if (run.faults && run.block)
        code = run_all(&run);
    else
        app_error("out of memory");
    recog_vad_destroy(run.vad);
    silero_model_destroy(run.model);
    au_free(run.name);
    au_free(run.block);
    au_free(run.faults);
    return code;
}

static int run_vad(const struct app_command *self, int argc, char **argv)
{
    static const char stopping[] = "\nauricle: stopping; press ctrl-C again to stop at once\n";
    struct vad_args args = {.rate = -1, .options = RECOG_VAD_DEFAULT};
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    app_transcribe_args_init(&args.base, 0, NULL);
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    app_interrupt_watch(args.base.general.quiet ? NULL : stopping);
    code = run_checked(&args, &parsed);
    service_settings_deinit(&settings);
    return code;
}

#define ARGS(member) offsetof(struct vad_args, member)

static const struct app_option output_options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = APP_CHOICE,
     .value = "txt|json|tsv",
     .offset = ARGS(format),
     .help = "start and end in seconds as lines, as an object for each recording (file, segments, "
             "duration, speech, detector, warning), or as a table with the recording's name",
     .otherwise = "txt"},
    {.name = NULL},
};

static const struct app_option model_options[] = {
    {.name = "vad",
     .kind = APP_CHOICE,
     .value = "auto|silero|energy",
     .offset = ARGS(detector),
     .help = "what finds speech: a model of Silero's kind, or loudness and zero crossings; auto: "
             "the model "
             "where there is one, else loudness",
     .otherwise = "auto"},
    APP_OPTION_VAD_MODEL,
    APP_OPTION_MODEL_DIR,
    {.name = "sample-rate",
     .kind = APP_CHOICE,
     .value = "8000|16000",
     .offset = ARGS(rate),
     .help = "samples per second that are looked at: a model's own; loudness takes either",
     .otherwise = "the model's; 16000 for loudness"},
    APP_OPTION_CPU_LEVEL,
    {.name = "energy-first",
     .kind = APP_FLAG,
     .offset = ARGS(energy_first),
     .help = "what is quiet counts as silence without a look of the model: faster where much is "
             "silent"},
    {.name = NULL},
};

static const struct app_option speech_options[] = {
    {.name = "threshold",
     .kind = APP_NUMBER,
     .value = "X",
     .offset = ARGS(options.threshold),
     .max = 1,
     .alias = "vad-threshold",
     .help = "chance of speech from which it counts as speech",
     .otherwise = "0.5"},
    {.name = "neg-threshold",
     .kind = APP_NUMBER,
     .value = "X",
     .offset = ARGS(options.neg_threshold),
     .max = 1,
     .help = "chance of speech below which speech may end",
     .otherwise = "threshold - 0.15"},
    {.name = "min-speech-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.min_speech_ms),
     .max = 3600000,
     .alias = "vad-min-speech-ms",
     .help = "shorter speech is dropped",
     .otherwise = "250"},
    {.name = "min-silence-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.min_silence_ms),
     .max = 3600000,
     .alias = "vad-min-silence-ms",
     .help = "silence that ends a stretch of speech",
     .otherwise = "100"},
    {.name = "speech-pad-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.speech_pad_ms),
     .max = 3600000,
     .alias = "vad-speech-pad-ms",
     .help = "kept before and after speech",
     .otherwise = "30"},
    {.name = "max-speech",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(max_speech),
     .max = 1e9,
     .alias = "vad-max-speech",
     .help = "longer stretches are cut at a silence; 0: never",
     .otherwise = "0"},
    {.name = "min-silence-at-max-speech-ms",
     .kind = APP_NUMBER,
     .value = "MS",
     .offset = ARGS(options.min_silence_at_max_speech_ms),
     .max = 3600000,
     .help = "silence at which a stretch that is too long may be cut",
     .otherwise = "98"},
    {.name = "cut-at-last-silence",
     .kind = APP_FLAG,
     .offset = ARGS(cut_at_last_silence),
     .help = "cut what is too long at its last silence rather than its longest"},
    {.name = NULL},
};

static const struct app_group output_group = {"Output", output_options};
static const struct app_group model_group = {"Detector", model_options};
static const struct app_group speech_group = {"Speech", speech_options};
static const struct app_group *const vad_groups[] = {
    &output_group,  &model_group,       &speech_group, &app_group_input,
    &app_group_log, &app_group_general, NULL,
};

const struct app_command app_command_vad = {
    .name = "vad",
    .summary = "find the stretches of speech in recordings",
    .operands = "FILE... | -",
    .about = "Prints where in recordings somebody speaks, by a model of Silero's kind or "
             "by loudness. Times are seconds from the start. Recordings may be of any length and "
             "of every kind that auricle transcribe reads.",
    .examples = "  auricle vad talk.mp3\n"
                "  auricle vad --format json --vad-model silero_vad_16k.safetensors talk.mp3\n"
                "  auricle vad --min-silence-ms 500 --speech-pad-ms 200 -f tsv *.flac\n"
                "  auricle vad --vad energy --sample-rate 8000 call.wav\n",
    .groups = vad_groups,
    .notes = "Output:\n"
             "  A line for each stretch: start and end in seconds; of several recordings with\n"
             "  the name in front. json has a line for each recording, tsv one table for all.\n"
             "  How much of a recording is speech is said on standard error.\n"
             "\n"
             "Exit codes:\n"
             "    0  all done, also where nobody speaks\n" APP_NOTE_INPUT APP_NOTE_USAGE
                 APP_NOTE_MODEL APP_NOTE_OUTPUT APP_NOTE_PIPE APP_NOTE_STOPPED,
    .run = run_vad,
};
