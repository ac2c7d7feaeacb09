/* GPT-2's alphabet for bytes: vocabulary files write every byte as a printable character. */
#ifndef TEXT_GPT2_BYTES_H
#define TEXT_GPT2_BYTES_H

#include <stddef.h>

#include "base/buf.h"

/* Append the bytes that text stands for. Characters outside the alphabet, which only added tokens
 * have, keep their UTF-8 bytes. Errors: those of the buffer.                                    */
enum auricle_error text_gpt2_to_bytes(const char *text, size_t n, struct au_buf *out);

#endif
