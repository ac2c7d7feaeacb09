/* GPT-2's pre-tokenisation by hand: one pass, no backtracking, so hostile text costs linear
 * time. */
#include "text/pretokenize.h"

#include <string.h>

#include "base/utf8.h"
#include "text/unicode.h"

enum piece_class { PIECE_SPACE, PIECE_LETTER, PIECE_NUMBER, PIECE_OTHER };

static enum piece_class class_at(const char *text, size_t n, size_t *bytes)
{
    uint32_t c;
    *bytes = au_utf8_decode(text, n, &c);
    switch (text_char_class(c)) {
    case TEXT_CLASS_SPACE: return PIECE_SPACE;
    case TEXT_CLASS_LETTER: return PIECE_LETTER;
    case TEXT_CLASS_NUMBER: return PIECE_NUMBER;
    default: return PIECE_OTHER;
    }
}

static size_t contraction_bytes(const char *text, size_t n)
{
    static const char *const ENDINGS[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        const size_t length = strlen(ENDINGS[i]);
        if (n >= length && memcmp(text, ENDINGS[i], length) == 0)
            return length;
    }
    return 0;
}

/* A run of white space: all of it at the end of the text, else all but its last character, which
 * goes to the next piece; a single character stands alone.                                      */
static size_t space_run_bytes(const char *text, size_t n)
{
    size_t end = 0, last = 0, bytes;
    while (end < n && class_at(text + end, n - end, &bytes) == PIECE_SPACE) {
        last = end;
        end += bytes;
    }
    return end == n || last == 0 ? end : last;
}

size_t text_piece_bytes(const char *text, size_t n)
{
    size_t bytes;
    const size_t contraction = contraction_bytes(text, n);
    if (contraction > 0)
        return contraction;
    size_t end = text[0] == ' ' && n > 1 ? 1 : 0;
    const enum piece_class kind = class_at(text + end, n - end, &bytes);
    if (kind == PIECE_SPACE)
        return space_run_bytes(text, n);
    do {
        end += bytes;
    } while (end < n && class_at(text + end, n - end, &bytes) == kind);
    return end;
}
