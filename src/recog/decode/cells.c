/* Free list and reference counts of self-attention cells. See cells.h. */
#include "recog/decode/cells.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>

#include "base/mem.h"

enum { MOST_PASSES = 4 }; /* times a claim stands back for one that is not asked for any more */

struct recog_cells {
    pthread_cond_t given_back;
    pthread_mutex_t lock; /* over all that follows but n_cells */
    size_t n_cells, n_free, n_reserved;
    struct recog_claim *first, *last; /* the queue, oldest first */
    uint64_t n_asks;
    int32_t *free_list; /* a stack: the next cell to hand out is on top */
    uint16_t *refs;
};

enum auricle_error recog_cells_create(size_t n_cells, struct recog_cells **out)
{
    struct recog_cells *cells = au_calloc(1, sizeof(*cells));
    if (!cells)
        return AURICLE_E_NOMEM;
    pthread_mutex_init(&cells->lock, NULL);
    pthread_cond_init(&cells->given_back, NULL);
    cells->n_cells = cells->n_free = n_cells;
    cells->free_list = au_alloc_array(n_cells, sizeof(*cells->free_list));
    cells->refs = au_calloc(n_cells, sizeof(*cells->refs));
    if (!cells->free_list || !cells->refs) {
        recog_cells_destroy(cells);
        return AURICLE_E_NOMEM;
    }
    for (size_t i = 0; i < n_cells; i++)
        cells->free_list[i] = (int32_t)(n_cells - 1 - i);
    *out = cells;
    return AURICLE_OK;
}

void recog_cells_destroy(struct recog_cells *cells)
{
    if (!cells)
        return;
    pthread_cond_destroy(&cells->given_back);
    pthread_mutex_destroy(&cells->lock);
    au_free(cells->free_list);
    au_free(cells->refs);
    au_free(cells);
}

bool recog_cells_reserve(struct recog_cells *cells, size_t n)
{
    pthread_mutex_lock(&cells->lock);
    bool room = n <= cells->n_cells - cells->n_reserved;
    if (room)
        cells->n_reserved += n;
    pthread_mutex_unlock(&cells->lock);
    return room;
}

void recog_cells_unreserve(struct recog_cells *cells, size_t n)
{
    pthread_mutex_lock(&cells->lock);
    assert(n <= cells->n_reserved);
    cells->n_reserved -= n;
    assert(cells->n_cells - cells->n_free <= cells->n_reserved); /* cells go back first */
    pthread_cond_broadcast(&cells->given_back);
    pthread_mutex_unlock(&cells->lock);
}

/* ---- Claims ---------------------------------------------------------------------------------- */

/* Does an older claim come first? One that was asked for since this one was last refused does. */
static bool must_stand_back(const struct recog_cells *cells, struct recog_claim *claim)
{
    bool any = false;
    for (const struct recog_claim *c = cells->first; c && c != claim; c = c->next) {
        if (c->asked > claim->asked)
            return true;
        any = true;
    }
    return any && claim->n_passed++ < MOST_PASSES;
}

static void join_queue(struct recog_cells *cells, struct recog_claim *claim)
{
    if (claim->waiting)
        return;
    claim->waiting = true;
    claim->next = NULL;
    if (cells->last)
        cells->last->next = claim;
    else
        cells->first = claim;
    cells->last = claim;
}

static void leave_queue(struct recog_cells *cells, struct recog_claim *claim)
{
    struct recog_claim *before = NULL;
    if (!claim->waiting)
        return;
    for (struct recog_claim *c = cells->first; c != claim; c = c->next)
        before = c;
    if (before)
        before->next = claim->next;
    else
        cells->first = claim->next;
    if (cells->last == claim)
        cells->last = before;
    *claim = (struct recog_claim){0};
}

bool recog_cells_claim(struct recog_cells *cells, struct recog_claim *claim, size_t n)
{
    pthread_mutex_lock(&cells->lock);
    bool granted = !must_stand_back(cells, claim) && n <= cells->n_cells - cells->n_reserved;
    if (granted) {
        cells->n_reserved += n;
        leave_queue(cells, claim);
    } else {
        join_queue(cells, claim);
    }
    claim->asked = granted ? 0 : ++cells->n_asks;
    pthread_mutex_unlock(&cells->lock);
    return granted;
}

void recog_cells_await(struct recog_cells *cells)
{
    const long most_ns = 5000000, second_ns = 1000000000;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += most_ns;
    until.tv_sec += until.tv_nsec / second_ns;
    until.tv_nsec %= second_ns;
    pthread_mutex_lock(&cells->lock);
    (void)pthread_cond_timedwait(&cells->given_back, &cells->lock, &until);
    pthread_mutex_unlock(&cells->lock);
}

void recog_cells_unclaim(struct recog_cells *cells, struct recog_claim *claim)
{
    pthread_mutex_lock(&cells->lock);
    leave_queue(cells, claim);
    pthread_mutex_unlock(&cells->lock);
}

/* ---- Cells ----------------------------------------------------------------------------------- */

int32_t recog_cells_take(struct recog_cells *cells)
{
    pthread_mutex_lock(&cells->lock);
    assert(cells->n_free > 0);
    int32_t cell = cells->free_list[--cells->n_free];
    cells->refs[cell] = 1;
    pthread_mutex_unlock(&cells->lock);
    return cell;
}

void recog_cells_ref(struct recog_cells *cells, const int32_t *list, size_t n)
{
    pthread_mutex_lock(&cells->lock);
    for (size_t i = 0; i < n; i++)
        cells->refs[list[i]]++;
    pthread_mutex_unlock(&cells->lock);
}

void recog_cells_unref(struct recog_cells *cells, const int32_t *list, size_t n)
{
    pthread_mutex_lock(&cells->lock);
    /* Backwards, so that the oldest cells end up on top of the stack and are reused first. */
    for (size_t i = n; i-- > 0;) {
        assert(cells->refs[list[i]] > 0);
        if (--cells->refs[list[i]] == 0)
            cells->free_list[cells->n_free++] = list[i];
    }
    pthread_mutex_unlock(&cells->lock);
}

size_t recog_cells_in_use(struct recog_cells *cells)
{
    pthread_mutex_lock(&cells->lock);
    size_t n = cells->n_cells - cells->n_free;
    pthread_mutex_unlock(&cells->lock);
    return n;
}
