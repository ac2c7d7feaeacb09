/* What every fuzz target offers and uses.
 *
 * A target is one file with LLVMFuzzerTestOneInput. With -Dfuzz=true (clang) it is linked with
 * libFuzzer; otherwise with replay.c, which feeds it the seeds and damaged copies of them, so that
 * every build runs the targets for a moment and a sanitizer build does so in earnest. A target
 * accepts or refuses its input; it crashes (FUZZ_CHECK) when a promise is broken.               */
#ifndef AURICLE_FUZZ_H
#define AURICLE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                               \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

#endif
