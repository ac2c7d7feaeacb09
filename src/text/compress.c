/* Compression ratio of a text. The only file that knows zlib in this layer. See compress.h. */
#include "text/compress.h"

#include <zlib.h>

#include "base/mem.h"

double text_compression_ratio(const char *text, size_t bytes)
{
    if (bytes == 0)
        return 0;
    uLongf packed = compressBound((uLong)bytes);
    Bytef *out = au_alloc(packed);
    int status = Z_MEM_ERROR;
    if (out)
        status = compress2(out, &packed, (const Bytef *)text, (uLong)bytes, 6);
    au_free(out);
    return status == Z_OK ? (double)bytes / (double)packed : 0;
}
