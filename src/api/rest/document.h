/* /openapi.json: the document that describes the HTTP interface. */
#ifndef REST_DOCUMENT_H
#define REST_DOCUMENT_H

#include "api/http/http.h"

extern const struct http_handler rest_document_handler;

#endif
