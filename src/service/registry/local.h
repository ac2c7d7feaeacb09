/* Models on this machine: by path, or by name in the folders where models are kept.
 *
 * A name means NAME (a folder or a file), NAME.bin, ggml-NAME.bin, NAME.pt or NAME.safetensors in
 * one of the folders; the first folder that has it wins. Any thread.                       */
#ifndef SERVICE_LOCAL_H
#define SERVICE_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SERVICE_MAX_MODEL_FOLDERS 24

/* Folders in the order they are searched; those that do not exist are listed too. */
struct service_model_folders {
    char *at[SERVICE_MAX_MODEL_FOLDERS];
    size_t n;
    size_t n_own; /* the first of them: named by extra, or in the user's home */
};
/* extra: folders separated by colons that come first (--model-dir, AURICLE_MODELS); NULL: none. */
AURICLE_MUST_CHECK enum auricle_error service_model_folders_init(const char *extra,
                                                                 struct service_model_folders *out);
void service_model_folders_deinit(struct service_model_folders *folders);

/* Find a model by path (a "/" in it, or a file here that no folder has) or by name; *path is a new
 * string. Errors: NOT_FOUND (says where it looked, what is there, what to do; or which file is
 * missing, where digests of that model are on record), NOMEM.                                    */
AURICLE_MUST_CHECK enum auricle_error service_local_find(
    const struct service_model_folders *folders, const char *name, char **path,
    struct au_fault *fault);
/* The model when none is named: the first that is installed of "default", "small", "base", "tiny";
 * else the smallest other Whisper model of several languages; else, unless `multilingual` is asked
 * for, "small.en", "base.en", "tiny.en" or the smallest for English alone; else the bundled "nano".
 * *bundled tells whether it came to that. */
AURICLE_MUST_CHECK enum auricle_error service_local_find_default(
    const struct service_model_folders *folders, bool multilingual, char **path, bool *bundled,
    struct au_fault *fault);

/* Whether a model of that name, which no folder has, should be in one of them by the record of its
 * models; then the fault says which file is missing, and what to do.                             */
bool service_local_is_missing(const struct service_model_folders *folders, const char *name,
                              struct au_fault *fault);

/* The voice activity model when none is named: a new string; NULL where none is installed. Errors:
 * NOT_FOUND where the record of a folder lists one that is not there: without it another detector
 * would be used, and nobody would know.                                                          */
AURICLE_MUST_CHECK enum auricle_error service_local_find_vad(
    const struct service_model_folders *folders, char **path, struct au_fault *fault);

/* What the model at path is called when models are listed: a new string; NULL: out of memory. */
char *service_local_name(const char *path);

/* Where packed weights are kept: `chosen` (NULL for "off"), or where it is NULL a folder in the
 * user's cache folder. A new string, or NULL for nowhere.                                        */
char *service_cache_folder(const char *chosen);

struct service_local_entry {
    char *name; /* as --model takes it */
    bool vad;   /* by its name a voice activity model: for --vad-model */
    char *path;
    uint64_t bytes; /* on disk */
};
struct service_local_list {
    struct service_local_entry *entries;
    size_t n, capacity;
};
/* Everything in the folders that looks like a model, by folder and name. */
AURICLE_MUST_CHECK enum auricle_error service_local_list_init(
    const struct service_model_folders *folders, struct service_local_list *out);
void service_local_list_deinit(struct service_local_list *list);

#endif
