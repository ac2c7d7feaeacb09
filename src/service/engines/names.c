/* Names of models as clients give them. See names.h. */
#include "service/engines/names.h"

#include "base/buf.h"
#include "base/nearest.h"
#include "base/str.h"
#include "service/registry/registry.h"

bool service_name_is_default(const char *name)
{
    static const char *const names[] = {"whisper-1",
                                        "gpt-4o-transcribe",
                                        "gpt-4o-mini-transcribe",
                                        "gpt-4o-mini-transcribe-2025-12-15",
                                        "gpt-4o-transcribe-diarize",
                                        "gpt-transcribe"};
    if (!name || !*name)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (au_str_equal(name, names[i]))
            return true;
    return false;
}

/* The registry's model a client may mean; NULL: none. */
static const struct service_model *known_model(const char *name)
{
    for (const struct service_model *m = service_models; m->name; m++)
        if (au_str_equal(m->repository, name))
            return m;
    return service_model_find(name);
}

static bool find(const struct service_local_list *list, const char *name, size_t *index)
{
    for (size_t i = 0; i < list->n; i++)
        if (!list->entries[i].vad && au_str_equal(list->entries[i].name, name)) {
            *index = i;
            return true;
        }
    return false;
}

static enum auricle_error unknown(const struct service_local_list *list, const char *name,
                                  struct au_fault *fault)
{
    struct au_buf installed;
    struct au_nearest nearest = {name, NULL, 0};
    au_buf_init(&installed, 300);
    for (size_t i = 0; i < list->n; i++) {
        if (list->entries[i].vad)
            continue;
        au_nearest_offer(&nearest, list->entries[i].name);
        au_buf_printf(&installed, "%s%s", installed.len ? ", " : "", list->entries[i].name);
    }
    const char *best = au_nearest_pick(&nearest);
    au_fail(fault, AURICLE_E_NOT_FOUND,
            "no model has the name \"%.80s\"%s%s%s; installed here: %s; whisper-1 stands for the "
            "default model",
            name, best ? ": did you mean " : "", best ? best : "", best ? "?" : "",
            installed.len ? installed.data : "none");
    au_buf_deinit(&installed);
    return AURICLE_E_NOT_FOUND;
}

enum auricle_error service_name_resolve(const struct service_local_list *list, const char *name,
                                        size_t *index, struct au_fault *fault)
{
    if (find(list, name, index))
        return AURICLE_OK;
    const struct service_model *model = known_model(name);
    if (model && find(list, model->name, index))
        return AURICLE_OK;
    if (model && service_model_is_run(model))
        return au_fail(fault, AURICLE_E_NOT_FOUND,
                       "the model %s is not installed on this server; who runs it can install it: "
                       "auricle models pull %s",
                       model->name, model->name);
    return unknown(list, name, fault);
}
