/* The target of a request: whatever decodes is UTF-8 without control characters, in as many pieces
 * as are allowed.                                                                                */
#include <string.h>

#include "api/http/internal.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_text(const char *text, bool controls)
{
    FUZZ_CHECK(text && au_utf8_valid(text, strlen(text)));
    for (; *text && !controls; text++)
        FUZZ_CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request *request = au_calloc(1, sizeof *request);
    char *uri = au_strndup((const char *)data, size);
    FUZZ_CHECK(request && uri);
    const char *sentence = http_target_parse(request, uri);
    if (!sentence) {
        check_text(http_request_path(request), false);
        FUZZ_CHECK(request->n_segments <= HTTP_MAX_SEGMENTS);
        for (size_t i = 0; i < request->n_segments; i++)
            check_text(request->segments[i], false);
        FUZZ_CHECK(request->n_query <= HTTP_MAX_QUERY);
        for (size_t i = 0; i < request->n_query; i++) {
            check_text(request->query[i].name, true); /* a prompt may have line ends */
            check_text(request->query[i].value, true);
            FUZZ_CHECK(http_request_query(request, request->query[i].name) != NULL);
        }
    }
    au_free(request->path);
    au_free(request->segment_text);
    au_free(request->query_text);
    au_free(request);
    au_free(uri);
    return 0;
}
