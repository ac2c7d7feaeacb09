/* Which self-attention cells are free, and how many hypotheses share each.
 *
 * The keys and values live in struct whisper_cells; this is only the book-keeping. Beams that share
 * a past share its cells, so reordering copies cell numbers. Freed cells are reused last in, first
 * out, which keeps the touched memory small. Whoever decodes reserves its worst case first, so that
 * taking a cell never fails in a hot path.
 * Thread: any; sessions with different owners share one.                                         */
#ifndef RECOG_CELLS_H
#define RECOG_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct recog_cells; /* opaque */

AURICLE_MUST_CHECK enum auricle_error recog_cells_create(size_t n_cells, struct recog_cells **out);
void recog_cells_destroy(struct recog_cells *cells);

/* Set n cells aside; false when fewer are left. recog_cells_unreserve gives them back. */
bool recog_cells_reserve(struct recog_cells *cells, size_t n);
void recog_cells_unreserve(struct recog_cells *cells, size_t n);

/* A place in the queue for cells, kept by whoever asks for them again and again; begins zeroed. */
struct recog_claim {
    struct recog_claim *next;
    bool waiting;   /* in the queue */
    uint64_t asked; /* when last, counted in asks of everybody */
    int n_passed;   /* times it stood back for owners that did not ask */
};
/* Reserve n cells in order of asking: false while fewer are left or an older claim waits for
 * them, so that a big claim is not starved by small ones. Claims whose owner has stopped asking
 * are passed after a few tries: a session that is not driven holds nobody up. Once true, the claim
 * has left the queue.                                                                            */
bool recog_cells_claim(struct recog_cells *cells, struct recog_claim *claim, size_t n);
/* Wait until cells are given back, some milliseconds at most; for owners that have nothing else to
 * do.                                                                                            */
void recog_cells_await(struct recog_cells *cells);
/* Leave the queue; no effect on a claim that is not in it. */
void recog_cells_unclaim(struct recog_cells *cells, struct recog_claim *claim);

/* Take a free cell with one reference (covered by a reservation); add or drop a reference. */
int32_t recog_cells_take(struct recog_cells *cells);
void recog_cells_ref(struct recog_cells *cells, const int32_t *list, size_t n);
void recog_cells_unref(struct recog_cells *cells, const int32_t *list, size_t n);
size_t recog_cells_in_use(struct recog_cells *cells);

#endif
