/* How often a model in a narrower type says what it says in f32.
 *
 *   agreement [--model PATH] [--compute int8|bf16] [--parts] [--noise R] [--language en]
 *             [--threads N] [--json] RECORDING...
 *
 * Only the first window of a recording is heard, at temperature 0. Two measures: free, where each
 * model follows its own tokens and one difference changes the rest; and led, where both follow
 * those that f32 wrote and only the next token is compared. --parts lets one part at a time be
 * narrow, and all but one; --noise adds to the encoder's output of f32 noise of that relative rms,
 * which shows how near the model stands to other answers whatever the type. bench/README.md
 * explains the columns.
 *
 * One thread; the pool's workers besides.                                                        */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "audio/decode.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "bench/agreement/hear.h"
#include "bench/agreement/mix.h"
#include "format/weights.h"
#include "recog/decode/prompt.h"
#include "text/language.h"

#define MOST_CASES  48
#define MOST_LABELS 64
#define MOST_SHARES 5

static const float thin[MOST_SHARES] = {0.003F, 0.01F, 0.03F, 0.1F, 0.3F};

struct arguments {
    const char *model, *language;
    enum kern_type type;
    int threads;
    double noise;
    bool parts, json;
    char **recordings;
    int n_recordings;
};

/* A way to compute, and what was counted for it. */
struct tally {
    char name[MOST_LABELS];
    struct mixed_model mixed;
    struct hearing hearing;
    double noise; /* relative rms added to the encoder's output; 0: none */
    /* led */
    size_t positions, same;
    float *difference; /* [room] magnitudes of differences in log-probability */
    size_t room;
    float widest; /* largest f32 margin at which the choice differed */
    /* free */
    size_t tokens, equal, same_recordings;
    /* encoder output */
    double error, power;
};

struct run {
    const struct arguments *args;
    struct auricle_engine *engine;
    struct recog_rules rules;
    struct mix_sources sources;
    struct hearing exact;
    struct tally tally[MOST_CASES];
    int n_tallies;
    size_t positions, recordings, thinner[MOST_SHARES];
    float *mel, *noisy;
    struct au_fault fault;
};

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Edit distance; the row is as long as the longest answer. */
static int distance(const struct heard *a, const struct heard *b)
{
    int row[HEAR_MOST_TOKENS + 1];
    for (int j = 0; j <= b->n; j++)
        row[j] = j;
    for (int i = 0; i < a->n; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < b->n; j++) {
            const int substituted = diagonal + (a->token[i] != b->token[j]);
            const int other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = substituted < other ? substituted : other;
        }
    }
    return row[b->n];
}

static enum auricle_error keep_differences(struct tally *t, const float *a, const float *b, int n)
{
    if (t->positions + (size_t)n > t->room) {
        const size_t room = 2 * t->room + HEAR_MOST_TOKENS;
        float *more = au_realloc(t->difference, room * sizeof *more);
        if (!more)
            return AURICLE_E_NOMEM;
        t->difference = more;
        t->room = room;
    }
    for (int i = 0; i < n; i++)
        t->difference[t->positions + (size_t)i] = fabsf(a[i] - b[i]);
    return AURICLE_OK;
}

static void compare_encoded(struct tally *t, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        t->error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        t->power += (double)a[i] * (double)a[i];
    }
}

/* Roughly normal (twelve uniforms), from the position alone: the same in every run. */
static float noise_at(uint64_t *state)
{
    double sum = -6.0;
    for (int i = 0; i < 12; i++)
        sum += recog_uniform(state);
    return (float)sum;
}

static void hear_noisy(struct run *run, struct tally *t)
{
    const struct whisper_dims *dims = &run->sources.exact->dims;
    const size_t n = (size_t)dims->n_audio_ctx * (size_t)dims->n_audio_state;
    uint64_t state = run->recordings + 1;
    double power = 0.0;
    for (size_t i = 0; i < n; i++)
        power += (double)run->exact.encoded[i] * (double)run->exact.encoded[i];
    const float rms = (float)(t->noise * sqrt(power / (double)n));
    for (size_t i = 0; i < n; i++)
        run->noisy[i] = run->exact.encoded[i] + rms * noise_at(&state);
    compare_encoded(t, run->exact.encoded, run->noisy, n);
    hear_encoded(&t->hearing, run->noisy);
}

static enum auricle_error compare(struct run *run, struct tally *t, const struct heard *free_exact,
                                  const float *logprob_exact)
{
    const struct whisper_dims *dims = &run->sources.exact->dims;
    struct heard own, led;
    float logprob[HEAR_MOST_TOKENS];

    if (t->noise > 0.0) {
        hear_noisy(run, t);
    } else {
        hear_window(&t->hearing, run->mel);
        compare_encoded(t, run->exact.encoded, t->hearing.encoded,
                        (size_t)dims->n_audio_ctx * (size_t)dims->n_audio_state);
    }
    hear_led(&t->hearing, free_exact, &led, logprob);
    enum auricle_error error = keep_differences(t, logprob_exact, logprob, led.n);
    if (error)
        return error;
    for (int i = 0; i < led.n; i++) {
        const bool same = led.token[i] == free_exact->token[i];
        t->same += same;
        if (!same && free_exact->margin[i] > t->widest)
            t->widest = free_exact->margin[i];
    }
    t->positions += (size_t)led.n;
    hear_free(&t->hearing, &own);
    const int longer = own.n > free_exact->n ? own.n : free_exact->n;
    const int apart = distance(free_exact, &own);
    t->tokens += (size_t)longer;
    t->equal += (size_t)(longer - apart);
    t->same_recordings += apart == 0;
    return AURICLE_OK;
}

static enum auricle_error hear_recording(struct run *run, const char *path)
{
    struct audio_reader *reader = NULL;
    struct heard exact, led;
    float *samples = NULL, logprob[HEAR_MOST_TOKENS];
    size_t n = 0;

    enum auricle_error error = audio_open_path(path, NULL, &reader, &run->fault);
    if (!error)
        error = audio_read_all(reader, &samples, &n, &run->fault);
    audio_close(reader);
    if (error)
        return error;
    recog_engine_window_mel(run->engine, samples, n, run->mel);
    au_free(samples);
    hear_window(&run->exact, run->mel);
    hear_free(&run->exact, &exact);
    hear_led(&run->exact, &exact, &led, logprob);
    for (int i = 0; i < exact.n; i++)
        for (int j = 0; j < MOST_SHARES; j++)
            run->thinner[j] += exact.margin[i] < thin[j];
    run->positions += (size_t)exact.n;
    for (int i = 0; i < run->n_tallies && !error; i++)
        error = compare(run, &run->tally[i], &exact, logprob);
    run->recordings++;
    return error;
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static enum auricle_error add_case(struct run *run, const struct mix *mix, double noise)
{
    struct tally *t = &run->tally[run->n_tallies];
    if (run->n_tallies == MOST_CASES)
        return AURICLE_E_LIMIT;
    *t = (struct tally){.noise = noise};
    au_str_copy(t->name, sizeof t->name, mix->name);
    enum auricle_error error = mixed_model_init(&t->mixed, &run->sources, mix);
    if (error)
        return error;
    run->n_tallies++;
    return hearing_init(&t->hearing, &t->mixed.model, run->engine, &run->rules,
                        run->exact.prompt[1]);
}

#define ENCODER                                                                     \
    (1U << MIX_CONVOLUTIONS | 1U << MIX_ENCODER_ATTENTION | 1U << MIX_ENCODER_QKV | \
     1U << MIX_ENCODER_OUT | 1U << MIX_ENCODER_MLP_IN | 1U << MIX_ENCODER_MLP_OUT)
#define ENCODER_MATRICES (ENCODER & ~(1U << MIX_CONVOLUTIONS | 1U << MIX_ENCODER_ATTENTION))
#define DECODER                                                                 \
    (1U << MIX_DECODER_SELF | 1U << MIX_DECODER_CROSS | 1U << MIX_DECODER_MLP | \
     1U << MIX_VOCABULARY)

#define ONE(label, part)                  \
    {                                     \
        label, 1U << (part), 1U << (part) \
    }
static const struct mix groups[] = {
    {"encoder", ENCODER, ENCODER},
    ONE("- convolutions", MIX_CONVOLUTIONS),
    ONE("- attention", MIX_ENCODER_ATTENTION),
    {"- weights", ENCODER_MATRICES, 0},
    {"- activations", 0, ENCODER_MATRICES},
    ONE("- queries, keys, values", MIX_ENCODER_QKV),
    {"  - activations", 0, 1U << MIX_ENCODER_QKV},
    ONE("- attention's output", MIX_ENCODER_OUT),
    {"  - activations", 0, 1U << MIX_ENCODER_OUT},
    ONE("- perceptron, first", MIX_ENCODER_MLP_IN),
    {"  - activations", 0, 1U << MIX_ENCODER_MLP_IN},
    ONE("- perceptron, second", MIX_ENCODER_MLP_OUT),
    {"  - activations", 0, 1U << MIX_ENCODER_MLP_OUT},
    ONE("cross keys, values: projection", MIX_CROSS_KV),
    {"  - activations", 0, 1U << MIX_CROSS_KV},
    ONE("cross keys, values: stored", MIX_CROSS),
    {"decoder", DECODER, DECODER},
    {"- weights", DECODER, 0},
    ONE("- self-attention", MIX_DECODER_SELF),
    ONE("- cross-attention", MIX_DECODER_CROSS),
    ONE("- perceptron", MIX_DECODER_MLP),
    ONE("- vocabulary", MIX_VOCABULARY),
};

static enum auricle_error add_cases(struct run *run)
{
    const struct mix all = {"all", MIX_ALL, MIX_ALL}, exact = {"noise", 0, 0};
    enum auricle_error error = add_case(run, &all, 0.0);
    if (!error && run->args->noise > 0.0)
        error = add_case(run, &exact, run->args->noise);
    for (size_t i = 0; run->args->parts && i < sizeof groups / sizeof groups[0] && !error; i++)
        if (run->sources.rounded_weights || groups[i].weights == groups[i].inputs)
            error = add_case(run, &groups[i], 0.0);
    return error;
}

/* ---- Report ---------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

struct figures {
    double encoder, led, mean, worst_percent, free, widest;
};

static struct figures figures_of(struct tally *t)
{
    double sum = 0.0;
    const size_t n = t->positions;
    qsort(t->difference, n, sizeof(float), ascending);
    for (size_t i = 0; i < n; i++)
        sum += (double)t->difference[i];
    return (struct figures){
        .encoder = t->power > 0.0 ? sqrt(t->error / t->power) : 0.0,
        .led = (double)t->same / (double)n,
        .mean = sum / (double)n,
        .worst_percent = (double)t->difference[n - 1 - n / 100],
        .free = (double)t->equal / (double)t->tokens,
        .widest = (double)t->widest,
    };
}

static void print_table(struct run *run)
{
    printf("%zu recordings, %zu tokens of f32; margin of f32 below", run->recordings,
           run->positions);
    for (int i = 0; i < MOST_SHARES; i++)
        printf(" %g: %.2f %%%s", (double)thin[i],
               100.0 * (double)run->thinner[i] / (double)run->positions,
               i + 1 < MOST_SHARES ? "," : "\n");
    printf("%-32s %9s %9s %9s %9s %9s %9s %9s\n", kern_type_name(run->args->type), "encoder", "led",
           "mean", "99 %", "widest", "free", "same");
    for (int i = 0; i < run->n_tallies; i++) {
        const struct figures f = figures_of(&run->tally[i]);
        printf("%-32s %9.5f %8.2f%% %9.4f %9.4f %9.4f %8.2f%% %9zu\n", run->tally[i].name,
               f.encoder, 100.0 * f.led, f.mean, f.worst_percent, f.widest, 100.0 * f.free,
               run->tally[i].same_recordings);
    }
}

static void print_json(struct run *run)
{
    struct au_buf out;
    struct au_json_writer w;
    au_buf_init(&out, 0);
    au_json_writer_init(&w, &out, 1);
    au_json_open_object(&w);
    au_json_add_string(&w, "compute", kern_type_name(run->args->type));
    au_json_add_int(&w, "recordings", (int64_t)run->recordings);
    au_json_add_int(&w, "tokens", (int64_t)run->positions);
    au_json_key(&w, "margins_below");
    au_json_open_object(&w);
    for (int i = 0; i < MOST_SHARES; i++) {
        char label[16];
        snprintf(label, sizeof label, "%g", (double)thin[i]);
        au_json_add_fixed(&w, label, (double)run->thinner[i] / (double)run->positions, 5);
    }
    au_json_close_object(&w);
    au_json_key(&w, "cases");
    au_json_open_array(&w);
    for (int i = 0; i < run->n_tallies; i++) {
        const struct figures f = figures_of(&run->tally[i]);
        au_json_open_object(&w);
        au_json_add_string(&w, "name", run->tally[i].name);
        au_json_add_fixed(&w, "encoder", f.encoder, 6);
        au_json_add_fixed(&w, "led", f.led, 5);
        au_json_add_fixed(&w, "mean_difference", f.mean, 5);
        au_json_add_fixed(&w, "p99_difference", f.worst_percent, 5);
        au_json_add_fixed(&w, "widest_margin", f.widest, 5);
        au_json_add_fixed(&w, "free", f.free, 5);
        au_json_add_int(&w, "free_tokens", (int64_t)run->tally[i].tokens);
        au_json_add_int(&w, "same_recordings", (int64_t)run->tally[i].same_recordings);
        au_json_close_object(&w);
    }
    au_json_close_array(&w);
    au_json_close_object(&w);
    puts(out.data);
    au_buf_deinit(&out);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static enum auricle_error load(struct run *run)
{
    const struct arguments *args = run->args;
    struct auricle_engine_options options = AURICLE_ENGINE_OPTIONS_INIT;
    struct auricle_message message = {{0}};
    struct auricle_options defaults;
    struct format_weights *weights = NULL;

    options.model = args->model;
    options.threads = args->threads;
    options.compute = AURICLE_COMPUTE_F32;
    options.max_windows = options.max_beams = 1;
    enum auricle_error error = auricle_engine_create(&options, &run->engine, &message);
    if (error)
        return au_fail(&run->fault, error, "%s", message.text);
    auricle_options_default(&defaults);
    error = recog_rules_init(&run->rules, run->engine->tokenizer,
                             (size_t)run->engine->dims->n_vocab, &defaults);
    if (!error)
        error = format_weights_open(args->model, &weights, &run->fault);
    if (!error)
        error = mix_sources_init(&run->sources, weights, run->engine->ops, args->type,
                                 run->engine->pool, &run->fault);
    format_weights_close(weights);
    return error;
}

static enum auricle_error prepare(struct run *run)
{
    const struct whisper_dims *dims = run->engine->dims;
    const struct text_specials *specials = run->engine->specials;
    const int index = text_language_find(run->args->language);
    if (index < 0 || index >= specials->n_languages)
        return au_fail(&run->fault, AURICLE_E_INVALID, "\"%s\" is no language of this model",
                       run->args->language);
    run->mel = au_alloc_array(2 * (size_t)dims->n_audio_ctx * (size_t)dims->n_mels, sizeof(float));
    run->noisy = au_alloc_array((size_t)dims->n_audio_ctx * (size_t)dims->n_audio_state,
                                sizeof(float));
    if (!run->mel || !run->noisy)
        return AURICLE_E_NOMEM;
    enum auricle_error error = hearing_init(&run->exact, run->sources.exact, run->engine,
                                            &run->rules, specials->language[index]);
    return error ? error : add_cases(run);
}

static void deinit(struct run *run)
{
    for (int i = 0; i < run->n_tallies; i++) {
        hearing_deinit(&run->tally[i].hearing);
        mixed_model_deinit(&run->tally[i].mixed);
        au_free(run->tally[i].difference);
    }
    hearing_deinit(&run->exact);
    mix_sources_deinit(&run->sources);
    recog_rules_deinit(&run->rules);
    auricle_engine_destroy(run->engine);
    au_free(run->mel);
    au_free(run->noisy);
}

/* True when the option was understood; *used counts the arguments it took. */
static bool read_option(struct arguments *args, const char *name, const char *value, int *used)
{
    int64_t threads;
    *used = 1;
    if (au_str_equal(name, "--parts"))
        return args->parts = true;
    if (au_str_equal(name, "--json"))
        return args->json = true;
    *used = 2;
    if (!value)
        return false;
    if (au_str_equal(name, "--model"))
        args->model = value;
    else if (au_str_equal(name, "--language"))
        args->language = value;
    else if (au_str_equal(name, "--noise"))
        return au_parse_double(value, &args->noise) && args->noise >= 0.0;
    else if (au_str_equal(name, "--threads") && au_parse_i64(value, &threads) && threads > 0 &&
             threads <= 1024)
        args->threads = (int)threads;
    else if (au_str_equal(name, "--compute") && au_str_equal(value, "bf16"))
        args->type = KERN_BF16;
    else
        return au_str_equal(name, "--compute") && au_str_equal(value, "int8");
    return true;
}

static bool read_arguments(struct arguments *args, int argc, char **argv)
{
    *args = (struct arguments){
        .model = "models/nano", .language = "en", .type = KERN_INT8, .threads = 1};
    int at = 1, used = 0;
    while (at < argc && au_str_starts(argv[at], "--")) {
        if (!read_option(args, argv[at], at + 1 < argc ? argv[at + 1] : NULL, &used)) {
            fprintf(stderr,
                    "agreement: \"%s\" is not understood; options are --model PATH, "
                    "--compute int8|bf16, --language CODE, --threads N, --noise R, "
                    "--parts, --json\n",
                    argv[at]);
            return false;
        }
        at += used;
    }
    args->recordings = argv + at;
    args->n_recordings = argc - at;
    if (args->n_recordings == 0)
        fprintf(stderr, "agreement: which recordings?\n");
    return args->n_recordings > 0;
}

int main(int argc, char **argv)
{
    struct arguments args;
    if (!read_arguments(&args, argc, argv))
        return 2;
    struct run *run = au_calloc(1, sizeof *run);
    if (!run)
        return 1;
    run->args = &args;
    enum auricle_error error = load(run);
    if (!error)
        error = prepare(run);
    for (int i = 0; i < args.n_recordings && !error; i++)
        error = hear_recording(run, args.recordings[i]);
    if (error)
        fprintf(stderr, "agreement: %s\n",
                run->fault.text[0] ? run->fault.text : auricle_error_name(error));
    else if (args.json)
        print_json(run);
    else
        print_table(run);
    deinit(run);
    au_free(run);
    return error ? 1 : 0;
}
