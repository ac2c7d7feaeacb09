/* The body of a request: a recording, spooled as it arrives into a file without a name, and the
 * form's fields. multipart/form-data brings both; any other body is the recording itself, with the
 * fields in the query. Memory stays flat however large the upload.
 * Owner: one request, on the network thread.                                                     */
#ifndef REST_UPLOAD_H
#define REST_UPLOAD_H

#include <stdint.h>

#include "api/http/http.h"
#include "api/http/multipart.h"
#include "api/rest/fields.h"
#include "service/work/request.h"

struct rest_upload {
    struct rest_fields fields;
    struct http_multipart *multipart; /* NULL: the body is the recording */
    int fd;                           /* the recording; -1: none (yet) */
    uint64_t bytes, max_bytes;        /* of the recording */
    uint64_t counted;                 /* of them, by the ticket */
    struct service_ticket *ticket;    /* borrowed */
    char filename[256];
    bool in_file; /* the part that is arriving is the recording */
};

/* Begin, from the headers and the query; table names the fields that the query may hold. Errors:
 * INVALID (content type), LIMIT (Content-Length), NOMEM.                                         */
AURICLE_MUST_CHECK enum auricle_error rest_upload_begin(
    struct rest_upload *upload, struct http_request *request, const struct rest_param *table,
    const char *spool_folder, uint64_t max_bytes, struct service_ticket *ticket,
    struct au_fault *fault);
/* Errors: FORMAT, INVALID, LIMIT, AGAIN (the ticket's), NO_SPACE, IO, NOMEM. */
AURICLE_MUST_CHECK enum auricle_error rest_upload_feed(struct rest_upload *upload,
                                                       const uint8_t *data, size_t n,
                                                       struct au_fault *fault);
/* The body is complete: the recording stands at its beginning. INVALID when there is none. */
AURICLE_MUST_CHECK enum auricle_error rest_upload_end(struct rest_upload *upload,
                                                      struct au_fault *fault);
/* The descriptor is the caller's from now on. */
int rest_upload_take_fd(struct rest_upload *upload);
void rest_upload_deinit(struct rest_upload *upload); /* zeroed is not fine: after begin only */

#endif
