/* Receiving a recording. See upload.h. */
#include "api/rest/upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define COUNT_BYTES ((uint64_t)256 << 10) /* the file is counted in pieces of that size */

/* ---- The recording --------------------------------------------------------------------------- */

static enum auricle_error too_large(const struct rest_upload *upload, struct au_fault *fault)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB"};
    double n = (double)upload->max_bytes;
    size_t unit = 0;
    for (; n >= 1000 && unit < 3; unit++)
        n /= 1000;
    return au_fail(fault, AURICLE_E_LIMIT, "the upload is larger than %.4g %s, the limit here", n,
                   units[unit]);
}

static enum auricle_error spool(struct rest_upload *upload, const uint8_t *data, size_t n,
                                struct au_fault *fault)
{
    if (n > upload->max_bytes - upload->bytes)
        return too_large(upload, fault);
    upload->bytes += n;
    if (upload->bytes > upload->counted) {
        uint64_t more = n > COUNT_BYTES ? n : COUNT_BYTES;
        enum auricle_error error = service_ticket_spool(upload->ticket, more, fault);
        if (error)
            return error;
        upload->counted += more;
    }
    while (n > 0) {
        ssize_t done = write(upload->fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return au_fail_errno(fault, errno, "the upload cannot be kept on the server's disk");
        data += done;
        n -= (size_t)done;
    }
    return AURICLE_OK;
}

/* ---- Parts of a form ------------------------------------------------------------------------- */

static enum auricle_error on_part(void *context, const struct http_multipart_part *part,
                                  struct au_fault *fault)
{
    struct rest_upload *upload = context;
    upload->in_file = au_str_equal(part->name, "file");
    if (!upload->in_file)
        return rest_fields_begin(&upload->fields, part->name, fault);
    if (upload->filename[0])
        return au_fail(fault, AURICLE_E_INVALID,
                       "the form holds more than one \"file\"; send one recording per request");
    const char *name = part->filename && part->filename[0] ? part->filename : "recording";
    au_str_copy(upload->filename, sizeof(upload->filename), name);
    return AURICLE_OK;
}

static enum auricle_error on_data(void *context, const uint8_t *data, size_t n,
                                  struct au_fault *fault)
{
    struct rest_upload *upload = context;
    return upload->in_file ? spool(upload, data, n, fault)
                           : rest_fields_value(&upload->fields, data, n, fault);
}

static enum auricle_error on_part_end(void *context, struct au_fault *fault)
{
    struct rest_upload *upload = context;
    return upload->in_file ? AURICLE_OK : rest_fields_end(&upload->fields, fault);
}

/* ---- Query ----------------------------------------------------------------------------------- */

static enum auricle_error take_query(struct rest_upload *upload, struct http_request *request,
                                     const char *name, const char *as, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    const char *value;
    for (size_t i = 0; !error && (value = http_request_query_at(request, name, i)); i++) {
        error = rest_fields_begin(&upload->fields, as, fault);
        if (!error)
            error = rest_fields_value(&upload->fields, value, strlen(value), fault);
        if (!error)
            error = rest_fields_end(&upload->fields, fault);
    }
    return error;
}

static enum auricle_error take_queries(struct rest_upload *upload, struct http_request *request,
                                       const struct rest_param *table, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    for (; !error && table->name; table++) {
        char brackets[80];
        snprintf(brackets, sizeof(brackets), "%s[]", table->name);
        error = take_query(upload, request, table->name, table->name, fault);
        if (!error)
            error = take_query(upload, request, brackets, table->name, fault);
    }
    return error;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool is_form(const char *content_type)
{
    return content_type && au_str_starts_nocase(content_type, "multipart/");
}

static enum auricle_error check_headers(const struct rest_upload *upload,
                                        const struct http_request *request, const char *type,
                                        struct au_fault *fault)
{
    /* A form's frame is small beside what it carries. */
    int64_t frame = is_form(type) ? 2 * REST_MAX_FIELD_BYTES : 0;
    int64_t length = http_request_length(request);
    if (length > 0 && (uint64_t)length > upload->max_bytes + (uint64_t)frame)
        return too_large(upload, fault);
    if (type &&
        (au_str_starts_nocase(type, "application/json") || au_str_starts_nocase(type, "text/") ||
         au_str_starts_nocase(type, "application/x-www-form-urlencoded")))
        return au_fail(fault, AURICLE_E_INVALID,
                       "the content type is %s; send multipart/form-data with a part named "
                       "\"file\", or the recording itself as audio/* or application/octet-stream",
                       type);
    return AURICLE_OK;
}

enum auricle_error rest_upload_begin(struct rest_upload *upload, struct http_request *request,
                                     const struct rest_param *table, const char *spool_folder,
                                     uint64_t max_bytes, struct service_ticket *ticket,
                                     struct au_fault *fault)
{
    const char *type = http_request_header(request, "Content-Type");
    *upload = (struct rest_upload){.fd = -1, .max_bytes = max_bytes, .ticket = ticket};
    rest_fields_init(&upload->fields);
    enum auricle_error error = check_headers(upload, request, type, fault);
    if (!error)
        error = take_queries(upload, request, table, fault);
    if (!error && is_form(type)) {
        const struct http_multipart_sink sink = {upload, on_part, on_data, on_part_end};
        error = http_multipart_create(type, NULL, &sink, &upload->multipart, fault);
    } else if (!error) {
        upload->in_file = true;
        au_str_copy(upload->filename, sizeof(upload->filename), "recording");
    }
    if (error)
        return error;
    upload->fd = au_file_open_nameless(spool_folder);
    if (upload->fd < 0)
        return au_fail_errno(fault, errno, "the server has no room for an upload");
    return AURICLE_OK;
}

enum auricle_error rest_upload_feed(struct rest_upload *upload, const uint8_t *data, size_t n,
                                    struct au_fault *fault)
{
    return upload->multipart ? http_multipart_feed(upload->multipart, data, n, fault)
                             : spool(upload, data, n, fault);
}

enum auricle_error rest_upload_end(struct rest_upload *upload, struct au_fault *fault)
{
    if (upload->multipart) {
        enum auricle_error error = http_multipart_finish(upload->multipart, fault);
        if (error)
            return error;
    }
    if (!upload->filename[0])
        return au_fail(fault, AURICLE_E_INVALID,
                       "there is no recording: the form needs a part named \"file\"");
    if (!upload->bytes)
        return au_fail(fault, AURICLE_E_INVALID, "the recording %s is empty: 0 bytes arrived",
                       upload->filename);
    if (lseek(upload->fd, 0, SEEK_SET) != 0)
        return au_fail_errno(fault, errno, "the upload cannot be read again");
    return AURICLE_OK;
}

int rest_upload_take_fd(struct rest_upload *upload)
{
    int fd = upload->fd;
    upload->fd = -1;
    return fd;
}

void rest_upload_deinit(struct rest_upload *upload)
{
    http_multipart_destroy(upload->multipart);
    rest_fields_deinit(&upload->fields);
    if (upload->fd >= 0)
        close(upload->fd);
}
