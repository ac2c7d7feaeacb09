/* One recording on its way through the REST front: received, transcribed, answered.
 *
 * What differs between the front doors (OpenAI's, whisper.cpp's) is a struct rest_door: which
 * fields they take and how they write the answer. What they share is here: admission, the upload,
 * the request to the service, and the way back from the scheduler's thread to the network's.
 *
 * A job lives until both sides are done with it: the HTTP request is over, and the service has told
 * its outcome. Whoever comes second frees it, on the network thread.                             */
#ifndef REST_JOB_H
#define REST_JOB_H

#include <pthread.h>

#include "api/api.h"
#include "api/rest/upload.h"
#include "auricle/auricle.h"
#include "base/buf.h"
#include "service/work/request.h"

struct rest_job;

struct rest_door {
    enum auricle_task task;
    const struct rest_param *table;
    size_t params_bytes; /* of the struct that the table fills */
    void (*defaults)(void *params);
    /* What the fields ask for: job->model, options, stream. INVALID with the reject. Network. */
    enum auricle_error (*plan)(struct rest_job *job, struct rest_reject *reject);
    /* The body of the answer; returns its content type. Scheduler's thread. */
    const char *(*write)(const struct rest_job *job, const struct service_outcome *outcome,
                         struct au_buf *out);
    /* An answer that is not the recording's transcript. Network thread. */
    void (*fail)(struct http_request *request, const struct api_error *error);
    /* Events of a streamed answer; NULL: this door has none. Scheduler's thread. */
    void (*write_segment)(struct rest_job *job, const struct auricle_segment *segment,
                          struct au_buf *out);
    void (*write_end)(const struct rest_job *job, const struct service_outcome *outcome,
                      struct au_buf *out);
};

/* What passes between the threads, under the lock. */
struct rest_mail {
    pthread_mutex_t lock;
    struct au_buf out;        /* events not yet sent, or the whole answer */
    const char *content_type; /* of the whole answer */
    bool posted;              /* the node is on its way to the network thread */
    bool done;
    struct api_error failure; /* status 0: none; its message is in `sentence` */
    enum auricle_error cause; /* of it */
    char sentence[AU_FAULT_TEXT_BYTES];
    char timing[320]; /* Server-Timing */
    struct http_post_node node;
};

struct rest_job {
    const struct rest_door *door;
    struct http_server *server;
    struct http_request *request; /* NULL: over */
    char id[SERVICE_ID_BYTES];
    struct service_ticket *ticket; /* until it is handed on */
    struct service_request *work;  /* NULL: not started */
    struct rest_upload upload;
    bool uploading; /* upload is to be given back */
    void *params;

    /* The plan. Texts live as long as the job. */
    const char *model;
    struct auricle_options options;
    struct au_buf hotwords, languages;
    bool stream;

    /* Of a streamed answer. */
    bool streaming; /* its headers have gone out. Network thread */
    struct http_timer alive;
    size_t n_segments; /* written so far. Scheduler's thread */

    bool told; /* the service's outcome was taken. Network thread */
    struct rest_mail mail;
};

/* The handlers of the two doors use these; see struct http_handler. */
enum http_verdict rest_job_begin(struct http_request *request, const struct rest_door *door);
bool rest_job_body(struct http_request *request, const uint8_t *data, size_t n);
void rest_job_end(struct http_request *request);
void rest_job_over(struct http_request *request, bool complete);

/* The state of a request that a job answers. */
struct rest_job_slot {
    struct rest_job *job;
};

#endif
