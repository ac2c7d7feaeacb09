/* The page at /: files of web/, embedded at build time. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "api/http/http.h"

extern const struct http_route api_web_routes[]; /* ends with path NULL */

#endif
