/* Languages on the command line. See app.h. */
#include "text/language.h"

#include "app/app.h"
#include "base/nearest.h"

enum auricle_error app_language_parse(const char *value, const char *or_else, const char **code,
                                      struct au_fault *fault)
{
    int index = text_language_find(value);
    if (index >= 0) {
        *code = text_language_code(index);
        return AURICLE_OK;
    }
    struct au_nearest nearest = {value, NULL, 0};
    for (int i = 0; text_language_code(i); i++)
        au_nearest_offer(&nearest, text_language_name(i));
    const char *best = au_nearest_pick(&nearest);
    if (best)
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is no language that is known: did you mean %s (%s)?", value, best,
                       text_language_code(text_language_find(best)));
    return au_fail(fault, AURICLE_E_INVALID,
                   "\"%s\" is no language that is known: give a code such as en or a name such as "
                   "english (auricle help languages lists them)%s",
                   value, or_else);
}
