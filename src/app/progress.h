/* Progress of one recording or file on standard error: a bar on a terminal, a line now and then
 * elsewhere.
 *
 * Main thread only. Anything else that is printed while a bar is up goes between
 * app_progress_clear and the next update.                                                        */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum app_progress_mode { APP_PROGRESS_OFF, APP_PROGRESS_LINES, APP_PROGRESS_BAR };

struct app_progress {
    enum app_progress_mode mode;
    bool bytes;        /* figures are bytes, not seconds of audio; set after app_progress_start */
    const char *label; /* borrowed */
    int64_t start_ns, last_ns;
    double before; /* bytes that were there at the first update */
    bool drawn;    /* a bar stands on the terminal's present line */
};

/* BAR when standard error is a terminal that can move its cursor, otherwise LINES. */
enum app_progress_mode app_progress_choose(bool quiet);
void app_progress_start(struct app_progress *progress, enum app_progress_mode mode,
                        const char *label);
/* Seconds of audio, or bytes; total < 0 when unknown. Draws ten times a second at most. */
void app_progress_update(struct app_progress *progress, double done, double total);
void app_progress_clear(struct app_progress *progress);

/* One line of at most `columns` characters (0: of any length and without the bar):
 * "talk.mp3 [=====>    ]  42 %  4:12 of 10:00  8.1x  0:43 left". Pure: for tests too.            */
void app_progress_line(struct au_buf *out, const char *label, double done, double total,
                       double elapsed, int columns);
/* The same for bytes: "model.safetensors [==>   ]  42 %  65.1 of 155.0 MB  8.1 MB/s  0:11 left".
 * before: bytes that had come when the time began. */
void app_progress_bytes_line(struct au_buf *out, const char *label, double before, double done,
                             double total, double elapsed, int columns);
/* "4:12", "1:02:03". */
void app_progress_time(struct au_buf *out, double seconds);

#endif
