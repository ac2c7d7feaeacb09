/* The parser of command lines. See options.h. */
#include "app/options.h"

#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/str.h"

/* ---- Values --------------------------------------------------------------------------------- */

bool app_next_item(const char **list, char *item, size_t item_bytes)
{
    const char *at = *list + strspn(*list, " ");
    size_t n = strcspn(at, ",");
    *list = at + n + (at[n] == ',');
    while (n > 0 && at[n - 1] == ' ')
        n--;
    if (n >= item_bytes)
        return false;
    memcpy(item, at, n);
    item[n] = 0;
    return true;
}

static enum auricle_error parse_int(const struct app_option *option, const char *value, int *out,
                                    struct au_fault *fault)
{
    int64_t number;
    if (!au_parse_i64(value, &number) || (double)number < option->min ||
        (double)number > option->max)
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: give a whole number from %.0f to %.0f", value,
                       option->min, option->max);
    *out = (int)number;
    return AURICLE_OK;
}

static enum auricle_error parse_number(const struct app_option *option, const char *value,
                                       double *out, struct au_fault *fault)
{
    double number;
    if (!au_parse_double(value, &number) || number < option->min || number > option->max)
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: give a number from %g to %g", value, option->min,
                       option->max);
    *out = number;
    return AURICLE_OK;
}

static enum auricle_error parse_seconds(const struct app_option *option, const char *value,
                                        double *out, struct au_fault *fault)
{
    double seconds;
    if (!au_parse_seconds(value, &seconds) || seconds < option->min || seconds > option->max)
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: give a time such as 90, 1.5m or 00:01:30", value);
    *out = seconds;
    return AURICLE_OK;
}

/* The words of "one|two|three" as a sentence has them: "one, two or three". */
static void put_choices(struct au_buf *out, const char *choices)
{
    for (const char *c = choices; *c; c++)
        if (*c != '|')
            au_buf_putc(out, *c);
        else
            au_buf_puts(out, strchr(c + 1, '|') ? ", " : " or ");
}

static enum auricle_error parse_choice(const struct app_option *option, const char *value, int *out,
                                       struct au_fault *fault)
{
    int index = 0;
    for (const char *word = option->value;; index++) {
        size_t n = strcspn(word, "|");
        if (strlen(value) == n && memcmp(word, value, n) == 0) {
            *out = index;
            return AURICLE_OK;
        }
        if (word[n] == 0)
            break;
        word += n + 1;
    }
    struct au_buf choices;
    au_buf_init(&choices, 256);
    put_choices(&choices, option->value);
    enum auricle_error error = au_fail(fault, AURICLE_E_INVALID,
                                       "\"%s\" is not accepted: choose %s", value, choices.data);
    au_buf_deinit(&choices);
    return error;
}

static enum auricle_error parse_flag(const char *value, bool *out, struct au_fault *fault)
{
    if (au_parse_bool(value, out))
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_INVALID,
                   "\"%s\" is not accepted: give yes or no (or true, false, 1, 0, on, off)", value);
}

static enum auricle_error store(const struct app_option *option, const char *value, void *args,
                                struct au_fault *fault)
{
    void *target = (char *)args + option->offset;
    switch (option->kind) {
    case APP_FLAG: return parse_flag(value, target, fault);
    case APP_TEXT: *(const char **)target = value; return AURICLE_OK;
    case APP_INT: return parse_int(option, value, target, fault);
    case APP_NUMBER: return parse_number(option, value, target, fault);
    case APP_SECONDS: return parse_seconds(option, value, target, fault);
    case APP_CHOICE: return parse_choice(option, value, target, fault);
    case APP_PARSED: return option->parse(args, value, fault);
    }
    return AURICLE_E_INVALID;
}

/* ---- Finding options ------------------------------------------------------------------------ */

struct found {
    const struct app_option *option; /* NULL: none */
    int index;                       /* through all groups */
};

/* "_" in what was typed counts as "-": options of the original program are spelled so. */
static bool same_name(const char *name, const char *typed, size_t n)
{
    if (!name || strlen(name) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] != typed[i] && !(name[i] == '-' && typed[i] == '_'))
            return false;
    return true;
}

static struct found find_option(const struct app_group *const *groups, const char *name, size_t n,
                                char letter)
{
    int index = 0;
    for (; *groups; groups++)
        for (const struct app_option *o = (*groups)->options; o->name; o++, index++)
            if (letter ? o->letter == letter
                       : same_name(o->name, name, n) || same_name(o->alias, name, n))
                return (struct found){o, index};
    return (struct found){NULL, -1};
}

static enum auricle_error unknown_option(const struct app_group *const *groups, const char *arg,
                                         size_t n, struct au_fault *fault)
{
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", n > 60 ? 60 : (int)n, arg);
    struct au_nearest nearest = {typed + 2, NULL, 0};
    for (const struct app_group *const *g = groups; *g; g++)
        for (const struct app_option *o = (*g)->options; o->name; o++)
            au_nearest_offer(&nearest, o->name);
    const char *best = au_nearest_pick(&nearest);
    if (best)
        return au_fail(fault, AURICLE_E_INVALID, "no option has the name %s: did you mean --%s?",
                       typed, best);
    return au_fail(fault, AURICLE_E_INVALID, "no option has the name %s", typed);
}

bool app_options_given(const struct app_group *const *groups, const struct app_parsed *parsed,
                       const char *name)
{
    struct found found = find_option(groups, name, strlen(name), 0);
    return found.option && (parsed->given >> found.index & 1);
}

/* ---- The command line ----------------------------------------------------------------------- */

struct parser {
    const struct app_group *const *groups;
    int argc, next; /* argument after the present one */
    char **argv;
    void *args;
    struct app_parsed *out;
    struct au_fault *fault;
};

static enum auricle_error take(struct parser *p, struct found found, const char *spelling,
                               const char *value)
{
    const struct app_option *option = found.option;
    p->out->given |= (uint64_t)1 << found.index;
    if (option->kind == APP_FLAG) {
        *(bool *)((char *)p->args + option->offset) = true;
        return AURICLE_OK;
    }
    if (!value) {
        bool looks_like_option = p->next < p->argc && au_str_starts(p->argv[p->next], "--");
        if (p->next >= p->argc || looks_like_option)
            return au_fail(p->fault, AURICLE_E_INVALID, "%s wants a value, %s%s", spelling,
                           option->value, looks_like_option ? ", but an option follows" : "");
        value = p->argv[p->next++];
    }
    enum auricle_error error = store(option, value, p->args, p->fault);
    if (error)
        au_fault_prefix(p->fault, spelling);
    return error;
}

/* --no-FLAG turns a flag off: one that a profile or a setting turned on, say. */
static bool take_negation(struct parser *p, const char *arg, size_t n)
{
    struct found found = {NULL, -1};
    if (n > 5 && au_str_starts(arg, "--no"))
        found = find_option(p->groups, arg + 5, n - 5, 0);
    if (!found.option || found.option->kind != APP_FLAG || arg[n])
        return false;
    p->out->given |= (uint64_t)1 << found.index;
    *(bool *)((char *)p->args + found.option->offset) = false;
    return true;
}

static enum auricle_error take_long(struct parser *p, const char *arg)
{
    size_t n = strcspn(arg, "=");
    const char *value = arg[n] ? arg + n + 1 : NULL;
    struct found found = find_option(p->groups, arg + 2, n - 2, 0);
    if (!found.option && take_negation(p, arg, n))
        return AURICLE_OK;
    if (!found.option)
        return unknown_option(p->groups, arg, n, p->fault);
    char spelling[64];
    snprintf(spelling, sizeof spelling, "--%s", found.option->name);
    if (value && found.option->kind == APP_FLAG)
        return au_fail(p->fault, AURICLE_E_INVALID, "%s takes no value", spelling);
    return take(p, found, spelling, value);
}

static enum auricle_error take_letters(struct parser *p, const char *arg)
{
    for (const char *c = arg + 1; *c; c++) {
        struct found found = find_option(p->groups, NULL, 0, *c);
        if (!found.option)
            return au_fail(p->fault, AURICLE_E_INVALID, "no option has the name -%c%s", *c,
                           c == arg + 1 && c[1] ? " (long names begin with two dashes)" : "");
        char spelling[] = {'-', *c, 0};
        bool flag = found.option->kind == APP_FLAG;
        enum auricle_error error = take(p, found, spelling, !flag && c[1] ? c + 1 : NULL);
        if (error || !flag)
            return error;
    }
    return AURICLE_OK;
}

enum auricle_error app_options_parse(const struct app_group *const *groups, int argc, char **argv,
                                     void *args, struct app_parsed *out, struct au_fault *fault)
{
    memset(out, 0, sizeof *out);
    struct parser p = {groups, argc, 1, argv, args, out, fault};
    bool options_ended = false;
    while (p.next < argc) {
        char *arg = argv[p.next++];
        enum auricle_error error = AURICLE_OK;
        if (options_ended || arg[0] != '-' || arg[1] == 0)
            argv[1 + out->n_operands++] = arg; /* behind p.next: nothing unread is overwritten */
        else if (arg[1] != '-')
            error = take_letters(&p, arg);
        else if (arg[2] == 0)
            options_ended = true;
        else
            error = take_long(&p, arg);
        if (error)
            return error;
    }
    out->operands = (const char *const *)(argv + 1);
    return AURICLE_OK;
}

/* ---- Settings ------------------------------------------------------------------------------- */

static enum auricle_error apply_setting(const struct app_option *option,
                                        const struct service_settings *settings, void *args,
                                        struct au_fault *fault)
{
    const char *name = option->setting, *origin = NULL;
    const char *value = service_settings_get(settings, name, &origin);
    if (!value && option->setting2) {
        name = option->setting2;
        value = service_settings_get(settings, name, &origin);
    }
    if (!value)
        return AURICLE_OK;
    enum auricle_error error = option->parse_setting ? option->parse_setting(args, value, fault)
                                                     : store(option, value, args, fault);
    if (error) {
        char where[240];
        snprintf(where, sizeof where, "%s (%s)", name, origin);
        au_fault_prefix(fault, where);
    }
    return error;
}

enum auricle_error app_options_from_settings(const struct app_group *const *groups,
                                             const struct service_settings *settings,
                                             uint64_t given, void *args, struct au_fault *fault)
{
    int index = 0;
    for (; *groups; groups++) {
        for (const struct app_option *o = (*groups)->options; o->name; o++, index++) {
            if (!o->setting || (given >> index & 1))
                continue;
            enum auricle_error error = apply_setting(o, settings, args, fault);
            if (error)
                return error;
        }
    }
    return AURICLE_OK;
}

const char *app_options_peek(int argc, char *const *argv, const char *name)
{
    size_t n = strlen(name);
    const char *value = NULL;
    for (int i = 1; i < argc && !au_str_equal(argv[i], "--"); i++) {
        if (!au_str_starts(argv[i], "--") || strncmp(argv[i] + 2, name, n) != 0)
            continue;
        if (argv[i][n + 2] == '=')
            value = argv[i] + n + 3;
        else if (argv[i][n + 2] == 0 && i + 1 < argc)
            value = argv[i + 1];
    }
    return value;
}
