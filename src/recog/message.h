/* From an internal fault to the sentence of the public interface. */
#ifndef RECOG_MESSAGE_H
#define RECOG_MESSAGE_H

#include "auricle/auricle.h"
#include "base/error.h"
#include "base/str.h"

/* Copy the fault's sentence into message (NULL is fine) when error is a failure; returns error. */
static inline enum auricle_error recog_message(enum auricle_error error,
                                               const struct au_fault *fault,
                                               struct auricle_message *message)
{
    if (message)
        au_str_copy(message->text, sizeof(message->text),
                    !error                     ? ""
                    : fault->text[0]           ? fault->text
                    : error == AURICLE_E_NOMEM ? "out of memory"
                                               : auricle_error_name(error));
    return error;
}

#endif
