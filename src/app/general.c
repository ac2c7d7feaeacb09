/* The beginning of every command: options, settings, log. See app.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/output.h"
#include "base/log.h"
#include "base/str.h"

static enum auricle_error parse_log_level(void *args, const char *value, struct au_fault *fault)
{
    struct app_general *general = args;
    enum au_log_level level;
    if (!au_log_level_parse(value, &level))
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: choose debug, info, warning, error or off", value);
    general->log_level = (int)level;
    return AURICLE_OK;
}

static const struct app_option general_options[] = {
    {.name = "quiet",
     .letter = 'q',
     .kind = APP_FLAG,
     .offset = offsetof(struct app_general, quiet),
     .help = "errors only: no progress, notes or warnings"},
    {.name = "config",
     .kind = APP_TEXT,
     .value = "FILE",
     .offset = offsetof(struct app_general, config),
     .help = "read settings from lines NAME=value; the environment goes over them, options over "
             "both"},
    {.name = "help",
     .letter = 'h',
     .kind = APP_FLAG,
     .offset = offsetof(struct app_general, help),
     .help = "this text"},
    {.name = NULL},
};
const struct app_group app_group_general = {"General", general_options};

static const struct app_option log_options[] = {
    {.name = "verbose",
     .letter = 'v',
     .kind = APP_FLAG,
     .offset = offsetof(struct app_general, verbose),
     .help = "say what is done and with what"},
    {.name = "timings",
     .kind = APP_FLAG,
     .offset = offsetof(struct app_general, timings),
     .setting = "LOG_PERFORMANCE_METRICS",
     .help = "log the time spent in each stage"},
    {.name = "log-level",
     .kind = APP_PARSED,
     .value = "LEVEL",
     .parse = parse_log_level,
     .setting = "LOG_LEVEL",
     .help = "log lines of this level and above: debug, info, warning, error, off",
     .otherwise = "warning; of serve: info"},
    {.name = "log-format",
     .kind = APP_CHOICE,
     .value = "text|json",
     .offset = offsetof(struct app_general, log_format),
     .setting = "LOG_FORMAT",
     .help = "log lines for people, or one JSON object per line for programs",
     .otherwise = "text"},
    {.name = NULL},
};
const struct app_group app_group_log = {"Log", log_options};

static const char *environment(const char *name)
{
    return getenv(name);
}

static void warn_lines(bool quiet, const char *lines)
{
    for (const char *feed; (feed = strchr(lines, '\n')); lines = feed + 1)
        app_warn(quiet, "%.*s", (int)(feed - lines), lines);
}

static void start_log(const struct app_general *general)
{
    int level = general->log_level;
    if (level < 0)
        level = general->verbose || general->timings ? AU_LOG_INFO : AU_LOG_WARN;
    au_log_use_json(general->log_format == 1);
    au_log_init(general->quiet && general->log_level < 0 ? AU_LOG_ERROR : (enum au_log_level)level);
}

/* Help is what is wanted even beside a mistake that kept the parser from reaching it. */
static bool wants_help(const struct app_general *general, int argc, char **argv)
{
    bool wanted = general->help;
    for (int i = 1; i < argc && !au_str_equal(argv[i], "--"); i++)
        wanted = wanted || au_str_equal(argv[i], "--help");
    return wanted;
}

static int print_help(const struct app_command *self)
{
    struct au_buf text;
    au_buf_init(&text, 0);
    app_help_command(self, &text, app_help_columns());
    int code = app_print(text.data, text.len);
    au_buf_deinit(&text);
    return code;
}

bool app_begin(const struct app_command *self, int argc, char **argv, void *args,
               struct service_settings *settings, struct app_parsed *parsed, int *exit_code)
{
    struct app_general *general = args;
    struct au_fault fault = {0};
    general->log_level = -1;
    enum auricle_error error = app_options_parse(self->groups, argc, argv, args, parsed, &fault);
    if (wants_help(general, argc, argv)) {
        *exit_code = print_help(self);
        return false;
    }
    if (!error)
        error = service_settings_load(general->config, environment, settings, &fault);
    if (error) {
        app_error("%s", fault.text);
        app_error("see: auricle %s --help", self->name);
        *exit_code = APP_EXIT_USAGE;
        return false;
    }
    error = app_options_from_settings(self->groups, settings, parsed->given, args, &fault);
    if (error) {
        app_error("%s", fault.text);
        service_settings_deinit(settings);
        *exit_code = APP_EXIT_USAGE;
        return false;
    }
    start_log(general);
    warn_lines(general->quiet, settings->warnings.data);
    return true;
}
