/* Bytes of a recording, readable at any offset as often as wanted.
 *
 * Regular files are read in place with pread (the descriptor's own position is left alone), memory
 * is borrowed. What cannot seek (a pipe, a terminal) is taken in as far as it is asked for and
 * kept: up to 16 MiB in memory, beyond that in one file without a name. So every decoder may seek
 * and a second pass is always possible. Limits on size hold before anything is stored.
 * Owner: one thread.                                                                             */
#ifndef AUDIO_INPUT_H
#define AUDIO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audio/decode.h"
#include "base/error.h"

struct audio_input; /* opaque */

/* max_bytes 0: no limit. On success *out is owned by the caller. Errors: NOT_FOUND, IO, INVALID (a
 * directory), LIMIT, NOMEM.                                                                      */
AURICLE_MUST_CHECK enum auricle_error audio_input_open_path(const char *path, uint64_t max_bytes,
                                                            struct audio_input **out,
                                                            struct au_fault *fault);
/* fd is borrowed; reading starts at its present position. */
AURICLE_MUST_CHECK enum auricle_error audio_input_open_fd(int fd, const char *name,
                                                          uint64_t max_bytes,
                                                          struct audio_input **out,
                                                          struct au_fault *fault);
/* As above for a process that may not ask the system what a descriptor is, nor make files. */
AURICLE_MUST_CHECK enum auricle_error audio_input_open_source(const struct audio_source *source,
                                                              const char *name, uint64_t max_bytes,
                                                              struct audio_input **out,
                                                              struct au_fault *fault);
/* data is borrowed. */
AURICLE_MUST_CHECK enum auricle_error audio_input_open_memory(const uint8_t *data, size_t bytes,
                                                              const char *name, uint64_t max_bytes,
                                                              struct audio_input **out,
                                                              struct au_fault *fault);
/* Ask before every read of a pipe, and while it has nothing to give, whether to go on. */
void audio_input_ask(struct audio_input *input, audio_go_on *go_on, void *context);
void audio_input_close(struct audio_input *input);

const char *audio_input_name(const struct audio_input *input);

/* Copy up to n bytes from offset; fewer only at the end or after a failure (audio_input_fault). */
size_t audio_input_read(struct audio_input *input, uint64_t offset, void *out, size_t n);
/* The same, but content with what a pipe has given so far once that is `least` bytes or more. */
size_t audio_input_read_some(struct audio_input *input, uint64_t offset, void *out, size_t n,
                             size_t least);

/* Length in bytes if it is known without reading on. */
bool audio_input_size(const struct audio_input *input, uint64_t *out);
/* Length in bytes, taking a pipe in to its end if need be. */
uint64_t audio_input_measure(struct audio_input *input);

/* First failure of a read: IO, LIMIT, NO_SPACE, CANCELLED or NOMEM; code OK when there was none. */
const struct au_fault *audio_input_fault(const struct audio_input *input);

#endif
