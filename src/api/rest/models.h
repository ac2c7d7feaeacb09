/* /v1/models and /v1/models/{id}. */
#ifndef REST_MODELS_H
#define REST_MODELS_H

#include "api/http/http.h"

extern const struct http_handler rest_models_handler, rest_model_handler;

#endif
