/* What a window's text leaves unheard (ADR 045, 120).
 *
 * A model sometimes ends its text long before the speech in the window ends, or its text fills the
 * room for tokens. The batched form hears that rest as another window. It is decided before words
 * are timed: they lie in what was heard, not in what will be heard again.                        */
#ifndef RECOG_REST_H
#define RECOG_REST_H

#include "recog/longform/task.h"

/* The 10 ms frame at which the rest begins; 0: all was heard. Text behind the last pair of
 * timestamps that had no room to end is heard again with the rest, so its piece is dropped.
 * The task's pieces are cut and nothing was made of them yet.                                    */
int64_t recog_rest_find(struct recog_task *task);

#endif
