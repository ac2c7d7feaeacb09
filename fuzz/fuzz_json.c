/* JSON: whatever parses is written again, parses again, and is the same when written once more. */
#include <string.h>

#include "base/json.h"
#include "fuzz.h"

static void write_value(struct au_json_writer *w, const struct au_json *value)
{
    const char *key;
    switch (au_json_type(value)) {
    case AU_JSON_ABSENT:
    case AU_JSON_NULL: au_json_put_null(w); break;
    case AU_JSON_BOOL: au_json_put_bool(w, au_json_bool(value, false)); break;
    case AU_JSON_INT: au_json_put_int(w, au_json_int(value, 0)); break;
    case AU_JSON_REAL: au_json_put_number(w, au_json_number(value, 0)); break;
    case AU_JSON_STRING:
        au_json_put_string_n(w, au_json_string(value, ""), au_json_string_bytes(value));
        break;
    case AU_JSON_ARRAY:
        au_json_open_array(w);
        for (size_t i = 0; i < au_json_size(value); i++)
            write_value(w, au_json_item(value, i));
        au_json_close_array(w);
        break;
    case AU_JSON_OBJECT:
        au_json_open_object(w);
        for (size_t i = 0; i < au_json_size(value); i++) {
            const struct au_json *member = au_json_member(value, i, &key);
            FUZZ_CHECK(au_json_get(value, key) == member);
            au_json_key(w, key);
            write_value(w, member);
        }
        au_json_close_object(w);
        break;
    }
}

static int depth_of(const struct au_json *value)
{
    int deepest = 0;
    for (size_t i = 0; i < au_json_size(value); i++) {
        const struct au_json *child = au_json_type(value) == AU_JSON_ARRAY
                                          ? au_json_item(value, i)
                                          : au_json_member(value, i, NULL);
        int depth = depth_of(child);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static void write_document(const struct au_json *document, struct au_buf *out)
{
    struct au_json_writer w;
    au_buf_init(out, 0);
    au_json_writer_init(&w, out, 0);
    write_value(&w, document);
    FUZZ_CHECK(out->error == AURICLE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct au_json *first, *second;
    struct au_fault fault = {0};
    struct au_buf once, twice;
    if (au_json_parse((const char *)data, size, "input", &first, &fault)) {
        FUZZ_CHECK(fault.text[0]);
        return 0;
    }
    if (depth_of(first) < 60) { /* the writer's own limit is 63 levels */
        write_document(first, &once);
        FUZZ_CHECK(au_json_parse(once.data, once.len, "again", &second, &fault) == AURICLE_OK);
        write_document(second, &twice);
        FUZZ_CHECK(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
        au_json_free(second);
        au_buf_deinit(&once);
        au_buf_deinit(&twice);
    }
    au_json_free(first);
    return 0;
}
