/* Where results go: standard output, or files named after their inputs.
 *
 * Standard output is written with write(2) alone, so that a full disk or a closed pipe is seen
 * at the piece of text it hit. Main thread only.                                                 */
#ifndef APP_OUTPUT_H
#define APP_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* Write all of it. Errors: CLOSED_PIPE, NO_SPACE, IO. */
AURICLE_MUST_CHECK enum auricle_error app_stdout_write(const char *text, size_t n,
                                                       struct au_fault *fault);
/* Close standard output, where file systems of the network report what they could not keep. */
AURICLE_MUST_CHECK enum auricle_error app_stdout_close(struct au_fault *fault);
/* The exit code that stands for an output error. */
int app_output_exit(enum auricle_error error);
/* Print a help text or the like; failure is reported. Returns the exit code of the program. */
int app_print(const char *text, size_t n);

/* Results that go to standard output piece by piece: the first failure is reported, and everything
 * after it dropped. Begin with all zero.                                                         */
struct app_results {
    int exit_code; /* APP_EXIT_OK until a write fails */
};
/* Write the text and leave the buffer empty. A buffer that failed counts as a failed write. */
void app_results_write(struct app_results *results, struct au_buf *text);
void app_results_close(struct app_results *results);
/* Exit code of a call whose inputs were done one after the other: a signal counts before a failed
 * write, that before a failed input. */
int app_results_exit(const struct app_results *results, bool input_failed);

/* Names (without folder and extension) of the output files of n inputs: what stands before the last
 * dot of the file name ("stdin" for "-"). Where an earlier input of the call has that name already,
 * the whole file name is used, and where that is taken too, a number follows: no two are equal.
 *   names [n] receives new strings (au_free each); all NULL on failure. Errors: NOMEM.           */
AURICLE_MUST_CHECK enum auricle_error app_output_names(const char *const *inputs, size_t n,
                                                       char **names);
/* Make the folder where it is missing and see that files can be made in it. */
AURICLE_MUST_CHECK enum auricle_error app_output_folder(const char *folder, struct au_fault *fault);
/* Whether both paths are the same existing file. */
bool app_same_file(const char *a, const char *b);

#endif
