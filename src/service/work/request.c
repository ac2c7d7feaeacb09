/* Requests: from a descriptor to a result. See request.h.
 *
 *     start:      media decoding begins, the model is asked for, the scheduler has it
 *     open:       model there and a place on its engine free: a session over the decoded samples
 *     tell:       segments and progress, as they come
 *     over:       the outcome, once; then everything is given back
 *
 * The decoder's notifications poke; the session reads what is there through service_decode_read. */
#include "service/work/request.h"

#include <math.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "recog/message.h"
#include "recog/options.h"
#include "recog/result.h"
#include "recog/settings.h"
#include "service/core.h"
#include "service/work/loan.h"

struct service_request {
    struct service_work work; /* first */
    struct service *service;
    struct service_sink sink;
    struct recog_settings settings;
    struct service_ticket *ticket;
    struct service_decode *decode;
    double receive_seconds;
    int64_t opened_ns; /* 0: never */
    size_t n_told;     /* segments */
    double told_done;
};

static struct service_request *request_of(struct service_work *work)
{
    return (struct service_request *)work;
}

/* ---- The recording, as the session sees it --------------------------------------------------- */

static enum auricle_error feed_read(void *context, int64_t first, size_t n, float *out,
                                    size_t *n_read, struct auricle_message *message)
{
    const struct service_request *request = context;
    struct au_fault fault = {0};
    enum auricle_error error = service_decode_read(request->decode, first, n, out, n_read, &fault);
    return error == AURICLE_E_AGAIN ? error : recog_message(error, &fault, message);
}

static int64_t feed_length(void *context)
{
    const struct service_request *request = context;
    return service_decode_length(request->decode);
}

static double feed_estimate(void *context)
{
    const struct service_request *request = context;
    struct audio_info info;
    service_decode_info(request->decode, &info);
    return info.container ? info.seconds : -1;
}

/* ---- Under the scheduler --------------------------------------------------------------------- */

static enum auricle_error open_session(struct service_work *work, struct auricle_engine *engine,
                                       struct auricle_session **out,
                                       struct auricle_message *message)
{
    struct service_request *request = request_of(work);
    const struct auricle_feed feed = {.size = sizeof(feed),
                                      .context = request,
                                      .read = feed_read,
                                      .length = feed_length,
                                      .estimate = feed_estimate};
    enum auricle_error error = auricle_session_create_feed(
        engine, &feed, &request->settings.options, out, message);
    if (error == AURICLE_E_UNSUPPORTED)
        service_work_name_model(work, message);
    if (error)
        return error;
    request->opened_ns = au_now_ns();
    if (request->sink.on_started)
        request->sink.on_started(request->sink.context);
    return AURICLE_OK;
}

static void tell(struct service_work *work)
{
    struct service_request *request = request_of(work);
    const struct service_sink *sink = &request->sink;
    double done, total;
    size_t n;
    const struct auricle_segment *segments = auricle_session_segments(work->session, &n);
    for (; request->n_told < n; request->n_told++)
        if (sink->on_segment)
            sink->on_segment(sink->context, &segments[request->n_told]);
    auricle_session_position(work->session, &done, &total);
    service_work_show(work, done, total);
    if (done > request->told_done && sink->on_progress)
        sink->on_progress(sink->context, done, total);
    request->told_done = done;
}

static enum auricle_error check(struct service_work *work, int64_t now_ns,
                                struct auricle_message *message)
{
    (void)now_ns;
    if (!atomic_load(&work->cancelled))
        return AURICLE_OK;
    au_str_copy(message->text, sizeof(message->text), "the request was cancelled");
    return AURICLE_E_CANCELLED;
}

/* ---- The outcome ----------------------------------------------------------------------------- */

static double seconds_between(int64_t from_ns, int64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) * 1e-9 : 0;
}

static void fill_timings(const struct service_request *request, const struct auricle_result *result,
                         struct service_outcome *outcome)
{
    const struct service_work *work = &request->work;
    struct service_timings *t = &outcome->timings;
    bool answered = outcome->model != NULL;
    int64_t now = au_now_ns(), leased = answered ? work->leased_ns : work->started_ns;
    t->receive = request->receive_seconds;
    t->load_model = seconds_between(work->started_ns, leased);
    t->queue = seconds_between(leased, request->opened_ns ? request->opened_ns : now);
    t->decode_audio = outcome->media.decode_ms * 1e-3;
    t->total = request->receive_seconds + seconds_between(work->started_ns, now);
    if (!result)
        return;
    t->mel = result->timings.mel;
    t->encoder = result->timings.encoder;
    t->decoder = result->timings.decoder;
}

/* What was finished; NULL after an error. The input's warning is known here alone. */
static enum auricle_error take_result(struct service_request *request, enum auricle_error error,
                                      struct auricle_result **out)
{
    const char *warning = service_decode_warning(request->decode);
    if (!request->work.session || (error && error != AURICLE_E_CANCELLED))
        return error;
    enum auricle_error taken = auricle_session_take_result(request->work.session, out);
    if (taken)
        return error ? error : taken;
    if (warning && !(*out)->warning) {
        struct recog_result *result = (struct recog_result *)*out; /* its first member */
        taken = recog_result_set_warning(result, warning);
        if (taken)
            (*out)->warning = "the recording broke off early";
    }
    return error;
}

static void note(const struct service_request *request, const struct service_outcome *outcome)
{
    struct service_metrics *metrics = request->service->metrics;
    const struct service_timings *t = &outcome->timings;
    const struct auricle_result *result = outcome->result;
    au_log(AU_LOG_DEBUG,
           "request %s: %s; received %.3f s, queued %.3f s, media %.3f s, encoder %.3f s, decoder "
           "%.3f s, total %.3f s",
           request->work.id, auricle_error_name(outcome->error), t->receive, t->queue,
           t->decode_audio, t->encoder, t->decoder, t->total);
    if (outcome->error)
        return;
    service_observe(metrics, SERVICE_STAGE_RECEIVE, t->receive);
    service_observe(metrics, SERVICE_STAGE_QUEUE, t->queue);
    service_observe(metrics, SERVICE_STAGE_MEDIA, t->decode_audio);
    service_observe(metrics, SERVICE_STAGE_LOAD, t->load_model);
    service_observe(metrics, SERVICE_STAGE_MEL, t->mel);
    service_observe(metrics, SERVICE_STAGE_ENCODER, t->encoder);
    service_observe(metrics, SERVICE_STAGE_DECODER, t->decoder);
    service_observe(metrics, SERVICE_STAGE_TOTAL, t->total);
    service_count(metrics, SERVICE_COUNT_AUDIO_MS, (uint64_t)(result->duration * 1e3));
    for (size_t i = 0; i < result->n_filtered; i++)
        service_count_filtered(metrics, result->filtered[i].filtered_by);
}

static bool over(struct service_work *work, enum auricle_error error, const char *sentence)
{
    struct service_request *request = request_of(work);
    struct auricle_result *result = NULL;
    if (!error && service_decode_length(request->decode) == 0) {
        error = AURICLE_E_NO_AUDIO; /* an empty text would pass for silence */
        sentence = "the recording is empty: 0 samples";
    }
    if (error && service_decode_crowded(request->decode))
        error = AURICLE_E_AGAIN;
    struct service_outcome outcome = {.error = take_result(request, error, &result)};
    bool leased = atomic_load(&work->loan) == SERVICE_LOAN_HELD;
    outcome.sentence = sentence ? sentence : outcome.error ? "out of memory" : NULL;
    outcome.result = result;
    outcome.model = leased ? service_engine_name(work->lease) : NULL;
    outcome.engine = leased ? service_engine_get(work->lease) : NULL;
    service_decode_info(request->decode, &outcome.media);
    fill_timings(request, result, &outcome);
    if (result)
        result->timings.decode_audio = outcome.timings.decode_audio;
    note(request, &outcome);
    service_ticket_leave(request->ticket); /* whoever is told may come again at once */
    request->sink.on_done(request->sink.context, &outcome);
    auricle_result_destroy(result);
    auricle_session_destroy(work->session); /* it reads from the decoding */
    work->session = NULL;
    service_decode_release(request->decode);
    request->decode = NULL;
    service_ticket_release(request->ticket);
    request->ticket = NULL;
    return false;
}

/* ---- Making ---------------------------------------------------------------------------------- */

static void destroy(struct service_work *work)
{
    struct service_request *request = request_of(work);
    service_decode_release(request->decode);
    service_ticket_release(request->ticket);
    recog_settings_deinit(&request->settings);
    au_free(request);
}

static void more_is_decoded(void *context)
{
    service_work_poke(context);
}

static enum auricle_error check_spec(struct service *service,
                                     const struct service_request_spec *spec,
                                     struct audio_decode_options *decode, struct au_fault *fault)
{
    enum auricle_error error = recog_options_check(spec->options, service->max_beams, fault);
    if (!error)
        error = recog_settings_input(spec->options, decode, fault);
    return error ? error : service_engines_check(service->engines, spec->model, fault);
}

/* Takes the ticket; the descriptor is the caller's still. */
static enum auricle_error make(struct service *service, const struct service_request_spec *spec,
                               const struct service_sink *sink, struct service_request **out)
{
    static const struct service_work_ops ops = {
        .open = open_session, .tell = tell, .check = check, .over = over, .destroy = destroy};
    struct service_request *request = au_calloc(1, sizeof(*request));
    if (!request) {
        service_ticket_release(spec->ticket);
        return AURICLE_E_NOMEM;
    }
    service_work_init(&request->work, service->scheduler, &ops, spec->priority, spec->id,
                      spec->model);
    request->service = service;
    request->sink = *sink;
    request->ticket = spec->ticket;
    request->receive_seconds = spec->receive_seconds;
    enum auricle_error error = recog_settings_init(&request->settings, spec->options);
    if (error) {
        service_work_unref(&request->work);
        return error;
    }
    *out = request;
    return AURICLE_OK;
}

enum auricle_error service_request_start(struct service *service,
                                         const struct service_request_spec *spec,
                                         const struct service_sink *sink,
                                         struct service_request **out, struct au_fault *fault)
{
    struct service_request *request = NULL;
    struct audio_decode_options decode = {0};
    enum auricle_error error = check_spec(service, spec, &decode, fault);
    if (error) {
        close(spec->fd);
        service_ticket_release(spec->ticket);
        return error;
    }
    error = make(service, spec, sink, &request);
    if (error) {
        close(spec->fd);
        return au_fail(fault, error, "out of memory");
    }
    error = service_media_start(service->media, spec->fd, spec->name ? spec->name : "recording",
                                &decode, more_is_decoded, request, &request->decode, fault);
    if (error) {
        service_work_unref(&request->work);
        return error;
    }
    *out = request; /* before the sink may be called */
    service_work_start(&request->work, service->engines, spec->model);
    return AURICLE_OK;
}

const struct auricle_engine *service_request_engine(const struct service_request *request)
{
    return service_engine_get(request->work.lease);
}

void service_request_cancel(struct service_request *request)
{
    atomic_store(&request->work.cancelled, true);
    service_work_poke(&request->work);
}

void service_request_release(struct service_request *request)
{
    if (request)
        service_work_unref(&request->work);
}
