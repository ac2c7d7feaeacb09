/* The whole chain of a service, from bytes to text, with the bundled model: many at once hear what
 * each hears alone, whatever else is going on.
 *
 * What is expected comes from the library alone: auricle_transcribe, and a stream that is fed all
 * at once. The decoder processes are this program again (main below).                            */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "audio/decode.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "service/media/worker.h"
#include "service/service.h"
#include "service/work/live.h"
#include "service/work/request.h"
#include "support/support.h"
#include "support/wav.h"

enum { N_REQUESTS = 7, N_LIVE = 3 };

static struct auricle_engine *engine; /* beside the service, for what is expected */
static struct service *service;
static char *scratch;

/* ---- The text of a run ----------------------------------------------------------------------- */

/* Everything that matters of a segment: times and probabilities with all their bits. */
static void write_segment(struct au_buf *out, const struct auricle_segment *segment)
{
    (void)au_buf_printf(out, "%a %a %a %s [%s]", segment->start, segment->end,
                        (double)segment->avg_logprob, segment->language, segment->text);
    for (size_t i = 0; i < segment->n_words; i++)
        (void)au_buf_printf(out, " %s@%a", segment->words[i].text, segment->words[i].start);
    (void)au_buf_putc(out, '\n');
}

struct ear {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct au_buf text;
    size_t n_segments, n_partials, n_flushed, n_progress;
    bool done;
    int64_t done_ns;
    enum auricle_error error;
    char sentence[512];
    struct service_timings timings;
};

static void ear_init(struct ear *ear)
{
    memset(ear, 0, sizeof(*ear));
    au_buf_init(&ear->text, 0);
    pthread_mutex_init(&ear->lock, NULL);
    pthread_cond_init(&ear->changed, NULL);
}

static void changed(struct ear *ear)
{
    pthread_cond_broadcast(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static void on_segment(void *context, const struct auricle_segment *segment)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    write_segment(&ear->text, segment);
    ear->n_segments++;
    changed(ear);
}

static void on_progress(void *context, double done, double total)
{
    struct ear *ear = context;
    (void)done, (void)total;
    pthread_mutex_lock(&ear->lock);
    ear->n_progress++;
    changed(ear);
}

static void note_done(struct ear *ear, enum auricle_error error, const char *sentence)
{
    ear->done = true;
    ear->done_ns = au_now_ns();
    ear->error = error;
    snprintf(ear->sentence, sizeof(ear->sentence), "%s", sentence ? sentence : "");
}

static void on_done(void *context, const struct service_outcome *outcome)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    note_done(ear, outcome->error, outcome->sentence);
    ear->timings = outcome->timings;
    changed(ear);
}

static void on_event(void *context, const struct auricle_stream_event *event, int64_t n_final)
{
    struct ear *ear = context;
    (void)n_final;
    pthread_mutex_lock(&ear->lock);
    ear->n_partials += event->kind == AURICLE_STREAM_PARTIAL;
    ear->n_flushed += event->kind == AURICLE_STREAM_FLUSHED;
    if (event->kind == AURICLE_STREAM_FINAL) {
        write_segment(&ear->text, event->segment);
        ear->n_segments++;
    }
    changed(ear);
}

static void on_live_done(void *context, enum auricle_error error, const char *sentence,
                         double seconds)
{
    struct ear *ear = context;
    (void)seconds;
    pthread_mutex_lock(&ear->lock);
    note_done(ear, error, sentence);
    changed(ear);
}

static void wait_done(struct ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    while (!ear->done)
        pthread_cond_wait(&ear->changed, &ear->lock);
    pthread_mutex_unlock(&ear->lock);
}

static void wait_for(struct ear *ear, const size_t *count, size_t n)
{
    pthread_mutex_lock(&ear->lock);
    while (*count < n && !ear->done)
        pthread_cond_wait(&ear->changed, &ear->lock);
    pthread_mutex_unlock(&ear->lock);
}

static size_t seen(struct ear *ear, const size_t *count)
{
    pthread_mutex_lock(&ear->lock);
    size_t n = *count;
    pthread_mutex_unlock(&ear->lock);
    return n;
}

static bool is_done(struct ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    bool done = ear->done;
    pthread_mutex_unlock(&ear->lock);
    return done;
}

/* ---- What is expected ------------------------------------------------------------------------ */

static char *demo(const char *name)
{
    char *folder = au_test_source("demo"), *path = au_path_join(folder, name);
    au_free(folder);
    assert_non_null(path);
    return path;
}

static char *alone(const char *path, const struct auricle_options *options)
{
    struct auricle_message message;
    struct auricle_result *result;
    struct au_buf text;
    au_buf_init(&text, 0);
    if (auricle_transcribe(engine, path, options, NULL, &result, &message))
        fail_msg("%s", message.text);
    for (size_t i = 0; i < result->n_segments; i++)
        write_segment(&text, &result->segments[i]);
    assert_true(result->n_segments > 0);
    auricle_result_destroy(result);
    return au_buf_take(&text);
}

static float *decoded(const char *path, size_t *n)
{
    struct au_fault fault = {0};
    struct audio_reader *reader;
    float *samples;
    au_test_ok(audio_open_path(path, NULL, &reader, &fault), &fault);
    au_test_ok(audio_read_all(reader, &samples, n, &fault), &fault);
    audio_close(reader);
    return samples;
}

static void take_finals(struct auricle_session *session, struct au_buf *text)
{
    struct auricle_stream_event event;
    while (auricle_stream_next_event(session, &event))
        if (event.kind == AURICLE_STREAM_FINAL)
            write_segment(text, event.segment);
}

/* A stream by itself, fed as fast as it listens. */
static char *alone_live(const float *samples, size_t n, const struct auricle_options *options,
                        const struct auricle_stream_options *stream)
{
    struct auricle_message message;
    struct auricle_session *session;
    struct auricle_unit *unit;
    struct au_buf text;
    size_t fed = 0;
    au_buf_init(&text, 0);
    if (auricle_session_create_stream(engine, options, stream, &session, &message))
        fail_msg("%s", message.text);
    while (!auricle_session_finished(session)) {
        fed += auricle_stream_feed(session, samples + fed, n - fed);
        if (fed == n)
            auricle_stream_close(session);
        au_test_ok(auricle_session_next(session, &unit, &message), NULL);
        if (unit) {
            auricle_engine_run(engine, &unit, 1);
            au_test_ok(auricle_session_complete(session, unit, &message), NULL);
        }
        take_finals(session, &text);
    }
    take_finals(session, &text);
    auricle_session_destroy(session);
    return au_buf_take(&text);
}

/* ---- Asking the service ---------------------------------------------------------------------- */

static struct service_request *start(struct ear *ear, const char *path,
                                     const struct auricle_options *options,
                                     enum service_priority priority)
{
    struct service_sink sink = {
        .context = ear, .on_segment = on_segment, .on_progress = on_progress, .on_done = on_done};
    struct service_request_spec spec = {.id = "test",
                                        .options = options,
                                        .name = au_path_name(path),
                                        .fd = open(path, O_RDONLY | O_CLOEXEC),
                                        .priority = priority};
    struct service_request *request = NULL;
    struct au_fault fault = {0};
    double retry;
    ear_init(ear);
    au_test_ok(service_admit(service, 1 << 20, &spec.ticket, &retry, &fault), &fault);
    au_test_ok(service_request_start(service, &spec, &sink, &request, &fault), &fault);
    return request;
}

static struct service_live *open_live(struct ear *ear, enum audio_raw_type raw,
                                      const struct auricle_options *options,
                                      const struct auricle_stream_options *stream, double resume)
{
    struct service_live_sink sink = {ear, on_event, on_live_done};
    const struct service_live_spec spec = {
        .id = "live", .options = options, .stream = stream, .raw = raw, .resume_seconds = resume};
    struct service_live *live = NULL;
    struct au_fault fault = {0};
    double retry;
    ear_init(ear);
    au_test_ok(service_live_open(service, &spec, &sink, &live, &retry, &fault), &fault);
    return live;
}

/* All of it, as fast as it is taken. */
static void feed(struct service_live *live, const void *bytes, size_t n)
{
    struct au_fault fault = {0};
    size_t at = 0, taken;
    while (at < n) {
        size_t piece = n - at < 3201 ? n - at : 3201; /* cuts frames */
        au_test_ok(service_live_feed(live, (const uint8_t *)bytes + at, piece, &taken, &fault),
                   &fault);
        at += taken;
        if (!taken)
            sched_yield();
    }
}

static void expect_same(struct ear *ear, char *expected)
{
    if (ear->error)
        fail_msg("%s", ear->sentence);
    assert_string_equal(ear->text.data, expected);
    au_buf_deinit(&ear->text);
    au_free(expected);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static struct auricle_options options_of(size_t i)
{
    struct auricle_options options;
    auricle_options_default(&options);
    options.filter = false; /* words to compare, however little the model believes in them */
    options.no_speech_threshold = NAN;
    options.word_timestamps = i % 2;
    options.beam_size = i % 3 == 2 ? 3 : 0;
    options.language = i % 2 ? "en" : NULL;
    if (i == 4)
        options.long_form = AURICLE_LONG_FORM_SEQUENTIAL;
    return options;
}

/* talk.flac several times over. */
static char *long_talk(size_t times)
{
    char *talk = demo("talk.flac");
    size_t n, n_bytes;
    float *samples = decoded(talk, &n);
    int16_t *pcm = au_alloc_array(n * times, sizeof(*pcm));
    assert_non_null(pcm);
    for (size_t i = 0; i < n * times; i++)
        pcm[i] = (int16_t)(samples[i % n] * 32767.0f);
    uint8_t *wav = au_test_wav_s16(pcm, n * times, 1, AUDIO_RATE_HZ, &n_bytes);
    char *path = au_test_write(scratch, "long.wav", wav, n_bytes);
    au_free(wav);
    au_free(pcm);
    au_free(samples);
    au_free(talk);
    return path;
}

static void many_hear_what_each_hears_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"talk.flac", "talk.mp3", "talk.opus", "note.wav"};
    static struct ear ears[N_REQUESTS], lives[N_LIVE];
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct service_request *requests[N_REQUESTS];
    struct service_live *speakers[N_LIVE];
    struct auricle_options options;
    char *path = demo("talk.flac");
    size_t n;
    float *samples = decoded(path, &n);
    au_free(path);
    for (size_t i = 0; i < N_REQUESTS; i++) {
        options = options_of(i);
        path = demo(names[i % 4]);
        requests[i] = start(&ears[i], path, &options,
                            i % 2 ? SERVICE_PRIORITY_BACKGROUND : SERVICE_PRIORITY_WAITING);
        au_free(path);
    }
    for (size_t i = 0; i < N_LIVE; i++) {
        options = options_of(i);
        speakers[i] = open_live(&lives[i], AUDIO_RAW_F32LE, &options, &stream, 0);
        feed(speakers[i], samples, n * sizeof(*samples));
        service_live_close(speakers[i]);
    }
    for (size_t i = 0; i < N_REQUESTS; i++) {
        wait_done(&ears[i]);
        options = options_of(i);
        path = demo(names[i % 4]);
        expect_same(&ears[i], alone(path, &options));
        assert_true(ears[i].timings.encoder > 0 && ears[i].timings.decode_audio > 0);
        service_request_release(requests[i]);
        au_free(path);
    }
    for (size_t i = 0; i < N_LIVE; i++) {
        wait_done(&lives[i]);
        options = options_of(i);
        assert_true(lives[i].n_segments > 0);
        expect_same(&lives[i], alone_live(samples, n, &options, &stream));
        service_live_detach(speakers[i]);
    }
    au_free(samples);
}

static void a_stream_in_a_container_is_heard_as_it_arrives(void **state)
{
    (void)state;
    static struct ear ear;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_options options = options_of(0);
    char *path = demo("talk.opus");
    size_t n, n_bytes;
    float *samples = decoded(path, &n);
    char *bytes = au_test_read(path, &n_bytes);
    struct service_live *live = open_live(&ear, AUDIO_RAW_NONE, &options, &stream, 0);
    feed(live, bytes, n_bytes / 3);
    wait_for(&ear, &ear.n_partials, 1); /* words come before the end does */
    feed(live, bytes + n_bytes / 3, n_bytes - n_bytes / 3);
    service_live_close(live);
    wait_done(&ear);
    assert_true(ear.n_segments > 0);
    expect_same(&ear, alone_live(samples, n, &options, &stream));
    service_live_detach(live);
    au_free(bytes);
    au_free(samples);
    au_free(path);
}

static void what_is_no_recording_is_said_to_be(void **state)
{
    (void)state;
    static struct ear ear;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_options options = options_of(0);
    char *path = demo("talk.txt");
    struct service_request *request = start(&ear, path, &options, SERVICE_PRIORITY_WAITING);
    wait_done(&ear);
    assert_int_equal(ear.error, AURICLE_E_FORMAT);
    assert_non_null(strstr(ear.sentence, "not a recording"));
    service_request_release(request);
    struct service_live *live = open_live(&ear, AUDIO_RAW_NONE, &options, &stream, 0);
    size_t n_bytes, taken;
    struct au_fault fault;
    char *bytes = au_test_read(path, &n_bytes);
    au_test_ok(service_live_feed(live, (const uint8_t *)bytes, n_bytes, &taken, &fault), &fault);
    service_live_close(live);
    wait_done(&ear);
    assert_int_equal(ear.error, AURICLE_E_FORMAT);
    service_live_detach(live);
    au_free(bytes);
    au_free(path);
}

static void cancelling_takes_a_moment(void **state)
{
    (void)state;
    static struct ear ear;
    struct auricle_options options = options_of(0);
    char *path = long_talk(24);
    int64_t worst = 0;
    for (size_t i = 0; i < 5; i++) {
        struct service_request *request = start(&ear, path, &options, SERVICE_PRIORITY_WAITING);
        wait_for(&ear, &ear.n_progress, i); /* at another place each time */
        int64_t asked_ns = au_now_ns();
        service_request_cancel(request);
        size_t n_progress = seen(&ear, &ear.n_progress);
        wait_done(&ear);
        assert_in_range(ear.n_progress, n_progress, n_progress + 1); /* of the turn under way */
        assert_int_equal(ear.error, AURICLE_E_CANCELLED);
        worst = ear.done_ns - asked_ns > worst ? ear.done_ns - asked_ns : worst;
        service_request_release(request);
        au_buf_deinit(&ear.text);
    }
    print_message("cancelled within %.0f ms\n", (double)worst * 1e-6);
    assert_true(worst < INT64_C(5000000000)); /* 200 ms where the machine is ours alone */
    au_free(path);
}

/* The recording never stops to let others pass, and yet the words keep coming. */
static void a_stream_is_heard_beside_a_long_recording(void **state)
{
    (void)state;
    static struct ear file, speaker;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_options options = options_of(0);
    char *path = long_talk(6), *talk = demo("talk.flac");
    size_t n, n_fed = 0;
    float *samples = decoded(talk, &n);
    struct service_request *request = start(&file, path, &options, SERVICE_PRIORITY_WAITING);
    wait_for(&file, &file.n_progress, 1);
    struct service_live *live = open_live(&speaker, AUDIO_RAW_F32LE, &options, &stream, 0);
    for (size_t heard = 0; n_fed < n && !is_done(&file);
         heard = seen(&speaker, &speaker.n_partials)) {
        size_t second = n - n_fed < AUDIO_RATE_HZ ? n - n_fed : AUDIO_RATE_HZ;
        feed(live, samples + n_fed, second * sizeof(*samples));
        n_fed += second;
        if (n_fed > 4 * AUDIO_RATE_HZ && n_fed < 12 * AUDIO_RATE_HZ) /* while they speak */
            wait_for(&speaker, &speaker.n_partials, heard + 1);
    }
    bool was_running = !is_done(&file);
    size_t n_partials = seen(&speaker, &speaker.n_partials);
    service_live_close(live);
    wait_done(&speaker);
    wait_done(&file);
    print_message("%zu partials came while the recording was %s\n", n_partials,
                  was_running ? "still heard" : "heard");
    assert_true(n_partials >= 3);
    expect_same(&file, alone(path, &options));
    expect_same(&speaker, alone_live(samples, n, &options, &stream));
    service_live_detach(live);
    service_request_release(request);
    au_free(samples);
    au_free(talk);
    au_free(path);
}

static void a_full_service_says_when_to_come_again(void **state)
{
    (void)state;
    static struct ear ears[2];
    const struct service_limits before = service_get_limits(service), tight = {.max_waiting = 2};
    struct auricle_options options = options_of(0);
    struct service_request *requests[2];
    struct service_ticket *ticket = NULL;
    struct au_fault fault = {0};
    double retry = 0;
    char *path = demo("note.wav");
    service_set_limits(service, &tight, 0);
    for (size_t i = 0; i < 2; i++)
        requests[i] = start(&ears[i], path, &options, SERVICE_PRIORITY_WAITING);
    assert_int_equal(service_admit(service, 0, &ticket, &retry, &fault), AURICLE_E_LIMIT);
    assert_true(retry >= 1 && retry <= 120);
    for (size_t i = 0; i < 2; i++) {
        wait_done(&ears[i]);
        au_buf_deinit(&ears[i].text);
        service_request_release(requests[i]);
    }
    au_test_ok(service_admit(service, 0, &ticket, &retry, &fault), &fault);
    service_ticket_release(ticket);
    service_set_limits(service, &before, 0);
    au_free(path);
}

static void what_the_model_cannot_do_is_named(void **state)
{
    (void)state;
    static struct ear ear;
    struct auricle_options options = options_of(0);
    struct auricle_model_info info;
    auricle_engine_info(engine, &info);
    options.language = "xh"; /* not among those of Whisper */
    struct service_ticket *ticket = NULL;
    struct service_request *request = NULL;
    struct au_fault fault = {0};
    double retry;
    char *path = demo("note.wav");
    struct service_sink sink = {.context = &ear, .on_done = on_done};
    ear_init(&ear);
    au_test_ok(service_admit(service, 0, &ticket, &retry, &fault), &fault);
    const struct service_request_spec spec = {.options = &options,
                                              .ticket = ticket,
                                              .model = "no-such-model",
                                              .fd = open(path, O_RDONLY | O_CLOEXEC)};
    assert_int_equal(service_request_start(service, &spec, &sink, &request, &fault),
                     AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "no-such-model"));
    request = start(&ear, path, &options, SERVICE_PRIORITY_WAITING);
    wait_done(&ear);
    assert_int_equal(ear.error, AURICLE_E_INVALID);
    assert_non_null(strstr(ear.sentence, "xh"));
    service_request_release(request);
    au_free(path);
}

/* The last test: afterwards nobody is let in. */
static void a_drain_finishes_what_runs(void **state)
{
    (void)state;
    static struct ear file, speaker;
    struct auricle_stream_options stream = AURICLE_STREAM_OPTIONS_INIT;
    struct auricle_options options = options_of(0);
    struct service_ticket *ticket = NULL;
    struct au_fault fault = {0};
    double retry;
    size_t n;
    char *path = demo("talk.flac");
    float *samples = decoded(path, &n);
    struct service_request *request = start(&file, path, &options, SERVICE_PRIORITY_WAITING);
    struct service_live *live = open_live(&speaker, AUDIO_RAW_F32LE, &options, &stream, 0);
    feed(live, samples, n * sizeof(*samples));
    service_drain(service);
    assert_int_equal(service_admit(service, 0, &ticket, &retry, &fault), AURICLE_E_LIMIT);
    wait_done(&file);
    wait_done(&speaker);
    expect_same(&file, alone(path, &options));
    expect_same(&speaker, alone_live(samples, n, &options, &stream));
    service_live_detach(live);
    service_request_release(request);
    while (service_active(service))
        sched_yield();
    assert_true(service_making_progress(service, &fault));
    au_free(samples);
    au_free(path);
}

/* ---- Before and after ------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    struct auricle_message message;
    struct au_fault fault = {0};
    char *model = au_test_source("models/nano"), *vad = au_test_source("models/vad");
    struct auricle_engine_options options = AURICLE_ENGINE_OPTIONS_INIT;
    struct service_config config = {.engines = {.model = model,
                                                .vad_model = vad,
                                                .cache_folder = "off",
                                                .threads = 2,
                                                .ttl_seconds = -1,
                                                .cpu_level = getenv("AURICLE_CPU_LEVEL"),
                                                .max_windows = 4}};
    options.model = model;
    options.vad_model = vad;
    options.threads = 2;
    options.cpu_level = config.engines.cpu_level;
    options.max_windows = 4;
    if (auricle_engine_create(&options, &engine, &message))
        fail_msg("%s", message.text);
    au_test_ok(service_create(&config, &service, &fault), &fault);
    scratch = au_test_scratch_folder();
    au_free(model);
    au_free(vad);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    service_destroy(service);
    auricle_engine_destroy(engine);
    au_test_scratch_remove(scratch);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_hear_what_each_hears_alone),
        cmocka_unit_test(a_stream_in_a_container_is_heard_as_it_arrives),
        cmocka_unit_test(what_is_no_recording_is_said_to_be),
        cmocka_unit_test(cancelling_takes_a_moment),
        cmocka_unit_test(a_stream_is_heard_beside_a_long_recording),
        cmocka_unit_test(a_full_service_says_when_to_come_again),
        cmocka_unit_test(what_the_model_cannot_do_is_named),
        cmocka_unit_test(a_drain_finishes_what_runs),
    };
    if (argc > 1 && au_str_equal(argv[1], MEDIA_WORKER_WORD))
        return service_worker_main(NULL);
    return cmocka_run_group_tests_name("service_chain", tests, setup, teardown);
}
