/* Engines for tests. */
#ifndef AURICLE_TESTS_ENGINE_H
#define AURICLE_TESTS_ENGINE_H

#include "auricle/auricle.h"

/* An engine of the model at that path (a new string: freed) at the level of the tests, or the test
 * fails with its sentence. vad: the same; NULL: none. Of the options all else counts; their size
 * need not be set.                                                                               */
struct auricle_engine *au_test_engine(char *model, char *vad,
                                      struct auricle_engine_options options);

#endif
