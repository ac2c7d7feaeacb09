/* Looking for models. See local.h. */
#include "service/registry/local.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/str.h"
#include "service/registry/inspect.h"
#include "service/registry/intact.h"
#include "service/registry/registry.h"

#define MAX_LISTED 1000 /* entries read of one folder: a mistaken --model-dir / must not hang */

/* ---- Folders -------------------------------------------------------------------------------- */

/* Takes folder over. NULL (out of memory) is an error; one too many is left out. */
static enum auricle_error add_folder(struct service_model_folders *folders, char *folder)
{
    if (!folder)
        return AURICLE_E_NOMEM;
    if (folders->n < SERVICE_MAX_MODEL_FOLDERS)
        folders->at[folders->n++] = folder;
    else
        au_free(folder);
    return AURICLE_OK;
}

static enum auricle_error add_listed(struct service_model_folders *folders, const char *list)
{
    while (list && *list) {
        size_t n = strcspn(list, ":");
        enum auricle_error error = n ? add_folder(folders, au_strndup(list, n)) : AURICLE_OK;
        if (error)
            return error;
        list += n + (list[n] == ':');
    }
    return AURICLE_OK;
}

static enum auricle_error add_home(struct service_model_folders *folders)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0] == '/')
        return add_folder(folders, au_sprintf("%s/auricle/models", data));
    if (home && home[0] == '/')
        return add_folder(folders, au_sprintf("%s/.local/share/auricle/models", home));
    return AURICLE_OK;
}

char *service_cache_folder(const char *chosen)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (chosen)
        return au_str_equal(chosen, "off") ? NULL : au_strdup(chosen);
    if (cache && cache[0] == '/')
        return au_sprintf("%s/auricle", cache);
    if (home && home[0] == '/')
        return au_sprintf("%s/.cache/auricle", home);
    return NULL;
}

/* Beside the program; above it (a build folder in the source tree); under the installed prefix. */
static enum auricle_error add_beside(struct service_model_folders *folders)
{
    char *own = au_path_executable_folder();
    if (!own)
        return AURICLE_OK;
    const char *slash = strrchr(own, '/');
    int n_above = slash ? (int)(slash - own) : 0;
    enum auricle_error error = add_folder(folders, au_sprintf("%s/models", own));
    if (!error)
        error = add_folder(folders, au_sprintf("%.*s/models", n_above, own));
    if (!error)
        error = add_folder(folders, au_sprintf("%.*s/share/auricle/models", n_above, own));
    au_free(own);
    return error;
}

/* Folders that are reached twice, through a link say, are kept once. */
static void tidy(struct service_model_folders *folders)
{
    size_t kept = 0, n_own = folders->n_own;
    for (size_t i = 0; i < folders->n; i++) {
        char resolved[PATH_MAX];
        char *copy = realpath(folders->at[i], resolved) ? au_strdup(resolved) : NULL;
        if (copy) {
            au_free(folders->at[i]);
            folders->at[i] = copy;
        }
        bool twice = false;
        for (size_t k = 0; k < kept; k++)
            twice = twice || au_str_equal(folders->at[k], folders->at[i]);
        if (twice)
            au_free(folders->at[i]);
        else
            folders->at[kept++] = folders->at[i];
        if (i + 1 == n_own)
            folders->n_own = kept;
    }
    folders->n = kept;
}

enum auricle_error service_model_folders_init(const char *extra, struct service_model_folders *out)
{
    memset(out, 0, sizeof *out);
    enum auricle_error error = add_listed(out, extra);
    if (!error)
        error = add_home(out);
    out->n_own = out->n;
    if (!error)
        error = add_beside(out);
    if (!error)
        error = add_folder(out, au_strdup("/usr/share/auricle/models"));
    if (error)
        service_model_folders_deinit(out);
    else
        tidy(out);
    return error;
}

void service_model_folders_deinit(struct service_model_folders *folders)
{
    for (size_t i = 0; i < folders->n; i++)
        au_free(folders->at[i]);
    folders->n = 0;
}

/* ---- Finding -------------------------------------------------------------------------------- */

/* The files that NAME may stand for: what is put before and after it. */
static const struct {
    const char *before, *after;
} shapes[] = {{"", ""}, {"", ".bin"}, {"ggml-", ".bin"}, {"", ".pt"}, {"", ".safetensors"}};
#define N_SHAPES (sizeof shapes / sizeof shapes[0])

/* Names under which a voice activity model is looked for. */
static const char *const vad_names[] = {"silero-vad", "silero_vad", "silero_vad_16k", "vad"};
#define N_VAD_NAMES (sizeof vad_names / sizeof vad_names[0])

/* The path of a model of that name in the folder, or NULL: absent, or out of memory. */
static char *find_in(const char *folder, const char *name)
{
    for (size_t i = 0; i < N_SHAPES; i++) {
        char *path = au_sprintf("%s/%s%s%s", folder, shapes[i].before, name, shapes[i].after);
        if (path && au_file_exists(path))
            return path;
        au_free(path);
    }
    return NULL;
}

static char *find_in_all(const struct service_model_folders *folders, const char *name)
{
    for (size_t i = 0; i < folders->n; i++) {
        char *path = find_in(folders->at[i], name);
        if (path)
            return path;
    }
    return NULL;
}

bool service_local_is_missing(const struct service_model_folders *folders, const char *name,
                              struct au_fault *fault)
{
    bool found = false;
    for (size_t i = 0; i < folders->n && !found; i++) {
        char *path = au_path_join(folders->at[i], name);
        found = path && service_intact_is_missing(path, fault);
        au_free(path);
    }
    return found;
}

static void put_folders(const struct service_model_folders *folders, struct au_buf *out)
{
    for (size_t i = 0; i < folders->n; i++)
        au_buf_printf(out, "%s%s", i ? ", " : "", folders->at[i]);
}

/* The sentence about a name nobody knows: what is installed, a near name, where it was looked
 * for. */
static enum auricle_error unknown_model(const struct service_model_folders *folders,
                                        const char *name, struct au_fault *fault)
{
    struct au_buf known, looked;
    au_buf_init(&known, 200);
    au_buf_init(&looked, 0);
    struct service_local_list list = {0};
    struct au_nearest nearest = {name, NULL, 0};
    if (service_local_list_init(folders, &list) == AURICLE_OK)
        for (size_t i = 0; i < list.n; i++) {
            if (list.entries[i].vad)
                continue;
            au_nearest_offer(&nearest, list.entries[i].name);
            au_buf_printf(&known, "%s%s", known.len ? ", " : "", list.entries[i].name);
        }
    const char *best = au_nearest_pick(&nearest);
    put_folders(folders, &looked);
    enum auricle_error error = au_fail(fault, AURICLE_E_NOT_FOUND,
                                       "no model has the name \"%.80s\"%s%s%s; installed: %s "
                                       "(auricle models list tells what can be "
                                       "had); looked in %s; give the path of a model (./FILE) or "
                                       "put one into one of these folders",
                                       name, best ? ": did you mean " : "", best ? best : "",
                                       best ? "?" : "", known.len ? known.data : "none",
                                       looked.data);
    service_local_list_deinit(&list);
    au_buf_deinit(&known);
    au_buf_deinit(&looked);
    return error;
}

/* The sentence about a name that is no installed model's. */
static enum auricle_error not_here(const struct service_model_folders *folders, const char *name,
                                   struct au_fault *fault)
{
    const struct service_model *known = service_model_find(name);
    if (!known)
        return unknown_model(folders, name, fault);
    if (!service_model_is_run(known))
        return au_fail(
            fault, AURICLE_E_NOT_FOUND,
            "the model %s is not installed, and of a family (%s) that no command of this "
            "version runs",
            name, known->family);
    return au_fail(fault, AURICLE_E_NOT_FOUND,
                   "the model %s is not installed: auricle models pull %s loads it (%.1f MB)", name,
                   known->name, (double)known->bytes / 1e6);
}

enum auricle_error service_local_find(const struct service_model_folders *folders, const char *name,
                                      char **path, struct au_fault *fault)
{
    char *found = NULL;
    if (name[0] == 0)
        return au_fail(fault, AURICLE_E_NOT_FOUND, "the name of the model is empty");
    if (!strchr(name, '/'))
        found = find_in_all(folders, name);
    if (!found && au_file_exists(name)) {
        found = au_strdup(name);
        if (!found)
            return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    }
    if (!found && strchr(name, '/') && service_intact_is_missing(name, fault))
        return AURICLE_E_NOT_FOUND;
    if (!found && strchr(name, '/'))
        return au_fail(fault, AURICLE_E_NOT_FOUND,
                       "%s: no such model file or folder (a name without \"/\" is looked up among "
                       "the installed models: auricle doctor lists them)",
                       name);
    if (!found)
        return service_local_is_missing(folders, name, fault) ? AURICLE_E_NOT_FOUND
                                                              : not_here(folders, name, fault);
    *path = found;
    return AURICLE_OK;
}

enum auricle_error service_local_find_vad(const struct service_model_folders *folders, char **path,
                                          struct au_fault *fault)
{
    char *found = NULL;
    for (size_t i = 0; i < N_VAD_NAMES && !found; i++)
        found = find_in_all(folders, vad_names[i]);
    for (size_t i = 0; i < N_VAD_NAMES && !found; i++)
        if (service_local_is_missing(folders, vad_names[i], fault))
            return AURICLE_E_NOT_FOUND;
    *path = found;
    return AURICLE_OK;
}

/* ---- The default ---------------------------------------------------------------------------- */

#define BUNDLED "nano"

/* The first of the names that is installed, a new string; NULL: none is. names ends with NULL. */
static char *find_first(const struct service_model_folders *folders, const char *const *names)
{
    char *path = NULL;
    for (; *names && !path; names++)
        path = find_in_all(folders, *names);
    return path;
}

/* Is it a Whisper model, and for English alone or not? What a known name stands for is believed. */
static bool hears(const struct service_local_entry *entry, bool english)
{
    const struct service_model *known = service_model_find(entry->name);
    struct service_facts facts;
    if (known)
        return au_str_equal(known->family, "whisper") &&
               au_str_equal(known->languages, "English") == english;
    if (service_inspect(entry->path, &facts, NULL) != AURICLE_OK)
        return false;
    return facts.family == SERVICE_FAMILY_WHISPER && (facts.n_languages == 1) == english;
}

/* The smallest of the other Whisper models, a new string; NULL: there is none. */
static char *find_smallest(const struct service_local_list *list, bool english)
{
    const struct service_local_entry *best = NULL;
    for (size_t i = 0; i < list->n; i++) {
        const struct service_local_entry *entry = &list->entries[i];
        if (!entry->vad && !au_str_equal(entry->name, BUNDLED) &&
            (!best || entry->bytes < best->bytes) && hears(entry, english))
            best = entry;
    }
    return best ? au_strdup(best->path) : NULL;
}

/* Small ones first that are fast enough for most machines; of the rest the fastest. */
enum auricle_error service_local_find_default(const struct service_model_folders *folders,
                                              bool multilingual, char **path, bool *bundled,
                                              struct au_fault *fault)
{
    static const char *const first[] = {"default", "small", "base", "tiny", NULL},
                             *const english[] = {"small.en", "base.en", "tiny.en", NULL};
    struct service_local_list list = {0};
    char *found = find_first(folders, first);
    if (!found && service_local_list_init(folders, &list) == AURICLE_OK)
        found = find_smallest(&list, false);
    if (!found && !multilingual)
        found = find_first(folders, english);
    if (!found && !multilingual)
        found = find_smallest(&list, true);
    service_local_list_deinit(&list);
    *bundled = !found;
    if (!found)
        found = find_in_all(folders, BUNDLED);
    if (found) {
        *path = found;
        return AURICLE_OK;
    }
    if (service_local_is_missing(folders, BUNDLED, fault))
        return AURICLE_E_NOT_FOUND;
    struct au_buf looked;
    au_buf_init(&looked, 0);
    put_folders(folders, &looked);
    au_fail(
        fault, AURICLE_E_NOT_FOUND,
        "no Whisper model%s is installed: auricle models pull base loads one (%.0f MB), or name "
        "one with --model (MODEL_PATH); looked in %s",
        multilingual ? " of several languages" : "",
        (double)service_model_find("base")->bytes / 1e6, looked.data);
    au_buf_deinit(&looked);
    return AURICLE_E_NOT_FOUND;
}

/* ---- Listing -------------------------------------------------------------------------------- */

static uint64_t bytes_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

/* Bytes of the files right in the folder. */
static uint64_t bytes_in(const char *folder)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    for (int i = 0; dir && i < MAX_LISTED && (entry = readdir(dir)); i++) {
        char *path = au_path_join(folder, entry->d_name);
        bytes += path ? bytes_of(path) : 0;
        au_free(path);
    }
    if (dir)
        closedir(dir);
    return bytes;
}

static bool holds(const char *folder, const char *name)
{
    char *path = au_path_join(folder, name);
    bool there = path && au_file_is_regular(path);
    au_free(path);
    return there;
}

static bool looks_like_model_folder(const char *path)
{
    return au_file_is_dir(path) &&
           (holds(path, "config.json") || holds(path, "model.safetensors") ||
            holds(path, "model.bin") || holds(path, "model.safetensors.index.json"));
}

/* The name that --model takes for a file: without what `shapes` puts around it. NULL: no model. */
static char *name_of_file(const char *file)
{
    for (size_t i = N_SHAPES - 1; i > 0; i--) { /* the first shape would take any file */
        size_t n = strlen(file), before = strlen(shapes[i].before), after = strlen(shapes[i].after);
        bool longer_prefix = i == 1 && au_str_starts(file, "ggml-");
        if (n > before + after && au_str_starts(file, shapes[i].before) &&
            au_str_ends(file, shapes[i].after) && !longer_prefix)
            return au_strndup(file + before, n - before - after);
    }
    return NULL;
}

char *service_local_name(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *trimmed = au_strndup(path, n);
    if (!trimmed)
        return NULL;
    const char *file = au_path_name(trimmed);
    char *name = au_file_is_dir(trimmed) ? NULL : name_of_file(file);
    if (!name)
        name = au_strdup(file);
    au_free(trimmed);
    return name;
}

static enum auricle_error append(struct service_local_list *list, struct service_local_entry entry)
{
    void *entries = au_grow(list->entries, list->n, &list->capacity, sizeof entry);
    if (!entries)
        return AURICLE_E_NOMEM;
    list->entries = entries;
    list->entries[list->n++] = entry;
    return AURICLE_OK;
}

static enum auricle_error list_entry(const char *folder, const char *file,
                                     struct service_local_list *list)
{
    struct service_local_entry entry = {.path = au_path_join(folder, file)};
    if (!entry.path)
        return AURICLE_E_NOMEM;
    if (looks_like_model_folder(entry.path)) {
        entry.name = au_strdup(file);
        entry.bytes = bytes_in(entry.path);
    } else if (au_file_is_regular(entry.path)) {
        entry.name = name_of_file(file);
        entry.bytes = bytes_of(entry.path);
    }
    for (size_t i = 0; i < N_VAD_NAMES; i++)
        entry.vad = entry.vad || au_str_equal(entry.name, vad_names[i]);
    enum auricle_error error = entry.name ? append(list, entry) : AURICLE_OK;
    if (error || !entry.name) {
        au_free(entry.name);
        au_free(entry.path);
    }
    return error;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct service_local_entry *)a)->name,
                  ((const struct service_local_entry *)b)->name);
}

static enum auricle_error list_folder(const char *folder, struct service_local_list *list)
{
    enum auricle_error error = AURICLE_OK;
    size_t first = list->n;
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    for (int i = 0; dir && !error && i < MAX_LISTED && (entry = readdir(dir)); i++)
        if (entry->d_name[0] != '.')
            error = list_entry(folder, entry->d_name, list);
    if (dir)
        closedir(dir);
    if (list->n > first)
        qsort(list->entries + first, list->n - first, sizeof *list->entries, by_name);
    return error;
}

enum auricle_error service_local_list_init(const struct service_model_folders *folders,
                                           struct service_local_list *out)
{
    memset(out, 0, sizeof *out);
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; i < folders->n && !error; i++)
        error = list_folder(folders->at[i], out);
    if (error)
        service_local_list_deinit(out);
    return error;
}

void service_local_list_deinit(struct service_local_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        au_free(list->entries[i].name);
        au_free(list->entries[i].path);
    }
    au_free(list->entries);
    memset(list, 0, sizeof *list);
}
