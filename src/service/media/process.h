/* One decoder process, seen from the pool: starting, handing over, ending.
 *
 * Thread: whatever starts a process must live as long as it does (the system ends the process with
 * its parent thread); the rest any, one call at a time. Internal to src/service/media.           */
#ifndef SERVICE_MEDIA_PROCESS_H
#define SERVICE_MEDIA_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "service/media/wire.h"

struct service_process {
    pid_t pid;  /* 0: none */
    int socket; /* our end, does not block; -1: none */
};

/* Start `program MEDIA_WORKER_WORD` (NULL: the program that is running) and greet it; it reports
 * MEDIA_READY or MEDIA_UNFIT when it is. Errors: IO, NOMEM.                                      */
AURICLE_MUST_CHECK enum auricle_error service_process_start(const char *program,
                                                            const struct media_hello *hello,
                                                            struct service_process *out,
                                                            struct au_fault *fault);
/* Let it use so much processor time from now on; the system ends it (SIGXCPU) beyond. */
void service_process_allow_cpu(const struct service_process *process, double seconds);
void service_process_kill(const struct service_process *process);
/* Kill if need be, wait until it is gone, close the socket. Status as of waitpid. */
int service_process_end(struct service_process *process);

#endif
