/* Memory: the one caller of malloc and its kin. See mem.h.
 *
 * The three atomics below are the program's only test hook: they count allocations and let a test
 * make one of them fail. They cost one uncontended atomic add per allocation, and hot paths do not
 * allocate.                                                                                     */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define HUGE_BLOCK_MIN  ((size_t)8 << 20) /* below, rounding to 2 MiB would waste too much */

static _Atomic uint64_t n_allocations;
static _Atomic uint64_t fail_first = UINT64_MAX, fail_last = UINT64_MAX; /* ordinals that fail */

static bool may_allocate(void)
{
    uint64_t ordinal = atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
    return ordinal < atomic_load_explicit(&fail_first, memory_order_relaxed) ||
           ordinal > atomic_load_explicit(&fail_last, memory_order_relaxed);
}

void au_mem_fail_at(uint64_t n, bool forever)
{
    uint64_t first = atomic_load(&n_allocations) + n;
    atomic_store(&fail_last, forever ? UINT64_MAX : first);
    atomic_store(&fail_first, first);
}

void au_mem_fail_never(void)
{
    atomic_store(&fail_first, UINT64_MAX);
    atomic_store(&fail_last, UINT64_MAX);
}

uint64_t au_mem_count(void)
{
    return atomic_load(&n_allocations);
}

void *au_alloc(size_t bytes)
{
    return may_allocate() ? malloc(bytes ? bytes : 1) : NULL;
}

void *au_calloc(size_t count, size_t bytes)
{
    size_t total;
    if (!au_mul_size(count, bytes, &total) || !may_allocate())
        return NULL;
    return calloc(1, total ? total : 1);
}

void *au_alloc_array(size_t count, size_t bytes)
{
    size_t total;
    return au_mul_size(count, bytes, &total) ? au_alloc(total) : NULL;
}

/* Weights and workspaces are tens of megabytes that are walked from end to end: with 4 KiB pages
 * the first touch alone costs about 2 us a page. Large blocks therefore ask for huge pages.      */
void *au_alloc_aligned(size_t bytes)
{
    if (bytes > SIZE_MAX - HUGE_PAGE_BYTES || !may_allocate())
        return NULL;
    if (bytes < HUGE_BLOCK_MIN)
        return aligned_alloc(AU_ALIGN, au_round_up(bytes ? bytes : 1, AU_ALIGN));
    size_t rounded = au_round_up(bytes, AU_ALIGN);
    void *block = aligned_alloc(HUGE_PAGE_BYTES, au_round_up(rounded, HUGE_PAGE_BYTES));
    if (block)
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* advice: refusing it is not an error */
    return block;
}

/* A huge page is two megabytes as soon as one byte of it is touched. */
void *au_alloc_sparse(size_t bytes)
{
    if (bytes > SIZE_MAX - AU_ALIGN || !may_allocate())
        return NULL;
    return aligned_alloc(AU_ALIGN, au_round_up(bytes ? bytes : 1, AU_ALIGN));
}

void *au_realloc(void *block, size_t bytes)
{
    return may_allocate() ? realloc(block, bytes ? bytes : 1) : NULL;
}

void *au_grow(void *block, size_t n, size_t *capacity, size_t element_bytes)
{
    size_t wanted, bytes;
    if (n < *capacity)
        return block;
    if (!au_mul_size(*capacity ? *capacity : 8, 2, &wanted) ||
        !au_mul_size(wanted, element_bytes, &bytes))
        return NULL;
    void *larger = au_realloc(block, bytes);
    if (larger)
        *capacity = wanted;
    return larger;
}

void au_free(void *block)
{
    free(block);
}

char *au_strndup(const char *text, size_t n)
{
    size_t length = strnlen(text, n);
    char *copy = au_alloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *au_strdup(const char *text)
{
    return au_strndup(text, strlen(text));
}

char *au_sprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : au_alloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}
