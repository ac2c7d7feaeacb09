/* The loaded models: which there are, which are idle, and which must go. See pool.h. */
#include "base/clock.h"
#include "base/str.h"
#include "service/engines/names.h"
#include "service/engines/pool.h"
#include "service/metrics/metrics.h"

struct service_engine *service_shelf_find(const struct service_engines *pool, const char *path)
{
    struct service_engine *e = pool->loaded;
    while (e && !au_str_equal(e->path, path))
        e = e->next;
    return e;
}

struct service_engine *service_shelf_find_named(const struct service_engines *pool,
                                                const char *name)
{
    if (service_name_is_default(name))
        name = pool->default_name;
    struct service_engine *e = pool->loaded;
    while (e && !au_str_equal(e->name, name))
        e = e->next;
    return e;
}

void service_shelf_take(struct service_engine *e)
{
    e->in_use++;
    e->last_used_ns = au_now_ns();
}

static bool is_idle(const struct service_engine *e)
{
    return e->in_use == 0 && !e->pinned;
}

static int64_t ttl_ns(const struct service_engines *pool)
{
    double seconds = pool->config.ttl_seconds;
    return seconds < 0 || seconds > 1e9 ? INT64_MAX : (int64_t)(seconds * 1e9);
}

struct service_tally service_shelf_tally(const struct service_engines *pool)
{
    struct service_tally t = {0, 0, 0, 0};
    for (const struct service_engine *e = pool->loaded; e; e = e->next) {
        t.n++;
        t.n_busy += !is_idle(e);
        t.n_pinned += e->pinned;
        t.bytes += e->bytes;
    }
    return t;
}

void service_shelf_tell(const struct service_engines *pool)
{
    if (!pool->config.metrics)
        return;
    struct service_tally t = service_shelf_tally(pool);
    service_gauge_set(pool->config.metrics, SERVICE_GAUGE_MODELS, t.n);
    service_gauge_set(pool->config.metrics, SERVICE_GAUGE_MODEL_BYTES, (int64_t)t.bytes);
}

/* Take out of the list the idle model unused for longest, but not `spared`; NULL: none is idle. */
static struct service_engine *unlink_oldest(struct service_engines *pool,
                                            const struct service_engine *spared)
{
    struct service_engine **oldest = NULL;
    for (struct service_engine **at = &pool->loaded; *at; at = &(*at)->next)
        if (is_idle(*at) && *at != spared &&
            (!oldest || (*at)->last_used_ns < (*oldest)->last_used_ns))
            oldest = at;
    if (!oldest)
        return NULL;
    struct service_engine *e = *oldest;
    *oldest = e->next;
    return e;
}

struct service_engine *service_shelf_unlink_surplus(struct service_engines *pool,
                                                    const struct service_engine *spared,
                                                    uint64_t coming)
{
    struct service_engine *gone = NULL, *e;
    for (;;) {
        struct service_tally t = service_shelf_tally(pool);
        bool surplus = t.n > pool->config.max_loaded ||
                       (pool->config.max_bytes && t.bytes + coming > pool->config.max_bytes);
        if (!surplus || !(e = unlink_oldest(pool, spared)))
            break;
        e->next = gone;
        gone = e;
    }
    int64_t ttl = ttl_ns(pool), now = au_now_ns();
    for (struct service_engine **at = &pool->loaded; *at;) {
        e = *at;
        if (is_idle(e) && e != spared && now - e->last_used_ns >= ttl) {
            *at = e->next;
            e->next = gone;
            gone = e;
        } else {
            at = &e->next;
        }
    }
    service_shelf_tell(pool);
    return gone;
}

int64_t service_shelf_next_expiry_ns(const struct service_engines *pool)
{
    int64_t ttl = ttl_ns(pool), first = INT64_MAX;
    for (const struct service_engine *e = pool->loaded; e && ttl != INT64_MAX; e = e->next)
        if (is_idle(e) && e->last_used_ns + ttl < first)
            first = e->last_used_ns + ttl;
    return first;
}
