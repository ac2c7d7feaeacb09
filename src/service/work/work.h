/* One piece of work under the scheduler: a session with the model it waits for or has.
 *
 * Requests and live sessions begin with this struct and say the rest by their operations. A work is
 * counted: the scheduler holds it until `over`, a pending acquisition of its model until that is
 * answered, its maker as long as it wishes.                                                      */
#ifndef SERVICE_WORK_H
#define SERVICE_WORK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "auricle/auricle.h"
#include "service/engines/engines.h"
#include "service/service.h"
#include "service/work/request.h"

/* Units a session may have out; more are asked for when some of them were run. */
#define SERVICE_MAX_UNITS 32

struct service_work;
struct service_lane;

/* All on the scheduler's thread, except destroy. */
struct service_work_ops {
    /* Make the session. LIMIT: no room on this engine now, ask again. */
    enum auricle_error (*open)(struct service_work *work, struct auricle_engine *engine,
                               struct auricle_session **out, struct auricle_message *message);
    /* Something came: move it to the session. May be NULL. */
    void (*pump)(struct service_work *work);
    /* Units were completed, or the session did work of its own: tell what is new. */
    void (*tell)(struct service_work *work);
    /* May it go on? Asked when poked and when due. CANCELLED, TIMEOUT ...: it ends. */
    enum auricle_error (*check)(struct service_work *work, int64_t now_ns,
                                struct auricle_message *message);
    /* When to ask again without being poked; INT64_MAX: never. May be NULL: never. */
    int64_t (*due)(const struct service_work *work);
    /* It ended: OK, or why not. Session and lease are destroyed after this. Returns true to be
     * kept (without them) until check says otherwise; then this is called again, without sentence,
     * and may keep it longer. */
    bool (*over)(struct service_work *work, enum auricle_error error, const char *sentence);
    /* Nobody holds it any more. Any thread. */
    void (*destroy)(struct service_work *work);
};

enum service_work_place {
    SERVICE_PLACE_LOADING, /* its model is being had */
    SERVICE_PLACE_QUEUED,
    SERVICE_PLACE_RUNNING,
    SERVICE_PLACE_KEPT, /* over, but kept */
    SERVICE_PLACE_NONE
};

struct service_work_list {
    struct service_work *first, *last;
    size_t n;
};

struct service_work {
    const struct service_work_ops *ops;
    struct service_scheduler *scheduler;
    enum service_priority priority;
    char id[SERVICE_ID_BYTES]; /* for people */
    char model[128];           /* as asked for, then as listed */
    int64_t started_ns;

    /* Any thread. */
    atomic_int refs;
    atomic_bool poked;     /* something came that the session may want */
    atomic_bool unseen;    /* or that `check` should see; each is taken back by who looks */
    atomic_bool cancelled; /* poke after setting */
    atomic_int loan;       /* enum loan of scheduler.c */
    struct service_engine *lease;
    struct au_fault loan_fault; /* lease and this are written before `loan` says so */
    int64_t leased_ns;
    struct service_work *inbox_next;

    /* The scheduler's thread. */
    enum service_work_place place;
    struct service_work_list *list;
    struct service_work *previous, *next;
    struct service_lane *lane;
    struct auricle_session *session;
    struct auricle_unit *units[SERVICE_MAX_UNITS]; /* handed out, not yet run */
    size_t n_units;
    enum auricle_wait wait;
    int share;    /* windows it may have in work */
    bool touched; /* something may be new to tell */
    bool ended;   /* with error and message */
    enum auricle_error error;
    struct auricle_message message;

    /* Under the scheduler's board lock. */
    struct service_work *board_previous, *board_next;
    enum service_work_place shown_place;
    bool shown_waits;
    bool shown_detached;
    double shown_done, shown_total;
};

void service_work_ref(struct service_work *work);
void service_work_unref(struct service_work *work);
/* Put the leased model's name before a sentence about what it cannot do. */
void service_work_name_model(const struct service_work *work, struct auricle_message *message);

#endif
