/* Pulling models, as `auricle models pull` and `auricle transcribe --model NAME` do it: with a
 * progress bar, ctrl-C, and words about what to do where it fails. Main thread only.             */
#ifndef APP_PULL_H
#define APP_PULL_H

#include <stdbool.h>

#include "app/progress.h"
#include "base/buf.h"
#include "service/registry/pull.h"
#include "service/settings/settings.h"

struct app_pull {
    const char *base; /* address of a mirror; NULL: the models' own hosts */
    const char *name; /* to be known by; NULL: the model's own */
    const char *folder;
    bool anew, quiet;
    int attempts, stall_timeout_s;
    double pause_s;
};

/* Defaults; the mirror from AURICLE_MODEL_URL or HF_ENDPOINT. settings is borrowed. */
void app_pull_init(struct app_pull *pull, const struct service_settings *settings, bool quiet);

/* Pull a model that the registry names, or a repository "owner/name". Returns an exit code; where
 * that is not 0 the fault has the sentence. *path, a new string, is where it lies.               */
int app_pull_run(const struct app_pull *pull, const char *name, char **path,
                 struct au_fault *fault);

/* What to do by hand where the network cannot be used: lines of text. */
void app_pull_by_hand(const struct app_pull *pull, const struct service_model *model,
                      struct au_buf *out);

/* The model of that name, or the repository in *adhoc; NULL: neither. */
const struct service_model *app_pull_find(const char *name, struct service_model *adhoc);

/* Exit code for an error of pulling, importing or removing. */
int app_models_exit(enum auricle_error error);

#endif
