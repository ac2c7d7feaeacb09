/* A decoder that says what a script says.
 *
 * A session computes nothing itself, so its units can be completed without a model: the decoder
 * writes line after line, one for each time that a window is encoded or, when asked, for each text
 * that is searched for, and is sure of it unless told how sure. Of the engine only the vocabulary
 * and the dimensions are used. One session at a time, whose engine has one window.               */
#ifndef AURICLE_TESTS_SCRIPT_H
#define AURICLE_TESTS_SCRIPT_H

#include "auricle/auricle.h"

enum { AU_TEST_SCRIPT_TOKENS = 448 };

struct au_test_script {
    const char *const *lines; /* what the n-th encoded window holds; "<|1.50|>" is a timestamp */
    int n_lines, n_encoded;   /* windows beyond the last line hold the last line */
    bool each_search;         /* the n-th text searched for: one for each temperature tried */
    const float *logprobs;    /* [n_lines] of a line's tokens; NULL: -0.1 */
    int n_said;               /* lines begun */
    int n_prompted;           /* decodings that began with text from before the window */
    float language;           /* probability that every language gets where one is asked for */
    int32_t tokens[AU_TEST_SCRIPT_TOKENS]; /* of the present line, then end-of-text */
    size_t n_tokens;
};

/* An engine of the bundled model for scripts. */
struct auricle_engine *au_test_script_engine(void);

/* Do as the engine would: units are completed by the session afterwards. */
void au_test_script_run(struct au_test_script *script, struct auricle_engine *engine,
                        struct auricle_unit *unit);

/* The session's result, all of it by the script; the session is destroyed. */
struct auricle_result *au_test_script_hear(struct au_test_script *script,
                                           struct auricle_engine *engine,
                                           struct auricle_session *session);

/* A script engine, the default options (English, no detector), and a tone to hear. */
enum { AU_TEST_STAGE_SECONDS = 20, AU_TEST_STAGE_RATE = 16000 };

struct au_test_stage {
    struct auricle_engine *engine;
    struct auricle_options options;
    float *samples; /* [AU_TEST_STAGE_SECONDS * AU_TEST_STAGE_RATE] */
};

/* For cmocka: a stage of its own for each test. */
int au_test_stage_set_up(void **state);
int au_test_stage_tear_down(void **state);

/* A session on the first seconds of the tone, and what it makes of the script. */
struct auricle_session *au_test_stage_session(struct au_test_stage *stage, int seconds);
struct auricle_result *au_test_stage_hear(struct au_test_stage *stage,
                                          struct au_test_script *script, int seconds);
#endif
