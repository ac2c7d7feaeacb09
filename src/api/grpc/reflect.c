/* grpc.reflection v1 and v1alpha: what services and messages there are, from descriptors that were
 * put in at build time. The two versions differ in their package alone, so one reading serves both.
 * A key is asked for where the server asks for keys.                                             */
#include <reflection.pb-c.h>

#include "api/grpc/descriptors.h"
#include "api/grpc/rpc.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_REQUEST_BYTES ((size_t)4 << 10)
#define MAX_SERVICES      8

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
typedef Grpc__Reflection__V1__ErrorResponse Refusal;

/* What protobuf-c makes of the names of cases is longer than a line. */
#define ASKS(what)    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWERS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

static const struct rpc_descriptor *file_named(const char *name)
{
    for (const struct rpc_descriptor *d = rpc_descriptors; d->file; d++)
        if (au_str_equal(d->file, name))
            return d;
    return NULL;
}

static const struct rpc_descriptor *file_defining(const char *symbol)
{
    for (const struct rpc_descriptor *d = rpc_descriptors; d->file; d++)
        for (const char *const *name = d->symbols; *name; name++)
            if (au_str_equal(*name, symbol))
                return d;
    return NULL;
}

static void refuse(Response *response, Refusal *refusal, grpc_status_code code,
                   const char *sentence)
{
    refusal->error_code = (int32_t)code;
    refusal->error_message = (char *)(uintptr_t)sentence;
    response->message_response_case = ANSWERS(ERROR_RESPONSE);
    response->error_response = refusal;
}

static grpc_byte_buffer *answer_file(Response *response, const struct rpc_descriptor *d)
{
    Refusal refusal = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse found =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    ProtobufCBinaryData data;
    if (d) {
        data = (ProtobufCBinaryData){.len = d->n, .data = (uint8_t *)(uintptr_t)d->bytes};
        found.n_file_descriptor_proto = 1;
        found.file_descriptor_proto = &data;
        response->message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
        response->file_descriptor_response = &found;
    } else {
        refuse(response, &refusal, GRPC_STATUS_NOT_FOUND, "no such file or symbol");
    }
    return rpc_pack(&response->base);
}

static grpc_byte_buffer *answer_services(Response *response)
{
    Grpc__Reflection__V1__ServiceResponse services[MAX_SERVICES], *pointers[MAX_SERVICES];
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    const char *name;
    for (; list.n_service < MAX_SERVICES && (name = rpc_server_service(list.n_service)) != NULL;
         list.n_service++) {
        grpc__reflection__v1__service_response__init(&services[list.n_service]);
        services[list.n_service].name = (char *)(uintptr_t)name;
        pointers[list.n_service] = &services[list.n_service];
    }
    list.service = pointers;
    response->message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    response->list_services_response = &list;
    return rpc_pack(&response->base);
}

static grpc_byte_buffer *answer_refusal(Response *response, grpc_status_code code,
                                        const char *sentence)
{
    Refusal refusal = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    refuse(response, &refusal, code, sentence);
    return rpc_pack(&response->base);
}

static grpc_byte_buffer *answer(Request *request)
{
    Response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = request->host;
    response.original_request = request;
    switch ((int)request->message_request_case) {
    case ASKS(FILE_BY_FILENAME):
        return answer_file(&response, file_named(request->file_by_filename));
    case ASKS(FILE_CONTAINING_SYMBOL):
        return answer_file(&response, file_defining(request->file_containing_symbol));
    case ASKS(LIST_SERVICES): return answer_services(&response);
    case ASKS(FILE_CONTAINING_EXTENSION):
    case ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE):
        return answer_refusal(&response, GRPC_STATUS_NOT_FOUND, "there are no extensions here");
    default:
        return answer_refusal(&response, GRPC_STATUS_INVALID_ARGUMENT,
                              "the request asks for nothing");
    }
}

/* The next message is asked for once this answer has been taken: see drained. */
static void on_message(struct rpc_call *call, grpc_byte_buffer *message)
{
    if (!message) {
        rpc_end(call);
        return;
    }
    struct au_fault fault = {0};
    ProtobufCMessage *request = rpc_unpack(
        &grpc__reflection__v1__server_reflection_request__descriptor, message, MAX_REQUEST_BYTES,
        &fault);
    if (!request) {
        rpc_fail(call, fault.code, fault.text, 0);
        return;
    }
    rpc_send(call, RPC_KEEP, answer((Request *)(void *)request));
    protobuf_c_message_free_unpacked(request, rpc_memory());
}

const struct rpc_method rpc_reflection_methods[] = {
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
     .begin = rpc_receive,
     .message = on_message,
     .drained = rpc_receive},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     .begin = rpc_receive,
     .message = on_message,
     .drained = rpc_receive},
    {0},
};
