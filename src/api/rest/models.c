/* /v1/models: which models a request may name. */
#include "api/rest/models.h"
#include "api/api.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/service.h"

static void put_model(struct au_json_writer *w, const char *id,
                      const struct service_engine_entry *entry)
{
    au_json_open_object(w);
    au_json_add_string(w, "id", id);
    au_json_add_string(w, "object", "model");
    au_json_add_int(w, "created", entry->installed_unix_s);
    au_json_add_string(w, "owned_by", "auricle");
    au_json_add_bool(w, "loaded", entry->loaded);
    au_json_add_bool(w, "default", entry->is_default);
    au_json_add_int(w, "bytes", (int64_t)entry->bytes);
    au_json_close_object(w);
}

/* Entries of all models, or an answer that there is no memory. */
static bool list(struct http_request *request, struct service_engine_entry **entries, size_t *n)
{
    struct service_engines *engines = service_engines_of(api_of(request)->service);
    enum auricle_error error = service_engines_list(engines, entries, n);
    if (!error)
        return true;
    const struct api_error failure = api_error_of(error, "the models cannot be listed");
    api_fail(request, &failure);
    return false;
}

static void answer(struct http_request *request, struct au_buf *body)
{
    au_buf_putc(body, '\n');
    http_respond(request, 200, "application/json", body->data, body->len, NULL);
    au_buf_deinit(body);
}

static void list_models(struct http_request *request)
{
    struct service_engine_entry *entries = NULL;
    struct au_buf body;
    struct au_json_writer w;
    size_t n = 0;
    if (!list(request, &entries, &n))
        return;
    au_buf_init(&body, 0);
    au_json_writer_init(&w, &body, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "object", "list");
    au_json_key(&w, "data");
    au_json_open_array(&w);
    for (size_t i = 0; i < n; i++)
        put_model(&w, entries[i].name, &entries[i]);
    au_json_close_array(&w);
    au_json_close_object(&w);
    au_free(entries);
    answer(request, &body);
}

/* The model that a request for `id` would get. Errors: NOT_FOUND, NOMEM. */
static enum auricle_error find(struct service_engines *engines, const char *id,
                               const struct service_engine_entry *entries, size_t n,
                               const struct service_engine_entry **out, struct au_fault *fault)
{
    char *name = NULL;
    enum auricle_error error = service_engines_resolve(engines, id, &name, fault);
    if (error)
        return error;
    const struct service_engine_entry *entry = entries, *end = entries + n;
    while (entry < end && !au_str_equal(entry->name, name))
        entry++;
    if (entry < end)
        *out = entry;
    else /* it came after the list was made */
        error = au_fail(fault, AURICLE_E_NOT_FOUND, "the model %s is being installed", name);
    au_free(name);
    return error;
}

static void get_model(struct http_request *request)
{
    const char *id = http_request_param(request, "id");
    struct service_engines *engines = service_engines_of(api_of(request)->service);
    struct service_engine_entry *entries = NULL;
    const struct service_engine_entry *entry = NULL;
    struct au_fault fault = {0};
    size_t n = 0;
    if (!list(request, &entries, &n))
        return;
    enum auricle_error error = find(engines, id, entries, n, &entry, &fault);
    if (error) {
        struct api_error failure = api_error_of(error, fault.text);
        if (error == AURICLE_E_NOT_FOUND)
            failure.code = "model_not_found";
        failure.param = "model";
        api_fail(request, &failure);
    } else {
        struct au_buf body;
        struct au_json_writer w;
        au_buf_init(&body, 0);
        au_json_writer_init(&w, &body, 0);
        put_model(&w, id, entry);
        answer(request, &body);
    }
    au_free(entries);
}

const struct http_handler rest_models_handler = {.end = list_models};
const struct http_handler rest_model_handler = {.end = get_model};
