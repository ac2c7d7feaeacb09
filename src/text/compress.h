/* How well a text compresses: repetition shows as a high ratio. */
#ifndef TEXT_COMPRESS_H
#define TEXT_COMPRESS_H

#include <stddef.h>

/* Bytes of text over bytes of its zlib form (level 6), as openai/whisper's compression_ratio; 0
 * for an empty text or when memory is out. Thread: any.                                          */
double text_compression_ratio(const char *text, size_t bytes);

#endif
