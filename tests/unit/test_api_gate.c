/* api/http/gate.h: which headers are let through, waited for and refused, however they arrive. */
#include <string.h>

#include "api/http/gate.h"
#include "support/support.h"

#define MAX_BYTES 1000

static enum http_gate look(const char *header, size_t n, int *status)
{
    const char *sentence = NULL;
    enum http_gate gate = http_gate_look(header, n, MAX_BYTES, status, &sentence);
    assert_true((gate == HTTP_GATE_REFUSE) == (sentence != NULL));
    return gate;
}

static void passes(const char *header)
{
    int status;
    size_t n = strlen(header);
    assert_int_equal(look(header, n, &status), HTTP_GATE_PASS);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(look(header, i, &status), HTTP_GATE_WAIT);
}

/* Refused when all is there, and from the first byte on that settles it. */
static void refuses(const char *header, size_t n, int wanted)
{
    int status = 0;
    bool refused = false;
    assert_int_equal(look(header, n, &status), HTTP_GATE_REFUSE);
    assert_int_equal(status, wanted);
    for (size_t i = 0; i < n; i++) {
        enum http_gate gate = look(header, i, &status);
        assert_int_not_equal(gate, HTTP_GATE_PASS);
        assert_true(gate == HTTP_GATE_REFUSE || !refused);
        refused |= gate == HTTP_GATE_REFUSE;
    }
}

static void test_good_headers_pass(void **state)
{
    (void)state;
    passes("GET / HTTP/1.1\r\n\r\n");
    passes("\r\n\nPOST /a?b=c%20 HTTP/1.0\r\nHost: x\r\nEmpty:\r\nTab:\ta\tb \r\n\r\n");
    passes("M-SEARCH * HTTP/1.1\nhost:x\n\n");
    passes("PUT /a HTTP/1.1\r\nContent-Length: 0123456789 \r\nX: \xc3\xa9\xff\r\n\r\n");
}

static void test_bad_headers_are_refused(void **state)
{
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        {"GET\r\n", 400},
        {"GET /\r\n", 400},
        {"GET  HTTP/1.1\r\n", 400},
        {"GET / HTTP/1.1 \r\n", 400},
        {"GET / FTTP/1.1\r\n", 400},
        {" GET / HTTP/1.1\r\n", 400},
        {"GET /\x01 HTTP/1.1\r\n", 400},
        {"G(T / HTTP/1.1\r\n", 400},
        {"GET / HTTP/2.0\r\n", 505},
        {"GET / HTTP/1.2\r\n", 505},
        {"GET / HTTP/1.1\r\nHost\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : x\r\n", 400},
        {"GET / HTTP/1.1\r\n: x\r\n", 400},
        {"GET / HTTP/1.1\r\nA: b\r\n c\r\n", 400},
        {"GET / HTTP/1.1\r\nA: b\rc\r\n", 400},
        {"GET / HTTP/1.1\r\nContent-Length: -4\r\n", 400},
        {"GET / HTTP/1.1\r\ncontent-length:\r\n", 400},
        {"GET / HTTP/1.1\r\nContent-Length: 4, 4\r\n", 400},
        {"GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n", 413},
        {"\x16\x03\x01\x02", 400},
        {"GET /\x80\x01", 400},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 400},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(bad[i].text, strlen(bad[i].text), bad[i].status);
    refuses("GET / HTTP/1.1\r\nA: \0\r\n", 22, 400);
}

static void test_large_headers_are_refused(void **state)
{
    char text[2 * MAX_BYTES];
    int status;
    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    assert_int_equal(look(text, MAX_BYTES - 1, &status), HTTP_GATE_WAIT);
    assert_int_equal(look(text, MAX_BYTES, &status), HTTP_GATE_REFUSE);
    assert_int_equal(status, 414);
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    assert_int_equal(look(text, sizeof(text), &status), HTTP_GATE_REFUSE);
    assert_int_equal(status, 431);
    for (size_t i = 16; i + 4 <= MAX_BYTES; i += 4)
        memcpy(text + i, "a:b\n", 4);
    assert_int_equal(look(text, MAX_BYTES, &status), HTTP_GATE_REFUSE);
    assert_int_equal(status, 431);
    memcpy(text + 16 + 4 * 199, "\n\n\n\n", 4); /* as many lines as may be */
    assert_int_equal(look(text, MAX_BYTES, &status), HTTP_GATE_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_headers_pass),
        cmocka_unit_test(test_bad_headers_are_refused),
        cmocka_unit_test(test_large_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
