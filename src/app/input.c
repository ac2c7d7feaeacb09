/* Recordings named on a command line, before they are decoded. See input.h. */
#include "app/input.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/interrupt.h"
#include "base/json.h"
#include "base/str.h"

bool app_input_is_stdin(const char *input)
{
    return au_str_equal(input, "-");
}

const char *app_input_label(const char *input)
{
    return app_input_is_stdin(input) ? "standard input" : input;
}

enum auricle_error app_inputs_check(const char *command, const struct auricle_options *options,
                                    const struct app_parsed *parsed, struct au_fault *fault)
{
    if (!options->raw_format && (options->raw_rate_hz || options->raw_channels))
        return au_fail(fault, AURICLE_E_INVALID,
                       "--raw-rate and --raw-channels describe headerless input: say --raw-format "
                       "too");
    size_t n_stdin = 0;
    for (size_t i = 0; i < parsed->n_operands; i++)
        n_stdin += app_input_is_stdin(parsed->operands[i]);
    if (parsed->n_operands == 0)
        return au_fail(fault, AURICLE_E_INVALID,
                       "nothing to do: name recordings, or - for standard input (see: auricle %s "
                       "--help)",
                       command);
    if (n_stdin > 1)
        return au_fail(fault, AURICLE_E_INVALID, "standard input (-) can be read once only");
    return AURICLE_OK;
}

enum auricle_error app_input_look(const char *command, const char *input, struct au_fault *fault)
{
    struct stat status;
    if (app_input_is_stdin(input)) {
        if (!isatty(STDIN_FILENO))
            return AURICLE_OK;
        return au_fail(fault, AURICLE_E_INVALID,
                       "standard input is a terminal: pipe a recording into it (cat talk.mp3 | "
                       "auricle %s -)",
                       command);
    }
    if (stat(input, &status) != 0)
        return au_fail_errno(fault, errno, "%s: cannot be opened", input);
    if (S_ISDIR(status.st_mode))
        return au_fail(fault, AURICLE_E_INVALID,
                       "%s: is a folder; name the recordings in it (%s%s*)", input, input,
                       au_str_ends(input, "/") ? "" : "/");
    if (access(input, R_OK) != 0)
        return au_fail_errno(fault, errno, "%s: cannot be read", input);
    if (S_ISREG(status.st_mode) && status.st_size == 0)
        return au_fail(fault, AURICLE_E_NO_AUDIO, "%s: is empty (0 bytes)", input);
    return AURICLE_OK;
}

bool app_inputs_look(const char *command, const struct app_parsed *parsed, struct au_fault *faults,
                     bool *any_bad)
{
    size_t n_good = 0;
    for (size_t i = 0; i < parsed->n_operands; i++) {
        if (app_input_look(command, parsed->operands[i], &faults[i]) == AURICLE_OK)
            n_good++;
        else
            app_error("%s", faults[i].text);
    }
    *any_bad = n_good < parsed->n_operands;
    return n_good > 0;
}

static bool go_on(void *context)
{
    (void)context;
    return !app_interrupted();
}

struct audio_decode_options app_input_decoding(const struct auricle_options *options, int rate_hz)
{
    struct audio_decode_options out = {
        .rate_hz = rate_hz, .go_on = go_on, .finest_resampler = options->finest_resampler};
    if (options->raw_format && audio_raw_type_parse(options->raw_format, &out.raw)) {
        out.raw_rate_hz = options->raw_rate_hz ? options->raw_rate_hz : AUDIO_RATE_HZ;
        out.raw_channels = options->raw_channels ? options->raw_channels : 1;
    }
    return out;
}

void app_input_failed(const char *input, const char *sentence)
{
    const char *label = app_input_label(input);
    if (strstr(sentence, label))
        app_error("%s", sentence);
    else
        app_error("%s: %s", label, sentence);
}

void app_put_failed(struct au_buf *out, const char *input, const char *sentence)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "file", app_input_label(input));
    au_json_add_string(&w, "error", sentence);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
}

void app_write_failed(struct app_results *results, const char *input, const char *sentence)
{
    struct au_buf text;
    au_buf_init(&text, 0);
    app_put_failed(&text, input, sentence);
    app_results_write(results, &text);
    au_buf_deinit(&text);
}

void app_put_name(struct au_buf *out, const char *name)
{
    for (; *name; name++)
        au_buf_putc(out, (unsigned char)*name < 0x20 || *name == 0x7F ? '?' : *name);
}
