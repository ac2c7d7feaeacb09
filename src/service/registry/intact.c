/* Models against their records. See intact.h.
 *
 * A stamp is a file in the cache folder, named by a hash of the model's path and holding a hash of
 * what is on record and of the files' sizes and times. It is no protection against people who write
 * to that folder: packed weights lie there too.                                                  */
#include "service/registry/intact.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/registry.h"
#include "service/registry/sums.h"

#define SMALL_BYTES 65536
#define STAMP_BYTES 17 /* 16 digits and a line feed */
#define HASH_BEGIN  0xCBF29CE484222325U

/* ---- Stamps ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * 0x100000001B3U; /* FNV-1a */
    return hash;
}

/* A new string; NULL: no memory, or no folder. */
static char *stamp_path(const char *cache_folder, const char *model)
{
    char resolved[PATH_MAX];
    if (!cache_folder)
        return NULL;
    const char *place = realpath(model, resolved) ? resolved : model;
    return au_sprintf("%s/%016llx" SERVICE_STAMP_ENDING, cache_folder,
                      (unsigned long long)mix(HASH_BEGIN, place, strlen(place)));
}

static bool is_stamped(const char *path, const char *stamp)
{
    char *text = NULL;
    size_t bytes = 0;
    bool same = path && au_file_read(path, STAMP_BYTES, &text, &bytes, NULL) == AURICLE_OK &&
                au_str_equal(text, stamp);
    au_free(text);
    return same;
}

/* A folder that cannot be written is done without. */
static void put_stamp(const char *cache_folder, const char *path, const char *stamp)
{
    if (path && au_dir_make(cache_folder, NULL) == AURICLE_OK &&
        au_file_write_atomic(path, stamp, strlen(stamp), NULL) != AURICLE_OK)
        au_log(AU_LOG_DEBUG, "%s cannot be written: the model is read in full each time", path);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Size and time of a recorded file, zeros where it is not there. Errors: NOMEM. */
static enum auricle_error look_at(const struct service_sums *sums, const struct service_sum *sum,
                                  struct stat *status, struct au_fault *fault)
{
    char *path = au_path_join(sums->folder, sum->name);
    if (!path)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    if (stat(path, status) != 0)
        *status = (struct stat){.st_size = 0};
    au_free(path);
    return AURICLE_OK;
}

/* Check the files that are large, or those that are not, which includes missing ones; their state
 * goes into *state.                                                                              */
static enum auricle_error check_files(const struct service_sums *sums, bool large, uint64_t *state,
                                      struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; i < sums->n && !error; i++) {
        const struct service_sum *sum = &sums->entries[i];
        struct stat status;
        error = look_at(sums, sum, &status, fault);
        if (!error && (status.st_size > SMALL_BYTES) == large)
            error = service_sums_check_one(sums, sum, NULL, NULL, fault);
        if (error)
            continue;
        *state = mix(*state, sum->name, strlen(sum->name) + 1);
        *state = mix(*state, sum->sha256, sizeof sum->sha256);
        *state = mix(*state, &status.st_size, sizeof status.st_size);
        *state = mix(*state, &status.st_mtim.tv_sec, sizeof status.st_mtim.tv_sec);
        *state = mix(*state, &status.st_mtim.tv_nsec, sizeof status.st_mtim.tv_nsec);
    }
    return error;
}

static enum auricle_error check(const struct service_sums *sums, const char *model,
                                const char *cache_folder, struct au_fault *fault)
{
    uint64_t state = HASH_BEGIN, again = HASH_BEGIN;
    int64_t began_ns = au_now_ns();
    enum auricle_error error = check_files(sums, false, &state, fault);
    if (error)
        return error;
    char *path = stamp_path(cache_folder, model);
    char *stamp = au_sprintf("%016llx\n", (unsigned long long)state);
    if (!stamp)
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    if (!error && !is_stamped(path, stamp)) {
        error = check_files(sums, true, &again, fault);
        if (!error)
            au_log(AU_LOG_INFO, "%s: %zu file%s as recorded, read in %.0f ms", model, sums->n,
                   sums->n == 1 ? " is" : "s are", (double)(au_now_ns() - began_ns) / 1e6);
        if (!error && again == state) /* nobody wrote meanwhile */
            put_stamp(cache_folder, path, stamp);
    }
    au_free(path);
    au_free(stamp);
    return error;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* What was found, and what to do: about damage, and about a change that is meant. */
static enum auricle_error tell(const char *model, const struct service_sums *sums,
                               const struct au_fault *found, struct au_fault *fault)
{
    const char *name = au_path_name(model);
    bool known = service_model_find(name) != NULL;

    if (sums->shared)
        return au_fail(fault, found->code,
                       "%s; bring it back, or where the change is meant, record it: "
                       "tools/model_sums.py . --write (in the source tree)",
                       found->text);
    return au_fail(fault, found->code,
                   "%s; %s%s, or where the change is meant, put its sha256 into %s", found->text,
                   known ? "load it anew: auricle models pull --force " : "install that model anew",
                   known ? name : "", sums->source ? sums->source : "its record");
}

enum auricle_error service_intact_check(const char *path, const char *cache_folder,
                                        struct au_fault *fault)
{
    struct service_sums sums = {0};
    struct au_fault found = {0};
    enum auricle_error error = service_sums_find(path, &sums, &found);
    if (error && error != AURICLE_E_NOMEM) {
        au_log(AU_LOG_WARN, "%s; %s is not checked", found.text, path);
        return AURICLE_OK;
    }
    if (!error && sums.n)
        error = check(&sums, path, cache_folder, &found);
    if (error == AURICLE_E_FORMAT || error == AURICLE_E_NOT_FOUND)
        error = tell(path, &sums, &found, fault);
    else if (error)
        error = au_fail(fault, error, "%s", found.text);
    service_sums_deinit(&sums);
    return error;
}

bool service_intact_is_damaged(const char *path, struct au_fault *fault)
{
    struct service_sums sums = {0};
    struct au_fault found = {0};
    enum auricle_error error = service_sums_find(path, &sums, &found);
    if (!error)
        error = service_sums_check(&sums, NULL, NULL, &found);
    bool damaged = error == AURICLE_E_FORMAT || error == AURICLE_E_NOT_FOUND;
    if (damaged)
        (void)tell(path, &sums, &found, fault);
    service_sums_deinit(&sums);
    return damaged;
}

bool service_intact_is_missing(const char *path, struct au_fault *fault)
{
    struct service_sums sums = {0};
    struct au_fault found = {0};
    bool missing = service_sums_find(path, &sums, NULL) == AURICLE_OK && sums.n &&
                   service_sums_check_one(&sums, &sums.entries[0], NULL, NULL, &found) ==
                       AURICLE_E_NOT_FOUND;
    if (missing)
        (void)tell(path, &sums, &found, fault);
    service_sums_deinit(&sums);
    return missing;
}
