/* grpc.health.v1: Check, List and Watch. A service is SERVING while the server takes work and gets
 * on with it; asking costs no key.                                                               */
#include <health.pb-c.h>

#include "api/grpc/rpc.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_REQUEST_BYTES ((size_t)4 << 10)

struct health {
    Grpc__Health__V1__HealthCheckRequest *asked; /* of a Watch */
    int told;                                    /* the status last sent; -1: none */
};

static Grpc__Health__V1__HealthCheckResponse__ServingStatus status_of(struct rpc_call *call,
                                                                      const char *service)
{
    switch (rpc_server_serving(rpc_call_server(call), service)) {
    case RPC_SERVING: return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    case RPC_NOT_SERVING:
        return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    case RPC_SERVING_UNKNOWN: break;
    }
    return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
}

static Grpc__Health__V1__HealthCheckRequest *unpack(struct rpc_call *call,
                                                    grpc_byte_buffer *message)
{
    struct au_fault fault = {0};
    ProtobufCMessage *asked = message
                                  ? rpc_unpack(&grpc__health__v1__health_check_request__descriptor,
                                               message, MAX_REQUEST_BYTES, &fault)
                                  : NULL;
    if (!asked)
        rpc_fail(call, AURICLE_E_INVALID, message ? fault.text : "the call came without a request",
                 0);
    return (Grpc__Health__V1__HealthCheckRequest *)(void *)asked;
}

static grpc_byte_buffer *pack(int status)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return rpc_pack(&response.base);
}

static void check(struct rpc_call *call, grpc_byte_buffer *message)
{
    Grpc__Health__V1__HealthCheckRequest *asked = unpack(call, message);
    if (!asked)
        return;
    int status = (int)status_of(call, asked->service);
    if (status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN) {
        struct au_fault fault;
        au_fail(&fault, AURICLE_E_NOT_FOUND, "there is no service %.200s here", asked->service);
        rpc_fail(call, fault.code, fault.text, 0);
    } else {
        rpc_answer(call, pack(status));
    }
    protobuf_c_message_free_unpacked(&asked->base, rpc_memory());
}

static void list(struct rpc_call *call, grpc_byte_buffer *message)
{
    (void)message; /* holds nothing */
    enum { MAX_SERVICES = 8 };
    Grpc__Health__V1__HealthListResponse__StatusesEntry entries[MAX_SERVICES],
        *pointers[MAX_SERVICES];
    Grpc__Health__V1__HealthCheckResponse statuses[MAX_SERVICES];
    size_t n = 0;
    for (const char *name = ""; name && n < MAX_SERVICES; name = rpc_server_service(n++)) {
        grpc__health__v1__health_check_response__init(&statuses[n]);
        statuses[n].status = status_of(call, name);
        grpc__health__v1__health_list_response__statuses_entry__init(&entries[n]);
        entries[n].key = (char *)(uintptr_t)name;
        entries[n].value = &statuses[n];
        pointers[n] = &entries[n];
    }
    Grpc__Health__V1__HealthListResponse response = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
    response.n_statuses = n;
    response.statuses = pointers;
    rpc_answer(call, rpc_pack(&response.base));
}

/* ---- Watch ----------------------------------------------------------------------------------- */

static void tell_change(struct rpc_call *call, struct health *h)
{
    int status = (int)status_of(call, h->asked->service);
    if (status == h->told)
        return;
    h->told = status;
    rpc_send(call, RPC_PASSING, pack(status));
}

static void watch(struct rpc_call *call, grpc_byte_buffer *message)
{
    struct health *h = rpc_call_state(call);
    h->told = -1;
    h->asked = unpack(call, message);
    if (!h->asked)
        return;
    tell_change(call, h);
    rpc_call_ticks(call, RPC_TICK_RARELY);
}

static void tick_watch(struct rpc_call *call)
{
    struct health *h = rpc_call_state(call);
    if (h->asked)
        tell_change(call, h);
}

static void destroy_watch(struct rpc_call *call)
{
    struct health *h = rpc_call_state(call);
    if (h->asked)
        protobuf_c_message_free_unpacked(&h->asked->base, rpc_memory());
}

const struct rpc_method rpc_health_methods[] = {
    {.path = "/grpc.health.v1.Health/Check",
     .share = RPC_CHECK,
     .begin = rpc_receive,
     .message = check},
    {.path = "/grpc.health.v1.Health/List",
     .share = RPC_CHECK,
     .begin = rpc_receive,
     .message = list},
    {.path = "/grpc.health.v1.Health/Watch",
     .state_bytes = sizeof(struct health),
     .share = RPC_WATCH,
     .begin = rpc_receive,
     .message = watch,
     .tick = tick_watch,
     .destroy = destroy_watch},
    {0},
};
