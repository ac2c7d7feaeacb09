/* The .proto files as descriptors, put in at build time (tools/embed_descriptors.py). */
#ifndef API_GRPC_DESCRIPTORS_H
#define API_GRPC_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

struct rpc_descriptor {
    const char *file;     /* "auricle/v1/auricle.proto" */
    const uint8_t *bytes; /* a serialised google.protobuf.FileDescriptorProto */
    size_t n;
    const char *const *symbols; /* full names of all that it defines; ends with NULL */
};

extern const struct rpc_descriptor rpc_descriptors[]; /* ends with file NULL */

#endif
