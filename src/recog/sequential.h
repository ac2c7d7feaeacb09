/* Sequential long form: window after window, each beginning where the last one's timestamps ended.
 *
 * Exactly the original's transcribe loop: language from the first 30 s, mel maximum of the whole
 * recording (a first pass), conditioning on previous text, temperature ladder, no-speech rule.
 * Source: openai/whisper transcribe.py.                                                          */
#ifndef RECOG_SEQUENTIAL_H
#define RECOG_SEQUENTIAL_H

#include "recog/session.h"

AURICLE_MUST_CHECK enum auricle_error recog_sequential_create(struct auricle_session *session,
                                                              struct recog_sequential **out,
                                                              struct au_fault *fault);
void recog_sequential_destroy(struct recog_sequential *seq);

/* As auricle_session_next and _complete. */
AURICLE_MUST_CHECK enum auricle_error recog_sequential_next(struct recog_sequential *seq,
                                                            struct auricle_unit **out,
                                                            struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error recog_sequential_complete(struct recog_sequential *seq,
                                                                struct auricle_unit *unit,
                                                                struct au_fault *fault);
bool recog_sequential_finished(const struct recog_sequential *seq);
void recog_sequential_position(const struct recog_sequential *seq, double *done, double *total);

#endif
