/* The original's transcribe loop as a state machine. See sequential.h.
 *
 * Phases: measure the mel maximum, detect the language (encode, one decoder row), then one window
 * after the other as a task (task.h), each beginning where the last one's text ended.           */
#include "recog/longform/sequential.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "recog/decode/detect.h"
#include "recog/longform/clips.h"
#include "recog/longform/task.h"
#include "recog/words/anomaly.h"

/* Frames of log-mel made at a time: a frame depends on its own samples alone, so the size of the
 * pieces shows in no result.                                                                     */
enum { PIECE_FRAMES = 500 };

enum phase {
    PHASE_MEASURE,
    PHASE_LANGUAGE,
    PHASE_LANGUAGE_ENCODE,
    PHASE_LANGUAGE_DECODE,
    PHASE_NEXT,
    PHASE_WINDOW,
    PHASE_DONE
};

struct sequential {
    struct auricle_session *session;
    enum phase phase;
    struct auricle_unit *language_unit; /* out in the language phases, else NULL */
    struct auricle_unit unit;
    struct recog_task *task;
    size_t window_frames, n_mels;
    int64_t content_frames; /* of the whole recording; while measuring: so far */
    float max;              /* of the whole recording's log-mel */
    float *block, *piece;   /* scratch: samples and log-mel of PIECE_FRAMES frames */
    /* language */
    struct recog_detect detect;
    /* windows */
    struct recog_clips clips;
    size_t clip;
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
    double last_end;     /* end of the last segment */
};

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error add_tokens(struct sequential *seq, const int32_t *tokens, size_t n)
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

static enum auricle_error encode_prompts(struct sequential *seq)
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

static enum auricle_error allocate(struct sequential *seq)
{
    size_t n_ctx = (size_t)seq->session->engine->dims->n_text_ctx;
    seq->block = au_alloc_array(recog_source_block_samples(PIECE_FRAMES), sizeof(float));
    seq->piece = au_alloc_array(PIECE_FRAMES * seq->n_mels, sizeof(float));
    seq->previous = au_alloc_array(n_ctx, sizeof(int32_t));
    if (!seq->block || !seq->piece || !seq->previous)
        return AURICLE_E_NOMEM;
    enum auricle_error error = recog_task_create(seq->session, &seq->task);
    return error ? error : encode_prompts(seq);
}

static void destroy(void *self)
{
    struct sequential *seq = self;
    if (!seq)
        return;
    recog_detect_deinit(&seq->detect);
    recog_task_destroy(seq->task);
    au_free(seq->block);
    au_free(seq->piece);
    au_free(seq->previous);
    au_free(seq->initial);
    au_free(seq->prefix);
    au_free(seq->tokens);
    recog_clips_deinit(&seq->clips);
    au_free(seq);
}

/* ---- Mel ------------------------------------------------------------------------------------- */

/* First pass, a piece at a time: length and mel maximum of the whole recording. */
static enum auricle_error measure(struct sequential *seq, struct au_fault *fault)
{
    struct auricle_session *session = seq->session;
    size_t inside;
    enum auricle_error error = recog_source_mel(session->source, session->engine->mel,
                                                seq->content_frames, PIECE_FRAMES, seq->block,
                                                seq->piece, &seq->max, &inside, fault);
    if (error)
        return error;
    seq->content_frames += (int64_t)inside;
    if (inside == PIECE_FRAMES)
        return AURICLE_OK;
    for (size_t i = 0; i < seq->clips.n; i++) {
        if (seq->clips.list[i].end > seq->content_frames)
            seq->clips.list[i].end = seq->content_frames;
    }
    /* Without sound no language is heard and no window is found. */
    bool unknown = session->language < 0 && seq->content_frames > 0;
    seq->phase = unknown ? PHASE_LANGUAGE : PHASE_NEXT;
    return AURICLE_OK;
}

/* The window's log-mel, silence after its valid frames, into the task's seat. */
static enum auricle_error load_mel(struct sequential *seq, int64_t first, int64_t valid,
                                   struct au_fault *fault)
{
    struct auricle_session *session = seq->session;
    enum auricle_error error = recog_task_sit(seq->task);
    if (error)
        return error == AURICLE_E_AGAIN ? error : recog_no_room(error, fault);
    float *mel = seq->task->seat->mel;
    for (size_t at = 0; at < seq->window_frames; at += PIECE_FRAMES) {
        size_t left = seq->window_frames - at, n = left < PIECE_FRAMES ? left : PIECE_FRAMES;
        int64_t sound = valid - (int64_t)at;
        sound = sound < 0 ? 0 : sound < (int64_t)n ? sound : (int64_t)n;
        size_t inside;
        float ignored = -INFINITY;
        error = recog_source_mel(session->source, session->engine->mel, first + (int64_t)at, n,
                                 seq->block, mel + at * seq->n_mels, &ignored, &inside, fault);
        if (error)
            return error;
        recog_task_hear(seq->task, at, n,
                        seq->block + recog_source_lead_samples(first + (int64_t)at),
                        (size_t)sound * AUDIO_MEL_HOP);
    }
    size_t n = (size_t)valid * seq->n_mels, all = seq->window_frames * seq->n_mels;
    audio_mel_normalise(mel, n, seq->max);
    memset(mel + n, 0, (all - n) * sizeof(float));
    return AURICLE_OK;
}

static struct auricle_unit *encode_unit(struct sequential *seq)
{
    seq->unit = (struct auricle_unit){.kind = RECOG_UNIT_ENCODE,
                                      .session = seq->session,
                                      .task = seq,
                                      .mel = seq->task->seat->mel,
                                      .window = seq->task->seat->window};
    return &seq->unit;
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* Move to the next place with audio; false at the end. */
static bool find_window(struct sequential *seq)
{
    while (seq->clip < seq->clips.n) {
        const struct recog_clip *clip = &seq->clips.list[seq->clip];
        if (seq->seek < clip->first)
            seq->seek = clip->first;
        if (seq->seek < clip->end) {
            int64_t left = clip->end - seq->seek;
            seq->segment_frames = left < (int64_t)seq->window_frames ? left
                                                                     : (int64_t)seq->window_frames;
            return true;
        }
        seq->clip++;
        if (seq->clip < seq->clips.n)
            seq->seek = seq->clips.list[seq->clip].first;
    }
    return false;
}

/* Copy n tokens, which may be none of none: memcpy does not take NULL even then. */
static void copy_tokens(int32_t *to, const int32_t *from, size_t n)
{
    if (n > 0)
        memcpy(to, from, n * sizeof *to);
}

/* What the window is conditioned on: text since the last reset, with the initial prompt in front
 * when it is carried along.                                                                      */
static size_t previous_text(struct sequential *seq)
{
    size_t half = (size_t)seq->session->engine->dims->n_text_ctx / 2, n = 0;
    size_t begin = seq->prompt_reset;
    if (!seq->session->settings.options.carry_initial_prompt) {
        size_t count = seq->n_tokens - begin;
        size_t skip = count > half ? count - half : 0;
        copy_tokens(seq->previous, seq->tokens + begin + skip, count - skip);
        return count - skip;
    }
    size_t most = half - 1;
    size_t initial = seq->n_initial < most ? seq->n_initial : most;
    copy_tokens(seq->previous, seq->initial + (seq->n_initial - initial), initial);
    n = initial;
    begin = begin > seq->n_initial ? begin : seq->n_initial;
    size_t count = seq->n_tokens - begin, room = most - initial;
    size_t kept = count < room ? count : room;
    copy_tokens(seq->previous + n, seq->tokens + seq->n_tokens - kept, kept);
    return n + kept;
}

static void begin_task(struct sequential *seq)
{
    recog_task_begin(seq->task, &(struct recog_task_start){.seek = seq->seek,
                                                           .place = seq->seek,
                                                           .segment_frames = seq->segment_frames,
                                                           .previous = seq->previous,
                                                           .n_previous = previous_text(seq),
                                                           .prefix = seq->prefix,
                                                           .n_prefix = seq->n_prefix});
    seq->n_prefix = 0; /* the first window's alone */
}

/* ---- After a window -------------------------------------------------------------------------- */

/* Words put their segments' borders right, and the next window begins after the last of them. False
 * when the window is to be heard again from task->advance.                                       */
static bool assign_words(struct sequential *seq)
{
    struct recog_task *task = seq->task;
    const struct auricle_options *o = &seq->session->settings.options;
    double offset = (double)seq->seek / 100.0;
    recog_task_assign_words(task, seq->last_speech, seq->last_end);
    int64_t seek = seq->seek + task->advance;
    double last = recog_anomaly_end(task->words, task->pieces, task->n_pieces);
    if (!task->single_ending && last > offset)
        seek = (int64_t)llrint(last * 100);
    bool keep = true;
    if (o->hallucination_silence_threshold >= 0) {
        struct recog_anomaly_window window = {.threshold = o->hallucination_silence_threshold,
                                              .begin = offset,
                                              .end = offset + (double)seq->window_frames / 100.0,
                                              .duration = (double)seq->segment_frames / 100.0,
                                              .last_speech = seq->last_speech,
                                              .recording = (double)seq->content_frames / 100.0,
                                              .single_ending = task->single_ending,
                                              .seek = seq->seek,
                                              .segment_frames = seq->segment_frames,
                                              .content_frames = seq->content_frames};
        keep = recog_anomaly_skip(task->words, &window, task->pieces, &task->n_pieces, &seek);
    }
    if (keep && task->n_pieces)
        seq->last_speech = recog_anomaly_end(task->words, task->pieces, task->n_pieces);
    task->advance = seek - seq->seek;
    return keep;
}

static enum auricle_error take_window(struct sequential *seq)
{
    const struct auricle_options *o = &seq->session->settings.options;
    struct recog_task *task = seq->task;
    seq->phase = PHASE_NEXT;
    if (task->decoded.silence) {
        seq->seek += seq->segment_frames;
        return AURICLE_OK;
    }
    if (task->words && !assign_words(seq)) {
        seq->seek += task->advance > 0 ? task->advance : 1;
        return AURICLE_OK;
    }
    for (size_t i = 0; i < task->n_pieces; i++) {
        const int32_t *tokens;
        size_t n;
        enum auricle_error error = recog_task_emit(task, &task->pieces[i], NULL, &tokens, &n);
        if (!error)
            error = add_tokens(seq, tokens, n);
        if (error)
            return error;
        if (task->pieces[i].n_text)
            seq->last_end = fmax(seq->last_end, task->pieces[i].end);
    }
    /* A window whose text ends where it began would be heard for ever. */
    seq->seek += task->advance > 0 ? task->advance : seq->segment_frames;
    if (!o->condition_on_previous_text || o->temperatures[task->rung] > 0.5f)
        seq->prompt_reset = seq->n_tokens;
    return AURICLE_OK;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static enum auricle_error load_language_window(struct sequential *seq, struct au_fault *fault)
{
    enum auricle_error error = load_mel(seq, 0, (int64_t)seq->window_frames, fault);
    if (!error)
        seq->phase = PHASE_LANGUAGE_ENCODE;
    return error;
}

static enum auricle_error next_window(struct sequential *seq, struct au_fault *fault)
{
    if (!find_window(seq)) {
        recog_task_leave(seq->task);
        seq->phase = PHASE_DONE;
        return AURICLE_OK;
    }
    enum auricle_error error = load_mel(seq, seq->seek, seq->segment_frames, fault);
    if (error)
        return error;
    seq->phase = PHASE_WINDOW;
    begin_task(seq);
    return AURICLE_OK;
}

/* One move: *out is the unit it led to, if any. */
static enum auricle_error step(struct sequential *seq, struct auricle_unit **out,
                               struct au_fault *fault)
{
    switch (seq->phase) {
    case PHASE_MEASURE: return measure(seq, fault);
    case PHASE_LANGUAGE: return load_language_window(seq, fault);
    case PHASE_NEXT: return next_window(seq, fault);
    case PHASE_LANGUAGE_ENCODE: *out = encode_unit(seq); break;
    case PHASE_LANGUAGE_DECODE:
        *out = recog_detect_unit(&seq->detect, seq->session->engine, seq->session,
                                 seq->task->seat->window);
        break;
    case PHASE_WINDOW: *out = recog_task_next(seq->task); return AURICLE_OK;
    case PHASE_DONE: return AURICLE_OK;
    }
    seq->language_unit = *out;
    return AURICLE_OK;
}

static enum auricle_error next(void *self, struct auricle_unit **out, struct au_fault *fault)
{
    struct sequential *seq = self;
    *out = NULL;
    while (!*out && !seq->language_unit && !seq->task->unit_out && seq->phase != PHASE_DONE) {
        enum auricle_error error = step(seq, out, fault);
        if (error)
            return error;
    }
    return AURICLE_OK;
}

static enum auricle_error task_unit_done(struct sequential *seq)
{
    enum auricle_error error = recog_task_complete(seq->task);
    if (error || !recog_task_finished(seq->task))
        return error;
    error = take_window(seq);
    recog_task_leave(seq->task);
    return error;
}

static enum auricle_error complete(void *self, struct auricle_unit *unit, struct au_fault *fault)
{
    struct sequential *seq = self;
    enum auricle_error error = AURICLE_OK;
    if (seq->phase == PHASE_WINDOW && seq->task->unit_out && unit == &seq->task->unit) {
        error = task_unit_done(seq);
    } else if (unit && unit == seq->language_unit) {
        seq->language_unit = NULL;
        bool encoded = seq->phase == PHASE_LANGUAGE_ENCODE;
        seq->session->timings.encoder_windows += encoded;
        seq->phase = encoded ? PHASE_LANGUAGE_DECODE : PHASE_NEXT;
        int64_t heard = seq->content_frames * AUDIO_MEL_HOP;
        int64_t window = (int64_t)seq->window_frames * AUDIO_MEL_HOP;
        if (!encoded)
            recog_detect_decide(&seq->detect, seq->session, heard < window ? heard : window);
    } else {
        return au_fail(fault, AURICLE_E_STATE, "this unit was not handed out by this session");
    }
    return error ? recog_not_kept(error, fault) : AURICLE_OK;
}

static bool finished(const void *self)
{
    const struct sequential *seq = self;
    return seq->phase == PHASE_DONE;
}

static void position(const void *self, double *done, double *total)
{
    const struct sequential *seq = self;
    bool known = seq->phase != PHASE_MEASURE;
    *total = known ? (double)seq->content_frames / 100.0
                   : recog_source_estimate(seq->session->source);
    double at = (double)seq->seek / 100.0;
    *done = known && at > *total ? *total : at;
}

enum auricle_error recog_sequential_create(struct auricle_session *session,
                                           struct recog_strategy *out, struct au_fault *fault)
{
    struct sequential *seq = au_calloc(1, sizeof(*seq));
    if (!seq)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    seq->session = session;
    seq->window_frames = recog_engine_window_frames(session->engine);
    seq->n_mels = (size_t)session->engine->dims->n_mels;
    seq->max = -INFINITY;
    enum auricle_error error = recog_clips_init(&seq->clips, &session->settings.options);
    if (!error)
        error = allocate(seq);
    if (error) {
        destroy(seq);
        return recog_no_room(error, fault);
    }
    *out = (struct recog_strategy){seq, next, complete, finished, position, destroy};
    return AURICLE_OK;
}
