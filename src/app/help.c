/* Help texts, made from the tables. See app.h. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/app.h"
#include "base/str.h"
#include "text/language.h"

#define HELP_COLUMN 28 /* where explanations begin */

int app_help_columns(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col < 60 ? 60 : size.ws_col > 100 ? 100 : size.ws_col;
}

static void pad(struct au_buf *out, int n)
{
    for (int i = 0; i < n; i++)
        au_buf_putc(out, ' ');
}

void app_help_wrap(struct au_buf *out, const char *text, int at, int indent, int columns)
{
    bool line_has_words = false;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (line_has_words && at + 1 + n > columns) {
            au_buf_putc(out, '\n');
            pad(out, indent);
            at = indent;
            line_has_words = false;
        }
        if (line_has_words) {
            au_buf_putc(out, ' ');
            at++;
        }
        au_buf_append(out, text, (size_t)n);
        at += n;
        line_has_words = true;
        text += n;
        text += strspn(text, " ");
    }
    au_buf_putc(out, '\n');
}

/* "(default: x; env: NAME, NAME)" behind the explanation. */
static void put_defaults(struct au_buf *text, const struct app_option *option)
{
    if (!option->otherwise && !option->setting)
        return;
    au_buf_puts(text, " (");
    if (option->otherwise)
        au_buf_printf(text, "default: %s%s", option->otherwise, option->setting ? "; " : "");
    if (option->setting)
        au_buf_printf(text, "env: %s", option->setting);
    if (option->setting2)
        au_buf_printf(text, ", %s", option->setting2);
    au_buf_putc(text, ')');
}

static void put_option(struct au_buf *out, const struct app_option *option, int columns)
{
    size_t begin = out->len;
    if (option->letter)
        au_buf_printf(out, "  -%c, --%s", option->letter, option->name);
    else
        au_buf_printf(out, "      --%s", option->name);
    if (option->value)
        au_buf_printf(out, " %s", option->value);
    int at = (int)(out->len - begin);
    if (at > HELP_COLUMN - 2) {
        au_buf_putc(out, '\n');
        at = 0;
    }
    pad(out, HELP_COLUMN - at);

    struct au_buf text;
    au_buf_init(&text, 0);
    au_buf_puts(&text, option->help);
    put_defaults(&text, option);
    app_help_wrap(out, text.data, HELP_COLUMN, HELP_COLUMN, columns);
    au_buf_deinit(&text);
}

void app_help_command(const struct app_command *command, struct au_buf *out, int columns)
{
    au_buf_printf(out, "Usage: auricle %s [OPTIONS]%s%s\n\n", command->name,
                  command->operands ? " " : "", command->operands ? command->operands : "");
    app_help_wrap(out, command->about, 0, 0, columns);
    if (command->examples)
        au_buf_printf(out, "\nExamples:\n%s", command->examples);
    for (const struct app_group *const *g = command->groups; *g; g++) {
        au_buf_printf(out, "\n%s:\n", (*g)->title);
        for (const struct app_option *o = (*g)->options; o->name; o++)
            put_option(out, o, columns);
    }
    if (command->notes)
        au_buf_printf(out, "\n%s", command->notes);
}

void app_help_overview(const struct app_command *const *commands, struct au_buf *out, int columns)
{
    au_buf_puts(out, "auricle turns speech into text.\n\n"
                     "Examples:\n"
                     "  auricle transcribe talk.mp3\n"
                     "  auricle transcribe --format srt,json --output-dir out *.flac\n"
                     "  auricle doctor\n"
                     "\nCommands:\n");
    for (; *commands; commands++) {
        size_t begin = out->len;
        au_buf_printf(out, "  %s", (*commands)->name);
        pad(out, 16 - (int)(out->len - begin));
        app_help_wrap(out, (*commands)->summary, 16, 16, columns);
    }
    au_buf_puts(out, "\nMore help:\n"
                     "  auricle help COMMAND      the options of a command\n"
                     "  auricle help languages    the languages and their codes\n"
                     "  auricle --version         the version\n");
}

void app_help_languages(struct au_buf *out, int columns)
{
    const int width = 20;
    int per_line = columns / width, n = 0;
    for (int i = 0; text_language_code(i); i++, n++) {
        size_t begin = out->len;
        au_buf_printf(out, "%-4s %s", text_language_code(i), text_language_name(i));
        if ((i + 1) % per_line == 0)
            au_buf_putc(out, '\n');
        else
            pad(out, width - (int)(out->len - begin));
    }
    if (n % per_line != 0)
        au_buf_putc(out, '\n');
}
