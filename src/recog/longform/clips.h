/* Which parts of a recording are asked for: clip times, or offset and duration, as 10 ms frames
 * and as samples. Ascending and not overlapping; what is out of order is refused by the options'
 * check. */
#ifndef RECOG_CLIPS_H
#define RECOG_CLIPS_H

#include <stdbool.h>

#include "auricle/auricle.h"
#include "recog/voice/vad.h"

struct recog_clip {
    int64_t first, end; /* frames; end INT64_MAX / 160 for the recording's end */
};

struct recog_clips {
    size_t n;
    struct recog_clip *list;
};

/* Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_clips_init(struct recog_clips *clips,
                                                       const struct auricle_options *options);
void recog_clips_deinit(struct recog_clips *clips);

/* The first part of a stretch that lies in a clip, and what is left behind it; false when no part
 * does.                                                                                          */
bool recog_clips_cut(const struct recog_clips *clips, const struct recog_speech *speech,
                     struct recog_speech *inside, struct recog_speech *rest);
/* What is asked for at or after a sample, up to its clip's end; false when nothing is. */
bool recog_clips_at(const struct recog_clips *clips, int64_t sample, struct recog_speech *out);

#endif
