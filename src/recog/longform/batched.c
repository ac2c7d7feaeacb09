/* Batched long form. See batched.h.
 *
 * A ring of slots, each a window with its task and its map to the recording's time. `next` fills
 * free slots, then hands out the units of all tasks; finished windows leave in order from the
 * ring's head. The first window also tells the language: it is encoded like any other, one decoder
 * row reads the language from it, and tasks that are encoded wait until that is known.
 *
 * A slot's task is made when the first window needs it, and takes its seat for one window at a
 * time: a session without a window in work holds next to nothing. When other sessions have all
 * seats, this one goes on with the windows it has in work, or waits.
 *
 * A model sometimes ends its text long before the speech in the window ends, or its text fills
 * the room for tokens. The sequential form would begin the next window there; so does this one:
 * the unheard rest moves to the front of its slot and is decoded as another window, in the same
 * place of the order. So are the two halves of a window whose text went round in circles at
 * every temperature.                                                                             */
#include "recog/longform/batched.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "recog/decode/detect.h"
#include "recog/longform/packer.h"
#include "recog/longform/task.h"

/* The second half of a window whose first half is being heard. */
struct half {
    struct recog_timeline timeline;
    size_t n_frames;
    float values[]; /* log-mel [n_frames, n_mels], then loudness [n_frames] */
};

struct slot {
    struct recog_task *task; /* NULL: not made yet */
    struct recog_timeline timeline;
    bool split;         /* its window was cut in two */
    struct half *later; /* NULL: there is none */
};

struct batched {
    struct auricle_session *session;
    struct recog_packer *packer;
    struct recog_detect detect;
    bool detecting; /* the language row is out */
    size_t n_slots, head, n_used;
    struct slot *slots;
    float *samples;                 /* [window] the packer's next window; NULL: not made yet */
    size_t n_waiting;               /* samples in it */
    bool packed;                    /* it is full, or the last: it waits for a slot */
    struct recog_timeline timeline; /* of it */
    bool at_end;                    /* the packer has given its last window */
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
    recog_detect_deinit(&b->detect); /* its cell is reserved with a seat */
    for (size_t i = 0; b->slots && i < b->n_slots; i++) {
        recog_task_destroy(b->slots[i].task);
        au_free(b->slots[i].later);
    }
    recog_packer_destroy(b->packer);
    au_free(b->slots);
    au_free(b->samples);
    au_free(b->initial);
    au_free(b->prefix);
    au_free(b);
}

/* The next slot of the ring with its task, made or moved there from another free slot, and a seat.
 * Errors: NOMEM, AGAIN (other sessions have the seats).                                          */
static enum auricle_error free_slot(struct batched *b, struct slot **out)
{
    struct slot *slot = &b->slots[(b->head + b->n_used) % b->n_slots];
    for (size_t i = b->n_used + 1; i < b->n_slots && !slot->task; i++) {
        struct slot *other = &b->slots[(b->head + i) % b->n_slots];
        slot->task = other->task;
        other->task = NULL;
    }
    if (!slot->task) {
        enum auricle_error error = recog_task_create(b->session, &slot->task);
        if (error)
            return error;
        slot->task->hears_rest = true;
    }
    *out = slot;
    return recog_task_sit(slot->task);
}

static size_t window_samples(const struct batched *b)
{
    return recog_engine_window_frames(b->session->engine) * AUDIO_MEL_HOP;
}

/* Most speech that is laid into one window. */
static size_t chunk_samples(const struct batched *b)
{
    double asked = b->session->settings.options.chunk_seconds;
    double chunk = asked > 0 ? asked : whisper_chunk_seconds(b->session->engine->model);
    size_t window = window_samples(b);
    return chunk > 0 && chunk * AUDIO_RATE_HZ < (double)window ? (size_t)(chunk * AUDIO_RATE_HZ)
                                                               : window;
}

static enum auricle_error allocate(struct batched *b, struct au_fault *fault)
{
    struct auricle_session *session = b->session;
    const struct auricle_options *o = &session->settings.options;
    b->n_slots = (size_t)session->engine->max_windows;
    b->slots = au_calloc(b->n_slots, sizeof(*b->slots));
    enum auricle_error error = b->slots ? AURICLE_OK : AURICLE_E_NOMEM;
    if (!error)
        error = recog_packer_create(session, chunk_samples(b), &b->packer, fault);
    if (!error)
        error = recog_prompt_encode(session->engine->tokenizer, o->initial_prompt, &b->initial,
                                    &b->n_initial);
    if (!error)
        error = recog_prompt_encode(session->engine->tokenizer, o->prefix, &b->prefix,
                                    &b->n_prefix);
    return error;
}

/* ---- Filling --------------------------------------------------------------------------------- */

static int64_t place_of(const struct slot *slot)
{
    return recog_timeline_map(&slot->timeline, 0, RECOG_SIDE_START) / AUDIO_MEL_HOP;
}

static int64_t prepare(struct batched *b, struct slot *slot)
{
    const struct auricle_engine *engine = b->session->engine;
    int64_t began = au_now_ns();
    size_t frames = recog_engine_window_mel(engine, b->samples, b->n_waiting,
                                            slot->task->seat->mel);
    b->session->timings.mel += (double)(au_now_ns() - began) * 1e-9;
    recog_task_hear(slot->task, 0, recog_engine_window_frames(engine), b->samples, b->n_waiting);
    return (int64_t)frames;
}

static void begin_waiting(struct batched *b, struct slot *slot)
{
    struct recog_task_start start = {.previous = b->initial, .n_previous = b->n_initial};
    if (!b->prefix_used) {
        start.prefix = b->prefix;
        start.n_prefix = b->n_prefix;
        b->prefix_used = true;
    }
    slot->timeline = b->timeline;
    start.segment_frames = prepare(b, slot);
    start.place = place_of(slot);
    recog_task_begin(slot->task, &start);
    b->packed = false;
    b->n_waiting = b->timeline.n = 0;
    b->n_used++;
}

/* The next window's samples; at_end when there are none. Errors: AGAIN, as recog_packer_fill. */
static enum auricle_error pack(struct batched *b, struct au_fault *fault)
{
    if (b->packed)
        return AURICLE_OK;
    if (!b->samples)
        b->samples = au_alloc_array(window_samples(b), sizeof(float));
    if (!b->samples)
        return recog_no_room(AURICLE_E_NOMEM, fault);
    enum auricle_error error = recog_packer_fill(b->packer, b->samples, &b->n_waiting, &b->timeline,
                                                 fault);
    if (error)
        return error;
    b->packed = b->n_waiting > 0;
    b->at_end = !b->packed;
    return AURICLE_OK;
}

/* Windows into slots as far as there are windows, slots and seats. */
static enum auricle_error fill(struct batched *b, struct au_fault *fault)
{
    while (b->n_used < (size_t)b->session->max_windows && !b->at_end) {
        struct slot *slot;
        enum auricle_error error = pack(b, fault);
        if (error || b->at_end)
            return error;
        error = free_slot(b, &slot);
        if (error)
            return error == AURICLE_E_AGAIN ? error : recog_no_room(error, fault);
        begin_waiting(b, slot);
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
        recog_task_assign_words(task, 0, 0);
    task->seek = place_of(slot);
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

static void begin_again(struct batched *b, struct slot *slot, int64_t frames)
{
    recog_task_begin(slot->task, &(struct recog_task_start){.segment_frames = frames,
                                                            .place = place_of(slot),
                                                            .previous = b->initial,
                                                            .n_previous = b->n_initial});
}

/* Silence from a frame to the end of the slot's window. */
static void silence_from(struct batched *b, struct slot *slot, size_t frame)
{
    const struct auricle_engine *engine = b->session->engine;
    size_t n = recog_engine_window_frames(engine) - frame, n_mels = (size_t)engine->dims->n_mels;
    memset(slot->task->seat->mel + frame * n_mels, 0, n * n_mels * sizeof(float));
    memset(slot->task->loudness + frame, 0, n * sizeof(float));
}

/* What follows the text becomes the slot's window. Its log-mel is there already. */
static void begin_rest(struct batched *b, struct slot *slot)
{
    struct recog_task *task = slot->task;
    size_t n_mels = (size_t)b->session->engine->dims->n_mels;
    size_t skip = (size_t)task->rest, rest = (size_t)task->segment_frames - skip;
    memmove(task->seat->mel, task->seat->mel + skip * n_mels, rest * n_mels * sizeof(float));
    memmove(task->loudness, task->loudness + skip, rest * sizeof(float));
    silence_from(b, slot, rest);
    recog_timeline_drop(&slot->timeline, (int64_t)skip * AUDIO_MEL_HOP);
    begin_again(b, slot, (int64_t)rest);
}

/* ---- Splitting ------------------------------------------------------------------------------- */

/* Is the text one phrase over and over at every temperature, and the sound not yet cut in two? Only
 * where invented text is worked against and trying again was asked for.                          */
static bool must_split(const struct batched *b, const struct slot *slot)
{
    const struct auricle_options *o = &b->session->settings.options;
    return o->filter && o->n_temperatures > 1 && !slot->split && recog_task_loops(slot->task) &&
           recog_task_quietest(slot->task) > 0;
}

/* The window's first half is heard by itself, its second half is put by. Errors: NOMEM. */
static enum auricle_error begin_first_half(struct batched *b, struct slot *slot)
{
    struct recog_task *task = slot->task;
    size_t n_mels = (size_t)b->session->engine->dims->n_mels;
    size_t at = (size_t)recog_task_quietest(task), rest = (size_t)task->segment_frames - at;
    struct half *later = au_alloc(sizeof(*later) + rest * (n_mels + 1) * sizeof(float));
    if (!later)
        return AURICLE_E_NOMEM;
    memcpy(later->values, task->seat->mel + at * n_mels, rest * n_mels * sizeof(float));
    memcpy(later->values + rest * n_mels, task->loudness + at, rest * sizeof(float));
    later->n_frames = rest;
    later->timeline = slot->timeline;
    recog_timeline_drop(&later->timeline, (int64_t)at * AUDIO_MEL_HOP);
    recog_timeline_keep(&slot->timeline, (int64_t)at * AUDIO_MEL_HOP);
    slot->later = later;
    slot->split = true;
    silence_from(b, slot, at);
    begin_again(b, slot, (int64_t)at);
    return AURICLE_OK;
}

static void begin_second_half(struct batched *b, struct slot *slot)
{
    struct half *later = slot->later;
    size_t n_mels = (size_t)b->session->engine->dims->n_mels, n = later->n_frames;
    memcpy(slot->task->seat->mel, later->values, n * n_mels * sizeof(float));
    memcpy(slot->task->loudness, later->values + n * n_mels, n * sizeof(float));
    silence_from(b, slot, n);
    slot->timeline = later->timeline;
    slot->later = NULL;
    au_free(later);
    begin_again(b, slot, (int64_t)n);
}

/* ---- Leaving --------------------------------------------------------------------------------- */

/* What a finished window still has to hear in its place: its halves, when its text goes round in
 * circles, and what follows its text. *again when the slot goes on. Errors: NOMEM.               */
static enum auricle_error hear_on(struct batched *b, struct slot *slot, bool *again)
{
    *again = true;
    if (must_split(b, slot))
        return begin_first_half(b, slot);
    enum auricle_error error = emit(slot);
    if (error)
        return error;
    int64_t rest = slot->task->rest;
    int64_t last = rest ? rest * AUDIO_MEL_HOP : recog_timeline_length(&slot->timeline);
    b->done = (double)recog_timeline_map(&slot->timeline, last, RECOG_SIDE_END) / AUDIO_RATE_HZ;
    if (rest)
        begin_rest(b, slot);
    else if (slot->later)
        begin_second_half(b, slot);
    else
        *again = false;
    return AURICLE_OK;
}

/* Finished windows leave in order; the first one stays while it has more to be heard. */
static enum auricle_error drain(struct batched *b)
{
    while (b->n_used && recog_task_finished(b->slots[b->head].task)) {
        struct slot *slot = &b->slots[b->head];
        bool again;
        enum auricle_error error = hear_on(b, slot, &again);
        if (error || again)
            return error;
        recog_task_leave(slot->task);
        slot->split = false;
        b->head = (b->head + 1) % b->n_slots;
        b->n_used--;
    }
    b->finished = b->at_end && !b->n_used;
    return AURICLE_OK;
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
        return recog_detect_unit(&b->detect, b->session->engine, b->session,
                                 used_slot(b, 0)->task->seat->window);
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
    if (error && error != AURICLE_E_AGAIN)
        return error;
    b->finished = b->at_end && !b->n_used;
    *out = next_unit(b);
    return *out ? AURICLE_OK : error;
}

static enum auricle_error complete(void *self, struct auricle_unit *unit, struct au_fault *fault)
{
    struct batched *b = self;
    enum auricle_error error = AURICLE_OK;
    if (b->detecting && unit == &b->detect.unit) {
        b->detecting = false;
        recog_detect_decide(&b->detect, b->session,
                            recog_timeline_length(&used_slot(b, 0)->timeline));
        for (size_t i = 0; i < b->n_used; i++)
            recog_task_resume(used_slot(b, i)->task);
    } else {
        error = recog_task_complete(unit->task);
        if (!error)
            error = drain(b);
    }
    return error ? recog_not_kept(error, fault) : AURICLE_OK;
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
