/* The gRPC module and the service it is handed. See grpc_front.h. */
#include "api/grpc/grpc_front.h"

#include "base/file.h"
#include "base/mem.h"

#define MODULE_NAME "auricle-grpc.so"

struct api_grpc_front {
    const struct api_grpc_module *module;
    struct rpc_server *server;
};

/* Beside the program, as in the build folder, or in the library folder it was installed with. */
static enum auricle_error find_module(char **out, struct au_fault *fault)
{
    char *folder = au_path_executable_folder();
    char *beside = folder ? au_path_join(folder, MODULE_NAME) : NULL;
    char *installed = folder
                          ? au_sprintf("%s/../%s/auricle/%s", folder, AURICLE_LIBDIR, MODULE_NAME)
                          : NULL;
    enum auricle_error error = AURICLE_OK;
    if (!beside || !installed) {
        error = au_fail(fault, AURICLE_E_NOMEM, "no memory to look for the gRPC module");
    } else if (au_file_is_regular(beside)) {
        *out = beside;
        beside = NULL;
    } else if (au_file_is_regular(installed)) {
        *out = installed;
        installed = NULL;
    } else {
        error = au_fail(fault, AURICLE_E_UNSUPPORTED,
                        "gRPC needs the module " MODULE_NAME
                        ", which is neither %s nor %s; install it, or turn gRPC off with "
                        "--grpc-port 0",
                        beside, installed);
    }
    au_free(installed);
    au_free(beside);
    au_free(folder);
    return error;
}

static enum auricle_error list_models(struct service *service, struct service_engine_entry **out,
                                      size_t *n)
{
    return service_engines_list(service_engines_of(service), out, n);
}

static const struct api_grpc_host functions = {
    .size = sizeof(struct api_grpc_host),
    .draining = service_draining,
    .limits = service_get_limits,
    .making_progress = service_making_progress,
    .models = list_models,
    .admit = service_admit,
    .ticket_grow = service_ticket_grow,
    .ticket_spool = service_ticket_spool,
    .ticket_release = service_ticket_release,
    .request_start = service_request_start,
    .request_cancel = service_request_cancel,
    .request_release = service_request_release,
    .live_open = service_live_open,
    .live_session_id = service_live_session_id,
    .live_feed = service_live_feed,
    .live_finalize = service_live_finalize,
    .live_close = service_live_close,
    .live_detach = service_live_detach,
    .live_attach = service_live_attach,
    .live_abort = service_live_abort,
    .options_default = auricle_options_default,
    .options_strict = auricle_options_strict,
    .options_reference = auricle_options_reference,
    .count = service_count,
    .count_request = service_count_request,
    .count_error = service_count_error,
    .log_enabled = au_log_enabled,
    .log = au_log,
    .log_with = au_log_with,
};

enum auricle_error api_grpc_start(const struct api_grpc_config *config, struct service *service,
                                  const char *module, struct api_grpc_front **out,
                                  struct au_fault *fault)
{
    char *found = NULL;
    enum auricle_error error = module ? AURICLE_OK : find_module(&found, fault);
    if (error)
        return error;
    struct api_grpc_front *front = au_calloc(1, sizeof *front);
    error = front ? api_grpc_load(module ? module : found, &front->module, fault)
                  : au_fail(fault, AURICLE_E_NOMEM, "no memory for gRPC");
    au_free(found);
    if (!error) {
        struct api_grpc_host host = functions;
        host.service = service;
        host.metrics = service_metrics_of(service);
        error = front->module->create(config, &host, &front->server, fault);
    }
    if (error) {
        au_free(front);
        return error;
    }
    *out = front;
    return AURICLE_OK;
}

int api_grpc_port(const struct api_grpc_front *front)
{
    return front->module->port(front->server);
}

void api_grpc_drain(struct api_grpc_front *front)
{
    front->module->drain(front->server);
}

size_t api_grpc_active(const struct api_grpc_front *front)
{
    return front->module->active(front->server);
}

enum auricle_error api_grpc_renew_certificate(struct api_grpc_front *front, struct au_fault *fault)
{
    return front->module->renew_certificate(front->server, fault);
}

void api_grpc_stop(struct api_grpc_front *front)
{
    if (!front)
        return;
    front->module->destroy(front->server);
    au_free(front);
}
