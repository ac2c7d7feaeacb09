/* Messages to and from bytes, and statuses for errors. See rpc.h. */
#include <string.h>

#include "api/grpc/rpc.h"
#include "api/grpc/wire.h"
#include "base/mem.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

static void *take(void *context, size_t bytes)
{
    (void)context;
    return au_alloc(bytes);
}

static void give(void *context, void *block)
{
    (void)context;
    au_free(block);
}

ProtobufCAllocator *rpc_memory(void)
{
    static const ProtobufCAllocator allocator = {.alloc = take, .free = give};
    return (ProtobufCAllocator *)(uintptr_t)&allocator; /* protobuf-c only reads it */
}

/* ---- Packing --------------------------------------------------------------------------------- */

static grpc_byte_buffer *wrap(grpc_slice slice)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    return wrap(slice);
}

grpc_byte_buffer *rpc_buffer(const void *bytes, size_t n)
{
    return wrap(grpc_slice_from_copied_buffer(bytes, n));
}

struct rpc_piece *rpc_pieces(const grpc_byte_buffer *message, size_t *n)
{
    const grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
    struct rpc_piece *pieces = au_alloc_array(slices->count + 1, sizeof *pieces);
    for (size_t i = 0; pieces && i < slices->count; i++)
        pieces[i] = (struct rpc_piece){.data = GRPC_SLICE_START_PTR(slices->slices[i]),
                                       .n = GRPC_SLICE_LENGTH(slices->slices[i])};
    *n = slices->count;
    return pieces;
}

/* ---- Unpacking ------------------------------------------------------------------------------- */

ProtobufCMessage *rpc_unpack_bytes(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                   size_t n, struct au_fault *fault)
{
    if (rpc_wire_check(type, bytes, n, fault))
        return NULL;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, rpc_memory(), n, bytes);
    if (!message)
        au_fail(fault, AURICLE_E_INVALID, "the message is not a %s", type->name);
    return message;
}

ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *message,
                             size_t limit, struct au_fault *fault)
{
    const grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
    if (slices->length > limit) {
        au_fail(fault, AURICLE_E_INVALID, "a %s of %zu bytes; up to %zu are accepted", type->name,
                slices->length, limit);
        return NULL;
    }
    uint8_t *bytes = au_alloc(slices->length);
    if (!bytes) {
        au_fail(fault, AURICLE_E_NOMEM, "no memory for a message");
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < slices->count; i++) {
        memcpy(bytes + n, GRPC_SLICE_START_PTR(slices->slices[i]),
               GRPC_SLICE_LENGTH(slices->slices[i]));
        n += GRPC_SLICE_LENGTH(slices->slices[i]);
    }
    ProtobufCMessage *out = rpc_unpack_bytes(type, bytes, n, fault);
    au_free(bytes);
    return out;
}

/* ---- Statuses -------------------------------------------------------------------------------- */

grpc_status_code rpc_status_of(enum auricle_error error)
{
    switch (error) {
    case AURICLE_OK: return GRPC_STATUS_OK;
    case AURICLE_E_NOT_FOUND: return GRPC_STATUS_NOT_FOUND;
    case AURICLE_E_FORMAT:
    case AURICLE_E_UNSUPPORTED:
    case AURICLE_E_INVALID:
    case AURICLE_E_NO_AUDIO: return GRPC_STATUS_INVALID_ARGUMENT;
    case AURICLE_E_NOMEM:
    case AURICLE_E_LIMIT:
    case AURICLE_E_NO_SPACE: return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case AURICLE_E_CANCELLED: return GRPC_STATUS_CANCELLED;
    case AURICLE_E_TIMEOUT: return GRPC_STATUS_DEADLINE_EXCEEDED;
    case AURICLE_E_STATE: return GRPC_STATUS_FAILED_PRECONDITION;
    case AURICLE_E_AGAIN: return GRPC_STATUS_UNAVAILABLE;
    case AURICLE_E_IO:
    case AURICLE_E_SHAPE:
    case AURICLE_E_CLOSED_PIPE: break;
    }
    return GRPC_STATUS_INTERNAL;
}
