/* Models in, models out. See install.h. */
#include "service/registry/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/registry.h"
#include "service/registry/sums.h"

#define BLOCK_BYTES ((size_t)1 << 20)
#define MAX_FILES   256 /* of one model */
#define OPEN_MAX_FD 16

static enum auricle_error no_memory(struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

/* ---- The file system ------------------------------------------------------------------------ */

uint64_t service_free_bytes(const char *folder)
{
    struct statvfs status;
    char *path = au_strdup(folder);
    uint64_t bytes = UINT64_MAX;
    while (path) {
        if (statvfs(path, &status) == 0) {
            bytes = (uint64_t)status.f_bavail * status.f_frsize;
            break;
        }
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            break;
        *slash = 0;
    }
    au_free(path);
    return bytes;
}

char *service_installed(const char *folder, const char *name)
{
    static const char *const forms[][2] = {
        {"", ""}, {"", ".bin"}, {"ggml-", ".bin"}, {"", ".pt"}, {"", ".safetensors"}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char *path = au_sprintf("%s/%s%s%s", folder, forms[i][0], name, forms[i][1]);
        struct stat status;
        if (path && lstat(path, &status) == 0)
            return path;
        au_free(path);
    }
    return NULL;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path) == 0 ? 0 : errno;
}

enum auricle_error service_remove_folder(const char *path, struct au_fault *fault)
{
    if (!au_file_exists(path))
        return AURICLE_OK;
    int problem = nftw(path, remove_entry, OPEN_MAX_FD, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (problem)
        return au_fail_errno(fault, problem > 0 ? problem : errno, "cannot delete %s", path);
    return AURICLE_OK;
}

/* A folder is first renamed, so that no one finds half of it. */
static enum auricle_error uninstall_folder(const char *path, struct au_fault *fault)
{
    size_t n = (size_t)(au_path_name(path) - path);
    char *gone = au_sprintf("%.*s.removed-%s-%ld", (int)n, path, path + n, (long)getpid());
    if (!gone)
        return no_memory(fault);
    enum auricle_error error = AURICLE_OK;
    if (rename(path, gone) != 0)
        error = au_fail_errno(fault, errno, "cannot delete %s", path);
    else
        error = service_remove_folder(gone, fault);
    au_free(gone);
    return error;
}

enum auricle_error service_uninstall(const char *path, struct au_fault *fault)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return au_fail_errno(fault, errno, "cannot delete %s", path);
    if (S_ISDIR(status.st_mode))
        return uninstall_folder(path, fault);
    if (unlink(path) != 0)
        return au_fail_errno(fault, errno, "cannot delete %s", path);
    char *record = au_sprintf("%s.sha256", path);
    if (record)
        unlink(record); /* most have none */
    au_free(record);
    return AURICLE_OK;
}

/* ---- Copying -------------------------------------------------------------------------------- */

struct copier {
    const struct service_import *import;
    uint64_t done, total;
    uint8_t *block;
};

static enum auricle_error copy_bytes(struct copier *copier, int in, int out, const char *from,
                                     const char *to, struct au_fault *fault)
{
    const struct service_import *import = copier->import;
    for (;;) {
        if (import->watch && import->watch(import->context, copier->done, copier->total))
            return au_fail(fault, AURICLE_E_CANCELLED, "stopped while %s was copied", from);
        ssize_t n = read(in, copier->block, BLOCK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return au_fail_errno(fault, errno, "cannot read %s", from);
        if (n == 0)
            return AURICLE_OK;
        for (ssize_t written = 0; written < n;) {
            ssize_t more = write(out, copier->block + written, (size_t)(n - written));
            if (more < 0 && errno != EINTR)
                return au_fail_errno(fault, errno, "cannot write %s", to);
            written += more > 0 ? more : 0;
        }
        copier->done += (uint64_t)n;
    }
}

static enum auricle_error copy_file(struct copier *copier, const char *from, const char *to,
                                    struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    int out = -1, in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0)
        error = au_fail_errno(fault, errno, "cannot read %s", from);
    if (!error) {
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (out < 0)
            error = au_fail_errno(fault, errno, "cannot write %s", to);
    }
    if (!error)
        error = copy_bytes(copier, in, out, from, to, fault);
    if (!error && fsync(out) != 0)
        error = au_fail_errno(fault, errno, "cannot write %s", to);
    if (out >= 0)
        close(out);
    if (in >= 0)
        close(in);
    return error;
}

/* Copy from/name to staging/name and record its digest. */
static enum auricle_error copy_one(struct copier *copier, const char *from, const char *staging,
                                   const char *name, struct service_sums *sums,
                                   struct au_fault *fault)
{
    struct service_digests digests;
    char *to = au_path_join(staging, name);
    if (!to)
        return no_memory(fault);
    enum auricle_error error = copy_file(copier, from, to, fault);
    if (!error)
        error = service_digest_file(to, NULL, NULL, &digests, fault);
    if (!error && service_sums_add(sums, name, digests.sha256))
        error = no_memory(fault);
    au_free(to);
    return error;
}

/* ---- What a folder brings ------------------------------------------------------------------- */

struct files {
    char *names[MAX_FILES];
    size_t n;
    uint64_t bytes;
    bool has_safetensors;
};

static void files_deinit(struct files *files)
{
    for (size_t i = 0; i < files->n; i++)
        au_free(files->names[i]);
}

/* Weights, texts and papers; of weights in two formats the ones that are read. */
static bool belongs(const struct files *files, const char *name)
{
    static const char *const texts[] = {".json", ".txt", ".tiktoken", ".md"};
    static const char *const papers[] = {"LICENSE", "NOTICE", "LICENCE"};
    if (name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (au_str_ends(name, texts[i]))
            return true;
    for (size_t i = 0; i < sizeof papers / sizeof papers[0]; i++)
        if (au_str_starts(name, papers[i]))
            return true;
    return au_str_ends(name, ".safetensors") ||
           (au_str_ends(name, ".bin") && !files->has_safetensors);
}

static bool holds(const char *folder, const char *name)
{
    char *path = au_path_join(folder, name);
    bool there = path && au_file_is_regular(path);
    au_free(path);
    return there;
}

static enum auricle_error take_file(struct files *files, const char *folder, const char *name,
                                    struct au_fault *fault)
{
    struct stat status;
    char *path = au_path_join(folder, name);
    if (!path)
        return no_memory(fault);
    bool regular = stat(path, &status) == 0 && S_ISREG(status.st_mode);
    au_free(path);
    if (!regular || !belongs(files, name))
        return AURICLE_OK;
    if (files->n == MAX_FILES)
        return au_fail(fault, AURICLE_E_LIMIT, "%s holds more than %d files of a model", folder,
                       MAX_FILES);
    files->names[files->n] = au_strdup(name);
    if (!files->names[files->n])
        return no_memory(fault);
    files->n++;
    files->bytes += (uint64_t)status.st_size;
    return AURICLE_OK;
}

static enum auricle_error list_files(const char *folder, struct files *files,
                                     struct au_fault *fault)
{
    files->has_safetensors = holds(folder, "model.safetensors") ||
                             holds(folder, "model.safetensors.index.json");
    DIR *dir = opendir(folder);
    if (!dir)
        return au_fail_errno(fault, errno, "cannot read %s", folder);
    enum auricle_error error = AURICLE_OK;
    for (const struct dirent *entry; !error && (entry = readdir(dir));)
        if (!au_str_equal(entry->d_name, SERVICE_SUMS_FILE))
            error = take_file(files, folder, entry->d_name, fault);
    closedir(dir);
    return error;
}

/* ---- Importing ------------------------------------------------------------------------------ */

static enum auricle_error check_space(const char *folder, uint64_t bytes, struct au_fault *fault)
{
    uint64_t free_bytes = service_free_bytes(folder);
    if (free_bytes >= bytes)
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_NO_SPACE,
                   "the model takes %.1f MB and %s has %.1f MB left: make room or name another "
                   "folder (--model-dir)",
                   (double)bytes / 1e6, folder, (double)free_bytes / 1e6);
}

static enum auricle_error import_folder(const struct service_import *import, const char *from,
                                        const char *target, const char *staging,
                                        struct copier *copier, struct au_fault *fault)
{
    struct files files = {.n = 0};
    struct service_sums sums = {0};
    enum auricle_error error = list_files(from, &files, fault);
    copier->total = files.bytes;
    if (!error)
        error = check_space(import->folder, files.bytes, fault);
    if (!error)
        error = au_dir_make(staging, fault);
    for (size_t i = 0; i < files.n && !error; i++) {
        char *path = au_path_join(from, files.names[i]);
        error = path ? copy_one(copier, path, staging, files.names[i], &sums, fault)
                     : no_memory(fault);
        au_free(path);
    }
    char *record = error ? NULL : au_path_join(staging, SERVICE_SUMS_FILE);
    if (!error)
        error = record ? service_sums_write(&sums, record, fault) : no_memory(fault);
    if (!error && rename(staging, target) != 0)
        error = au_fail_errno(fault, errno, "cannot make %s", target);
    au_free(record);
    service_sums_deinit(&sums);
    files_deinit(&files);
    return error;
}

/* An OpenAI checkpoint wants its vocabulary beside it: bring that where it is not there yet. */
static enum auricle_error bring_vocabulary(const char *from, const char *folder, int n_vocab,
                                           struct copier *copier, struct au_fault *fault)
{
    const char *name = n_vocab == 51864 ? "gpt2.tiktoken" : "multilingual.tiktoken";
    size_t n = (size_t)(au_path_name(from) - from);
    char *source = au_sprintf("%.*s%s", (int)n, from, name), *to = au_path_join(folder, name);
    enum auricle_error error = source && to ? AURICLE_OK : no_memory(fault);
    if (!error && !au_file_exists(to)) {
        if (au_file_is_regular(source))
            error = copy_file(copier, source, to, fault);
        else
            error = au_fail(fault, AURICLE_E_NOT_FOUND,
                            "%s: an OpenAI checkpoint carries no vocabulary; put %s (from the same "
                            "project) beside it",
                            from, name);
    }
    au_free(source);
    au_free(to);
    return error;
}

/* One file: copied to a hidden name beside its place, recorded, renamed. */
static enum auricle_error import_file(const struct service_import *import, const char *from,
                                      const char *target, const char *staging,
                                      struct copier *copier, struct au_fault *fault)
{
    struct stat status;
    struct service_sums sums = {0};
    char *record = au_sprintf("%s.sha256", target),
         *moved = au_path_join(staging, au_path_name(target));
    enum auricle_error error = record && moved ? AURICLE_OK : no_memory(fault);
    if (!error && stat(from, &status) != 0)
        error = au_fail_errno(fault, errno, "cannot read %s", from);
    if (!error) {
        copier->total = (uint64_t)status.st_size;
        error = check_space(import->folder, copier->total, fault);
    }
    if (!error)
        error = au_dir_make(staging, fault);
    if (!error)
        error = copy_one(copier, from, staging, au_path_name(target), &sums, fault);
    if (!error && rename(moved, target) != 0)
        error = au_fail_errno(fault, errno, "cannot make %s", target);
    if (!error)
        error = service_sums_write(&sums, record, fault);
    service_sums_deinit(&sums);
    au_free(record);
    au_free(moved);
    return error;
}

static enum auricle_error import_link(const char *from, const char *target, struct au_fault *fault)
{
    char resolved[PATH_MAX];
    if (!realpath(from, resolved))
        return au_fail_errno(fault, errno, "cannot read %s", from);
    if (symlink(resolved, target) != 0)
        return au_fail_errno(fault, errno, "cannot make %s", target);
    return AURICLE_OK;
}

/* What the name adds up to in the models folder. */
static const char *ending_of(enum format_kind kind)
{
    return kind == FORMAT_PYTORCH ? ".pt" : kind == FORMAT_SAFETENSORS ? ".safetensors" : ".bin";
}

/* "ggml-base.bin" and "base.pt" are "base"; a folder's name stays. New string. */
static char *default_name(const char *from, bool is_folder)
{
    size_t n = strlen(from);
    while (n > 1 && from[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin > 0 && from[begin - 1] != '/')
        begin--;
    const char *name = from + begin;
    n -= begin;
    if (is_folder)
        return au_strndup(name, n);
    if (n > 5 && memcmp(name, "ggml-", 5) == 0) {
        name += 5;
        n -= 5;
    }
    const char *dot = memrchr(name, '.', n);
    return au_strndup(name, dot && dot > name ? (size_t)(dot - name) : n);
}

struct plan {
    char *from, *name, *target, *staging;
    bool is_folder;
    struct service_facts facts;
};

static void plan_deinit(struct plan *plan)
{
    au_free(plan->from);
    au_free(plan->name);
    au_free(plan->target);
    au_free(plan->staging);
}

static enum auricle_error check_name(const struct service_import *import, const char *name,
                                     struct au_fault *fault)
{
    if (!service_model_name_ok(name))
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" cannot be the name of a model: letters, digits and ._- are accepted "
                       "(--name NAME)",
                       name);
    char *taken = service_installed(import->folder, name);
    if (!taken)
        return AURICLE_OK;
    enum auricle_error error = au_fail(fault, AURICLE_E_INVALID,
                                       "a model of the name \"%s\" is there already (%s): choose "
                                       "another with --name, or remove it first (auricle models "
                                       "remove %s)",
                                       name, taken, name);
    au_free(taken);
    return error;
}

/* Whether a file cannot do without what lies beside it. */
static bool wants_its_folder(const struct service_facts *facts)
{
    bool speaks = facts->family == SERVICE_FAMILY_WHISPER ||
                  facts->family == SERVICE_FAMILY_WAV2VEC2;
    return speaks && (facts->kind == FORMAT_SAFETENSORS || facts->kind == FORMAT_CTRANSLATE2);
}

static enum auricle_error make_plan(const struct service_import *import, struct plan *plan,
                                    struct au_fault *fault)
{
    enum auricle_error error = service_inspect(import->from, &plan->facts, fault);
    if (error)
        return error;
    if (plan->facts.family == SERVICE_FAMILY_UNKNOWN)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: its tensors belong to no family that is known (whisper, silero, "
                       "wav2vec2, aasist)",
                       import->from);
    plan->is_folder = au_file_is_dir(import->from);
    plan->name = import->name ? au_strdup(import->name)
                              : default_name(import->from, plan->is_folder);
    size_t n = (size_t)(au_path_name(import->from) - import->from);
    if (!plan->is_folder && wants_its_folder(&plan->facts)) {
        plan->is_folder = true;
        plan->from = n ? au_strndup(import->from, n) : au_strdup(".");
    } else {
        plan->from = au_strdup(import->from);
    }
    if (!plan->name || !plan->from)
        return no_memory(fault);
    error = check_name(import, plan->name, fault);
    if (error)
        return error;
    plan->target = au_sprintf("%s/%s%s", import->folder, plan->name,
                              plan->is_folder ? "" : ending_of(plan->facts.kind));
    plan->staging = au_sprintf("%s/.import-%s-%ld", import->folder, plan->name, (long)getpid());
    return plan->target && plan->staging ? AURICLE_OK : no_memory(fault);
}

static enum auricle_error carry_out(const struct service_import *import, const struct plan *plan,
                                    struct au_fault *fault)
{
    struct copier copier = {.import = import, .block = au_alloc(BLOCK_BYTES)};
    enum auricle_error error = copier.block ? AURICLE_OK : no_memory(fault);
    bool checkpoint = !plan->is_folder && plan->facts.kind == FORMAT_PYTORCH &&
                      plan->facts.family == SERVICE_FAMILY_WHISPER;
    if (!error)
        error = au_dir_make(import->folder, fault);
    if (!error && checkpoint)
        error = bring_vocabulary(plan->from, import->folder, plan->facts.dims.n_vocab, &copier,
                                 fault);
    if (!error && import->link)
        error = import_link(plan->from, plan->target, fault);
    else if (!error && plan->is_folder)
        error = import_folder(import, plan->from, plan->target, plan->staging, &copier, fault);
    else if (!error)
        error = import_file(import, plan->from, plan->target, plan->staging, &copier, fault);
    au_free(copier.block);
    struct au_fault ignored = {0};
    if (service_remove_folder(plan->staging, &ignored) && !error)
        error = au_fail(fault, ignored.code, "%s", ignored.text);
    return error;
}

enum auricle_error service_import(const struct service_import *import, char **installed,
                                  struct au_fault *fault)
{
    struct plan plan;
    memset(&plan, 0, sizeof plan);
    enum auricle_error error = make_plan(import, &plan, fault);
    if (!error)
        error = carry_out(import, &plan, fault);
    if (!error) {
        *installed = plan.target;
        plan.target = NULL;
    }
    plan_deinit(&plan);
    return error;
}
