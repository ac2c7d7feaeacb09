/* Seats: what a window takes while it is in work.
 *
 * Cells set aside for its search, and the two big blocks: its log-mel and its cross-attention keys
 * and values. A session takes a seat when a window is ready to be heard and gives it back when its
 * text is kept, so sessions that wait for audio hold next to nothing, and whoever waits for a seat
 * gets one, oldest first, as soon as a window of any session is done. There are as many seats as
 * one batch holds windows; their blocks are made when first needed and kept.
 * Thread: any; a seat belongs to the session that took it.                                       */
#ifndef RECOG_SEATS_H
#define RECOG_SEATS_H

#include "model/whisper/whisper.h"
#include "recog/decode/cells.h"

struct recog_seat {
    float *mel; /* [window_frames, n_mels] */
    struct whisper_window *window;
    size_t n_cells; /* reserved */
    struct recog_seat *next;
};

struct recog_seats; /* opaque */

/* n: seats at most. Model and cells are borrowed. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_seats_create(const struct whisper_model *model,
                                                         struct recog_cells *cells, int n,
                                                         struct recog_seats **out);
void recog_seats_destroy(struct recog_seats *seats);

/* A seat with n_cells reserved. Errors: AGAIN (others hold the seats or the cells; the claim
 * waits in the queue), NOMEM.                                                                    */
AURICLE_MUST_CHECK enum auricle_error recog_seats_take(struct recog_seats *seats,
                                                       struct recog_claim *claim, size_t n_cells,
                                                       struct recog_seat **out);
void recog_seats_give(struct recog_seats *seats, struct recog_seat *seat); /* NULL is fine */

#endif
