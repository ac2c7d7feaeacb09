/* Live sessions: a stream under the scheduler, audio on one side, events on the other. See live.h.
 *
 * A handle is one reference to the session; so is its place in the service's list, where it can be
 * found by its name as long as it may be attached to. The list lets go of it when it was aborted,
 * which is also how a connection that closed in good order says that it has the outcome, or when
 * nobody came back in time.                                                                      */
#include "service/work/live.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/options.h"
#include "recog/settings.h"
#include "service/core.h"
#include "service/work/live_audio.h"
#include "service/work/live_out.h"

#define IDLE_NS            (SERVICE_LIVE_IDLE_SECONDS * INT64_C(1000000000))
#define MAX_RESUME_SECONDS 3600.0

enum { NAME_BYTES = 16 };

struct service_live {
    struct service_work work; /* first */
    struct service *service;
    struct recog_settings settings;
    struct auricle_stream_options stream;
    int64_t resume_ns;
    char session_id[2 * NAME_BYTES + 1];
    struct service_live_audio audio;
    struct service_live_out out;
    bool over; /* its place in the admission was given back; the scheduler's */
    bool idle; /* nobody fed it for too long; it was closed for that. The scheduler\'s */
    int64_t
        spoken_ns; /* somebody began to speak and no word was told yet; 0: no. The scheduler's */
    struct service_live *previous, *next; /* service->lives, under its lock */
    bool listed;
};

static struct service_live *live_of(struct service_work *work)
{
    return (struct service_live *)work;
}

/* ---- The list -------------------------------------------------------------------------------- */

static void list(struct service_live *live)
{
    struct service *service = live->service;
    service_work_ref(&live->work);
    pthread_mutex_lock(&service->lives_lock);
    live->next = service->lives;
    if (live->next)
        live->next->previous = live;
    service->lives = live;
    live->listed = true;
    pthread_mutex_unlock(&service->lives_lock);
}

static void unlist(struct service_live *live)
{
    struct service *service = live->service;
    pthread_mutex_lock(&service->lives_lock);
    bool listed = live->listed;
    if (listed) {
        *(live->previous ? &live->previous->next : &service->lives) = live->next;
        if (live->next)
            live->next->previous = live->previous;
        live->listed = false;
    }
    pthread_mutex_unlock(&service->lives_lock);
    if (listed)
        service_work_unref(&live->work);
}

/* Names are secrets: how long a comparison takes does not say how much of one was right. */
static bool same_name(const char *a, const char *b)
{
    unsigned difference = 0;
    if (strlen(b) != 2 * NAME_BYTES)
        return false;
    for (size_t i = 0; i < 2 * NAME_BYTES; i++)
        difference |= (unsigned char)a[i] ^ (unsigned char)b[i];
    return !difference;
}

/* ---- Under the scheduler --------------------------------------------------------------------- */

static enum auricle_error open_session(struct service_work *work, struct auricle_engine *engine,
                                       struct auricle_session **out,
                                       struct auricle_message *message)
{
    struct service_live *live = live_of(work);
    enum auricle_error error = auricle_session_create_stream(engine, &live->settings.options,
                                                             &live->stream, out, message);
    if (error == AURICLE_E_UNSUPPORTED)
        service_work_name_model(work, message);
    if (!error)
        service_live_audio_use(&live->audio, *out);
    return error;
}

static void pump(struct service_work *work)
{
    service_live_audio_pump(&live_of(work)->audio);
}

/* How long the first words of an utterance took. */
static void note_first_words(struct service_live *live, enum auricle_stream_kind kind)
{
    if (kind == AURICLE_STREAM_SPEECH_STARTED)
        live->spoken_ns = au_now_ns();
    if (!live->spoken_ns || (kind != AURICLE_STREAM_PARTIAL && kind != AURICLE_STREAM_FINAL))
        return;
    service_observe(live->service->metrics, SERVICE_STAGE_FIRST_PARTIAL,
                    (double)(au_now_ns() - live->spoken_ns) * 1e-9);
    live->spoken_ns = 0;
}

static void tell(struct service_work *work)
{
    struct service_live *live = live_of(work);
    struct auricle_stream_event event;
    double done, total;
    while (auricle_stream_next_event(work->session, &event)) {
        note_first_words(live, event.kind);
        service_live_out_tell(&live->out, &event);
    }
    auricle_session_position(work->session, &done, &total);
    service_work_show(work, done, -1);
}

static bool too_late(const struct service_live *live, int64_t now_ns)
{
    int64_t detached_ns = atomic_load(&live->out.detached_ns);
    return detached_ns && now_ns - detached_ns >= live->resume_ns;
}

static enum auricle_error check(struct service_work *work, int64_t now_ns,
                                struct auricle_message *message)
{
    struct service_live *live = live_of(work);
    const char *why = NULL;
    enum auricle_error error = AURICLE_E_CANCELLED;
    service_live_out_flush(&live->out);
    if (atomic_load(&work->cancelled) || service_live_out_waits(&live->out))
        why = "the live session was ended";
    else if (too_late(live, now_ns))
        why = "the connection was lost and nobody came back in time";
    else if (service_live_out_lost(&live->out)) {
        why = "out of memory while keeping what was said";
        error = AURICLE_E_NOMEM;
    }
    if (!why && !live->idle && now_ns - atomic_load(&live->audio.fed_ns) >= IDLE_NS) {
        struct au_fault idle;
        live->idle = true;
        (void)au_fail(&idle, AURICLE_E_TIMEOUT, "no audio came for %d minutes",
                      SERVICE_LIVE_IDLE_SECONDS / 60);
        service_live_audio_end(&live->audio, &idle);
        service_work_poke(work);
    }
    au_str_copy(message->text, sizeof(message->text), why ? why : "");
    return why ? error : AURICLE_OK;
}

static int64_t due(const struct service_work *work)
{
    const struct service_live *live = (const struct service_live *)work;
    int64_t detached_ns = atomic_load(&live->out.detached_ns);
    int64_t late_ns = detached_ns ? detached_ns + live->resume_ns : INT64_MAX;
    int64_t idle_ns = live->idle ? INT64_MAX : atomic_load(&live->audio.fed_ns) + IDLE_NS;
    return idle_ns < late_ns ? idle_ns : late_ns;
}

static void give_back(struct service_live *live)
{
    if (live->over)
        return;
    live->over = true;
    service_count(live->service->metrics, SERVICE_COUNT_AUDIO_MS,
                  (uint64_t)(service_live_audio_seconds(&live->audio) * 1e3));
    service_admission_live_over(live->service->admission);
}

static bool over(struct service_work *work, enum auricle_error error, const char *sentence)
{
    struct service_live *live = live_of(work);
    struct au_fault fault = {0};
    service_live_audio_over(&live->audio);
    if (!error && service_live_audio_fault(&live->audio, &fault)) {
        error = fault.code;
        sentence = fault.text;
    }
    service_live_out_over(&live->out, error, sentence, service_live_audio_seconds(&live->audio));
    bool keep = !service_live_out_done(&live->out) && !atomic_load(&work->cancelled) &&
                !too_late(live, au_now_ns());
    if (!keep) {
        unlist(live);
        service_live_out_over(&live->out, error, sentence, 0); /* who came in the last moment */
    }
    give_back(live); /* the last: a service without live sessions may be destroyed */
    return keep;
}

/* ---- Making ---------------------------------------------------------------------------------- */

static void destroy(struct service_work *work)
{
    struct service_live *live = live_of(work);
    service_live_audio_deinit(&live->audio);
    service_live_out_deinit(&live->out);
    recog_settings_deinit(&live->settings);
    au_free(live);
}

static void more_is_decoded(void *context)
{
    service_work_poke(context);
}

static enum auricle_error invent_name(char out[2 * NAME_BYTES + 1], struct au_fault *fault)
{
    uint8_t bytes[NAME_BYTES];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return au_fail(fault, AURICLE_E_IO, "the system has no random numbers");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return AURICLE_OK;
}

static enum auricle_error check_spec(struct service *service, const struct service_live_spec *spec,
                                     struct au_fault *fault)
{
    enum auricle_error error = recog_options_check(spec->options, service->max_beams, fault);
    if (!error && spec->stream->size != sizeof(*spec->stream))
        error = au_fail(fault, AURICLE_E_INVALID,
                        "stream options have %zu bytes, expected %zu: fill them with "
                        "AURICLE_STREAM_OPTIONS_INIT",
                        spec->stream->size, sizeof(*spec->stream));
    if (!error && !(spec->resume_seconds >= 0 && spec->resume_seconds <= MAX_RESUME_SECONDS))
        error = au_fail(fault, AURICLE_E_INVALID,
                        "%g seconds to come back in; 0 to %g are accepted", spec->resume_seconds,
                        MAX_RESUME_SECONDS);
    return error ? error : service_engines_check(service->engines, spec->model, fault);
}

static enum auricle_error make(struct service *service, const struct service_live_spec *spec,
                               const struct service_live_sink *sink, struct service_live **out,
                               struct au_fault *fault)
{
    static const struct service_work_ops ops = {.open = open_session,
                                                .pump = pump,
                                                .tell = tell,
                                                .check = check,
                                                .due = due,
                                                .over = over,
                                                .destroy = destroy};
    struct service_live *live = au_calloc(1, sizeof(*live));
    if (!live)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    service_work_init(&live->work, service->scheduler, &ops, SERVICE_PRIORITY_LIVE, spec->id,
                      spec->model);
    live->service = service;
    live->stream = *spec->stream;
    live->resume_ns = (int64_t)(spec->resume_seconds * 1e9);
    service_live_out_init(&live->out, sink, live->resume_ns > 0);
    enum auricle_error error = service_live_audio_init(&live->audio, spec, service->media,
                                                       more_is_decoded, live, fault);
    if (!error && recog_settings_init(&live->settings, spec->options))
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    if (!error)
        error = invent_name(live->session_id, fault);
    if (error)
        service_work_unref(&live->work);
    else
        *out = live;
    return error;
}

enum auricle_error service_live_open(struct service *service, const struct service_live_spec *spec,
                                     const struct service_live_sink *sink,
                                     struct service_live **out, double *retry_after_seconds,
                                     struct au_fault *fault)
{
    struct service_live *live = NULL;
    enum auricle_error error = check_spec(service, spec, fault);
    if (!error)
        error = service_admission_live(service->admission, retry_after_seconds, fault);
    if (error)
        return error;
    error = make(service, spec, sink, &live, fault);
    if (error) {
        service_admission_live_over(service->admission);
        return error;
    }
    *out = live; /* before the sink may be called */
    list(live);
    service_work_start(&live->work, service->engines, spec->model);
    return AURICLE_OK;
}

/* ---- The connection's side ------------------------------------------------------------------- */

const char *service_live_session_id(const struct service_live *live)
{
    return live->session_id;
}

enum auricle_error service_live_feed(struct service_live *live, const uint8_t *bytes, size_t n,
                                     size_t *n_taken, struct au_fault *fault)
{
    enum auricle_error error = service_live_audio_feed(&live->audio, bytes, n, n_taken, fault);
    if (!error)
        service_work_poke(&live->work);
    return error;
}

void service_live_finalize(struct service_live *live)
{
    service_live_audio_flush(&live->audio);
    service_work_poke(&live->work);
}

void service_live_close(struct service_live *live)
{
    service_live_audio_close(&live->audio);
    service_work_poke(&live->work);
}

static void let_go(struct service_live *live, bool for_good)
{
    service_live_out_detach(&live->out, for_good);
    service_work_show_detached(&live->work, true);
    if (for_good)
        atomic_store(&live->work.cancelled, true);
    service_work_poke(&live->work);
    service_work_unref(&live->work);
}

void service_live_detach(struct service_live *live)
{
    let_go(live, live->resume_ns <= 0);
}

void service_live_abort(struct service_live *live)
{
    let_go(live, true);
}

enum auricle_error service_live_attach(struct service *service, const char *session_id,
                                       const struct service_live_sink *sink,
                                       struct service_live **out, struct au_fault *fault)
{
    struct service_live *found = NULL;
    pthread_mutex_lock(&service->lives_lock);
    for (struct service_live *live = service->lives; live && !found; live = live->next)
        if (same_name(live->session_id, session_id))
            found = live;
    bool attached = found && service_live_out_attach(&found->out, sink);
    if (attached) {
        service_work_ref(&found->work);
        *out = found;
    }
    pthread_mutex_unlock(&service->lives_lock);
    if (!attached)
        return au_fail(fault, AURICLE_E_NOT_FOUND,
                       found ? "this live session has a connection already, or is over"
                             : "there is no live session of this name: it is over, or never was");
    service_work_show_detached(&found->work, false);
    service_work_poke(&found->work);
    return AURICLE_OK;
}

void service_lives_close(struct service *service)
{
    pthread_mutex_lock(&service->lives_lock);
    for (struct service_live *live = service->lives; live; live = live->next) {
        service_live_audio_end(&live->audio, NULL);
        service_work_poke(&live->work);
    }
    pthread_mutex_unlock(&service->lives_lock);
}
