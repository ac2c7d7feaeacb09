/* A queue of events. See events.h. */
#include "recog/stream/events.h"

#include "base/mem.h"
#include "recog/result.h"

struct recog_event {
    struct recog_event *next;
    struct auricle_stream_event told; /* as it is handed out; points into what follows */
    char *text;
    struct auricle_segment segment;
    bool superseded;
};

static void event_destroy(struct recog_event *event)
{
    if (!event)
        return;
    recog_segment_deinit(&event->segment);
    au_free(event->text);
    au_free(event);
}

void recog_events_deinit(struct recog_events *events)
{
    while (events->first) {
        struct recog_event *event = events->first;
        events->first = event->next;
        event_destroy(event);
    }
    event_destroy(events->told);
    *events = (struct recog_events){0};
}

static struct recog_event *event_create(const struct auricle_stream_event *from)
{
    struct recog_event *event = au_calloc(1, sizeof(*event));
    if (!event)
        return NULL;
    event->told = *from;
    if (from->text) {
        event->text = au_strdup(from->text);
        event->told.text = event->text;
    }
    bool copied = !from->segment || !recog_segment_copy(&event->segment, from->segment);
    if (from->segment)
        event->told.segment = &event->segment;
    if (copied && (event->text || !from->text))
        return event;
    event_destroy(event);
    return NULL;
}

enum auricle_error recog_events_add(struct recog_events *events,
                                    const struct auricle_stream_event *event)
{
    struct recog_event *added = event_create(event);
    if (!added)
        return AURICLE_E_NOMEM;
    /* What follows a partial is always of the same utterance: its next partial, final or end. */
    if (events->last && events->last->told.kind == AURICLE_STREAM_PARTIAL)
        events->last->superseded = true;
    if (events->last)
        events->last->next = added;
    else
        events->first = added;
    events->last = added;
    return AURICLE_OK;
}

bool recog_events_next(struct recog_events *events, struct auricle_stream_event *out)
{
    for (;;) {
        event_destroy(events->told);
        events->told = events->first;
        if (!events->told)
            return false;
        events->first = events->told->next;
        if (!events->first)
            events->last = NULL;
        if (events->told->superseded)
            continue;
        *out = events->told->told;
        return true;
    }
}
