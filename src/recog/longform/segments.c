/* Cutting a window's tokens at its timestamps. See segments.h. */
#include "recog/longform/segments.h"

enum { FRAMES_PER_STEP = 2 }; /* 10 ms frames in one timestamp step of 20 ms */

static bool is_stamp(const int32_t *tokens, size_t i, int32_t begin)
{
    return tokens[i] >= begin;
}

/* The whole window as one segment; its end is the last timestamp when there is one. */
static size_t whole(const int32_t *tokens, size_t n, int32_t begin, int64_t segment_frames,
                    struct recog_span *spans, int64_t *advance)
{
    spans[0] = (struct recog_span){0, n, 0, (int32_t)(segment_frames / FRAMES_PER_STEP)};
    for (size_t i = n; i-- > 0;) {
        if (!is_stamp(tokens, i, begin))
            continue;
        if (tokens[i] != begin)
            spans[0].end = tokens[i] - begin;
        break;
    }
    *advance = segment_frames;
    return 1;
}

/* Tokens behind the last pair: they end with the window, or at their own last timestamp. */
static struct recog_span tail(const int32_t *tokens, size_t n, int32_t begin, size_t first,
                              int64_t segment_frames)
{
    int32_t start = is_stamp(tokens, first, begin) ? tokens[first] - begin
                                                   : tokens[first - 1] - begin;
    int32_t end = (int32_t)(segment_frames / FRAMES_PER_STEP);
    return (struct recog_span){first, n - first, start, end > start ? end : start};
}

size_t recog_segments_cut(const int32_t *tokens, size_t n, int32_t begin, int64_t segment_frames,
                          bool keep_tail, struct recog_span *spans, int64_t *advance)
{
    bool single_ending = n >= 2 && is_stamp(tokens, n - 1, begin) &&
                         !is_stamp(tokens, n - 2, begin);
    size_t count = 0, last = 0;
    bool any_pair = false;
    for (size_t i = 1; i <= n && count < RECOG_MAX_SPANS; i++) {
        bool pair = i < n && is_stamp(tokens, i - 1, begin) && is_stamp(tokens, i, begin);
        bool ending = i == n && single_ending && any_pair;
        any_pair |= pair;
        if (!pair && !ending)
            continue;
        /* Only the first run can begin without a timestamp: when none was asked for. */
        int32_t start = is_stamp(tokens, last, begin) ? tokens[last] - begin : 0;
        spans[count++] = (struct recog_span){last, i - last, start, tokens[i - 1] - begin};
        last = i;
    }
    if (!any_pair)
        return whole(tokens, n, begin, segment_frames, spans, advance);
    bool has_tail = n - last > 1 || (last < n && !is_stamp(tokens, last, begin));
    if (keep_tail && has_tail && count < RECOG_MAX_SPANS)
        spans[count++] = tail(tokens, n, begin, last, segment_frames);
    *advance = single_ending && last == n ? segment_frames
                                          : (int64_t)(tokens[last - 1] - begin) * FRAMES_PER_STEP;
    return count;
}
