/* Standard output, names of output files. See output.h. */
#include "app/output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/interrupt.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- Standard output ------------------------------------------------------------------------ */

enum auricle_error app_stdout_write(const char *text, size_t n, struct au_fault *fault)
{
    while (n > 0) {
        ssize_t written = write(STDOUT_FILENO, text, n);
        if (written >= 0) {
            text += written;
            n -= (size_t)written;
        } else if (errno == EAGAIN) { /* someone made the terminal or pipe non-blocking */
            struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&ready, 1, -1);
        } else if (errno == EPIPE) {
            return au_fail(fault, AURICLE_E_CLOSED_PIPE,
                           "standard output: the program that reads it has ended");
        } else if (errno != EINTR) {
            return au_fail_errno(fault, errno, "standard output cannot be written");
        }
    }
    return AURICLE_OK;
}

enum auricle_error app_stdout_close(struct au_fault *fault)
{
    if (close(STDOUT_FILENO) == 0 || errno == EBADF || errno == EINTR)
        return AURICLE_OK;
    return au_fail_errno(fault, errno, "standard output cannot be written");
}

int app_output_exit(enum auricle_error error)
{
    return error == AURICLE_E_CLOSED_PIPE ? APP_EXIT_CLOSED_PIPE : APP_EXIT_OUTPUT;
}

int app_print(const char *text, size_t n)
{
    struct au_fault fault = {0};
    enum auricle_error error = app_stdout_write(text, n, &fault);
    if (!error)
        return APP_EXIT_OK;
    if (error != AURICLE_E_CLOSED_PIPE) /* `auricle --help | head` is no mistake worth a line */
        app_error("%s", fault.text);
    return app_output_exit(error);
}

static void note_failure(struct app_results *results, enum auricle_error error,
                         const struct au_fault *fault)
{
    app_error("%s", fault->text);
    results->exit_code = app_output_exit(error);
}

void app_results_write(struct app_results *results, struct au_buf *text)
{
    struct au_fault fault = {0};
    enum auricle_error error = text->error
                                   ? au_fail(&fault, text->error, "out of memory for the result")
                                   : AURICLE_OK;
    if (results->exit_code == APP_EXIT_OK) {
        if (!error)
            error = app_stdout_write(text->data, text->len, &fault);
        if (error)
            note_failure(results, error, &fault);
    }
    au_buf_clear(text);
}

void app_results_close(struct app_results *results)
{
    struct au_fault fault = {0};
    enum auricle_error error = AURICLE_OK;
    if (results->exit_code == APP_EXIT_OK)
        error = app_stdout_close(&fault);
    if (error)
        note_failure(results, error, &fault);
}

int app_results_exit(const struct app_results *results, bool input_failed)
{
    if (app_interrupted())
        return app_interrupted();
    if (results->exit_code != APP_EXIT_OK)
        return results->exit_code;
    return input_failed ? APP_EXIT_INPUT : APP_EXIT_OK;
}

/* ---- Names ---------------------------------------------------------------------------------- */

static bool taken(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (au_str_equal(names[i], name))
            return true;
    return false;
}

/* What stands before the last dot; a name that begins with its only dot is kept whole. */
static char *stem_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? au_strndup(name, (size_t)(dot - name)) : au_strdup(name);
}

/* The first free one of: stem, file name, "file name-2", "file name-3" ... */
static char *free_name(const char *input, char *const *names, size_t n)
{
    const char *file = au_str_equal(input, "-") ? "stdin" : au_path_name(input);
    char *name = stem_of(file);
    for (int number = 1; name && taken(names, n, name); number++) {
        au_free(name);
        name = number == 1 ? au_strdup(file) : au_sprintf("%s-%d", file, number);
    }
    return name;
}

enum auricle_error app_output_names(const char *const *inputs, size_t n, char **names)
{
    for (size_t i = 0; i < n; i++) {
        names[i] = free_name(inputs[i], names, i);
        if (names[i])
            continue;
        while (i > 0)
            au_free(names[--i]);
        memset(names, 0, n * sizeof *names);
        return AURICLE_E_NOMEM;
    }
    return AURICLE_OK;
}

enum auricle_error app_output_folder(const char *folder, struct au_fault *fault)
{
    if (au_file_exists(folder) && !au_file_is_dir(folder))
        return au_fail(fault, AURICLE_E_INVALID, "%s: is a file; --output-dir wants a folder",
                       folder);
    enum auricle_error error = au_dir_make(folder, fault);
    if (error)
        return error;
    if (access(folder, W_OK | X_OK) != 0)
        return au_fail_errno(fault, errno, "%s: no files can be made in this folder", folder);
    return AURICLE_OK;
}

bool app_same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}
