/* Options that several commands have: rows for their tables, whole groups, and what they mean.
 *
 * For commands whose arguments begin with struct app_transcribe_args. Main thread only.          */
#ifndef APP_SHARED_OPTIONS_H
#define APP_SHARED_OPTIONS_H

#include <stddef.h>

#include "app/transcribe.h"
#include "kern/kern.h"

/* Which model and what computes with it; how inputs are read. */
extern const struct app_group app_group_model, app_group_input;

/* The kernels that --cpu-level allows. */
const struct kern_ops *app_shared_kernels(const struct app_transcribe_args *args);

/* Rows. */
#define APP_OPTION_MODEL_DIR                                                                    \
    {                                                                                           \
        .name = "model-dir", .kind = APP_TEXT, .value = "DIR[:DIR]",                            \
        .offset = offsetof(struct app_transcribe_args, model_dir), .setting = "AURICLE_MODELS", \
        .help = "look for names here first"                                                     \
    }

#define APP_OPTION_CACHE                                                                        \
    {                                                                                           \
        .name = "cache", .kind = APP_TEXT, .value = "DIR|off",                                  \
        .offset = offsetof(struct app_transcribe_args, cache), .setting = "AURICLE_CACHE",      \
        .help =                                                                                 \
            "keep the model's weights as this processor wants them, for the next start to map", \
        .otherwise = "auricle in the user's cache folder"                                       \
    }

#define APP_OPTION_CACHE_SIZE                                                                  \
    {                                                                                          \
        .name = "cache-size", .kind = APP_PARSED, .value = "BYTES",                            \
        .parse = app_shared_parse_cache_size, .setting = "AURICLE_CACHE_SIZE",                 \
        .help = "remove from there what was unused for longest and nobody uses now, until no " \
                "more lies there",                                                             \
        .otherwise = "20GB"                                                                    \
    }

#define APP_OPTION_COMPUTE_TYPE                                                     \
    {                                                                               \
        .name = "compute-type", .kind = APP_CHOICE, .value = "auto|int8|bf16|f32",  \
        .offset = offsetof(struct app_transcribe_args, compute),                    \
        .help = "arithmetic of the model: f32 is the reference, int8 the smallest", \
        .otherwise = "auto"                                                         \
    }

#define APP_OPTION_THREADS                                                                       \
    {                                                                                            \
        .name = "threads", .letter = 't', .kind = APP_INT, .value = "N",                         \
        .offset = offsetof(struct app_transcribe_args, threads), .min = 0, .max = 1024,          \
        .setting = "OMP_NUM_THREADS", .setting2 = "MKL_NUM_THREADS",                             \
        .parse_setting = app_shared_parse_threads,                                               \
        .help = "threads that compute; 0: all processors this program may use", .otherwise = "0" \
    }

#define APP_OPTION_CPU_LEVEL                                                                    \
    {                                                                                           \
        .name = "cpu-level", .kind = APP_PARSED, .value = "LEVEL",                              \
        .parse = app_shared_parse_cpu_level, .setting = "AURICLE_CPU_LEVEL",                    \
        .help =                                                                                 \
            "use no instructions above this level: generic, avx2, avx512vnni, amx, neon, i8mm", \
        .otherwise = "the processor's own"                                                      \
    }

#define APP_OPTION_VAD_MODEL                                                  \
    {                                                                         \
        .name = "vad-model", .kind = APP_TEXT, .value = "NAME|PATH",          \
        .offset = offsetof(struct app_transcribe_args, vad_model),            \
        .help = "the model of voice activity, by name or path",               \
        .otherwise = "silero-vad where it is installed, else the bundled vad" \
    }

/* Readers of values for the rows above. */
app_parse app_shared_parse_threads, app_shared_parse_cpu_level, app_shared_parse_cache_size;
AURICLE_MUST_CHECK enum auricle_error app_shared_parse_bytes(const char *value, uint64_t *out,
                                                             struct au_fault *fault);

#endif
