/* The languages of Whisper: codes, names and aliases, in the model's order. Static data. */
#ifndef TEXT_LANGUAGE_H
#define TEXT_LANGUAGE_H

#include <stdbool.h>

#define TEXT_N_LANGUAGES 100 /* large-v3; earlier models have the first 99 */

const char *text_language_code(int index); /* "en"; NULL out of range */
const char *text_language_name(int index); /* "english" */
/* Accepts code, name or alias in any case ("EN", "English", "castilian"), and of a tag its language
 * ("en-US", "zh_Hant_TW"); -1 when unknown. */
int text_language_find(const char *text);
bool text_language_has_spaces(const char *code); /* false: zh ja th lo my yue */

#endif
