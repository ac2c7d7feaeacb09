/* auricle wer: how far a transcript is from what was said.
 *
 * The pairs of texts are found (wer_pairs.c), then one after the other is read, normalised and
 * aligned (wer_text.c), printed where that is asked for, and forgotten but for its counts: memory
 * holds one pair at a time. Rates are the ratio of the sums; the interval comes from resampling the
 * texts.                                                                                         */
#include <stddef.h>

#include "app/app.h"
#include "app/input.h"
#include "app/output.h"
#include "app/wer_text.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "text/language.h"

#define N_ROUNDS   1000 /* of resampling */
#define CONFIDENCE 0.95
#define MAX_NAMED  10 /* texts without counterpart that are told one by one */

struct wer_args {
    struct app_general general; /* first: see app.h */
    const char *language, *spelling;
    int format;     /* txt, json */
    int normalizer; /* auto, english, basic, none */
    bool lists, align;
};

/* One call of the command. */
struct run {
    const struct wer_args *args;
    enum app_wer_normalizer normalizer;
    struct text_spelling *spelling; /* NULL: none */
    struct app_wer_pairs pairs;
    struct text_error_counts *words, *characters; /* [n_scored] of room for pairs.n */
    size_t n_scored;
    struct text_error_counts all_words, all_characters;
    struct app_results results;
    struct au_buf out;
    struct au_json_writer json; /* into out */
    bool input_failed;
};

static bool as_json(const struct run *run)
{
    return run->args->format == 1;
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void put_counts(struct au_buf *out, const struct text_error_counts *counts, const char *unit)
{
    au_buf_printf(out, "%zu %s: %zu hits, %zu substitutions, %zu deletions, %zu insertions\n",
                  counts->n_reference, unit, counts->hits, counts->substitutions, counts->deletions,
                  counts->insertions);
}

static void put_pair_text(struct run *run, const char *id, const struct app_wer_score *score)
{
    struct au_buf *out = &run->out;
    app_put_name(out, id);
    au_buf_printf(out, ": WER %.2f %%, CER %.2f %%, ",
                  100 * text_error_rate(&score->by_word.counts),
                  100 * text_error_rate(&score->by_character.counts));
    put_counts(out, &score->by_word.counts, "words");
    if (run->args->align) {
        (void)text_alignment_print(&score->by_word, &score->words[0], &score->words[1],
                                   (size_t)app_help_columns(), out);
        au_buf_putc(out, '\n');
    }
    app_results_write(&run->results, out);
}

static void put_rate_text(struct run *run, const char *name, const char *unit,
                          const struct text_error_counts *counts, const double *interval)
{
    au_buf_printf(&run->out, "%s %6.2f %%  ", name, 100 * text_error_rate(counts));
    if (interval)
        au_buf_printf(&run->out, "[%.2f, %.2f]  ", 100 * interval[0], 100 * interval[1]);
    put_counts(&run->out, counts, unit);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_key_count(struct au_json_writer *w, const char *key, size_t n)
{
    au_json_add_int(w, key, (int64_t)n);
}

static void put_rate_json(struct au_json_writer *w, const char *name,
                          const struct text_error_counts *counts)
{
    au_json_key(w, name);
    au_json_put_number(w, text_error_rate(counts));
}

static void put_counts_json(struct au_json_writer *w, const char *name,
                            const struct text_error_counts *counts)
{
    au_json_key(w, name);
    au_json_open_object(w);
    put_key_count(w, "reference", counts->n_reference);
    put_key_count(w, "hits", counts->hits);
    put_key_count(w, "substitutions", counts->substitutions);
    put_key_count(w, "deletions", counts->deletions);
    put_key_count(w, "insertions", counts->insertions);
    au_json_close_object(w);
}

static void put_unit_json(struct au_json_writer *w, const struct text_units *units, size_t i)
{
    au_json_put_string_n(w, units->items[i].bytes, units->items[i].n);
}

/* ["hit", "the", "the"], ["deletion", "old", null] ... */
static void put_alignment_json(struct au_json_writer *w, const struct app_wer_score *score)
{
    static const char *const names[] = {
        [TEXT_EDIT_HIT] = "hit",
        [TEXT_EDIT_SUBSTITUTE] = "substitution",
        [TEXT_EDIT_INSERT] = "insertion",
        [TEXT_EDIT_DELETE] = "deletion",
    };
    size_t i = 0, j = 0;
    au_json_key(w, "alignment");
    au_json_open_array(w);
    for (size_t k = 0; k < score->by_word.n_edits; k++) {
        const enum text_edit edit = score->by_word.edits[k];
        au_json_open_array(w);
        au_json_put_string(w, names[edit]);
        if (edit == TEXT_EDIT_INSERT)
            au_json_put_null(w);
        else
            put_unit_json(w, &score->words[0], i++);
        if (edit == TEXT_EDIT_DELETE)
            au_json_put_null(w);
        else
            put_unit_json(w, &score->words[1], j++);
        au_json_close_array(w);
    }
    au_json_close_array(w);
}

static void put_pair_json(struct run *run, const char *id, const struct app_wer_score *score)
{
    struct au_json_writer *w = &run->json;
    au_json_open_object(w);
    au_json_add_string(w, "id", id);
    put_rate_json(w, "wer", &score->by_word.counts);
    put_rate_json(w, "cer", &score->by_character.counts);
    put_counts_json(w, "words", &score->by_word.counts);
    put_counts_json(w, "characters", &score->by_character.counts);
    if (run->args->align)
        put_alignment_json(w, score);
    au_json_close_object(w);
}

static void put_interval_json(struct au_json_writer *w, const char *name, const double *interval)
{
    au_json_key(w, name);
    if (!interval) {
        au_json_put_null(w);
        return;
    }
    au_json_open_array(w);
    au_json_put_number(w, interval[0]);
    au_json_put_number(w, interval[1]);
    au_json_close_array(w);
}

static void put_ids_json(struct au_json_writer *w, const char *name,
                         const struct app_wer_entry *const *entries, size_t n)
{
    au_json_key(w, name);
    au_json_open_array(w);
    for (size_t i = 0; i < n; i++)
        au_json_put_string(w, entries[i]->id);
    au_json_close_array(w);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static void score_pair(struct run *run, const struct app_wer_pair *pair)
{
    const struct wer_args *args = run->args;
    const char *id = pair->reference->id;
    struct app_wer_score score;
    struct au_fault fault = {0};
    if (app_wer_score(pair, run->normalizer, run->spelling, &score, &fault) != AURICLE_OK) {
        app_error("%s", fault.text);
        run->input_failed = true;
        app_wer_score_deinit(&score);
        return;
    }
    if (score.warning[0])
        app_warn(args->general.quiet, "%s", score.warning);
    if (!as_json(run) && (args->general.verbose || args->align))
        put_pair_text(run, id, &score);
    if (as_json(run) && (args->general.verbose || args->align))
        put_pair_json(run, id, &score);
    run->words[run->n_scored] = score.by_word.counts;
    run->characters[run->n_scored++] = score.by_character.counts;
    text_error_counts_add(&run->all_words, &score.by_word.counts);
    text_error_counts_add(&run->all_characters, &score.by_character.counts);
    app_wer_score_deinit(&score);
}

/* One text says nothing about how texts differ: no interval then. */
static const double *interval_of(const struct text_error_counts *counts, size_t n, double out[2])
{
    bool known = n > 1 && text_error_rate_interval(counts, n, N_ROUNDS, CONFIDENCE, 0, &out[0],
                                                   &out[1]) == AURICLE_OK;
    return known ? out : NULL;
}

static void put_summary(struct run *run)
{
    double word_bounds[2], character_bounds[2];
    const double *words = interval_of(run->words, run->n_scored, word_bounds);
    const double *characters = interval_of(run->characters, run->n_scored, character_bounds);
    struct au_json_writer *w = &run->json;
    if (!as_json(run)) {
        put_rate_text(run, "WER", "words", &run->all_words, words);
        put_rate_text(run, "CER", "characters", &run->all_characters, characters);
        return;
    }
    put_rate_json(w, "wer", &run->all_words);
    put_interval_json(w, "wer_interval", words);
    put_counts_json(w, "words", &run->all_words);
    put_rate_json(w, "cer", &run->all_characters);
    put_interval_json(w, "cer_interval", characters);
    put_counts_json(w, "characters", &run->all_characters);
    put_key_count(w, "n_texts", run->n_scored);
    put_ids_json(w, "missing", run->pairs.missing, run->pairs.n_missing);
    put_ids_json(w, "unused", run->pairs.unused, run->pairs.n_unused);
    au_json_add_string(w, "normalizer", app_wer_normalizer_name(run->normalizer));
    au_json_add_string(w, "language", run->args->language);
    au_json_add_bool(w, "spelling_table", run->spelling != NULL);
}

static void score_all(struct run *run)
{
    const struct wer_args *args = run->args;
    if (as_json(run)) {
        au_json_writer_init(&run->json, &run->out, 0);
        au_json_open_object(&run->json);
    }
    bool list = as_json(run) && (args->general.verbose || args->align);
    if (list) {
        au_json_key(&run->json, "texts");
        au_json_open_array(&run->json);
    }
    for (size_t i = 0; i < run->pairs.n && run->results.exit_code == APP_EXIT_OK; i++)
        score_pair(run, &run->pairs.items[i]);
    if (list)
        au_json_close_array(&run->json);
    if (!run->n_scored)
        return;
    put_summary(run);
    if (as_json(run)) {
        au_json_close_object(&run->json);
        au_buf_putc(&run->out, '\n');
    }
    app_results_write(&run->results, &run->out);
    if (run->results.exit_code != APP_EXIT_OK)
        return;
    app_note(args->general.quiet, "%zu text%s compared; normaliser: %s%s%s", run->n_scored,
             run->n_scored == 1 ? "" : "s", app_wer_normalizer_name(run->normalizer),
             run->spelling ? ", with spelling table" : "",
             run->n_scored > 1 ? "; in brackets: 95 % interval" : "");
}

/* ---- The call -------------------------------------------------------------------------------- */

static void tell_missing(struct run *run)
{
    const struct app_wer_pairs *pairs = &run->pairs;
    bool quiet = run->args->general.quiet;
    for (size_t i = 0; i < pairs->n_missing && i < MAX_NAMED; i++)
        app_error("%s: no hypothesis belongs to it; left out", pairs->missing[i]->id);
    if (pairs->n_missing > MAX_NAMED)
        app_error("and %zu more without hypothesis", pairs->n_missing - MAX_NAMED);
    for (size_t i = 0; i < pairs->n_unused && i < MAX_NAMED; i++)
        app_warn(quiet, "%s: no reference belongs to it; left out", pairs->unused[i]->id);
    if (pairs->n_unused > MAX_NAMED)
        app_warn(quiet, "and %zu more without reference", pairs->n_unused - MAX_NAMED);
    run->input_failed = pairs->n_missing > 0;
}

static enum app_wer_normalizer choose(const struct wer_args *args)
{
    bool spaces = text_language_has_spaces(args->language);
    switch (args->normalizer) {
    case 1: return APP_WER_ENGLISH;
    case 2: return spaces ? APP_WER_BASIC : APP_WER_SPLIT;
    case 3: return APP_WER_NONE;
    default:
        if (au_str_equal(args->language, "en"))
            return APP_WER_ENGLISH;
        return spaces ? APP_WER_BASIC : APP_WER_SPLIT;
    }
}

static int run_pairs(struct run *run)
{
    run->words = au_calloc(run->pairs.n, sizeof *run->words);
    run->characters = au_calloc(run->pairs.n, sizeof *run->characters);
    if (!run->words || !run->characters) {
        app_error("out of memory");
        return APP_EXIT_INPUT;
    }
    tell_missing(run);
    score_all(run);
    app_results_close(&run->results);
    if (run->results.exit_code != APP_EXIT_OK)
        return run->results.exit_code;
    return run->input_failed ? APP_EXIT_INPUT : APP_EXIT_OK;
}

/* The table that comes with the program, a new string: in the source tree, or where it is
 * installed. NULL: it is not there.                                                              */
static char *find_spelling(void)
{
    char *own = au_path_executable_folder(), *path = NULL;
    for (size_t i = 0; own && !path && i < 2; i++) {
        path = i ? au_sprintf("%s/../share/auricle/spelling/english.json", own)
                 : au_sprintf("%s/../data/spelling/english.json", own);
        if (path && !au_file_is_regular(path)) {
            au_free(path);
            path = NULL;
        }
    }
    au_free(own);
    return path;
}

static enum auricle_error load_spelling(struct run *run, struct au_fault *fault)
{
    const char *named = run->args->spelling;
    if (run->normalizer != APP_WER_ENGLISH && named)
        return au_fail(fault, AURICLE_E_INVALID,
                       "--spelling is for the English normaliser; the normaliser here is %s",
                       app_wer_normalizer_name(run->normalizer));
    if (run->normalizer != APP_WER_ENGLISH || (named && au_str_equal(named, "off")))
        return AURICLE_OK;
    char *path = named ? au_strdup(named) : find_spelling();
    enum auricle_error error = AURICLE_OK;
    if (path)
        error = text_spelling_load(path, &run->spelling, fault);
    if (error)
        au_fault_prefix(fault, "--spelling");
    au_free(path);
    return error;
}

static int fail(const struct au_fault *fault, int code)
{
    app_error("%s", fault->text);
    return code;
}

static int run_checked(const struct wer_args *args, const struct app_parsed *parsed)
{
    struct au_fault fault = {0};
    struct run run = {.args = args, .normalizer = choose(args)};
    if (parsed->n_operands != 2) {
        app_error("wer compares two things, a reference and a hypothesis, and %zu %s given (see: "
                  "auricle wer --help)",
                  parsed->n_operands, parsed->n_operands == 1 ? "is" : "are");
        return APP_EXIT_USAGE;
    }
    if (load_spelling(&run, &fault) != AURICLE_OK)
        return fail(&fault, APP_EXIT_USAGE);
    au_buf_init(&run.out, 0);
    enum auricle_error error = app_wer_pairs_init(parsed->operands[0], parsed->operands[1],
                                                  args->lists, &run.pairs, &fault);
    int code = error ? fail(&fault, error == AURICLE_E_INVALID ? APP_EXIT_USAGE : APP_EXIT_INPUT)
                     : run_pairs(&run);
    app_wer_pairs_deinit(&run.pairs);
    text_spelling_destroy(run.spelling);
    au_buf_deinit(&run.out);
    au_free(run.words);
    au_free(run.characters);
    return code;
}

static int run_wer(const struct app_command *self, int argc, char **argv)
{
    struct wer_args args = {.language = "en"};
    struct service_settings settings;
    struct app_parsed parsed;
    int code;
    if (!app_begin(self, argc, argv, &args, &settings, &parsed, &code))
        return code;
    code = run_checked(&args, &parsed);
    service_settings_deinit(&settings);
    return code;
}

static enum auricle_error parse_language(void *args, const char *value, struct au_fault *fault)
{
    return app_language_parse(value, "", &((struct wer_args *)args)->language, fault);
}

static const struct app_option text_options[] = {
    {.name = "language",
     .letter = 'l',
     .kind = APP_PARSED,
     .value = "LANG",
     .parse = parse_language,
     .help = "the language of the texts, by code or name (auricle help languages)",
     .otherwise = "en"},
    {.name = "normalizer",
     .kind = APP_CHOICE,
     .value = "auto|english|basic|none",
     .offset = offsetof(struct wer_args, normalizer),
     .alias = "normaliser",
     .help = "what makes texts comparable: Whisper's for English (numbers, contractions, "
             "spellings), Whisper's for other languages (case, punctuation; by character where "
             "there are no spaces), or nothing; auto: by language",
     .otherwise = "auto"},
    {.name = "spelling",
     .kind = APP_TEXT,
     .value = "FILE|off",
     .offset = offsetof(struct wer_args, spelling),
     .help = "JSON of British spellings and the American ones for them, as Whisper's english.json, "
             "or off: colour and color differ",
     .otherwise = "the one that comes with auricle"},
    {.name = "tsv",
     .kind = APP_FLAG,
     .offset = offsetof(struct wer_args, lists),
     .help = "REF and HYP are lists: an id, a TAB and the text in each line"},
    {.name = NULL},
};

static const struct app_option output_options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = APP_CHOICE,
     .value = "txt|json",
     .offset = offsetof(struct wer_args, format),
     .help = "lines for people, or one JSON object",
     .otherwise = "txt"},
    {.name = "verbose",
     .letter = 'v',
     .kind = APP_FLAG,
     .offset = offsetof(struct wer_args, general.verbose),
     .help = "the rates of every text, too"},
    {.name = "align",
     .kind = APP_FLAG,
     .offset = offsetof(struct wer_args, align),
     .help = "also show which word stands against which: S for a substitution, D for a deletion, I "
             "for an insertion"},
    {.name = NULL},
};

static const struct app_group text_group = {"Texts", text_options};
static const struct app_group output_group = {"Output", output_options};
static const struct app_group *const wer_groups[] = {&text_group, &output_group, &app_group_general,
                                                     NULL};

const struct app_command app_command_wer = {
    .name = "wer",
    .summary = "compare transcripts with what was said: word error rate",
    .operands = "REF HYP",
    .about = "Compares a reference, what was said, with a hypothesis, what was written down: word "
             "and character error rate after both were normalised alike. REF and HYP are two "
             "files, two folders whose .txt and .json files belong together by name, or with --tsv "
             "two lists. Of .json files the member \"text\" is taken; - reads standard input.",
    .examples = "  auricle wer reference.txt talk.txt\n"
                "  auricle transcribe -o out talks/*.flac && auricle wer talks out\n"
                "  auricle transcribe talk.mp3 | auricle wer talk.txt -\n"
                "  auricle wer --language de --align rede.txt rede.json\n"
                "  auricle wer --tsv --format json ref.tsv hyp.tsv\n",
    .groups = wer_groups,
    .notes = "Rates:\n"
             "  Errors per word (or character) of the reference, summed over all texts; in\n"
             "  brackets the 95 % interval from resampling the texts. References without a\n"
             "  hypothesis are named and left out.\n"
             "\n"
             "Exit codes:\n"
             "    0  all texts were compared\n"
             "    1  some texts could not be read or have no counterpart\n" APP_NOTE_USAGE
                 APP_NOTE_OUTPUT APP_NOTE_PIPE,
    .run = run_wer,
};
