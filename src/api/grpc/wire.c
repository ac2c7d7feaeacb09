/* Received messages before protobuf-c sees them. See wire.h. */
#include "api/grpc/wire.h"

#include <string.h>

#include "base/utf8.h"

#define MAX_DEPTH 16 /* ours nest 3 deep */

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static const char broken[] = "the message is not in the protobuf encoding of its type";

/* ---- Pieces ---------------------------------------------------------------------------------- */

size_t rpc_cursor_next(struct rpc_cursor *c, size_t n, const uint8_t **out)
{
    while (c->piece < c->n_pieces && c->offset == c->pieces[c->piece].n) {
        c->piece++;
        c->offset = 0;
    }
    if (c->piece == c->n_pieces || n == 0)
        return 0;
    size_t here = c->pieces[c->piece].n - c->offset;
    if (here > n)
        here = n;
    *out = c->pieces[c->piece].data + c->offset;
    c->offset += here;
    c->left -= here;
    return here;
}

/* Past n bytes, which go into `into` unless it is NULL. */
static bool pass(struct rpc_cursor *c, size_t n, struct au_buf *into)
{
    if (n > c->left)
        return false;
    while (n > 0) {
        const uint8_t *bytes = NULL;
        size_t here = rpc_cursor_next(c, n, &bytes);
        if (here == 0)
            return false;
        if (into)
            au_buf_append(into, bytes, here);
        n -= here;
    }
    return true;
}

static bool read_varint(struct rpc_cursor *c, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *byte = NULL;
        if (rpc_cursor_next(c, 1, &byte) == 0)
            return false;
        if (shift == 63 && *byte > 1)
            return false;
        value |= (uint64_t)(*byte & 0x7f) << shift;
        if (*byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_tag(struct rpc_cursor *c, uint32_t *field, enum wire_type *type)
{
    uint64_t tag;
    if (!read_varint(c, &tag) || tag >> 32 || tag >> 3 == 0)
        return false;
    *field = (uint32_t)(tag >> 3);
    *type = (enum wire_type)(tag & 7);
    return true;
}

/* Bytes that a value of that kind takes, read from its beginning; false: cut short, or a group. */
static bool value_length(struct rpc_cursor *c, enum wire_type type, size_t *out)
{
    uint64_t value;
    switch (type) {
    case WIRE_VARINT: *out = 0; return read_varint(c, &value);
    case WIRE_64: *out = 8; return c->left >= 8;
    case WIRE_32: *out = 4; return c->left >= 4;
    case WIRE_BYTES:
        if (!read_varint(c, &value) || value > c->left)
            return false;
        *out = (size_t)value;
        return true;
    default: return false;
    }
}

/* ---- Splitting ------------------------------------------------------------------------------- */

/* One field: the bulk is noted, anything else copied from its tag on. */
static bool split_field(struct rpc_cursor *c, uint32_t bulk_field, struct rpc_split *out)
{
    struct rpc_cursor begin = *c;
    uint32_t field;
    enum wire_type type;
    size_t n;
    if (!read_tag(c, &field, &type) || !value_length(c, type, &n))
        return false;
    if (field == bulk_field && type == WIRE_BYTES) {
        out->has_bulk = true;
        out->n_bulk = n;
        out->bulk = *c;
        return pass(c, n, NULL);
    }
    size_t whole = begin.left - c->left + n;
    *c = begin;
    return pass(c, whole, &out->rest);
}

enum auricle_error rpc_wire_split(const struct rpc_piece *pieces, size_t n_pieces,
                                  uint32_t bulk_field, size_t limit, struct rpc_split *out,
                                  struct au_fault *fault)
{
    struct rpc_cursor c = {.pieces = pieces, .n_pieces = n_pieces};
    for (size_t i = 0; i < n_pieces; i++)
        c.left += pieces[i].n;
    struct rpc_split split = {0};
    au_buf_init(&split.rest, limit);
    while (c.left > 0 && !split.rest.error)
        if (!split_field(&c, bulk_field, &split)) {
            au_buf_deinit(&split.rest);
            return au_fail(fault, AURICLE_E_INVALID, "%s", broken);
        }
    enum auricle_error error = split.rest.error;
    if (error) {
        au_buf_deinit(&split.rest);
        return error == AURICLE_E_LIMIT
                   ? au_fail(fault, error,
                             "what the message says beside its audio is over %zu bytes", limit)
                   : au_fail(fault, error, "no memory for a message");
    }
    *out = split;
    return AURICLE_OK;
}

/* ---- Checking -------------------------------------------------------------------------------- */

static enum auricle_error check(const ProtobufCMessageDescriptor *type, struct rpc_cursor *c,
                                int depth, struct au_fault *fault)
{
    while (c->left > 0) {
        uint32_t number;
        enum wire_type wire;
        size_t n;
        if (!read_tag(c, &number, &wire) || !value_length(c, wire, &n))
            return au_fail(fault, AURICLE_E_INVALID, "%s", broken);
        const uint8_t *bytes = (const uint8_t *)"";
        if (n > 0 && rpc_cursor_next(c, n, &bytes) != n)
            return au_fail(fault, AURICLE_E_INVALID, "%s", broken);
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type,
                                                                                        number);
        if (!field || wire != WIRE_BYTES)
            continue;
        if (field->type == PROTOBUF_C_TYPE_STRING &&
            (memchr(bytes, 0, n) || !au_utf8_valid((const char *)bytes, n)))
            return au_fail(fault, AURICLE_E_INVALID,
                           "%s is not text: UTF-8 without zero bytes is expected", field->name);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            struct rpc_piece piece = {.data = bytes, .n = n};
            struct rpc_cursor inner = {.pieces = &piece, .n_pieces = 1, .left = n};
            if (depth == MAX_DEPTH)
                return au_fail(fault, AURICLE_E_INVALID, "%s nests too deep", field->name);
            enum auricle_error error = check(field->descriptor, &inner, depth + 1, fault);
            if (error)
                return error;
        }
    }
    return AURICLE_OK;
}

enum auricle_error rpc_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                  size_t n, struct au_fault *fault)
{
    struct rpc_piece piece = {.data = bytes, .n = n};
    struct rpc_cursor c = {.pieces = &piece, .n_pieces = 1, .left = n};
    return check(type, &c, 0, fault);
}
