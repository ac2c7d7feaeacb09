/* A session: one recording on its way to a result.
 *
 * The session holds what every long-form strategy needs; the strategy (sequential.h,
 * batched.h) is the state machine that decides which unit of work comes next.                    */
#ifndef RECOG_SESSION_H
#define RECOG_SESSION_H

#include "recog/decode/prompt.h"
#include "recog/decode/search.h"
#include "recog/engine.h"
#include "recog/longform/source.h"
#include "recog/longform/strategy.h"
#include "recog/result.h"
#include "recog/settings.h"
#include "recog/stream/stream.h"
#include "recog/unit.h"

struct auricle_session {
    struct auricle_engine *engine;
    struct recog_settings settings;
    struct recog_source *source;
    struct recog_result *result; /* NULL once taken */
    struct recog_rules rules;
    int32_t *hotwords; /* encoded; NULL: none */
    size_t n_hotwords;
    struct recog_strategy strategy;
    struct recog_stream *stream; /* the strategy, where it is a stream; else NULL */
    struct recog_claim claim;    /* in the queue for a seat */
    int max_windows;             /* in work at once */
    size_t n_out;                /* units handed out and not completed */
    enum auricle_wait idle; /* why the last next had no unit; UNITS while nothing else was said */
    int language;           /* index as in text_language_code; -1 until detected */
    /* Token ids by index as in text_language_code: -1 for those that detection may not choose. */
    int32_t candidates[TEXT_MAX_LANGUAGES];
    float language_probability;
    /* Of a detected language: what was detected, and in how much sound. */
    float language_probabilities[TEXT_MAX_LANGUAGES];
    int64_t language_samples;
    struct auricle_timings timings;
    int64_t started_ns;
};

/* auricle_session_create; go_on (NULL: nobody) is asked while a pipe is waited for. */
AURICLE_MUST_CHECK enum auricle_error recog_session_open(struct auricle_engine *engine,
                                                         const char *path,
                                                         const struct auricle_options *options,
                                                         audio_go_on *go_on, void *context,
                                                         struct auricle_session **out,
                                                         struct auricle_message *message);

/* A session over a source, or a stream (else NULL) beside one that says its length. Both are taken,
 * on failure too.                                                                                */
AURICLE_MUST_CHECK enum auricle_error recog_session_create(struct auricle_engine *engine,
                                                           struct recog_source *source,
                                                           const struct auricle_options *options,
                                                           struct recog_stream *stream,
                                                           struct auricle_session **out,
                                                           struct au_fault *fault);

/* The sentence of a strategy or a task that could not be made for want of memory. */
enum auricle_error recog_no_room(enum auricle_error error, struct au_fault *fault);

/* The sentence of a unit whose outcome could not be kept. */
enum auricle_error recog_not_kept(enum auricle_error error, struct au_fault *fault);

/* Token id of the session's language. */
int32_t recog_session_language_token(const struct auricle_session *session);

/* Code of the language that the text is in: of a translation English, else what is spoken; NULL
 * until that is detected.                                                                        */
const char *recog_session_text_language(const struct auricle_session *session);

#endif
