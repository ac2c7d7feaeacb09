/* The scheduler, admission, requests and live sessions, over stand-ins for media, models and
 * sessions (service_fakes.h): what runs with what, who is told what, and that everything is given
 * back exactly once, whatever fails.                                                             */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "service/core.h"
#include "service/metrics/metrics.h"
#include "service/work/live.h"
#include "service/work/request.h"
#include "service_fakes.h"
#include "support/support.h"

enum { MAX_TEXT = 65536 };

/* ---- What a sink heard ----------------------------------------------------------------------- */

struct ear {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char text[MAX_TEXT]; /* of segments or finals, one a line */
    size_t n_segments, n_partials;
    int64_t first_final, last_final; /* their numbers */
    int n_started, n_done;
    enum auricle_error error;
    char sentence[512], model[64], warning[64];
    double done;
};

static void ear_init(struct ear *ear)
{
    memset(ear, 0, sizeof(*ear));
    pthread_mutex_init(&ear->lock, NULL);
    pthread_cond_init(&ear->changed, NULL);
}

static void note_text(struct ear *ear, const char *text)
{
    size_t used = strlen(ear->text);
    snprintf(ear->text + used, sizeof(ear->text) - used, "%s\n", text);
    ear->n_segments++;
}

static void on_started(void *context)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    ear->n_started++;
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static void on_segment(void *context, const struct auricle_segment *segment)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    note_text(ear, segment->text);
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static void on_progress(void *context, double done, double total)
{
    struct ear *ear = context;
    (void)total;
    assert_true(done > ear->done);
    ear->done = done;
}

static void on_done(void *context, const struct service_outcome *outcome)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    ear->n_done++;
    ear->error = outcome->error;
    snprintf(ear->sentence, sizeof(ear->sentence), "%s",
             outcome->sentence ? outcome->sentence : "");
    snprintf(ear->model, sizeof(ear->model), "%s", outcome->model ? outcome->model : "");
    if (outcome->result && outcome->result->warning)
        snprintf(ear->warning, sizeof(ear->warning), "%s", outcome->result->warning);
    assert_true(!outcome->error == (outcome->sentence == NULL));
    if (!outcome->error)
        assert_int_equal(outcome->result->n_segments, ear->n_segments);
    assert_true(outcome->timings.total >= outcome->timings.receive);
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static void on_event(void *context, const struct auricle_stream_event *event, int64_t n_final)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    if (event->kind == AURICLE_STREAM_FINAL) {
        note_text(ear, event->segment->text);
        assert_true(n_final == ear->last_final + 1 || !ear->last_final);
        ear->first_final = ear->first_final ? ear->first_final : n_final;
        ear->last_final = n_final;
    } else {
        assert_int_equal(n_final, 0);
    }
    ear->n_partials += event->kind == AURICLE_STREAM_PARTIAL;
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static void on_live_done(void *context, enum auricle_error error, const char *sentence,
                         double seconds)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    ear->n_done++;
    ear->error = error;
    ear->done = seconds;
    snprintf(ear->sentence, sizeof(ear->sentence), "%s", sentence ? sentence : "");
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static void wait_done(struct ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    while (!ear->n_done)
        pthread_cond_wait(&ear->changed, &ear->lock);
    pthread_mutex_unlock(&ear->lock);
}

static void wait_segments(struct ear *ear, size_t n)
{
    pthread_mutex_lock(&ear->lock);
    while (ear->n_segments < n)
        pthread_cond_wait(&ear->changed, &ear->lock);
    pthread_mutex_unlock(&ear->lock);
}

static struct service_sink sink_of(struct ear *ear)
{
    return (struct service_sink){.context = ear,
                                 .on_started = on_started,
                                 .on_segment = on_segment,
                                 .on_progress = on_progress,
                                 .on_done = on_done};
}

static struct service_live_sink live_sink_of(struct ear *ear)
{
    return (struct service_live_sink){ear, on_event, on_live_done};
}

/* "0-1599\n1600-3199\n ..." */
static void expect_text(const struct ear *ear, size_t n_samples)
{
    char expected[MAX_TEXT] = "";
    size_t used = 0;
    for (size_t at = 0; at < n_samples; at += FAKE_WINDOW) {
        size_t end = at + FAKE_WINDOW < n_samples ? at + FAKE_WINDOW : n_samples;
        used += (size_t)snprintf(expected + used, sizeof(expected) - used, "%zu-%zu\n", at,
                                 end - 1);
    }
    assert_string_equal(ear->text, expected);
}

/* ---- A service ------------------------------------------------------------------------------- */

static struct service *start_service(const struct service_limits *limits)
{
    struct service *service = NULL;
    struct au_fault fault = {0};
    struct service_config config = {0};
    if (limits)
        config.limits = *limits;
    au_test_ok(service_create(&config, &service, &fault), &fault);
    return service;
}

/* Until everything is over; the end of the last request may still be under way when it is told. */
static void stop_service(struct service *service)
{
    service_drain(service);
    while (service_active(service))
        sched_yield();
    service_destroy(service);
    fake_assert_clean();
}

static int setup(void **state)
{
    (void)state;
    fake_clock_reset();
    fake_media_set(10 * FAKE_WINDOW + 7, AURICLE_OK);
    fake_media_decoded(SIZE_MAX);
    fake_media_refuses(AURICLE_OK);
    fake_engines_refuse(AURICLE_OK);
    fake_engines_hold(false);
    fake_engine_gate(false);
    fake_engine_forget();
    fake_session_refuse(AURICLE_OK);
    return 0;
}

static enum auricle_error try_start(struct service *service, struct ear *ear, const char *model,
                                    enum service_priority priority, struct service_request **out,
                                    struct au_fault *fault)
{
    struct auricle_options options;
    struct service_sink sink = sink_of(ear);
    double retry;
    auricle_options_default(&options);
    struct service_request_spec spec = {.id = "a-request",
                                        .model = model,
                                        .options = &options,
                                        .name = "talk.wav",
                                        .fd = open("/dev/null", O_RDONLY),
                                        .priority = priority,
                                        .receive_seconds = 0.5};
    enum auricle_error error = service_admit(service, 1000, &spec.ticket, &retry, fault);
    if (error) {
        close(spec.fd);
        return error;
    }
    return service_request_start(service, &spec, &sink, out, fault);
}

static struct service_request *start_request(struct service *service, struct ear *ear,
                                             enum service_priority priority)
{
    struct service_request *request = NULL;
    struct au_fault fault = {0};
    ear_init(ear);
    au_test_ok(try_start(service, ear, NULL, priority, &request, &fault), &fault);
    return request;
}

/* ---- Admission ------------------------------------------------------------------------------- */

static void files_of_all_recordings_are_bounded(void **state)
{
    (void)state;
    const struct service_limits limits = {.max_spooled = 1000};
    struct service *service = start_service(&limits);
    struct service_metrics *metrics = service_metrics_of(service);
    struct service_ticket *a, *b;
    struct au_fault fault = {0};
    double retry = 0;
    au_test_ok(service_admit(service, 0, &a, &retry, &fault), &fault);
    au_test_ok(service_admit(service, 0, &b, &retry, &fault), &fault);
    au_test_ok(service_ticket_spool(a, 600, &fault), &fault);
    assert_int_equal(service_ticket_spool(b, 401, &fault), AURICLE_E_AGAIN);
    assert_non_null(strstr(fault.text, "come again"));
    assert_int_equal(service_ticket_spool(b, UINT64_MAX, &fault), AURICLE_E_AGAIN);
    au_test_ok(service_ticket_spool(b, 400, &fault), &fault);
    assert_int_equal(service_gauge_get(metrics, SERVICE_GAUGE_SPOOLED_BYTES), 1000);
    service_ticket_release(a);
    assert_int_equal(service_gauge_get(metrics, SERVICE_GAUGE_SPOOLED_BYTES), 400);
    service_ticket_release(b);
    assert_int_equal(service_gauge_get(metrics, SERVICE_GAUGE_SPOOLED_BYTES), 0);
    stop_service(service);
}

static void places_and_bytes_are_bounded(void **state)
{
    (void)state;
    const struct service_limits limits = {.max_waiting = 3, .max_reserved = 1000};
    struct service *service = start_service(&limits);
    struct service_ticket *tickets[3], *more = NULL;
    struct au_fault fault = {0};
    double retry = 0;
    au_test_ok(service_admit(service, 600, &tickets[0], &retry, &fault), &fault);
    assert_int_equal(service_admit(service, 401, &more, &retry, &fault), AURICLE_E_LIMIT);
    assert_true(retry >= 1);
    assert_non_null(strstr(fault.text, "come again"));
    au_test_ok(service_admit(service, 300, &tickets[1], &retry, &fault), &fault);
    assert_int_equal(service_ticket_grow(tickets[1], 101, &fault), AURICLE_E_LIMIT);
    au_test_ok(service_ticket_grow(tickets[1], 100, &fault), &fault);
    au_test_ok(service_admit(service, 0, &tickets[2], &retry, &fault), &fault);
    assert_int_equal(service_admit(service, 0, &more, &retry, &fault), AURICLE_E_LIMIT);
    service_ticket_release(tickets[1]);
    au_test_ok(service_admit(service, 400, &more, &retry, &fault), &fault);
    assert_int_equal(service_active(service), 3);
    service_ticket_release(tickets[0]);
    service_ticket_release(tickets[2]);
    service_ticket_release(more);
    service_ticket_release(NULL);
    const struct service_limits fewer = {.max_waiting = 1};
    service_set_limits(service, &fewer, 0);
    assert_int_equal(service_get_limits(service).max_waiting, 1);
    assert_true(service_get_limits(service).max_reserved > 1000);
    service_drain(service);
    assert_true(service_draining(service));
    assert_int_equal(service_admit(service, 0, &more, &retry, &fault), AURICLE_E_LIMIT);
    assert_non_null(strstr(fault.text, "shutting down"));
    stop_service(service);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void a_request_is_told_of_everything_once(void **state)
{
    (void)state;
    struct service *service = start_service(NULL);
    static struct ear ear;
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_WAITING);
    wait_done(&ear);
    service_request_cancel(request); /* too late, and harmless */
    service_request_release(request);
    stop_service(service);
    expect_text(&ear, 10 * FAKE_WINDOW + 7);
    assert_int_equal(ear.n_done, 1);
    assert_int_equal(ear.n_started, 1);
    assert_int_equal(ear.error, AURICLE_OK);
    assert_string_equal(ear.model, "fake");
}

static void a_recording_without_samples_is_no_silence(void **state)
{
    (void)state;
    static struct ear ear;
    fake_media_set(0, AURICLE_OK);
    struct service *service = start_service(NULL);
    service_request_release(start_request(service, &ear, SERVICE_PRIORITY_WAITING));
    wait_done(&ear);
    stop_service(service);
    assert_int_equal(ear.error, AURICLE_E_NO_AUDIO);
    assert_non_null(strstr(ear.sentence, "0 samples"));
}

static void audio_is_heard_as_it_is_decoded(void **state)
{
    (void)state;
    static struct ear ear;
    fake_media_decoded(0);
    struct service *service = start_service(NULL);
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_WAITING);
    service_request_release(request); /* goes on without its handle */
    for (size_t i = 1; i <= 3; i++) {
        fake_media_decoded(i * 2 * FAKE_WINDOW + 5);
        wait_segments(&ear, 2 * i);
    }
    assert_int_equal(ear.n_done, 0);
    fake_media_decoded(SIZE_MAX);
    wait_done(&ear);
    stop_service(service);
    expect_text(&ear, 10 * FAKE_WINDOW + 7);
}

static void expect_refused(struct service *service, const char *model, enum auricle_error error)
{
    static struct ear ear;
    struct service_request *request = NULL;
    struct au_fault fault = {0};
    ear_init(&ear);
    assert_int_equal(try_start(service, &ear, model, SERVICE_PRIORITY_WAITING, &request, &fault),
                     error);
    assert_true(fault.text[0]);
    assert_null(request);
    assert_int_equal(service_active(service), 0);
    assert_int_equal(ear.n_done, 0);
}

static void expect_failed(struct service *service, enum auricle_error error, const char *sentence)
{
    static struct ear ear;
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_WAITING);
    wait_done(&ear);
    assert_int_equal(ear.n_done, 1);
    assert_int_equal(ear.error, error);
    if (!strstr(ear.sentence, sentence))
        fail_msg("\"%s\" does not say \"%s\"", ear.sentence, sentence);
    service_request_release(request);
}

static void what_fails_is_told_and_given_back(void **state)
{
    (void)state;
    struct service *service = start_service(NULL);
    expect_refused(service, "missing", AURICLE_E_NOT_FOUND);
    fake_media_refuses(AURICLE_E_NO_SPACE);
    expect_refused(service, NULL, AURICLE_E_NO_SPACE);
    fake_media_refuses(AURICLE_OK);
    fake_engines_refuse(AURICLE_E_FORMAT);
    expect_failed(service, AURICLE_E_FORMAT, "no such model");
    fake_engines_refuse(AURICLE_OK);
    fake_session_refuse(AURICLE_E_UNSUPPORTED);
    expect_failed(service, AURICLE_E_UNSUPPORTED, "fake: cannot do that");
    fake_session_refuse(AURICLE_OK);
    fake_media_set(3 * FAKE_WINDOW + 7, AURICLE_E_TIMEOUT);
    expect_failed(service, AURICLE_E_TIMEOUT, "the recording is broken");
    stop_service(service);
}

static void a_warning_of_the_media_is_passed_on(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    fake_media_set(2 * FAKE_WINDOW, AURICLE_E_TIMEOUT); /* the fake warns where it would fail */
    fake_media_decoded(FAKE_WINDOW);
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_WAITING);
    wait_segments(&ear, 1);
    service_request_cancel(request);
    wait_done(&ear);
    assert_int_equal(ear.error, AURICLE_E_CANCELLED);
    assert_string_equal(ear.warning, "it broke off");
    assert_int_equal(ear.n_segments, 1); /* what was final is kept */
    service_request_release(request);
    stop_service(service);
}

static enum auricle_error one_request(void *context)
{
    struct service *service = context;
    struct service_request *request = NULL;
    struct au_fault fault = {0};
    static struct ear ear;
    ear_init(&ear);
    enum auricle_error error = try_start(service, &ear, NULL, SERVICE_PRIORITY_WAITING, &request,
                                         &fault);
    if (error)
        return error;
    wait_done(&ear);
    service_request_release(request);
    while (service_active(service))
        sched_yield();
    return ear.error;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct service *service = start_service(NULL);
    fake_media_set(2 * FAKE_WINDOW, AURICLE_OK);
    (void)au_test_fail_each_allocation(one_request, service, 200);
    stop_service(service);
}

static void cancelling_works_wherever_it_is(void **state)
{
    (void)state;
    static struct ear loading, running, starving, queued[FAKE_MAX_WINDOWS];
    struct service *service = start_service(NULL);
    fake_engines_hold(true);
    struct service_request *request = start_request(service, &loading, SERVICE_PRIORITY_WAITING);
    service_request_cancel(request);
    wait_done(&loading); /* the model is not there yet */
    assert_int_equal(loading.error, AURICLE_E_CANCELLED);
    service_request_release(request);
    fake_engines_hold(false); /* comes too late, and is given back */

    fake_media_decoded(0);
    request = start_request(service, &starving, SERVICE_PRIORITY_WAITING);
    service_request_cancel(request);
    wait_done(&starving);
    service_request_release(request);

    fake_media_decoded(SIZE_MAX);
    fake_engine_gate(true);
    struct service_request *first = start_request(service, &running, SERVICE_PRIORITY_WAITING);
    fake_engine_step(1);
    struct service_request *rest[FAKE_MAX_WINDOWS];
    for (size_t i = 0; i < FAKE_MAX_WINDOWS; i++)
        rest[i] = start_request(service, &queued[i], SERVICE_PRIORITY_WAITING);
    fake_engine_step(2);
    assert_int_equal(queued[FAKE_MAX_WINDOWS - 1].n_started, 0); /* no place for this one */
    service_request_cancel(rest[FAKE_MAX_WINDOWS - 1]);
    service_request_cancel(first);
    fake_engine_gate(false);
    wait_done(&queued[FAKE_MAX_WINDOWS - 1]);
    wait_done(&running);
    assert_int_equal(running.error, AURICLE_E_CANCELLED);
    assert_true(running.n_segments < 10);
    for (size_t i = 0; i < FAKE_MAX_WINDOWS; i++)
        service_request_release(rest[i]);
    service_request_release(first);
    stop_service(service);
    for (size_t i = 0; i + 1 < FAKE_MAX_WINDOWS; i++)
        expect_text(&queued[i], 10 * FAKE_WINDOW + 7);
}

static void destroying_ends_what_is_left(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    fake_media_decoded(FAKE_WINDOW);
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_WAITING);
    wait_segments(&ear, 1);
    service_destroy(service);
    assert_int_equal(ear.n_done, 1);
    assert_int_equal(ear.error, AURICLE_E_CANCELLED);
    service_request_release(request);
    fake_assert_clean();
}

/* ---- Scheduling ------------------------------------------------------------------------------ */

static void equal_units_run_as_one_batch(void **state)
{
    (void)state;
    static struct ear ears[3];
    struct service_request *requests[3];
    struct service *service = start_service(NULL);
    fake_engines_hold(true);
    for (size_t i = 0; i < 3; i++)
        requests[i] = start_request(service, &ears[i], SERVICE_PRIORITY_WAITING);
    fake_engine_gate(true);
    fake_engines_hold(false);
    fake_engine_step(12);
    fake_engine_gate(false);
    for (size_t i = 0; i < 3; i++) {
        wait_done(&ears[i]);
        expect_text(&ears[i], 10 * FAKE_WINDOW + 7);
        service_request_release(requests[i]);
    }
    stop_service(service);
    static struct fake_run runs[FAKE_MAX_RUNS];
    size_t n = fake_engine_runs(runs, FAKE_MAX_RUNS), together = 0, n_windows = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(runs[i].n_windows <= FAKE_MAX_WINDOWS);
        n_windows += runs[i].n_windows;
        together += runs[i].n_sessions == 3;
    }
    assert_int_equal(n_windows, 33);
    assert_true(together * 2 > n);
}

static void a_lone_recording_gets_all_windows(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_BACKGROUND);
    wait_done(&ear);
    service_request_release(request);
    stop_service(service);
    static struct fake_run runs[FAKE_MAX_RUNS];
    size_t n = fake_engine_runs(runs, FAKE_MAX_RUNS), most = 0;
    for (size_t i = 0; i < n; i++)
        most = runs[i].n_rows > most ? runs[i].n_rows : most;
    assert_int_equal(most, FAKE_MAX_WINDOWS);
}

static struct service_live *open_live_as(struct service *service, struct ear *ear, double resume,
                                         enum audio_raw_type raw)
{
    struct auricle_options options;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct service_live_sink sink = live_sink_of(ear);
    struct service_live *live = NULL;
    struct au_fault fault = {0};
    double retry;
    auricle_options_default(&options);
    const struct service_live_spec spec = {.id = "a-stream",
                                           .options = &options,
                                           .stream = &stream,
                                           .raw = raw,
                                           .resume_seconds = resume};
    ear_init(ear);
    au_test_ok(service_live_open(service, &spec, &sink, &live, &retry, &fault), &fault);
    return live;
}

static struct service_live *open_live(struct service *service, struct ear *ear, double resume)
{
    return open_live_as(service, ear, resume, AUDIO_RAW_F32LE);
}

/* Samples that count up from `from`, small enough that nothing clips them. */
static void say(struct service_live *live, size_t n)
{
    static const float zeros[FAKE_WINDOW];
    struct au_fault fault = {0};
    size_t taken;
    while (n) {
        size_t now = n < FAKE_WINDOW ? n : FAKE_WINDOW;
        au_test_ok(
            service_live_feed(live, (const uint8_t *)zeros, now * sizeof(float), &taken, &fault),
            &fault);
        assert_int_equal(taken, now * sizeof(float));
        n -= now;
    }
}

static void beside_a_live_session_windows_of_recordings_come_one_by_one(void **state)
{
    (void)state;
    static struct ear file, speaker;
    struct service *service = start_service(NULL);
    fake_engines_hold(true);
    struct service_live *live = open_live(service, &speaker, 0);
    struct service_request *request = start_request(service, &file, SERVICE_PRIORITY_WAITING);
    say(live, 4 * FAKE_WINDOW);
    fake_engine_gate(true);
    fake_engines_hold(false);
    fake_engine_step(1);
    fake_engine_gate(false);
    wait_segments(&speaker, 4);
    wait_done(&file);
    static struct fake_run runs[FAKE_MAX_RUNS];
    size_t n = fake_engine_runs(runs, FAKE_MAX_RUNS);
    for (size_t i = 1; i < n; i++) /* both are there from the second on */
        assert_true(runs[i].n_windows <= 1 + FAKE_MAX_WINDOWS && runs[i].most_of_one <= 4);
    size_t n_single = 0;
    for (size_t i = 1; i < n; i++)
        n_single += runs[i].n_windows == 1;
    assert_true(n_single >= 6);
    service_live_close(live);
    wait_done(&speaker);
    assert_int_equal(speaker.error, AURICLE_OK);
    service_live_detach(live);
    service_request_release(request);
    stop_service(service);
}

/* ---- Live ------------------------------------------------------------------------------------ */

static void audio_is_kept_until_the_model_is_there(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    fake_engines_hold(true);
    struct service_live *live = open_live(service, &ear, 0);
    say(live, 20 * FAKE_WINDOW + 3);
    service_live_finalize(live);
    service_live_close(live);
    fake_engines_hold(false);
    wait_done(&ear);
    assert_int_equal(ear.n_segments, 21);
    assert_int_equal(ear.n_partials, 21);
    assert_int_equal(ear.error, AURICLE_OK);
    assert_true(ear.done > 2.0 && ear.done < 2.001);
    service_live_detach(live);
    stop_service(service);
}

static void a_lost_connection_may_come_back(void **state)
{
    (void)state;
    static struct ear before, after;
    struct au_fault fault = {0};
    struct service *service = start_service(NULL);
    struct service_live *live = open_live(service, &before, 60), *again = NULL;
    char id[64];
    snprintf(id, sizeof(id), "%s", service_live_session_id(live));
    assert_int_equal(strlen(id), 32);
    say(live, 2 * FAKE_WINDOW);
    wait_segments(&before, 2);
    struct service_live_sink sink = live_sink_of(&after);
    ear_init(&after);
    assert_int_equal(service_live_attach(service, id, &sink, &again, &fault),
                     AURICLE_E_NOT_FOUND); /* it has a connection */
    say(live, 3 * FAKE_WINDOW + 5);
    service_live_finalize(live);
    service_live_detach(live);
    assert_int_equal(service_live_attach(service, "00", &sink, &again, &fault),
                     AURICLE_E_NOT_FOUND);
    au_test_ok(service_live_attach(service, id, &sink, &again, &fault), &fault);
    assert_string_equal(service_live_session_id(again), id);
    say(again, FAKE_WINDOW);
    service_live_close(again);
    wait_done(&after);
    assert_int_equal(before.first_final, 1);
    assert_int_equal(after.first_final, 1); /* both of them may have been lost on their way */
    assert_int_equal(after.last_final, 7);
    assert_int_equal(after.n_segments, 7);
    assert_int_equal(before.n_done, 0);
    service_live_abort(again);
    assert_int_equal(service_live_attach(service, id, &sink, &again, &fault), AURICLE_E_NOT_FOUND);
    stop_service(service);
}

static size_t n_sessions(struct service *service)
{
    struct service_session_info *infos;
    size_t n;
    au_test_ok(service_sessions(service, &infos, &n), NULL);
    au_free(infos);
    return n;
}

/* A session that waits for who may have lost its end keeps no decoder, which others may need. */
static void what_waits_keeps_no_decoder(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    struct service_live *live = open_live_as(service, &ear, 60, AUDIO_RAW_NONE);
    assert_int_equal(fake_media_open(), 1);
    fake_media_decoded(SIZE_MAX);
    service_live_close(live);
    wait_done(&ear);
    assert_int_equal(ear.error, AURICLE_OK);
    assert_true(ear.n_segments > 0);
    while (service_active(service))
        sched_yield();
    assert_int_equal(n_sessions(service), 1);
    assert_int_equal(fake_media_open(), 0);
    service_live_detach(live);
    stop_service(service);
}

static void an_end_told_to_a_dead_connection_is_told_again(void **state)
{
    (void)state;
    static struct ear dead, after;
    struct au_fault fault = {0};
    struct service *service = start_service(&(struct service_limits){.max_live = 1});
    struct service_live *live = open_live(service, &dead, 60);
    struct service_live_sink sink = live_sink_of(&after);
    char id[64];
    snprintf(id, sizeof(id), "%s", service_live_session_id(live));
    say(live, 3 * FAKE_WINDOW);
    service_live_close(live);
    wait_done(&dead);
    while (service_active(service)) /* its place is free, whoever was told what */
        sched_yield();
    for (int i = 0; i < 2; i++) { /* the next one may be lost as well */
        service_live_detach(live);
        ear_init(&after);
        au_test_ok(service_live_attach(service, id, &sink, &live, &fault), &fault);
        wait_done(&after);
        assert_int_equal(after.n_segments, 3);
        assert_int_equal(after.first_final, 1);
        assert_true(after.done == dead.done && !after.error);
    }
    service_live_abort(live); /* it closed in good order */
    assert_int_equal(service_live_attach(service, id, &sink, &live, &fault), AURICLE_E_NOT_FOUND);
    live = open_live(service, &after, 0.05);
    snprintf(id, sizeof(id), "%s", service_live_session_id(live));
    service_live_close(live);
    wait_done(&after);
    service_live_detach(live);
    while (n_sessions(service)) /* nobody comes */
        sched_yield();
    assert_int_equal(service_live_attach(service, id, &sink, &live, &fault), AURICLE_E_NOT_FOUND);
    stop_service(service);
}

/* A connection that is dead takes what it is told until somebody notices. */
static void finals_told_to_a_dead_connection_are_told_again(void **state)
{
    (void)state;
    enum { N = 100, KEPT = 64 };
    static struct ear dead, after;
    struct au_fault fault = {0};
    struct service *service = start_service(NULL);
    struct service_live *live = open_live(service, &dead, 60);
    struct service_live_sink sink = live_sink_of(&after);
    char id[64];
    snprintf(id, sizeof(id), "%s", service_live_session_id(live));
    say(live, N * FAKE_WINDOW);
    wait_segments(&dead, N);
    for (int i = 0; i < 2; i++) { /* the next one may be lost as well */
        service_live_detach(live);
        ear_init(&after);
        au_test_ok(service_live_attach(service, id, &sink, &live, &fault), &fault);
        wait_segments(&after, KEPT);
        assert_int_equal(after.first_final, N - KEPT + 1);
    }
    service_live_close(live);
    wait_done(&after);
    assert_int_equal(after.last_final, N);
    assert_int_equal(after.n_segments, KEPT);
    service_live_detach(live);
    stop_service(service);
}

/* Everything was said, and nobody was there: it waits, newest partials only. */
static void what_nobody_heard_is_kept(void **state)
{
    (void)state;
    static struct ear first, second;
    struct au_fault fault = {0};
    struct service *service = start_service(NULL);
    fake_engine_gate(true);
    struct service_live *live = open_live(service, &first, 60);
    char id[64];
    snprintf(id, sizeof(id), "%s", service_live_session_id(live));
    say(live, 5 * FAKE_WINDOW);
    service_live_close(live);
    service_live_detach(live);
    fake_engine_gate(false);
    while (service_active(service)) /* a kept one is no longer active */
        sched_yield();
    struct service_live_sink sink = live_sink_of(&second);
    ear_init(&second);
    au_test_ok(service_live_attach(service, id, &sink, &live, &fault), &fault);
    wait_done(&second);
    assert_int_equal(second.n_segments, 5);
    assert_int_equal(second.n_partials, 0); /* finals came after each of them */
    assert_int_equal(first.n_segments, 0);
    service_live_detach(live);
    stop_service(service);
}

static void an_aborted_session_says_nothing_more(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    for (int i = 0; i < 20; i++) {
        struct service_live *live = open_live(service, &ear, i % 2 ? 60 : 0);
        say(live, (size_t)i * FAKE_WINDOW);
        if (i % 3 == 0)
            service_live_close(live);
        service_live_abort(live);
        int n_done = ear.n_done;
        while (service_active(service))
            sched_yield();
        assert_int_equal(ear.n_done, n_done);
    }
    stop_service(service);
}

static void nobody_comes_back(void **state)
{
    (void)state;
    static struct ear ear;
    struct au_fault fault = {0};
    struct service *service = start_service(NULL);
    struct service_live *live = open_live(service, &ear, 0.05), *again;
    char id[64];
    snprintf(id, sizeof(id), "%s", service_live_session_id(live));
    say(live, FAKE_WINDOW);
    service_live_detach(live);
    while (service_active(service))
        sched_yield();
    struct service_live_sink sink = live_sink_of(&ear);
    while (service_live_attach(service, id, &sink, &again, &fault) != AURICLE_E_NOT_FOUND)
        service_live_detach(again);
    assert_int_equal(ear.n_done, 0);
    stop_service(service);
}

static void a_drain_hears_everybody_out(void **state)
{
    (void)state;
    static struct ear file, speaker;
    struct auricle_options options;
    struct service *service = start_service(NULL);
    struct service_live *live = open_live(service, &speaker, 0);
    fake_engine_gate(true);
    struct service_request *request = start_request(service, &file, SERVICE_PRIORITY_WAITING);
    say(live, 3 * FAKE_WINDOW + 1);
    service_drain(service);
    fake_engine_gate(false);
    wait_done(&file);
    wait_done(&speaker);
    assert_int_equal(speaker.n_segments, 4);
    expect_text(&file, 10 * FAKE_WINDOW + 7);
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct service_live_sink sink = live_sink_of(&speaker);
    struct au_fault fault = {0};
    double retry;
    auricle_options_default(&options);
    const struct service_live_spec spec = {
        .options = &options, .stream = &stream, .raw = AUDIO_RAW_U8};
    struct service_live *more;
    assert_int_equal(service_live_open(service, &spec, &sink, &more, &retry, &fault),
                     AURICLE_E_LIMIT);
    say(live, FAKE_WINDOW); /* dropped */
    service_live_close(live);
    size_t taken;
    assert_int_equal(service_live_feed(live, (const uint8_t *)"ab", 2, &taken, &fault),
                     AURICLE_E_STATE);
    service_live_detach(live);
    service_request_release(request);
    stop_service(service);
    assert_int_equal(speaker.n_segments, 4);
}

static void a_session_nobody_feeds_is_closed(void **state)
{
    (void)state;
    static struct ear ear;
    struct service *service = start_service(NULL);
    struct service_live *live = open_live(service, &ear, 0), *other;
    static struct ear unheard;
    say(live, FAKE_WINDOW + 5);
    wait_segments(&ear, 1);
    fake_clock_turn(14 * 60);
    other = open_live(service, &unheard, 0); /* so that the scheduler looks up */
    say(other, FAKE_WINDOW);
    wait_segments(&unheard, 1);
    assert_int_equal(ear.n_done, 0);
    fake_clock_turn(2 * 60);
    say(other, FAKE_WINDOW);
    wait_done(&ear);
    assert_int_equal(ear.error, AURICLE_E_TIMEOUT);
    assert_non_null(strstr(ear.sentence, "15 minutes"));
    assert_int_equal(ear.n_segments, 2); /* the tail was heard all the same */
    assert_int_equal(unheard.n_done, 0);
    say(live, 1); /* dropped, not refused */
    service_live_detach(live);
    service_live_abort(other);
    stop_service(service);
}

/* ---- Seen from outside ----------------------------------------------------------------------- */

static void sessions_are_listed(void **state)
{
    (void)state;
    static struct ear file, speaker;
    struct service_session_info *infos;
    struct au_fault fault = {0};
    size_t n;
    struct service *service = start_service(NULL);
    fake_media_decoded(2 * FAKE_WINDOW);
    struct service_request *request = start_request(service, &file, SERVICE_PRIORITY_WAITING);
    wait_segments(&file, 2);
    struct service_live *live = open_live(service, &speaker, 60);
    service_live_detach(live);
    au_test_ok(service_sessions(service, &infos, &n), NULL);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(infos[i].id, infos[i].live ? "a-stream" : "a-request");
        if (infos[i].live)
            assert_string_equal(infos[i].state, "detached");
        else
            assert_string_equal(infos[i].model, "fake");
        assert_true(infos[i].age_seconds >= 0);
    }
    au_free(infos);
    assert_true(service_making_progress(service, &fault)); /* waiting for audio is no fault */
    service_request_cancel(request);
    service_request_release(request);
    wait_done(&file);
    service_destroy(service); /* the detached one is let go */
    fake_assert_clean();
}

static void a_stuck_engine_is_noticed(void **state)
{
    (void)state;
    static struct ear ear;
    struct au_fault why = {0};
    struct service *service = start_service(NULL);
    fake_clock_turn(3600); /* nothing to do is no fault */
    assert_true(service_making_progress(service, &why));
    fake_engine_gate(true);
    struct service_request *request = start_request(service, &ear, SERVICE_PRIORITY_WAITING);
    fake_engine_step(2);
    assert_true(service_making_progress(service, &why));
    fake_clock_turn(60);
    assert_false(service_making_progress(service, &why));
    assert_non_null(strstr(why.text, "none was finished for 60 s"));
    fake_engine_step(2);
    assert_true(service_making_progress(service, &why));
    fake_engine_gate(false);
    wait_done(&ear);
    service_request_release(request);
    stop_service(service);
}

/* ---- A work of our own ----------------------------------------------------------------------- */

/* Over, and kept: its listener left again whenever it was to be told. */
struct kept_work {
    struct service_work work; /* first */
    int times_kept;
    atomic_int n_over, n_destroyed;
};

static enum auricle_error check_kept(struct service_work *work, int64_t now_ns,
                                     struct auricle_message *message)
{
    (void)work, (void)now_ns;
    message->text[0] = 0;
    return AURICLE_E_CANCELLED;
}

static bool over_kept(struct service_work *work, enum auricle_error error, const char *sentence)
{
    struct kept_work *kept = (struct kept_work *)work;
    (void)error, (void)sentence;
    return atomic_fetch_add(&kept->n_over, 1) < kept->times_kept;
}

static void destroy_kept(struct service_work *work)
{
    atomic_fetch_add(&((struct kept_work *)work)->n_destroyed, 1);
}

/* Poked until it was over so many times; false if that never comes. */
static bool comes_over(struct kept_work *kept, int times)
{
    for (int i = 0; i < 1000000 && atomic_load(&kept->n_over) < times; i++) {
        service_work_poke(&kept->work);
        sched_yield();
    }
    return atomic_load(&kept->n_over) >= times;
}

static void what_is_kept_may_be_kept_again(void **state)
{
    static const struct service_work_ops ops = {
        .check = check_kept, .over = over_kept, .destroy = destroy_kept};
    static struct kept_work kept = {.times_kept = 3};
    struct service *service = start_service(NULL);
    (void)state;
    service_work_init(&kept.work, service->scheduler, &ops, SERVICE_PRIORITY_LIVE, "kept", NULL);
    service_work_start(&kept.work, service->engines, NULL);
    for (int i = 1; i <= kept.times_kept + 1; i++)
        if (!comes_over(&kept, i))
            fail_msg("it was over %d times, and then forgotten", atomic_load(&kept.n_over));
    assert_int_equal(atomic_load(&kept.n_destroyed), 0);
    service_work_unref(&kept.work);
    service_destroy(service);
    assert_int_equal(atomic_load(&kept.n_over), kept.times_kept + 1);
    assert_int_equal(atomic_load(&kept.n_destroyed), 1);
    fake_assert_clean();
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_of_all_recordings_are_bounded),
        TEST(places_and_bytes_are_bounded),
        TEST(a_request_is_told_of_everything_once),
        TEST(a_recording_without_samples_is_no_silence),
        TEST(audio_is_heard_as_it_is_decoded),
        TEST(what_fails_is_told_and_given_back),
        TEST(a_warning_of_the_media_is_passed_on),
        TEST(every_allocation_may_fail),
        TEST(cancelling_works_wherever_it_is),
        TEST(destroying_ends_what_is_left),
        TEST(equal_units_run_as_one_batch),
        TEST(a_lone_recording_gets_all_windows),
        TEST(beside_a_live_session_windows_of_recordings_come_one_by_one),
        TEST(audio_is_kept_until_the_model_is_there),
        TEST(a_lost_connection_may_come_back),
        TEST(finals_told_to_a_dead_connection_are_told_again),
        TEST(an_end_told_to_a_dead_connection_is_told_again),
        TEST(what_waits_keeps_no_decoder),
        TEST(what_nobody_heard_is_kept),
        TEST(an_aborted_session_says_nothing_more),
        TEST(nobody_comes_back),
        TEST(a_drain_hears_everybody_out),
        TEST(a_session_nobody_feeds_is_closed),
        TEST(sessions_are_listed),
        TEST(a_stuck_engine_is_noticed),
        TEST(what_is_kept_may_be_kept_again),
    };
    return cmocka_run_group_tests_name("service_work", tests, NULL, NULL);
}
