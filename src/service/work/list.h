/* A list of works, threaded through them. Owner: the scheduler's thread. */
#ifndef SERVICE_LIST_H
#define SERVICE_LIST_H

#include "service/work/work.h"

static inline void service_list_append(struct service_work_list *list, struct service_work *work)
{
    work->list = list;
    work->next = NULL;
    work->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = work;
    list->last = work;
    list->n++;
}

static inline void service_list_remove(struct service_work *work)
{
    struct service_work_list *list = work->list;
    *(work->previous ? &work->previous->next : &list->first) = work->next;
    *(work->next ? &work->next->previous : &list->last) = work->previous;
    list->n--;
    work->list = NULL;
    work->previous = work->next = NULL;
}

/* The first becomes the last: everybody has a turn at being first. */
static inline void service_list_rotate(struct service_work_list *list)
{
    struct service_work *work = list->first;
    if (list->n < 2)
        return;
    service_list_remove(work);
    service_list_append(list, work);
}

#endif
