/* The WebSocket front for live audio: /v1/stream. See docs/WEBSOCKET.md for what is said on it. */
#ifndef LIVE_LIVE_H
#define LIVE_LIVE_H

#include "api/http/http.h"

extern const struct http_route api_live_routes[]; /* ends with path NULL */

#endif
