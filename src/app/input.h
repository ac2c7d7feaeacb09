/* Recordings named on a command line, before they are decoded. Main thread only. */
#ifndef APP_INPUT_H
#define APP_INPUT_H

#include "app/options.h"
#include "app/output.h"
#include "audio/decode.h"
#include "auricle/auricle.h"
#include "base/buf.h"

bool app_input_is_stdin(const char *input); /* "-" */
const char *app_input_label(const char *input);

/* Whether the operands and the options of headerless input go together. Errors: INVALID. */
AURICLE_MUST_CHECK enum auricle_error app_inputs_check(const char *command,
                                                       const struct auricle_options *options,
                                                       const struct app_parsed *parsed,
                                                       struct au_fault *fault);
/* What can be said about an input without decoding it. Errors: INVALID (a folder, a terminal),
 * NO_AUDIO (empty), NOT_FOUND, IO.                                                               */
AURICLE_MUST_CHECK enum auricle_error app_input_look(const char *command, const char *input,
                                                     struct au_fault *fault);
/* Look at all of them; those found wanting are reported and *any_bad is set.
 *   faults  [parsed->n_operands], all zero; those with a code tell what is wrong with their input
 * Returns whether any input is worth loading a model for.                                        */
bool app_inputs_look(const char *command, const struct app_parsed *parsed, struct au_fault *faults,
                     bool *any_bad);

/* How the options want headerless input and the resampler; ctrl-C ends the wait for a pipe.
 *   rate_hz  of the samples that come                                                            */
struct audio_decode_options app_input_decoding(const struct auricle_options *options, int rate_hz);

/* Report a failed input, with its name in front where the sentence lacks it. */
void app_input_failed(const char *input, const char *sentence);
/* Append the line that stands in JSON for a failed input: {"file": ..., "error": ...}. */
void app_put_failed(struct au_buf *out, const char *input, const char *sentence);
void app_write_failed(struct app_results *results, const char *input, const char *sentence);

/* Append a name for people: control characters in it become "?". */
void app_put_name(struct au_buf *out, const char *name);

#endif
