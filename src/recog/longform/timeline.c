/* From window time to recording time. See timeline.h. */
#include "recog/longform/timeline.h"

#include <math.h>

#include "audio/decode.h"

int64_t recog_timeline_length(const struct recog_timeline *line)
{
    if (!line->n)
        return 0;
    const struct recog_stretch *last = &line->stretches[line->n - 1];
    return last->window + last->length;
}

bool recog_timeline_add(struct recog_timeline *line, int64_t file, int64_t length)
{
    struct recog_stretch *last = line->n ? &line->stretches[line->n - 1] : NULL;
    if (last && last->file + last->length == file) {
        last->length += length;
        return true;
    }
    if (line->n == RECOG_MAX_STRETCHES)
        return false;
    int64_t window = recog_timeline_length(line);
    line->stretches[line->n++] = (struct recog_stretch){window, file, length};
    return true;
}

void recog_timeline_drop(struct recog_timeline *line, int64_t samples)
{
    size_t kept = 0;
    for (size_t i = 0; i < line->n; i++) {
        struct recog_stretch stretch = line->stretches[i];
        int64_t cut = samples - stretch.window;
        cut = cut < 0 ? 0 : cut;
        if (cut >= stretch.length)
            continue;
        stretch.window += cut - samples;
        stretch.file += cut;
        stretch.length -= cut;
        line->stretches[kept++] = stretch;
    }
    line->n = kept;
}

void recog_timeline_keep(struct recog_timeline *line, int64_t samples)
{
    while (line->n && line->stretches[line->n - 1].window >= samples)
        line->n--;
    struct recog_stretch *last = line->n ? &line->stretches[line->n - 1] : NULL;
    if (last && last->length > samples - last->window)
        last->length = samples - last->window;
}

int64_t recog_timeline_map(const struct recog_timeline *line, int64_t window, enum recog_side side)
{
    size_t low = 0, high = line->n; /* the last stretch that begins before the moment */
    while (low + 1 < high) {
        size_t middle = (low + high) / 2;
        int64_t begin = line->stretches[middle].window;
        bool before = side == RECOG_SIDE_START ? begin <= window : begin < window;
        low = before ? middle : low;
        high = before ? high : middle;
    }
    const struct recog_stretch *stretch = &line->stretches[low];
    int64_t inside = window - stretch->window;
    inside = inside < 0 ? 0 : inside > stretch->length ? stretch->length : inside;
    return stretch->file + inside;
}

double recog_timeline_seconds(const struct recog_timeline *line, double window,
                              enum recog_side side)
{
    int64_t sample = (int64_t)llrint(window * AUDIO_RATE_HZ);
    int64_t mapped = recog_timeline_map(line, sample, side);
    return rint((double)mapped * 1000 / AUDIO_RATE_HZ) / 1000;
}
