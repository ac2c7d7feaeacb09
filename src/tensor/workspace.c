/* The stack of temporaries of one model call. See workspace.h. */
#include "tensor/workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tensor_workspace_plan(struct tensor_workspace *ws)
{
    *ws = (struct tensor_workspace){0};
}

enum auricle_error tensor_workspace_create(struct tensor_workspace *ws, size_t bytes)
{
    unsigned char *data = au_alloc_aligned(bytes > 0 ? bytes : 1);
    if (!data)
        return AURICLE_E_NOMEM;
    memset(data, 0, bytes);
    *ws = (struct tensor_workspace){.data = data, .bytes = bytes};
    return AURICLE_OK;
}

void tensor_workspace_deinit(struct tensor_workspace *ws)
{
    if (!ws)
        return;
    au_free(ws->data);
    *ws = (struct tensor_workspace){0};
}

/* A plan beyond memory: what was asked for cannot be addressed, so no reservation will succeed. */
static size_t saturated_add(size_t a, size_t b)
{
    size_t sum;
    return au_add_size(a, b, &sum) ? sum : SIZE_MAX - AU_ALIGN;
}

void *tensor_take(struct tensor_workspace *ws, size_t count, size_t size)
{
    size_t bytes;
    if (!au_mul_size(count, size, &bytes) || bytes > SIZE_MAX - 2 * AU_ALIGN)
        bytes = SIZE_MAX - 2 * AU_ALIGN;
    const size_t at = ws->used;
    ws->used = saturated_add(at, au_round_up(bytes, AU_ALIGN));
    if (ws->used > ws->peak)
        ws->peak = ws->used;
    if (!ws->data)
        return NULL;
    if (ws->used > ws->bytes) {
        fprintf(stderr, "tensor_take: %zu bytes wanted at %zu, %zu were planned\n", bytes, at,
                ws->bytes);
        abort();
    }
    return ws->data + at;
}

size_t tensor_mark(const struct tensor_workspace *ws)
{
    return ws->used;
}

void tensor_release(struct tensor_workspace *ws, size_t mark)
{
    ws->used = mark;
}
