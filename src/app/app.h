/* What the sub-commands share: the table of commands, exit codes, and messages for people.
 *
 * To add a command: write it in a file of its own, declare its `struct app_command` here, and name
 * it in the table of main.c. Its option tables serve parsing, help and docs/CLI.md alike.
 * Everything here belongs to the main thread.                                                    */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdbool.h>

#include "app/options.h"
#include "base/error.h"
#include "service/settings/settings.h"

enum app_exit {
    APP_EXIT_OK = 0,
    APP_EXIT_INPUT = 1,       /* some inputs could not be done; the others were */
    APP_EXIT_USAGE = 2,       /* the command line, a setting or the configuration file is wrong */
    APP_EXIT_MODEL = 3,       /* the model was not found or cannot be used */
    APP_EXIT_OUTPUT = 4,      /* a result could not be written */
    APP_EXIT_CLOSED_PIPE = 5, /* the reader of standard output went away */
    APP_EXIT_INTERRUPTED = 130,
    APP_EXIT_TERMINATED = 143
};

/* The lines of the help about exit codes that mean the same in several commands. */
#define APP_NOTE_INPUT \
    "    1  some inputs could not be read or hold no audio; the others were done\n"
#define APP_NOTE_USAGE   "    2  the command line, a setting or the configuration file is wrong\n"
#define APP_NOTE_MODEL   "    3  the model was not found or cannot be used\n"
#define APP_NOTE_OUTPUT  "    4  a result could not be written (disk full, no permission)\n"
#define APP_NOTE_PIPE    "    5  the reader of standard output went away\n"
#define APP_NOTE_STOPPED "  130  stopped by ctrl-C (143: by SIGTERM); what was finished is kept\n"

struct app_command {
    const char *name;
    const char *summary;                   /* one line for the list of commands */
    const char *operands;                  /* "FILE... | -" */
    const char *about;                     /* one paragraph */
    const char *examples;                  /* lines as they are printed */
    const struct app_group *const *groups; /* of options; NULL ends */
    const char *notes;                     /* printed last, as they are; NULL: none */
    int (*run)(const struct app_command *self, int argc, char **argv);
};

extern const struct app_command app_command_transcribe;
extern const struct app_command app_command_serve;
extern const struct app_command app_command_lang;
extern const struct app_command app_command_vad;
extern const struct app_command app_command_wer;
extern const struct app_command app_command_models;
extern const struct app_command app_command_doctor;
extern const struct app_command app_command_bench;

/* ---- Options every command has -------------------------------------------------------------- */

/* First member of every command's struct of arguments. */
struct app_general {
    bool help, quiet, verbose, timings;
    const char *config;
    int log_level;  /* enum au_log_level; < 0: not set */
    int log_format; /* 0: text, 1: JSON */
};
extern const struct app_group app_group_general; /* every command has these */
extern const struct app_group app_group_log;     /* for commands that write log lines */

/* Parse argv of a command into args (which begins with struct app_general), settings included, and
 * start the log. false: the command is over with *exit_code (help was printed, or the mistake).
 * *settings must outlive args, which borrows its strings.                                        */
bool app_begin(const struct app_command *self, int argc, char **argv, void *args,
               struct service_settings *settings, struct app_parsed *parsed, int *exit_code);

/* ---- Languages ------------------------------------------------------------------------------ */

/* Code of a language given by code, name or alias. or_else ends the sentence about an unknown one
 * (", or auto"). Errors: INVALID.                                                                */
AURICLE_MUST_CHECK enum auricle_error app_language_parse(const char *value, const char *or_else,
                                                         const char **code, struct au_fault *fault);

/* ---- Messages for people, on standard error ------------------------------------------------- */
/* With --log-format json each is a line of the log instead. */

/* "auricle: " and the sentence, as one line in one write; control characters are replaced. */
void app_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with "warning: "; nothing when quiet. */
void app_warn(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The plain line; nothing when quiet. */
void app_note(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Help ----------------------------------------------------------------------------------- */

void app_help_command(const struct app_command *command, struct au_buf *out, int columns);
void app_help_overview(const struct app_command *const *commands, struct au_buf *out, int columns);
void app_help_languages(struct au_buf *out, int columns);
/* Words of text, the first at column `at` of a line that has begun; later lines are indented. */
void app_help_wrap(struct au_buf *out, const char *text, int at, int indent, int columns);
/* Width of the terminal on standard output, between 60 and 100; 80 where there is none. */
int app_help_columns(void);

#endif
