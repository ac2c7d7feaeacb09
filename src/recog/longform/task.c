/* One window's way from log-mel to text. See task.h.
 * Source: openai/whisper transcribe.py (decode_with_fallback, new_segment).                      */
#include "recog/longform/task.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "recog/longform/rest.h"
#include "recog/rules/rules.h"
#include "recog/session.h"
#include "recog/trim.h"
#include "text/compress.h"
#include "text/language.h"

static int group_size(const struct auricle_options *o)
{
    int group = o->beam_size > o->best_of ? o->beam_size : o->best_of;
    return group > 1 ? group : 1;
}

static enum auricle_error make_parts(struct recog_task *task)
{
    struct auricle_engine *engine = task->session->engine;
    const struct auricle_options *o = &task->session->settings.options;
    int n_ctx = engine->dims->n_text_ctx;
    enum auricle_error error = recog_search_create(group_size(o), n_ctx, engine->free_cells,
                                                   &task->search);
    if (!error && o->word_timestamps)
        error = recog_align_create(engine->model, engine->free_cells, &task->align);
    if (!error && o->word_timestamps)
        error = recog_words_create(n_ctx, &task->words);
    return error;
}

enum auricle_error recog_task_create(struct auricle_session *session, struct recog_task **out)
{
    struct auricle_engine *engine = session->engine;
    size_t n_ctx = (size_t)engine->dims->n_text_ctx;
    struct recog_task *task = au_calloc(1, sizeof(*task));
    if (!task)
        return AURICLE_E_NOMEM;
    task->session = session;
    au_buf_init(&task->scratch, 0);
    task->loudness = au_calloc(recog_engine_window_frames(engine), sizeof(float));
    task->prompt = au_alloc_array(2 * n_ctx, sizeof(int32_t));
    task->text = au_alloc_array(2 * n_ctx, sizeof(int32_t));
    task->fallback.tokens = au_alloc_array(n_ctx + 1, sizeof(int32_t));
    task->fallback.logprobs = au_alloc_array(n_ctx + 1, sizeof(float));
    enum auricle_error error = AURICLE_E_NOMEM;
    if (task->loudness && task->prompt && task->text && task->fallback.tokens &&
        task->fallback.logprobs)
        error = make_parts(task);
    if (error) {
        recog_task_destroy(task);
        return error;
    }
    *out = task;
    return AURICLE_OK;
}

void recog_task_destroy(struct recog_task *task)
{
    if (!task)
        return;
    /* What holds cells goes before the seat they are reserved with. */
    recog_search_destroy(task->search);
    recog_align_destroy(task->align);
    recog_task_leave(task);
    recog_words_destroy(task->words);
    au_buf_deinit(&task->scratch);
    au_free(task->loudness);
    au_free(task->prompt);
    au_free(task->text);
    au_free(task->fallback.tokens);
    au_free(task->fallback.logprobs);
    au_free(task);
}

enum auricle_error recog_task_sit(struct recog_task *task)
{
    struct auricle_session *session = task->session;
    size_t n_cells = recog_search_cells_needed(group_size(&session->settings.options),
                                               session->engine->dims->n_text_ctx);
    if (task->seat)
        return AURICLE_OK;
    enum auricle_error error = recog_seats_take(session->engine->seats, &session->claim, n_cells,
                                                &task->seat);
    if (error == AURICLE_E_AGAIN)
        session->idle = AURICLE_WAIT_ROOM;
    return error;
}

void recog_task_leave(struct recog_task *task)
{
    recog_seats_give(task->session->engine->seats, task->seat);
    task->seat = NULL;
}

/* ---- Search ---------------------------------------------------------------------------------- */

static void begin_search(struct recog_task *task)
{
    struct auricle_session *session = task->session;
    const struct auricle_options *o = &session->settings.options;
    const struct whisper_dims *dims = session->engine->dims;
    struct recog_prompt prompt = {.specials = session->engine->specials,
                                  .language = recog_session_language_token(session),
                                  .task = o->task,
                                  .without_timestamps = o->without_timestamps,
                                  .previous = task->previous,
                                  .n_previous = task->n_previous,
                                  .prefix = task->prefix,
                                  .n_prefix = task->n_prefix,
                                  .n_text_ctx = dims->n_text_ctx,
                                  .max_tokens = o->max_tokens};
    /* Hotwords and a prefix exclude each other; words that led into a loop are not said again. */
    if (task->rung == 0 && !task->n_prefix) {
        prompt.hotwords = session->hotwords;
        prompt.n_hotwords = session->n_hotwords;
    }
    float temperature = o->temperatures[task->rung];
    bool cold = temperature <= 0;
    struct recog_search_config config = {
        .window = task->seat->window,
        .prompt = task->prompt,
        .rules = &session->rules,
        .beam_size = cold && o->beam_size > 1 ? o->beam_size : 0,
        .n_samples = !cold && o->best_of > 1 ? o->best_of : 1,
        .patience = o->patience > 0 ? o->patience : 1,
        .length_penalty = o->length_penalty,
        .temperature = temperature,
        .max_tokens = o->max_tokens ? o->max_tokens : dims->n_text_ctx / 2,
        .n_text_ctx = dims->n_text_ctx,
        .no_speech = session->engine->specials->no_speech,
        .seed = o->seed + (uint64_t)task->place * 1000003u + (uint64_t)task->rung};
    config.n_prompt = recog_prompt_build(&prompt, task->prompt, &config.sot_index);
    recog_search_begin(task->search, &config);
}

static enum auricle_error describe(struct recog_task *task)
{
    const struct auricle_options *o = &task->session->settings.options;
    struct recog_decoded *d = &task->decoded;
    recog_search_result(task->search, &d->best);
    d->temperature = o->temperatures[task->rung];
    au_buf_clear(&task->scratch);
    enum auricle_error error = text_decode(task->session->engine->tokenizer, d->best.tokens,
                                           (size_t)d->best.n_tokens, &task->scratch);
    if (error)
        return error;
    size_t begin, n = recog_trim(task->scratch.data, task->scratch.len, &begin);
    d->compression_ratio = (float)text_compression_ratio(task->scratch.data + begin, n);
    if (n && !(d->compression_ratio > 0))
        return AURICLE_E_NOMEM; /* no text compresses to nothing */
    /* Thresholds that are NaN compare false and so are off. */
    d->silence = d->best.no_speech_prob > o->no_speech_threshold &&
                 !(d->best.avg_logprob > o->logprob_threshold);
    return AURICLE_OK;
}

static bool must_retry(const struct auricle_options *o, const struct recog_decoded *d)
{
    bool again = d->compression_ratio > o->compression_ratio_threshold ||
                 d->best.avg_logprob < o->logprob_threshold;
    bool silence = d->best.no_speech_prob > o->no_speech_threshold &&
                   d->best.avg_logprob < o->logprob_threshold;
    return again && !silence;
}

/* ---- Where every temperature failed ---------------------------------------------------------- */

/* Keep the text of a temperature that failed if it is the best so far. Equals: the colder one. */
static void remember(struct recog_task *task)
{
    struct recog_fallback *f = &task->fallback;
    const struct recog_decoded *d = &task->decoded;
    bool says_something = d->compression_ratio > 0 && !recog_task_loops(task);
    bool better = says_something != f->says_something
                      ? says_something
                      : d->best.avg_logprob > f->decoded.best.avg_logprob;
    if (f->any && !better)
        return;
    size_t n = (size_t)d->best.n_tokens;
    f->decoded = *d;
    f->says_something = says_something;
    f->any = true;
    if (n) {
        memcpy(f->tokens, d->best.tokens, n * sizeof(*f->tokens));
        memcpy(f->logprobs, d->best.logprobs, n * sizeof(*f->logprobs));
    }
    f->decoded.best.tokens = f->tokens;
    f->decoded.best.logprobs = f->logprobs;
}

/* A text failed. True when there is another temperature to try; else one text has been taken: the
 * last one, as the original does, or the likeliest of those that say something.
 * Source of the second: faster-whisper transcribe.py (generate_with_fallback).                  */
static bool try_hotter(struct recog_task *task)
{
    const struct auricle_options *o = &task->session->settings.options;
    if (!o->as_original)
        remember(task);
    if (task->rung + 1 < o->n_temperatures) {
        task->rung++;
        return true;
    }
    if (!o->as_original)
        task->decoded = task->fallback.decoded;
    return false;
}

/* ---- Cutting --------------------------------------------------------------------------------- */

static size_t text_tokens(const struct recog_task *task, const struct recog_span *span,
                          int32_t *out)
{
    const int32_t *tokens = task->decoded.best.tokens + span->first;
    int32_t eot = task->session->engine->specials->eot;
    size_t n = 0;
    for (size_t i = 0; i < span->n; i++) {
        if (tokens[i] < eot)
            out[n++] = tokens[i];
    }
    return n;
}

static void cut(struct recog_task *task)
{
    struct recog_span spans[RECOG_MAX_SPANS];
    const struct recog_search_result *best = &task->decoded.best;
    int32_t begin = task->session->engine->specials->timestamp_begin;
    size_t n = (size_t)best->n_tokens;
    double offset = (double)task->seek / 100.0;
    double last = (double)task->segment_frames / 100.0;
    if (task->session->settings.options.as_original)
        last = (double)INFINITY;
    task->single_ending = n >= 2 && best->tokens[n - 1] >= begin && best->tokens[n - 2] < begin;
    task->n_pieces = recog_segments_cut(best->tokens, n, begin, task->segment_frames,
                                        task->hears_rest, spans, &task->advance);
    task->n_text = 0;
    for (size_t i = 0; i < task->n_pieces; i++) {
        struct recog_piece *piece = &task->pieces[i];
        *piece = (struct recog_piece){.span = spans[i],
                                      .start = offset + fmin(spans[i].start * 0.02, last),
                                      .end = offset + fmin(spans[i].end * 0.02, last)};
        piece->n_text = text_tokens(task, &spans[i], task->text + task->n_text);
        task->n_text += piece->n_text;
    }
}

static enum auricle_error begin_align(struct recog_task *task)
{
    const struct text_specials *specials = task->session->engine->specials;
    size_t n = 0;
    task->prompt[n++] = specials->sot;
    if (specials->multilingual) {
        task->prompt[n++] = recog_session_language_token(task->session);
        task->prompt[n++] = task->session->settings.options.task == AURICLE_TASK_TRANSLATE
                                ? specials->translate
                                : specials->transcribe;
    }
    /* Words of this text cannot lie in what is heard again. */
    size_t frames = (size_t)(task->rest ? task->rest : task->segment_frames) / 2;
    return recog_align_begin(task->align,
                             &(struct recog_align_config){.window = task->seat->window,
                                                          .prefix = task->prompt,
                                                          .n_prefix = n,
                                                          .no_timestamps = specials->no_timestamps,
                                                          .eot = specials->eot,
                                                          .text = task->text,
                                                          .n_text = task->n_text,
                                                          .n_frames = frames ? frames : 1});
}

/* ---- The machine ----------------------------------------------------------------------------- */

void recog_task_begin(struct recog_task *task, const struct recog_task_start *start)
{
    assert(task->phase == RECOG_TASK_IDLE || task->phase == RECOG_TASK_DONE);
    task->seek = task->window_begin = start->seek;
    task->place = start->place;
    task->segment_frames = start->segment_frames;
    task->previous = start->previous;
    task->n_previous = start->n_previous;
    task->prefix = start->prefix;
    task->n_prefix = start->n_prefix;
    task->rung = 0;
    task->fallback.any = false;
    task->n_pieces = 0;
    task->rest = 0;
    task->phase = RECOG_TASK_ENCODE;
}

void recog_task_resume(struct recog_task *task)
{
    if (task->phase != RECOG_TASK_ENCODED)
        return;
    task->phase = RECOG_TASK_SEARCH;
    begin_search(task);
}

struct auricle_unit *recog_task_next(struct recog_task *task)
{
    if (task->unit_out || task->phase == RECOG_TASK_ENCODED || recog_task_finished(task))
        return NULL;
    struct auricle_unit *unit = &task->unit;
    *unit = (struct auricle_unit){.session = task->session, .task = task};
    if (task->phase == RECOG_TASK_ENCODE) {
        unit->kind = RECOG_UNIT_ENCODE;
        unit->mel = task->seat->mel;
        unit->window = task->seat->window;
    } else {
        unit->kind = RECOG_UNIT_DECODE;
        bool any = task->phase == RECOG_TASK_SEARCH
                       ? recog_search_next(task->search, &unit->rows, &unit->n_rows)
                       : recog_align_next(task->align, &unit->rows, &unit->n_rows);
        assert(any);
        (void)any;
    }
    task->unit_out = true;
    return unit;
}

static enum auricle_error build_words(struct recog_task *task)
{
    const char *language = recog_session_text_language(task->session);
    task->phase = RECOG_TASK_DONE;
    return recog_words_build(task->words, task->align, task->session->engine->tokenizer, language,
                             task->text, task->n_text);
}

static enum auricle_error search_finished(struct recog_task *task)
{
    const struct auricle_options *o = &task->session->settings.options;
    enum auricle_error error = describe(task);
    if (error)
        return error;
    task->session->timings.decoder_tokens += (uint64_t)task->decoded.best.n_tokens;
    if (must_retry(o, &task->decoded) && try_hotter(task)) {
        begin_search(task);
        return AURICLE_OK;
    }
    task->phase = RECOG_TASK_DONE;
    if (task->decoded.silence)
        return AURICLE_OK;
    cut(task);
    if (task->hears_rest)
        task->rest = recog_rest_find(task);
    if (!o->word_timestamps)
        return AURICLE_OK;
    if (!task->n_text)
        return build_words(task);
    error = begin_align(task);
    if (!error)
        task->phase = RECOG_TASK_ALIGN;
    return error;
}

enum auricle_error recog_task_complete(struct recog_task *task)
{
    if (!task->unit_out)
        return AURICLE_E_STATE;
    task->unit_out = false;
    switch (task->phase) {
    case RECOG_TASK_ENCODE:
        task->session->timings.encoder_windows++;
        task->phase = RECOG_TASK_ENCODED;
        if (task->session->language >= 0)
            recog_task_resume(task);
        return AURICLE_OK;
    case RECOG_TASK_SEARCH:
        task->session->timings.decoder_steps++;
        recog_search_complete(task->search);
        return recog_search_finished(task->search) ? search_finished(task) : AURICLE_OK;
    case RECOG_TASK_ALIGN:
        recog_align_complete(task->align, task->session->engine->ops);
        return recog_align_finished(task->align) ? build_words(task) : AURICLE_OK;
    case RECOG_TASK_IDLE:
    case RECOG_TASK_ENCODED:
    case RECOG_TASK_DONE: break;
    }
    return AURICLE_E_STATE;
}

bool recog_task_finished(const struct recog_task *task)
{
    return task->phase == RECOG_TASK_IDLE || task->phase == RECOG_TASK_DONE;
}

/* ---- Keeping --------------------------------------------------------------------------------- */

void recog_task_hear(struct recog_task *task, size_t first_frame, size_t n_frames,
                     const float *samples, size_t n)
{
    for (size_t f = 0; f < n_frames; f++) {
        double sum = 0;
        size_t begin = f * AUDIO_MEL_HOP, end = begin + AUDIO_MEL_HOP;
        for (size_t i = begin; i < end && i < n; i++)
            sum += (double)samples[i] * (double)samples[i];
        task->loudness[first_frame + f] = (float)sqrt(sum / AUDIO_MEL_HOP);
    }
}

/* RMS of the loudest tenth of a second between two moments of the window. */
static float loudest(const struct recog_task *task, double begin, double end)
{
    enum { SPAN = 10 };
    int64_t frames = (int64_t)recog_engine_window_frames(task->session->engine);
    int64_t first = (int64_t)floor(begin * 100), last = (int64_t)ceil(end * 100);
    first = first < 0 ? 0 : first;
    last = last > frames ? frames : last;
    double best = 0;
    for (int64_t f = first; f < last; f++) {
        double sum = 0;
        int64_t stop = f + SPAN < last ? f + SPAN : last;
        for (int64_t i = f; i < stop; i++)
            sum += (double)task->loudness[i] * (double)task->loudness[i];
        best = sum / (double)(stop - f) > best ? sum / (double)(stop - f) : best;
    }
    return (float)sqrt(best);
}

static const char *judge(const struct recog_task *task, const struct recog_piece *piece,
                         const struct auricle_segment *segment, const char *text, size_t bytes)
{
    const struct auricle_options *o = &task->session->settings.options;
    if (!o->filter)
        return NULL;
    /* The times that the model wrote: whether a text is kept does not depend on word times. */
    double start = piece->span.start * 0.02, end = piece->span.end * 0.02;
    size_t n_with_text = 0;
    for (size_t i = 0; i < task->n_pieces; i++)
        n_with_text += task->pieces[i].n_text > 0;
    struct recog_evidence evidence = {.text = text,
                                      .bytes = bytes,
                                      .language = recog_session_text_language(task->session),
                                      .seconds = end - start,
                                      .loudest = loudest(task, start, end),
                                      .avg_logprob = segment->avg_logprob,
                                      .no_speech_prob = segment->no_speech_prob,
                                      .compression_ratio = segment->compression_ratio,
                                      .compression_limit = o->compression_ratio_threshold,
                                      .alone = n_with_text <= 1};
    return recog_rules_judge(&evidence);
}

bool recog_task_loops(struct recog_task *task)
{
    const struct recog_decoded *d = &task->decoded;
    if (d->silence || !d->best.n_tokens)
        return false;
    au_buf_clear(&task->scratch);
    if (text_decode(task->session->engine->tokenizer, d->best.tokens, (size_t)d->best.n_tokens,
                    &task->scratch))
        return false;
    size_t begin, bytes = recog_trim(task->scratch.data, task->scratch.len, &begin);
    struct recog_evidence evidence = {
        .text = task->scratch.data + begin,
        .bytes = bytes,
        .language = recog_session_text_language(task->session),
        .compression_ratio = d->compression_ratio,
        .compression_limit = task->session->settings.options.compression_ratio_threshold};
    return bytes && recog_rules_loops(&evidence);
}

int64_t recog_task_quietest(const struct recog_task *task)
{
    enum { SPAN = 10, SHORTEST = 400 };
    int64_t n = task->segment_frames, at = n / 2;
    double least = (double)INFINITY;
    if (n < SHORTEST)
        return 0;
    for (int64_t i = n / 4; i + SPAN <= n - n / 4; i++) {
        double sum = 0;
        for (int64_t j = i; j < i + SPAN; j++)
            sum += (double)task->loudness[j] * (double)task->loudness[j];
        if (sum < least) {
            least = sum;
            at = i + SPAN / 2;
        }
    }
    return at;
}

/* From time in the window to time in the recording. */
static void place(struct auricle_segment *segment, const struct recog_timeline *timeline,
                  struct recog_words *words, const struct recog_piece *piece)
{
    segment->start = recog_timeline_seconds(timeline, segment->start, RECOG_SIDE_START);
    segment->end = recog_timeline_seconds(timeline, segment->end, RECOG_SIDE_END);
    if (segment->end < segment->start)
        segment->end = segment->start;
    if (words)
        recog_words_place(words, piece, timeline, segment->start, segment->end);
}

void recog_task_assign_words(struct recog_task *task, double last_speech, double last_end)
{
    double offset = (double)task->window_begin / 100.0;
    int64_t frames = task->rest ? task->rest : task->segment_frames;
    recog_words_assign(task->words, task->pieces, task->n_pieces, offset, last_speech);
    if (!task->session->settings.options.as_original)
        recog_words_order(task->words, task->pieces, task->n_pieces, offset, fmax(offset, last_end),
                          (double)(task->window_begin + frames) / 100.0);
}

enum auricle_error recog_task_emit(struct recog_task *task, const struct recog_piece *piece,
                                   const struct recog_timeline *timeline, const int32_t **tokens,
                                   size_t *n_tokens)
{
    struct auricle_session *session = task->session;
    const struct recog_decoded *d = &task->decoded;
    size_t n_text = text_tokens(task, &piece->span, task->prompt), begin;
    au_buf_clear(&task->scratch);
    enum auricle_error error = text_decode(session->engine->tokenizer, task->prompt, n_text,
                                           &task->scratch);
    if (error)
        return error;
    struct auricle_segment segment = {.seek = task->seek,
                                      .start = piece->start,
                                      .end = piece->end,
                                      .text = task->scratch.data,
                                      .tokens = d->best.tokens + piece->span.first,
                                      .token_logprobs = d->best.logprobs + piece->span.first,
                                      .n_tokens = piece->span.n,
                                      .temperature = d->temperature,
                                      .avg_logprob = d->best.avg_logprob,
                                      .compression_ratio = d->compression_ratio,
                                      .no_speech_prob = d->best.no_speech_prob,
                                      .language = text_language_code(session->language)};
    if (task->words) {
        segment.words = recog_words_of(task->words, piece);
        segment.n_words = piece->n_words;
    }
    bool original = session->settings.options.as_original;
    bool instant = piece->start >= piece->end && piece->start <= piece->end;
    size_t bytes = recog_trim(task->scratch.data, task->scratch.len, &begin);
    *tokens = segment.tokens;
    *n_tokens = 0;
    if (bytes == 0 && !original)
        return AURICLE_OK;
    if (bytes == 0 || (instant && original)) {
        segment.text = "";
        segment.n_tokens = segment.n_words = 0;
    } else {
        segment.filtered_by = judge(task, piece, &segment, task->scratch.data + begin, bytes);
    }
    if (timeline)
        place(&segment, timeline, task->words, piece);
    *n_tokens = segment.filtered_by ? 0 : segment.n_tokens; /* invented text is no context */
    return recog_result_add(session->result, &segment, session->settings.options.keep_filtered);
}
