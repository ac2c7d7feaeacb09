/* Messages of auricle.v1: the first byte picks the type. Taking the audio out gives the same
 * however the message is cut; what passes the check unpacks, and passes again when packed.       */
#include <string.h>

#include <auricle.pb-c.h>

#include "api/grpc/wire.h"
#include "fuzz.h"

#define BULK_FIELD  2 /* audio, in both messages that have it */
#define LIMIT_BYTES 4096
#define MAX_PIECES  3

struct outcome {
    enum auricle_error error;
    bool has_bulk;
    struct au_buf bulk, rest;
};

static void split(const struct rpc_piece *pieces, size_t n, struct outcome *out)
{
    struct rpc_split split = {0};
    struct au_fault fault = {0};
    const uint8_t *bytes;
    memset(out, 0, sizeof *out);
    au_buf_init(&out->bulk, 0);
    au_buf_init(&out->rest, 0);
    out->error = rpc_wire_split(pieces, n, BULK_FIELD, LIMIT_BYTES, &split, &fault);
    if (out->error) {
        FUZZ_CHECK(fault.text[0]);
        return;
    }
    out->has_bulk = split.has_bulk;
    for (size_t left = split.has_bulk ? split.n_bulk : 0; left > 0;) {
        size_t got = rpc_cursor_next(&split.bulk, left, &bytes);
        FUZZ_CHECK(got > 0 && got <= left); /* as many as were promised */
        FUZZ_CHECK(au_buf_append(&out->bulk, bytes, got) == AURICLE_OK);
        left -= got;
    }
    FUZZ_CHECK(split.rest.len <= LIMIT_BYTES);
    au_buf_deinit(&out->rest);
    out->rest = split.rest;
}

static bool same(const struct au_buf *a, const struct au_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void check_type(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size)
{
    struct au_fault fault = {0};
    if (rpc_wire_check(type, data, size, &fault)) {
        FUZZ_CHECK(fault.text[0]);
        return;
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size, data);
    if (!message)
        return; /* it says so in its own way: memory, or a repeated field that is too long */
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(n ? n : 1);
    FUZZ_CHECK(packed && protobuf_c_message_pack(message, packed) == n);
    FUZZ_CHECK(rpc_wire_check(type, packed, n, &fault) == AURICLE_OK);
    free(packed);
    protobuf_c_message_free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &auricle__v1__recognition_config__descriptor,
        &auricle__v1__transcribe_request__descriptor,
        &auricle__v1__listen_request__descriptor,
    };
    struct outcome whole, cut;
    if (size == 0)
        return 0;
    size_t pick = *data++, third = --size / 3;
    struct rpc_piece one = {data, size};
    struct rpc_piece three[MAX_PIECES] = {
        {data, third}, {data + third, third}, {data + 2 * third, size - 2 * third}};
    split(&one, 1, &whole);
    split(three, MAX_PIECES, &cut);
    FUZZ_CHECK(whole.error == cut.error && whole.has_bulk == cut.has_bulk);
    FUZZ_CHECK(same(&whole.bulk, &cut.bulk) && same(&whole.rest, &cut.rest));
    if (!whole.error && whole.rest.len)
        check_type(types[pick % 3], (const uint8_t *)whole.rest.data, whole.rest.len);
    check_type(types[pick % 3], data, size);
    au_buf_deinit(&whole.bulk);
    au_buf_deinit(&whole.rest);
    au_buf_deinit(&cut.bulk);
    au_buf_deinit(&cut.rest);
    return 0;
}
