/* api/http/multipart.h: parts and their data do not depend on how the input was cut; what browsers,
 * curl and sloppy clients send is read, what is broken is refused with a sentence.               */
#include <stdio.h>
#include <string.h>

#include "api/http/multipart.h"
#include "base/buf.h"
#include "support/support.h"

#define TYPE "multipart/form-data; boundary=XX"

/* Writes what comes out as text: "[name|filename|type]data;". */
static enum auricle_error on_part(void *context, const struct http_multipart_part *part,
                                  struct au_fault *fault)
{
    (void)fault;
    return au_buf_printf(context, "[%zu|%s|%s|%s]", part->index, part->name,
                         part->filename ? part->filename : "-",
                         part->content_type ? part->content_type : "-");
}

static enum auricle_error on_data(void *context, const uint8_t *data, size_t n,
                                  struct au_fault *fault)
{
    (void)fault;
    assert_true(n > 0);
    return au_buf_append(context, data, n);
}

static enum auricle_error on_part_end(void *context, struct au_fault *fault)
{
    (void)fault;
    return au_buf_puts(context, ";");
}

/* Feeds the body in pieces that end at cut1, cut2 and the end; steps of `step` after that. */
static enum auricle_error parse(const char *type, const char *body, size_t n, size_t cut,
                                size_t step, struct au_buf *out, struct au_fault *fault)
{
    const struct http_multipart_sink sink = {out, on_part, on_data, on_part_end};
    struct http_multipart *parser;
    enum auricle_error error;
    memset(fault, 0, sizeof *fault);
    au_buf_clear(out);
    error = http_multipart_create(type, NULL, &sink, &parser, fault);
    if (error)
        return error;
    for (size_t at = 0; at < n && !error;) {
        size_t end = at < cut ? cut : at + step;
        end = end < n ? end : n;
        error = http_multipart_feed(parser, (const uint8_t *)body + at, end - at, fault);
        at = end;
    }
    if (!error)
        error = http_multipart_finish(parser, fault);
    if (error) { /* and it stays so */
        struct au_fault again = {0};
        assert_int_equal(http_multipart_feed(parser, (const uint8_t *)"x", 1, &again), error);
        assert_string_equal(again.text, fault->text);
    }
    http_multipart_destroy(parser);
    return error;
}

/* The same, whole, in two pieces at every place, and byte by byte. */
static void expect(const char *type, const char *body, size_t n, enum auricle_error error,
                   const char *text)
{
    struct au_buf out;
    struct au_fault fault;
    au_buf_init(&out, 0);
    for (size_t cut = 0; cut <= n; cut++) {
        assert_int_equal(parse(type, body, n, cut, n, &out, &fault), error);
        if (error)
            assert_non_null(strstr(fault.text, text));
        else
            assert_string_equal(out.data, text);
    }
    for (size_t step = 1; step <= 5; step++) {
        assert_int_equal(parse(type, body, n, 0, step, &out, &fault), error);
        if (!error)
            assert_string_equal(out.data, text);
    }
    au_buf_deinit(&out);
}

static void gives(const char *body, const char *text)
{
    expect(TYPE, body, strlen(body), AURICLE_OK, text);
}

static void fails(const char *body, enum auricle_error error, const char *sentence)
{
    expect(TYPE, body, strlen(body), error, sentence);
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static void test_fields_and_files(void **state)
{
    (void)state;
    gives("--XX\r\n" FIELD(
              "model") "whisper-1\r\n--XX\r\n"
                       "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
                       "Content-Type: Audio/WAV; "
                       "x=y\r\n\r\nRIFF\r\n--X\r\n\r\n\r--XX\n-\r\n--XX--\r\n",
          "[0|model|-|-]whisper-1;[1|file|a.wav|audio/wav]RIFF\r\n--X\r\n\r\n\r--XX\n-;");
}

static void test_empty_parts_preamble_and_epilogue(void **state)
{
    (void)state;
    gives("--XX--", "");
    gives("ignored\r\n--X\r\n--XX\r\n" FIELD("a") "\r\n--XX--\r\nafter\r\n--XX\r\n", "[0|a|-|-];");
    gives("\r\n--XX  \t\r\n" FIELD("a") "\r\n\r\n--XX--", "[0|a|-|-]\r\n;");
}

static void test_line_feeds_alone(void **state)
{
    (void)state;
    gives("--XX\nContent-Disposition: form-data; name=a\n\n1\n2\r\n--XX\n"
          "content-disposition:form-data;name=b\n\n\n--XX--\n",
          "[0|a|-|-]1\n2;[1|b|-|-];");
}

static void test_zero_bytes_are_data(void **state)
{
    static const char body[] = "--XX\r\n" FIELD("a") "\0\r\0\n\0\r\n--XX--";
    struct au_buf out;
    struct au_fault fault;
    (void)state;
    au_buf_init(&out, 0);
    for (size_t step = 1; step < sizeof body; step++) {
        assert_int_equal(parse(TYPE, body, sizeof body - 1, 0, step, &out, &fault), AURICLE_OK);
        assert_int_equal(out.len, 9 + 5 + 1);
        assert_memory_equal(out.data + 9, "\0\r\0\n\0;", 6);
    }
    au_buf_deinit(&out);
}

static void gives_name(const char *disposition, const char *text)
{
    char body[700], wanted[300];
    snprintf(body, sizeof body, "--XX\r\nContent-Disposition: form-data; %s\r\n\r\n\r\n--XX--",
             disposition);
    snprintf(wanted, sizeof wanted, "[0|%s|-];", text);
    gives(body, wanted);
}

static void test_names_as_the_world_writes_them(void **state)
{
    (void)state;
    gives_name("name=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d|-");
    gives_name("name=\"a%22b%0D%41\"", "a\"b%0D%41|-");
    gives_name("name=plain ; filename=un quoted.mp3", "plain|un quoted.mp3");
    gives_name("name=\"\"; filename=\"\"", "|");
    gives_name("name=f; filename=\"C:\\dir\\talk.wav\"", "f|talk.wav");
    gives_name("name=f; filename=\"../../etc/passwd\"", "f|passwd");
    gives_name("name=f; filename=\"\xc3\xa9\xff.wav\"", "f|\xc3\xa9\xef\xbf\xbd.wav");
    gives_name("name=f; filename=\"x\"; filename*=UTF-8''%e2%82%ac%20a.wav",
               "f|\xe2\x82\xac a.wav");
    gives_name("name=f; filename*=iso-8859-1'en'%A3.wav; filename=\"x\"", "f|\xc2\xa3.wav");
    gives_name("name=f; filename*=klingon''abc; filename=\"x\"", "f|x");
    gives_name("name=f; filename=\"=?UTF-8?B?w6kud2F2?=\"", "f|\xc3\xa9.wav");
    gives_name("name=f; filename=\"=?utf-8?q?a_=C3=A9?= =?ISO-8859-1?Q?=E9?=.wav\"",
               "f|a \xc3\xa9\xc3\xa9.wav");
    gives_name("name=f; filename=\"=?utf-8?x?abc?=\"", "f|=?utf-8?x?abc?=");
    gives_name("\r\n\tname=\"folded\"", "folded|-");
    gives_name("name=\"a\"; other=\"x;y\"; name=\"b\"", "a|-");
    gives_name("name=f; filename=\"=?utf-8?Q?=00=0A?=\"", "f|__");
}

static void test_broken_forms(void **state)
{
    (void)state;
    fails("", AURICLE_E_FORMAT, "is not in its body");
    fails("hello\r\n--YY--", AURICLE_E_FORMAT, "is not in its body");
    fails("x--XX--", AURICLE_E_FORMAT, "is not in its body");
    fails("--XX\r\n" FIELD("a") "1\r\n--XX-", AURICLE_E_FORMAT, "ends before its last boundary");
    fails("--XX\r\n" FIELD("a") "1", AURICLE_E_FORMAT, "ends before its last boundary");
    fails("--XX\r\nContent-Dispo", AURICLE_E_FORMAT, "ends before its last boundary");
    fails("--XXY\r\n" FIELD("a") "1\r\n--XX--", AURICLE_E_FORMAT, "neither a line end nor");
    fails("--XX\rY", AURICLE_E_FORMAT, "neither a line end nor");
    fails("--XX -", AURICLE_E_FORMAT, "neither a line end nor");
    fails("--XX\r\n\r\n1\r\n--XX--", AURICLE_E_FORMAT, "no Content-Disposition");
    fails("--XX\r\nContent-Disposition: attachment\r\n\r\n", AURICLE_E_FORMAT, "attachment");
    fails("--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n", AURICLE_E_FORMAT,
          "cannot be read");
    fails("--XX\r\nContent-Disposition: form-data; name\r\n\r\n", AURICLE_E_FORMAT,
          "cannot be read");
    fails("--XX\r\nno colon\r\n\r\n", AURICLE_E_FORMAT, "broken header");
    fails("--XX\r\nContent-Disposition: form-data; name=\x01\r\n\r\n", AURICLE_E_FORMAT,
          "broken header");
}

static void test_boundaries(void **state)
{
    char type[200], boundary[72];
    static const char quoted[] = "multipart/form-data; charset=utf-8; boundary=\"a b:(?)\"";
    struct au_fault fault;
    struct au_buf out;
    (void)state;
    au_buf_init(&out, 0);
    expect(quoted, "--a b:(?)--", 11, AURICLE_OK, "");
    expect("Multipart/Form-Data;Boundary=q", "--q--", 5, AURICLE_OK, "");
    memset(boundary, 'b', 71);
    boundary[71] = '\0';
    snprintf(type, sizeof type, "multipart/form-data; boundary=%s", boundary);
    assert_int_equal(parse(type, "", 0, 0, 1, &out, &fault), AURICLE_E_INVALID);
    type[strlen(type) - 1] = '\0';
    snprintf(boundary, sizeof boundary, "%.70s", type + 30);
    {
        char body[80];
        snprintf(body, sizeof body, "--%s--", boundary);
        expect(type, body, strlen(body), AURICLE_OK, "");
    }
    assert_int_equal(parse(NULL, "", 0, 0, 1, &out, &fault), AURICLE_E_INVALID);
    assert_int_equal(parse("application/json", "", 0, 0, 1, &out, &fault), AURICLE_E_INVALID);
    assert_int_equal(parse("multipart/form-data", "", 0, 0, 1, &out, &fault), AURICLE_E_INVALID);
    assert_int_equal(parse("multipart/form-data; boundary=", "", 0, 0, 1, &out, &fault),
                     AURICLE_E_INVALID);
    assert_int_equal(parse("multipart/form-data; boundary=\"a\n\"", "", 0, 0, 1, &out, &fault),
                     AURICLE_E_INVALID);
    au_buf_deinit(&out);
}

static void test_limits(void **state)
{
    struct au_buf body, out;
    struct au_fault fault;
    (void)state;
    au_buf_init(&body, 0);
    au_buf_init(&out, 0);
    for (int i = 0; i < 65; i++)
        assert_int_equal(au_buf_puts(&body, "--XX\r\n" FIELD("a") "\r\n"), AURICLE_OK);
    for (size_t step = 1; step < 100; step += 7) {
        assert_int_equal(parse(TYPE, body.data, body.len, 0, step, &out, &fault), AURICLE_E_LIMIT);
        assert_non_null(strstr(fault.text, "more than 64 parts"));
    }
    au_buf_clear(&body);
    assert_int_equal(au_buf_puts(&body, "--XX\r\nX: "), AURICLE_OK);
    for (int i = 0; i < 9000; i++)
        assert_int_equal(au_buf_putc(&body, 'x'), AURICLE_OK);
    for (size_t step = 1; step < 10000; step = step * 3) {
        assert_int_equal(parse(TYPE, body.data, body.len, 0, step, &out, &fault), AURICLE_E_LIMIT);
        assert_non_null(strstr(fault.text, "more than 8192 bytes"));
    }
    au_buf_deinit(&body);
    au_buf_deinit(&out);
}

static enum auricle_error refuse_part(void *context, const struct http_multipart_part *part,
                                      struct au_fault *fault)
{
    (void)context;
    return au_fail(fault, AURICLE_E_INVALID, "no part '%s' here", part->name);
}

static enum auricle_error refuse_data(void *context, const uint8_t *data, size_t n,
                                      struct au_fault *fault)
{
    (void)context, (void)data, (void)n, (void)fault;
    return AURICLE_E_LIMIT; /* and says nothing */
}

static void test_the_sink_may_refuse(void **state)
{
    static const char body[] = "--XX\r\n" FIELD("a") "1\r\n--XX--";
    struct http_multipart_sink sink = {.part = refuse_part};
    struct http_multipart *parser;
    struct au_fault fault = {0};
    (void)state;
    assert_int_equal(http_multipart_create(TYPE, NULL, &sink, &parser, &fault), AURICLE_OK);
    assert_int_equal(http_multipart_feed(parser, (const uint8_t *)body, sizeof body - 1, &fault),
                     AURICLE_E_INVALID);
    assert_string_equal(fault.text, "no part 'a' here");
    assert_int_equal(http_multipart_finish(parser, &fault), AURICLE_E_INVALID);
    http_multipart_destroy(parser);
    sink = (struct http_multipart_sink){.data = refuse_data};
    assert_int_equal(http_multipart_create(TYPE, NULL, &sink, &parser, &fault), AURICLE_OK);
    assert_int_equal(http_multipart_feed(parser, (const uint8_t *)body, sizeof body - 1, &fault),
                     AURICLE_E_LIMIT);
    http_multipart_destroy(parser);
}

static void test_no_memory(void **state)
{
    struct http_multipart *parser;
    struct http_multipart_sink sink = {0};
    struct au_fault fault = {0};
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        au_mem_fail_at(i, false);
        assert_int_equal(http_multipart_create(TYPE, NULL, &sink, &parser, &fault),
                         AURICLE_E_NOMEM);
    }
    au_mem_fail_never();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_and_files),
        cmocka_unit_test(test_empty_parts_preamble_and_epilogue),
        cmocka_unit_test(test_line_feeds_alone),
        cmocka_unit_test(test_zero_bytes_are_data),
        cmocka_unit_test(test_names_as_the_world_writes_them),
        cmocka_unit_test(test_broken_forms),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_the_sink_may_refuse),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
