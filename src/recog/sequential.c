/* The original's transcribe loop as a state machine. See sequential.h.
 *
 * Phases: measure the mel maximum, detect the language (encode, one decoder row), then one window
 * after the other as a task (task.h), each beginning where the last one's text ended.           */
#include "recog/sequential.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "recog/task.h"
#include "text/language.h"

enum phase {
    PHASE_START,
    PHASE_LANGUAGE_ENCODE,
    PHASE_LANGUAGE_DECODE,
    PHASE_NEXT,
    PHASE_WINDOW,
    PHASE_DONE
};

/* 10 ms frames [first, end) to transcribe. */
struct clip {
    int64_t first, end;
};

struct recog_sequential {
    struct auricle_session *session;
    enum phase phase;
    bool unit_out; /* of the language phases */
    struct auricle_unit unit;
    struct recog_task *task;
    size_t window_frames, n_mels;
    int64_t content_frames; /* of the whole recording */
    float max;              /* of the whole recording's log-mel */
    float *block;           /* scratch samples */
    /* language */
    struct recog_row language_row;
    int32_t language_cell;
    float language_prob[TEXT_MAX_LANGUAGES];
    /* windows */
    struct clip *clips;
    size_t n_clips, clip;
    int64_t seek, segment_frames;
    int32_t *initial; /* encoded initial prompt */
    size_t n_initial;
    int32_t *prefix;
    size_t n_prefix;
    int32_t *tokens; /* all tokens so far, the initial prompt first */
    size_t n_tokens, tokens_room;
    size_t prompt_reset; /* conditioning starts here */
    int32_t *previous;   /* [n_text_ctx] what this window is conditioned on */
    double last_speech;  /* end of the last word */
    struct au_buf text;
};

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error make_clips(struct recog_sequential *seq, struct au_fault *fault)
{
    const struct auricle_options *o = &seq->session->settings.options;
    size_t n = o->n_clip_seconds > 0 ? ((size_t)o->n_clip_seconds + 1) / 2 : 1;
    seq->clips = au_calloc(n, sizeof(*seq->clips));
    if (!seq->clips)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    seq->n_clips = n;
    if (o->n_clip_seconds <= 0) {
        seq->clips[0].first = (int64_t)llrint(o->offset_seconds * 100);
        seq->clips[0].end = o->duration_seconds > 0
                                ? (int64_t)llrint((o->offset_seconds + o->duration_seconds) * 100)
                                : INT64_MAX;
        return AURICLE_OK;
    }
    for (size_t i = 0; i < n; i++) {
        seq->clips[i].first = (int64_t)llrint(o->clip_seconds[2 * i] * 100);
        bool has_end = 2 * i + 1 < (size_t)o->n_clip_seconds;
        seq->clips[i].end = has_end ? (int64_t)llrint(o->clip_seconds[2 * i + 1] * 100) : INT64_MAX;
    }
    return AURICLE_OK;
}

static enum auricle_error add_tokens(struct recog_sequential *seq, const int32_t *tokens, size_t n)
{
    if (seq->n_tokens + n > seq->tokens_room) {
        size_t room = (seq->n_tokens + n) * 2 + 256;
        int32_t *grown = au_realloc(seq->tokens, room * sizeof(*grown));
        if (!grown)
            return AURICLE_E_NOMEM;
        seq->tokens = grown;
        seq->tokens_room = room;
    }
    if (n)
        memcpy(seq->tokens + seq->n_tokens, tokens, n * sizeof(*tokens));
    seq->n_tokens += n;
    return AURICLE_OK;
}

static enum auricle_error encode_prompts(struct recog_sequential *seq)
{
    const struct auricle_options *o = &seq->session->settings.options;
    const struct text_tokenizer *tokenizer = seq->session->engine->tokenizer;
    enum auricle_error error = recog_prompt_encode(tokenizer, o->initial_prompt, &seq->initial,
                                                   &seq->n_initial);
    if (!error)
        error = recog_prompt_encode(tokenizer, o->prefix, &seq->prefix, &seq->n_prefix);
    if (!error)
        error = add_tokens(seq, seq->initial, seq->n_initial);
    return error;
}

static enum auricle_error allocate(struct recog_sequential *seq)
{
    size_t n_ctx = (size_t)seq->session->engine->dims->n_text_ctx;
    seq->block = au_alloc_array(recog_source_block_samples(seq->window_frames), sizeof(float));
    seq->previous = au_alloc_array(n_ctx, sizeof(int32_t));
    if (!seq->block || !seq->previous)
        return AURICLE_E_NOMEM;
    enum auricle_error error = recog_task_create(seq->session, &seq->task);
    return error ? error : encode_prompts(seq);
}

enum auricle_error recog_sequential_create(struct auricle_session *session,
                                           struct recog_sequential **out, struct au_fault *fault)
{
    struct recog_sequential *seq = au_calloc(1, sizeof(*seq));
    if (!seq)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    seq->session = session;
    seq->window_frames = recog_engine_window_frames(session->engine);
    seq->n_mels = (size_t)session->engine->dims->n_mels;
    seq->max = -INFINITY;
    au_buf_init(&seq->text, 0);
    enum auricle_error error = make_clips(seq, fault);
    if (!error) {
        error = allocate(seq);
        if (error)
            (void)au_fail(
                fault, error,
                "no memory for another session: lower the beam size or wait for others to end");
    }
    if (error) {
        recog_sequential_destroy(seq);
        return error;
    }
    *out = seq;
    return AURICLE_OK;
}

void recog_sequential_destroy(struct recog_sequential *seq)
{
    if (!seq)
        return;
    recog_task_destroy(seq->task);
    au_free(seq->block);
    au_free(seq->previous);
    au_free(seq->initial);
    au_free(seq->prefix);
    au_free(seq->tokens);
    au_free(seq->clips);
    au_buf_deinit(&seq->text);
    au_free(seq);
}

/* ---- Mel ------------------------------------------------------------------------------------- */

/* First pass: length and mel maximum of the whole recording. */
static enum auricle_error measure(struct recog_sequential *seq, struct au_fault *fault)
{
    struct auricle_session *session = seq->session;
    size_t inside = seq->window_frames;
    for (int64_t first = 0; inside == seq->window_frames; first += (int64_t)seq->window_frames) {
        enum auricle_error error = recog_source_mel(session->source, session->engine->mel, first,
                                                    seq->window_frames, seq->block, seq->task->mel,
                                                    &seq->max, &inside, fault);
        if (error)
            return error;
        seq->content_frames = first + (int64_t)inside;
    }
    for (size_t i = 0; i < seq->n_clips; i++) {
        if (seq->clips[i].end > seq->content_frames)
            seq->clips[i].end = seq->content_frames;
    }
    return AURICLE_OK;
}

static enum auricle_error load_mel(struct recog_sequential *seq, int64_t first, int64_t valid,
                                   struct au_fault *fault)
{
    struct auricle_session *session = seq->session;
    size_t inside;
    float ignored = -INFINITY;
    enum auricle_error error = recog_source_mel(session->source, session->engine->mel, first,
                                                seq->window_frames, seq->block, seq->task->mel,
                                                &ignored, &inside, fault);
    if (error)
        return error;
    size_t n = (size_t)valid * seq->n_mels, all = seq->window_frames * seq->n_mels;
    audio_mel_normalise(seq->task->mel, n, seq->max);
    memset(seq->task->mel + n, 0, (all - n) * sizeof(float));
    return AURICLE_OK;
}

static void encode_unit(struct recog_sequential *seq)
{
    seq->unit = (struct auricle_unit){.kind = RECOG_UNIT_ENCODE,
                                      .session = seq->session,
                                      .task = seq,
                                      .mel = seq->task->mel,
                                      .window = seq->task->window};
}

/* ---- Language -------------------------------------------------------------------------------- */

static void language_unit(struct recog_sequential *seq)
{
    struct auricle_engine *engine = seq->session->engine;
    struct recog_row *row = &seq->language_row;
    seq->language_cell = recog_cells_take(engine->free_cells);
    *row = (struct recog_row){.no_speech = -1,
                              .choose = engine->specials->language,
                              .n_choose = engine->specials->n_languages,
                              .choose_prob = seq->language_prob};
    row->model = (struct whisper_row){.window = seq->task->window,
                                      .tokens = &engine->specials->sot,
                                      .cells = &seq->language_cell,
                                      .n_tokens = 1,
                                      .n_logits = 1};
    seq->unit = (struct auricle_unit){
        .kind = RECOG_UNIT_DECODE, .session = seq->session, .task = seq, .rows = row, .n_rows = 1};
}

static void language_decided(struct recog_sequential *seq)
{
    struct auricle_session *session = seq->session;
    recog_cells_unref(session->engine->free_cells, &seq->language_cell, 1);
    int best = 0;
    for (int i = 1; i < session->engine->specials->n_languages; i++) {
        if (seq->language_prob[i] > seq->language_prob[best])
            best = i;
    }
    session->language = best;
    session->language_probability = seq->language_prob[best];
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* Move to the next place with audio; false at the end. */
static bool find_window(struct recog_sequential *seq)
{
    while (seq->clip < seq->n_clips) {
        const struct clip *clip = &seq->clips[seq->clip];
        if (seq->seek < clip->first)
            seq->seek = clip->first;
        if (seq->seek < clip->end) {
            int64_t left = clip->end - seq->seek;
            seq->segment_frames = left < (int64_t)seq->window_frames ? left
                                                                     : (int64_t)seq->window_frames;
            return true;
        }
        seq->clip++;
        if (seq->clip < seq->n_clips)
            seq->seek = seq->clips[seq->clip].first;
    }
    return false;
}

/* What the window is conditioned on: text since the last reset, with the initial prompt in front
 * when it is carried along.                                                                      */
static size_t previous_text(struct recog_sequential *seq)
{
    size_t half = (size_t)seq->session->engine->dims->n_text_ctx / 2, n = 0;
    size_t begin = seq->prompt_reset;
    if (!seq->session->settings.options.carry_initial_prompt) {
        size_t count = seq->n_tokens - begin;
        size_t skip = count > half ? count - half : 0;
        memcpy(seq->previous, seq->tokens + begin + skip, (count - skip) * sizeof(int32_t));
        return count - skip;
    }
    size_t most = half - 1;
    size_t initial = seq->n_initial < most ? seq->n_initial : most;
    memcpy(seq->previous, seq->initial + (seq->n_initial - initial), initial * sizeof(int32_t));
    n = initial;
    begin = begin > seq->n_initial ? begin : seq->n_initial;
    size_t count = seq->n_tokens - begin, room = most - initial;
    size_t kept = count < room ? count : room;
    memcpy(seq->previous + n, seq->tokens + seq->n_tokens - kept, kept * sizeof(int32_t));
    return n + kept;
}

static void begin_task(struct recog_sequential *seq)
{
    recog_task_begin(seq->task, &(struct recog_task_start){.seek = seq->seek,
                                                           .segment_frames = seq->segment_frames,
                                                           .previous = seq->previous,
                                                           .n_previous = previous_text(seq),
                                                           .prefix = seq->prefix,
                                                           .n_prefix = seq->n_prefix});
}

/* ---- After a window -------------------------------------------------------------------------- */

/* Words put their segments' borders right, and the next window begins after the last of them. */
static void assign_words(struct recog_sequential *seq)
{
    struct recog_task *task = seq->task;
    double offset = (double)seq->seek / 100.0;
    seq->last_speech = recog_words_assign(task->words, task->pieces, task->n_pieces, offset,
                                          seq->last_speech);
    for (size_t i = task->n_pieces; i-- > 0 && !task->single_ending;) {
        const struct recog_piece *piece = &task->pieces[i];
        if (!piece->n_words)
            continue;
        if (piece->end > offset)
            task->advance = (int64_t)rint(piece->end * 100) - seq->seek;
        break;
    }
}

static enum auricle_error take_window(struct recog_sequential *seq)
{
    const struct auricle_options *o = &seq->session->settings.options;
    struct recog_task *task = seq->task;
    seq->phase = PHASE_NEXT;
    if (task->decoded.silence) {
        seq->seek += seq->segment_frames;
        return AURICLE_OK;
    }
    if (task->words)
        assign_words(seq);
    for (size_t i = 0; i < task->n_pieces; i++) {
        const int32_t *tokens;
        size_t n;
        enum auricle_error error = recog_task_emit(task, &task->pieces[i], &tokens, &n);
        if (!error)
            error = add_tokens(seq, tokens, n);
        if (error)
            return error;
    }
    seq->seek += task->advance;
    if (!o->condition_on_previous_text || task->decoded.temperature > 0.5f)
        seq->prompt_reset = seq->n_tokens;
    return AURICLE_OK;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static enum auricle_error start(struct recog_sequential *seq, struct au_fault *fault)
{
    struct auricle_session *session = seq->session;
    enum auricle_error error = measure(seq, fault);
    if (error)
        return error;
    if (session->language >= 0) {
        seq->phase = PHASE_NEXT;
        return AURICLE_OK;
    }
    seq->phase = PHASE_LANGUAGE_ENCODE;
    return load_mel(seq, 0, (int64_t)seq->window_frames, fault);
}

static enum auricle_error next_window(struct recog_sequential *seq, struct au_fault *fault)
{
    if (!find_window(seq)) {
        seq->phase = PHASE_DONE;
        au_buf_clear(&seq->text);
        enum auricle_error error = text_decode(seq->session->engine->tokenizer,
                                               seq->tokens + seq->n_initial,
                                               seq->n_tokens - seq->n_initial, &seq->text);
        return error ? error : recog_result_add_text(seq->session->result, seq->text.data);
    }
    seq->phase = PHASE_WINDOW;
    enum auricle_error error = load_mel(seq, seq->seek, seq->segment_frames, fault);
    if (!error)
        begin_task(seq);
    return error;
}

/* One move: *out is the unit it led to, if any. */
static enum auricle_error step(struct recog_sequential *seq, struct auricle_unit **out,
                               struct au_fault *fault)
{
    switch (seq->phase) {
    case PHASE_START: return start(seq, fault);
    case PHASE_NEXT: return next_window(seq, fault);
    case PHASE_LANGUAGE_ENCODE: encode_unit(seq); break;
    case PHASE_LANGUAGE_DECODE: language_unit(seq); break;
    case PHASE_WINDOW: *out = recog_task_next(seq->task); return AURICLE_OK;
    case PHASE_DONE: return AURICLE_OK;
    }
    seq->unit_out = true;
    *out = &seq->unit;
    return AURICLE_OK;
}

enum auricle_error recog_sequential_next(struct recog_sequential *seq, struct auricle_unit **out,
                                         struct au_fault *fault)
{
    *out = NULL;
    while (!*out && !seq->unit_out && !seq->task->unit_out && seq->phase != PHASE_DONE) {
        enum auricle_error error = step(seq, out, fault);
        if (error)
            return error;
    }
    return AURICLE_OK;
}

static enum auricle_error task_unit_done(struct recog_sequential *seq)
{
    enum auricle_error error = recog_task_complete(seq->task);
    if (!error && recog_task_finished(seq->task))
        error = take_window(seq);
    return error;
}

enum auricle_error recog_sequential_complete(struct recog_sequential *seq,
                                             struct auricle_unit *unit, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (seq->phase == PHASE_WINDOW && seq->task->unit_out && unit == &seq->task->unit) {
        error = task_unit_done(seq);
    } else if (seq->unit_out && unit == &seq->unit) {
        seq->unit_out = false;
        bool encoded = seq->phase == PHASE_LANGUAGE_ENCODE;
        seq->phase = encoded ? PHASE_LANGUAGE_DECODE : PHASE_NEXT;
        if (!encoded)
            language_decided(seq);
    } else {
        return au_fail(fault, AURICLE_E_STATE, "this unit was not handed out by this session");
    }
    return error ? au_fail(fault, error, "out of memory while keeping the transcript") : AURICLE_OK;
}

bool recog_sequential_finished(const struct recog_sequential *seq)
{
    return seq->phase == PHASE_DONE;
}

void recog_sequential_position(const struct recog_sequential *seq, double *done, double *total)
{
    bool known = seq->phase != PHASE_START;
    *total = known ? (double)seq->content_frames / 100.0
                   : recog_source_estimate(seq->session->source);
    double at = (double)seq->seek / 100.0;
    *done = known && at > *total ? *total : at;
}
