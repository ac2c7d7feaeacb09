/* What is loaded and what is installed, for those who ask. See engines.h. */
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "service/engines/pool.h"

static void describe(const struct service_engines *pool, const struct service_engine *e,
                     struct service_engine_entry *out)
{
    memset(out, 0, sizeof *out);
    au_str_copy(out->name, sizeof out->name, e->name);
    out->is_default = au_str_equal(e->name, pool->default_name);
    out->loaded = true;
    out->pinned = e->pinned;
    out->in_use = e->in_use;
    out->bytes = e->bytes;
}

size_t service_engines_loaded(struct service_engines *pool, struct service_engine_entry *out,
                              size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&pool->lock);
    for (const struct service_engine *e = pool->loaded; e && n < max; e = e->next)
        describe(pool, e, &out[n++]);
    pthread_mutex_unlock(&pool->lock);
    return n;
}

/* A model on disk, loaded or not. */
static void describe_installed(const struct service_engines *pool, const char *name,
                               const char *path, uint64_t bytes, struct service_engine_entry *out)
{
    struct stat status;
    const struct service_engine *e = service_shelf_find(pool, path);
    memset(out, 0, sizeof *out);
    if (e)
        describe(pool, e, out);
    else
        out->bytes = bytes;
    au_str_copy(out->name, sizeof out->name, name);
    out->is_default = au_str_equal(name, pool->default_name);
    if (stat(path, &status) == 0)
        out->installed_unix_s = (int64_t)status.st_mtime;
}

static bool listed(const struct service_engine_entry *entries, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (au_str_equal(entries[i].name, name))
            return true;
    return false;
}

enum auricle_error service_engines_list(struct service_engines *pool,
                                        struct service_engine_entry **out, size_t *n)
{
    struct service_local_list list = {0};
    enum auricle_error error = service_local_list_init(&pool->folders, &list);
    if (error)
        return error;
    struct service_engine_entry *entries = au_alloc_array(list.n + 1, sizeof *entries);
    if (!entries) {
        service_local_list_deinit(&list);
        return AURICLE_E_NOMEM;
    }
    size_t count = 0;
    pthread_mutex_lock(&pool->lock);
    describe_installed(pool, pool->default_name, pool->default_path, 0, &entries[count++]);
    for (size_t i = 0; i < list.n; i++) {
        const struct service_local_entry *e = &list.entries[i];
        if (au_str_equal(e->path, pool->default_path) && entries[0].bytes == 0)
            entries[0].bytes = e->bytes;
        if (!e->vad && !listed(entries, count, e->name))
            describe_installed(pool, e->name, e->path, e->bytes, &entries[count++]);
    }
    pthread_mutex_unlock(&pool->lock);
    service_local_list_deinit(&list);
    *out = entries;
    *n = count;
    return AURICLE_OK;
}
