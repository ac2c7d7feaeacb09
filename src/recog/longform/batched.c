/* Batched long form. See batched.h.
 *
 * A ring of slots, each a window with its task and its map to the recording's time. `next` fills
 * free slots, then hands out the units of all tasks; finished windows leave in order from the
 * ring's head. The first window also tells the language: it is encoded like any other, one decoder
 * row reads the language from it, and tasks that are encoded wait until that is known.           */
#include "recog/longform/batched.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "recog/decode/detect.h"
#include "recog/longform/packer.h"
#include "recog/longform/task.h"

struct slot {
    struct recog_task *task;
    struct recog_timeline timeline;
};

struct batched {
    struct auricle_session *session;
    struct recog_packer *packer;
    struct recog_detect detect;
    bool detecting; /* the language row is out */
    size_t n_slots, head, n_used;
    struct slot *slots;
    float *samples; /* [window] scratch */
    bool at_end;    /* the packer has given its last window */
    bool finished;
    double done;               /* seconds of the recording that are final */
    int32_t *initial, *prefix; /* encoded prompts */
    size_t n_initial, n_prefix;
    bool prefix_used;
};

/* ---- Making ---------------------------------------------------------------------------------- */

static void destroy(void *self)
{
    struct batched *b = self;
    if (!b)
        return;
    for (size_t i = 0; b->slots && i < b->n_slots; i++)
        recog_task_destroy(b->slots[i].task);
    recog_detect_deinit(&b->detect);
    recog_packer_destroy(b->packer);
    au_free(b->slots);
    au_free(b->samples);
    au_free(b->initial);
    au_free(b->prefix);
    au_free(b);
}

/* As many slots as there are decoder cells for, at least one. */
static enum auricle_error make_slots(struct batched *b)
{
    size_t wanted = (size_t)b->session->engine->max_windows;
    b->slots = au_calloc(wanted, sizeof(*b->slots));
    if (!b->slots)
        return AURICLE_E_NOMEM;
    for (; b->n_slots < wanted; b->n_slots++) {
        enum auricle_error error = recog_task_create(b->session, &b->slots[b->n_slots].task);
        if (error == AURICLE_E_LIMIT && b->n_slots > 0)
            break;
        if (error)
            return error;
        b->slots[b->n_slots].task->keep_tail = true;
    }
    return AURICLE_OK;
}

static enum auricle_error allocate(struct batched *b, struct au_fault *fault)
{
    struct auricle_session *session = b->session;
    const struct auricle_options *o = &session->settings.options;
    size_t window = recog_engine_window_frames(session->engine) * AUDIO_MEL_HOP;
    b->samples = au_alloc_array(window, sizeof(float));
    enum auricle_error error = b->samples ? AURICLE_OK : AURICLE_E_NOMEM;
    /* The language row first: its one cell must not go to a slot. */
    if (!error)
        error = recog_detect_init(&b->detect, session->engine);
    if (!error)
        error = make_slots(b);
    if (!error)
        error = recog_packer_create(session, window, &b->packer, fault);
    if (!error)
        error = recog_prompt_encode(session->engine->tokenizer, o->initial_prompt, &b->initial,
                                    &b->n_initial);
    if (!error)
        error = recog_prompt_encode(session->engine->tokenizer, o->prefix, &b->prefix,
                                    &b->n_prefix);
    return error;
}

/* ---- Filling --------------------------------------------------------------------------------- */

static void prepare(struct batched *b, struct slot *slot, size_t n_samples, int64_t *frames)
{
    const struct auricle_engine *engine = b->session->engine;
    size_t window = recog_engine_window_frames(engine), n_mels = (size_t)engine->dims->n_mels;
    size_t inside = (n_samples + AUDIO_MEL_HOP - 1) / AUDIO_MEL_HOP;
    inside = inside < window ? inside : window;
    struct audio_span span = {.samples = b->samples,
                              .count = n_samples,
                              .total = (int64_t)(window + 2) * AUDIO_MEL_HOP + AUDIO_MEL_FFT};
    float max = -INFINITY;
    audio_mel_log(engine->mel, &span, 0, (int64_t)inside, slot->task->mel, &max);
    audio_mel_normalise(slot->task->mel, inside * n_mels, max);
    memset(slot->task->mel + inside * n_mels, 0, (window - inside) * n_mels * sizeof(float));
    recog_task_hear(slot->task, b->samples, n_samples);
    *frames = (int64_t)inside;
}

static enum auricle_error fill(struct batched *b, struct au_fault *fault)
{
    while (b->n_used < b->n_slots && !b->at_end) {
        struct slot *slot = &b->slots[(b->head + b->n_used) % b->n_slots];
        size_t n_samples;
        enum auricle_error error = recog_packer_next(b->packer, b->samples, &n_samples,
                                                     &slot->timeline, fault);
        if (error)
            return error;
        if (!n_samples) {
            b->at_end = true;
            break;
        }
        struct recog_task_start start = {.previous = b->initial, .n_previous = b->n_initial};
        if (!b->prefix_used) {
            start.prefix = b->prefix;
            start.n_prefix = b->n_prefix;
            b->prefix_used = true;
        }
        int64_t began = au_now_ns();
        prepare(b, slot, n_samples, &start.segment_frames);
        b->session->timings.mel += (double)(au_now_ns() - began) * 1e-9;
        recog_task_begin(slot->task, &start);
        b->n_used++;
    }
    return AURICLE_OK;
}

/* ---- Emptying -------------------------------------------------------------------------------- */

static enum auricle_error emit(struct slot *slot)
{
    struct recog_task *task = slot->task;
    if (task->decoded.silence)
        return AURICLE_OK;
    if (task->words)
        recog_words_assign(task->words, task->pieces, task->n_pieces, 0, 0);
    task->seek = recog_timeline_map(&slot->timeline, 0, RECOG_SIDE_START) / AUDIO_MEL_HOP;
    for (size_t i = 0; i < task->n_pieces; i++) {
        const int32_t *tokens;
        size_t n;
        enum auricle_error error = recog_task_emit(task, &task->pieces[i], &slot->timeline, &tokens,
                                                   &n);
        if (error)
            return error;
    }
    return AURICLE_OK;
}

/* The text of the whole is that of its segments. */
static enum auricle_error finish(struct batched *b)
{
    struct recog_result *result = b->session->result;
    enum auricle_error error = AURICLE_OK;
    for (size_t i = 0; !error && i < result->pub.n_segments; i++)
        error = recog_result_add_text(result, result->segments[i].text);
    b->finished = true;
    return error;
}

/* Finished windows leave in order. */
static enum auricle_error drain(struct batched *b)
{
    while (b->n_used && recog_task_finished(b->slots[b->head].task)) {
        struct slot *slot = &b->slots[b->head];
        enum auricle_error error = emit(slot);
        if (error)
            return error;
        b->done = recog_timeline_seconds(&slot->timeline, (double)INFINITY, RECOG_SIDE_END);
        b->head = (b->head + 1) % b->n_slots;
        b->n_used--;
    }
    return b->at_end && !b->n_used ? finish(b) : AURICLE_OK;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static struct slot *used_slot(struct batched *b, size_t i)
{
    return &b->slots[(b->head + i) % b->n_slots];
}

static struct auricle_unit *next_unit(struct batched *b)
{
    bool known = b->session->language >= 0;
    if (!known && !b->detecting && b->n_used &&
        used_slot(b, 0)->task->phase == RECOG_TASK_ENCODED) {
        b->detecting = true;
        return recog_detect_unit(&b->detect, b->session, used_slot(b, 0)->task->window);
    }
    for (size_t i = 0; i < b->n_used; i++) {
        struct auricle_unit *unit = recog_task_next(used_slot(b, i)->task);
        if (unit)
            return unit;
    }
    return NULL;
}

static enum auricle_error next(void *self, struct auricle_unit **out, struct au_fault *fault)
{
    struct batched *b = self;
    *out = NULL;
    enum auricle_error error = fill(b, fault);
    if (error)
        return error;
    if (b->at_end && !b->n_used && !b->finished)
        return finish(b);
    *out = next_unit(b);
    return AURICLE_OK;
}

static enum auricle_error complete(void *self, struct auricle_unit *unit, struct au_fault *fault)
{
    struct batched *b = self;
    enum auricle_error error = AURICLE_OK;
    if (b->detecting && unit == &b->detect.unit) {
        b->detecting = false;
        b->session->language = recog_detect_done(&b->detect);
        b->session->language_probability = b->detect.probability[b->session->language];
        for (size_t i = 0; i < b->n_used; i++)
            recog_task_resume(used_slot(b, i)->task);
    } else {
        error = recog_task_complete(unit->task);
        if (!error)
            error = drain(b);
    }
    return error ? au_fail(fault, error, "out of memory while keeping the transcript") : AURICLE_OK;
}

static bool finished(const void *self)
{
    return ((const struct batched *)self)->finished;
}

static void position(const void *self, double *done, double *total)
{
    const struct batched *b = self;
    *total = recog_source_estimate(b->session->source);
    *done = b->finished && *total >= 0 ? *total : b->done;
}

enum auricle_error recog_batched_create(struct auricle_session *session, struct recog_strategy *out,
                                        struct au_fault *fault)
{
    if (session->settings.options.condition_on_previous_text)
        return au_fail(fault, AURICLE_E_INVALID,
                       "windows decoded together cannot be conditioned on previous text: use the "
                       "sequential long form");
    struct batched *b = au_calloc(1, sizeof(*b));
    if (!b)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    b->session = session;
    enum auricle_error error = allocate(b, fault);
    if (error) {
        destroy(b);
        return fault->code ? error : recog_no_room(error, fault);
    }
    *out = (struct recog_strategy){b, next, complete, finished, position, destroy};
    return AURICLE_OK;
}
