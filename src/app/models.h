/* Models on this machine: by path, or by name in the folders where models are kept.
 *
 * A name means NAME (a folder or a file), NAME.bin, ggml-NAME.bin, NAME.pt or NAME.safetensors in
 * one of the folders; the first folder that has it wins. Main thread only.                       */
#ifndef APP_MODELS_H
#define APP_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define APP_MAX_MODEL_FOLDERS 24

/* Folders in the order they are searched; those that do not exist are listed too. */
struct app_model_folders {
    char *at[APP_MAX_MODEL_FOLDERS];
    size_t n;
    size_t n_own; /* the first of them: named by extra, or in the user's home */
};
/* extra: folders separated by colons that come first (--model-dir, AURICLE_MODELS); NULL: none. */
AURICLE_MUST_CHECK enum auricle_error app_model_folders_init(const char *extra,
                                                             struct app_model_folders *out);
void app_model_folders_deinit(struct app_model_folders *folders);

/* Find a model by path (a "/" in it, or a file here that no folder has) or by name; *path is a new
 * string. Errors: NOT_FOUND (says where it looked, what is there, what to do), NOMEM.            */
AURICLE_MUST_CHECK enum auricle_error app_model_find(const struct app_model_folders *folders,
                                                     const char *name, char **path,
                                                     struct au_fault *fault);
/* The model when none is named: the first that is installed of "default", "small", "base", "tiny",
 * else the bundled "nano". *bundled tells whether it came to that.                               */
AURICLE_MUST_CHECK enum auricle_error app_model_find_default(
    const struct app_model_folders *folders, char **path, bool *bundled, struct au_fault *fault);

/* The voice activity model when none is named: a new string; NULL where none is installed. */
char *app_model_find_vad(const struct app_model_folders *folders);

/* Where packed weights are kept: `chosen` (NULL for "off"), or where it is NULL a folder in the
 * user's cache folder. A new string, or NULL for nowhere.                                        */
char *app_cache_folder(const char *chosen);

struct app_model_entry {
    char *name; /* as --model takes it */
    bool vad;   /* by its name a voice activity model: for --vad-model */
    char *path;
    uint64_t bytes; /* on disk */
};
struct app_model_list {
    struct app_model_entry *entries;
    size_t n, capacity;
};
/* Everything in the folders that looks like a model, by folder and name. */
AURICLE_MUST_CHECK enum auricle_error app_model_list_init(const struct app_model_folders *folders,
                                                          struct app_model_list *out);
void app_model_list_deinit(struct app_model_list *list);

#endif
