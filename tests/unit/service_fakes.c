/* Stand-ins. See service_fakes.h. */
#include "service_fakes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "recog/engine.h"
#include "recog/result.h"
#include "recog/unit.h"
#include "support/support.h"

enum { MAX_HELD = 65536, MAX_SEGMENTS = 4096 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* media */
    size_t n_samples, n_decoded;
    enum auricle_error ends_with, media_error;
    struct service_decode *decodes;
    /* engines */
    bool hold;
    enum auricle_error engine_error, session_error;
    struct {
        service_engine_ready *ready;
        void *context;
    } held[MAX_HELD];
    size_t n_held;
    int n_leases, n_sessions, n_decodes;
    /* runs */
    bool closed;
    size_t passes;
    bool waits_at_gate;
    struct fake_run runs[FAKE_MAX_RUNS];
    size_t n_runs;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void lock(void)
{
    pthread_mutex_lock(&fake.lock);
}

static void unlock(void)
{
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

/* ---- Time (the linker's --wrap) -------------------------------------------------------------- */

int64_t __real_au_now_ns(void);
int64_t __wrap_au_now_ns(void);
static _Atomic int64_t turned_ns;

int64_t __wrap_au_now_ns(void)
{
    return __real_au_now_ns() + atomic_load(&turned_ns);
}

void fake_clock_reset(void)
{
    atomic_store(&turned_ns, 0);
}

void fake_clock_turn(int seconds)
{
    atomic_fetch_add(&turned_ns, seconds * INT64_C(1000000000));
}

/* ---- Media ----------------------------------------------------------------------------------- */

struct service_media {
    int unused;
};

struct service_decode {
    struct service_decode *next;
    size_t n_samples, n_decoded;
    enum auricle_error ends_with;
    service_decode_notify *notify;
    void *context;
    int fd;
};

void fake_media_set(size_t n_samples, enum auricle_error ends_with)
{
    lock();
    fake.n_samples = n_samples;
    fake.ends_with = ends_with;
    unlock();
}

void fake_media_decoded(size_t n_samples)
{
    lock();
    fake.n_decoded = n_samples;
    for (struct service_decode *decode = fake.decodes; decode; decode = decode->next) {
        size_t there = n_samples < decode->n_samples ? n_samples : decode->n_samples;
        decode->n_decoded = there > decode->n_decoded ? there : decode->n_decoded;
        decode->notify(decode->context);
    }
    unlock();
}

void fake_media_refuses(enum auricle_error error)
{
    fake.media_error = error;
}

enum auricle_error service_media_create(const struct service_media_config *config,
                                        struct service_media **out, struct au_fault *fault)
{
    (void)config;
    *out = au_calloc(1, sizeof(**out));
    return *out ? AURICLE_OK : au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

void service_media_set_limits(struct service_media *media, int max_pipes, double max_seconds)
{
    (void)media, (void)max_pipes, (void)max_seconds;
}

int fake_media_open(void)
{
    lock();
    int n = fake.n_decodes;
    unlock();
    return n;
}

bool service_decode_crowded(struct service_decode *decode)
{
    return decode->ends_with == AURICLE_E_NO_SPACE;
}

void service_media_destroy(struct service_media *media)
{
    au_free(media);
}

enum auricle_error service_media_start(struct service_media *media, int fd, const char *name,
                                       const struct audio_decode_options *options,
                                       service_decode_notify *notify, void *context,
                                       struct service_decode **out, struct au_fault *fault)
{
    (void)media, (void)name, (void)options;
    struct service_decode *decode = fake.media_error ? NULL : au_calloc(1, sizeof(*decode));
    if (!decode) {
        close(fd);
        return au_fail(fault, fake.media_error ? fake.media_error : AURICLE_E_NOMEM, "refused");
    }
    lock();
    *decode = (struct service_decode){.n_samples = fake.n_samples,
                                      .ends_with = fake.ends_with,
                                      .notify = notify,
                                      .context = context,
                                      .fd = fd,
                                      .next = fake.decodes};
    decode->n_decoded = fake.n_decoded < fake.n_samples ? fake.n_decoded : fake.n_samples;
    fake.decodes = decode;
    fake.n_decodes++;
    unlock();
    *out = decode;
    return AURICLE_OK;
}

void service_decode_release(struct service_decode *decode)
{
    if (!decode)
        return;
    lock();
    struct service_decode **at = &fake.decodes;
    while (*at != decode)
        at = &(*at)->next;
    *at = decode->next;
    fake.n_decodes--;
    unlock();
    close(decode->fd);
    au_free(decode);
}

enum auricle_error service_decode_read(struct service_decode *decode, int64_t first, size_t n,
                                       float *out, size_t *n_read, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    lock();
    size_t there = decode->n_decoded > (size_t)first ? decode->n_decoded - (size_t)first : 0;
    bool all = decode->n_decoded == decode->n_samples;
    size_t got = there < n ? there : n;
    if (there < n && !all)
        error = AURICLE_E_AGAIN;
    else if (there < n && decode->ends_with)
        error = au_fail(fault, decode->ends_with, "the recording is broken");
    for (size_t i = 0; !error && i < got; i++)
        out[i] = (float)((size_t)first + i);
    unlock();
    if (!error)
        *n_read = got;
    return error;
}

int64_t service_decode_available(struct service_decode *decode)
{
    lock();
    int64_t n = (int64_t)decode->n_decoded;
    unlock();
    return n;
}

int64_t service_decode_length(struct service_decode *decode)
{
    lock();
    int64_t n = decode->n_decoded == decode->n_samples ? (int64_t)decode->n_samples : -1;
    unlock();
    return n;
}

void service_decode_info(struct service_decode *decode, struct audio_info *out)
{
    *out = (struct audio_info){
        .container = "fake", .seconds = (double)decode->n_samples / AUDIO_RATE_HZ, .decode_ms = 1};
}

const char *service_decode_warning(struct service_decode *decode)
{
    return decode->ends_with ? "it broke off" : NULL;
}

/* ---- Engines --------------------------------------------------------------------------------- */

struct service_engines {
    int unused;
};

struct service_engine {
    struct auricle_engine engine;
};

static struct service_engine the_engine = {.engine = {.max_windows = FAKE_MAX_WINDOWS}};

enum auricle_error service_engines_create(const struct service_engines_config *config,
                                          struct service_engines **out, struct au_fault *fault)
{
    (void)config;
    *out = au_calloc(1, sizeof(**out));
    return *out ? AURICLE_OK : au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

static void answer(service_engine_ready *ready, void *context)
{
    struct au_fault fault = {0};
    if (fake.engine_error)
        (void)au_fail(&fault, fake.engine_error, "no such model");
    else
        fake.n_leases++;
    pthread_mutex_unlock(&fake.lock);
    ready(context, fault.code ? NULL : &the_engine, &fault);
    pthread_mutex_lock(&fake.lock);
}

void fake_engines_hold(bool hold)
{
    lock();
    fake.hold = hold;
    while (!hold && fake.n_held) {
        fake.n_held--;
        answer(fake.held[fake.n_held].ready, fake.held[fake.n_held].context);
    }
    unlock();
}

void fake_engines_refuse(enum auricle_error error)
{
    fake.engine_error = error;
}

void service_engines_destroy(struct service_engines *engines)
{
    fake_engines_hold(false);
    au_free(engines);
}

void service_engines_acquire(struct service_engines *engines, const char *name,
                             service_engine_ready *ready, void *context)
{
    (void)engines, (void)name;
    lock();
    if (fake.hold) {
        assert_true(fake.n_held < MAX_HELD);
        fake.held[fake.n_held].ready = ready;
        fake.held[fake.n_held++].context = context;
    } else {
        answer(ready, context);
    }
    unlock();
}

void service_engine_release(struct service_engine *lease)
{
    assert_ptr_equal(lease, &the_engine);
    lock();
    fake.n_leases--;
    unlock();
}

struct auricle_engine *service_engine_get(const struct service_engine *lease)
{
    assert_ptr_equal(lease, &the_engine);
    return &the_engine.engine;
}

const char *service_engine_name(const struct service_engine *lease)
{
    (void)lease;
    return "fake";
}

enum auricle_error service_engines_check(struct service_engines *engines, const char *name,
                                         struct au_fault *fault)
{
    (void)engines;
    return name && !strcmp(name, "missing")
               ? au_fail(fault, AURICLE_E_NOT_FOUND, "\"missing\" is not installed")
               : AURICLE_OK;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

void fake_engine_gate(bool closed)
{
    lock();
    fake.closed = closed;
    fake.passes = 0;
    unlock();
}

void fake_engine_step(size_t n)
{
    lock();
    size_t until = fake.n_runs + n;
    fake.passes += n;
    pthread_cond_broadcast(&fake.changed);
    while (fake.n_runs < until || !fake.waits_at_gate)
        pthread_cond_wait(&fake.changed, &fake.lock);
    unlock();
}

size_t fake_engine_runs(struct fake_run *out, size_t max)
{
    lock();
    size_t n = fake.n_runs < max ? fake.n_runs : max;
    memcpy(out, fake.runs, n * sizeof(*out));
    unlock();
    return n;
}

void fake_engine_forget(void)
{
    lock();
    fake.n_runs = 0;
    unlock();
}

static struct fake_run describe(struct auricle_unit *const *units, size_t n)
{
    struct fake_run run = {0};
    for (size_t i = 0; i < n; i++) {
        bool first = true;
        size_t windows = 0;
        for (size_t j = 0; j < n; j++) {
            first &= j >= i || units[j]->session != units[i]->session;
            windows += units[j]->session == units[i]->session &&
                       units[j]->kind == RECOG_UNIT_ENCODE;
        }
        run.n_sessions += first;
        run.n_windows += units[i]->kind == RECOG_UNIT_ENCODE;
        run.n_rows += units[i]->kind == RECOG_UNIT_DECODE ? units[i]->n_rows : 0;
        run.most_of_one = windows > run.most_of_one ? windows : run.most_of_one;
    }
    return run;
}

void auricle_engine_run(struct auricle_engine *engine, struct auricle_unit *const *units, size_t n)
{
    assert_ptr_equal(engine, &the_engine.engine);
    lock();
    fake.waits_at_gate = true;
    pthread_cond_broadcast(&fake.changed);
    while (fake.closed && !fake.passes)
        pthread_cond_wait(&fake.changed, &fake.lock);
    fake.waits_at_gate = false;
    fake.passes -= fake.closed;
    if (fake.n_runs < FAKE_MAX_RUNS)
        fake.runs[fake.n_runs++] = describe(units, n);
    unlock();
    for (size_t i = 0; i < n; i++)
        units[i]->seconds = units[i]->kind == RECOG_UNIT_ENCODE ? 0.01 : 0.001;
}

/* ---- Sessions -------------------------------------------------------------------------------- */

struct window {
    struct auricle_unit unit;
    int steps; /* 0: encode first */
    bool out;
    size_t first, last; /* samples */
};

struct auricle_session {
    struct auricle_feed feed; /* read NULL: a stream */
    struct window windows[FAKE_MAX_WINDOWS];
    size_t head, n_used, n_begun; /* n_begun: samples in windows so far */
    int max_windows;
    bool at_end;
    struct auricle_segment segments[MAX_SEGMENTS];
    size_t n_segments;
    char texts[MAX_SEGMENTS][32];
    enum auricle_wait wait;
    /* streams: what is fed from another thread */
    pthread_mutex_t lock;
    float *samples;
    size_t n_fed, room;
    int n_flushes, n_flushed;
    bool closed;
    size_t n_events_told; /* segments told as finals */
};

void fake_session_refuse(enum auricle_error error)
{
    fake.session_error = error;
}

static enum auricle_error create(const struct auricle_feed *feed, struct auricle_session **out,
                                 struct auricle_message *message)
{
    struct auricle_session *session = fake.session_error ? NULL : au_calloc(1, sizeof(*session));
    if (!session) {
        snprintf(message->text, sizeof(message->text), "cannot do that");
        return fake.session_error ? fake.session_error : AURICLE_E_NOMEM;
    }
    session->max_windows = FAKE_MAX_WINDOWS;
    pthread_mutex_init(&session->lock, NULL);
    if (feed)
        session->feed = *feed;
    lock();
    fake.n_sessions++;
    unlock();
    *out = session;
    return AURICLE_OK;
}

enum auricle_error auricle_session_create_feed(struct auricle_engine *engine,
                                               const struct auricle_feed *feed,
                                               const struct auricle_options *options,
                                               struct auricle_session **out,
                                               struct auricle_message *message)
{
    (void)engine, (void)options;
    return create(feed, out, message);
}

enum auricle_error auricle_session_create_stream(struct auricle_engine *engine,
                                                 const struct auricle_options *options,
                                                 const struct auricle_stream_options *stream,
                                                 struct auricle_session **out,
                                                 struct auricle_message *message)
{
    (void)engine, (void)options, (void)stream;
    return create(NULL, out, message);
}

void auricle_session_destroy(struct auricle_session *session)
{
    if (!session)
        return;
    lock();
    fake.n_sessions--;
    unlock();
    pthread_mutex_destroy(&session->lock);
    free(session->samples);
    au_free(session);
}

void auricle_session_set_max_windows(struct auricle_session *session, int n)
{
    assert_in_range(n, 1, FAKE_MAX_WINDOWS);
    session->max_windows = n;
}

/* Samples of the next window; 0 with at_end, or none yet. */
static enum auricle_error hear(struct auricle_session *s, float *block, size_t *n,
                               struct auricle_message *message)
{
    *n = 0;
    if (s->feed.read)
        return s->feed.read(s->feed.context, (int64_t)s->n_begun, FAKE_WINDOW, block, n, message);
    pthread_mutex_lock(&s->lock);
    size_t there = s->n_fed - s->n_begun;
    bool cut = s->closed || s->n_flushes > s->n_flushed;
    size_t take = there >= FAKE_WINDOW ? FAKE_WINDOW : cut ? there : 0;
    if (take)
        memcpy(block, s->samples + s->n_begun, take * sizeof(float));
    if (!take && s->n_flushes > s->n_flushed)
        s->n_flushed++;
    bool again = !take && !s->closed;
    pthread_mutex_unlock(&s->lock);
    *n = take;
    return again ? AURICLE_E_AGAIN : AURICLE_OK;
}

static enum auricle_error begin(struct auricle_session *s, struct auricle_message *message)
{
    float block[FAKE_WINDOW];
    size_t n = 0;
    while (!s->at_end && s->n_used < (size_t)s->max_windows) {
        enum auricle_error error = hear(s, block, &n, message);
        if (error)
            return error;
        s->at_end = !n;
        if (!n)
            return AURICLE_OK;
        struct window *window = &s->windows[(s->head + s->n_used++) % FAKE_MAX_WINDOWS];
        *window = (struct window){.first = (size_t)block[0], .last = (size_t)block[n - 1]};
        window->unit.session = s;
        s->n_begun += n;
    }
    return AURICLE_OK;
}

enum auricle_error auricle_session_next(struct auricle_session *s, struct auricle_unit **out,
                                        struct auricle_message *message)
{
    enum auricle_error error = begin(s, message);
    *out = NULL;
    if (error && error != AURICLE_E_AGAIN)
        return error;
    bool any_out = false;
    for (size_t i = 0; i < s->n_used; i++) {
        struct window *window = &s->windows[(s->head + i) % FAKE_MAX_WINDOWS];
        any_out |= window->out;
        if (window->out || window->steps > FAKE_STEPS)
            continue;
        window->out = true;
        window->unit.kind = window->steps ? RECOG_UNIT_DECODE : RECOG_UNIT_ENCODE;
        window->unit.n_rows = 1;
        *out = &window->unit;
        return AURICLE_OK;
    }
    s->wait = any_out                    ? AURICLE_WAIT_UNITS
              : error == AURICLE_E_AGAIN ? AURICLE_WAIT_AUDIO
              : s->at_end && !s->n_used  ? AURICLE_WAIT_END
                                         : AURICLE_WAIT_NONE;
    return AURICLE_OK;
}

enum auricle_wait auricle_session_wait(const struct auricle_session *session)
{
    return session->wait;
}

enum auricle_error auricle_session_complete(struct auricle_session *s, struct auricle_unit *unit,
                                            struct auricle_message *message)
{
    struct window *done = (struct window *)unit;
    (void)message;
    assert_true(done->out);
    done->out = false;
    done->steps++;
    while (s->n_used && s->windows[s->head].steps > FAKE_STEPS) {
        struct window *window = &s->windows[s->head];
        assert_true(s->n_segments < MAX_SEGMENTS);
        struct auricle_segment *segment = &s->segments[s->n_segments];
        char *text = s->texts[s->n_segments++];
        snprintf(text, sizeof(s->texts[0]), "%zu-%zu", window->first, window->last);
        *segment = (struct auricle_segment){.text = text, .end = 1, .language = "en"};
        s->head = (s->head + 1) % FAKE_MAX_WINDOWS;
        s->n_used--;
    }
    return AURICLE_OK;
}

bool auricle_session_finished(const struct auricle_session *session)
{
    return session->at_end && !session->n_used;
}

const struct auricle_segment *auricle_session_segments(const struct auricle_session *session,
                                                       size_t *n)
{
    *n = session->n_segments;
    return session->segments;
}

void auricle_session_position(const struct auricle_session *session, double *done, double *total)
{
    *done = (double)session->n_begun / AUDIO_RATE_HZ;
    *total = session->feed.estimate ? session->feed.estimate(session->feed.context) : -1;
}

enum auricle_error auricle_session_take_result(struct auricle_session *session,
                                               struct auricle_result **out)
{
    struct recog_result *result = NULL;
    enum auricle_error error = recog_result_create(&result);
    for (size_t i = 0; !error && i < session->n_segments; i++)
        error = recog_result_add(result, &session->segments[i], true);
    if (error) {
        auricle_result_destroy(result ? &result->pub : NULL);
        return error;
    }
    recog_result_publish(result);
    *out = &result->pub;
    return AURICLE_OK;
}

/* ---- Streams --------------------------------------------------------------------------------- */

size_t auricle_stream_feed(struct auricle_session *s, const float *samples, size_t n)
{
    pthread_mutex_lock(&s->lock);
    s->samples = realloc(s->samples, (s->n_fed + n) * sizeof(float));
    memcpy(s->samples + s->n_fed, samples, n * sizeof(float));
    s->n_fed += n;
    pthread_mutex_unlock(&s->lock);
    return n;
}

void auricle_stream_flush(struct auricle_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->n_flushes++;
    pthread_mutex_unlock(&s->lock);
}

void auricle_stream_close(struct auricle_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_mutex_unlock(&s->lock);
}

/* For each segment a partial, then the final. */
bool auricle_stream_next_event(struct auricle_session *s, struct auricle_stream_event *out)
{
    size_t i = s->n_events_told / 2;
    if (i >= s->n_segments)
        return false;
    bool final = s->n_events_told++ % 2;
    *out = (struct auricle_stream_event){
        .kind = final ? AURICLE_STREAM_FINAL : AURICLE_STREAM_PARTIAL,
        .text = s->segments[i].text,
        .segment = final ? &s->segments[i] : NULL,
    };
    return true;
}

/* ---- Order ----------------------------------------------------------------------------------- */

void fake_assert_clean(void)
{
    lock();
    assert_int_equal(fake.n_leases, 0);
    assert_int_equal(fake.n_sessions, 0);
    assert_int_equal(fake.n_decodes, 0);
    unlock();
}
