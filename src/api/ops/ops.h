/* What those who run the server ask it: /health, /ready, /sessions, /stats, /metrics.
 *
 * /health says what lives here, in constant time and whatever the engine does; /ready whether work
 * is being finished, with status 503 where it is not. Both want no key.                          */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "api/http/http.h"

extern const struct http_route api_ops_routes[]; /* ends with path NULL */

#endif
