/* A lane: the works of one engine, and what the scheduler does with them in a turn.
 * Owner: the scheduler's thread.                                                                 */
#ifndef SERVICE_LANE_H
#define SERVICE_LANE_H

#include "service/metrics/metrics.h"
#include "service/work/list.h"

enum { SERVICE_N_PRIORITIES = SERVICE_PRIORITY_BACKGROUND + 1, SERVICE_MAX_BATCH = 512 };

struct service_lane {
    struct auricle_engine *engine; /* of the works in it */
    int max_windows;
    struct service_metrics *metrics;
    struct service_work_list queued[SERVICE_N_PRIORITIES], running[SERVICE_N_PRIORITIES];
    bool shares_stale;
    double window_seconds;   /* what encoding one window takes, smoothed; 0: not known */
    int64_t others_after_ns; /* recordings may encode beside busy live sessions from then on */
    int64_t open_after_ns;   /* no room for another session: not before */
    uint64_t compute_ns;     /* not yet counted in whole milliseconds */
    /* The batch of this turn. */
    size_t n_batch;
    struct auricle_unit *units[SERVICE_MAX_BATCH];
    struct service_work *owners[SERVICE_MAX_BATCH];
};

bool service_lane_empty(const struct service_lane *lane);
/* A work whose model was had. */
void service_lane_join(struct service_lane *lane, struct service_work *work,
                       struct auricle_engine *engine);
/* One turn; true when another is due at once. Works that end are marked, and left in place. */
bool service_lane_turn(struct service_lane *lane);
/* Works that wait for room on the engine, of which nobody else will tell. */
bool service_lane_waits_for_room(const struct service_lane *lane);

#endif
