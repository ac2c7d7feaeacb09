/* Recorded digests. See sums.h. */
#include "service/registry/sums.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_SUMS_BYTES ((size_t)1 << 20)
#define HEX            64

void service_sums_deinit(struct service_sums *sums)
{
    for (size_t i = 0; i < sums->n; i++)
        au_free(sums->entries[i].name);
    au_free(sums->entries);
    au_free(sums->folder);
    au_free(sums->source);
    *sums = (struct service_sums){0};
}

static enum auricle_error add_n(struct service_sums *sums, const char *name, size_t n,
                                const char *sha256)
{
    size_t bytes;
    if (!au_mul_size(sums->n + 1, sizeof *sums->entries, &bytes))
        return AURICLE_E_NOMEM;
    struct service_sum *more = au_realloc(sums->entries, bytes);
    if (!more)
        return AURICLE_E_NOMEM;
    sums->entries = more;
    struct service_sum *sum = &more[sums->n];
    memcpy(sum->sha256, sha256, HEX);
    sum->sha256[HEX] = 0;
    sum->name = au_strndup(name, n);
    if (!sum->name)
        return AURICLE_E_NOMEM;
    sums->n++;
    return AURICLE_OK;
}

enum auricle_error service_sums_add(struct service_sums *sums, const char *name, const char *sha256)
{
    return add_n(sums, name, strlen(name), sha256);
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* "DIGEST  NAME": two spaces, or a space and a star. Names that lead elsewhere are not records. */
static bool parse_line(const char *line, size_t n, const char **name, size_t *name_n)
{
    char digest[SERVICE_SHA256_HEX];
    if (n < HEX + 3 || line[HEX] != ' ' || (line[HEX + 1] != ' ' && line[HEX + 1] != '*'))
        return false;
    memcpy(digest, line, HEX);
    digest[HEX] = 0;
    *name = line + HEX + 2;
    *name_n = n - HEX - 2;
    bool inside = (*name)[0] != '/' && !memmem(*name, *name_n, "..", 2);
    return service_is_hex(digest, HEX) && inside;
}

/* Take the records whose name is `only`, or begins with it and "/"; all where only is NULL. */
static enum auricle_error read_sums(const char *path, const char *only, struct service_sums *out,
                                    struct au_fault *fault)
{
    char *text;
    size_t bytes;
    enum auricle_error error = au_file_read(path, MAX_SUMS_BYTES, &text, &bytes, fault);
    if (error)
        return error;
    size_t n_only = only ? strlen(only) : 0;
    const char *line = text;
    for (int number = 1; *line && !error; number++) {
        size_t n = strcspn(line, "\n"), name_n = 0;
        const char *name = NULL;
        if (n > 0 && !parse_line(line, n, &name, &name_n))
            error = au_fail(fault, AURICLE_E_FORMAT,
                            "%s:%d: not a line of sha256sum (64 digits, two spaces, a name)", path,
                            number);
        bool wanted = !only || (name_n >= n_only && memcmp(name, only, n_only) == 0 &&
                                (name_n == n_only || name[n_only] == '/'));
        if (!error && n > 0 && wanted && add_n(out, name, name_n, line))
            error = au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", path);
        line += n + (line[n] == '\n');
    }
    au_free(text);
    return error;
}

/* A folder's last part without slashes behind it; new string. */
static char *trimmed(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return au_strndup(path, n);
}

static char *folder_of(const char *path)
{
    size_t n = (size_t)(au_path_name(path) - path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n ? au_strndup(path, n) : au_strdup(".");
}

/* Takes over source and folder. */
static enum auricle_error read_from(char *source, char *folder, const char *only, bool shared,
                                    struct service_sums *out, struct au_fault *fault)
{
    out->source = source;
    out->folder = folder;
    out->shared = shared;
    if (!source || !folder)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    return read_sums(source, only, out, fault);
}

static enum auricle_error find(const char *path, struct service_sums *out, struct au_fault *fault)
{
    bool is_folder = au_file_is_dir(path);
    char *own = is_folder ? au_path_join(path, SERVICE_SUMS_FILE) : au_sprintf("%s.sha256", path);
    char *parent = folder_of(path);
    if (!own || !parent) {
        au_free(own);
        au_free(parent);
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    }
    if (au_file_is_regular(own)) {
        char *folder = is_folder ? au_strdup(path) : au_strdup(parent);
        au_free(parent);
        return read_from(own, folder, NULL, false, out, fault);
    }
    au_free(own);
    char *shared = au_path_join(parent, SERVICE_SUMS_FILE);
    if (!shared) {
        au_free(parent);
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    }
    if (au_file_is_regular(shared))
        return read_from(shared, parent, au_path_name(path), true, out, fault);
    au_free(shared);
    au_free(parent);
    return AURICLE_OK;
}

enum auricle_error service_sums_find(const char *path, struct service_sums *out,
                                     struct au_fault *fault)
{
    struct service_sums found = {0};
    char *plain = trimmed(path);
    enum auricle_error error = plain ? find(plain, &found, fault)
                                     : au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    au_free(plain);
    if (error)
        service_sums_deinit(&found);
    else
        *out = found;
    return error;
}

/* ---- Writing and checking ------------------------------------------------------------------- */

enum auricle_error service_sums_write(const struct service_sums *sums, const char *path,
                                      struct au_fault *fault)
{
    struct au_buf text;
    au_buf_init(&text, MAX_SUMS_BYTES);
    for (size_t i = 0; i < sums->n; i++)
        au_buf_printf(&text, "%s  %s\n", sums->entries[i].sha256, sums->entries[i].name);
    enum auricle_error error = text.error;
    if (error)
        error = au_fail(fault, error, "%s: too many digests", path);
    else
        error = au_file_write_atomic(path, text.data, text.len, fault);
    au_buf_deinit(&text);
    return error;
}

enum auricle_error service_sums_check_one(const struct service_sums *sums,
                                          const struct service_sum *sum,
                                          service_digest_watch *watch, void *context,
                                          struct au_fault *fault)
{
    char sha256[SERVICE_SHA256_HEX];
    char *path = au_path_join(sums->folder, sum->name);
    if (!path)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = AURICLE_OK;
    if (!au_file_exists(path))
        error = au_fail(fault, AURICLE_E_NOT_FOUND, "%s is missing (expected sha256 %s)", path,
                        sum->sha256);
    if (!error)
        error = service_sha256_file(path, watch, context, sha256, fault);
    if (!error && !au_str_equal(sha256, sum->sha256))
        error = au_fail(fault, AURICLE_E_FORMAT,
                        "%s is damaged: its sha256 is %s, expected %s (recorded in %s)", path,
                        sha256, sum->sha256, sums->source);
    au_free(path);
    return error;
}

enum auricle_error service_sums_check(const struct service_sums *sums, service_digest_watch *watch,
                                      void *context, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; i < sums->n && !error; i++)
        error = service_sums_check_one(sums, &sums->entries[i], watch, context, fault);
    return error;
}
