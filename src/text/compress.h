/* How far a text compresses: text that goes round in circles compresses far. */
#ifndef TEXT_COMPRESS_H
#define TEXT_COMPRESS_H

#include <stddef.h>

/* Bytes of the text per byte of its zlib form at level 6; 0 for an empty text, one over 1 GiB,
 * and when memory is out. Whisper takes more than 2.4 for a sign of repetition. Thread: any.
 * Allocates: zlib's workspace, about 256 KiB, and the packed text.                               */
double text_compression_ratio(const char *text, size_t n);

#endif
