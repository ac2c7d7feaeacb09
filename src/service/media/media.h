/* Decoding of untrusted media in confined processes.
 *
 * A pool of small processes that can do nothing but read the descriptor they are handed, decode
 * (audio/decode.h) and write samples into another: no file system, no network, limits on memory,
 * processor time and wall time. What was decoded can be read while decoding goes on, at any offset,
 * as often as wanted: 16 kHz mono f32 in a file without a name, so memory stays flat however long
 * the recording.
 *
 * The processes are this program again, as its hidden command `media-worker`: its main calls
 * service_worker_main (media/worker.h). What libsndfile reads goes to small processes of which some
 * are always warm; the first recording that needs FFmpeg's libraries starts one that has them,
 * which stays while it is used. A recording that stops its process fails by itself (FORMAT).
 *
 * Thread: any, except that service_media_create and _destroy belong to the main thread.          */
#ifndef SERVICE_MEDIA_H
#define SERVICE_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audio/decode.h"
#include "base/error.h"

struct service_media;  /* opaque: the pool */
struct service_decode; /* opaque: one decoding, under way or done */

struct service_media_config {
    int warm_workers;          /* kept ready; 0: 1 */
    int max_workers;           /* files decoded at once; more wait in order; 0: 4 */
    int max_pipes;             /* pipes decoded at once, beside the files; 0: 64 */
    uint64_t max_memory_bytes; /* of one process; 0: 512 MiB */
    double max_cpu_seconds;    /* of one decoding; 0: 600 */
    double max_wall_seconds;   /* of one decoding without progress; 0: 30 */
    double max_wait_seconds;   /* for a pipe that gives nothing; 0: 60 */
    double max_seconds;        /* of decoded audio, whatever a decoding asks for; 0: 4 h */
    int max_rate_hz;           /* of the input; 0: 768000 */
    int max_channels;          /* of the input; 0: 64 */
    const char *spool_folder;  /* for files without a name, as in au_file_open_nameless */
    /* Asked before files that grow are counted, with the pool's lock held, and told when they are
     * gone: an error ends the decoding. NULL: no limit.                                          */
    enum auricle_error (*take_bytes)(void *context, uint64_t bytes, struct au_fault *fault);
    void (*give_bytes)(void *context, uint64_t bytes);
    void *context;
    const char *program; /* whose media-worker command is run (see worker.h); NULL: the one
                                  that is running */
};

/* Returns when the first process is ready. Errors: UNSUPPORTED (the system cannot confine
 * processes), IO, NOMEM, TIMEOUT, STATE (called in a decoder process: main does not know the
 * command).                                                                                      */
AURICLE_MUST_CHECK enum auricle_error service_media_create(
    const struct service_media_config *config, struct service_media **out, struct au_fault *fault);
/* Ends every process. No decoding may be held. */
void service_media_destroy(struct service_media *media);

/* Other values of these; 0: the default. What is under way goes on as it began. */
void service_media_set_limits(struct service_media *media, int max_pipes, double max_seconds);

/* Told, on a thread of the pool, whenever more samples can be read, and at the end or failure. */
typedef void service_decode_notify(void *context);

/* Decode what can be read from fd (a file from its present position, a pipe, a socket): ownership
 * of fd is taken, on failure too. name is used in sentences and copied. A pipe is decoded as it
 * arrives. Errors: NOMEM, NO_SPACE, IO; what is wrong with the media itself comes with reading.  */
AURICLE_MUST_CHECK enum auricle_error service_media_start(
    struct service_media *media, int fd, const char *name,
    const struct audio_decode_options *options, service_decode_notify *notify, void *context,
    struct service_decode **out, struct au_fault *fault);
/* Ends the decoding if it is under way. After the return notify is not called any more. */
void service_decode_release(struct service_decode *decode);

/* Samples [first, first + n) into out. *n_read is smaller than n only at the end of the recording.
 * Errors: AGAIN when fewer are there yet (nothing is copied); where decoding failed before first +
 * n, the decoder's own fault (as audio_open_fd and audio_read), so that a failure never passes for
 * the end. Up to service_decode_available everything can be read.                                */
AURICLE_MUST_CHECK enum auricle_error service_decode_read(struct service_decode *decode,
                                                          int64_t first, size_t n, float *out,
                                                          size_t *n_read, struct au_fault *fault);
int64_t service_decode_available(struct service_decode *decode); /* samples so far */
int64_t service_decode_length(struct service_decode *decode);    /* -1 until the end was reached */
/* What was found; all zero until the container was opened. Strings live as long as the decode. */
void service_decode_info(struct service_decode *decode, struct audio_info *out);
/* It was ended for what take_bytes said, which is no fault of the recording. */
bool service_decode_crowded(struct service_decode *decode);
const char *service_decode_warning(struct service_decode *decode); /* NULL: none (so far) */

#endif
