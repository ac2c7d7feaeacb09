/* Engines for tests. See engine.h. */
#include "support/engine.h"

#include <stdlib.h>

#include "support/support.h"

struct auricle_engine *au_test_engine(char *model, char *vad, struct auricle_engine_options options)
{
    struct auricle_message message;
    struct auricle_engine *engine = NULL;
    options.size = sizeof options;
    options.model = model;
    options.vad_model = vad;
    options.cpu_level = getenv("AURICLE_CPU_LEVEL");
    if (auricle_engine_create(&options, &engine, &message))
        fail_msg("%s", message.text);
    au_free(model);
    au_free(vad);
    return engine;
}
