/* The strict parsers, UTF-8 stepping and error sentences, on any bytes. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_numbers(const char *text)
{
    int64_t i;
    uint64_t u;
    double d;
    bool b;
    if (au_parse_i64(text, &i)) {
        char *again = au_sprintf("%lld", (long long)i);
        int64_t j;
        FUZZ_CHECK(again && au_parse_i64(again, &j) && i == j);
        au_free(again);
    }
    FUZZ_CHECK(!au_parse_double(text, &d) || isfinite(d));
    FUZZ_CHECK(!au_parse_seconds(text, &d) || (isfinite(d) && d >= 0));
    (void)au_parse_u64(text, &u);
    (void)au_parse_bytes(text, &u);
    (void)au_parse_bool(text, &b);
}

static void check_utf8(const char *text, size_t n)
{
    bool valid = true;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        char bytes[4];
        size_t used = au_utf8_decode(text + at, n - at, &c);
        FUZZ_CHECK(used >= 1 && used <= 4 && used <= n - at && c <= 0x10FFFF);
        size_t again = au_utf8_encode(c, bytes);
        bool same = again == used && memcmp(bytes, text + at, used) == 0;
        FUZZ_CHECK(same || c == AU_UTF8_REPLACEMENT);
        valid &= same;
        at += used;
    }
    FUZZ_CHECK(valid == au_utf8_valid(text, n));
    size_t prefix = au_utf8_complete_prefix(text, n);
    FUZZ_CHECK(prefix <= n && n - prefix <= 3);
    FUZZ_CHECK(!valid || prefix == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct au_fault fault;
    char *text = au_alloc(size + 1);
    FUZZ_CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    check_utf8((const char *)data, size);
    check_numbers(text);
    au_fail(&fault, AURICLE_E_FORMAT, "%s", text);
    au_fault_prefix(&fault, text);
    FUZZ_CHECK(strlen(fault.text) < AU_FAULT_TEXT_BYTES);
    FUZZ_CHECK(au_utf8_valid(fault.text, strlen(fault.text)));
    au_free(text);
    return 0;
}
