/* The options that several commands have. See shared_options.h. */
#include "app/shared_options.h"

#include "audio/decode.h"
#include "base/str.h"

#define ARGS(member) offsetof(struct app_transcribe_args, member)

/* ---- Values --------------------------------------------------------------------------------- */

/* The setting says whether to pull, the option that it must not. */
static enum auricle_error parse_auto_pull(void *target, const char *value, struct au_fault *fault)
{
    bool pull;
    if (!au_parse_bool(value, &pull))
        return au_fail(fault, AURICLE_E_INVALID, "\"%s\" is not accepted: give on or off", value);
    ((struct app_transcribe_args *)target)->no_pull = !pull;
    return AURICLE_OK;
}

/* OpenMP's own form "4,2,1" gives a number per level of nesting: the first is ours. */
enum auricle_error app_shared_parse_threads(void *target, const char *value, struct au_fault *fault)
{
    char item[32];
    int64_t threads;
    const char *list = value;
    if (!app_next_item(&list, item, sizeof item) || !au_parse_i64(item, &threads) || threads < 1 ||
        threads > 1024)
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: give a whole number from 1 to 1024", value);
    ((struct app_transcribe_args *)target)->threads = (int)threads;
    return AURICLE_OK;
}

enum auricle_error app_shared_parse_cpu_level(void *target, const char *value,
                                              struct au_fault *fault)
{
    enum kern_level level;
    if (!kern_level_parse(value, &level))
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: choose generic, avx2, avx512vnni, amx, neon or "
                       "i8mm (auricle doctor shows what this processor runs)",
                       value);
    if (!kern_level_usable(level))
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this processor cannot run %s; its highest level is %s", value,
                       kern_level_name(kern_detect()));
    ((struct app_transcribe_args *)target)->cpu_level = value;
    return AURICLE_OK;
}

enum auricle_error app_shared_parse_bytes(const char *value, uint64_t *out, struct au_fault *fault)
{
    if (au_parse_bytes(value, out))
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_INVALID,
                   "\"%s\" is not accepted: give a number of bytes, such as 500MB or 2GiB", value);
}

enum auricle_error app_shared_parse_cache_size(void *target, const char *value,
                                               struct au_fault *fault)
{
    uint64_t bytes = 0;
    enum auricle_error error = app_shared_parse_bytes(value, &bytes, fault);
    if (!error && bytes == 0)
        error = au_fail(fault, AURICLE_E_INVALID, "0 is not accepted: --cache off keeps nothing");
    if (!error)
        ((struct app_transcribe_args *)target)->cache_bytes = bytes;
    return error;
}

const struct kern_ops *app_shared_kernels(const struct app_transcribe_args *args)
{
    enum kern_level level;
    if (args->cpu_level && kern_level_parse(args->cpu_level, &level))
        return kern_select(level);
    return kern_select(KERN_N_LEVELS);
}

static enum auricle_error parse_raw(void *target, const char *value, struct au_fault *fault)
{
    enum audio_raw_type type;
    if (!audio_raw_type_parse(value, &type))
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is not accepted: choose s16le, f32le, u8, mulaw or alaw", value);
    ((struct app_transcribe_args *)target)->options.raw_format = value;
    return AURICLE_OK;
}

/* AUDIO_OPTIMIZATION on is the fast resampler. */
static enum auricle_error parse_optimization(void *target, const char *value,
                                             struct au_fault *fault)
{
    bool fast;
    if (!au_parse_bool(value, &fast))
        return au_fail(fault, AURICLE_E_INVALID, "\"%s\" is not accepted: give on or off", value);
    ((struct app_transcribe_args *)target)->options.finest_resampler = !fast;
    return AURICLE_OK;
}

/* ---- Groups --------------------------------------------------------------------------------- */

static const struct app_option model_options[] = {
    {.name = "model",
     .letter = 'm',
     .kind = APP_TEXT,
     .value = "NAME|PATH",
     .offset = ARGS(model),
     .setting = "MODEL_PATH",
     .help = "a model by name, or the path of its file or folder: Hugging Face, CTranslate2, "
             "whisper.cpp .bin or OpenAI .pt",
     .otherwise = "a small one that is installed, else another, else nano"},
    APP_OPTION_MODEL_DIR,
    {.name = "no-pull",
     .kind = APP_FLAG,
     .offset = ARGS(no_pull),
     .setting = "AURICLE_AUTO_PULL",
     .parse_setting = parse_auto_pull,
     .help = "never load a model from the network; else --model base does so where base is not "
             "installed; AURICLE_AUTO_PULL=off asks for the same"},
    APP_OPTION_CACHE,
    APP_OPTION_CACHE_SIZE,
    APP_OPTION_COMPUTE_TYPE,
    APP_OPTION_THREADS,
    APP_OPTION_CPU_LEVEL,
    {.name = NULL},
};

static const struct app_option input_options[] = {
    {.name = "raw-format",
     .kind = APP_PARSED,
     .value = "TYPE",
     .parse = parse_raw,
     .help = "the inputs are samples without a header: s16le, f32le, u8, mulaw, alaw"},
    {.name = "raw-rate",
     .kind = APP_INT,
     .value = "HZ",
     .offset = ARGS(options.raw_rate_hz),
     .min = 1,
     .max = 384000,
     .help = "samples per second of headerless input",
     .otherwise = "16000"},
    {.name = "raw-channels",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(options.raw_channels),
     .min = 1,
     .max = 64,
     .help = "channels of headerless input",
     .otherwise = "1"},
    {.name = "finest-resampler",
     .kind = APP_FLAG,
     .offset = ARGS(options.finest_resampler),
     .setting = "AUDIO_OPTIMIZATION",
     .parse_setting = parse_optimization,
     .help = "resample with the greatest care; AUDIO_OPTIMIZATION=off asks for the same"},
    {.name = NULL},
};

const struct app_group app_group_model = {"Model", model_options};
const struct app_group app_group_input = {"Input", input_options};
