/* Plan, then run: a workspace is one block, reserved at admission, from which a model call takes
 * its temporaries in stack order. Planning and running use the same code path: in planning mode
 * (data NULL) the takes only add up, so plan and use cannot disagree.
 * Owner: one call at a time.                                                                    */
#ifndef TENSOR_WORKSPACE_H
#define TENSOR_WORKSPACE_H

#include <stddef.h>

#include "base/error.h"

struct tensor_workspace {
    unsigned char *data; /* NULL while planning */
    size_t bytes;        /* size of data; 0 while planning */
    size_t used;
    size_t peak; /* largest `used` seen: the plan's answer */
};

/* A workspace in planning mode. */
void tensor_workspace_plan(struct tensor_workspace *ws);
/* Reserve `bytes` (touched, so that hot paths fault no pages). Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error tensor_workspace_create(struct tensor_workspace *ws,
                                                              size_t bytes);
void tensor_workspace_deinit(struct tensor_workspace *ws);

/* Take `count` elements of `size` bytes, AU_ALIGN aligned. While planning it returns NULL and
 * counts; while running it never fails: more than was planned is our own bug (abort with a
 * message).
 * Release in stack order by restoring a mark.                                                    */
void *tensor_take(struct tensor_workspace *ws, size_t count, size_t size);
size_t tensor_mark(const struct tensor_workspace *ws);
void tensor_release(struct tensor_workspace *ws, size_t mark);

#endif
