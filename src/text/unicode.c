/* Unicode properties and normal forms over utf8proc.
 *
 * utf8proc allocates in its convenience functions and sorts runs of combining marks by insertion,
 * which is quadratic on hostile text. Both are avoided here: text is cut into chunks of bounded
 * length, each decomposed and recomposed in buffers on the stack, and the pieces are appended. The
 * cut is made before a character that starts afresh (combines with nothing before it), so chunks do
 * not change the result unless a single run of marks is longer than a chunk.                    */
#include "text/unicode.h"

#include <assert.h>

#include <utf8proc.h>

#include "base/utf8.h"

enum {
    CHUNK_CHARS = 384,   /* code points decomposed at once */
    LONGEST_MAPPING = 18 /* code points of the longest compatibility decomposition (U+FDFA) */
};

static const utf8proc_property_t *property(uint32_t c)
{
    return utf8proc_get_property(c <= 0x10FFFF ? (utf8proc_int32_t)c : 0);
}

bool text_char_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 0x09 && c <= 0x0D);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

enum text_class text_char_class(uint32_t c)
{
    if (text_char_is_space(c))
        return TEXT_CLASS_SPACE;
    switch (property(c)->category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return TEXT_CLASS_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return TEXT_CLASS_NUMBER;
    case UTF8PROC_CATEGORY_MN: return TEXT_CLASS_NONSPACING;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return TEXT_CLASS_MARK;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return TEXT_CLASS_PUNCTUATION;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO: return TEXT_CLASS_SYMBOL;
    default: return TEXT_CLASS_OTHER;
    }
}

uint32_t text_char_lower(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return c <= 0x10FFFF ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)c) : c;
}

bool text_char_is_cased(uint32_t c)
{
    const int category = property(c)->category;
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

bool text_char_is_digit(uint32_t c)
{
    return property(c)->category == UTF8PROC_CATEGORY_ND;
}

bool text_grapheme_break(uint32_t before, uint32_t after, int32_t *state)
{
    return utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)after,
                                            state);
}

int text_char_columns(uint32_t c)
{
    return c <= 0x10FFFF ? utf8proc_charwidth((utf8proc_int32_t)c) : 0;
}

/* The property Case_Ignorable: characters that may stand inside a word without ending it. */
static bool is_case_ignorable(uint32_t c)
{
    static const uint32_t INSIDE_WORDS[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                            0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                            0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    switch (property(c)->category) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: break;
    }
    for (size_t i = 0; i < sizeof INSIDE_WORDS / sizeof INSIDE_WORDS[0]; i++) {
        if (INSIDE_WORDS[i] == c)
            return true;
    }
    return false;
}

/* True when a capital sigma before text[0..n) ends its word: no cased letter follows. The rule's
 * other half, a cased letter before it, is kept by the caller as it goes along (Unicode 3.13,
 * Final_Sigma). */
static bool word_ends_here(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n) {
        uint32_t c;
        at += au_utf8_decode(text + at, n - at, &c);
        if (!is_case_ignorable(c))
            return !text_char_is_cased(c);
    }
    return true;
}

enum auricle_error text_lower(const char *text, size_t n, struct au_buf *out)
{
    bool after_cased = false;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        char bytes[4];
        at += au_utf8_decode(text + at, n - at, &c);
        uint32_t lower = text_char_lower(c);
        if (c == 0x3A3) /* capital sigma */
            lower = after_cased && word_ends_here(text + at, n - at) ? 0x3C2 : 0x3C3;
        if (c == 0x130) { /* capital I with dot: i and a combining dot */
            au_buf_puts(out, "i\xCC\x87");
        } else {
            au_buf_append(out, bytes, au_utf8_encode(lower, bytes));
        }
        if (!is_case_ignorable(c))
            after_cased = text_char_is_cased(c);
    }
    return out->error;
}

/* A character that combines with nothing before it, in any normal form. */
static bool starts_afresh(uint32_t c)
{
    const utf8proc_property_t *p = property(c);
    return p->combining_class == 0 && p->boundclass == UTF8PROC_BOUNDCLASS_OTHER &&
           p->decomp_seqindex == UINT16_MAX;
}

/* Copy the next chunk of text as valid UTF-8 into chunk; returns the bytes of text used. */
static size_t take_chunk(const char *text, size_t n, char chunk[CHUNK_CHARS * 4], size_t *n_chunk)
{
    size_t used = 0, made = 0, used_at_cut = 0, made_at_cut = 0;
    for (int count = 0; count < CHUNK_CHARS && used < n; count++) {
        uint32_t c;
        const size_t step = au_utf8_decode(text + used, n - used, &c);
        if (starts_afresh(c)) {
            used_at_cut = used;
            made_at_cut = made;
        }
        used += step;
        made += au_utf8_encode(c, chunk + made);
    }
    if (used < n && used_at_cut > 0) { /* more follows: leave the last fresh start to it */
        used = used_at_cut;
        made = made_at_cut;
    }
    *n_chunk = made;
    return used;
}

enum auricle_error text_normal_form(enum text_form form, const char *text, size_t n,
                                    struct au_buf *out)
{
    char chunk[CHUNK_CHARS * 4];
    utf8proc_int32_t wide[CHUNK_CHARS * LONGEST_MAPPING + 1];
    int options = UTF8PROC_STABLE;
    options |= form == TEXT_NFKD ? UTF8PROC_DECOMPOSE : UTF8PROC_COMPOSE;
    if (form != TEXT_NFC)
        options |= UTF8PROC_COMPAT;
    for (size_t at = 0; at < n;) {
        size_t n_chunk;
        at += take_chunk(text + at, n - at, chunk, &n_chunk);
        const utf8proc_ssize_t n_wide = utf8proc_decompose(
            (const utf8proc_uint8_t *)chunk, (utf8proc_ssize_t)n_chunk, wide,
            CHUNK_CHARS * LONGEST_MAPPING, (utf8proc_option_t)options);
        assert(n_wide >= 0 && n_wide <= CHUNK_CHARS * LONGEST_MAPPING);
        const utf8proc_ssize_t n_bytes = utf8proc_reencode(wide, n_wide,
                                                           (utf8proc_option_t)options);
        assert(n_bytes >= 0);
        au_buf_append(out, wide, (size_t)n_bytes);
    }
    return out->error;
}
