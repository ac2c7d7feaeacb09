/* The samples of a recording on demand, in flat memory.
 *
 * A file, samples in memory, or a feed whose samples arrive while they are heard. Reads go mostly
 * forward, as long-form recognition does: of a file the last minute is kept, and a read further
 * back starts the decoder again. Windows of log-mel come from here as well.
 *
 * A read gives AGAIN when its samples are not there yet (a feed), or when it would go further into
 * the recording than was allowed: so whoever reads does a bounded amount of work at a time.
 * Owner: one session.                                                                            */
#ifndef RECOG_SOURCE_H
#define RECOG_SOURCE_H

#include "audio/decode.h"
#include "audio/mel.h"
#include "auricle/auricle.h"

struct recog_source; /* opaque */

/* path "-": standard input. samples: borrowed until closed. Errors: as audio_open_path. */
AURICLE_MUST_CHECK enum auricle_error recog_source_open(const char *path,
                                                        const struct audio_decode_options *options,
                                                        struct recog_source **out,
                                                        struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error recog_source_from_samples(const float *samples, size_t n,
                                                                struct recog_source **out);
/* The feed is copied, its context borrowed until closed. */
AURICLE_MUST_CHECK enum auricle_error recog_source_from_feed(const struct auricle_feed *feed,
                                                             struct recog_source **out);
void recog_source_close(struct recog_source *source);

/* From now on n samples may be decoded or read for the first time; the read that uses the last of
 * them is still whole. Without a call there is no limit.                                         */
void recog_source_allow(struct recog_source *source, int64_t n);
/* Was the last AGAIN for want of audio? */
bool recog_source_starved(const struct recog_source *source);

/* Samples [first, first + n) into out; *n_read is smaller at the end of the recording. Errors:
 * AGAIN, those of audio_read and of the feed.                                                    */
AURICLE_MUST_CHECK enum auricle_error recog_source_read(struct recog_source *source, int64_t first,
                                                        size_t n, float *out, size_t *n_read,
                                                        struct au_fault *fault);
/* Length in samples once the end was seen, else -1; and the header's estimate in seconds or -1. */
int64_t recog_source_length(const struct recog_source *source);
double recog_source_estimate(const struct recog_source *source);
const char *recog_source_warning(const struct recog_source *source);   /* NULL: none */
double recog_source_decode_seconds(const struct recog_source *source); /* time spent decoding */
double recog_source_mel_seconds(const struct recog_source *source);    /* in recog_source_mel */

/* Log-mel of frames [first, first + n_frames), not normalised, of the recording followed by
 *   silence. block [recog_source_block_samples(n_frames)] the samples it was made from, zeros past
 *   the end
 *   out   [n_frames, bins]; *max is raised to the largest value
 *   *n_inside frames begin inside the recording (n_frames, or fewer at its end)
 * Errors: as recog_source_read.                                                                  */
AURICLE_MUST_CHECK enum auricle_error recog_source_mel(struct recog_source *source,
                                                       const struct audio_mel *mel, int64_t first,
                                                       size_t n_frames, float *block, float *out,
                                                       float *max, size_t *n_inside,
                                                       struct au_fault *fault);
size_t recog_source_block_samples(size_t n_frames);
/* Where in the block the first frame's own samples begin. */
size_t recog_source_lead_samples(int64_t first);

#endif
