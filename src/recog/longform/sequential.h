/* Sequential long form: window after window, each beginning where the last one's timestamps ended.
 *
 * Exactly the original's transcribe loop: language from the first 30 s, mel maximum of the whole
 * recording (a first pass), conditioning on previous text, temperature ladder, no-speech rule.
 * Source: openai/whisper transcribe.py.                                                          */
#ifndef RECOG_SEQUENTIAL_H
#define RECOG_SEQUENTIAL_H

#include "recog/session.h"

/* Errors: NOMEM, LIMIT (decoder cells). */
AURICLE_MUST_CHECK enum auricle_error recog_sequential_create(struct auricle_session *session,
                                                              struct recog_strategy *out,
                                                              struct au_fault *fault);

#endif
