/* Jobs of the REST front. See job.h. */
#include "api/rest/job.h"

#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/metrics/metrics.h"

/* What a request holds in memory at the worst, beside what its session plans for itself: form
 * fields, the connection's buffers, the answer.                                                  */
#define JOB_BYTES     ((uint64_t)4 << 20)
/* A stream that has nothing to say says so this often, so that proxies keep it. */
#define ALIVE_SECONDS 10.0

static struct rest_job *job_of(struct http_request *request)
{
    struct rest_job_slot *slot = http_request_state(request);
    return slot->job;
}

static struct service_metrics *metrics_of(const struct rest_job *job)
{
    const struct api *api = http_server_context(job->server);
    return service_metrics_of(api->service);
}

static void job_destroy(struct rest_job *job)
{
    if (!job)
        return;
    if (job->uploading)
        rest_upload_deinit(&job->upload);
    service_ticket_release(job->ticket);
    if (job->work)
        service_request_release(job->work);
    http_timer_cancel(job->server, &job->alive);
    au_buf_deinit(&job->hotwords);
    au_buf_deinit(&job->languages);
    au_buf_deinit(&job->mail.out);
    pthread_mutex_destroy(&job->mail.lock);
    au_free(job->params);
    au_free(job);
}

/* What the answer is, or was to be, as far as that is known. */
static enum service_protocol protocol_of(const struct rest_job *job)
{
    bool stream = job->stream;
    if (!stream && job->uploading && job->door->write_segment) {
        const char *wish = rest_fields_find(&job->upload.fields, "stream");
        stream = wish && au_parse_bool(wish, &stream) && stream;
    }
    return stream ? SERVICE_SSE : SERVICE_REST;
}

static void note_failure(const struct rest_job *job, enum auricle_error cause,
                         const struct api_error *error)
{
    service_count_error(metrics_of(job), protocol_of(job), cause);
    if (error->status == 500 || error->status == 507) /* a full server is no fault of its own */
        au_log(AU_LOG_ERROR, "request %s: %d: %s", job->id, error->status, error->message);
}

static void fail(struct rest_job *job, enum auricle_error cause, const struct api_error *error)
{
    note_failure(job, cause, error);
    job->door->fail(job->request, error);
}

static void fail_with(struct rest_job *job, const struct au_fault *fault, const char *param)
{
    struct api_error error = api_error_of(fault->code, fault->text);
    error.param = param;
    fail(job, fault->code, &error);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static enum auricle_error admit(struct rest_job *job, struct api *api, struct api_error *refusal,
                                struct au_fault *fault)
{
    double retry_after = 1;
    enum auricle_error error = service_admit(api->service, JOB_BYTES, &job->ticket, &retry_after,
                                             fault);
    if (!error)
        return AURICLE_OK;
    bool full = error == AURICLE_E_LIMIT && !service_draining(api->service);
    *refusal = (struct api_error){.status = full ? 429 : 503,
                                  .code = full ? "server_full" : "unavailable",
                                  .message = fault->text,
                                  .retry_after = retry_after};
    return error;
}

static struct rest_job *job_create(struct http_request *request, const struct rest_door *door)
{
    struct rest_job *job = au_calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->door = door;
    job->server = http_request_server(request);
    job->request = request;
    au_str_copy(job->id, sizeof(job->id), http_request_id(request));
    au_buf_init(&job->hotwords, 0);
    au_buf_init(&job->languages, 0);
    au_buf_init(&job->mail.out, 0);
    pthread_mutex_init(&job->mail.lock, NULL);
    job->params = au_calloc(1, door->params_bytes);
    if (!job->params) {
        job_destroy(job);
        return NULL;
    }
    door->defaults(job->params);
    return job;
}

enum http_verdict rest_job_begin(struct http_request *request, const struct rest_door *door)
{
    struct api *api = api_of(request);
    struct rest_job *job = job_create(request, door);
    if (!job) {
        const struct api_error failure = api_error_of(AURICLE_E_NOMEM, "out of memory");
        service_count_error(service_metrics_of(api->service), SERVICE_REST, AURICLE_E_NOMEM);
        door->fail(request, &failure);
        return HTTP_ANSWERED;
    }
    struct rest_job_slot *slot = http_request_state(request);
    slot->job = job;
    struct au_fault fault = {0};
    struct api_error refusal;
    enum auricle_error error = admit(job, api, &refusal, &fault);
    if (error) {
        fail(job, error, &refusal);
        return HTTP_ANSWERED;
    }
    uint64_t max_bytes = service_get_limits(api->service).max_upload_bytes;
    job->uploading = true;
    if (rest_upload_begin(&job->upload, request, door->table, api->spool_folder, max_bytes,
                          job->ticket, &fault) != AURICLE_OK) {
        fail_with(job, &fault, "file");
        return HTTP_ANSWERED;
    }
    return HTTP_GO_ON;
}

bool rest_job_body(struct http_request *request, const uint8_t *data, size_t n)
{
    struct rest_job *job = job_of(request);
    struct au_fault fault = {0};
    if (rest_upload_feed(&job->upload, data, n, &fault) == AURICLE_OK)
        return true;
    fail_with(job, &fault, "file");
    return false;
}

/* ---- From the scheduler's thread ------------------------------------------------------------- */

static void on_mail(struct http_post_node *node);

/* With the lock held: let the network thread look. */
static void post(struct rest_job *job)
{
    if (job->mail.posted)
        return;
    job->mail.posted = true;
    job->mail.node.fn = on_mail;
    http_post(job->server, &job->mail.node);
}

static void on_segment(void *context, const struct auricle_segment *segment)
{
    struct rest_job *job = context;
    pthread_mutex_lock(&job->mail.lock);
    job->door->write_segment(job, segment, &job->mail.out);
    job->n_segments++;
    post(job);
    pthread_mutex_unlock(&job->mail.lock);
}

static void write_timing(const struct service_timings *t, char *out, size_t size)
{
    snprintf(out, size,
             "receive;dur=%.1f, queue;dur=%.1f, decode;dur=%.1f, load;dur=%.1f, mel;dur=%.1f, "
             "encoder;dur=%.1f, decoder;dur=%.1f, total;dur=%.1f",
             1e3 * t->receive, 1e3 * t->queue, 1e3 * t->decode_audio, 1e3 * t->load_model,
             1e3 * t->mel, 1e3 * t->encoder, 1e3 * t->decoder, 1e3 * t->total);
}

static void set_failure(struct rest_mail *mail, enum auricle_error error, const char *sentence)
{
    au_str_copy(mail->sentence, sizeof(mail->sentence), sentence ? sentence : "");
    mail->failure = api_error_of(error, mail->sentence);
    mail->cause = error;
}

static void on_done(void *context, const struct service_outcome *outcome)
{
    struct rest_job *job = context;
    struct rest_mail *mail = &job->mail;
    pthread_mutex_lock(&mail->lock);
    write_timing(&outcome->timings, mail->timing, sizeof(mail->timing));
    if (outcome->error)
        set_failure(mail, outcome->error, outcome->sentence);
    else if (job->stream)
        job->door->write_end(job, outcome, &mail->out);
    else
        mail->content_type = job->door->write(job, outcome, &mail->out);
    if (mail->out.error && !mail->failure.status)
        set_failure(mail, mail->out.error, "out of memory while writing the answer");
    mail->done = true;
    post(job);
    pthread_mutex_unlock(&mail->lock);
}

/* ---- Answering ------------------------------------------------------------------------------- */

static void begin_stream(struct rest_job *job)
{
    static const struct http_header headers[] = {
        {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}, {NULL, NULL}};
    if (!job->streaming)
        http_stream_begin(job->request, 200, "text/event-stream", headers);
    job->streaming = true;
}

static void still_alive(struct http_timer *timer)
{
    struct rest_job *job = (struct rest_job *)(void *)((char *)timer -
                                                       offsetof(struct rest_job, alive));
    static const char comment[] = ": still listening\n\n";
    begin_stream(job);
    http_stream_write(job->request, comment, sizeof(comment) - 1);
    http_timer_set(job->server, timer, ALIVE_SECONDS);
}

static void send_events(struct rest_job *job, const struct au_buf *events, bool done,
                        const struct api_error *failure)
{
    if (failure && !job->streaming && !events->len) {
        fail(job, job->mail.cause, failure);
        return;
    }
    begin_stream(job);
    if (events->len)
        http_stream_write(job->request, events->data, events->len);
    if (failure) {
        struct au_buf event;
        note_failure(job, job->mail.cause, failure);
        au_buf_init(&event, 0);
        au_buf_puts(&event, "data: ");
        api_error_write(failure, &event);
        au_buf_puts(&event, "\n\n");
        http_stream_write(job->request, event.data, event.len);
        au_buf_deinit(&event);
    }
    if (done)
        http_stream_end(job->request);
}

static void answer(struct rest_job *job, const struct au_buf *body, bool done)
{
    const struct rest_mail *mail = &job->mail;
    const struct api_error *failure = mail->failure.status ? &mail->failure : NULL;
    if (done)
        http_timer_cancel(job->server, &job->alive);
    if (job->stream)
        send_events(job, body, done, failure);
    else if (failure)
        fail(job, mail->cause, failure);
    else {
        const struct http_header headers[] = {{"Server-Timing", mail->timing}, {NULL, NULL}};
        http_respond(job->request, 200, mail->content_type, body->data, body->len, headers);
    }
}

/* On the network thread: what the scheduler's thread has left for us. */
static void on_mail(struct http_post_node *node)
{
    struct rest_job *job = (struct rest_job *)(void *)((char *)node -
                                                       offsetof(struct rest_job, mail.node));
    pthread_mutex_lock(&job->mail.lock);
    struct au_buf out = job->mail.out;
    bool done = job->mail.done;
    job->mail.posted = false;
    au_buf_init(&job->mail.out, 0);
    pthread_mutex_unlock(&job->mail.lock);
    job->told = job->told || done;
    if (job->request)
        answer(job, &out, done);
    au_buf_deinit(&out);
    if (!job->request && job->told)
        job_destroy(job);
}

/* ---- Starting -------------------------------------------------------------------------------- */

static enum auricle_error start(struct rest_job *job, struct au_fault *fault)
{
    struct api *api = http_server_context(job->server);
    const struct service_sink sink = {
        .context = job, .on_segment = job->stream ? on_segment : NULL, .on_done = on_done};
    const struct service_request_spec spec = {
        .id = job->id,
        .model = job->model,
        .options = &job->options,
        .name = job->upload.filename,
        .fd = rest_upload_take_fd(&job->upload),
        .priority = SERVICE_PRIORITY_WAITING,
        .receive_seconds = http_request_age_seconds(job->request),
        .ticket = job->ticket,
    };
    job->ticket = NULL;
    return service_request_start(api->service, &spec, &sink, &job->work, fault);
}

void rest_job_end(struct http_request *request)
{
    struct rest_job *job = job_of(request);
    struct au_fault fault = {0};
    struct rest_reject reject = {.code = NULL};
    if (rest_upload_end(&job->upload, &fault) != AURICLE_OK) {
        fail_with(job, &fault, "file");
        return;
    }
    enum auricle_error error = rest_params_read(&job->upload.fields, job->door->table, job->params,
                                                &reject);
    if (!error)
        error = job->door->plan(job, &reject);
    if (error) {
        const struct api_error refusal = {.status = 400,
                                          .param = reject.param,
                                          .code = reject.code,
                                          .message = reject.fault.text};
        fail(job, error, &refusal);
        return;
    }
    error = start(job, &fault);
    if (error == AURICLE_E_NOT_FOUND) {
        const struct api_error refusal = {
            .status = 404, .param = "model", .code = "model_not_found", .message = fault.text};
        fail(job, error, &refusal);
    } else if (error) {
        fail_with(job, &fault, NULL);
    } else {
        service_count_request(metrics_of(job), protocol_of(job));
        if (job->stream) {
            job->alive.fn = still_alive;
            http_timer_set(job->server, &job->alive, ALIVE_SECONDS);
        }
    }
}

void rest_job_over(struct http_request *request, bool complete)
{
    struct rest_job *job = job_of(request);
    if (!job)
        return;
    job->request = NULL;
    http_timer_cancel(job->server, &job->alive);
    if (job->work && !job->told) {
        if (!complete)
            au_log(AU_LOG_INFO, "request %s: the client went away", job->id);
        service_request_cancel(job->work);
    } else {
        job_destroy(job);
    }
}
