/* The folder of packed files as a whole: how much lies there, and keeping it within bounds. See
 * packed.h. Whoever maps or writes a file holds a shared lock on it, so an exclusive one tells that
 * nobody does.                                                                                   */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/packed.h"

#define STALE_SECONDS 3600 /* an unfinished file of that age was left by a process that died */

struct entry {
    char *path;
    uint64_t bytes;
    struct timespec used;
    bool unfinished;
};

struct listing {
    struct entry *entries;
    size_t n, capacity;
    uint64_t bytes; /* of the finished ones */
    size_t n_finished;
};

static void deinit(struct listing *list)
{
    for (size_t i = 0; i < list->n; i++)
        au_free(list->entries[i].path);
    au_free(list->entries);
}

/* Takes the path. */
static void add(struct listing *list, char *path, bool unfinished)
{
    struct stat info;
    struct entry *grown = au_grow(list->entries, list->n, &list->capacity, sizeof *grown);
    if (grown)
        list->entries = grown;
    if (!grown || !path || lstat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        au_free(path);
        return;
    }
    list->entries[list->n++] = (struct entry){path, (uint64_t)info.st_size, info.st_mtim,
                                              unfinished};
    if (!unfinished) {
        list->bytes += (uint64_t)info.st_size;
        list->n_finished++;
    }
}

/* What cannot be listed is left out: a cache is not worth a failure. */
static void look(const char *folder, struct listing *list)
{
    DIR *dir = opendir(folder);
    memset(list, 0, sizeof *list);
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        bool unfinished = strstr(entry->d_name, FORMAT_PACKED_ENDING ".tmp-") != NULL;
        if (unfinished || au_str_ends(entry->d_name, FORMAT_PACKED_ENDING))
            add(list, au_sprintf("%s/%s", folder, entry->d_name), unfinished);
    }
    closedir(dir);
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used;
    const struct timespec *y = &((const struct entry *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* False when somebody uses it, or it cannot be removed. */
static bool remove_unused(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool removed = flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
    close(fd);
    return removed;
}

struct format_packed_usage format_packed_usage(const char *folder)
{
    struct listing list;
    look(folder, &list);
    struct format_packed_usage usage = {list.n_finished, list.bytes};
    deinit(&list);
    return usage;
}

/* The nearest folder above that is there decides about one that is not. */
enum auricle_error format_packed_check(const char *folder, struct au_fault *fault)
{
    char *there = au_strdup(folder);
    if (!there)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    while (!au_file_exists(there) && strrchr(there, '/') > there)
        *strrchr(there, '/') = 0;
    enum auricle_error error = AURICLE_OK;
    const char *place = au_file_exists(there) ? there : there[0] == '/' ? "/" : ".";
    if (!au_file_is_dir(place))
        error = au_fail(fault, AURICLE_E_IO, "%s: is no folder", place);
    else if (access(place, W_OK | X_OK) != 0)
        error = au_fail_errno(fault, errno, "%s: nothing can be made in this folder", place);
    au_free(there);
    return error;
}

uint64_t format_packed_trim(const char *folder, uint64_t most_bytes)
{
    struct listing list;
    uint64_t removed = 0;
    time_t now = time(NULL);
    look(folder, &list);
    if (list.n)
        qsort(list.entries, list.n, sizeof *list.entries, by_use);
    for (size_t i = 0; i < list.n; i++) {
        const struct entry *entry = &list.entries[i];
        if (entry->unfinished && now - entry->used.tv_sec > STALE_SECONDS)
            (void)remove_unused(entry->path);
        if (!entry->unfinished && list.bytes - removed > most_bytes && remove_unused(entry->path))
            removed += entry->bytes;
    }
    deinit(&list);
    return removed;
}
