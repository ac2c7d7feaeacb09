/* The opening handshake of a WebSocket. */
#ifndef HTTP_HANDSHAKE_H
#define HTTP_HANDSHAKE_H

#include "api/http/internal.h"

#define HTTP_ACCEPT_BYTES 32

/* NULL, or the sentence of a refusal and its status. */
const char *http_handshake_check(const struct http_request *request, int *status);
/* The answer to the request's key; false when it could not be computed. */
bool http_handshake_accept(const struct http_request *request, char out[HTTP_ACCEPT_BYTES]);

#endif
