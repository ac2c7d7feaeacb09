/* Worker pool. See pool.h.
 *
 * One 64-bit word, `state`, holds the region's number in its upper half and the count of tasks not
 * yet claimed in its lower half. A task is claimed by a compare-and-swap that takes one off. While
 * a region has unclaimed tasks its other fields cannot change, so whoever wins the swap has read
 * the right ones, and a worker that slept through a region harms nothing: the caller never waits
 * for workers to arrive, only for claimed tasks to finish. That is what keeps a region cheap when
 * other programs hold the cores; a barrier of all threads was seen to take 200 to 850 us there.
 *
 * Waiting is a bounded spin, then a futex. The spin's length adapts: a spin that was in vain
 * halves it, down to about 12 us, one that met its event makes it whole again, about 100 us.
 * Waking a thread that sleeps takes 15 to 25 us on a virtual processor, while the serial parts
 * of a decoder step take 1 to 10 us: with a floor below those, a worker that had slept once
 * would sleep before every region. With more threads than processors nobody spins, and
 * nobody spins on the processor of the thread that is waited for: when other programs hold the
 * rest, the system puts two threads on one, and each would keep the other from what it waits for.
 *
 * Region numbers wrap after 2^32 regions; a worker would have to be stopped for exactly that many
 * between a load and a swap to be misled.                                                        */
#include "base/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SPIN_TARGET_NS  100000
#define SPIN_FLOOR_PART 8  /* of the target: what vain spins leave of it */
#define SPIN_LOOK       16 /* pauses between looks at where the others are */
#define MAX_THREADS     1024
#define MAX_REGION_SIZE UINT32_MAX

/* Where a thread was last seen: a processor, or -1 when it sleeps or has not been seen. */
struct place {
    _Atomic int cpu;
};

struct au_pool {
    int n_threads;
    uint32_t spin_max; /* pauses; 0 where threads outnumber processors */
    pthread_t *threads;
    int n_started;
    _Atomic int n_joined; /* hands out worker numbers */
    struct place *places; /* [n_threads] */

    /* Written by the caller before a region is published, constant while it has unclaimed tasks. */
    au_pool_task *_Atomic task;
    void *_Atomic context;
    _Atomic size_t first;     /* number of the region's first task */
    _Atomic uint32_t n_tasks; /* in this region */

    _Alignas(AU_ALIGN) _Atomic uint64_t state; /* region << 32 | unclaimed tasks */
    _Alignas(AU_ALIGN) _Atomic uint32_t epoch; /* futex: one up per region, and to stop */
    _Atomic int n_sleeping;
    _Atomic bool stop;
    _Alignas(AU_ALIGN) _Atomic uint32_t n_done; /* futex: tasks finished in this region */
    _Atomic bool caller_sleeps;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Say where this thread is. Written only when it has moved: others read it often. */
static void note_cpu(struct au_pool *pool, int thread, int cpu)
{
    if (atomic_load_explicit(&pool->places[thread].cpu, memory_order_relaxed) != cpu)
        atomic_store_explicit(&pool->places[thread].cpu, cpu, memory_order_relaxed);
}

/* Is a thread that `thread` may wait for, a worker for the caller, the caller for a worker, on its
 * processor?                                                                                    */
static bool shares_cpu(const struct au_pool *pool, int thread)
{
    const int cpu = sched_getcpu(), first = thread == 0 ? 1 : 0;
    const int end = thread == 0 ? pool->n_threads : 1;
    for (int i = first; i < end; i++)
        if (cpu >= 0 && atomic_load_explicit(&pool->places[i].cpu, memory_order_relaxed) == cpu)
            return true;
    return false;
}

/* Spin until *word differs from seen; false when the budget is spent. The budget adapts. */
static bool spin_until_changed(const struct au_pool *pool, int thread, _Atomic uint32_t *word,
                               uint32_t seen, uint32_t *budget)
{
    const uint32_t budget_max = pool->spin_max;
    for (uint32_t i = 0; i < *budget; i++) {
        if (i % SPIN_LOOK == 0 && shares_cpu(pool, thread))
            return atomic_load_explicit(word, memory_order_acquire) != seen;
        if (atomic_load_explicit(word, memory_order_acquire) != seen) {
            *budget = budget_max;
            return true;
        }
        pause_cpu();
    }
    uint32_t floor = budget_max / SPIN_FLOOR_PART;
    *budget = *budget / 2 > floor ? *budget / 2 : floor;
    return false;
}

/* Claim and run tasks until none is left; returns how many this thread ran. */
static uint32_t run_tasks(struct au_pool *pool, int worker)
{
    uint32_t n_run = 0;
    uint64_t state = atomic_load_explicit(&pool->state, memory_order_acquire);
    while ((uint32_t)state != 0) {
        au_pool_task *task = atomic_load_explicit(&pool->task, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
        size_t first = atomic_load_explicit(&pool->first, memory_order_relaxed);
        uint32_t n_tasks = atomic_load_explicit(&pool->n_tasks, memory_order_relaxed);
        if (!atomic_compare_exchange_weak_explicit(&pool->state, &state, state - 1,
                                                   memory_order_acq_rel, memory_order_acquire))
            continue;
        task(context, first + (n_tasks - (uint32_t)state), worker);
        n_run++;
        state = atomic_load_explicit(&pool->state, memory_order_acquire);
    }
    return n_run;
}

static void sleep_until_changed(struct au_pool *pool, uint32_t seen)
{
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (atomic_load(&pool->epoch) == seen)
        futex_wait(&pool->epoch, seen);
    atomic_fetch_sub(&pool->n_sleeping, 1);
}

static void *worker_main(void *argument)
{
    struct au_pool *pool = argument;
    int worker = 1 + atomic_fetch_add(&pool->n_joined, 1);
    uint32_t seen = 0, budget = pool->spin_max;
    for (;;) {
        if (!spin_until_changed(pool, worker, &pool->epoch, seen, &budget)) {
            note_cpu(pool, worker, -1);
            sleep_until_changed(pool, seen);
        }
        seen = atomic_load(&pool->epoch);
        note_cpu(pool, worker, sched_getcpu());
        if (atomic_load(&pool->stop))
            return NULL;
        /* All tasks counted here are of one region: the next cannot start before they are
         * reported. */
        uint32_t n_run = run_tasks(pool, worker);
        if (n_run) {
            atomic_fetch_add(&pool->n_done, n_run);
            if (atomic_load(&pool->caller_sleeps))
                futex_wake(&pool->n_done, 1);
        }
    }
}

/* Pauses that take SPIN_TARGET_NS: a pause costs 5 ns on some processors and 45 ns on others. The
 * quickest of a few trials counts, the others were interrupted.                                  */
static uint32_t calibrate_spin(void)
{
    enum { N_PAUSES = 64, N_TRIALS = 5 };
    int64_t best = INT64_MAX;
    for (int trial = 0; trial < N_TRIALS; trial++) {
        int64_t start = au_now_ns();
        for (int i = 0; i < N_PAUSES; i++)
            pause_cpu();
        int64_t took = au_now_ns() - start;
        best = took < best ? took : best;
    }
    return (uint32_t)(SPIN_TARGET_NS * N_PAUSES / (best > N_PAUSES ? best : N_PAUSES));
}

/* Workers leave signals to the threads of the program. */
static enum auricle_error start_workers(struct au_pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < pool->n_threads - 1; i++) {
        if (pthread_create(&pool->threads[i], NULL, worker_main, pool) != 0)
            break;
        pthread_setname_np(pool->threads[i], "auricle-compute");
        pool->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool->n_started == pool->n_threads - 1 ? AURICLE_OK : AURICLE_E_LIMIT;
}

enum auricle_error au_pool_create(int n_threads, struct au_pool **out)
{
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return AURICLE_E_INVALID;
    enum auricle_error e = AURICLE_E_NOMEM;
    struct au_pool *pool = au_alloc_aligned(sizeof *pool);
    if (!pool)
        return e;
    memset(pool, 0, sizeof *pool);
    pool->n_threads = n_threads;
    if (n_threads > 1) {
        pool->spin_max = n_threads <= au_cpu_count() ? calibrate_spin() : 0;
        pool->threads = au_alloc_array((size_t)n_threads - 1, sizeof *pool->threads);
        pool->places = au_calloc((size_t)n_threads, sizeof *pool->places);
        if (!pool->threads || !pool->places)
            goto fail;
        for (int i = 0; i < n_threads; i++)
            atomic_init(&pool->places[i].cpu, -1);
        e = start_workers(pool);
        if (e)
            goto fail;
    }
    *out = pool;
    return AURICLE_OK;
fail:
    au_pool_destroy(pool);
    return e;
}

void au_pool_destroy(struct au_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->epoch, 1);
    futex_wake(&pool->epoch, INT_MAX);
    for (int i = 0; i < pool->n_started; i++)
        pthread_join(pool->threads[i], NULL);
    au_free(pool->threads);
    au_free(pool->places);
    au_free(pool);
}

int au_pool_threads(const struct au_pool *pool)
{
    return pool ? pool->n_threads : 1;
}

static void wait_done(struct au_pool *pool, uint32_t n_expected)
{
    uint32_t done = atomic_load(&pool->n_done), budget = pool->spin_max;
    while (done != n_expected && spin_until_changed(pool, 0, &pool->n_done, done, &budget))
        done = atomic_load(&pool->n_done);
    if (done == n_expected)
        return;
    atomic_store(&pool->caller_sleeps, true);
    while ((done = atomic_load(&pool->n_done)) != n_expected)
        futex_wait(&pool->n_done, done);
    atomic_store(&pool->caller_sleeps, false);
}

static void run_region(struct au_pool *pool, size_t first, uint32_t n_tasks, au_pool_task *task,
                       void *context)
{
    note_cpu(pool, 0, sched_getcpu());
    atomic_store_explicit(&pool->task, task, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->first, first, memory_order_relaxed);
    atomic_store_explicit(&pool->n_tasks, n_tasks, memory_order_relaxed);
    atomic_store_explicit(&pool->n_done, 0, memory_order_relaxed);
    uint64_t region = (atomic_load_explicit(&pool->state, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&pool->state, region << 32 | n_tasks, memory_order_release);

    atomic_fetch_add(&pool->epoch, 1);
    int n_sleeping = atomic_load(&pool->n_sleeping);
    if (n_sleeping > 0)
        futex_wake(&pool->epoch, n_tasks - 1 < INT_MAX ? (int)(n_tasks - 1) : INT_MAX);

    uint32_t n_run = run_tasks(pool, 0);
    wait_done(pool, n_tasks - n_run);
}

void au_pool_run(struct au_pool *pool, size_t n_tasks, au_pool_task *task, void *context)
{
    if (!pool || pool->n_threads == 1 || n_tasks == 1) {
        for (size_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
        return;
    }
    for (size_t first = 0; first < n_tasks;) {
        size_t left = n_tasks - first;
        uint32_t n = left < MAX_REGION_SIZE ? (uint32_t)left : MAX_REGION_SIZE;
        run_region(pool, first, n, task, context);
        first += n;
    }
}
