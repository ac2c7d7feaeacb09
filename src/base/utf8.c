/* UTF-8 decoding after table 3-7 of the Unicode standard. See utf8.h. */
#include "base/utf8.h"

/* What a lead byte asks for: total length and the range of the second byte, which is where the
 * table excludes overlong forms, surrogates and values past U+10FFFF. Length 0: not a lead byte. */
struct lead {
    unsigned length;
    unsigned char low, high;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte < 0x80)
        return (struct lead){1, 0, 0};
    if (byte >= 0xC2 && byte <= 0xDF)
        return (struct lead){2, 0x80, 0xBF};
    if (byte >= 0xE0 && byte <= 0xEF)
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    if (byte >= 0xF0 && byte <= 0xF4)
        return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
    return (struct lead){0, 0, 0};
}

/* Bytes of the longest well-formed beginning of a sequence at text, at most lead.length. */
static size_t matched_bytes(const char *text, size_t n, struct lead lead)
{
    size_t i = 1;
    for (; i < lead.length && i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        unsigned char low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
        if (byte < low || byte > high)
            break;
    }
    return i;
}

size_t au_utf8_decode(const char *text, size_t n, uint32_t *out)
{
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    struct lead lead = lead_of((unsigned char)text[0]);
    size_t used = matched_bytes(text, n, lead);
    if (used != lead.length) {
        *out = AU_UTF8_REPLACEMENT;
        return used;
    }
    uint32_t c = (unsigned char)text[0] & lead_mask[lead.length];
    for (size_t i = 1; i < used; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3Fu);
    *out = c;
    return used;
}

size_t au_utf8_encode(uint32_t c, char out[4])
{
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        c = AU_UTF8_REPLACEMENT;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

bool au_utf8_valid(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        struct lead lead = lead_of((unsigned char)text[i]);
        if (lead.length == 0 || matched_bytes(text + i, n - i, lead) != lead.length)
            return false;
        i += lead.length;
    }
    return true;
}

size_t au_utf8_complete_prefix(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        struct lead lead = lead_of((unsigned char)text[n - back]);
        if (lead.length == 0)
            continue; /* a continuation byte, or never valid: look further back */
        bool unfinished = lead.length > back && matched_bytes(text + n - back, back, lead) == back;
        return unfinished ? n - back : n;
    }
    return n;
}

bool au_utf8_is_plain(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    bool reorders = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    return !control && !reorders;
}
