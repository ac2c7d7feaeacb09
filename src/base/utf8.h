/* UTF-8: validation and stepping. Categories and normalisation live in src/text. */
#ifndef AU_BASE_UTF8_H
#define AU_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AU_UTF8_REPLACEMENT 0xFFFDu

/* Decode the code point at text[0..n), n > 0. Returns bytes consumed (1 to 4). An invalid or
 * incomplete sequence yields the replacement character and consumes its maximal valid prefix
 * (at least one byte), as the Unicode standard recommends and Python's "replace" does.           */
size_t au_utf8_decode(const char *text, size_t n, uint32_t *out);
size_t au_utf8_encode(uint32_t code_point, char out[4]); /* bytes written, 1 to 4 */
bool au_utf8_valid(const char *text, size_t n);

/* May it be shown as it is? No control character (C0, DEL, C1) may, nor what reorders others. */
bool au_utf8_is_plain(uint32_t code_point);

/* Length of the longest prefix that does not end inside a sequence which more bytes could
 * complete: what may be shown of a text that is still arriving.                                 */
size_t au_utf8_complete_prefix(const char *text, size_t n);

#endif
