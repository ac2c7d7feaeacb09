/* Pulling models. See pull.h. */
#include "service/registry/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/install.h"
#include "service/registry/sums.h"

#define MAX_TEXT_BYTES    ((uint64_t)64 << 20)
#define MAX_WEIGHTS_BYTES ((uint64_t)24 << 30)
#define MAX_INDEX_BYTES   ((size_t)16 << 20)
#define MAX_SHARDS        64
#define LOCK_FILE         ".lock"
#define INDEX_FILE        "model.safetensors.index.json"

struct puller {
    const struct service_pull *pull;
    char *staging;
    struct service_sums sums; /* of what lies in staging, finished and checked */
};

static enum auricle_error no_memory(struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

/* ---- Files ---------------------------------------------------------------------------------- */

static const struct service_sum *recorded(const struct service_sums *sums, const char *name)
{
    for (size_t i = 0; i < sums->n; i++)
        if (au_str_equal(sums->entries[i].name, name))
            return &sums->entries[i];
    return NULL;
}

/* Whether an earlier call finished this file; a pinned digest has the last word. */
static bool is_finished(const struct puller *puller, const char *path, const char *name,
                        const char *sha256)
{
    struct service_digests digests;
    const struct service_sum *sum = recorded(&puller->sums, name);
    return sum && (!sha256 || au_str_equal(sha256, sum->sha256)) &&
           service_digest_file(path, NULL, NULL, &digests, NULL) == AURICLE_OK &&
           au_str_equal(digests.sha256, sum->sha256);
}

static enum auricle_error record(struct puller *puller, const char *name, const char *sha256,
                                 struct au_fault *fault)
{
    struct service_sums *sums = &puller->sums;
    for (size_t i = 0; i < sums->n; i++) /* a record that no longer holds */
        if (au_str_equal(sums->entries[i].name, name)) {
            memcpy(sums->entries[i].sha256, sha256, SERVICE_SHA256_HEX);
            return service_sums_write(sums, sums->source, fault);
        }
    if (service_sums_add(sums, name, sha256))
        return no_memory(fault);
    return service_sums_write(sums, sums->source, fault);
}

static enum auricle_error pull_file(struct puller *puller, const char *name, const char *path,
                                    const char *sha256, uint64_t max_bytes, struct au_fault *fault)
{
    const struct service_pull *pull = puller->pull;
    struct service_digests digests;
    enum service_proof proof;
    char *target = au_path_join(puller->staging, name);
    char *url = service_model_url(pull->model, pull->base, path);
    enum auricle_error error = target && url ? AURICLE_OK : no_memory(fault);
    if (!error && !is_finished(puller, target, name, sha256)) {
        struct service_download download = {url, target, name, sha256, max_bytes};
        error = service_download_run(&download, pull->net, &digests, &proof, fault);
        if (!error)
            error = record(puller, name, digests.sha256, fault);
    }
    au_free(target);
    au_free(url);
    return error;
}

/* ---- Weights -------------------------------------------------------------------------------- */

/* The files that an index names, each once; the names are borrowed from the document. */
static enum auricle_error list_shards(const struct au_json *index, const char *path,
                                      const char *shards[MAX_SHARDS], size_t *n,
                                      struct au_fault *fault)
{
    const struct au_json *map = au_json_get(index, "weight_map");
    *n = 0;
    for (size_t i = 0; i < au_json_size(map); i++) {
        const char *key, *shard = au_json_string(au_json_member(map, i, &key), "");
        bool known = false;
        for (size_t k = 0; k < *n && !known; k++)
            known = au_str_equal(shards[k], shard);
        if (known)
            continue;
        if (!service_model_name_ok(shard) || !au_str_ends(shard, ".safetensors") ||
            *n == MAX_SHARDS)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "%s: weight_map names \"%.80s\"; at most %d files *.safetensors of this "
                           "folder are expected",
                           path, shard, MAX_SHARDS);
        shards[(*n)++] = shard;
    }
    if (*n == 0)
        return au_fail(fault, AURICLE_E_FORMAT, "%s: weight_map names no file", path);
    return AURICLE_OK;
}

static enum auricle_error pull_shards(struct puller *puller, struct au_fault *fault)
{
    const char *shards[MAX_SHARDS];
    size_t n = 0;
    struct au_json *index = NULL;
    char *path = au_path_join(puller->staging, INDEX_FILE);
    if (!path)
        return no_memory(fault);
    enum auricle_error error = au_json_read(path, MAX_INDEX_BYTES, &index, fault);
    if (!error)
        error = list_shards(index, path, shards, &n, fault);
    for (size_t i = 0; i < n && !error; i++)
        error = pull_file(puller, shards[i], shards[i], NULL, MAX_WEIGHTS_BYTES, fault);
    au_json_free(index);
    au_free(path);
    return error;
}

/* The first form of the weights that the repository has. */
static enum auricle_error pull_weights(struct puller *puller, struct au_fault *fault)
{
    enum auricle_error error = pull_file(puller, "model.safetensors", "model.safetensors", NULL,
                                         MAX_WEIGHTS_BYTES, fault);
    if (error != AURICLE_E_NOT_FOUND)
        return error;
    error = pull_file(puller, INDEX_FILE, INDEX_FILE, NULL, MAX_INDEX_BYTES, fault);
    if (!error)
        return pull_shards(puller, fault);
    if (error != AURICLE_E_NOT_FOUND)
        return error;
    return pull_file(puller, "pytorch_model.bin", "pytorch_model.bin", NULL, MAX_WEIGHTS_BYTES,
                     fault);
}

static enum auricle_error pull_files(struct puller *puller, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    for (const struct service_model_file *f = puller->pull->model->files; f->name && !error; f++) {
        if (au_str_equal(f->name, SERVICE_WEIGHTS))
            error = pull_weights(puller, fault);
        else
            error = pull_file(puller, f->name, f->path, f->sha256,
                              f->sha256 ? MAX_WEIGHTS_BYTES : MAX_TEXT_BYTES, fault);
        if (error == AURICLE_E_NOT_FOUND && f->optional)
            error = AURICLE_OK;
    }
    return error;
}

/* ---- The folder ----------------------------------------------------------------------------- */

/* The family must be what the name promises: a mirror may have mixed things up. */
static enum auricle_error check_model(const struct puller *puller, struct au_fault *fault)
{
    struct service_facts facts;
    enum auricle_error error = service_inspect(puller->staging, &facts, fault);
    if (error)
        return error;
    const char *family = service_family_name(facts.family);
    if (au_str_equal(family, puller->pull->model->family))
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_FORMAT, "what came is a model of the family %s; expected %s",
                   family, puller->pull->model->family);
}

static void remove_in(const char *folder, const char *name)
{
    char *path = au_path_join(folder, name);
    if (path)
        unlink(path); /* where it is there */
    au_free(path);
}

/* Put the finished folder in its place; one that is there goes away only then. */
static enum auricle_error put_in_place(const struct puller *puller, const char *target,
                                       const char *present, struct au_fault *fault)
{
    char *old = NULL;
    enum auricle_error error = AURICLE_OK;
    remove_in(puller->staging, LOCK_FILE);
    if (present) {
        old = au_sprintf("%s.replaced-%ld", puller->staging, (long)getpid());
        if (!old)
            return no_memory(fault);
        if (rename(present, old) != 0)
            error = au_fail_errno(fault, errno, "cannot move %s away", present);
    }
    if (!error && rename(puller->staging, target) != 0)
        error = au_fail_errno(fault, errno, "cannot make %s", target);
    if (error && old && rename(old, present) != 0)
        error = au_fail_errno(fault, errno, "%s lies in %s now: it could not be moved back",
                              present, old);
    if (!error && old)
        error = service_uninstall(old, fault);
    au_free(old);
    return error;
}

static enum auricle_error lock(const struct puller *puller, int *fd, struct au_fault *fault)
{
    char *path = au_path_join(puller->staging, LOCK_FILE);
    if (!path)
        return no_memory(fault);
    enum auricle_error error = AURICLE_OK;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (*fd < 0)
        error = au_fail_errno(fault, errno, "cannot write %s", path);
    else if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
        error = au_fail(fault, AURICLE_E_STATE,
                        "another auricle is pulling this model into %s: wait for it",
                        puller->pull->folder);
    au_free(path);
    return error;
}

static enum auricle_error check_space(const struct service_pull *pull, struct au_fault *fault)
{
    uint64_t free_bytes = service_free_bytes(pull->folder);
    if (free_bytes >= pull->model->bytes)
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_NO_SPACE,
                   "%s takes about %.0f MB and %s has %.0f MB left: make room or name another "
                   "folder (--model-dir)",
                   pull->model->name, (double)pull->model->bytes / 1e6, pull->folder,
                   (double)free_bytes / 1e6);
}

/* Records of what an earlier call finished; ones that cannot be read are done without. */
static enum auricle_error begin(struct puller *puller, struct au_fault *fault)
{
    enum auricle_error error = au_dir_make(puller->staging, fault);
    if (error)
        return error;
    char *source = au_path_join(puller->staging, SERVICE_SUMS_FILE);
    if (!source)
        return no_memory(fault);
    if (!au_file_exists(source) || service_sums_find(puller->staging, &puller->sums, NULL))
        puller->sums = (struct service_sums){0};
    if (puller->sums.source)
        au_free(source);
    else
        puller->sums.source = source;
    return AURICLE_OK;
}

static enum auricle_error work(struct puller *puller, const char *target, const char *present,
                               struct au_fault *fault)
{
    int fd = -1;
    enum auricle_error error = au_dir_make(puller->staging, fault);
    if (!error)
        error = lock(puller, &fd, fault);
    if (!error)
        error = begin(puller, fault);
    if (!error)
        error = pull_files(puller, fault);
    if (!error) {
        error = check_model(puller, fault);
        if (error) /* whole, and not a model: nothing of it is worth keeping */
            (void)!service_remove_folder(puller->staging, NULL);
    }
    if (!error)
        error = put_in_place(puller, target, present, fault);
    if (fd >= 0)
        close(fd);
    return error;
}

enum auricle_error service_pull_run(const struct service_pull *pull, char **installed,
                                    bool *already, struct au_fault *fault)
{
    const char *name = pull->name ? pull->name : pull->model->name;
    struct puller puller = {.pull = pull};
    if (!service_model_name_ok(name))
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" cannot be the name of a model: letters, digits and ._- are accepted",
                       name);
    char *present = service_installed(pull->folder, name);
    *already = present && !pull->anew;
    if (*already) {
        *installed = present;
        return AURICLE_OK;
    }
    char *target = au_path_join(pull->folder, name);
    puller.staging = au_sprintf("%s/.pull-%s", pull->folder, name);
    enum auricle_error error = target && puller.staging ? check_space(pull, fault)
                                                        : no_memory(fault);
    if (!error)
        error = work(&puller, target, present, fault);
    service_sums_deinit(&puller.sums);
    au_free(puller.staging);
    au_free(present);
    if (error)
        au_free(target);
    else
        *installed = target;
    return error;
}
