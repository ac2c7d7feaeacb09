/* Parts of a recording. See clips.h. */
#include "recog/longform/clips.h"

#include <math.h>

#include "audio/mel.h"
#include "base/mem.h"

#define TO_THE_END (INT64_MAX / AUDIO_MEL_HOP)

static int64_t frames(double seconds)
{
    return seconds < 1e12 ? (int64_t)llrint(seconds * 100) : TO_THE_END;
}

enum auricle_error recog_clips_init(struct recog_clips *clips, const struct auricle_options *o)
{
    size_t n_times = o->n_clip_seconds > 0 ? (size_t)o->n_clip_seconds : 0;
    clips->n = n_times ? (n_times + 1) / 2 : 1;
    clips->list = au_calloc(clips->n, sizeof(*clips->list));
    if (!clips->list)
        return AURICLE_E_NOMEM;
    if (!n_times) {
        double end = o->offset_seconds + o->duration_seconds;
        clips->list[0].first = frames(o->offset_seconds);
        clips->list[0].end = o->duration_seconds > 0 ? frames(end) : TO_THE_END;
        return AURICLE_OK;
    }
    for (size_t i = 0; i < clips->n; i++) {
        clips->list[i].first = frames(o->clip_seconds[2 * i]);
        bool has_end = 2 * i + 1 < n_times;
        clips->list[i].end = has_end ? frames(o->clip_seconds[2 * i + 1]) : TO_THE_END;
    }
    return AURICLE_OK;
}

void recog_clips_deinit(struct recog_clips *clips)
{
    au_free(clips->list);
    clips->list = NULL;
}

bool recog_clips_at(const struct recog_clips *clips, int64_t sample, struct recog_speech *out)
{
    for (size_t i = 0; i < clips->n; i++) {
        int64_t first = clips->list[i].first * AUDIO_MEL_HOP,
                end = clips->list[i].end * AUDIO_MEL_HOP;
        if (end <= sample || end <= first)
            continue;
        *out = (struct recog_speech){first > sample ? first : sample, end};
        return true;
    }
    return false;
}

bool recog_clips_cut(const struct recog_clips *clips, const struct recog_speech *speech,
                     struct recog_speech *inside, struct recog_speech *rest)
{
    struct recog_speech wanted;
    if (!recog_clips_at(clips, speech->start, &wanted) || wanted.start >= speech->end)
        return false;
    inside->start = wanted.start;
    inside->end = wanted.end < speech->end ? wanted.end : speech->end;
    *rest = (struct recog_speech){inside->end, speech->end};
    return true;
}
