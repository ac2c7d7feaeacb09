/* The table of languages and the lookups in it.
 *
 * The order is the order of the language tokens in every Whisper vocabulary, so an index here plus
 * the id of the first language token is a token id. Names are the ones people type at the command
 * line; aliases are other names in common use. Constant data, any thread.                       */
#include "text/language.h"

#include <stddef.h>

#include <string.h>

#include "base/str.h"

struct language {
    const char *code;
    const char *name;
};

static const struct language LANGUAGES[TEXT_N_LANGUAGES] = {
    {"en", "english"},        {"zh", "chinese"},     {"de", "german"},        {"es", "spanish"},
    {"ru", "russian"},        {"ko", "korean"},      {"fr", "french"},        {"ja", "japanese"},
    {"pt", "portuguese"},     {"tr", "turkish"},     {"pl", "polish"},        {"ca", "catalan"},
    {"nl", "dutch"},          {"ar", "arabic"},      {"sv", "swedish"},       {"it", "italian"},
    {"id", "indonesian"},     {"hi", "hindi"},       {"fi", "finnish"},       {"vi", "vietnamese"},
    {"he", "hebrew"},         {"uk", "ukrainian"},   {"el", "greek"},         {"ms", "malay"},
    {"cs", "czech"},          {"ro", "romanian"},    {"da", "danish"},        {"hu", "hungarian"},
    {"ta", "tamil"},          {"no", "norwegian"},   {"th", "thai"},          {"ur", "urdu"},
    {"hr", "croatian"},       {"bg", "bulgarian"},   {"lt", "lithuanian"},    {"la", "latin"},
    {"mi", "maori"},          {"ml", "malayalam"},   {"cy", "welsh"},         {"sk", "slovak"},
    {"te", "telugu"},         {"fa", "persian"},     {"lv", "latvian"},       {"bn", "bengali"},
    {"sr", "serbian"},        {"az", "azerbaijani"}, {"sl", "slovenian"},     {"kn", "kannada"},
    {"et", "estonian"},       {"mk", "macedonian"},  {"br", "breton"},        {"eu", "basque"},
    {"is", "icelandic"},      {"hy", "armenian"},    {"ne", "nepali"},        {"mn", "mongolian"},
    {"bs", "bosnian"},        {"kk", "kazakh"},      {"sq", "albanian"},      {"sw", "swahili"},
    {"gl", "galician"},       {"mr", "marathi"},     {"pa", "punjabi"},       {"si", "sinhala"},
    {"km", "khmer"},          {"sn", "shona"},       {"yo", "yoruba"},        {"so", "somali"},
    {"af", "afrikaans"},      {"oc", "occitan"},     {"ka", "georgian"},      {"be", "belarusian"},
    {"tg", "tajik"},          {"sd", "sindhi"},      {"gu", "gujarati"},      {"am", "amharic"},
    {"yi", "yiddish"},        {"lo", "lao"},         {"uz", "uzbek"},         {"fo", "faroese"},
    {"ht", "haitian creole"}, {"ps", "pashto"},      {"tk", "turkmen"},       {"nn", "nynorsk"},
    {"mt", "maltese"},        {"sa", "sanskrit"},    {"lb", "luxembourgish"}, {"my", "myanmar"},
    {"bo", "tibetan"},        {"tl", "tagalog"},     {"mg", "malagasy"},      {"as", "assamese"},
    {"tt", "tatar"},          {"haw", "hawaiian"},   {"ln", "lingala"},       {"ha", "hausa"},
    {"ba", "bashkir"},        {"jw", "javanese"},    {"su", "sundanese"},     {"yue", "cantonese"},
};

static const struct {
    const char *alias;
    const char *code;
} ALIASES[] = {
    {"burmese", "my"},       {"castilian", "es"}, {"flemish", "nl"},   {"haitian", "ht"},
    {"letzeburgesch", "lb"}, {"mandarin", "zh"},  {"moldavian", "ro"}, {"moldovan", "ro"},
    {"panjabi", "pa"},       {"pushto", "ps"},    {"sinhalese", "si"}, {"valencian", "ca"},
};

const char *text_language_code(int index)
{
    return index >= 0 && index < TEXT_N_LANGUAGES ? LANGUAGES[index].code : NULL;
}

const char *text_language_name(int index)
{
    return index >= 0 && index < TEXT_N_LANGUAGES ? LANGUAGES[index].name : NULL;
}

/* Length of the language in a tag with regions or scripts, such as 2 of "en-US" or "zh_Hant_TW"; 0:
 * it is none (BCP 47).                                                                           */
static size_t primary_subtag(const char *text)
{
    static const char tag[] = "0123456789-_"
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strspn(text, tag + 12), whole = strspn(text, tag);
    bool ends = text[n] == '-' || text[n] == '_';
    return ends && n >= 2 && n <= 3 && whole > n + 1 && !text[whole] ? n : 0;
}

int text_language_find(const char *text)
{
    if (!text)
        return -1;
    char code[4] = "";
    memcpy(code, text, primary_subtag(text));
    if (code[0])
        text = code;
    for (size_t i = 0; i < sizeof ALIASES / sizeof ALIASES[0]; i++) {
        if (au_str_equal_nocase(text, ALIASES[i].alias)) {
            text = ALIASES[i].code;
            break;
        }
    }
    for (int i = 0; i < TEXT_N_LANGUAGES; i++) {
        if (au_str_equal_nocase(text, LANGUAGES[i].code) ||
            au_str_equal_nocase(text, LANGUAGES[i].name))
            return i;
    }
    return -1;
}

bool text_language_has_spaces(const char *code)
{
    static const char *const UNSPACED[] = {"zh", "ja", "th", "lo", "my", "yue"};
    for (size_t i = 0; i < sizeof UNSPACED / sizeof UNSPACED[0]; i++) {
        if (au_str_equal(code, UNSPACED[i]))
            return false;
    }
    return true;
}
