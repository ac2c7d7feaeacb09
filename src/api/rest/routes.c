/* Routes of the REST front. See rest.h. */
#include "api/rest/document.h"
#include "api/rest/models.h"
#include "api/rest/openai.h"
#include "api/rest/rest.h"
#include "api/rest/whispercpp.h"

static enum http_verdict begin_transcription(struct http_request *request)
{
    return rest_job_begin(request, &openai_transcriptions);
}

static enum http_verdict begin_translation(struct http_request *request)
{
    return rest_job_begin(request, &openai_translations);
}

static enum http_verdict begin_inference(struct http_request *request)
{
    return rest_job_begin(request, &whispercpp_inference);
}

#define JOB_HANDLER(begin_function)                                             \
    {                                                                           \
        .state_bytes = sizeof(struct rest_job_slot), .begin = (begin_function), \
        .body = rest_job_body, .end = rest_job_end, .over = rest_job_over,      \
    }

static const struct http_handler transcriptions = JOB_HANDLER(begin_transcription);
static const struct http_handler translations = JOB_HANDLER(begin_translation);
static const struct http_handler inference = JOB_HANDLER(begin_inference);

const struct http_route api_rest_routes[] = {
    {.method = "POST", .path = "/v1/audio/transcriptions", .handler = &transcriptions},
    {.method = "POST", .path = "/v1/audio/translations", .handler = &translations},
    {.method = "POST", .path = "/inference", .handler = &inference},
    {.method = "GET", .path = "/v1/models", .handler = &rest_models_handler},
    {.method = "GET", .path = "/v1/models/{id*}", .handler = &rest_model_handler},
    {.method = "GET", .path = "/openapi.json", .handler = &rest_document_handler, .open = true},
    {.path = NULL},
};
