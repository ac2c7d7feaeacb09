/* Building a transcript. The public struct is the first member; everything it points to is owned
 * by the builder. Segments stay where they are in order; pointers to the array are valid until
 * the next segment is added. Owner: one session, then whoever took it.                           */
#ifndef RECOG_RESULT_H
#define RECOG_RESULT_H

#include "auricle/auricle.h"
#include "base/buf.h"
#include "text/language.h"

struct recog_result {
    struct auricle_result pub;
    struct auricle_segment *segments, *filtered;
    size_t segments_room, filtered_room;
    struct au_buf text;
    char *warning;
    float language_probabilities[TEXT_N_LANGUAGES];
};

/* A deep copy of all a segment points to. On failure, too, deinit releases what there is. Errors:
 * NOMEM.                                                                                         */
AURICLE_MUST_CHECK enum auricle_error recog_segment_copy(struct auricle_segment *to,
                                                         const struct auricle_segment *from);
void recog_segment_deinit(struct auricle_segment *segment); /* of a copy; zeroed is fine */

AURICLE_MUST_CHECK enum auricle_error recog_result_create(struct recog_result **out);

/* Append a deep copy of a segment. One that a rule dropped (filtered_by) goes to the list of those,
 * unless keep_filtered. Errors: NOMEM.                                                           */
AURICLE_MUST_CHECK enum auricle_error recog_result_add(struct recog_result *result,
                                                       const struct auricle_segment *segment,
                                                       bool keep_filtered);
AURICLE_MUST_CHECK enum auricle_error recog_result_set_warning(struct recog_result *result,
                                                               const char *sentence);
/* Point the public members at what was built; `text` may be written from outside. */
void recog_result_publish(struct recog_result *result);

#endif
