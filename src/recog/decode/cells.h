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

/* Take a free cell with one reference (covered by a reservation); add or drop a reference. */
int32_t recog_cells_take(struct recog_cells *cells);
void recog_cells_ref(struct recog_cells *cells, const int32_t *list, size_t n);
void recog_cells_unref(struct recog_cells *cells, const int32_t *list, size_t n);
size_t recog_cells_in_use(struct recog_cells *cells);

#endif
