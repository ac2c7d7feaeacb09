/* Which installed model a client means. Names alone: nothing a client says is ever a path.
 * Any thread; nothing is kept.                                                                   */
#ifndef SERVICE_ENGINES_NAMES_H
#define SERVICE_ENGINES_NAMES_H

#include <stdbool.h>

#include "base/error.h"
#include "service/registry/local.h"

/* Whether the name stands for the default model: NULL, empty, or OpenAI's name of one. */
bool service_name_is_default(const char *name);

/* Index into the installed models (service_local_list) of that name, of its second name ("large"),
 * or of the repository it comes from ("openai/whisper-small"). Errors: NOT_FOUND, with what is
 * installed and what to do, no folder named.                                                     */
AURICLE_MUST_CHECK enum auricle_error service_name_resolve(const struct service_local_list *list,
                                                           const char *name, size_t *index,
                                                           struct au_fault *fault);

#endif
