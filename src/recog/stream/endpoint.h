/* Where utterances begin and end in audio that is still arriving.
 *
 * Fed with one chunk's speech probability and loudness after the other, it says when speech began
 * (once there is enough of it not to be a click), when a silence has ended it, and cuts what grows
 * too long at its best silence. Its decisions depend on the samples alone, never on the pieces they
 * came in. Utterances do not overlap; their borders lie on 10 ms frames, but for the very end.
 * Times are samples from the first one fed. Owner: one stream. Only init allocates.              */
#ifndef RECOG_ENDPOINT_H
#define RECOG_ENDPOINT_H

#include "recog/voice/vad.h"

struct recog_endpoint_config {
    double threshold;
    double silence_ms, pad_ms, min_speech_ms;
    int64_t longest; /* samples of an utterance, at least 1 s */
    int rate_hz;
    size_t chunk_samples;
};

/* A stretch to be heard: a whole utterance or, of a long one, a part. */
struct recog_utterance {
    int64_t begin, end;
    int64_t voiced; /* samples in chunks with speech */
    bool last;      /* the speech ends with it */
};

struct recog_endpoint_chunk {
    float power; /* mean square */
    bool quiet, loud;
};

/* Plain data, to be read: what is being heard at present. */
struct recog_endpoint {
    struct recog_endpoint_config config;
    struct recog_vad_iterator iterator;
    double neg_threshold;
    int64_t now;         /* samples fed */
    int64_t floor;       /* end of the last utterance: the next begins here or later */
    bool open;           /* something like speech is being heard ... */
    bool told;           /* ... and is speech */
    int64_t begin;       /* of it, padding included */
    int64_t voiced;      /* samples in chunks with speech since begin */
    int64_t voiced_end;  /* end of the last such chunk */
    int64_t first_chunk; /* where chunks[0] begins */
    struct recog_endpoint_chunk *chunks; /* since the speech began or was cut */
    size_t n_chunks, most_chunks;
};

/* Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_endpoint_init(
    struct recog_endpoint *endpoint, const struct recog_endpoint_config *config);
void recog_endpoint_deinit(struct recog_endpoint *endpoint);

struct recog_endpoint_news {
    bool started; /* speech is being heard; it began at `start` */
    int64_t start;
    bool heard; /* an utterance is complete */
    struct recog_utterance utterance;
};
/* The next chunk; the last of a stream may be shorter. */
void recog_endpoint_feed(struct recog_endpoint *endpoint, double probability, float power,
                         struct recog_endpoint_news *news);
/* End what is being heard at sample `at`, now or a part of a chunk later, as a silence would. */
void recog_endpoint_end(struct recog_endpoint *endpoint, int64_t at,
                        struct recog_endpoint_news *news);

#endif
