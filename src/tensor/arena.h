/* Memory for matrices that live and die together.
 *
 * Matrices of a model are walked from end to end by every step. One after the other in a few large
 * blocks they share pages of 2 MiB where the system has them, and the processor's prefetching,
 * which stops at the end of a page, seldom does.
 * Owner: one thread takes at a time; the bytes may then be used by any.                          */
#ifndef TENSOR_ARENA_H
#define TENSOR_ARENA_H

#include <stddef.h>

struct tensor_arena_block; /* opaque */

struct tensor_arena {
    struct tensor_arena_block *blocks; /* zeroed struct: empty */
};

/* `bytes` bytes, AU_ALIGN aligned, until deinit; NULL without memory. */
void *tensor_arena_take(struct tensor_arena *arena, size_t bytes);
void tensor_arena_deinit(struct tensor_arena *arena);

#endif
