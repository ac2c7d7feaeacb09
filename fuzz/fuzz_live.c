/* What a client wishes of a live session: a JSON message, or else the query of its request. What is
 * taken lies within its bounds; what is refused has a sentence. And any bytes may be asked whether
 * they begin a container.                                                                        */
#include <string.h>

#include "api/http/internal.h"
#include "api/live/live_config.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_text(const char *text)
{
    FUZZ_CHECK(!text || au_utf8_valid(text, strlen(text)));
}

static void check_config(const struct live_config *config)
{
    check_text(config->model);
    check_text(config->options.language);
    check_text(config->options.languages);
    check_text(config->options.initial_prompt);
    check_text(config->options.hotwords);
    FUZZ_CHECK(config->raw <= AUDIO_RAW_U8);
    FUZZ_CHECK(config->stream.endpoint_ms >= 0);
    if (config->raw == AUDIO_RAW_NONE) {
        FUZZ_CHECK(live_config_frame_bytes(config) == 0);
        return;
    }
    FUZZ_CHECK(config->rate_hz >= 1000 && config->rate_hz <= 768000);
    FUZZ_CHECK(config->channels >= 1 && config->channels <= 64);
    FUZZ_CHECK(live_config_frame_bytes(config) >= (size_t)config->channels);
}

static void read_message(const uint8_t *data, size_t size)
{
    struct live_config config;
    struct au_json *message = NULL;
    struct au_fault fault = {0};
    if (au_json_parse((const char *)data, size, "the message", &message, &fault))
        return;
    live_config_init(&config);
    if (au_json_type(message) == AU_JSON_OBJECT) {
        if (live_config_json(&config, message, &fault))
            FUZZ_CHECK(fault.text[0]);
        else
            check_config(&config);
    }
    live_config_deinit(&config);
    au_json_free(message);
}

static void read_query(const uint8_t *data, size_t size)
{
    struct live_config config;
    struct au_fault fault = {0};
    struct http_request *request = au_calloc(1, sizeof *request);
    char *uri = au_sprintf("/v1/stream?%.*s", (int)size, (const char *)data);
    FUZZ_CHECK(request && uri);
    live_config_init(&config);
    if (!http_target_parse(request, uri)) {
        if (live_config_query(&config, request, &fault))
            FUZZ_CHECK(fault.text[0]);
        else
            check_config(&config);
    }
    live_config_deinit(&config);
    au_free(request->path);
    au_free(request->segment_text);
    au_free(request->query_text);
    au_free(request);
    au_free(uri);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)live_config_is_container(data, size);
    if (size > 0 && data[0] == '{')
        read_message(data, size);
    else
        read_query(data, size);
    return 0;
}
