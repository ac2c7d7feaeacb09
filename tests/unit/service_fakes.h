/* Stand-ins for media, models and sessions, so that the scheduler, requests and live sessions can
 * be tested to the last interleaving: they take the place of the real ones when the test is linked.
 *
 * A fake recording is n samples; the test says how many are decoded. A fake session cuts its audio
 * into windows of FAKE_WINDOW samples; each wants one window encoded and FAKE_STEPS steps, then is
 * one segment "first sample - last sample". The engine's runs stop at a gate when the test closed
 * it, and leave a record of what was in them.                                                    */
#ifndef AURICLE_TESTS_SERVICE_FAKES_H
#define AURICLE_TESTS_SERVICE_FAKES_H

#include "auricle/auricle.h"
#include "service/engines/engines.h"
#include "service/media/media.h"

enum { FAKE_WINDOW = 1600, FAKE_STEPS = 3, FAKE_MAX_WINDOWS = 4, FAKE_MAX_RUNS = 100000 };

struct fake_run {
    size_t n_windows, n_rows;
    size_t n_sessions;  /* that had a unit in it */
    size_t most_of_one; /* windows that one session had in it */
};

/* ---- Time ---- */
void fake_clock_reset(void);
void fake_clock_turn(int seconds); /* au_now_ns is that much later from now on */

/* ---- Media ---- */
void fake_media_set(size_t n_samples, enum auricle_error ends_with); /* of decodings from now on */
void fake_media_decoded(size_t n_samples); /* of all: this many are there; SIZE_MAX: to the end */
int fake_media_open(void);                 /* decodings not released */
void fake_media_refuses(enum auricle_error error); /* OK: it does not */

/* ---- Engines ---- */
void fake_engines_hold(bool hold);                  /* models are not had until released */
void fake_engines_refuse(enum auricle_error error); /* OK: they are had */
void fake_engine_gate(bool closed);                 /* runs wait */
void fake_engine_step(size_t n); /* let n runs pass a closed gate; until the next is there */
size_t fake_engine_runs(struct fake_run *out, size_t max); /* so far */
void fake_engine_forget(void);
void fake_session_refuse(enum auricle_error error); /* making one fails like this */

/* Nothing is held any more: leases, decodings, sessions. */
void fake_assert_clean(void);

#endif
