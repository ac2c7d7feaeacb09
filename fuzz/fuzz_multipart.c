/* A form: its first line is the Content-Type, the rest the body. Cut at any place, or fed byte by
 * byte, it gives the same parts, data and error.                                                 */
#include <string.h>

#include "api/http/multipart.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_text(const char *text)
{
    FUZZ_CHECK(au_utf8_valid(text, strlen(text)));
    for (; *text; text++)
        FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static enum auricle_error on_part(void *context, const struct http_multipart_part *part,
                                  struct au_fault *fault)
{
    (void)fault;
    check_text(part->name);
    if (part->filename)
        check_text(part->filename);
    if (part->content_type)
        check_text(part->content_type);
    return au_buf_printf(context, "[%s|%s|%s]", part->name, part->filename ? part->filename : "-",
                         part->content_type ? part->content_type : "-");
}

static enum auricle_error on_data(void *context, const uint8_t *data, size_t n,
                                  struct au_fault *fault)
{
    (void)fault;
    return au_buf_append(context, data, n);
}

static enum auricle_error on_part_end(void *context, struct au_fault *fault)
{
    (void)fault;
    return au_buf_puts(context, ";");
}

static enum auricle_error parse(const char *type, const uint8_t *body, size_t n, size_t cut,
                                size_t step, struct au_buf *out)
{
    const struct http_multipart_sink sink = {out, on_part, on_data, on_part_end};
    struct http_multipart *parser;
    struct au_fault fault = {0};
    enum auricle_error error = http_multipart_create(type, NULL, &sink, &parser, &fault);
    if (error) {
        FUZZ_CHECK(fault.text[0]);
        return error;
    }
    for (size_t at = 0; at < n && !error;) {
        size_t end = at < cut ? cut : at + step;
        end = end < n ? end : n;
        error = http_multipart_feed(parser, body + at, end - at, &fault);
        at = end;
    }
    if (!error)
        error = http_multipart_finish(parser, &fault);
    FUZZ_CHECK(!error || fault.text[0]);
    http_multipart_destroy(parser);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *lf = memchr(data, '\n', size);
    size_t n_type = lf ? (size_t)(lf - data) : size, n = lf ? size - n_type - 1 : 0;
    char *type = au_strndup((const char *)data, n_type);
    const uint8_t *body = data + (lf ? n_type + 1 : size);
    struct au_buf whole, other;
    enum auricle_error error;
    au_buf_init(&whole, 0);
    au_buf_init(&other, 0);
    error = parse(type, body, n, n, 1, &whole);
    FUZZ_CHECK(parse(type, body, n, 0, 1, &other) == error);
    /* After an error how much came out before it may differ with the cut. */
    FUZZ_CHECK(error || (whole.len == other.len && memcmp(whole.data, other.data, whole.len) == 0));
    au_buf_clear(&other);
    FUZZ_CHECK(parse(type, body, n, n / 2, n ? n : 1, &other) == error);
    FUZZ_CHECK(error || (whole.len == other.len && memcmp(whole.data, other.data, whole.len) == 0));
    au_buf_deinit(&whole);
    au_buf_deinit(&other);
    au_free(type);
    return 0;
}
