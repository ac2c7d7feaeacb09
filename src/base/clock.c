/* Time. See clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t); /* cannot fail for the three clocks below */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t au_now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

int64_t au_cpu_ns(void)
{
    return read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t au_wall_ms(void)
{
    return read_clock_ns(CLOCK_REALTIME) / 1000000;
}

void au_time_text(int64_t wall_ms, char out[AU_TIME_TEXT_BYTES])
{
    int64_t seconds = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    time_t t = (time_t)seconds;
    struct tm utc;
    size_t n = 0;
    if (gmtime_r(&t, &utc))
        n = strftime(out, AU_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, AU_TIME_TEXT_BYTES - n, ".%03dZ", (int)ms);
}
