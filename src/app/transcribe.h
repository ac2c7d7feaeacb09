/* The arguments of `auricle transcribe`, and the files that share them. Main thread only. */
#ifndef APP_TRANSCRIBE_H
#define APP_TRANSCRIBE_H

#include "app/app.h"
#include "auricle/auricle.h"
#include "recog/render/render.h"
#include "service/registry/local.h"

#define APP_MAX_FORMATS  8
#define APP_MAX_SUPPRESS 512
#define APP_MAX_CLIPS    256

struct app_transcribe_args {
    struct app_general general; /* first: see app.h */

    const struct service_settings *settings; /* borrowed */
    bool no_pull;
    bool multilingual; /* the model must know several languages, whatever the options say */
    const char *model, *model_dir, *cache;
    uint64_t cache_bytes; /* at most; 0: SERVICE_CACHE_BYTES */
    const char *output_dir;
    const struct recog_render
        *formats[APP_MAX_FORMATS]; /* each once, in the order they were named */
    size_t n_formats;

    int threads;
    int compute; /* enum auricle_compute */
    const char *cpu_level;

    int profile, task, seed, long_form, vad, batch_size;
    const char *vad_model;
    double vad_threshold;
    double clips[APP_MAX_CLIPS];
    double patience, length_penalty, max_initial_timestamp;
    bool keep_blank, no_filter;
    int32_t suppress[APP_MAX_SUPPRESS];
    struct auricle_options options; /* complete after app_transcribe_options_finish */
};

extern const struct app_group *const app_transcribe_groups[];
/* Defaults of the profile that the command line names, so that other options may stand before
 * it. */
void app_transcribe_args_init(struct app_transcribe_args *args, int argc, char *const *argv);
/* Move what the parser could not place itself into args->options. */
void app_transcribe_options_finish(struct app_transcribe_args *args);

/* The model that the arguments name, loaded from the network where they allow it; *path is a new
 * string. */
AURICLE_MUST_CHECK enum auricle_error app_transcribe_find_model(
    const struct app_transcribe_args *args, const struct service_model_folders *folders,
    char **path, struct au_fault *fault);

/* Load what the arguments ask for. Returns an exit code; where that is not 0 the fault has the
 * sentence, and *out may hold an engine that is still to be destroyed.                           */
int app_transcribe_load(const struct app_transcribe_args *args, struct auricle_engine **out,
                        struct au_fault *fault);

#endif
