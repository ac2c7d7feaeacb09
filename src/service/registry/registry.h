/* Models known by name: where they come from and which files they consist of.
 *
 * The table is made from data/models.tsv at build time. Constant data and pure functions; any
 * thread.                                                                                        */
#ifndef SERVICE_REGISTRY_H
#define SERVICE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define SERVICE_HUB_URL    "https://huggingface.co"
#define SERVICE_GITHUB_URL "https://raw.githubusercontent.com"

/* A file name that stands for the weights in whichever form the repository has them. */
#define SERVICE_WEIGHTS "weights"

enum service_host { SERVICE_HOST_HUB, SERVICE_HOST_GITHUB };

struct service_model_file {
    const char *name;   /* in the model's folder here */
    const char *path;   /* in the repository */
    const char *sha256; /* pinned, in lower-case hexadecimal; NULL: what the server announces */
    bool optional;      /* not every repository has it */
};

struct service_model {
    const char *name;
    const char *family; /* "whisper", "silero", "aasist", "wav2vec2" */
    enum service_host host;
    const char *repository, *revision;
    const struct service_model_file *files; /* ends with name NULL */
    uint64_t bytes;                         /* about */
    const char *licence, *languages;
};
extern const struct service_model service_models[]; /* ends with name NULL */

struct service_model_alias {
    const char *alias, *name;
};
extern const struct service_model_alias service_model_aliases[]; /* ends with NULL */

/* By name or second name; NULL when unknown. */
const struct service_model *service_model_find(const char *name);

/* Whether a command of this version runs it: Whisper models for --model, Silero's for
 * --vad-model. */
bool service_model_is_run(const struct service_model *model);

/* Describe any Whisper repository of the hub, "owner/name": *out borrows the text. False when it
 * does not look like one.                                                                        */
bool service_model_from_repository(const char *repository, struct service_model *out);

/* Whether a model may be kept under this name: letters, digits and ._- of a file name, not hidden,
 * at most 64. */
bool service_model_name_ok(const char *name);

/* Address of a file (its path in the repository): new string, NULL when out of memory. base: a
 * mirror that lays files out as the hub does, BASE/OWNER/NAME/resolve/REVISION/PATH; NULL: the
 * model's own host.                                                                              */
char *service_model_url(const struct service_model *model, const char *base, const char *path);
/* Where people find the files with a browser: new string. */
char *service_model_page(const struct service_model *model, const char *base);

#endif
