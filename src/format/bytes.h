/* Reading integers out of hostile bytes: a cursor that never passes its end.
 *
 * All formats here are little-endian, and so is every machine this program runs on (tensor bytes
 * are used as they lie in the file); integers are still assembled byte by byte because they stand
 * unaligned. A take that does not fit returns false and moves nothing.                          */
#ifndef FORMAT_BYTES_H
#define FORMAT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct format_cursor {
    const uint8_t *data;
    size_t bytes;
    size_t at; /* <= bytes */
};

static inline uint16_t format_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t format_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t format_le64(const uint8_t *p)
{
    return (uint64_t)format_le32(p) | (uint64_t)format_le32(p + 4) << 32;
}

static inline size_t format_left(const struct format_cursor *cursor)
{
    return cursor->bytes - cursor->at;
}

/* Borrow the next n bytes. */
static inline bool format_take(struct format_cursor *cursor, size_t n, const uint8_t **out)
{
    if (n > format_left(cursor))
        return false;
    *out = cursor->data + cursor->at;
    cursor->at += n;
    return true;
}

static inline bool format_take_u8(struct format_cursor *cursor, uint8_t *out)
{
    const uint8_t *p;
    if (!format_take(cursor, 1, &p))
        return false;
    *out = *p;
    return true;
}

static inline bool format_take_u16(struct format_cursor *cursor, uint16_t *out)
{
    const uint8_t *p;
    if (!format_take(cursor, 2, &p))
        return false;
    *out = format_le16(p);
    return true;
}

static inline bool format_take_u32(struct format_cursor *cursor, uint32_t *out)
{
    const uint8_t *p;
    if (!format_take(cursor, 4, &p))
        return false;
    *out = format_le32(p);
    return true;
}

#endif
