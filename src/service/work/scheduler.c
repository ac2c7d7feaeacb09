/* The scheduler's thread, its sleep, and what it shows. See scheduler.h; what is done with the
 * works of one engine is in lane.c.
 *
 * Works arrive in an inbox (a stack that any thread pushes on, taken whole). From then on only this
 * thread moves them: loading -> a lane's queue -> running -> over, perhaps kept for a while. The
 * rest of the world sets flags in a work (cancelled, poked) and wakes the thread; it looks at every
 * work in each turn, which costs less than one decoder step for hundreds of them.                */
#include "service/work/scheduler.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/work/lane.h"
#include "service/work/loan.h"

#define STUCK_NS (30 * INT64_C(1000000000))

enum { MAX_LANES = 16 };

struct service_scheduler {
    struct service_metrics *metrics;
    pthread_t thread;
    bool has_thread;
    /* Sleep: whoever sets `woken` first signals. */
    pthread_mutex_t wake;
    pthread_cond_t wakened;
    atomic_bool woken, stopping;
    _Atomic(struct service_work *) inbox;
    /* For the watchdog: when work was last seen to go on, and whether there is none to do. */
    _Atomic int64_t beat_ns;
    atomic_bool idle;
    /* The thread's. */
    struct service_work_list loading, kept;
    struct service_lane *lanes[MAX_LANES];
    size_t n_lanes;
    /* Who is there. `board` guards the list and the shown_ members of works. */
    pthread_mutex_t board;
    struct service_work *board_first;
    size_t n_board;
};

/* ---- Waking ---------------------------------------------------------------------------------- */

static void wake(struct service_scheduler *s)
{
    if (atomic_exchange(&s->woken, true))
        return;
    pthread_mutex_lock(&s->wake);
    pthread_cond_signal(&s->wakened);
    pthread_mutex_unlock(&s->wake);
}

void service_work_poke(struct service_work *work)
{
    atomic_store(&work->poked, true);
    atomic_store(&work->unseen, true);
    wake(work->scheduler);
}

/* Until woken, or until due. */
static void sleep_until(struct service_scheduler *s, int64_t due_ns)
{
    struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};
    int result = 0;
    pthread_mutex_lock(&s->wake);
    while (!atomic_load(&s->woken) && result != ETIMEDOUT)
        result = due_ns == INT64_MAX ? pthread_cond_wait(&s->wakened, &s->wake)
                                     : pthread_cond_timedwait(&s->wakened, &s->wake, &due);
    pthread_mutex_unlock(&s->wake);
}

/* ---- The board ------------------------------------------------------------------------------- */

static void board_add(struct service_scheduler *s, struct service_work *work)
{
    pthread_mutex_lock(&s->board);
    work->board_next = s->board_first;
    if (s->board_first)
        s->board_first->board_previous = work;
    s->board_first = work;
    s->n_board++;
    service_gauge_set(s->metrics, SERVICE_GAUGE_SESSIONS, (int64_t)s->n_board);
    pthread_mutex_unlock(&s->board);
}

static void board_remove(struct service_scheduler *s, struct service_work *work)
{
    pthread_mutex_lock(&s->board);
    *(work->board_previous ? &work->board_previous->board_next
                           : &s->board_first) = work->board_next;
    if (work->board_next)
        work->board_next->board_previous = work->board_previous;
    s->n_board--;
    service_gauge_set(s->metrics, SERVICE_GAUGE_SESSIONS, (int64_t)s->n_board);
    pthread_mutex_unlock(&s->board);
}

void service_work_show(struct service_work *work, double done, double total)
{
    pthread_mutex_lock(&work->scheduler->board);
    work->shown_done = done;
    work->shown_total = total;
    work->shown_waits = work->wait == AURICLE_WAIT_AUDIO;
    work->shown_place = work->place;
    pthread_mutex_unlock(&work->scheduler->board);
}

static void show_place(struct service_work *work)
{
    pthread_mutex_lock(&work->scheduler->board);
    work->shown_place = work->place;
    if (work->lease)
        au_str_copy(work->model, sizeof(work->model), service_engine_name(work->lease));
    pthread_mutex_unlock(&work->scheduler->board);
}

/* Its lease has gone, unlike its model's name. */
static void show_kept(struct service_work *work)
{
    pthread_mutex_lock(&work->scheduler->board);
    work->shown_place = SERVICE_PLACE_KEPT;
    pthread_mutex_unlock(&work->scheduler->board);
}

void service_work_show_detached(struct service_work *work, bool detached)
{
    pthread_mutex_lock(&work->scheduler->board);
    work->shown_detached = detached;
    pthread_mutex_unlock(&work->scheduler->board);
}

static const char *state_of(const struct service_work *work)
{
    if (work->shown_detached)
        return "detached";
    if (work->shown_place == SERVICE_PLACE_KEPT)
        return "ending";
    if (work->shown_place != SERVICE_PLACE_RUNNING)
        return "queued";
    if (!work->shown_waits)
        return "running";
    return work->priority == SERVICE_PRIORITY_LIVE ? "receiving" : "decoding";
}

enum auricle_error service_scheduler_list(struct service_scheduler *s,
                                          struct service_session_info **out, size_t *n)
{
    int64_t now = au_now_ns();
    size_t i = 0;
    pthread_mutex_lock(&s->board);
    struct service_session_info *infos = au_calloc(s->n_board ? s->n_board : 1, sizeof(*infos));
    for (struct service_work *work = s->board_first; infos && work; work = work->board_next, i++) {
        struct service_session_info *info = &infos[i];
        au_str_copy(info->id, sizeof(info->id), work->id);
        au_str_copy(info->model, sizeof(info->model), work->model);
        au_str_copy(info->state, sizeof(info->state), state_of(work));
        info->live = work->priority == SERVICE_PRIORITY_LIVE;
        info->age_seconds = (double)(now - work->started_ns) * 1e-9;
        info->audio_seconds_done = work->shown_done;
        info->audio_seconds_total = work->shown_total;
    }
    pthread_mutex_unlock(&s->board);
    if (!infos)
        return AURICLE_E_NOMEM;
    *out = infos;
    *n = i;
    return AURICLE_OK;
}

bool service_scheduler_progresses(struct service_scheduler *s, struct au_fault *why)
{
    int64_t silent_ns = au_now_ns() - atomic_load(&s->beat_ns);
    if (atomic_load(&s->idle) || silent_ns < STUCK_NS)
        return true;
    (void)au_fail(
        why, AURICLE_E_STATE,
        "work is waiting and none was finished for %.0f s: the engine is stuck or far too "
        "slow for its load",
        (double)silent_ns * 1e-9);
    return false;
}

/* ---- Coming and going ------------------------------------------------------------------------ */

void service_work_start(struct service_work *work, struct service_engines *engines,
                        const char *model)
{
    struct service_scheduler *s = work->scheduler;
    service_work_ref(work);
    board_add(s, work);
    work->inbox_next = atomic_load(&s->inbox);
    while (!atomic_compare_exchange_weak(&s->inbox, &work->inbox_next, work)) {
    }
    service_loan_ask(work, engines, model);
    service_work_poke(work);
}

static void take_inbox(struct service_scheduler *s)
{
    struct service_work *newest = atomic_exchange(&s->inbox, NULL), *oldest = NULL;
    while (newest) {
        struct service_work *next = newest->inbox_next;
        newest->inbox_next = oldest;
        oldest = newest;
        newest = next;
    }
    for (; oldest; oldest = oldest->inbox_next) {
        oldest->place = SERVICE_PLACE_LOADING;
        service_list_append(&s->loading, oldest);
    }
}

/* The lane of an engine; a new one, or one nobody is in, where it has none. Errors: AGAIN,
 * NOMEM. */
static enum auricle_error lane_of(struct service_scheduler *s, struct auricle_engine *engine,
                                  struct service_lane **out)
{
    struct service_lane *empty = NULL;
    for (size_t i = 0; i < s->n_lanes; i++) {
        if (s->lanes[i]->engine == engine) {
            *out = s->lanes[i];
            return AURICLE_OK;
        }
        if (service_lane_empty(s->lanes[i]))
            empty = s->lanes[i];
    }
    if (!empty && s->n_lanes == MAX_LANES)
        return AURICLE_E_AGAIN;
    if (!empty) {
        empty = au_alloc(sizeof(*empty));
        if (!empty)
            return AURICLE_E_NOMEM;
        s->lanes[s->n_lanes++] = empty;
    }
    *empty = (struct service_lane){.metrics = s->metrics};
    *out = empty;
    return AURICLE_OK;
}

static void gone(struct service_scheduler *s, struct service_work *work)
{
    board_remove(s, work);
    work->place = SERVICE_PLACE_NONE;
    service_work_unref(work);
}

/* Its work is over: what it held is given back, itself only if it is not to be kept. */
static void finish(struct service_scheduler *s, struct service_work *work)
{
    const char *sentence = work->message.text[0] ? work->message.text
                                                 : auricle_error_name(work->error);
    service_list_remove(work);
    bool keep = work->ops->over(work, work->error, work->error ? sentence : NULL);
    auricle_session_destroy(work->session);
    work->session = NULL;
    work->n_units = 0;
    service_loan_end(work);
    if (work->lane)
        work->lane->shares_stale = true;
    work->lane = NULL;
    if (!keep) {
        gone(s, work);
        return;
    }
    work->place = SERVICE_PLACE_KEPT;
    show_kept(work);
    service_list_append(&s->kept, work);
}

static void fail(struct service_scheduler *s, struct service_work *work, enum auricle_error error,
                 const char *sentence)
{
    work->error = error;
    au_str_copy(work->message.text, sizeof(work->message.text), sentence);
    finish(s, work);
}

/* ---- Looking after works --------------------------------------------------------------------- */

static void join(struct service_scheduler *s, struct service_work *work)
{
    int loan = atomic_load(&work->loan);
    if (loan == SERVICE_LOAN_REFUSED) {
        fail(s, work, work->loan_fault.code ? work->loan_fault.code : AURICLE_E_NOMEM,
             work->loan_fault.text);
        return;
    }
    if (loan != SERVICE_LOAN_HELD)
        return;
    struct auricle_engine *engine = service_engine_get(work->lease);
    struct service_lane *lane = NULL;
    enum auricle_error error = lane_of(s, engine, &lane);
    if (error) {
        fail(s, work, error,
             error == AURICLE_E_NOMEM ? "out of memory"
                                      : "more models are in use than can be worked with at once");
        return;
    }
    service_list_remove(work);
    service_lane_join(lane, work, engine);
    show_place(work);
}

static bool look(struct service_scheduler *s, struct service_work *work, int64_t now)
{
    bool stopping = atomic_load(&s->stopping);
    if (stopping)
        atomic_store(&work->cancelled, true);
    enum auricle_error error = work->ops->check(work, now, &work->message);
    if (stopping)
        au_str_copy(work->message.text, sizeof(work->message.text), "the server is shutting down");
    if (error && work->place == SERVICE_PLACE_KEPT) {
        if (work->ops->over(work, work->error, NULL))
            return false; /* who had come back for it has left in this moment */
        service_list_remove(work);
        gone(s, work);
    } else if (error) {
        work->error = error;
        finish(s, work);
    }
    return error;
}

static int64_t due_of(const struct service_work *work)
{
    return work->ops->due ? work->ops->due(work) : INT64_MAX;
}

/* Those of a list that were poked or are due are asked whether they may go on. Returns when the
 * next is due.                                                                                   */
static int64_t look_after(struct service_scheduler *s, struct service_work_list *list, int64_t now)
{
    int64_t first_due = INT64_MAX;
    bool stopping = atomic_load(&s->stopping);
    for (struct service_work *work = list->first, *next; work; work = next) {
        next = work->next;
        int64_t due = due_of(work);
        bool unseen = atomic_exchange(&work->unseen, false);
        if ((stopping || unseen || due <= now) && look(s, work, now))
            continue;
        due = due <= now ? due_of(work) : due;
        first_due = due < first_due ? due : first_due;
        if (work->place == SERVICE_PLACE_LOADING)
            join(s, work);
    }
    return first_due;
}

static int64_t look_after_all(struct service_scheduler *s)
{
    int64_t now = au_now_ns();
    int64_t due = look_after(s, &s->loading, now), other = look_after(s, &s->kept, now);
    due = other < due ? other : due;
    for (size_t i = 0; i < s->n_lanes; i++)
        for (int p = 0; p < SERVICE_N_PRIORITIES; p++) {
            other = look_after(s, &s->lanes[i]->queued[p], now);
            due = other < due ? other : due;
            other = look_after(s, &s->lanes[i]->running[p], now);
            due = other < due ? other : due;
        }
    return due;
}

static void reap(struct service_scheduler *s, struct service_lane *lane)
{
    for (int p = 0; p < SERVICE_N_PRIORITIES; p++)
        for (struct service_work *work = lane->running[p].first, *next; work; work = next) {
            next = work->next;
            if (work->ended)
                finish(s, work);
        }
}

/* ---- The thread ------------------------------------------------------------------------------ */

static bool none_left(const struct service_scheduler *s)
{
    bool none = !s->loading.n && !s->kept.n && !atomic_load(&s->inbox);
    for (size_t i = 0; i < s->n_lanes; i++)
        none = none && service_lane_empty(s->lanes[i]);
    return none;
}

static void *drive(void *context)
{
    struct service_scheduler *s = context;
    for (;;) {
        atomic_store(&s->woken, false);
        take_inbox(s);
        int64_t due = look_after_all(s);
        if (atomic_load(&s->stopping) && none_left(s))
            return NULL;
        bool again = false, starved = false;
        atomic_store(&s->idle, false);
        for (size_t i = 0; i < s->n_lanes; i++) {
            struct service_lane *lane = s->lanes[i];
            if (service_lane_empty(lane))
                continue;
            again |= service_lane_turn(lane);
            reap(s, lane);
            starved |= service_lane_waits_for_room(lane);
            if (lane->open_after_ns > au_now_ns() && lane->open_after_ns < due)
                due = lane->open_after_ns;
            again |= lane->shares_stale; /* somebody left: there may be room for the next */
        }
        if (again || !starved)
            atomic_store(&s->beat_ns, au_now_ns());
        if (!again) {
            atomic_store(&s->idle, !starved);
            sleep_until(s, due);
        }
    }
}

/* ---- Making ---------------------------------------------------------------------------------- */

enum auricle_error service_scheduler_create(struct service_metrics *metrics,
                                            struct service_scheduler **out)
{
    pthread_condattr_t monotonic;
    struct service_scheduler *s = au_calloc(1, sizeof(*s));
    if (!s)
        return AURICLE_E_NOMEM;
    s->metrics = metrics;
    atomic_init(&s->beat_ns, au_now_ns());
    atomic_init(&s->idle, true);
    pthread_mutex_init(&s->wake, NULL);
    pthread_mutex_init(&s->board, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wakened, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->has_thread = !pthread_create(&s->thread, NULL, drive, s);
    if (!s->has_thread) {
        service_scheduler_destroy(s);
        return AURICLE_E_LIMIT;
    }
    *out = s;
    return AURICLE_OK;
}

void service_scheduler_stop(struct service_scheduler *s)
{
    if (!s || !s->has_thread)
        return;
    atomic_store(&s->stopping, true);
    wake(s);
    pthread_join(s->thread, NULL);
    s->has_thread = false;
}

void service_scheduler_destroy(struct service_scheduler *s)
{
    if (!s)
        return;
    service_scheduler_stop(s);
    for (size_t i = 0; i < s->n_lanes; i++)
        au_free(s->lanes[i]);
    pthread_cond_destroy(&s->wakened);
    pthread_mutex_destroy(&s->wake);
    pthread_mutex_destroy(&s->board);
    au_free(s);
}
