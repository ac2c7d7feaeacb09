/* GPT-2's byte alphabet. Printable Latin-1 bytes stand for themselves; the 68 others (controls,
 * the blank, DEL to no-break space, the soft hyphen) are written as U+0100, U+0101, ... in byte
 * order. */
#include "text/gpt2_bytes.h"

#include <stdint.h>

#include "base/utf8.h"

/* The byte that a character stands for, or -1. */
static int byte_of(uint32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xFF && c != 0xAD))
        return (int)c;
    if (c < 0x100 || c >= 0x100 + 68)
        return -1;
    const int nth = (int)c - 0x100;
    if (nth < 33)
        return nth; /* 0x00 to the blank */
    return nth < 67 ? nth - 33 + 0x7F : 0xAD;
}

enum auricle_error text_gpt2_to_bytes(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        size_t plain = at;
        while (plain < n && text[plain] >= '!' && text[plain] <= '~')
            plain++;
        if (plain > at) { /* most of every token */
            au_buf_append(out, text + at, plain - at);
            at = plain;
            continue;
        }
        const size_t step = au_utf8_decode(text + at, n - at, &c);
        const int byte = byte_of(c);
        if (byte >= 0)
            au_buf_putc(out, (char)byte);
        else
            au_buf_append(out, text + at, step);
        at += step;
    }
    return out->error;
}
