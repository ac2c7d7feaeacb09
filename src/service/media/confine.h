/* The lock that a decoder process puts on itself before it sees a recording.
 *
 * After it the process can compute, have memory up to a limit, read and write the descriptors it is
 * handed and speak over its socket. Anything else it asks the system for ends it. It cannot be
 * undone. Internal to src/service/media; the only folder member that includes seccomp.h.         */
#ifndef SERVICE_MEDIA_CONFINE_H
#define SERVICE_MEDIA_CONFINE_H

#include <stdint.h>

#include "base/error.h"

struct service_confinement {
    int socket_fd;             /* to speak over; those above it are closed */
    uint64_t max_memory_bytes; /* beyond what the process has mapped now */
    uint64_t max_file_bytes;   /* no file may grow beyond */
};

/* Lock the calling process, which has one thread. Errors: UNSUPPORTED (the system has no filter for
 * system calls, or a container's policy forbids it), IO.                                         */
AURICLE_MUST_CHECK enum auricle_error service_confine(const struct service_confinement *limits,
                                                      struct au_fault *fault);

#endif
