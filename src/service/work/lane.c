/* One turn of an engine's works. See lane.h and scheduler.h. */
#include "service/work/lane.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "recog/engine.h"
#include "recog/unit.h"

/* A batch of windows takes about this long: whoever cancels or begins to speak waits that long. */
#define BATCH_SECONDS      0.15
/* While a live session has work, recordings encode for one part in this many. */
#define OTHERS_PART        3
/* What recordings may do of their own (finding speech, spectra) in a turn. */
#define OWN_NS             (50 * 1000 * 1000)
#define OWN_BESIDE_LIVE_NS (10 * 1000 * 1000)
#define REOPEN_NS          (20 * 1000 * 1000)

bool service_lane_empty(const struct service_lane *lane)
{
    for (int p = 0; p < SERVICE_N_PRIORITIES; p++)
        if (lane->queued[p].n || lane->running[p].n)
            return false;
    return true;
}

void service_lane_join(struct service_lane *lane, struct service_work *work,
                       struct auricle_engine *engine)
{
    assert(service_lane_empty(lane) || lane->engine == engine);
    lane->engine = engine;
    lane->max_windows = engine->max_windows;
    work->lane = lane;
    work->place = SERVICE_PLACE_QUEUED;
    service_list_append(&lane->queued[work->priority], work);
}

bool service_lane_waits_for_room(const struct service_lane *lane)
{
    for (int p = 0; p < SERVICE_N_PRIORITIES; p++)
        for (const struct service_work *work = lane->running[p].first; work; work = work->next)
            if (work->wait == AURICLE_WAIT_ROOM && !work->n_units)
                return true;
    return false;
}

static void end(struct service_work *work, enum auricle_error error)
{
    work->ended = true;
    work->error = error;
}

/* ---- Who runs -------------------------------------------------------------------------------- */

/* Windows that recordings may have in work: live sessions keep some for themselves. */
static int room_for_recordings(const struct service_lane *lane)
{
    int live = (int)(lane->running[SERVICE_PRIORITY_LIVE].n +
                     lane->queued[SERVICE_PRIORITY_LIVE].n),
        most = lane->max_windows / 2;
    int room = lane->max_windows - (live < most ? live : most);
    return room > 1 ? room : 1;
}

static size_t n_recordings(const struct service_lane *lane)
{
    size_t n = 0;
    for (int p = SERVICE_PRIORITY_WAITING; p < SERVICE_N_PRIORITIES; p++)
        n += lane->running[p].n;
    return n;
}

/* False: no more of this class now. */
static bool open_first(struct service_lane *lane, struct service_work_list *queue)
{
    struct service_work *work = queue->first;
    enum auricle_error error = work->ops->open(work, lane->engine, &work->session, &work->message);
    if (error == AURICLE_E_LIMIT && n_recordings(lane) + lane->running[SERVICE_PRIORITY_LIVE].n) {
        lane->open_after_ns = au_now_ns() + REOPEN_NS;
        return false;
    }
    service_list_remove(work);
    service_list_append(&lane->running[work->priority], work);
    work->place = SERVICE_PLACE_RUNNING;
    work->wait = AURICLE_WAIT_NONE;
    work->share = lane->max_windows;
    lane->shares_stale = true;
    if (error)
        end(work, error);
    return true;
}

static void open_queued(struct service_lane *lane)
{
    if (lane->open_after_ns > au_now_ns())
        return;
    for (int p = 0; p < SERVICE_N_PRIORITIES; p++)
        while (lane->queued[p].first && (p == SERVICE_PRIORITY_LIVE ||
                                         n_recordings(lane) < (size_t)room_for_recordings(lane)))
            if (!open_first(lane, &lane->queued[p]))
                return;
}

static void give(struct service_work *work, int share)
{
    if (work->share == share || !work->session || work->ended)
        return;
    work->share = share;
    auricle_session_set_max_windows(work->session, share);
}

/* The background has one window each where somebody waits; the rest is shared out evenly. */
static void share_out(struct service_lane *lane)
{
    size_t n_waiting = lane->running[SERVICE_PRIORITY_WAITING].n,
           n_background = n_recordings(lane) - n_waiting;
    int room = room_for_recordings(lane);
    lane->shares_stale = false;
    for (int p = SERVICE_PRIORITY_WAITING; p < SERVICE_N_PRIORITIES; p++) {
        bool leftovers = p != SERVICE_PRIORITY_WAITING && n_waiting;
        int n = (int)lane->running[p].n;
        int here = leftovers ? n : p == SERVICE_PRIORITY_WAITING ? room - (int)n_background : room;
        here = here > n ? here : n;
        int i = 0;
        for (struct service_work *work = lane->running[p].first; work; work = work->next, i++)
            give(work, here / n + (i < here % n));
    }
}

/* ---- Asking for units ------------------------------------------------------------------------ */

/* Ask one for all it has, until so much time was spent; true when it should be asked again. */
static bool refill(struct service_work *work, int64_t until_ns)
{
    bool poked = atomic_exchange(&work->poked, false);
    if (work->ended || (work->wait == AURICLE_WAIT_AUDIO && !poked))
        return false;
    if (work->ops->pump)
        work->ops->pump(work);
    work->touched = true;
    while (work->n_units < SERVICE_MAX_UNITS) {
        struct auricle_unit *unit;
        enum auricle_error error = auricle_session_next(work->session, &unit, &work->message);
        if (error) {
            end(work, error);
            return false;
        }
        work->wait = unit ? AURICLE_WAIT_UNITS : auricle_session_wait(work->session);
        if (!unit)
            return work->wait == AURICLE_WAIT_NONE;
        work->units[work->n_units++] = unit;
        if (au_now_ns() > until_ns)
            return true;
    }
    return false;
}

static bool refill_all(struct service_lane *lane)
{
    bool again = false, live = lane->running[SERVICE_PRIORITY_LIVE].n > 0;
    for (struct service_work *work = lane->running[SERVICE_PRIORITY_LIVE].first; work;
         work = work->next)
        again |= refill(work, INT64_MAX);
    int64_t until_ns = au_now_ns() + (live ? OWN_BESIDE_LIVE_NS : OWN_NS);
    for (int p = SERVICE_PRIORITY_WAITING; p < SERVICE_N_PRIORITIES; p++)
        for (struct service_work *work = lane->running[p].first; work; work = work->next) {
            again |= refill(work, until_ns);
            if (au_now_ns() > until_ns)
                return true; /* those further back come first the next time */
        }
    return again;
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* Steps of the decoder all, windows as far as there is room for them. */
static void choose_from(struct service_lane *lane, struct service_work *work, size_t *room)
{
    size_t kept = 0;
    for (size_t i = 0; i < work->n_units; i++) {
        struct auricle_unit *unit = work->units[i];
        bool window = unit->kind == RECOG_UNIT_ENCODE;
        if (lane->n_batch == SERVICE_MAX_BATCH || (window && !*room)) {
            work->units[kept++] = unit;
            continue;
        }
        *room -= window;
        lane->owners[lane->n_batch] = work;
        lane->units[lane->n_batch++] = unit;
    }
    work->n_units = kept;
}

static void choose_class(struct service_lane *lane, int priority, size_t *room)
{
    struct service_work_list *list = &lane->running[priority];
    for (struct service_work *work = list->first; work; work = work->next)
        if (!work->ended)
            choose_from(lane, work, room);
    service_list_rotate(list);
}

static size_t windows_in(double seconds, const struct service_lane *lane)
{
    size_t most = (size_t)lane->max_windows;
    if (lane->window_seconds <= 0)
        return most < 2 ? most : 2;
    double n = seconds / lane->window_seconds;
    return n < 1 ? 1 : n > (double)most ? most : (size_t)n;
}

static void choose(struct service_lane *lane)
{
    size_t room = windows_in(BATCH_SECONDS, lane), live_room = (size_t)lane->max_windows;
    lane->n_batch = 0;
    choose_class(lane, SERVICE_PRIORITY_LIVE, &live_room);
    if (lane->running[SERVICE_PRIORITY_LIVE].n)
        room = 1;
    if (lane->n_batch && au_now_ns() < lane->others_after_ns)
        room = 0;
    for (int p = SERVICE_PRIORITY_WAITING; p < SERVICE_N_PRIORITIES; p++)
        choose_class(lane, p, &room);
}

/* ---- Running --------------------------------------------------------------------------------- */

struct tally {
    size_t windows, rows, others;       /* others: windows of recordings */
    double window_seconds, row_seconds; /* of all of them */
};

static struct tally count(const struct service_lane *lane)
{
    struct tally t = {0};
    for (size_t i = 0; i < lane->n_batch; i++) {
        const struct auricle_unit *unit = lane->units[i];
        bool window = unit->kind == RECOG_UNIT_ENCODE;
        t.windows += window;
        t.others += window && lane->owners[i]->priority != SERVICE_PRIORITY_LIVE;
        t.rows += window ? 0 : unit->n_rows;
        *(window ? &t.window_seconds : &t.row_seconds) += unit->seconds;
    }
    return t;
}

static void note(struct service_lane *lane, int64_t spent_ns)
{
    struct tally t = count(lane);
    if (t.windows) {
        double each = t.window_seconds / (double)t.windows;
        lane->window_seconds = lane->window_seconds > 0 ? 0.8 * lane->window_seconds + 0.2 * each
                                                        : each;
        if (t.others)
            lane->others_after_ns = au_now_ns() +
                                    (int64_t)((double)t.others * each * (OTHERS_PART - 1) * 1e9);
        service_observe_batch(lane->metrics, true, t.windows);
        service_count(lane->metrics, SERVICE_COUNT_WINDOWS, t.windows);
    }
    if (t.rows) {
        service_observe_batch(lane->metrics, false, t.rows);
        service_count(lane->metrics, SERVICE_COUNT_TOKENS, t.rows);
    }
    lane->compute_ns += (uint64_t)spent_ns;
    service_count(lane->metrics, SERVICE_COUNT_COMPUTE_MS, lane->compute_ns / 1000000);
    lane->compute_ns %= 1000000;
}

static void run(struct service_lane *lane)
{
    int64_t began = au_now_ns();
    auricle_engine_run(lane->engine, lane->units, lane->n_batch);
    note(lane, au_now_ns() - began);
    for (size_t i = 0; i < lane->n_batch; i++) {
        struct service_work *work = lane->owners[i];
        if (work->ended)
            continue;
        enum auricle_error error = auricle_session_complete(work->session, lane->units[i],
                                                            &work->message);
        work->touched = true;
        work->wait = AURICLE_WAIT_NONE;
        if (error)
            end(work, error);
    }
}

static void tell(struct service_lane *lane)
{
    for (int p = 0; p < SERVICE_N_PRIORITIES; p++)
        for (struct service_work *work = lane->running[p].first; work; work = work->next) {
            if (!work->touched || !work->session)
                continue;
            work->touched = false;
            work->ops->tell(work);
            if (!work->ended && auricle_session_finished(work->session))
                end(work, AURICLE_OK);
        }
}

bool service_lane_turn(struct service_lane *lane)
{
    open_queued(lane);
    if (lane->shares_stale)
        share_out(lane);
    bool again = refill_all(lane);
    choose(lane);
    if (lane->n_batch)
        run(lane);
    tell(lane);
    return again || lane->n_batch;
}
