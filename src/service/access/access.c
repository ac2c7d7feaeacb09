/* API keys and their limits. See access.h.
 *
 * One lock guards the table and the counts of each key. A grant is the key's own record, counted: a
 * key that was taken out of the file lives until the last request that came with it is over. There
 * is a record per key and none per client, so nothing grows with what clients do.                */
#include "service/access/access.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/registry/digest.h"

#define MAX_FILE_BYTES (1u << 20)
#define MAX_NAME       64
#define SPACE          " \t\r\n"

/* A key; also the grant of everybody who came with it. */
struct service_grant {
    char name[MAX_NAME];
    uint8_t digest[SERVICE_SHA256_BYTES];
    int per_minute, at_once; /* 0: no limit */
    double tokens;           /* requests that may come now */
    int64_t filled_ns;       /* when tokens was right */
    int n_inside;
    bool listed;
};

struct table {
    struct service_grant **keys;
    size_t n, capacity;
};

struct service_access {
    pthread_mutex_t lock;
    char *file, *text;
    int64_t (*now_ns)(void);
    struct table table;
};

/* ---- Tables --------------------------------------------------------------------------------- */

static void drop_table(struct table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        table->keys[i]->listed = false;
        if (table->keys[i]->n_inside == 0)
            au_free(table->keys[i]);
    }
    au_free(table->keys);
    *table = (struct table){NULL, 0, 0};
}

static enum auricle_error append(struct table *table, const struct service_grant *key,
                                 struct au_fault *fault)
{
    if (table->n == SERVICE_MAX_KEYS)
        return au_fail(fault, AURICLE_E_LIMIT, "more than %d API keys", SERVICE_MAX_KEYS);
    void *keys = au_grow(table->keys, table->n, &table->capacity, sizeof *table->keys);
    if (keys)
        table->keys = keys;
    struct service_grant *copy = keys ? au_alloc(sizeof *copy) : NULL;
    if (!copy)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the API keys");
    *copy = *key;
    table->keys[table->n++] = copy;
    return AURICLE_OK;
}

/* The key that was shown, looked for in all of the table whatever is found; NULL: none. */
static struct service_grant *find(const struct table *table,
                                  const uint8_t digest[SERVICE_SHA256_BYTES])
{
    size_t found = 0; /* 1 + index */
    for (size_t i = 0; i < table->n; i++) {
        uint32_t difference = 0;
        for (size_t b = 0; b < SERVICE_SHA256_BYTES; b++)
            difference |= (uint32_t)(table->keys[i]->digest[b] ^ digest[b]);
        size_t equal = (size_t)0 - (size_t)((difference - 1) >> 31); /* all ones where they are */
        found = (found & ~equal) | ((i + 1) & equal);
    }
    return found ? table->keys[found - 1] : NULL;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static bool read_limit(const char *text, int *out)
{
    int64_t value;
    if (!au_parse_i64(text, &value) || value < 0 || value > 1000000000)
        return false;
    *out = (int)value;
    return true;
}

/* entry: without white space around it; taken apart in place. It is a secret, and never part of a
 * sentence. */
static enum auricle_error read_entry(char *entry, struct table *table, const char *where, int line,
                                     struct au_fault *fault)
{
    struct service_grant key = {.listed = true};
    char *rest = entry, *first = strsep(&rest, ":");
    char *secret = rest ? strsep(&rest, ":") : first;
    char *rate = rest ? strsep(&rest, ":") : NULL, *at_once = rest ? strsep(&rest, ":") : NULL;
    if (rest || (rate && !read_limit(rate, &key.per_minute)) ||
        (at_once && !read_limit(at_once, &key.at_once)))
        return au_fail(fault, AURICLE_E_INVALID,
                       "%s:%d: an API key is written NAME:KEY, NAME:KEY:REQUESTS_PER_MINUTE or "
                       "NAME:KEY:REQUESTS_PER_MINUTE:AT_ONCE",
                       where, line);
    if (strlen(secret) < SERVICE_MIN_KEY_BYTES)
        return au_fail(
            fault, AURICLE_E_INVALID,
            "%s:%d: the API key is shorter than %d characters (openssl rand -hex 24 makes "
            "a good one)",
            where, line, SERVICE_MIN_KEY_BYTES);
    au_str_copy(key.name, sizeof key.name, secret == first ? "key" : first);
    service_sha256(secret, strlen(secret), key.digest);
    key.tokens = key.per_minute;
    if (find(table, key.digest))
        return au_fail(fault, AURICLE_E_INVALID, "%s:%d: the same API key stands there twice",
                       where, line);
    return append(table, &key, fault);
}

/* Lines of a file, or entries separated by any white space. text is written into. */
static enum auricle_error read_text(char *text, const char *separators, struct table *table,
                                    const char *where, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    char *rest = text, *entry;
    for (int line = 1; !error && (entry = strsep(&rest, separators)); line++) {
        entry += strspn(entry, SPACE);
        size_t n = strlen(entry);
        while (n > 0 && strchr(SPACE, entry[n - 1]))
            entry[--n] = 0;
        if (n > 0 && entry[0] != '#')
            error = read_entry(entry, table, where, line, fault);
    }
    return error;
}

static enum auricle_error read_file(const char *path, struct table *table, struct au_fault *fault)
{
    struct stat status;
    char *text;
    size_t bytes;
    enum auricle_error error = au_file_read(path, MAX_FILE_BYTES, &text, &bytes, fault);
    if (error)
        return error;
    if (stat(path, &status) == 0 && (status.st_mode & 0004))
        au_log(AU_LOG_WARN, "%s: everybody on this machine can read the API keys (chmod o-r)",
               path);
    if (memchr(text, 0, bytes))
        error = au_fail(fault, AURICLE_E_INVALID, "%s: holds zero bytes; it should be text", path);
    else
        error = read_text(text, "\n", table, path, fault);
    explicit_bzero(text, bytes);
    au_free(text);
    if (!error && table->n == 0)
        error = au_fail(fault, AURICLE_E_INVALID, "%s: holds no API key", path);
    return error;
}

static enum auricle_error read_keys(const struct service_access *access, struct table *table,
                                    struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (access->file)
        error = read_file(access->file, table, fault);
    if (!error && access->text) {
        char *copy = au_strdup(access->text);
        error = copy ? read_text(copy, SPACE, table, "AURICLE_API_KEYS", fault)
                     : au_fail(fault, AURICLE_E_NOMEM, "out of memory for the API keys");
        if (copy)
            explicit_bzero(copy, strlen(access->text));
        au_free(copy);
    }
    return error;
}

/* ---- Making --------------------------------------------------------------------------------- */

enum auricle_error service_access_create(const struct service_access_config *config,
                                         struct service_access **out, struct au_fault *fault)
{
    struct service_access *access = au_calloc(1, sizeof *access);
    if (!access)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the API keys");
    pthread_mutex_init(&access->lock, NULL);
    access->now_ns = config->now_ns ? config->now_ns : au_now_ns;
    access->file = config->file ? au_strdup(config->file) : NULL;
    access->text = config->keys ? au_strdup(config->keys) : NULL;
    enum auricle_error error = AURICLE_OK;
    if ((config->file && !access->file) || (config->keys && !access->text))
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory for the API keys");
    if (!error)
        error = service_access_reload(access, fault);
    if (error) {
        service_access_destroy(access);
        return error;
    }
    *out = access;
    return AURICLE_OK;
}

void service_access_destroy(struct service_access *access)
{
    if (!access)
        return;
    drop_table(&access->table);
    pthread_mutex_destroy(&access->lock);
    if (access->text)
        explicit_bzero(access->text, strlen(access->text));
    au_free(access->text);
    au_free(access->file);
    au_free(access);
}

enum auricle_error service_access_reload(struct service_access *access, struct au_fault *fault)
{
    struct table fresh = {NULL, 0, 0};
    enum auricle_error error = read_keys(access, &fresh, fault);
    if (error) {
        drop_table(&fresh);
        return error;
    }
    pthread_mutex_lock(&access->lock);
    for (size_t i = 0; i < fresh.n; i++) {
        struct service_grant *stays = find(&access->table, fresh.keys[i]->digest);
        if (!stays)
            continue;
        if (stays->per_minute != fresh.keys[i]->per_minute)
            stays->tokens = fresh.keys[i]->per_minute;
        stays->per_minute = fresh.keys[i]->per_minute;
        stays->at_once = fresh.keys[i]->at_once;
        struct service_grant *replaced = fresh.keys[i]; /* the two change places */
        for (size_t k = 0; k < access->table.n; k++)
            if (access->table.keys[k] == stays)
                access->table.keys[k] = replaced;
        fresh.keys[i] = stays;
    }
    struct table old = access->table;
    access->table = fresh;
    drop_table(&old);
    pthread_mutex_unlock(&access->lock);
    return AURICLE_OK;
}

size_t service_access_count(struct service_access *access)
{
    pthread_mutex_lock(&access->lock);
    size_t n = access->table.n;
    pthread_mutex_unlock(&access->lock);
    return n;
}

/* ---- Coming and going ----------------------------------------------------------------------- */

/* Whether the key may come in once more now. A bucket of per_minute tokens, filled evenly. */
static enum auricle_error enter(struct service_grant *key, int64_t now_ns,
                                double *retry_after_seconds, struct au_fault *fault)
{
    if (key->at_once && key->n_inside >= key->at_once) {
        *retry_after_seconds = 1;
        return au_fail(fault, AURICLE_E_LIMIT,
                       "this API key has %d requests under way, and may have "
                       "no more than %d",
                       key->n_inside, key->at_once);
    }
    if (key->per_minute) {
        double per_second = key->per_minute / 60.0;
        double seconds = key->filled_ns ? (double)(now_ns - key->filled_ns) * 1e-9 : 0;
        key->tokens += seconds * per_second;
        if (key->tokens > key->per_minute)
            key->tokens = key->per_minute;
        key->filled_ns = now_ns;
        if (key->tokens < 1) {
            *retry_after_seconds = (1 - key->tokens) / per_second;
            return au_fail(fault, AURICLE_E_LIMIT,
                           "this API key may make %d requests a minute: come again in %.1f s",
                           key->per_minute, *retry_after_seconds);
        }
        key->tokens -= 1;
    }
    key->n_inside++;
    return AURICLE_OK;
}

enum auricle_error service_access_check(struct service_access *access, const char *key,
                                        struct service_grant **grant, double *retry_after_seconds,
                                        struct au_fault *fault)
{
    uint8_t digest[SERVICE_SHA256_BYTES];
    struct service_grant *found = NULL;
    enum auricle_error error = AURICLE_OK;
    int64_t now_ns = access->now_ns();
    service_sha256(key ? key : "", key ? strlen(key) : 0, digest);
    pthread_mutex_lock(&access->lock);
    if (access->table.n) {
        found = find(&access->table, digest);
        if (found)
            error = enter(found, now_ns, retry_after_seconds, fault);
        else
            error = au_fail(fault, AURICLE_E_INVALID,
                            key && *key ? "the API key is not one of this server's"
                                        : "no API key was sent: this server wants one, in a header "
                                          "\"Authorization: Bearer KEY\"");
    }
    pthread_mutex_unlock(&access->lock);
    if (!error)
        *grant = found;
    return error;
}

const char *service_access_name(const struct service_grant *grant)
{
    return grant->name;
}

void service_access_leave(struct service_access *access, struct service_grant *grant)
{
    if (!grant)
        return;
    pthread_mutex_lock(&access->lock);
    grant->n_inside--;
    if (!grant->listed && grant->n_inside == 0)
        au_free(grant);
    pthread_mutex_unlock(&access->lock);
}
