/* Scripts by block of Unicode, and the scripts of the languages.
 *
 * Blocks are exact enough: a block holds letters of one script, and what it holds besides is not
 * asked about. Letters outside all of them count as OTHER.                                      */
#include "text/script.h"

#include <stdlib.h>

#include "base/str.h"
#include "base/utf8.h"
#include "text/language.h"
#include "text/unicode.h"

struct range {
    uint32_t first, last;
    enum text_script script;
};

static const struct range RANGES[] = {
    /* ascending */
    {0x41, 0x5A, TEXT_SCRIPT_LATIN},          {0x61, 0x7A, TEXT_SCRIPT_LATIN},
    {0xAA, 0xAA, TEXT_SCRIPT_LATIN},          {0xBA, 0xBA, TEXT_SCRIPT_LATIN},
    {0xC0, 0x2AF, TEXT_SCRIPT_LATIN},         {0x2B0, 0x2FF, TEXT_SCRIPT_LATIN},
    {0x370, 0x3FF, TEXT_SCRIPT_GREEK},        {0x400, 0x52F, TEXT_SCRIPT_CYRILLIC},
    {0x530, 0x58F, TEXT_SCRIPT_ARMENIAN},     {0x590, 0x5FF, TEXT_SCRIPT_HEBREW},
    {0x600, 0x6FF, TEXT_SCRIPT_ARABIC},       {0x750, 0x77F, TEXT_SCRIPT_ARABIC},
    {0x860, 0x8FF, TEXT_SCRIPT_ARABIC},       {0x900, 0x97F, TEXT_SCRIPT_DEVANAGARI},
    {0x980, 0x9FF, TEXT_SCRIPT_BENGALI},      {0xA00, 0xA7F, TEXT_SCRIPT_GURMUKHI},
    {0xA80, 0xAFF, TEXT_SCRIPT_GUJARATI},     {0xB80, 0xBFF, TEXT_SCRIPT_TAMIL},
    {0xC00, 0xC7F, TEXT_SCRIPT_TELUGU},       {0xC80, 0xCFF, TEXT_SCRIPT_KANNADA},
    {0xD00, 0xD7F, TEXT_SCRIPT_MALAYALAM},    {0xD80, 0xDFF, TEXT_SCRIPT_SINHALA},
    {0xE00, 0xE7F, TEXT_SCRIPT_THAI},         {0xE80, 0xEFF, TEXT_SCRIPT_LAO},
    {0xF00, 0xFFF, TEXT_SCRIPT_TIBETAN},      {0x1000, 0x109F, TEXT_SCRIPT_MYANMAR},
    {0x10A0, 0x10FF, TEXT_SCRIPT_GEORGIAN},   {0x1100, 0x11FF, TEXT_SCRIPT_HANGUL},
    {0x1200, 0x139F, TEXT_SCRIPT_ETHIOPIC},   {0x1780, 0x17FF, TEXT_SCRIPT_KHMER},
    {0x1800, 0x18AF, TEXT_SCRIPT_MONGOLIAN},  {0x1C80, 0x1C8F, TEXT_SCRIPT_CYRILLIC},
    {0x1C90, 0x1CBF, TEXT_SCRIPT_GEORGIAN},   {0x1D00, 0x1D25, TEXT_SCRIPT_LATIN},
    {0x1D26, 0x1D2A, TEXT_SCRIPT_GREEK},      {0x1D2B, 0x1D2B, TEXT_SCRIPT_CYRILLIC},
    {0x1D2C, 0x1DBF, TEXT_SCRIPT_LATIN},      {0x1E00, 0x1EFF, TEXT_SCRIPT_LATIN},
    {0x1F00, 0x1FFF, TEXT_SCRIPT_GREEK},      {0x2071, 0x2071, TEXT_SCRIPT_LATIN},
    {0x207F, 0x209C, TEXT_SCRIPT_LATIN},      {0x212A, 0x212B, TEXT_SCRIPT_LATIN},
    {0x2C60, 0x2C7F, TEXT_SCRIPT_LATIN},      {0x2D00, 0x2D2F, TEXT_SCRIPT_GEORGIAN},
    {0x2D80, 0x2DDF, TEXT_SCRIPT_ETHIOPIC},   {0x2DE0, 0x2DFF, TEXT_SCRIPT_CYRILLIC},
    {0x2E80, 0x2FDF, TEXT_SCRIPT_HAN},        {0x3005, 0x3007, TEXT_SCRIPT_HAN},
    {0x3021, 0x3029, TEXT_SCRIPT_HAN},        {0x3031, 0x3035, TEXT_SCRIPT_KANA},
    {0x3038, 0x303B, TEXT_SCRIPT_HAN},        {0x3040, 0x30FF, TEXT_SCRIPT_KANA},
    {0x3100, 0x312F, TEXT_SCRIPT_HAN},        {0x3130, 0x318F, TEXT_SCRIPT_HANGUL},
    {0x31A0, 0x31BF, TEXT_SCRIPT_HAN},        {0x31F0, 0x31FF, TEXT_SCRIPT_KANA},
    {0x3400, 0x4DBF, TEXT_SCRIPT_HAN},        {0x4E00, 0x9FFF, TEXT_SCRIPT_HAN},
    {0xA640, 0xA69F, TEXT_SCRIPT_CYRILLIC},   {0xA722, 0xA7FF, TEXT_SCRIPT_LATIN},
    {0xA8E0, 0xA8FF, TEXT_SCRIPT_DEVANAGARI}, {0xA960, 0xA97F, TEXT_SCRIPT_HANGUL},
    {0xA9E0, 0xA9FF, TEXT_SCRIPT_MYANMAR},    {0xAA60, 0xAA7F, TEXT_SCRIPT_MYANMAR},
    {0xAB00, 0xAB2F, TEXT_SCRIPT_ETHIOPIC},   {0xAB30, 0xAB6F, TEXT_SCRIPT_LATIN},
    {0xAC00, 0xD7FF, TEXT_SCRIPT_HANGUL},     {0xF900, 0xFAFF, TEXT_SCRIPT_HAN},
    {0xFB00, 0xFB06, TEXT_SCRIPT_LATIN},      {0xFB13, 0xFB17, TEXT_SCRIPT_ARMENIAN},
    {0xFB1D, 0xFB4F, TEXT_SCRIPT_HEBREW},     {0xFB50, 0xFDFF, TEXT_SCRIPT_ARABIC},
    {0xFE70, 0xFEFE, TEXT_SCRIPT_ARABIC},     {0xFF21, 0xFF3A, TEXT_SCRIPT_LATIN},
    {0xFF41, 0xFF5A, TEXT_SCRIPT_LATIN},      {0xFF66, 0xFF9F, TEXT_SCRIPT_KANA},
    {0xFFA0, 0xFFDC, TEXT_SCRIPT_HANGUL},     {0x1B000, 0x1B16F, TEXT_SCRIPT_KANA},
    {0x1D400, 0x1D6A5, TEXT_SCRIPT_LATIN},    {0x20000, 0x323AF, TEXT_SCRIPT_HAN},
};

#define S(script) ((uint32_t)1 << TEXT_SCRIPT_##script)

/* Languages that are written in anything but Latin alone. Two scripts where both are in daily
 * use. */
static const struct {
    const char *code;
    uint32_t scripts;
} LANGUAGES[] = {
    {"zh", S(HAN)},
    {"ru", S(CYRILLIC)},
    {"ko", S(HANGUL)},
    {"ja", S(HAN) | S(KANA)},
    {"ar", S(ARABIC)},
    {"hi", S(DEVANAGARI)},
    {"he", S(HEBREW)},
    {"uk", S(CYRILLIC)},
    {"el", S(GREEK)},
    {"ta", S(TAMIL)},
    {"th", S(THAI)},
    {"ur", S(ARABIC)},
    {"bg", S(CYRILLIC)},
    {"ml", S(MALAYALAM)},
    {"te", S(TELUGU)},
    {"fa", S(ARABIC)},
    {"bn", S(BENGALI)},
    {"sr", S(CYRILLIC) | S(LATIN)},
    {"az", S(LATIN) | S(CYRILLIC)},
    {"kn", S(KANNADA)},
    {"mk", S(CYRILLIC)},
    {"hy", S(ARMENIAN)},
    {"ne", S(DEVANAGARI)},
    {"mn", S(CYRILLIC) | S(MONGOLIAN)},
    {"bs", S(LATIN) | S(CYRILLIC)},
    {"kk", S(CYRILLIC) | S(LATIN)},
    {"mr", S(DEVANAGARI)},
    {"pa", S(GURMUKHI) | S(ARABIC)},
    {"si", S(SINHALA)},
    {"km", S(KHMER)},
    {"ka", S(GEORGIAN)},
    {"be", S(CYRILLIC)},
    {"tg", S(CYRILLIC)},
    {"sd", S(ARABIC) | S(DEVANAGARI)},
    {"gu", S(GUJARATI)},
    {"am", S(ETHIOPIC)},
    {"yi", S(HEBREW)},
    {"lo", S(LAO)},
    {"uz", S(LATIN) | S(CYRILLIC)},
    {"ps", S(ARABIC)},
    {"tk", S(LATIN) | S(CYRILLIC)},
    {"sa", S(DEVANAGARI)},
    {"my", S(MYANMAR)},
    {"bo", S(TIBETAN)},
    {"as", S(BENGALI)},
    {"tt", S(CYRILLIC) | S(LATIN)},
    {"ba", S(CYRILLIC)},
    {"yue", S(HAN)},
};

static int compare_range(const void *key, const void *row)
{
    const uint32_t c = *(const uint32_t *)key;
    const struct range *range = row;
    return c < range->first ? -1 : c > range->last;
}

const char *text_script_name(enum text_script script)
{
    static const char *const NAMES[TEXT_N_SCRIPTS] = {
        [TEXT_SCRIPT_OTHER] = "other",
        [TEXT_SCRIPT_LATIN] = "latin",
        [TEXT_SCRIPT_CYRILLIC] = "cyrillic",
        [TEXT_SCRIPT_GREEK] = "greek",
        [TEXT_SCRIPT_ARMENIAN] = "armenian",
        [TEXT_SCRIPT_GEORGIAN] = "georgian",
        [TEXT_SCRIPT_HEBREW] = "hebrew",
        [TEXT_SCRIPT_ARABIC] = "arabic",
        [TEXT_SCRIPT_ETHIOPIC] = "ethiopic",
        [TEXT_SCRIPT_DEVANAGARI] = "devanagari",
        [TEXT_SCRIPT_BENGALI] = "bengali",
        [TEXT_SCRIPT_GURMUKHI] = "gurmukhi",
        [TEXT_SCRIPT_GUJARATI] = "gujarati",
        [TEXT_SCRIPT_TAMIL] = "tamil",
        [TEXT_SCRIPT_TELUGU] = "telugu",
        [TEXT_SCRIPT_KANNADA] = "kannada",
        [TEXT_SCRIPT_MALAYALAM] = "malayalam",
        [TEXT_SCRIPT_SINHALA] = "sinhala",
        [TEXT_SCRIPT_THAI] = "thai",
        [TEXT_SCRIPT_LAO] = "lao",
        [TEXT_SCRIPT_TIBETAN] = "tibetan",
        [TEXT_SCRIPT_MYANMAR] = "myanmar",
        [TEXT_SCRIPT_KHMER] = "khmer",
        [TEXT_SCRIPT_MONGOLIAN] = "mongolian",
        [TEXT_SCRIPT_HAN] = "han",
        [TEXT_SCRIPT_KANA] = "kana",
        [TEXT_SCRIPT_HANGUL] = "hangul",
    };
    return script >= 0 && script < TEXT_N_SCRIPTS ? NAMES[script] : "other";
}

enum text_script text_script_of(uint32_t c)
{
    const struct range *range = bsearch(&c, RANGES, sizeof RANGES / sizeof RANGES[0],
                                        sizeof RANGES[0], compare_range);
    return range ? range->script : TEXT_SCRIPT_OTHER;
}

struct text_letters text_count_letters(const char *text, size_t n)
{
    struct text_letters letters = {0};
    for (size_t at = 0; at < n;) {
        uint32_t c;
        at += au_utf8_decode(text + at, n - at, &c);
        switch (text_char_class(c)) {
        case TEXT_CLASS_SPACE:
        case TEXT_CLASS_NONSPACING:
        case TEXT_CLASS_MARK: continue;
        case TEXT_CLASS_LETTER:
            letters.n_letters++;
            letters.by_script[text_script_of(c)]++;
            break;
        case TEXT_CLASS_NUMBER: letters.n_numbers++; break;
        default: break;
        }
        letters.n_visible++;
    }
    return letters;
}

double text_letters_share(const struct text_letters *letters)
{
    if (letters->n_visible == 0)
        return 0;
    return (double)(letters->n_letters + letters->n_numbers) / (double)letters->n_visible;
}

enum text_script text_letters_dominant(const struct text_letters *letters)
{
    enum text_script dominant = TEXT_SCRIPT_OTHER;
    for (int i = 0; i < TEXT_N_SCRIPTS; i++) {
        if (letters->by_script[i] > letters->by_script[dominant])
            dominant = (enum text_script)i;
    }
    return dominant;
}

/* Bit per script; 0 for unknown languages. */
static uint32_t scripts_of(const char *language_code)
{
    for (size_t i = 0; i < sizeof LANGUAGES / sizeof LANGUAGES[0]; i++) {
        if (au_str_equal(language_code, LANGUAGES[i].code))
            return LANGUAGES[i].scripts;
    }
    const int index = text_language_find(language_code);
    return index >= 0 && au_str_equal(language_code, text_language_code(index)) ? S(LATIN) : 0;
}

double text_script_share(const char *language_code, const struct text_letters *letters)
{
    const uint32_t scripts = scripts_of(language_code);
    size_t n_fitting = 0;
    if (scripts == 0 || letters->n_letters == 0)
        return 1;
    for (int i = 0; i < TEXT_N_SCRIPTS; i++)
        n_fitting += scripts >> i & 1 ? letters->by_script[i] : 0;
    return (double)n_fitting / (double)letters->n_letters;
}

bool text_script_fits(const char *language_code, const char *text, size_t n)
{
    const uint32_t scripts = scripts_of(language_code);
    const struct text_letters letters = text_count_letters(text, n);
    size_t n_fitting = 0, n_foreign = 0;
    if (scripts == 0 || letters.n_letters == 0)
        return true;
    for (int i = 0; i < TEXT_N_SCRIPTS; i++) {
        if (scripts >> i & 1)
            n_fitting += letters.by_script[i];
        else if (i != TEXT_SCRIPT_LATIN)
            n_foreign += letters.by_script[i];
    }
    return n_fitting > 0 && n_fitting >= n_foreign;
}
