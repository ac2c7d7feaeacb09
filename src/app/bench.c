/* auricle bench: how fast a model's stages are here, beside what the machine could do. */
#include "app/bench.h"

#include <stddef.h>
#include <sys/resource.h>

#include "app/output.h"
#include "app/shared_options.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/weights.h"
#include "service/registry/local.h"

struct bench_args {
    struct app_transcribe_args base; /* first; of it the model and what computes */
    const char *random;              /* shape of a made-up model; NULL: a real one */
    int iterations;
    bool json;
};

struct outcome {
    const char *model;
    enum kern_type type;
    enum kern_level level;
    int threads;
    double rss_bytes, cpu_seconds;
    struct bench_stages stages;
    struct bench_roof roof;
};

/* ---- Report --------------------------------------------------------------------------------- */

static double roof_operations(const struct outcome *o)
{
    const struct bench_roof *roof = &o->roof;
    double best = o->type == KERN_INT8   ? roof->int8_ops
                  : o->type == KERN_BF16 ? roof->bf16_ops
                                         : roof->f32_ops;
    return best > 0.0 ? best : roof->f32_ops;
}

/* Read bandwidth measured for a working set of about that size. */
static double roof_read(const struct bench_roof *roof, double bytes)
{
    return bytes < 3e6 ? roof->read_1m : bytes < 2e8 ? roof->read_32m : roof->read_512m;
}

static double fraction(const struct outcome *o, const struct bench_stage *stage)
{
    double seconds = stage->median_ms / 1e3;
    if (stage->operations > 0.0)
        return stage->operations / seconds / roof_operations(o);
    if (stage->bytes > 0.0)
        return stage->bytes / seconds / roof_read(&o->roof, stage->bytes);
    return 0.0;
}

static void put_stage(struct au_json_writer *w, const struct outcome *o,
                      const struct bench_stage *stage)
{
    double seconds = stage->median_ms / 1e3;
    au_json_key(w, stage->name);
    au_json_open_object(w);
    au_json_add_fixed(w, "min_ms", stage->min_ms, 3);
    au_json_add_fixed(w, "median_ms", stage->median_ms, 3);
    au_json_add_fixed(w, "max_ms", stage->max_ms, 3);
    if (stage->operations > 0.0) {
        au_json_add_fixed(w, "tera_ops_per_s", stage->operations / seconds / 1e12, 3);
    }
    if (stage->bytes > 0.0) {
        au_json_add_fixed(w, "bytes", stage->bytes, 0);
        au_json_add_fixed(w, "gb_per_s", stage->bytes / seconds / 1e9, 2);
    }
    if (fraction(o, stage) > 0.0) {
        au_json_add_fixed(w, "roof_fraction", fraction(o, stage), 3);
    }
    au_json_close_object(w);
}

static void put_roof(struct au_json_writer *w, const struct bench_roof *roof)
{
    const struct {
        const char *key;
        double value;
    } items[] = {{"f32_tera_ops_per_s", roof->f32_ops / 1e12},
                 {"bf16_tera_ops_per_s", roof->bf16_ops / 1e12},
                 {"int8_tera_ops_per_s", roof->int8_ops / 1e12},
                 {"read_1mib_per_thread_gb_per_s", roof->read_1m / 1e9},
                 {"read_32mib_gb_per_s", roof->read_32m / 1e9},
                 {"read_512mib_gb_per_s", roof->read_512m / 1e9}};
    au_json_open_object(w);
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        au_json_add_fixed(w, items[i].key, items[i].value, 3);
    }
    au_json_close_object(w);
}

static double stage_ms(const struct outcome *o, const char *name)
{
    for (size_t i = 0; i < o->stages.n; i++)
        if (au_str_equal(o->stages.stage[i].name, name))
            return o->stages.stage[i].median_ms;
    return 0.0;
}

/* A window of 30 s with 100 tokens, in units of its own length. */
static double real_time_factor(const struct outcome *o)
{
    double ms = stage_ms(o, "mel") + stage_ms(o, "encoder") + stage_ms(o, "cross_kv") +
                stage_ms(o, "prompt") + 100.0 * stage_ms(o, "step_b1");
    return ms / 30000.0;
}

static void write_json(struct au_buf *out, const struct outcome *o)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 2);
    au_json_open_object(&w);
    au_json_add_string(&w, "model", o->model);
    au_json_add_string(&w, "compute_type", kern_type_name(o->type));
    au_json_add_int(&w, "threads", o->threads);
    au_json_add_string(&w, "cpu_level", kern_level_name(o->level));
    au_json_add_fixed(&w, "rss_bytes", o->rss_bytes, 0);
    au_json_add_fixed(&w, "cpu_seconds", o->cpu_seconds, 3);
    au_json_add_fixed(&w, "real_time_factor", real_time_factor(o), 5);
    au_json_key(&w, "stages");
    au_json_open_object(&w);
    for (size_t i = 0; i < o->stages.n; i++)
        put_stage(&w, o, &o->stages.stage[i]);
    au_json_close_object(&w);
    au_json_key(&w, "roof");
    put_roof(&w, &o->roof);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
}

static void write_table(struct au_buf *out, const struct outcome *o)
{
    au_buf_printf(out, "%s, %s, %s, %d thread%s: %.0f MB resident, %.4f of real time\n\n", o->model,
                  kern_type_name(o->type), kern_level_name(o->level), o->threads,
                  o->threads == 1 ? "" : "s", o->rss_bytes / 1e6, real_time_factor(o));
    au_buf_printf(out, "%-10s %10s %10s %10s %18s %9s\n", "stage", "min ms", "median ms", "max ms",
                  "rate", "of roof");
    for (size_t i = 0; i < o->stages.n; i++) {
        const struct bench_stage *s = &o->stages.stage[i];
        double seconds = s->median_ms / 1e3;
        au_buf_printf(out, "%-10s %10.3f %10.3f %10.3f", s->name, s->min_ms, s->median_ms,
                      s->max_ms);
        if (s->operations > 0.0)
            au_buf_printf(out, " %11.3f Top/s", s->operations / seconds / 1e12);
        else if (s->bytes > 0.0)
            au_buf_printf(out, " %12.2f GB/s", s->bytes / seconds / 1e9);
        if (fraction(o, s) > 0.0)
            au_buf_printf(out, "%s %8.1f %%", s->operations > 0.0 ? "" : " ",
                          100.0 * fraction(o, s));
        au_buf_putc(out, '\n');
    }
    au_buf_printf(out,
                  "\nroof: %.2f f32, %.2f bf16, %.2f int8 Top/s from registers; read %.0f GB/s "
                  "(1 MiB a thread), %.0f (32 MiB), %.0f (512 MiB)\n",
                  o->roof.f32_ops / 1e12, o->roof.bf16_ops / 1e12, o->roof.int8_ops / 1e12,
                  o->roof.read_1m / 1e9, o->roof.read_32m / 1e9, o->roof.read_512m / 1e9);
}

/* ---- Model ---------------------------------------------------------------------------------- */

static enum auricle_error find_shape(const char *name, struct whisper_dims *out,
                                     struct au_fault *fault)
{
    if (whisper_dims_named(name, out))
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_INVALID,
                   "--random \"%s\": no shape has that name: choose tiny, base, small, medium, "
                   "large-v1, large-v2, large-v3 or turbo, some also with .en",
                   name);
}

static enum auricle_error load_random(const struct bench_args *args, const struct kern_ops *ops,
                                      enum kern_type type, struct au_pool *pool,
                                      struct whisper_model **out, struct au_fault *fault)
{
    struct whisper_dims dims;
    enum auricle_error error = find_shape(args->random, &dims, fault);
    if (error)
        return error;
    if (whisper_model_random(&dims, 1, ops, type, pool, out) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "not enough memory for random weights of %s",
                       args->random);
    return AURICLE_OK;
}

static enum auricle_error load_file(const struct bench_args *args, const struct kern_ops *ops,
                                    enum kern_type type, struct au_pool *pool,
                                    struct whisper_model **out, struct au_fault *fault)
{
    struct service_model_folders folders;
    struct format_weights *weights = NULL;
    char *path = NULL;
    bool bundled = false;
    if (service_model_folders_init(args->base.model_dir, &folders) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = args->base.model
                                   ? service_local_find(&folders, args->base.model, &path, fault)
                                   : service_local_find_default(&folders, false, &path, &bundled,
                                                                fault);
    if (!error)
        error = format_weights_open(path, &weights, fault);
    if (!error)
        error = whisper_model_create(weights, ops, type, pool, out, fault);
    format_weights_close(weights);
    service_model_folders_deinit(&folders);
    au_free(path);
    return error;
}

static double resident_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024.0 * (double)usage.ru_maxrss : 0.0;
}

static enum auricle_error measure(const struct bench_args *args, struct au_pool *pool,
                                  struct outcome *o, struct au_fault *fault)
{
    const struct kern_ops *ops = app_shared_kernels(&args->base);
    struct whisper_model *model = NULL;
    struct bench_stage *load = &o->stages.stage[o->stages.n++];
    o->level = ops->level;
    int64_t begin = au_now_ns();
    enum auricle_error error = args->random ? load_random(args, ops, o->type, pool, &model, fault)
                                            : load_file(args, ops, o->type, pool, &model, fault);
    if (error)
        return error;
    double ms = (double)(au_now_ns() - begin) / 1e6;
    *load = (struct bench_stage){.name = "load", .min_ms = ms, .median_ms = ms, .max_ms = ms};
    error = bench_model(model, ops, pool, args->iterations, &o->stages);
    o->rss_bytes = resident_bytes();
    o->cpu_seconds = (double)au_cpu_ns() / 1e9;
    whisper_model_destroy(model);
    if (!error)
        error = bench_roof(ops, pool, &o->roof);
    return error ? au_fail(fault, error, "not enough memory for the measurement") : AURICLE_OK;
}

static enum kern_type compute_type(const struct bench_args *args)
{
    switch ((enum auricle_compute)args->base.compute) {
    case AURICLE_COMPUTE_F32: return KERN_F32;
    case AURICLE_COMPUTE_BF16: return KERN_BF16;
    default: return KERN_INT8;
    }
}

static int report_model(const struct bench_args *args)
{
    struct au_fault fault = {0};
    struct au_pool *pool = NULL;
    struct outcome o = {
        .model = args->random       ? args->random
                 : args->base.model ? args->base.model
                                    : "default",
        .type = compute_type(args),
        .threads = args->base.threads > 0 ? args->base.threads : au_cpu_count(),
    };
    enum auricle_error error = au_pool_create(o.threads, &pool);
    if (error)
        au_fail(&fault, error, "%d threads could not be started", o.threads);
    else
        error = measure(args, pool, &o, &fault);
    au_pool_destroy(pool);
    if (error) {
        app_error("%s", fault.text);
        return APP_EXIT_MODEL;
    }
    struct au_buf out;
    au_buf_init(&out, (size_t)1 << 20);
    if (args->json)
        write_json(&out, &o);
    else
        write_table(&out, &o);
    int code = app_print(out.data, out.len);
    au_buf_deinit(&out);
    return code;
}

static int report_kernels(void)
{
    struct au_buf out;
    au_buf_init(&out, (size_t)1 << 20);
    int code = APP_EXIT_MODEL;
    if (bench_kernels(&out) == AURICLE_OK)
        code = app_print(out.data, out.len);
    else
        app_error("not enough memory for the measurement");
    au_buf_deinit(&out);
    return code;
}

static enum auricle_error check_call(const struct bench_args *args, const struct app_parsed *parsed,
                                     bool kernels, struct au_fault *fault)
{
    struct whisper_dims dims;
    if (kernels && parsed->n_operands > 1)
        return au_fail(fault, AURICLE_E_INVALID,
                       "bench kernels measures all kernels and takes no name: \"%s\"",
                       parsed->operands[1]);
    if (kernels && (args->json || args->random))
        return au_fail(fault, AURICLE_E_INVALID,
                       "bench kernels prints a table of all kernels: %s goes with a model",
                       args->json ? "--json" : "--random");
    if (!kernels && parsed->n_operands)
        return au_fail(fault, AURICLE_E_INVALID,
                       "bench measures a model, or \"kernels\"; \"%s\" is neither (name a model "
                       "with --model, a shape with --random)",
                       parsed->operands[0]);
    return args->random ? find_shape(args->random, &dims, fault) : AURICLE_OK;
}

static int run_bench(const struct app_command *self, int argc, char **argv)
{
    struct bench_args args = {.iterations = 7};
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    bool kernels = parsed.n_operands > 0 && au_str_equal(parsed.operands[0], "kernels");
    struct au_fault fault = {0};
    if (check_call(&args, &parsed, kernels, &fault) != AURICLE_OK) {
        app_error("%s", fault.text);
        code = APP_EXIT_USAGE;
    } else {
        code = kernels ? report_kernels() : report_model(&args);
    }
    service_settings_deinit(&settings);
    return code;
}

/* ---- The command ---------------------------------------------------------------------------- */

#define ARGS(member) offsetof(struct bench_args, member)

static const struct app_option bench_options[] = {
    {.name = "model",
     .letter = 'm',
     .kind = APP_TEXT,
     .value = "NAME|PATH",
     .offset = ARGS(base.model),
     .setting = "MODEL_PATH",
     .help = "a model, by name or path",
     .otherwise = "as transcribe"},
    {.name = "random",
     .kind = APP_TEXT,
     .value = "SHAPE",
     .offset = ARGS(random),
     .help = "random weights of a shape instead: tiny, base, small, medium, large-v3, turbo"},
    APP_OPTION_MODEL_DIR,
    APP_OPTION_COMPUTE_TYPE,
    APP_OPTION_THREADS,
    APP_OPTION_CPU_LEVEL,
    {.name = "iterations",
     .kind = APP_INT,
     .value = "N",
     .offset = ARGS(iterations),
     .min = 1,
     .max = 200,
     .help = "how often each stage is run; steps ten times as often",
     .otherwise = "7"},
    {.name = "json", .kind = APP_FLAG, .offset = ARGS(json), .help = "print JSON"},
    {.name = NULL},
};
static const struct app_group bench_group = {"Benchmark", bench_options};
static const struct app_group *const bench_groups[] = {&bench_group, &app_group_general, NULL};

const struct app_command app_command_bench = {
    .name = "bench",
    .summary = "how fast a model is on this machine, stage by stage",
    .operands = "[kernels]",
    .about =
        "Measures the stages of one 30 s window: log-mel, encoder, keys and values for the "
        "decoder, prompt, and decoder steps of 1 to 64 hypotheses (8 and more over eight windows); "
        "then what the machine can do at most, and the fraction reached. With \"kernels\": every "
        "kernel at every level of this processor, in one thread.",
    .examples = "  auricle bench --random base --compute-type int8 --threads 2 --json\n"
                "  auricle bench --model small\n"
                "  auricle bench kernels\n",
    .groups = bench_groups,
    .notes = "Exit codes:\n"
             "    0  measured\n" APP_NOTE_USAGE APP_NOTE_MODEL,
    .run = run_bench,
};
