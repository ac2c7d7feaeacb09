/* Time. Durations come from the monotonic clock; the wall clock is only ever printed. */
#ifndef AU_BASE_CLOCK_H
#define AU_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t au_now_ns(void);  /* monotonic */
int64_t au_cpu_ns(void);  /* processor time of the whole process */
int64_t au_wall_ms(void); /* since 1970, UTC */

/* "2026-01-31T23:59:59.123Z"; out holds at least 25 bytes. */
#define AU_TIME_TEXT_BYTES 32
void au_time_text(int64_t wall_ms, char out[AU_TIME_TEXT_BYTES]);

#endif
