/* One hearing of a stretch of a stream: an ordinary session over the samples in the stream's ring.
 *
 * So a final equals, by construction, what an offline session hears in the same samples. The
 * session lives as long as the pass; several passes follow one another. Owner: one stream.       */
#ifndef RECOG_PASS_H
#define RECOG_PASS_H

#include "audio/ring.h"
#include "recog/session.h"
#include "recog/stream/endpoint.h"

struct recog_pass {
    struct auricle_session *session; /* NULL: none is under way */
    bool final;
    bool abandoned; /* nobody waits for it: it ends when its unit is back */
    struct recog_utterance heard;
    struct audio_ring *ring;
};

/* Begin to hear samples [heard.begin, heard.end), which stay in the ring until the end. The pass
 * stays where it is in memory. language: code; NULL: to be detected. Errors: as
 * auricle_session_create_samples.                                                                */
AURICLE_MUST_CHECK enum auricle_error recog_pass_begin(struct recog_pass *pass,
                                                       struct auricle_session *stream,
                                                       const char *language,
                                                       struct au_fault *fault);
void recog_pass_end(struct recog_pass *pass);

/* Text of all its kept segments as one: text without white space around it, words and tokens of
 * all, times inside the pass. Release with recog_segment_deinit; n_tokens 0: nothing was heard.
 * Errors: NOMEM.                                                                                 */
AURICLE_MUST_CHECK enum auricle_error recog_pass_join(const struct recog_pass *pass,
                                                      struct auricle_segment *out);

#endif
