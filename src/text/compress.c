/* The only place that knows zlib's compressor. Its memory comes from base/mem like everybody's. */
#include "text/compress.h"

#define ZLIB_CONST /* input is const */
#include <zlib.h>

#include "base/mem.h"

static void *allocate(void *context, unsigned count, unsigned bytes)
{
    (void)context;
    return au_calloc(count, bytes);
}

static void release(void *context, void *block)
{
    (void)context;
    au_free(block);
}

double text_compression_ratio(const char *text, size_t n)
{
    z_stream stream = {.zalloc = allocate, .zfree = release};
    double ratio = 0;
    if (n == 0 || n > (size_t)1 << 30 || deflateInit(&stream, Z_DEFAULT_COMPRESSION) != Z_OK)
        return 0;
    const unsigned long room = deflateBound(&stream, (unsigned long)n);
    unsigned char *packed = au_alloc(room);
    if (packed) {
        stream.next_in = (const unsigned char *)text;
        stream.avail_in = (unsigned)n;
        stream.next_out = packed;
        stream.avail_out = (unsigned)room;
        if (deflate(&stream, Z_FINISH) == Z_STREAM_END) /* deflateBound has seen to it */
            ratio = (double)n / (double)stream.total_out;
    }
    deflateEnd(&stream);
    au_free(packed);
    return ratio;
}
