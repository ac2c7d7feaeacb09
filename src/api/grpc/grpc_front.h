/* gRPC as the program sees it: a module that is loaded when gRPC is on.
 *
 * The module and the fifty libraries it brings are opened by api_grpc_start and by nothing else; a
 * server without gRPC pays nothing. It is looked for beside the program, then where the build
 * installs it. Once opened it stays until the process ends: the C core keeps threads.
 * Thread: the main thread, except for api_grpc_drain and api_grpc_renew_certificate.             */
#ifndef API_GRPC_FRONT_H
#define API_GRPC_FRONT_H

#include "api/grpc/module.h"

struct api_grpc_front; /* opaque */

/* Listen and serve from the return on, on threads of the module's own. The service must live until
 * api_grpc_stop has returned. module: path of the module, NULL: looked for. Errors: UNSUPPORTED (no
 * module, or not this program's), those of listening (module.h), NOMEM.                          */
AURICLE_MUST_CHECK enum auricle_error api_grpc_start(const struct api_grpc_config *config,
                                                     struct service *service, const char *module,
                                                     struct api_grpc_front **out,
                                                     struct au_fault *fault);
int api_grpc_port(const struct api_grpc_front *front);
/* Health says NOT_SERVING, new work is refused; what runs goes on. Returns at once. Any thread. */
void api_grpc_drain(struct api_grpc_front *front);
/* Calls for work that are not over: their answers are still being taken. Any thread. */
size_t api_grpc_active(const struct api_grpc_front *front);
/* Read certificate and key again, for connections to come. Without TLS nothing. Errors: NOT_FOUND,
 * IO,
 * NOMEM. Any thread. */
AURICLE_MUST_CHECK enum auricle_error api_grpc_renew_certificate(struct api_grpc_front *front,
                                                                 struct au_fault *fault);
/* Cancel what still runs, wait for it, stop listening. NULL is fine. */
void api_grpc_stop(struct api_grpc_front *front);

/* Open a module: *out stays good until the process ends. Errors: UNSUPPORTED. */
AURICLE_MUST_CHECK enum auricle_error api_grpc_load(const char *path,
                                                    const struct api_grpc_module **out,
                                                    struct au_fault *fault);

#endif
