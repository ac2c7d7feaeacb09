/* The known settings and where their values come from. See settings.h. */
#include "service/settings/settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define CONFIG_LIMIT_BYTES (1u << 20)

static const struct service_setting known[] = {
    {"MODEL_PATH", NULL, "default model: a name or a path"},
    {"AURICLE_MODELS", NULL, "folders with models, separated by colons"},
    {"AURICLE_AUTO_PULL", NULL, "off: --model never loads a model from the network"},
    {"AURICLE_MODEL_URL", NULL, "mirror to pull models from"},
    {"HF_ENDPOINT", NULL, "the same, where AURICLE_MODEL_URL is not set"},
    {"AURICLE_CACHE", NULL, "folder for packed weights; off: none"},
    {"AURICLE_CACHE_SIZE", NULL, "bytes that it may hold"},
    {"OMP_NUM_THREADS", NULL, "worker threads"},
    {"MKL_NUM_THREADS", NULL, "worker threads where OMP_NUM_THREADS is not set"},
    {"AURICLE_CPU_LEVEL", NULL, "highest instruction set to use"},
    {"LOG_LEVEL", NULL, "debug, info, warning, error or off"},
    {"LOG_PERFORMANCE_METRICS", NULL, "log the time spent in each stage"},
    {"AUDIO_OPTIMIZATION", NULL, "off: the finest resampler; on: the fast high-quality one"},
    {"LOG_FORMAT", NULL, "text or json"},
    {"AURICLE_HOST", NULL, "address that the server listens on"},
    {"AURICLE_PORT", NULL, "its port for HTTP"},
    {"AURICLE_GRPC_PORT", NULL, "its port for gRPC; 0: no gRPC"},
    {"API_KEYS_FILE", NULL, "file with the server's API keys"},
    {"AURICLE_API_KEYS", NULL, "the API keys themselves, separated by blanks"},
    {"ENABLE_REST", NULL, "off: no REST, and no page at /"},
    {"ENABLE_WEBSOCKET", NULL, "off: no live audio over WebSocket"},
    {"MAX_FILE_SIZE", NULL, "largest upload"},
    {"MAX_AUDIO_SECONDS", NULL, "longest recording"},
    {"MAX_WAITING", NULL, "requests that may wait and run at once"},
    {"MAX_RESERVED", NULL, "memory they may reserve"},
    {"MAX_SPOOL", NULL, "disk that recordings may take"},
    {"MAX_LIVE", NULL, "live sessions at once"},
    {"LIVE_IDLE_SECONDS", NULL, "a WebSocket silent for so long is closed"},
    {"LIVE_RESUME_SECONDS", NULL, "a lost one may come back for so long"},
    {"DRAIN_TIMEOUT", NULL, "time to finish in when asked to end; never: no limit"},
    {"WHISPER_MODEL_CACHE_SIZE", NULL, "models kept loaded"},
    {"MAX_CONCURRENT_JOBS", "the job queue", NULL},
    {"AUDIO_CHUNK_SIZE", "the job queue", NULL},
    {"CLEANUP_INTERVAL", "the job queue", NULL},
    {"INSTANCE_ID", "the job queue", NULL},
    {"MEMORY_OPTIMIZATION", "the job queue", NULL},
    {"ENABLE_GPU_ACCELERATION", "GPU support", NULL},
    {"CUDA_VISIBLE_DEVICES", "GPU support", NULL},
    {NULL, NULL, NULL},
};
_Static_assert(sizeof known / sizeof known[0] <= SERVICE_N_SETTINGS + 1,
               "raise SERVICE_N_SETTINGS");

const struct service_setting *service_settings_known(size_t i)
{
    return i < sizeof known / sizeof known[0] - 1 ? &known[i] : NULL;
}

/* Index of a known name of n bytes, or -1. */
static int find_known(const char *name, size_t n)
{
    for (int i = 0; known[i].name; i++)
        if (strlen(known[i].name) == n && memcmp(known[i].name, name, n) == 0)
            return i;
    return -1;
}

static enum auricle_error set_value(struct service_settings *settings, int index, const char *value,
                                    size_t n, const char *origin)
{
    au_free(settings->values[index]);
    settings->values[index] = NULL;
    if (n == 0)
        return AURICLE_OK;
    settings->values[index] = au_strndup(value, n);
    if (!settings->values[index])
        return AURICLE_E_NOMEM;
    au_str_copy(settings->origins[index], sizeof settings->origins[index], origin);
    return AURICLE_OK;
}

/* ---- Configuration file --------------------------------------------------------------------- */

struct span {
    const char *at;
    size_t n;
};

static struct span trimmed(struct span s)
{
    while (s.n > 0 && strchr(" \t\r", s.at[0]))
        s.at++, s.n--;
    while (s.n > 0 && strchr(" \t\r", s.at[s.n - 1]))
        s.n--;
    return s;
}

static struct span unquoted(struct span s)
{
    if (s.n >= 2 && (s.at[0] == '"' || s.at[0] == '\'') && s.at[s.n - 1] == s.at[0])
        return (struct span){s.at + 1, s.n - 2};
    return s;
}

/* What stands behind "=": without a comment, and without the quotes that keep a "#" in it. */
static struct span value_of(struct span s)
{
    struct span value = trimmed(s);
    bool quoted = value.n >= 2 && (value.at[0] == '"' || value.at[0] == '\'');
    const char *closing = quoted ? memchr(value.at + 1, value.at[0], value.n - 1) : NULL;
    size_t from = closing ? (size_t)(closing + 1 - s.at) : 1;
    for (size_t i = from; i < s.n; i++)
        if (s.at[i] == '#' && (s.at[i - 1] == ' ' || s.at[i - 1] == '\t'))
            s.n = i;
    return unquoted(trimmed(s));
}

static enum auricle_error read_line(struct service_settings *settings, struct span line,
                                    const char *origin, struct au_fault *fault)
{
    line = trimmed(line);
    if (line.n == 0 || line.at[0] == '#')
        return AURICLE_OK;
    if (line.n > 7 && memcmp(line.at, "export ", 7) == 0)
        line = trimmed((struct span){line.at + 7, line.n - 7});
    const char *equals = memchr(line.at, '=', line.n);
    if (!equals || equals == line.at)
        return au_fail(fault, AURICLE_E_INVALID, "%s: \"%.*s\" is not a line NAME=value", origin,
                       line.n > 60 ? 60 : (int)line.n, line.at);
    struct span name = trimmed((struct span){line.at, (size_t)(equals - line.at)});
    struct span value = value_of(
        (struct span){equals + 1, line.n - (size_t)(equals + 1 - line.at)});
    int index = find_known(name.at, name.n);
    if (index < 0)
        return au_buf_printf(&settings->warnings, "%s: no setting has the name %.*s\n", origin,
                             name.n > 60 ? 60 : (int)name.n, name.at);
    return set_value(settings, index, value.at, value.n, origin);
}

static enum auricle_error read_config(struct service_settings *settings, const char *path,
                                      struct au_fault *fault)
{
    char *text;
    size_t bytes;
    enum auricle_error error = au_file_read(path, CONFIG_LIMIT_BYTES, &text, &bytes, fault);
    if (error)
        return error;
    if (memchr(text, 0, bytes))
        error = au_fail(fault, AURICLE_E_INVALID,
                        "%s: holds zero bytes; a configuration file is text", path);
    const char *at = text, *end = text + bytes;
    for (int number = 1; at < end && !error; number++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        struct span line = {at, (size_t)((feed ? feed : end) - at)};
        char origin[160];
        snprintf(origin, sizeof origin, "%.140s:%d", path, number);
        error = read_line(settings, line, origin, fault);
        at = feed ? feed + 1 : end;
    }
    au_free(text);
    return error;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum auricle_error read_environment(struct service_settings *settings,
                                           service_lookup *environment)
{
    for (int i = 0; known[i].name; i++) {
        const char *value = environment(known[i].name);
        if (!value || value[0] == 0)
            continue;
        enum auricle_error error = set_value(settings, i, value, strlen(value), "environment");
        if (error)
            return error;
    }
    return AURICLE_OK;
}

static void warn_of_absent_parts(struct service_settings *settings)
{
    for (int i = 0; known[i].name; i++)
        if (known[i].part && settings->values[i])
            au_buf_printf(&settings->warnings,
                          "%s (%s) has no effect: %s is not part of this version\n", known[i].name,
                          settings->origins[i], known[i].part);
}

enum auricle_error service_settings_load(const char *config_path, service_lookup *environment,
                                         struct service_settings *out, struct au_fault *fault)
{
    memset(out, 0, sizeof *out);
    au_buf_init(&out->warnings, 0);
    enum auricle_error error = AURICLE_OK;
    if (config_path)
        error = read_config(out, config_path, fault);
    if (!error)
        error = read_environment(out, environment);
    if (!error) {
        warn_of_absent_parts(out);
        error = out->warnings.error;
    }
    if (error == AURICLE_E_NOMEM)
        error = au_fail(fault, error, "out of memory while reading the settings");
    if (error)
        service_settings_deinit(out);
    return error;
}

void service_settings_deinit(struct service_settings *settings)
{
    for (int i = 0; i < SERVICE_N_SETTINGS; i++) {
        au_free(settings->values[i]);
        settings->values[i] = NULL;
    }
    au_buf_deinit(&settings->warnings);
}

const char *service_settings_get(const struct service_settings *settings, const char *name,
                                 const char **origin)
{
    int index = find_known(name, strlen(name));
    if (index < 0 || !settings->values[index])
        return NULL;
    if (origin)
        *origin = settings->origins[index];
    return settings->values[index];
}
