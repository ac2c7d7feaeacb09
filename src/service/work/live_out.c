/* Live events on their way out. See live_out.h. */
#include "service/work/live_out.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/result.h"

/* A connection that says nothing any more is noticed after a minute, or two where the system waits
 * for what it has sent.                                                                          */
#define MAX_TOLD    64
#define MAX_TOLD_NS (120 * INT64_C(1000000000))

struct service_kept_event {
    struct service_kept_event *next;
    struct auricle_stream_event event; /* points into the rest */
    struct auricle_segment segment;
    char *text;
    int64_t n_final; /* 0: none */
    int64_t told_ns;
};

/* ---- Keeping; the lock is held --------------------------------------------------------------- */

static void kept_destroy(struct service_kept_event *kept)
{
    if (!kept)
        return;
    recog_segment_deinit(&kept->segment);
    au_free(kept->text);
    au_free(kept);
}

static struct service_kept_event *kept_create(const struct auricle_stream_event *event,
                                              int64_t n_final)
{
    struct service_kept_event *kept = au_calloc(1, sizeof(*kept));
    if (!kept)
        return NULL;
    kept->event = *event;
    kept->n_final = n_final;
    bool ok = !event->segment || !recog_segment_copy(&kept->segment, event->segment);
    if (event->segment)
        kept->event.segment = &kept->segment;
    if (ok && event->text) {
        kept->text = au_strdup(event->text);
        kept->event.text = kept->text;
        ok = kept->text;
    }
    if (ok)
        return kept;
    kept_destroy(kept);
    return NULL;
}

/* A newer partial or final says it better. */
static void drop_partials(struct service_live_out *out)
{
    struct service_kept_event **at = &out->first;
    out->last = NULL;
    while (*at) {
        struct service_kept_event *kept = *at;
        if (kept->event.kind == AURICLE_STREAM_PARTIAL) {
            *at = kept->next;
            kept_destroy(kept);
        } else {
            out->last = kept;
            at = &kept->next;
        }
    }
}

static void keep(struct service_live_out *out, const struct auricle_stream_event *event,
                 int64_t n_final)
{
    if (event->kind == AURICLE_STREAM_PARTIAL || event->kind == AURICLE_STREAM_FINAL)
        drop_partials(out);
    struct service_kept_event *kept = kept_create(event, n_final);
    if (!kept) {
        out->lost |= event->kind != AURICLE_STREAM_PARTIAL;
        return;
    }
    *(out->last ? &out->last->next : &out->first) = kept;
    out->last = kept;
}

/* It was told. NULL, for want of memory: then it cannot be told again. */
static void remember(struct service_live_out *out, struct service_kept_event *kept)
{
    if (!kept)
        return;
    kept->next = NULL;
    kept->told_ns = au_now_ns();
    *(out->told_last ? &out->told_last->next : &out->told_first) = kept;
    out->told_last = kept;
    if (out->n_told++ < MAX_TOLD)
        return;
    kept = out->told_first;
    out->told_first = kept->next;
    out->n_told--;
    kept_destroy(kept);
}

/* What the former connection may not have carried goes before what it was not told. */
static void recall(struct service_live_out *out)
{
    int64_t oldest_ns = atomic_load(&out->detached_ns) - MAX_TOLD_NS;
    while (out->told_first && out->told_first->told_ns < oldest_ns) {
        struct service_kept_event *kept = out->told_first;
        out->told_first = kept->next;
        kept_destroy(kept);
    }
    if (out->told_first) {
        out->told_last->next = out->first;
        out->first = out->told_first;
        out->last = out->last ? out->last : out->told_last;
    }
    out->told_first = out->told_last = NULL;
    out->n_told = 0;
}

static void flush(struct service_live_out *out)
{
    while (out->first) {
        struct service_kept_event *kept = out->first;
        out->first = kept->next;
        if (!out->first)
            out->last = NULL;
        if (out->attached)
            out->sink.on_event(out->sink.context, &kept->event, kept->n_final);
        if (out->attached && kept->n_final)
            remember(out, kept);
        else
            kept_destroy(kept);
    }
}

/* ---- Coming and going ------------------------------------------------------------------------ */

void service_live_out_init(struct service_live_out *out, const struct service_live_sink *sink,
                           bool resumable)
{
    pthread_mutex_init(&out->lock, NULL);
    atomic_init(&out->detached_ns, 0);
    out->sink = *sink;
    out->attached = true;
    out->resumable = resumable;
}

void service_live_out_deinit(struct service_live_out *out)
{
    out->attached = false;
    recall(out);
    flush(out);
    pthread_mutex_destroy(&out->lock);
}

bool service_live_out_attach(struct service_live_out *out, const struct service_live_sink *sink)
{
    pthread_mutex_lock(&out->lock);
    bool free_place = !out->attached && !out->ended_for_good && !out->told;
    if (free_place) {
        out->sink = *sink;
        out->attached = true;
        recall(out);
        atomic_store(&out->detached_ns, 0);
    }
    pthread_mutex_unlock(&out->lock);
    return free_place;
}

void service_live_out_detach(struct service_live_out *out, bool for_good)
{
    pthread_mutex_lock(&out->lock);
    out->attached = false;
    out->told = false; /* whether that arrived is not known */
    out->ended_for_good |= for_good;
    atomic_store(&out->detached_ns, au_now_ns());
    pthread_mutex_unlock(&out->lock);
}

/* ---- Telling --------------------------------------------------------------------------------- */

void service_live_out_tell(struct service_live_out *out, const struct auricle_stream_event *event)
{
    pthread_mutex_lock(&out->lock);
    int64_t n_final = event->kind == AURICLE_STREAM_FINAL ? ++out->n_finals : 0;
    if (out->attached) {
        flush(out);
        out->sink.on_event(out->sink.context, event, n_final);
        if (n_final && out->resumable)
            remember(out, kept_create(event, n_final));
    } else if (!out->ended_for_good) {
        keep(out, event, n_final);
    }
    pthread_mutex_unlock(&out->lock);
}

void service_live_out_flush(struct service_live_out *out)
{
    pthread_mutex_lock(&out->lock);
    if (out->attached || out->ended_for_good)
        flush(out);
    pthread_mutex_unlock(&out->lock);
}

void service_live_out_over(struct service_live_out *out, enum auricle_error error,
                           const char *sentence, double audio_seconds)
{
    pthread_mutex_lock(&out->lock);
    if (!out->over) {
        out->over = true;
        out->error = error;
        out->audio_seconds = audio_seconds;
        au_str_copy(out->sentence, sizeof(out->sentence), sentence ? sentence : "");
    }
    if (out->attached && !out->told) {
        flush(out);
        out->told = true;
        out->sink.on_done(out->sink.context, out->error, out->error ? out->sentence : NULL,
                          out->audio_seconds);
    }
    pthread_mutex_unlock(&out->lock);
}

bool service_live_out_waits(struct service_live_out *out)
{
    pthread_mutex_lock(&out->lock);
    bool waits = out->over && out->attached && !out->told;
    pthread_mutex_unlock(&out->lock);
    return waits;
}

bool service_live_out_done(struct service_live_out *out)
{
    pthread_mutex_lock(&out->lock);
    bool done = out->ended_for_good || (out->told && !out->resumable);
    pthread_mutex_unlock(&out->lock);
    return done;
}

bool service_live_out_lost(struct service_live_out *out)
{
    pthread_mutex_lock(&out->lock);
    bool lost = out->lost;
    pthread_mutex_unlock(&out->lock);
    return lost;
}
