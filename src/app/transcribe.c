/* auricle transcribe: recordings to text.
 *
 * Options are read, the inputs are looked at, the model is loaded once, and then one recording
 * follows the other. A failed input or output ends nothing but itself; ctrl-C ends after the
 * present window and keeps what is finished. Standard output carries results alone, everything
 * else goes to standard error. Where a result goes to standard output, formats that allow it are
 * written segment by segment as the recording is worked through.                                 */
#include "app/transcribe.h"

#include <limits.h>
#include <string.h>

#include "app/input.h"
#include "app/interrupt.h"
#include "app/output.h"
#include "app/progress.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/options.h"

/* One call of the command. */
struct run {
    const struct app_transcribe_args *args;
    const struct app_parsed *parsed;
    const char *const *inputs;
    size_t n_inputs;
    struct au_fault *faults; /* [n_inputs] of those found wanting before anything was loaded */
    char **names;            /* [n_inputs] of output files; NULL without --output-dir */
    struct auricle_engine *engine;
    enum app_progress_mode progress_mode;
    bool input_failed, output_failed, pipe_closed, stdout_failed;
};

/* One recording of it. */
struct work {
    struct run *run;
    const char *input, *label;
    const struct recog_render *stream; /* written as it comes; NULL: nothing is */
    bool begun;                        /* its first text was written */
    size_t n_written;                  /* segments */
    struct app_progress progress;
    double total; /* seconds that are asked for; < 0: not known */
};

/* ---- While a recording is worked through ---------------------------------------------------- */

static void report_output_error(struct run *run, enum auricle_error error, const char *sentence)
{
    app_error("%s", sentence);
    run->output_failed = true;
    run->pipe_closed = run->pipe_closed || error == AURICLE_E_CLOSED_PIPE;
}

static void write_stdout(struct work *work, const struct au_buf *text)
{
    struct run *run = work->run;
    struct au_fault fault = {0};
    if (run->stdout_failed || (text->len == 0 && !text->error))
        return;
    app_progress_clear(&work->progress);
    enum auricle_error error = text->error
                                   ? au_fail(&fault, text->error, "out of memory for the result")
                                   : app_stdout_write(text->data, text->len, &fault);
    if (!error)
        return;
    run->stdout_failed = true;
    report_output_error(run, error, fault.text);
}

/* Adds what the format begins with to the first text: an input that fails leaves nothing. */
static void begin_stream(struct work *work, struct au_buf *text)
{
    if (!work->begun && work->stream->begin)
        work->stream->begin(text);
    work->begun = true;
}

static void on_segment(void *context, const struct auricle_segment *segment)
{
    struct work *work = context;
    if (!work->stream)
        return;
    struct au_buf text;
    au_buf_init(&text, 0);
    begin_stream(work, &text);
    work->stream->segment(&text, segment, work->n_written++);
    write_stdout(work, &text);
    au_buf_deinit(&text);
}

/* A recording in which nothing is said still makes a whole file. */
static void end_stream(struct work *work)
{
    struct au_buf text;
    au_buf_init(&text, 0);
    begin_stream(work, &text);
    write_stdout(work, &text);
    au_buf_deinit(&text);
}

static bool on_progress(void *context, double done, double total)
{
    struct work *work = context;
    work->total = total;
    app_progress_update(&work->progress, done, total);
    return !app_interrupted() && !work->run->stdout_failed;
}

/* ---- Results -------------------------------------------------------------------------------- */

static enum auricle_error write_file(const struct run *run, size_t i,
                                     const struct recog_render *format, const struct au_buf *text,
                                     struct au_fault *fault)
{
    const char *folder = run->args->output_dir;
    char *path = au_sprintf("%s%s%s.%s", folder, au_str_ends(folder, "/") ? "" : "/", run->names[i],
                            format->name);
    enum auricle_error error;
    if (!path || text->error)
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory for the result");
    else if (app_same_file(path, run->inputs[i]))
        error = au_fail(fault, AURICLE_E_INVALID,
                        "%s: is the recording itself and will not be written over; choose another "
                        "--output-dir",
                        path);
    else
        error = au_file_write_atomic(path, text->data, text->len, fault);
    if (!error)
        au_log(AU_LOG_INFO, "%s: %zu bytes written", path, text->len);
    au_free(path);
    return error;
}

static bool is_json(const struct recog_render *format)
{
    return format->whole == recog_render_json;
}

static enum auricle_error render(const struct work *work, const struct recog_render *format,
                                 const struct auricle_result *result, struct au_buf *out)
{
    if (!is_json(format))
        return recog_render_result(format, result, out);
    recog_render_json_of(out, work->label, result);
    return out->error;
}

/* Results that are lines have one for a failed input too: so every input is accounted for. */
static void write_failure(struct work *work, const char *sentence)
{
    struct au_buf text;
    work->run->input_failed = true;
    if (work->run->args->output_dir || !is_json(work->run->args->formats[0]))
        return;
    au_buf_init(&text, 0);
    app_put_failed(&text, work->input, sentence);
    write_stdout(work, &text);
    au_buf_deinit(&text);
}

static void write_result(struct work *work, size_t i, const struct auricle_result *result)
{
    struct run *run = work->run;
    if (work->stream) {
        end_stream(work);
        return;
    }
    for (size_t f = 0; f < run->args->n_formats; f++) {
        const struct recog_render *format = run->args->formats[f];
        struct au_fault fault = {0};
        struct au_buf text;
        au_buf_init(&text, 0);
        enum auricle_error error = render(work, format, result, &text);
        if (!run->args->output_dir)
            write_stdout(work, &text);
        else if ((error = write_file(run, i, format, &text, &fault)) != AURICLE_OK)
            report_output_error(run, error, fault.text);
        au_buf_deinit(&text);
    }
}

static void put_length(struct au_buf *out, double seconds)
{
    if (seconds < 60)
        au_buf_printf(out, "%.1f s", seconds);
    else
        app_progress_time(out, seconds);
}

/* What was dropped is never dropped in silence: how many segments, and each rule once. */
static void note_filtered(const struct work *work, const struct auricle_result *result)
{
    bool one = result->n_filtered == 1;
    struct au_buf rules;
    au_buf_init(&rules, 512);
    for (size_t i = 0; i < result->n_filtered; i++) {
        const char *rule = result->filtered[i].filtered_by;
        if (rule && !strstr(rules.data, rule))
            au_buf_printf(&rules, "%s%s", rules.len ? ", " : "", rule);
    }
    app_note(work->run->args->general.quiet,
             "%s: left out %zu segment%s that look%s invented (%s); --keep-filtered shows %s",
             work->label, result->n_filtered, one ? "" : "s", one ? "s" : "", rules.data,
             one ? "it" : "them");
    au_buf_deinit(&rules);
}

/* "talk.mp3: 10:00 in 1:14 (8.1x real time), English" */
static void summarise(const struct work *work, const struct auricle_result *result)
{
    bool quiet = work->run->args->general.quiet;
    struct au_buf text;
    au_buf_init(&text, 1024);
    double seconds = result->timings.total;
    double asked = work->total >= 0 ? work->total : result->duration;
    au_buf_printf(&text, "%s: ", work->label);
    put_length(&text, asked);
    au_buf_puts(&text, " of audio in ");
    put_length(&text, seconds);
    if (seconds > 0 && asked > 0)
        au_buf_printf(&text, " (%.1fx real time)", asked / seconds);
    if (result->language)
        au_buf_printf(&text, ", language %s", result->language);
    if (result->language && result->language_probability < 1.0f)
        au_buf_printf(&text, " (%.0f %%)", 100.0 * (double)result->language_probability);
    app_note(quiet, "%s", text.data);
    au_buf_deinit(&text);
    if (result->warning)
        app_warn(quiet, "%s: %s", work->label, result->warning);
    if (result->n_filtered)
        note_filtered(work, result);
    else if (result->n_segments == 0 && asked > 0)
        app_note(quiet, "%s: no speech was found", work->label);
}

static void log_timings(const struct work *work, const struct auricle_result *result)
{
    const struct auricle_timings *t = &result->timings;
    if (work->run->args->general.timings || work->run->args->general.verbose)
        au_log(AU_LOG_INFO,
               "%s: decode %.1f ms, mel %.1f ms, encoder %.1f ms (%llu windows), decoder %.1f ms "
               "(%llu steps, %llu tokens), total %.1f ms",
               work->label, 1e3 * t->decode_audio, 1e3 * t->mel, 1e3 * t->encoder,
               (unsigned long long)t->encoder_windows, 1e3 * t->decoder,
               (unsigned long long)t->decoder_steps, (unsigned long long)t->decoder_tokens,
               1e3 * t->total);
}

/* One that was heard, or failed; ctrl-C may have stopped it. */
static void finish(struct work *work, size_t i, enum auricle_error error,
                   const struct auricle_result *result, const char *sentence)
{
    bool quiet = work->run->args->general.quiet, stopped = error && app_interrupted();
    if (error && error != AURICLE_E_CANCELLED) {
        app_input_failed(work->input, sentence);
        write_failure(work, sentence);
    } else if (!error && result->duration <= 0 && result->timings.encoder_windows == 0) {
        sentence = result->warning ? result->warning : "holds no sound (0 samples)";
        app_error("%s: %s", work->label, sentence);
        write_failure(work, sentence);
    } else if (stopped && !(result && result->n_segments + result->n_filtered)) {
        app_warn(quiet, "%s: stopped before anything was heard; nothing is written", work->label);
    } else if (result) {
        write_result(work, i, result);
        log_timings(work, result);
        if (!error)
            summarise(work, result);
        else if (stopped)
            app_warn(quiet, "%s: %s", work->label, result->warning);
    }
}

static void transcribe_one(struct run *run, size_t i)
{
    const struct app_transcribe_args *args = run->args;
    struct work work = {
        .run = run, .input = run->inputs[i], .label = app_input_label(run->inputs[i]), .total = -1};
    if (run->faults[i].code) {
        write_failure(&work, run->faults[i].text);
        return;
    }
    if (!args->output_dir && args->formats[0]->segment)
        work.stream = args->formats[0];
    if (run->n_inputs > 1 && !args->output_dir)
        app_note(args->general.quiet, "==> %s <==", work.label);
    app_progress_start(&work.progress, run->progress_mode, au_path_name(work.label));

    struct auricle_callbacks callbacks = {sizeof callbacks, &work, on_progress, on_segment};
    struct auricle_message message = {""};
    struct auricle_result *result = NULL;
    enum auricle_error error = auricle_transcribe(run->engine, work.input, &args->options,
                                                  &callbacks, &result, &message);
    app_progress_clear(&work.progress);
    finish(&work, i, error, result, message.text);
    auricle_result_destroy(result);
}

/* ---- The call ------------------------------------------------------------------------------- */

static enum auricle_error check_output(const struct app_transcribe_args *args, size_t n_inputs,
                                       struct au_fault *fault)
{
    if (args->output_dir)
        return AURICLE_OK;
    const struct recog_render *format = args->formats[0];
    if (args->n_formats > 1)
        return au_fail(fault, AURICLE_E_INVALID,
                       "%zu formats cannot share standard output: name a folder with --output-dir",
                       args->n_formats);
    if (n_inputs > 1 && !au_str_equal(format->name, "txt") && !au_str_equal(format->name, "json"))
        return au_fail(fault, AURICLE_E_INVALID,
                       "%zu %s files one after the other are no %s file: name a folder with "
                       "--output-dir (txt and json may follow each other)",
                       n_inputs, format->name, format->name);
    return AURICLE_OK;
}

static enum auricle_error name_outputs(struct run *run, struct au_fault *fault)
{
    const struct app_transcribe_args *args = run->args;
    if (!args->output_dir)
        return AURICLE_OK;
    run->names = au_calloc(run->n_inputs, sizeof *run->names);
    if (!run->names || app_output_names(run->inputs, run->n_inputs, run->names) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < run->n_inputs; i++) {
        char *plain;
        if (app_output_names(&run->inputs[i], 1, &plain) != AURICLE_OK)
            continue;
        if (!au_str_equal(plain, run->names[i]))
            app_note(args->general.quiet,
                     "auricle: %s goes to %s.*, for %s.* is an earlier input's", run->inputs[i],
                     run->names[i], plain);
        au_free(plain);
    }
    return app_output_folder(args->output_dir, fault);
}

static int exit_code(const struct run *run)
{
    int interrupted = app_interrupted();
    if (interrupted)
        return interrupted;
    if (run->output_failed)
        return run->pipe_closed ? APP_EXIT_CLOSED_PIPE : APP_EXIT_OUTPUT;
    return run->input_failed ? APP_EXIT_INPUT : APP_EXIT_OK;
}

static int run_all(struct run *run)
{
    struct au_fault fault = {0};
    if (name_outputs(run, &fault) != AURICLE_OK) {
        app_error("%s", fault.text);
        return APP_EXIT_OUTPUT;
    }
    bool any = app_inputs_look("transcribe", run->parsed, run->faults, &run->input_failed);
    int code = any ? app_transcribe_load(run->args, &run->engine, &fault) : APP_EXIT_OK;
    if (code != APP_EXIT_OK) {
        app_error("%s", fault.text);
        return code;
    }
    for (size_t i = 0; i < run->n_inputs && !app_interrupted() && !run->stdout_failed; i++)
        transcribe_one(run, i);
    if (!run->args->output_dir && !run->stdout_failed) {
        enum auricle_error error = app_stdout_close(&fault);
        if (error)
            report_output_error(run, error, fault.text);
    }
    return exit_code(run);
}

static int run_checked(const struct app_transcribe_args *args, const struct app_parsed *parsed)
{
    struct au_fault fault = {0};
    enum auricle_error error = app_inputs_check("transcribe", &args->options, parsed, &fault);
    if (!error)
        error = check_output(args, parsed->n_operands, &fault);
    if (!error)
        error = recog_options_check(&args->options, INT_MAX, &fault);
    if (error) {
        app_error("%s", fault.text);
        return APP_EXIT_USAGE;
    }
    struct run run = {
        .args = args, .parsed = parsed, .inputs = parsed->operands, .n_inputs = parsed->n_operands};
    run.progress_mode = app_progress_choose(args->general.quiet);
    run.faults = au_calloc(run.n_inputs, sizeof *run.faults);
    int code = APP_EXIT_MODEL;
    if (run.faults)
        code = run_all(&run);
    else
        app_error("out of memory");
    for (size_t i = 0; run.names && i < run.n_inputs; i++)
        au_free(run.names[i]);
    au_free(run.names);
    au_free(run.faults);
    auricle_engine_destroy(run.engine);
    return code;
}

static const char stopping[] =
    "\nauricle: stopping, what is finished is kept; press ctrl-C again to stop at once\n";

static int run_transcribe(const struct app_command *self, int argc, char **argv)
{
    struct app_transcribe_args args;
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    app_transcribe_args_init(&args, argc, argv);
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    app_transcribe_options_finish(&args);
    args.settings = &settings;
    app_interrupt_watch(args.general.quiet ? NULL : stopping);
    code = run_checked(&args, &parsed);
    service_settings_deinit(&settings);
    return code;
}

const struct app_command app_command_transcribe = {
    .name = "transcribe",
    .summary = "turn recordings into text or subtitles",
    .operands = "FILE... | -",
    .about =
        "Writes down what is said in recordings: WAV, FLAC, MP3, Ogg, Opus, WebM, M4A, AMR and "
        "what else FFmpeg's libraries read, the sound of films too. The text goes to standard "
        "output, everything else to standard error. - reads a recording from standard input.",
    .examples = "  auricle transcribe talk.mp3\n"
                "  auricle transcribe --model base --language de rede.flac > rede.txt\n"
                "  auricle transcribe -f srt,json -o subtitles film1.mp4 film2.mkv\n"
                "  auricle transcribe --task translate --offset 10m --duration 90s lecture.m4a\n"
                "  curl -s https://example.org/talk.ogg | auricle transcribe -\n",
    .groups = app_transcribe_groups,
    .notes = "Output:\n"
             "  Without --output-dir one format goes to standard output: txt of several files\n"
             "  one after the other, json one line per file (file and error alone where it\n"
             "  failed). Files are written whole or not at all; of a recording that ctrl-C\n"
             "  stopped they hold what was heard until then, and json says so. Where two\n"
             "  inputs would share a name, the later one keeps its extension (talk.wav.srt).\n"
             "\n"
             "Exit codes:\n"
             "    0  all done\n" APP_NOTE_INPUT APP_NOTE_USAGE APP_NOTE_MODEL APP_NOTE_OUTPUT
                 APP_NOTE_PIPE APP_NOTE_STOPPED,
    .run = run_transcribe,
};
