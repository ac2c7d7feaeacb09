/* The model of a call of `auricle transcribe`: found, loaded, and asked whether it can do the
 * call. */
#include "app/interrupt.h"
#include "app/pull.h"
#include "app/transcribe.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/engines/load.h"
#include "service/registry/local.h"

enum { USUAL_BEAM = 5 }; /* memory is planned for it where the model may ask for a beam */

struct paths {
    char *model, *vad; /* vad NULL: none */
    char *cache;       /* NULL: none */
};

/* A name that the registry knows and no folder has: load it, or say how. */
static enum auricle_error pull_model(const struct app_transcribe_args *args,
                                     const struct service_model_folders *folders,
                                     const struct service_model *model, char **path,
                                     struct au_fault *fault)
{
    struct app_pull pull;
    struct au_fault inner = {0};
    if (args->no_pull)
        return au_fail(fault, AURICLE_E_NOT_FOUND,
                       "the model %s is not installed: auricle models pull %s loads it (%.0f MB); "
                       "without a network, auricle models info %s says what to do",
                       args->model, model->name, (double)model->bytes / 1e6, model->name);
    app_pull_init(&pull, args->settings, args->general.quiet);
    pull.folder = folders->at[0];
    app_note(args->general.quiet, "auricle: loading the model %s (%.0f MB) into %s", model->name,
             (double)model->bytes / 1e6, pull.folder);
    if (app_pull_run(&pull, model->name, path, &inner) == APP_EXIT_OK)
        return AURICLE_OK;
    return au_fail(fault, inner.code,
                   "the model %s is not installed and could not be loaded: %s (auricle models info "
                   "%s says how to install it by hand)",
                   args->model, inner.text, model->name);
}

static enum auricle_error find_default(const struct app_transcribe_args *args,
                                       const struct service_model_folders *folders, char **path,
                                       struct au_fault *fault)
{
    const char *language = args->options.language;
    bool bundled = false, multilingual = args->multilingual ||
                                         (language && !au_str_equal(language, "en")) ||
                                         args->options.task == AURICLE_TASK_TRANSLATE;
    enum auricle_error error = service_local_find_default(folders, multilingual, path, &bundled,
                                                          fault);
    if (!error && bundled)
        app_note(args->general.quiet,
                 "auricle: using the small bundled model (%s): for better words run auricle models "
                 "pull base, or name another with --model",
                 *path);
    return error;
}

enum auricle_error app_transcribe_find_model(const struct app_transcribe_args *args,
                                             const struct service_model_folders *folders,
                                             char **path, struct au_fault *fault)
{
    if (!args->model)
        return find_default(args, folders, path, fault);
    enum auricle_error error = service_local_find(folders, args->model, path, fault);
    const struct service_model *known = service_model_find(args->model);
    if (error != AURICLE_E_NOT_FOUND || !known || !service_model_is_run(known))
        return error;
    if (!au_str_equal(known->family, "whisper"))
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "--model %s: a %s model tells speech from silence and writes no words: name it "
            "with --vad-model",
            args->model, known->family);
    return pull_model(args, folders, known, path, fault);
}

/* A voice activity model is loaded only where it will be used. */
static enum auricle_error find_vad(const struct app_transcribe_args *args,
                                   const struct service_model_folders *folders, char **path,
                                   struct au_fault *fault)
{
    const struct auricle_options *o = &args->options;
    bool sequential = o->long_form == AURICLE_LONG_FORM_SEQUENTIAL;
    if (sequential || o->vad == AURICLE_VAD_ENERGY || o->vad == AURICLE_VAD_OFF)
        return AURICLE_OK;
    if (args->vad_model)
        return service_local_find(folders, args->vad_model, path, fault);
    enum auricle_error error = service_local_find_vad(folders, path, fault);
    if (error)
        return error;
    if (!*path && o->vad == AURICLE_VAD_SILERO)
        return au_fail(fault, AURICLE_E_NOT_FOUND,
                       "--vad silero: no Silero model is installed: auricle models pull silero-vad "
                       "loads one, --vad-model names one; or say --vad energy or --vad off");
    return AURICLE_OK;
}

static enum auricle_error find_paths(const struct app_transcribe_args *args, struct paths *out,
                                     struct au_fault *fault)
{
    struct service_model_folders folders;
    if (service_model_folders_init(args->model_dir, &folders) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = app_transcribe_find_model(args, &folders, &out->model, fault);
    if (!error)
        error = find_vad(args, &folders, &out->vad, fault);
    out->cache = service_cache_folder(args->cache);
    service_model_folders_deinit(&folders);
    return error;
}

static enum auricle_error load_engine(const struct app_transcribe_args *args,
                                      const struct paths *paths, struct auricle_engine **out,
                                      struct au_fault *fault)
{
    const struct auricle_options *o = &args->options;
    struct auricle_engine_options options = AURICLE_ENGINE_OPTIONS_INIT;
    bool sequential = o->long_form == AURICLE_LONG_FORM_SEQUENTIAL;
    options.model = paths->model;
    options.vad_model = paths->vad;
    options.cache_folder = paths->cache;
    options.threads = args->threads;
    options.compute = (enum auricle_compute)args->compute;
    options.cpu_level = args->cpu_level;
    options.max_windows = sequential ? 1
                                     : args->batch_size; /* memory is reserved for all of them */
    int beam = o->beam_size ? o->beam_size : USUAL_BEAM;
    options.max_beams = beam > o->best_of ? beam : o->best_of;
    return service_engine_load(&options, args->cache_bytes, out, fault);
}

static void log_model(const struct auricle_engine *engine, const char *vad)
{
    struct auricle_model_info info;
    auricle_engine_info(engine, &info);
    au_log(
        AU_LOG_INFO,
        "model %s: %s, %.1f million parameters, %s, %.1f MB in memory, %s, %d threads, loaded in "
        "%.0f ms%s%s%s",
        info.path, info.format, (double)info.parameters / 1e6, info.compute,
        (double)info.weight_bytes / 1e6, info.cpu_level, info.threads, 1e3 * info.load_seconds,
        info.cached ? " from the cache" : "", vad ? "; voice activity by " : "", vad ? vad : "");
}

/* A language or task the model cannot do is a mistake of the call, not of an input. */
static enum auricle_error check_abilities(const struct app_transcribe_args *args,
                                          const struct auricle_engine *engine,
                                          struct au_fault *fault)
{
    struct auricle_model_info info;
    auricle_engine_info(engine, &info);
    const char *language = args->options.language;
    if (info.multilingual)
        return AURICLE_OK;
    if (language && !au_str_equal(language, "en"))
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "--language %s: the model %s knows English only; name a multilingual model",
                       language, info.path);
    if (args->options.task == AURICLE_TASK_TRANSLATE)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "--task translate: the model %s knows English only; name a multilingual "
                       "model",
                       info.path);
    return AURICLE_OK;
}

int app_transcribe_load(const struct app_transcribe_args *args, struct auricle_engine **out,
                        struct au_fault *fault)
{
    struct paths paths = {NULL, NULL, NULL};
    enum auricle_error error = find_paths(args, &paths, fault);
    if (!error)
        error = load_engine(args, &paths, out, fault);
    if (!error)
        log_model(*out, paths.vad);
    au_free(paths.model);
    au_free(paths.vad);
    au_free(paths.cache);
    if (error == AURICLE_E_CANCELLED && app_interrupted())
        return app_interrupted();
    if (error)
        return APP_EXIT_MODEL;
    return check_abilities(args, *out, fault) == AURICLE_OK ? APP_EXIT_OK : APP_EXIT_USAGE;
}
