/* Timers: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) of nodes that lie in their
 * owners, so that setting one never allocates and never fails.
 *
 * A node's `next` is its right sibling; `before` its left sibling, or its parent for the first
 * child. All of it belongs to the network thread.                                                */
#include <stdint.h>

#include "api/http/internal.h"
#include "base/clock.h"

static struct http_timer *meld(struct http_timer *a, struct http_timer *b)
{
    struct http_timer *first, *second;
    if (!a || !b)
        return a ? a : b;
    first = b->due_ns < a->due_ns ? b : a;
    second = first == a ? b : a;
    second->before = first;
    second->next = first->child;
    if (first->child)
        first->child->before = second;
    first->child = second;
    return first;
}

/* Melds a list of siblings: pairs from the left, then those from the right. */
static struct http_timer *meld_siblings(struct http_timer *list)
{
    struct http_timer *pairs = NULL, *root = NULL;
    while (list) {
        struct http_timer *a = list, *b = list->next, *pair;
        list = b ? b->next : NULL;
        a->next = a->before = NULL;
        if (b)
            b->next = b->before = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct http_timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = meld(root, pair);
    }
    return root;
}

static void take_out(struct http_server *server, struct http_timer *timer)
{
    struct http_timer *rest = meld_siblings(timer->child);
    if (timer == server->timers) {
        server->timers = rest;
    } else {
        if (timer->before->child == timer)
            timer->before->child = timer->next;
        else
            timer->before->next = timer->next;
        if (timer->next)
            timer->next->before = timer->before;
        server->timers = meld(server->timers, rest);
    }
    timer->child = timer->next = timer->before = NULL;
    timer->set = false;
}

void http_timer_cancel(struct http_server *server, struct http_timer *timer)
{
    if (timer->set)
        take_out(server, timer);
}

void http_timer_set(struct http_server *server, struct http_timer *timer, double seconds)
{
    http_timer_cancel(server, timer);
    timer->due_ns = au_now_ns() + (int64_t)(seconds * 1e9);
    timer->set = true;
    server->timers = meld(server->timers, timer);
}

int64_t http_timer_next_ns(const struct http_server *server)
{
    return server->timers ? server->timers->due_ns : INT64_MAX;
}

/* Those due at the start; what they set anew waits for the next round. */
void http_timer_run(struct http_server *server)
{
    int64_t now = au_now_ns();
    while (server->timers && server->timers->due_ns <= now) {
        struct http_timer *timer = server->timers;
        take_out(server, timer);
        timer->fn(timer);
    }
}
