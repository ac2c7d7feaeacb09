/* Loading one model. See load.h. */
#include "service/engines/load.h"

#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "format/packed.h"
#include "service/registry/intact.h"

static void trim_cache(const char *folder, uint64_t most_bytes)
{
    uint64_t removed = folder ? format_packed_trim(folder, most_bytes) : 0;
    if (removed)
        au_log(AU_LOG_INFO, "%s: %.1f MB of packed weights removed, unused for longest", folder,
               (double)removed / 1e6);
}

/* A start that packs again each time is not silent about it. */
static void warn_of_cache(const struct auricle_engine *engine, const char *folder)
{
    struct auricle_model_info info;
    struct au_fault why = {0};
    auricle_engine_info(engine, &info);
    if (!info.cache_failed)
        return;
    if (format_packed_check(folder, &why) == AURICLE_OK)
        au_fail(&why, AURICLE_E_IO, "%s: writing failed; is the disk full?", folder);
    au_log(AU_LOG_WARN,
           "packed weights cannot be kept, and every start packs them anew: %s (--cache DIR or "
           "AURICLE_CACHE names another folder, off none)",
           why.text);
}

enum auricle_error service_engine_load(const struct auricle_engine_options *options,
                                       uint64_t cache_bytes, struct auricle_engine **out,
                                       struct au_fault *fault)
{
    struct auricle_message message = {""};
    const char *model = options->model, *vad = options->vad_model;
    enum auricle_error error = service_intact_check(model, options->cache_folder, fault);
    if (!error && vad)
        error = service_intact_check(vad, options->cache_folder, fault);
    if (error)
        return error;
    error = auricle_engine_create(options, out, &message);
    if (!error) {
        warn_of_cache(*out, options->cache_folder);
        trim_cache(options->cache_folder, cache_bytes ? cache_bytes : SERVICE_CACHE_BYTES);
        return AURICLE_OK;
    }
    if (error != AURICLE_E_NOMEM &&
        (service_intact_is_damaged(model, fault) || (vad && service_intact_is_damaged(vad, fault))))
        return error;
    bool named = strstr(message.text, model) || (vad && strstr(message.text, vad));
    return au_fail(fault, error, "%s%s%s", named ? "" : model, named ? "" : ": ", message.text);
}
