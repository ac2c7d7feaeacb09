/* Blocks that are given out from front to back. See arena.h. */
#include "tensor/arena.h"

#include "base/mem.h"

#define BLOCK_BYTES ((size_t)32 << 20) /* what is not taken is never touched */

struct tensor_arena_block {
    struct tensor_arena_block *next;
    size_t bytes, used; /* this head included */
};

static struct tensor_arena_block *add_block(struct tensor_arena *arena, size_t bytes)
{
    const size_t head = au_round_up(sizeof(struct tensor_arena_block), AU_ALIGN);
    size_t wanted;
    if (!au_add_size(bytes, head, &wanted))
        return NULL;
    wanted = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;
    struct tensor_arena_block *block = au_alloc_aligned(wanted);
    if (!block)
        return NULL;
    *block = (struct tensor_arena_block){.next = arena->blocks, .bytes = wanted, .used = head};
    arena->blocks = block;
    return block;
}

void *tensor_arena_take(struct tensor_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - AU_ALIGN)
        return NULL;
    const size_t rounded = au_round_up(bytes, AU_ALIGN);
    struct tensor_arena_block *block = arena->blocks;
    while (block && block->bytes - block->used < rounded)
        block = block->next;
    if (!block)
        block = add_block(arena, rounded);
    if (!block)
        return NULL;
    void *taken = (unsigned char *)block + block->used;
    block->used += rounded;
    return taken;
}

void tensor_arena_deinit(struct tensor_arena *arena)
{
    for (struct tensor_arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        au_free(block);
    }
    arena->blocks = NULL;
}
