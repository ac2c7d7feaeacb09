/* Loading one model. See load.h. */
#include "service/engines/load.h"

#include <stdbool.h>
#include <string.h>

#include "service/registry/local.h"

enum auricle_error service_engine_load(const struct auricle_engine_options *options,
                                       struct auricle_engine **out, struct au_fault *fault)
{
    struct auricle_message message = {""};
    const char *model = options->model, *vad = options->vad_model;
    enum auricle_error error = auricle_engine_create(options, out, &message);
    if (!error)
        return AURICLE_OK;
    if (error != AURICLE_E_NOMEM &&
        (service_local_is_damaged(model, fault) || (vad && service_local_is_damaged(vad, fault))))
        return error;
    bool named = strstr(message.text, model) || (vad && strstr(message.text, vad));
    return au_fail(fault, error, "%s%s%s", named ? "" : model, named ? "" : ": ", message.text);
}
