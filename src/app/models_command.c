/* auricle models: which models there are, getting them, keeping them. Main thread only.
 *
 * One command with five verbs; each verb is a function, and an option that a verb has no use for is
 * a mistake.                                                                                     */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/interrupt.h"
#include "app/output.h"
#include "app/pull.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/str.h"
#include "service/registry/install.h"
#include "service/registry/local.h"
#include "service/registry/sums.h"

struct models_args {
    struct app_general general; /* first: see app.h */
    const char *model_dir, *name, *url;
    bool link, yes, verify, anew;
    int attempts;
    double pause_s, timeout_s;
};

/* What a verb works with. */
struct call {
    const struct models_args *args;
    const struct service_settings *settings;
    struct service_model_folders folders;
    const char *const *operands; /* behind the verb */
    size_t n_operands;
};

/* The folder that models go to: the first named, else the user's own. */
static const char *home_of(const struct call *call)
{
    return call->folders.at[0];
}

static struct app_pull pull_of(const struct call *call)
{
    struct app_pull pull;
    app_pull_init(&pull, call->settings, call->args->general.quiet);
    if (call->args->url)
        pull.base = call->args->url;
    pull.folder = home_of(call);
    pull.name = call->args->name;
    pull.anew = call->args->anew;
    pull.attempts = call->args->attempts;
    pull.pause_s = call->args->pause_s;
    pull.stall_timeout_s = (int)call->args->timeout_s;
    return pull;
}

/* ---- list ----------------------------------------------------------------------------------- */

static bool is_installed(const struct service_local_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (au_str_equal(list->entries[i].name, name))
            return true;
    return false;
}

/* Those that are not here and that a command runs, or not. */
static void list_available(const struct service_local_list *installed, bool run,
                           struct au_buf *text)
{
    for (const struct service_model *m = service_models; m->name; m++)
        if (!is_installed(installed, m->name) && service_model_is_run(m) == run)
            au_buf_printf(text, "  %-20s %8.1f MB  %s, %s, %s\n", m->name, (double)m->bytes / 1e6,
                          m->family, m->languages, m->licence);
}

static int run_list(struct call *call)
{
    struct service_local_list list;
    struct au_buf text;
    if (service_local_list_init(&call->folders, &list) != AURICLE_OK) {
        app_error("out of memory");
        return APP_EXIT_MODEL;
    }
    au_buf_init(&text, 0);
    au_buf_puts(&text, list.n ? "Installed:\n" : "Installed: none\n");
    for (size_t i = 0; i < list.n; i++)
        au_buf_printf(&text, "  %-20s %8.1f MB  %s\n", list.entries[i].name,
                      (double)list.entries[i].bytes / 1e6, list.entries[i].path);
    au_buf_puts(&text, "\nTo be had (auricle models pull NAME):\n");
    list_available(&list, true, &text);
    au_buf_puts(&text, "\nKnown, but no command of this version runs them:\n");
    list_available(&list, false, &text);
    au_buf_printf(&text, "\nNew models go to %s\n", home_of(call));
    int code = app_print(text.data, text.len);
    au_buf_deinit(&text);
    service_local_list_deinit(&list);
    return code;
}

/* ---- pull ----------------------------------------------------------------------------------- */

static void say_lines(bool quiet, const char *lines)
{
    for (const char *feed; (feed = strchr(lines, '\n')); lines = feed + 1)
        app_note(quiet, "%.*s", (int)(feed - lines), lines);
}

static int pull_one(struct call *call, const char *name)
{
    struct app_pull pull = pull_of(call);
    struct service_model adhoc;
    const struct service_model *model = app_pull_find(name, &adhoc);
    struct au_fault fault = {0};
    char *path = NULL;
    if (model && !service_model_is_run(model))
        app_warn(pull.quiet, "no command of this version runs %s (family %s): it can only be kept",
                 model->name, model->family);
    int code = app_pull_run(&pull, name, &path, &fault);
    if (code == APP_EXIT_OK) {
        au_free(path);
        return code;
    }
    app_error("%s", fault.text);
    if (fault.code == AURICLE_E_CANCELLED)
        app_note(pull.quiet, "auricle: what came is kept; the same command goes on from there");
    else if (model && (fault.code == AURICLE_E_IO || fault.code == AURICLE_E_TIMEOUT)) {
        struct au_buf text;
        au_buf_init(&text, 0);
        app_pull_by_hand(&pull, model, &text);
        say_lines(pull.quiet, text.data);
        au_buf_deinit(&text);
    }
    return code;
}

static int run_pull(struct call *call)
{
    int code = APP_EXIT_OK;
    if (call->args->name && call->n_operands > 1) {
        app_error("--name goes with one model, and %zu are named", call->n_operands);
        return APP_EXIT_USAGE;
    }
    app_interrupt_watch(NULL);
    for (size_t i = 0; i < call->n_operands && code == APP_EXIT_OK; i++)
        code = pull_one(call, call->operands[i]);
    return code;
}

/* ---- import --------------------------------------------------------------------------------- */

/* Bytes copied or read, shown; ctrl-C stops. */
static bool watch(void *context, uint64_t done, uint64_t total)
{
    app_progress_update(context, (double)done, (double)total);
    return app_interrupted() != 0;
}

static int run_import(struct call *call)
{
    struct app_progress progress;
    struct au_fault fault = {0};
    struct service_import import = {.from = call->operands[0],
                                    .folder = home_of(call),
                                    .name = call->args->name,
                                    .link = call->args->link,
                                    .watch = watch,
                                    .context = &progress};
    char *path = NULL;
    app_interrupt_watch(NULL);
    app_progress_start(&progress, app_progress_choose(call->args->general.quiet), import.from);
    progress.bytes = true;
    enum auricle_error error = service_import(&import, &path, &fault);
    app_progress_clear(&progress);
    if (error)
        app_error("%s", fault.text);
    else
        app_note(call->args->general.quiet, "auricle: %s is %s", path,
                 import.link ? "linked" : "installed");
    au_free(path);
    return app_models_exit(error);
}

/* ---- info ----------------------------------------------------------------------------------- */

static void put_facts(struct au_buf *text, const struct service_facts *facts)
{
    au_buf_printf(text, "family       %s\n", service_family_name(facts->family));
    au_buf_printf(text, "format       %s, mostly %s, %zu tensors\n", format_kind_name(facts->kind),
                  format_type_name(facts->type), facts->n_tensors);
    au_buf_printf(text, "size         %.1f million parameters, %.1f MB of weights\n",
                  (double)facts->parameters / 1e6, (double)facts->weight_bytes / 1e6);
    if (facts->family != SERVICE_FAMILY_WHISPER)
        return;
    const struct whisper_dims *d = &facts->dims;
    au_buf_printf(text,
                  "dimensions   encoder %d layers, decoder %d layers, width %d, %d heads, %d mels, "
                  "%d tokens\n",
                  d->n_audio_layer, d->n_text_layer, d->n_audio_state, d->n_audio_head, d->n_mels,
                  d->n_vocab);
    if (facts->n_languages == 1)
        au_buf_puts(text, "languages    English\n");
    else
        au_buf_printf(text, "languages    %zu\n", facts->n_languages);
}

static void put_source(struct au_buf *text, const struct service_model *model)
{
    char *page = service_model_page(model, NULL);
    au_buf_printf(text, "source       %s\nlicence      %s\n", page ? page : model->repository,
                  model->licence);
    au_free(page);
}

/* Digests on record, compared with the files where that is asked for. */
static enum auricle_error put_sums(const struct call *call, const char *path, struct au_buf *text,
                                   struct au_fault *fault)
{
    struct service_sums sums = {0};
    enum auricle_error error = service_sums_find(path, &sums, fault);
    for (size_t i = 0; i < sums.n; i++)
        au_buf_printf(text, "%-12s %s  %s\n", i ? "" : "sha256", sums.entries[i].sha256,
                      sums.entries[i].name);
    if (!error && call->args->verify && sums.n == 0)
        error = au_fail(fault, AURICLE_E_NOT_FOUND,
                        "%s: no digests are on record; they are for models that were pulled or "
                        "imported",
                        path);
    if (!error && call->args->verify) {
        struct app_progress progress;
        app_progress_start(&progress, app_progress_choose(call->args->general.quiet), "checking");
        progress.bytes = true;
        error = service_sums_check(&sums, watch, &progress, fault);
        app_progress_clear(&progress);
        if (!error)
            au_buf_printf(text, "verified     %zu files are as they were recorded\n", sums.n);
    }
    service_sums_deinit(&sums);
    return error;
}

static int info_installed(const struct call *call, const char *path, struct au_buf *text)
{
    struct service_facts facts;
    struct au_fault fault = {0};
    const struct service_model *model = service_model_find(au_path_name(path));
    au_buf_printf(text, "path         %s\n", path);
    /* Digests first: a damaged file is better named by them than by what the loader trips over. */
    struct au_buf sums;
    au_buf_init(&sums, 0);
    enum auricle_error error = put_sums(call, path, &sums, &fault);
    if (!error)
        error = service_inspect(path, &facts, &fault);
    if (!error) {
        put_facts(text, &facts);
        if (model)
            put_source(text, model);
        au_buf_puts(text, sums.data ? sums.data : "");
    }
    au_buf_deinit(&sums);
    if (error)
        app_error("%s", fault.text);
    return app_models_exit(error);
}

static void info_available(const struct call *call, const struct service_model *model,
                           struct au_buf *text)
{
    struct app_pull pull = pull_of(call);
    au_buf_printf(text, "%s is not installed. auricle models pull %s loads it (%.0f MB).\n",
                  model->name, model->name, (double)model->bytes / 1e6);
    au_buf_printf(text, "family       %s%s\nlanguages    %s\n", model->family,
                  service_model_is_run(model) ? "" : " (no command of this version runs it)",
                  model->languages);
    put_source(text, model);
    for (const struct service_model_file *f = model->files; f->name; f++)
        if (f->sha256)
            au_buf_printf(text, "sha256       %s  %s\n", f->sha256, f->name);
    app_pull_by_hand(&pull, model, text);
}

static int run_info(struct call *call)
{
    const char *name = call->operands[0];
    const struct service_model *model = service_model_find(name);
    struct au_fault fault = {0};
    struct au_buf text;
    char *path = NULL;
    int code;
    au_buf_init(&text, 0);
    app_interrupt_watch(NULL);
    enum auricle_error error = service_local_find(&call->folders, name, &path, &fault);
    if (!error) {
        code = info_installed(call, path, &text);
    } else if (error == AURICLE_E_NOT_FOUND && model && !call->args->verify) {
        info_available(call, model, &text);
        code = APP_EXIT_OK;
    } else {
        app_error("%s", fault.text);
        code = APP_EXIT_MODEL;
    }
    if (code == APP_EXIT_OK)
        code = app_print(text.data, text.len);
    au_buf_deinit(&text);
    au_free(path);
    return code;
}

/* ---- remove --------------------------------------------------------------------------------- */

/* Models that came with the program are listed in the SHA256SUMS of their folder; ones outside the
 * folders of the user are not ours to delete.                                                    */
static enum auricle_error may_remove(const struct call *call, const char *path,
                                     struct au_fault *fault)
{
    struct service_sums sums = {0};
    enum auricle_error error = service_sums_find(path, &sums, fault);
    bool bundled = !error && sums.shared && sums.n > 0;
    service_sums_deinit(&sums);
    if (error)
        return error;
    if (bundled)
        return au_fail(fault, AURICLE_E_STATE, "%s came with auricle and is not removed", path);
    size_t n = (size_t)(au_path_name(path) - path);
    for (size_t i = 0; i < call->folders.n_own; i++) {
        const char *folder = call->folders.at[i];
        if (strlen(folder) + 1 == n && memcmp(folder, path, n - 1) == 0)
            return AURICLE_OK;
    }
    return au_fail(
        fault, AURICLE_E_STATE,
        "%s lies outside your folders of models and is not removed: name its folder with "
        "--model-dir",
        path);
}

/* A question on the terminal; only "y" and "yes" mean yes. */
static bool confirmed(const char *path)
{
    char answer[16] = "";
    fprintf(stderr, "Remove %s? [y/N] ", path);
    ssize_t n = read(STDIN_FILENO, answer, sizeof answer - 1);
    answer[n > 0 ? n : 0] = 0;
    answer[strcspn(answer, "\r\n")] = 0;
    return au_str_equal_nocase(answer, "y") || au_str_equal_nocase(answer, "yes");
}

static int remove_one(struct call *call, const char *name)
{
    struct au_fault fault = {0};
    char *path = NULL;
    enum auricle_error error = AURICLE_OK;
    if (!service_model_name_ok(name))
        error = au_fail(&fault, AURICLE_E_INVALID,
                        "\"%.80s\" is not the name of a model (auricle models list shows them)",
                        name);
    if (!error)
        error = service_local_find(&call->folders, name, &path, &fault);
    if (!error)
        error = may_remove(call, path, &fault);
    if (!error && !call->args->yes && !isatty(STDIN_FILENO))
        error = au_fail(&fault, AURICLE_E_INVALID,
                        "%s is removed after a question on a terminal, or with --yes", path);
    if (!error && !call->args->yes && !confirmed(path)) {
        app_note(call->args->general.quiet, "auricle: %s stays", path);
    } else if (!error) {
        error = service_uninstall(path, &fault);
        if (!error)
            app_note(call->args->general.quiet, "auricle: %s is removed", path);
    }
    if (error)
        app_error("%s", fault.text);
    au_free(path);
    return app_models_exit(error);
}

static int run_remove(struct call *call)
{
    int code = APP_EXIT_OK;
    for (size_t i = 0; i < call->n_operands && code == APP_EXIT_OK; i++)
        code = remove_one(call, call->operands[i]);
    return code;
}

/* ---- The command ---------------------------------------------------------------------------- */

static const struct verb {
    const char *name, *options; /* the options it takes, each between spaces */
    size_t min_operands, max_operands;
    const char *usage;
    int (*run)(struct call *call);
} verbs[] = {
    {"list", "", 0, 0, "auricle models list", run_list},
    {"pull", " name force url attempts retry-delay timeout ", 1, 32, "auricle models pull NAME...",
     run_pull},
    {"import", " name link ", 1, 1, "auricle models import PATH", run_import},
    {"info", " verify url ", 1, 1, "auricle models info NAME|PATH", run_info},
    {"remove", " yes ", 1, 32, "auricle models remove NAME...", run_remove},
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

static const char *const special_options[] = {"name", "link",     "force",       "yes",    "verify",
                                              "url",  "attempts", "retry-delay", "timeout"};

static const struct verb *find_verb(const struct app_parsed *parsed)
{
    if (parsed->n_operands == 0) {
        app_error("say what to do: auricle models list, pull, import, info or remove");
        return NULL;
    }
    struct au_nearest nearest = {parsed->operands[0], NULL, 0};
    for (size_t i = 0; i < N_VERBS; i++) {
        if (au_str_equal(verbs[i].name, parsed->operands[0]))
            return &verbs[i];
        au_nearest_offer(&nearest, verbs[i].name);
    }
    const char *best = au_nearest_pick(&nearest);
    app_error("auricle models \"%s\" is not known: choose list, pull, import, info or remove%s%s%s",
              parsed->operands[0], best ? " (" : "", best ? best : "", best ? "?)" : "");
    return NULL;
}

/* The options fit the verb, and the number of operands does. */
static bool check_call(const struct app_command *self, const struct verb *verb,
                       const struct app_parsed *parsed)
{
    size_t n = parsed->n_operands - 1;
    for (size_t i = 0; i < sizeof special_options / sizeof special_options[0]; i++) {
        char spaced[32];
        snprintf(spaced, sizeof spaced, " %s ", special_options[i]);
        if (app_options_given(self->groups, parsed, special_options[i]) &&
            !strstr(verb->options, spaced)) {
            app_error("--%s has no meaning for auricle models %s", special_options[i], verb->name);
            return false;
        }
    }
    if (n >= verb->min_operands && n <= verb->max_operands)
        return true;
    app_error("%zu names or paths are given: say %s", n, verb->usage);
    return false;
}

static int run_models(const struct app_command *self, int argc, char **argv)
{
    struct models_args args = {.attempts = 6, .pause_s = 1, .timeout_s = 30};
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    const struct verb *verb = find_verb(&parsed);
    struct call call = {.args = &args, .settings = &settings};
    code = APP_EXIT_USAGE;
    if (verb && check_call(self, verb, &parsed)) {
        call.operands = parsed.operands + 1;
        call.n_operands = parsed.n_operands - 1;
        if (service_model_folders_init(args.model_dir, &call.folders) != AURICLE_OK) {
            app_error("out of memory");
            code = APP_EXIT_MODEL;
        } else {
            code = verb->run(&call);
        }
        service_model_folders_deinit(&call.folders);
    }
    service_settings_deinit(&settings);
    return code;
}

#define ARGS(member) offsetof(struct models_args, member)

static const struct app_option models_options[] = {
    {.name = "model-dir",
     .kind = APP_TEXT,
     .value = "DIR[:DIR]",
     .offset = ARGS(model_dir),
     .setting = "AURICLE_MODELS",
     .help = "look for models here first, and put new ones into the first of these"},
    {.name = "name",
     .kind = APP_TEXT,
     .value = "NAME",
     .offset = ARGS(name),
     .help = "pull, import: the name the model gets",
     .otherwise = "its own"},
    {.name = NULL},
};

static const struct app_option pull_options[] = {
    {.name = "url",
     .kind = APP_TEXT,
     .value = "URL",
     .offset = ARGS(url),
     .setting = "AURICLE_MODEL_URL",
     .setting2 = "HF_ENDPOINT",
     .help = "a mirror with the layout of the Hugging Face hub; plain http only where it is named "
             "so here",
     .otherwise = SERVICE_HUB_URL},
    {.name = "force",
     .kind = APP_FLAG,
     .offset = ARGS(anew),
     .help = "load anew what is there already, and replace it when that has come"},
    {.name = "attempts",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(attempts),
     .min = 1,
     .max = 1000,
     .help = "give up after so many without progress",
     .otherwise = "6"},
    {.name = "retry-delay",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(pause_s),
     .max = 60,
     .help = "pause before the second attempt; each later one is twice as long",
     .otherwise = "1"},
    {.name = "timeout",
     .kind = APP_SECONDS,
     .value = "TIME",
     .offset = ARGS(timeout_s),
     .min = 1,
     .max = 3600,
     .help = "a connection on which nothing comes for so long is given up",
     .otherwise = "30"},
    {.name = NULL},
};

static const struct app_option other_options[] = {
    {.name = "link",
     .kind = APP_FLAG,
     .offset = ARGS(link),
     .help = "import: make a symbolic link in place of a copy"},
    {.name = "verify",
     .kind = APP_FLAG,
     .offset = ARGS(verify),
     .help = "info: read all files and compare them with the digests on record"},
    {.name = "yes",
     .letter = 'y',
     .kind = APP_FLAG,
     .offset = ARGS(yes),
     .help = "remove: do not ask"},
    {.name = NULL},
};

static const struct app_group models_group = {"Models", models_options};
static const struct app_group pull_group = {"Pull", pull_options};
static const struct app_group other_group = {"Import, info, remove", other_options};
static const struct app_group *const models_groups[] = {&models_group, &pull_group, &other_group,
                                                        &app_group_general, NULL};

const struct app_command app_command_models = {
    .name = "models",
    .summary = "list models, load them from the network, import, inspect, remove",
    .operands = "list | VERB NAME|PATH...",
    .about =
        "Keeps models. The verbs: list shows what is installed and what can be had; pull loads a "
        "model by name, or any Whisper repository of the hub by OWNER/NAME, checks it and puts it "
        "into "
        "your folder of models; import does so with a file or folder you have; info tells what a "
        "model is; remove deletes one. A pull that breaks off goes on where it stopped.",
    .examples = "  auricle models list\n"
                "  auricle models pull base\n"
                "  auricle models pull openai/whisper-large-v3 --name big\n"
                "  auricle models import ~/Downloads/ggml-small.bin\n"
                "  auricle models info base --verify\n"
                "  auricle models remove base\n",
    .groups = models_groups,
    .notes = "Exit codes:\n"
             "    0  done\n" APP_NOTE_USAGE
             "    3  no such model; it could not be loaded, or is damaged\n"
             "    4  the disk is full\n"
             "  130  stopped by ctrl-C; what came is kept\n",
    .run = run_models,
};
