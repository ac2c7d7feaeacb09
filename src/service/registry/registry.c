/* The table of models and the addresses of their files. See registry.h. */
#include "service/registry/registry.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define MAX_NAME 64

const struct service_model *service_model_find(const char *name)
{
    for (const struct service_model_alias *a = service_model_aliases; a->alias; a++)
        if (au_str_equal(a->alias, name))
            name = a->name;
    for (const struct service_model *m = service_models; m->name; m++)
        if (au_str_equal(m->name, name))
            return m;
    return NULL;
}

bool service_model_is_run(const struct service_model *model)
{
    return au_str_equal(model->family, "whisper") || au_str_equal(model->family, "silero");
}

bool service_model_name_ok(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > MAX_NAME || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

/* The files of any Whisper repository: those of a model that is known to be one. */
bool service_model_from_repository(const char *repository, struct service_model *out)
{
    const struct service_model *like = service_model_find("tiny");
    const char *slash = strchr(repository, '/');
    char owner[MAX_NAME + 1];
    if (!like || !slash || (size_t)(slash - repository) >= sizeof owner ||
        !service_model_name_ok(slash + 1))
        return false;
    memcpy(owner, repository, (size_t)(slash - repository));
    owner[slash - repository] = 0;
    if (!service_model_name_ok(owner))
        return false;
    *out = (struct service_model){
        .name = slash + 1,
        .family = like->family,
        .host = SERVICE_HOST_HUB,
        .repository = repository,
        .revision = "main",
        .files = like->files,
        .licence = "see its page",
        .languages = "see its page",
    };
    return true;
}

/* A mirror's address without the slashes it may end with. */
static int base_length(const char *base)
{
    size_t n = strlen(base);
    while (n > 0 && base[n - 1] == '/')
        n--;
    return (int)n;
}

char *service_model_url(const struct service_model *model, const char *base, const char *path)
{
    if (!base && model->host == SERVICE_HOST_GITHUB)
        return au_sprintf("%s/%s/%s/%s", SERVICE_GITHUB_URL, model->repository, model->revision,
                          path);
    if (!base)
        base = SERVICE_HUB_URL;
    return au_sprintf("%.*s/%s/resolve/%s/%s", base_length(base), base, model->repository,
                      model->revision, path);
}

char *service_model_page(const struct service_model *model, const char *base)
{
    if (!base && model->host == SERVICE_HOST_GITHUB)
        return au_sprintf("https://github.com/%s/tree/%s", model->repository, model->revision);
    if (!base)
        base = SERVICE_HUB_URL;
    return au_sprintf("%.*s/%s/tree/%s", base_length(base), base, model->repository,
                      model->revision);
}
