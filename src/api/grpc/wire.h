/* Received messages before protobuf-c sees them: taking the audio out, checking the rest.
 *
 * A recording arrives as a message of up to 100 MB in many pieces. Unpacking it would copy it
 * twice; instead the one field that holds audio is found where it lies, and only what else the
 * message says is copied. That rest is then held to what protobuf-c does not look at: strings must
 * be UTF-8 without zero bytes, nesting is bounded. Encoding:
 * protobuf.dev/programming-guides/encoding.
 * Thread: any; no state.                                                                         */
#ifndef API_GRPC_WIRE_H
#define API_GRPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/error.h"

struct rpc_piece {
    const uint8_t *data;
    size_t n;
};

/* A position in pieces that follow one another. */
struct rpc_cursor {
    const struct rpc_piece *pieces;
    size_t n_pieces, piece, offset; /* offset: in pieces[piece] */
    size_t left;                    /* bytes to the end of all */
};

struct rpc_split {
    bool has_bulk;
    size_t n_bulk;          /* bytes */
    struct rpc_cursor bulk; /* where it begins */
    struct au_buf rest;     /* the message without it; au_buf_deinit */
};

/* Find the bytes field `bulk_field`; when it comes several times the last one counts. Everything
 * else goes into rest, of at most limit bytes. Errors: INVALID (not a message), LIMIT, NOMEM.    */
AURICLE_MUST_CHECK enum auricle_error rpc_wire_split(const struct rpc_piece *pieces,
                                                     size_t n_pieces, uint32_t bulk_field,
                                                     size_t limit, struct rpc_split *out,
                                                     struct au_fault *fault);

/* The next bytes that lie together, at most n: *out points at them. 0 at the end. */
size_t rpc_cursor_next(struct rpc_cursor *cursor, size_t n, const uint8_t **out);

/* Whether bytes are a message of that type whose strings are text. Errors: INVALID, naming the
 * field. */
AURICLE_MUST_CHECK enum auricle_error rpc_wire_check(const ProtobufCMessageDescriptor *type,
                                                     const uint8_t *bytes, size_t n,
                                                     struct au_fault *fault);

#endif
