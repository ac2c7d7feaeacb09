/* auricle: the program. Finds the sub-command and runs it; see app.h for how to add one. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/output.h"
#include "auricle/version.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/str.h"
#include "service/media/worker.h"

static const struct app_command *const commands[] = {
    &app_command_transcribe, &app_command_serve, &app_command_lang,
    &app_command_vad,        &app_command_wer,   &app_command_models,
    &app_command_doctor,     &app_command_bench, NULL,
};

static const struct app_command *find_command(const char *name)
{
    for (const struct app_command *const *c = commands; *c; c++)
        if (au_str_equal((*c)->name, name))
            return *c;
    return NULL;
}

static int unknown_command(const char *name)
{
    struct au_nearest nearest = {name, NULL, 0};
    for (const struct app_command *const *c = commands; *c; c++)
        au_nearest_offer(&nearest, (*c)->name);
    const char *best = au_nearest_pick(&nearest);
    if (best)
        app_error("no command has the name \"%s\": did you mean auricle %s?", name, best);
    else if (au_file_is_regular(name))
        app_error("no command has the name \"%s\": for the words of that file say auricle "
                  "transcribe %s",
                  name, name);
    else
        app_error("no command has the name \"%s\"; see: auricle --help", name);
    return APP_EXIT_USAGE;
}

/* topic NULL: the overview. */
static int print_help(const char *topic)
{
    const struct app_command *command = topic ? find_command(topic) : NULL;
    struct au_buf text;
    au_buf_init(&text, 0);
    if (command)
        app_help_command(command, &text, app_help_columns());
    else if (topic && au_str_equal(topic, "languages"))
        app_help_languages(&text, app_help_columns());
    else if (!topic)
        app_help_overview(commands, &text, app_help_columns());
    int code = text.len ? app_print(text.data, text.len) : unknown_command(topic);
    au_buf_deinit(&text);
    return code;
}

static int print_version(void)
{
    char line[64];
    int n = snprintf(line, sizeof line, "auricle %s\n", auricle_version());
    return app_print(line, (size_t)n);
}

/* Where a standard descriptor is closed, the next file that is opened would take its number and
 * results could be written into it. The wrong direction of /dev/null keeps use an error.         */
static void occupy_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    if (argc == 2 && au_str_equal(argv[1], MEDIA_WORKER_WORD))
        return service_worker_main(NULL);
    occupy_standard_descriptors();
    /* Closed pipes and files that may not grow are errors of write, with their exit codes. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        print_help(NULL);
        return APP_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (au_str_equal(word, "--help") || au_str_equal(word, "-h"))
        return print_help(NULL);
    if (au_str_equal(word, "--version") || au_str_equal(word, "-V"))
        return print_version();
    if (au_str_equal(word, "help"))
        return print_help(argc > 2 ? argv[2] : NULL);
    const struct app_command *command = find_command(word);
    if (!command)
        return unknown_command(word);
    return command->run(command, argc - 1, argv + 1);
}
