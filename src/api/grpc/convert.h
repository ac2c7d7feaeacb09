/* Between auricle.v1's messages and the program's structs.
 *
 * Thread: any; no state. What packs is called on the scheduler's thread, so it does no more than
 * lay out one message.                                                                           */
#ifndef API_GRPC_CONVERT_H
#define API_GRPC_CONVERT_H

#include <auricle.pb-c.h>

#include "api/grpc/rpc.h"

/* ---- Requests -------------------------------------------------------------------------------- */

/* Options as a RecognitionConfig asks for them. Strings point into the config, or to hotwords. */
struct rpc_recognition {
    struct auricle_options options;
    const char *model; /* NULL: the default */
    enum audio_raw_type raw;
    char *hotwords; /* owned */
};

/* config NULL stands for an empty one. Errors: INVALID, naming the field; NOMEM. The values of
 * numbers that the engine checks itself are left to it.                                          */
AURICLE_MUST_CHECK enum auricle_error rpc_recognition_init(
    const struct api_grpc_host *host, const Auricle__V1__RecognitionConfig *config,
    struct rpc_recognition *out, struct au_fault *fault);
void rpc_recognition_deinit(struct rpc_recognition *recognition);

/* ---- Answers. All NULL when there is no memory. ---------------------------------------------- */

/* A TranscribeResponse. Or, within a TranscribeEvent, the summary, which leaves segments out. */
grpc_byte_buffer *rpc_pack_outcome(const struct service_outcome *outcome, bool summary);
/* TranscribeEvent messages. */
grpc_byte_buffer *rpc_pack_started(void);
grpc_byte_buffer *rpc_pack_segment(const struct auricle_segment *segment);
grpc_byte_buffer *rpc_pack_progress(double seconds_done, double seconds_total);
/* ListenEvent messages. */
grpc_byte_buffer *rpc_pack_opened(const char *session_id);
grpc_byte_buffer *rpc_pack_stream_event(const struct auricle_stream_event *event, int64_t n_final);
grpc_byte_buffer *rpc_pack_closed(double audio_seconds);

#endif
