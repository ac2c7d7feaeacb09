/* Opening the gRPC module. See grpc_front.h. */
#include <dlfcn.h>

#include "api/grpc/grpc_front.h"

enum auricle_error api_grpc_load(const char *path, const struct api_grpc_module **out,
                                 struct au_fault *fault)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "the gRPC module cannot be loaded: %s",
                       dlerror());
    const struct api_grpc_module *module = dlsym(library, API_GRPC_MODULE_SYMBOL);
    if (!module || module->size != sizeof *module ||
        module->host_size != sizeof(struct api_grpc_host) ||
        module->config_size != sizeof(struct api_grpc_config)) {
        dlclose(library);
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s is not the gRPC module of this build of auricle", path);
    }
    *out = module;
    return AURICLE_OK;
}
