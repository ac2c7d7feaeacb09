/* Pulling models for people. See pull.h. */
#include "app/pull.h"

#include <string.h>

#include "app/app.h"
#include "app/interrupt.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/str.h"

enum { ATTEMPTS = 6, CONNECT_TIMEOUT_S = 20, STALL_TIMEOUT_S = 30 };

void app_pull_init(struct app_pull *pull, const struct service_settings *settings, bool quiet)
{
    *pull = (struct app_pull){
        .base = service_settings_get(settings, "AURICLE_MODEL_URL", NULL),
        .quiet = quiet,
        .attempts = ATTEMPTS,
        .stall_timeout_s = STALL_TIMEOUT_S,
        .pause_s = 1,
    };
    if (!pull->base)
        pull->base = service_settings_get(settings, "HF_ENDPOINT", NULL);
}

const struct service_model *app_pull_find(const char *name, struct service_model *adhoc)
{
    const struct service_model *model = service_model_find(name);
    if (!model && service_model_from_repository(name, adhoc))
        model = adhoc;
    return model;
}

int app_models_exit(enum auricle_error error)
{
    switch (error) {
    case AURICLE_OK: return APP_EXIT_OK;
    case AURICLE_E_CANCELLED: return app_interrupted() ? app_interrupted() : APP_EXIT_INTERRUPTED;
    case AURICLE_E_INVALID: return APP_EXIT_USAGE;
    case AURICLE_E_NO_SPACE: return APP_EXIT_OUTPUT;
    default: return APP_EXIT_MODEL;
    }
}

/* ---- By hand -------------------------------------------------------------------------------- */

void app_pull_by_hand(const struct app_pull *pull, const struct service_model *model,
                      struct au_buf *out)
{
    const char *name = pull->name ? pull->name : model->name;
    char *page = service_model_page(model, NULL);
    au_buf_printf(out, "Without a network here: on another machine, load these files from\n  %s\n",
                  page ? page : model->repository);
    for (const struct service_model_file *f = model->files; f->name; f++) {
        bool weights = au_str_equal(f->name, SERVICE_WEIGHTS);
        au_buf_printf(out, "    %s%s%s\n", weights ? "model.safetensors" : f->path,
                      au_str_equal(f->path, f->name) ? "" : "  and call it ",
                      au_str_equal(f->path, f->name) ? "" : f->name);
    }
    au_buf_printf(out,
                  "(those that are there), bring them here in a folder, and say\n"
                  "  auricle models import FOLDER --name %s\n"
                  "or put them into %s/%s yourself.\n"
                  "A mirror is named by --url, AURICLE_MODEL_URL or HF_ENDPOINT.\n",
                  name, pull->folder, name);
    au_free(page);
}

/* ---- With the network ----------------------------------------------------------------------- */

struct watcher {
    struct app_progress progress;
    enum app_progress_mode mode;
    bool quiet;
    char what[80];
};

static bool cancelled(void *context)
{
    (void)context;
    return app_interrupted() != 0;
}

static void show(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct watcher *watcher = context;
    if (!au_str_equal(watcher->what, what)) {
        app_progress_clear(&watcher->progress);
        au_str_copy(watcher->what, sizeof watcher->what, what);
        app_progress_start(&watcher->progress, watcher->mode, watcher->what);
        watcher->progress.bytes = true;
    }
    app_progress_update(&watcher->progress, (double)done, total ? (double)total : -1);
}

static void tell(void *context, const char *sentence)
{
    struct watcher *watcher = context;
    app_progress_clear(&watcher->progress);
    app_warn(watcher->quiet, "%s", sentence);
}

static enum auricle_error check_base(const char *base, struct au_fault *fault)
{
    if (!base || au_str_starts(base, "https://") || au_str_starts(base, "http://"))
        return AURICLE_OK;
    return au_fail(
        fault, AURICLE_E_INVALID,
        "\"%.200s\" is not the address of a mirror: it begins with https:// (or http://)", base);
}

static enum auricle_error unknown(const char *name, struct au_fault *fault)
{
    struct au_nearest nearest = {name, NULL, 0};
    for (const struct service_model *m = service_models; m->name; m++)
        au_nearest_offer(&nearest, m->name);
    const char *best = au_nearest_pick(&nearest);
    return au_fail(
        fault, AURICLE_E_INVALID,
        "no model has the name \"%.80s\"%s%s%s (auricle models list shows them; a Whisper "
        "repository of the hub is named OWNER/NAME)",
        name, best ? ": did you mean " : "", best ? best : "", best ? "?" : "");
}

int app_pull_run(const struct app_pull *pull, const char *name, char **path, struct au_fault *fault)
{
    struct service_model adhoc;
    const struct service_model *model = app_pull_find(name, &adhoc);
    enum auricle_error error = model ? check_base(pull->base, fault) : unknown(name, fault);
    if (error)
        return app_models_exit(error);
    struct watcher watcher = {.mode = app_progress_choose(pull->quiet), .quiet = pull->quiet};
    struct service_net net = {
        .allow_http = pull->base && au_str_starts(pull->base, "http://"),
        .connect_timeout_s = CONNECT_TIMEOUT_S < pull->stall_timeout_s ? CONNECT_TIMEOUT_S
                                                                       : pull->stall_timeout_s,
        .stall_timeout_s = pull->stall_timeout_s,
        .attempts = pull->attempts,
        .pause_s = pull->pause_s,
        .cancelled = cancelled,
        .progress = show,
        .note = tell,
        .context = &watcher,
    };
    struct service_pull order = {.model = model,
                                 .name = pull->name,
                                 .folder = pull->folder,
                                 .base = pull->base,
                                 .anew = pull->anew,
                                 .net = &net};
    bool already = false;
    error = service_pull_run(&order, path, &already, fault);
    app_progress_clear(&watcher.progress);
    if (!error)
        app_note(pull->quiet, already ? "auricle: %s is there already: %s" : "auricle: %s is in %s",
                 pull->name ? pull->name : model->name, *path);
    return app_models_exit(error);
}
