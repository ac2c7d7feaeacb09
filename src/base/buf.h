/* Growable byte buffer with a limit.
 *
 * Used for text that is assembled and for input of unknown length. `data` is always terminated by
 * a zero byte that `len` does not count, so a text buffer can be printed. A buffer that failed once
 * stays failed (`error` set), so a writer may append many times and check once at the end.
 * Owner: whoever initialised it; not shared between threads.                                    */
#ifndef AU_BASE_BUF_H
#define AU_BASE_BUF_H

#include <stddef.h>

#include "base/error.h"

struct au_buf {
    char *data; /* len bytes and a zero; never NULL after au_buf_init */
    size_t len;
    size_t capacity;          /* internal */
    size_t limit;             /* most bytes it may hold; 0: none */
    enum auricle_error error; /* NOMEM or LIMIT once an append failed */
};

void au_buf_init(struct au_buf *buf, size_t limit_bytes); /* allocates nothing yet */
void au_buf_deinit(struct au_buf *buf);
void au_buf_clear(struct au_buf *buf); /* length 0, error forgotten, memory kept */

enum auricle_error au_buf_reserve(struct au_buf *buf, size_t more); /* room for `more` bytes */
enum auricle_error au_buf_append(struct au_buf *buf, const void *bytes, size_t n);
enum auricle_error au_buf_puts(struct au_buf *buf, const char *text);
enum auricle_error au_buf_putc(struct au_buf *buf, char c);
enum auricle_error au_buf_printf(struct au_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Hand the bytes (zero terminated, au_free them) to the caller and leave the buffer empty.
 * NULL when the buffer has failed.                                                              */
char *au_buf_take(struct au_buf *buf);

#endif
