/* Incremental UTF-8. At most three bytes can be waiting, so a new piece is first used byte by
 * byte to settle those; the rest of it is cut at the last complete character.                    */
#include "text/stream.h"

#include <string.h>

#include "base/utf8.h"

static void append_valid(const char *bytes, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        char utf8[4];
        at += au_utf8_decode(bytes + at, n - at, &c);
        au_buf_append(out, utf8, au_utf8_encode(c, utf8));
    }
}

void text_stream_init(struct text_stream *stream)
{
    *stream = (struct text_stream){.n_held = 0};
}

enum auricle_error text_stream_push(struct text_stream *stream, const char *bytes, size_t n,
                                    struct au_buf *out)
{
    size_t at = 0;
    while (at < n && stream->n_held > 0) {
        stream->held[stream->n_held++] = bytes[at++];
        const size_t ready = au_utf8_complete_prefix(stream->held, stream->n_held);
        append_valid(stream->held, ready, out);
        stream->n_held -= ready;
        memmove(stream->held, stream->held + ready, stream->n_held);
    }
    const size_t ready = au_utf8_complete_prefix(bytes + at, n - at);
    append_valid(bytes + at, ready, out);
    if (at < n) { /* else the held bytes are still waiting for more */
        stream->n_held = n - at - ready;
        memcpy(stream->held, bytes + at + ready, stream->n_held);
    }
    return out->error;
}

enum auricle_error text_stream_finish(struct text_stream *stream, struct au_buf *out)
{
    append_valid(stream->held, stream->n_held, out);
    stream->n_held = 0;
    return out->error;
}
