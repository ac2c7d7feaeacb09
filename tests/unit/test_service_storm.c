/* Requests and live sessions begun, fed, detached, attached, cancelled and aborted from several
 * threads at random, over the stand-ins of service_fakes.h: every sink hears its end exactly once
 * where it should, never after it let go, and nothing is left. Meant for the thread and address
 * sanitizers above all. The seeds are printed.                                                   */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "service/work/live.h"
#include "service/work/request.h"
#include "service_fakes.h"
#include "support/support.h"

enum { N_THREADS = 4, N_ROUNDS = 300, N_SLOTS = 6 };

static struct service *service;

/* One sink's memory: what it is about was over when it is freed. */
struct ear {
    atomic_int n_done, n_told;
    atomic_bool deaf; /* it let go: nothing may be told any more */
};

static void on_segment(void *context, const struct auricle_segment *segment)
{
    struct ear *ear = context;
    assert_non_null(segment->text);
    atomic_fetch_add(&ear->n_told, 1);
}

static void on_done(void *context, const struct service_outcome *outcome)
{
    struct ear *ear = context;
    assert_true(outcome->error == AURICLE_OK || outcome->error == AURICLE_E_CANCELLED);
    atomic_fetch_add(&ear->n_done, 1);
}

static void on_event(void *context, const struct auricle_stream_event *event, int64_t n_final)
{
    struct ear *ear = context;
    (void)n_final;
    assert_non_null(event->text);
    assert_false(atomic_load(&ear->deaf));
    atomic_fetch_add(&ear->n_told, 1);
}

static void on_live_done(void *context, enum auricle_error error, const char *sentence,
                         double seconds)
{
    struct ear *ear = context;
    (void)error, (void)sentence, (void)seconds;
    assert_false(atomic_load(&ear->deaf));
    assert_int_equal(atomic_fetch_add(&ear->n_done, 1), 0);
}

/* A request or a live session in some state. */
struct slot {
    struct service_request *request;
    struct service_live *live;
    struct ear *ear;
    bool cancelled;
    char name[64]; /* of a live session that was detached; "": none */
};

static struct ear *new_ear(void)
{
    struct ear *ear = au_calloc(1, sizeof(*ear));
    assert_non_null(ear);
    return ear;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void begin_request(struct slot *slot, uint64_t dice)
{
    struct auricle_options options;
    struct service_sink sink = {
        .context = slot->ear = new_ear(), .on_segment = on_segment, .on_done = on_done};
    struct au_fault fault = {0};
    double retry;
    auricle_options_default(&options);
    struct service_request_spec spec = {.id = "storm",
                                        .options = &options,
                                        .fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
                                        .priority = dice % 2 ? SERVICE_PRIORITY_WAITING
                                                             : SERVICE_PRIORITY_BACKGROUND};
    au_test_ok(service_admit(service, 10, &spec.ticket, &retry, &fault), &fault);
    au_test_ok(service_request_start(service, &spec, &sink, &slot->request, &fault), &fault);
}

static void step_request(struct slot *slot, uint64_t dice)
{
    if (dice % 3 == 0) {
        service_request_cancel(slot->request);
        slot->cancelled = true;
    }
    if (dice % 5)
        return;
    if (!slot->cancelled) { /* let it come to its end */
        fake_engines_hold(false);
        fake_media_decoded(SIZE_MAX);
    }
    while (!atomic_load(&slot->ear->n_done))
        sched_yield();
    assert_int_equal(atomic_load(&slot->ear->n_done), 1);
    service_request_release(slot->request);
    au_free(slot->ear);
    *slot = (struct slot){0};
}

/* ---- Live ------------------------------------------------------------------------------------ */

static void begin_live(struct slot *slot, uint64_t dice)
{
    struct auricle_options options;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct service_live_sink sink = {slot->ear = new_ear(), on_event, on_live_done};
    struct au_fault fault = {0};
    double retry;
    auricle_options_default(&options);
    const struct service_live_spec spec = {.id = "storm",
                                           .options = &options,
                                           .stream = &stream,
                                           .raw = dice % 2 ? AUDIO_RAW_U8 : AUDIO_RAW_NONE,
                                           .raw_rate_hz = dice % 4 == 1 ? 8000 : 16000,
                                           .raw_channels = 1 + (int)(dice % 3),
                                           .resume_seconds = dice % 7 ? 30 : 0};
    au_test_ok(service_live_open(service, &spec, &sink, &slot->live, &retry, &fault), &fault);
}

/* The sink's memory goes when it has let go, so that a late call would be seen. */
static void let_go(struct slot *slot, bool abort)
{
    if (abort)
        service_live_abort(slot->live);
    else
        service_live_detach(slot->live);
    atomic_store(&slot->ear->deaf, true);
    au_free(slot->ear);
    slot->ear = NULL;
    slot->live = NULL;
}

static void come_back(struct slot *slot)
{
    struct service_live_sink sink = {slot->ear = new_ear(), on_event, on_live_done};
    struct au_fault fault = {0};
    if (service_live_attach(service, slot->name, &sink, &slot->live, &fault)) {
        assert_int_equal(fault.code, AURICLE_E_NOT_FOUND);
        au_free(slot->ear);
        slot->ear = NULL;
        slot->live = NULL;
    }
    slot->name[0] = 0;
}

static void step_live(struct slot *slot, uint64_t dice)
{
    static const uint8_t noise[3000];
    struct au_fault fault = {0};
    size_t taken;
    enum auricle_error error;
    switch (dice % 12) {
    case 0: service_live_close(slot->live); break;
    case 1: service_live_finalize(slot->live); break;
    case 2: let_go(slot, true); break;
    case 3:
        snprintf(slot->name, sizeof(slot->name), "%s", service_live_session_id(slot->live));
        let_go(slot, false);
        break;
    default:
        error = service_live_feed(slot->live, noise, dice / 12 % sizeof(noise), &taken, &fault);
        assert_true(!error || error == AURICLE_E_STATE);
    }
}

/* ---- The storm ------------------------------------------------------------------------------- */

static void look_around(void)
{
    struct service_session_info *infos;
    struct au_fault fault;
    size_t n;
    au_test_ok(service_sessions(service, &infos, &n), NULL);
    au_free(infos);
    (void)service_active(service);
    (void)service_making_progress(service, &fault);
}

static void step(struct slot *slot, uint64_t dice)
{
    if (slot->request)
        step_request(slot, dice);
    else if (slot->live)
        step_live(slot, dice);
    else if (slot->name[0])
        come_back(slot);
    else if (dice % 2)
        begin_request(slot, dice / 2);
    else
        begin_live(slot, dice / 2);
}

static void *blow(void *context)
{
    struct au_test_random random = {*(const uint64_t *)context};
    struct slot slots[N_SLOTS] = {0};
    for (int i = 0; i < N_ROUNDS * N_SLOTS; i++) {
        uint64_t dice = au_test_random_u64(&random) >> 8;
        step(&slots[dice % N_SLOTS], dice / N_SLOTS);
        if (dice % 97 == 0)
            look_around();
        if (dice % 31 == 0)
            fake_media_decoded(dice % 2 ? SIZE_MAX : dice % (8 * FAKE_WINDOW));
        if (dice % 61 == 0)
            fake_engines_hold(dice % 2);
    }
    fake_engines_hold(false);
    fake_media_decoded(SIZE_MAX);
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (slots[i].request)
            step_request(&slots[i], 0);
        if (slots[i].live)
            let_go(&slots[i], i % 2);
    }
    return NULL;
}

static void storm(uint64_t seed)
{
    pthread_t threads[N_THREADS];
    uint64_t seeds[N_THREADS];
    struct au_fault fault = {0};
    struct service_config config = {.limits = {.max_live = 10000, .max_waiting = 10000}};
    print_message("seed %llu\n", (unsigned long long)seed);
    fake_clock_reset();
    fake_media_set(8 * FAKE_WINDOW, AURICLE_OK);
    au_test_ok(service_create(&config, &service, &fault), &fault);
    for (size_t i = 0; i < N_THREADS; i++) {
        seeds[i] = seed * N_THREADS + i;
        assert_int_equal(pthread_create(&threads[i], NULL, blow, &seeds[i]), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    fake_engines_hold(false);
    fake_media_decoded(SIZE_MAX);
    service_drain(service);
    while (service_active(service))
        sched_yield();
    service_destroy(service);
    fake_assert_clean();
}

static void a_storm_leaves_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        storm(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_storm_leaves_nothing_behind)};
    return cmocka_run_group_tests_name("service_storm", tests, NULL, NULL);
}
