/* One call for one recording: a session driven in a loop. */
#include <stdio.h>

#include "recog/message.h"
#include "recog/session.h"

enum {
    MAX_UNITS = 64,
    MAX_LOOKS = 16 /* at the recording, of 30 s each, before units are run or progress is told */
};

/* Everything the session has ready, as one batch. */
static enum auricle_error turn(struct auricle_session *session, struct auricle_message *message)
{
    struct auricle_unit *units[MAX_UNITS];
    size_t n = 0;
    for (int looks = 0; n < MAX_UNITS && looks < MAX_LOOKS;) {
        enum auricle_error error = auricle_session_next(session, &units[n], message);
        if (error)
            return error;
        if (units[n])
            n++;
        else if (auricle_session_wait(session) == AURICLE_WAIT_NONE)
            looks++;
        else
            break;
    }
    if (!n && auricle_session_wait(session) == AURICLE_WAIT_ROOM)
        recog_cells_await(session->engine->free_cells);
    auricle_engine_run(session->engine, units, n);
    for (size_t i = 0; i < n; i++) {
        enum auricle_error error = auricle_session_complete(session, units[i], message);
        if (error)
            return error;
    }
    return AURICLE_OK;
}

/* One call: its session, and whom to tell. */
struct call {
    const struct auricle_callbacks *callbacks; /* NULL: nobody */
    struct auricle_session *session;           /* NULL while the input is opened */
    size_t n_told;                             /* segments */
};

/* False when the caller wants to stop. Asked while the input is waited for, too. */
static bool go_on(void *context)
{
    const struct call *call = context;
    double done = 0, total = -1;
    if (!call->callbacks || !call->callbacks->progress)
        return true;
    if (call->session)
        auricle_session_position(call->session, &done, &total);
    return call->callbacks->progress(call->callbacks->context, done, total);
}

static void tell_segments(struct call *call)
{
    size_t n;
    const struct auricle_callbacks *callbacks = call->callbacks;
    const struct auricle_segment *segments = auricle_session_segments(call->session, &n);
    for (; callbacks && callbacks->on_segment && call->n_told < n; call->n_told++)
        callbacks->on_segment(callbacks->context, &segments[call->n_told]);
}

/* A transcript that was stopped does not look whole: its warning says how far it goes. */
static enum auricle_error warn_of_stop(struct auricle_session *session)
{
    char sentence[160], of[40] = "";
    double done, total;
    auricle_session_position(session, &done, &total);
    if (total > 0)
        snprintf(of, sizeof of, " of %.0f s", total);
    snprintf(sentence, sizeof sentence,
             "stopped after %.0f s%s; what was heard until then is kept, the rest is missing", done,
             of);
    return recog_result_set_warning(session->result, sentence);
}

static enum auricle_error drive(struct call *call, struct auricle_result **out,
                                struct auricle_message *message)
{
    struct auricle_session *session = call->session;
    enum auricle_error error = AURICLE_OK;
    while (!error && !auricle_session_finished(session)) {
        error = turn(session, message);
        if (!error)
            tell_segments(call);
        if (!error && !go_on(call))
            error = AURICLE_E_CANCELLED;
    }
    if (error == AURICLE_E_CANCELLED) {
        const struct au_fault stopped = {error, "stopped on request; what was finished is kept"};
        (void)recog_message(error, &stopped, message);
    }
    if (error && error != AURICLE_E_CANCELLED)
        return error;
    enum auricle_error taken = error ? warn_of_stop(session) : AURICLE_OK;
    if (!taken)
        taken = auricle_session_take_result(session, out);
    if (!taken)
        return error;
    const struct au_fault lost = {taken, "out of memory while putting the transcript together"};
    return recog_message(taken, &lost, message);
}

enum auricle_error auricle_transcribe(struct auricle_engine *engine, const char *path,
                                      const struct auricle_options *options,
                                      const struct auricle_callbacks *callbacks,
                                      struct auricle_result **out, struct auricle_message *message)
{
    struct call call = {.callbacks = callbacks};
    *out = NULL;
    enum auricle_error error = recog_session_open(engine, path, options, go_on, &call,
                                                  &call.session, message);
    if (!error)
        error = drive(&call, out, message);
    auricle_session_destroy(call.session);
    return error;
}

enum auricle_error auricle_transcribe_samples(struct auricle_engine *engine, const float *samples,
                                              size_t n, const struct auricle_options *options,
                                              const struct auricle_callbacks *callbacks,
                                              struct auricle_result **out,
                                              struct auricle_message *message)
{
    struct call call = {.callbacks = callbacks};
    *out = NULL;
    enum auricle_error error = auricle_session_create_samples(engine, samples, n, options,
                                                              &call.session, message);
    if (!error)
        error = drive(&call, out, message);
    auricle_session_destroy(call.session);
    return error;
}
