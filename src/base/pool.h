/* Worker pool for compute: one parallel region at a time, split into numbered tasks.
 *
 * The calling thread takes part, so a pool of 1 owns no thread at all and runs everything inline.
 * Tasks are claimed from an atomic counter: results must not depend on which worker ran which task.
 * Workers spin briefly, then sleep. A pool has one owner: regions are not nested and not started
 * from two threads at once.                                                                     */
#ifndef AU_BASE_POOL_H
#define AU_BASE_POOL_H

#include <stddef.h>

#include "base/error.h"

struct au_pool; /* opaque */

/* Processors this process may really use: the affinity mask and the cgroup quota, at least 1. */
int au_cpu_count(void);

/* n_threads counts the caller; 1 or more. Errors: NOMEM, INVALID, LIMIT (threads refused). */
AURICLE_MUST_CHECK enum auricle_error au_pool_create(int n_threads, struct au_pool **out);
void au_pool_destroy(struct au_pool *pool);
int au_pool_threads(const struct au_pool *pool); /* NULL counts as 1 */

/* Run task(context, i, worker) for every i in [0, n_tasks) and return when all are done.
 * worker is in [0, threads) and identifies per-thread scratch. pool NULL: all inline, worker 0.
 * Allocates: never.                                                                             */
typedef void au_pool_task(void *context, size_t task, int worker);
void au_pool_run(struct au_pool *pool, size_t n_tasks, au_pool_task *task, void *context);

#endif
