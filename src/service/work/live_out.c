/* Live events on their way out. See live_out.h. */
#include "service/work/live_out.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/result.h"

struct service_kept_event {
    struct service_kept_event *next;
    struct auricle_stream_event event; /* points into the rest */
    struct auricle_segment segment;
    char *text;
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

static struct service_kept_event *kept_create(const struct auricle_stream_event *event)
{
    struct service_kept_event *kept = au_calloc(1, sizeof(*kept));
    if (!kept)
        return NULL;
    kept->event = *event;
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

static void keep(struct service_live_out *out, const struct auricle_stream_event *event)
{
    if (event->kind == AURICLE_STREAM_PARTIAL || event->kind == AURICLE_STREAM_FINAL)
        drop_partials(out);
    struct service_kept_event *kept = kept_create(event);
    if (!kept) {
        out->lost |= event->kind != AURICLE_STREAM_PARTIAL;
        return;
    }
    *(out->last ? &out->last->next : &out->first) = kept;
    out->last = kept;
}

static void flush(struct service_live_out *out)
{
    while (out->first) {
        struct service_kept_event *kept = out->first;
        out->first = kept->next;
        if (!out->first)
            out->last = NULL;
        if (out->attached)
            out->sink.on_event(out->sink.context, &kept->event);
        kept_destroy(kept);
    }
}

/* ---- Coming and going ------------------------------------------------------------------------ */

void service_live_out_init(struct service_live_out *out, const struct service_live_sink *sink)
{
    pthread_mutex_init(&out->lock, NULL);
    atomic_init(&out->detached_ns, 0);
    out->sink = *sink;
    out->attached = true;
}

void service_live_out_deinit(struct service_live_out *out)
{
    out->attached = false;
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
        atomic_store(&out->detached_ns, 0);
    }
    pthread_mutex_unlock(&out->lock);
    return free_place;
}

void service_live_out_detach(struct service_live_out *out, bool for_good)
{
    pthread_mutex_lock(&out->lock);
    out->attached = false;
    out->ended_for_good |= for_good;
    atomic_store(&out->detached_ns, au_now_ns());
    pthread_mutex_unlock(&out->lock);
}

/* ---- Telling --------------------------------------------------------------------------------- */

void service_live_out_tell(struct service_live_out *out, const struct auricle_stream_event *event)
{
    pthread_mutex_lock(&out->lock);
    if (out->attached) {
        flush(out);
        out->sink.on_event(out->sink.context, event);
    } else if (!out->ended_for_good) {
        keep(out, event);
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

bool service_live_out_over(struct service_live_out *out, enum auricle_error error,
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
    bool done = out->told || out->ended_for_good;
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
