/* Growable byte buffer. See buf.h.
 *
 * Invariant: data[len] is zero. Until the first append `data` points at a shared constant zero and
 * `capacity` is 0; that byte is never written.                                                   */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define MIN_CAPACITY 64

static const char empty[1] = "";

static char *empty_data(void)
{
    return (char *)(uintptr_t)empty;
}

void au_buf_init(struct au_buf *buf, size_t limit_bytes)
{
    *buf = (struct au_buf){.data = empty_data(), .limit = limit_bytes, .error = AURICLE_OK};
}

void au_buf_deinit(struct au_buf *buf)
{
    if (buf->capacity)
        au_free(buf->data);
    au_buf_init(buf, buf->limit);
}

void au_buf_clear(struct au_buf *buf)
{
    buf->len = 0;
    buf->error = AURICLE_OK;
    if (buf->capacity)
        buf->data[0] = '\0';
}

static enum auricle_error fail(struct au_buf *buf, enum auricle_error code)
{
    buf->error = code;
    return code;
}

enum auricle_error au_buf_reserve(struct au_buf *buf, size_t more)
{
    if (buf->error)
        return buf->error;
    size_t length, need;
    if (!au_add_size(buf->len, more, &length) || (buf->limit && length > buf->limit))
        return fail(buf, AURICLE_E_LIMIT);
    if (!au_add_size(length, 1, &need))
        return fail(buf, AURICLE_E_NOMEM);
    if (need <= buf->capacity)
        return AURICLE_OK;

    size_t capacity = buf->capacity ? buf->capacity : MIN_CAPACITY;
    while (capacity < need) {
        if (!au_add_size(capacity, capacity / 2, &capacity))
            return fail(buf, AURICLE_E_NOMEM);
    }
    char *data = au_realloc(buf->capacity ? buf->data : NULL, capacity);
    if (!data)
        return fail(buf, AURICLE_E_NOMEM);
    data[buf->len] = '\0';
    buf->data = data;
    buf->capacity = capacity;
    return AURICLE_OK;
}

enum auricle_error au_buf_append(struct au_buf *buf, const void *bytes, size_t n)
{
    enum auricle_error e = au_buf_reserve(buf, n);
    if (e || n == 0)
        return e;
    memcpy(buf->data + buf->len, bytes, n);
    buf->len += n;
    buf->data[buf->len] = '\0';
    return AURICLE_OK;
}

enum auricle_error au_buf_puts(struct au_buf *buf, const char *text)
{
    return au_buf_append(buf, text, strlen(text));
}

enum auricle_error au_buf_putc(struct au_buf *buf, char c)
{
    return au_buf_append(buf, &c, 1);
}

enum auricle_error au_buf_printf(struct au_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    enum auricle_error e = length < 0 ? fail(buf, AURICLE_E_INVALID)
                                      : au_buf_reserve(buf, (size_t)length);
    if (!e && length > 0) {
        vsnprintf(buf->data + buf->len, (size_t)length + 1, format, again);
        buf->len += (size_t)length;
    }
    va_end(again);
    va_end(args);
    return e;
}

char *au_buf_take(struct au_buf *buf)
{
    if (buf->error)
        return NULL;
    char *data = buf->capacity ? buf->data : au_strdup("");
    if (data)
        au_buf_init(buf, buf->limit);
    return data;
}
