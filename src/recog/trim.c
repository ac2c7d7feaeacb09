/* White space at both ends of a text. See trim.h. */
#include "recog/trim.h"

#include "base/utf8.h"
#include "text/unicode.h"

size_t recog_trim(const char *text, size_t n, size_t *begin)
{
    size_t first = n, end = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t bytes = au_utf8_decode(text + i, n - i, &c);
        if (!text_char_is_space(c)) {
            first = i < first ? i : first;
            end = i + bytes;
        }
        i += bytes;
    }
    *begin = end > first ? first : 0;
    return end > first ? end - first : 0;
}
