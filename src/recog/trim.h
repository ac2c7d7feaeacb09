/* White space at both ends of a text, as Python's strip() sees it. */
#ifndef RECOG_TRIM_H
#define RECOG_TRIM_H

#include <stddef.h>

/* Bytes left of text[0..n) after trimming; *begin is where they start. */
size_t recog_trim(const char *text, size_t n, size_t *begin);

#endif
