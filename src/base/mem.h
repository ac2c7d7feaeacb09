/* Memory: the only file that calls malloc and its kin.
 *
 * Every allocation of the program passes here, so that tests can make the n-th one fail. Blocks are
 * released with au_free, whatever function made them. All functions return NULL when memory is not
 * to be had or a size overflows; none aborts. Thread: any.                                      */
#ifndef AU_BASE_MEM_H
#define AU_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AU_ALIGN 64 /* cache line, AVX-512 register and AMX tile row */

/* a * b and a + b; false, and *out untouched, on overflow. */
static inline bool au_mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

static inline bool au_add_size(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

/* Round up to a multiple of a power of two; the caller knows that it does not overflow. */
static inline size_t au_round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) & ~(multiple - 1);
}

void *au_alloc(size_t bytes);                     /* uninitialised; bytes 0 gives a block */
void *au_calloc(size_t count, size_t bytes);      /* zeroed; checked product */
void *au_alloc_array(size_t count, size_t bytes); /* uninitialised; checked product */
void *au_alloc_aligned(size_t bytes); /* uninitialised, AU_ALIGN aligned, size rounded up */
void *au_alloc_sparse(size_t bytes);  /* the same for a block that may be touched in few places */
void *au_realloc(void *block, size_t bytes); /* the old block stays valid on failure */
/* Room for one more element behind n of a growing array: the block, moved perhaps, and *capacity in
 * elements. NULL: no memory; the old block and *capacity stay.                                   */
void *au_grow(void *block, size_t n, size_t *capacity, size_t element_bytes);
void au_free(void *block); /* NULL is fine */
char *au_strdup(const char *text);
char *au_strndup(const char *text, size_t n);
char *au_sprintf(const char *format, ...) __attribute__((format(printf, 1, 2))); /* new string */

/* Tests only: the n-th allocation from now fails (0: the next), and with `forever` every one after
 * it. au_mem_fail_never ends it. au_mem_count counts allocations since the start of the process. */
void au_mem_fail_at(uint64_t n, bool forever);
void au_mem_fail_never(void);
uint64_t au_mem_count(void);

#endif
