/* Text that arrives token by token: holds the bytes of a character back until it is complete, so
 * that what is sent on is valid UTF-8 at any time. In the caller's memory, nothing to free.      */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include <stddef.h>

#include "base/buf.h"

struct text_stream {
    char held[4];
    size_t n_held;
};

void text_stream_init(struct text_stream *stream);

/* Append to out what is complete of the held bytes and these; bad bytes become U+FFFD.
 * Errors: those of the buffer.                                                                  */
enum auricle_error text_stream_push(struct text_stream *stream, const char *bytes, size_t n,
                                    struct au_buf *out);

/* The end of the text: a character that was never completed becomes U+FFFD. */
enum auricle_error text_stream_finish(struct text_stream *stream, struct au_buf *out);

#endif
