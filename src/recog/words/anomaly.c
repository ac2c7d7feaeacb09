/* Silence around invented segments. See anomaly.h. */
#include "recog/words/anomaly.h"

#include <math.h>

static const struct recog_piece *next_with_words(const struct recog_piece *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].n_words)
            return &pieces[i];
    }
    return NULL;
}

double recog_anomaly_end(const struct recog_words *words, const struct recog_piece *pieces,
                         size_t n)
{
    for (size_t i = n; i-- > 0;) {
        if (pieces[i].n_words)
            return recog_words_of(words, &pieces[i])[pieces[i].n_words - 1].end;
    }
    return pieces[n - 1].end;
}

static bool anomalous(const struct recog_words *words, const struct recog_piece *piece)
{
    return piece && recog_words_anomalous(words, piece);
}

static int64_t frame(double seconds)
{
    return (int64_t)llrint(seconds * 100);
}

/* Silence, or more of the same, on both sides of piece i? */
static bool surrounded(const struct recog_words *words, const struct recog_anomaly_window *w,
                       const struct recog_piece *pieces, size_t n, size_t i, double before_end)
{
    const struct recog_piece *piece = &pieces[i],
                             *after = next_with_words(pieces + i + 1, n - i - 1);
    double after_start = after ? recog_words_of(words, after)[0].start : w->begin + w->duration;
    bool silence_before = piece->start - before_end > w->threshold || piece->start < w->threshold ||
                          piece->start - w->begin < 2.0;
    bool silence_after = after_start - piece->end > w->threshold || anomalous(words, after) ||
                         w->end - piece->end < 2.0;
    return silence_before && silence_after;
}

bool recog_anomaly_skip(const struct recog_words *words, const struct recog_anomaly_window *w,
                        const struct recog_piece *pieces, size_t *n_pieces, int64_t *seek)
{
    if (!*n_pieces)
        return true;
    double last = recog_anomaly_end(words, pieces, *n_pieces);
    if (!w->single_ending && last > w->begin)
        *seek = w->end - last > w->threshold ? frame(last) : w->seek + w->segment_frames;
    const struct recog_piece *first = next_with_words(pieces, *n_pieces);
    if (anomalous(words, first) && first->start - w->begin > w->threshold) {
        *seek = w->seek + frame(first->start - w->begin);
        return false;
    }
    double before_end = w->last_speech;
    for (size_t i = 0; i < *n_pieces; i++) {
        const struct recog_piece *piece = &pieces[i];
        if (!piece->n_words)
            continue;
        if (anomalous(words, piece) && surrounded(words, w, pieces, *n_pieces, i, before_end)) {
            double resume = w->begin + 1 > piece->start ? w->begin + 1 : piece->start;
            *seek = w->recording - piece->end < w->threshold ? w->content_frames : frame(resume);
            *n_pieces = i;
            return true;
        }
        before_end = piece->end;
    }
    return true;
}
