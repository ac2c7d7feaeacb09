/* The cut into pieces that comes before byte-pair merging (GPT-2's rule). */
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include <stddef.h>

/* Bytes of the first piece of text, n > 0; at least 1. Merges never cross the end of a piece.
 * Pieces are, first that fits: an English contraction ('s 't 're 've 'm 'll 'd); one optional blank
 * and a run of letters, of numbers, or of anything else that is no white space; a run of white
 * space, its last character left to the piece that follows. Bytes that are no UTF-8 count as
 * "anything else". Thread: any. Allocates: never.
 * Source: the pattern in GPT-2's encoder (Radford et al. 2019), with Unicode's L and N.         */
size_t text_piece_bytes(const char *text, size_t n);

#endif
