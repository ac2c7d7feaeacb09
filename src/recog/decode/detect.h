/* Which language a window is in: one decoder row. The one cell it needs is taken from what its
 * caller has reserved: of the window's own seat, whose search has not begun.
 * Owner: one session's thread.                                                                   */
#ifndef RECOG_DETECT_H
#define RECOG_DETECT_H

#include "recog/engine.h"
#include "recog/unit.h"
#include "text/tokenizer.h"

struct recog_detect {
    struct auricle_engine *engine;
    struct auricle_unit unit;
    struct recog_row row;
    int32_t cell; /* taken while the unit is out */
    bool unit_out;
    float probability[TEXT_MAX_LANGUAGES];
};

/* A zeroed struct may be deinitialised, and one whose unit is out. */
void recog_detect_deinit(struct recog_detect *detect);

/* The unit that asks the window; window is encoded. session may be NULL. */
struct auricle_unit *recog_detect_unit(struct recog_detect *detect, struct auricle_engine *engine,
                                       struct auricle_session *session,
                                       const struct whisper_window *window);
/* After it ran: index of the likeliest language of those that may be chosen, the first where
 * none is likelier; probabilities stand in the struct, 0 for what is no number.                  */
int recog_detect_done(struct recog_detect *detect);
/* The same, and it is the session's language from now on. n_samples: of sound in the window. */
void recog_detect_decide(struct recog_detect *detect, struct auricle_session *session,
                         int64_t n_samples);

#endif
