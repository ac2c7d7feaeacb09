/* A decoder process: what media.c starts, as a hidden sub-command of the program itself.
 *
 * A program that holds a pool calls service_worker_main when its first argument is
 * MEDIA_WORKER_WORD, before it has done anything else. Internal to the project.                  */
#ifndef SERVICE_MEDIA_WORKER_H
#define SERVICE_MEDIA_WORKER_H

#include "service/media/wire.h"

/* Called in the locked process before each decoding, with its name: tests misbehave here. */
typedef void service_worker_hook(const char *name);

/* Serve jobs from the socket MEDIA_SOCKET_FD until it is closed. Returns the exit status. hook
 * NULL: none, which is what the program passes.                                                  */
int service_worker_main(service_worker_hook *hook);

#endif
