/* What a long-form strategy is to its session: a state machine behind five calls. */
#ifndef RECOG_STRATEGY_H
#define RECOG_STRATEGY_H

#include <stdbool.h>

#include "auricle/auricle.h"
#include "base/error.h"

struct recog_strategy {
    void *self;
    /* As auricle_session_next, _complete, _finished and _position. */
    enum auricle_error (*next)(void *self, struct auricle_unit **out, struct au_fault *fault);
    enum auricle_error (*complete)(void *self, struct auricle_unit *unit, struct au_fault *fault);
    bool (*finished)(const void *self);
    void (*position)(const void *self, double *done, double *total);
    void (*destroy)(void *self);
};

#endif
