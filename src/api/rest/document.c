/* /openapi.json. The document is written by hand beside this file and embedded at build time. */
#include "api/rest/document.h"

extern const unsigned char rest_openapi_json[];
extern const size_t rest_openapi_json_bytes;

static void get_document(struct http_request *request)
{
    http_respond_static(request, 200, "application/json", rest_openapi_json,
                        rest_openapi_json_bytes, NULL);
}

const struct http_handler rest_document_handler = {.end = get_document};
