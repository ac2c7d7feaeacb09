/* Command lines, from a table.
 *
 * One table per group of options says everything about them: names, kind, bounds, where the value
 * goes, the setting that stands in when the option is absent, and the help. Parsing, `--help` and
 * the test of docs/CLI.md read the same table. Forms understood: --name VALUE, --name=VALUE,
 * -n VALUE, -nVALUE, -xyz for flags, --no-FLAG, "--" before operands; "_" in a long name counts as
 * "-".
 * No state; strings in the result are borrowed from argv or from the settings.                   */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "service/settings/settings.h"

enum app_kind {
    APP_FLAG,    /* bool */
    APP_TEXT,    /* const char * */
    APP_INT,     /* int, min to max */
    APP_NUMBER,  /* double, min to max */
    APP_SECONDS, /* double, min to max; "90", "1.5m", "00:01:30" */
    APP_CHOICE,  /* int: index into `value`, which reads "one|two|three" */
    APP_PARSED   /* whatever `parse` makes of it */
};

/* Reads value into args; fills the fault without naming the option (the caller puts it in
 * front). */
typedef enum auricle_error app_parse(void *args, const char *value, struct au_fault *fault);

#define APP_MAX_OPTIONS 64 /* of one command */

struct app_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    enum app_kind kind;
    const char *value; /* what stands for the value in the help; NULL for flags */
    size_t offset;     /* in the struct of arguments */
    double min, max;
    app_parse *parse;
    const char *setting, *setting2; /* used in this order where the option is absent; NULL: none */
    app_parse *parse_setting;       /* NULL: as the option itself */
    const char *alias;              /* another long name, not shown */
    const char *help;
    const char *otherwise; /* shown as the default; NULL: nothing to show */
};

struct app_group {
    const char *title;
    const struct app_option *options; /* ends with name NULL */
};

struct app_parsed {
    const char *const *operands; /* borrowed: the front of argv, rearranged */
    size_t n_operands;
    uint64_t given; /* bit per option, counted through all groups */
};

/* Rearranges argv. Errors: INVALID, with the sentence for the user. */
AURICLE_MUST_CHECK enum auricle_error app_options_parse(const struct app_group *const *groups,
                                                        int argc, char **argv, void *args,
                                                        struct app_parsed *out,
                                                        struct au_fault *fault);
/* Fill in the options that were not given from their settings. */
AURICLE_MUST_CHECK enum auricle_error app_options_from_settings(
    const struct app_group *const *groups, const struct service_settings *settings, uint64_t given,
    void *args, struct au_fault *fault);

/* Whether the option of that name was given on the command line. */
bool app_options_given(const struct app_group *const *groups, const struct app_parsed *parsed,
                       const char *name);

/* The next item of a list with commas, without spaces around it; *list moves behind it. false when
 * it does not fit. */
bool app_next_item(const char **list, char *item, size_t item_bytes);

/* Value of a long option before anything is parsed: the last --name VALUE or --name=VALUE before
 * "--". Borrowed; NULL when absent.                                                              */
const char *app_options_peek(int argc, char *const *argv, const char *name);

#endif
