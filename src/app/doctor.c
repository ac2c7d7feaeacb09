/* auricle doctor: what this machine offers, what the program found, and what to do about it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "app/machine.h"
#include "app/output.h"
#include "app/shared_options.h"
#include "audio/decode.h"
#include "auricle/version.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "format/packed.h"
#include "kern/kern.h"
#include "service/engines/load.h"
#include "service/registry/intact.h"
#include "service/registry/local.h"

#define LEAST_MEMORY_BYTES (500u << 20)

struct doctor_args {
    struct app_transcribe_args base; /* first; of it --model-dir and the cache */
};

/* A report in the making. */
struct report {
    struct au_buf text, advice;
    bool ready;
};

__attribute__((format(printf, 3, 4))) static void put(struct report *report, const char *title,
                                                      const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    au_buf_printf(&report->text, "%-12s", title);
    app_help_wrap(&report->text, line, 12, 12, app_help_columns());
}

static void advise(struct report *report, const char *advice)
{
    au_buf_puts(&report->advice, "  - ");
    app_help_wrap(&report->advice, advice, 4, 4, app_help_columns());
}

static double gigabytes(uint64_t bytes)
{
    return (double)bytes / 1e9;
}

static void report_processor(struct report *report, const struct app_machine *machine)
{
    struct au_buf levels;
    au_buf_init(&levels, 512);
    for (int level = 0; level < KERN_N_LEVELS; level++)
        if (kern_level_usable((enum kern_level)level))
            au_buf_printf(&levels, "%s%s", levels.len ? ", " : "",
                          kern_level_name((enum kern_level)level));
    put(report, "Processor", "%s", machine->processor[0] ? machine->processor : "unknown");
    put(report, "  features", "%s", machine->features[0] ? machine->features : "unknown");
    put(report, "  level", "%s (usable: %s)", kern_level_name(kern_detect()), levels.data);
    put(report, "  threads", "%d of %d processors may be used", au_cpu_count(),
        machine->n_processors);
    if (kern_detect() == KERN_GENERIC)
        advise(report, "this processor has no instruction set that auricle has fast code for: "
                       "expect it to be slow");
    au_buf_deinit(&levels);
}

static void report_memory(struct report *report, const struct app_machine *machine)
{
    put(report, "Memory", "%.1f GB, %.1f GB available", gigabytes(machine->memory_bytes),
        gigabytes(machine->available_bytes));
    if (machine->memory_limit_bytes)
        put(report, "  limit", "%.1f GB (control group)", gigabytes(machine->memory_limit_bytes));
    if (machine->available_bytes && machine->available_bytes < LEAST_MEMORY_BYTES)
        advise(report, "little memory is free: use a small model (nano, tiny)");
}

static void report_decoders(struct report *report)
{
    struct au_fault fault = {0};
    const char *ffmpeg = audio_ffmpeg_version(&fault);
    put(report, "Decoders", "%s", audio_sndfile_version());
    if (ffmpeg)
        put(report, "", "FFmpeg %s (loaded when a file needs it)", ffmpeg);
    else
        put(report, "", "%s", fault.text);
    put(report, "  formats", "%s", audio_accepted_formats());
    if (!ffmpeg)
        advise(report, "without FFmpeg's libraries only WAV, FLAC, Ogg, MP3, AIFF, CAF and AU are "
                       "read: install the package ffmpeg");
}

static void list_models(struct report *report, const struct service_model_folders *folders)
{
    struct service_local_list list = {0};
    if (service_local_list_init(folders, &list) == AURICLE_OK) {
        put(report, "Models", "%zu found", list.n);
        for (size_t i = 0; i < list.n; i++)
            put(report, "", "%s (%.1f MB%s) %s", list.entries[i].name,
                (double)list.entries[i].bytes / 1e6, list.entries[i].vad ? ", voice activity" : "",
                list.entries[i].path);
    }
    for (size_t i = 0; i < folders->n; i++)
        put(report, i ? "" : "  searched", "%s%s", folders->at[i],
            au_file_is_dir(folders->at[i]) ? "" : " (not there)");
    service_local_list_deinit(&list);
}

/* A model that will be used unasked; what its record says of it comes into the advice. */
static void report_used(struct report *report, const char *title, const char *path,
                        const char *otherwise, const char *cache)
{
    struct au_fault fault = {0};
    bool whole = !path || service_intact_check(path, cache, &fault) == AURICLE_OK;
    put(report, title, "%s%s", path ? path : otherwise, whole ? "" : " (damaged)");
    report->ready = report->ready && whole;
    if (!whole)
        advise(report, fault.text);
}

static void report_models(struct report *report, const struct app_transcribe_args *args)
{
    struct service_model_folders folders;
    struct au_fault fault = {0};
    char *path = NULL, *vad = NULL, *cache = service_cache_folder(args->cache);
    bool bundled = false;
    if (service_model_folders_init(args->model_dir, &folders) != AURICLE_OK) {
        put(report, "Models", "out of memory");
        au_free(cache);
        return;
    }
    list_models(report, &folders);
    report->ready = service_local_find_default(&folders, false, &path, &bundled, NULL) ==
                    AURICLE_OK;
    if (!report->ready)
        advise(report, service_local_is_missing(&folders, "nano", &fault)
                           ? fault.text
                           : "no default model: auricle models pull base loads one");
    else if (bundled)
        advise(report, "only the small bundled model serves as default: auricle models pull base "
                       "loads one that writes better words");
    report_used(report, "  default", path, "none", cache);
    if (service_local_find_vad(&folders, &vad, &fault) != AURICLE_OK) {
        report->ready = false;
        advise(report, fault.text);
    }
    report_used(report, "  speech by", vad, "loudness", cache);
    au_free(path);
    au_free(vad);
    au_free(cache);
    service_model_folders_deinit(&folders);
}

static void report_cache(struct report *report, const struct app_transcribe_args *args)
{
    char *folder = service_cache_folder(args->cache);
    uint64_t most = args->cache_bytes ? args->cache_bytes : SERVICE_CACHE_BYTES;
    struct au_fault fault = {0};
    if (folder && format_packed_check(folder, &fault) != AURICLE_OK) {
        put(report, "Cache", "cannot be written: %s", fault.text);
        advise(report,
               "packed weights cannot be kept, so every start packs them anew: name a folder "
               "with --cache or AURICLE_CACHE");
    } else if (folder) {
        struct format_packed_usage usage = format_packed_usage(folder);
        put(report, "Cache", "%zu packed model%s, %.1f MB of at most %.1f GB, in %s", usage.n_files,
            usage.n_files == 1 ? "" : "s", (double)usage.bytes / 1e6, gigabytes(most), folder);
    } else {
        put(report, "Cache", "none: weights are packed anew at each start");
    }
    au_free(folder);
}

static void report_rest(struct report *report, const struct app_machine *machine)
{
    put(report, "GPU", "%s",
        machine->nvidia ? "an NVIDIA driver is loaded; this version computes on the processor"
                        : "none used: this version computes on the processor");
    put(report, "Locale", "%s%s", machine->locale, machine->utf8 ? "" : " (not UTF-8)");
    if (!machine->utf8)
        advise(report, "texts are UTF-8 always; a terminal with another locale may show some "
                       "letters wrongly (LANG=C.UTF-8 helps)");
}

static int run_doctor(const struct app_command *self, int argc, char **argv)
{
    struct doctor_args args = {0};
    struct service_settings settings;
    struct app_parsed parsed;
    struct app_machine machine;
    struct report report = {.ready = true};
    int code;
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    if (parsed.n_operands) {
        app_error("doctor takes options only, and \"%s\" is none", parsed.operands[0]);
        service_settings_deinit(&settings);
        return APP_EXIT_USAGE;
    }
    au_buf_init(&report.text, 0);
    au_buf_init(&report.advice, 0);
    app_machine_look(&machine);
    put(&report, "auricle", "%s", auricle_version());
    report_processor(&report, &machine);
    report_memory(&report, &machine);
    report_decoders(&report);
    report_models(&report, &args.base);
    report_cache(&report, &args.base);
    report_rest(&report, &machine);
    au_buf_printf(&report.text, "\nVerdict: %s\n%s",
                  report.ready ? "ready to transcribe" : "a model is missing or damaged",
                  report.advice.data);
    code = app_print(report.text.data, report.text.len);
    if (code == APP_EXIT_OK && !report.ready)
        code = APP_EXIT_MODEL;
    au_buf_deinit(&report.text);
    au_buf_deinit(&report.advice);
    service_settings_deinit(&settings);
    return code;
}

static const struct app_option doctor_options[] = {
    APP_OPTION_MODEL_DIR,
    APP_OPTION_CACHE,
    APP_OPTION_CACHE_SIZE,
    {.name = NULL},
};
static const struct app_group doctor_group = {"Doctor", doctor_options};
static const struct app_group *const doctor_groups[] = {&doctor_group, &app_group_general, NULL};

const struct app_command app_command_doctor = {
    .name = "doctor",
    .summary = "what this machine offers, which models are there, what to do",
    .about =
        "Shows what auricle finds on this machine: the processor and the instruction sets used "
        "on it, memory, decoders, models, locale; and ends with a verdict and advice.",
    .examples = "  auricle doctor\n",
    .groups = doctor_groups,
    .notes = "Exit codes:\n"
             "    0  ready to transcribe\n" APP_NOTE_USAGE
             "    3  no model was found, or one is damaged\n",
    .run = run_doctor,
};
