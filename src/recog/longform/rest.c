/* What a window's text leaves unheard. See rest.h. */
#include "recog/longform/rest.h"

#include "recog/session.h"

enum {
    STAMP_FRAMES = 2,
    REST_MIN = 200,     /* a shorter rest is left: silence and padding around the last words */
    REST_ADVANCE = 100, /* text that ends before this leaves no rest, so that there is an end */
};

static bool ends_in_text(const struct recog_task *task)
{
    const struct recog_search_result *best = &task->decoded.best;
    return best->tokens[best->n_tokens - 1] < task->session->engine->specials->timestamp_begin;
}

/* Is the last piece what was said behind the last pair of timestamps until the room for tokens was
 * used up? It is heard again with what follows, unless it goes round in circles: that is what
 * halves are for.                                                                                */
static bool has_loose_tail(struct recog_task *task)
{
    const struct recog_search_result *best = &task->decoded.best;
    if (best->ended || task->n_pieces < 2 || !ends_in_text(task))
        return false;
    const struct recog_span *last = &task->pieces[task->n_pieces - 1].span;
    return last->first + last->n == (size_t)best->n_tokens &&
           !(task->session->settings.options.filter && recog_task_loops(task));
}

/* Where the text ends. A lone last timestamp says that nothing follows, if end-of-text does: it is
 * believed where no detector has said that everything in the window is speech. 0: with the window.
 */
static int64_t text_end(const struct recog_task *task, bool loose_tail)
{
    const struct recog_search_result *best = &task->decoded.best;
    bool detector = task->session->settings.options.vad != AURICLE_VAD_OFF;
    if (loose_tail)
        return task->advance;
    if (ends_in_text(task) || (task->single_ending && best->ended && !detector))
        return 0;
    int32_t begin = task->session->engine->specials->timestamp_begin;
    return (int64_t)(best->tokens[best->n_tokens - 1] - begin) * STAMP_FRAMES;
}

int64_t recog_rest_find(struct recog_task *task)
{
    if (task->decoded.best.n_tokens < 2)
        return 0;
    bool loose_tail = has_loose_tail(task);
    int64_t end = text_end(task, loose_tail);
    if (end < REST_ADVANCE || task->segment_frames - end <= REST_MIN)
        return 0;
    if (loose_tail)
        task->n_text -= task->pieces[--task->n_pieces].n_text;
    return end;
}
