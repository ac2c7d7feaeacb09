/* The REST front: /v1/audio/transcriptions, /v1/audio/translations, /inference, /v1/models,
 * /openapi.json. */
#ifndef REST_REST_H
#define REST_REST_H

#include "api/http/http.h"

extern const struct http_route api_rest_routes[]; /* ends with path NULL */

#endif
