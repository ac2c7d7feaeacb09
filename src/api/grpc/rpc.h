/* Inside the gRPC module: the server, its calls, and the methods that give them meaning.
 *
 * Two threads. The polling thread sits in grpc_completion_queue_next and moves what happened into a
 * mailbox; the C core does its input and output there. The gRPC thread takes from the mailbox and
 * owns every call. The service's sinks run on the scheduler's thread: they pack what they were told
 * and post it to the same mailbox (the C core has no means to wake a completion queue, hence the
 * mailbox). Functions below belong to the gRPC thread unless they say otherwise.                 */
#ifndef API_GRPC_RPC_H
#define API_GRPC_RPC_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <protobuf-c/protobuf-c.h>

#include "api/grpc/module.h"

/* ---- Mailbox --------------------------------------------------------------------------------- */

/* Something to be done on the gRPC thread. Lies in the memory of whoever posts it and is free again
 * when `run` is called. The C core's tags are events too; ok is then its success.                */
struct rpc_event {
    struct rpc_event *next;
    void (*run)(struct rpc_event *event, bool ok);
    bool ok;
};

/* After those posted before it. Any thread. */
void rpc_post(struct rpc_server *server, struct rpc_event *event, bool ok);

/* ---- Methods --------------------------------------------------------------------------------- */

struct rpc_call; /* one call, from its first metadata to its end */

/* Calls are counted by what they are, so that nobody without a key can keep out those who have one,
 * and nobody at all the question whether the server lives. The last two need no key, and are
 * logged quietly.                                                                                */
enum rpc_share { RPC_WORK, RPC_CHECK, RPC_WATCH, RPC_N_SHARES };

struct rpc_method {
    const char *path;   /* "/auricle.v1.Auricle/Transcribe" */
    size_t state_bytes; /* zeroed memory per call: rpc_call_state */
    enum rpc_share share;
    bool uploads; /* its message may be a recording, which takes its time to arrive */
    /* Let in: usually asks for the first message. */
    void (*begin)(struct rpc_call *call);
    /* The message that rpc_receive asked for; borrowed. NULL: the client sends no more. */
    void (*message)(struct rpc_call *call, grpc_byte_buffer *message);
    /* All that was sent has been taken; may be NULL. */
    void (*drained)(struct rpc_call *call);
    /* As often as rpc_call_ticks asks, perhaps more often, and at drain; may be NULL. */
    void (*tick)(struct rpc_call *call);
    /* The last call, always made once after begin; cancelled: the client went away, gave up or ran
     * into its deadline. Memory goes when the last reference does. May be NULL.                  */
    void (*over)(struct rpc_call *call, bool cancelled);
    /* Releases what the state holds; nobody refers to it any more. May be NULL. */
    void (*destroy)(struct rpc_call *call);
};

enum rpc_tick { RPC_TICK_NEVER, RPC_TICK_RARELY, RPC_TICK_SOON, RPC_N_TICKS };
#define RPC_TICK_RARELY_MS 1000
#define RPC_TICK_SOON_MS   20

/* Ends with path NULL. */
extern const struct rpc_method rpc_health_methods[], rpc_reflection_methods[],
    rpc_transcribe_methods[], rpc_listen_methods[];

/* ---- Calls ----------------------------------------------------------------------------------- */

void *rpc_call_state(struct rpc_call *call);
struct rpc_server *rpc_call_server(const struct rpc_call *call);
const struct api_grpc_host *rpc_call_host(const struct rpc_call *call);
const char *rpc_call_id(const struct rpc_call *call); /* request id */
double rpc_call_seconds(const struct rpc_call *call); /* since it began */

/* Memory of a call lives while somebody refers to it. Any thread; dropping the last one is for the
 * gRPC thread.                                                                                   */
void rpc_call_ref(struct rpc_call *call);
void rpc_call_unref(struct rpc_call *call);

/* Ask for the next message; `message` follows. One at a time. */
void rpc_receive(struct rpc_call *call);

/* What a message replaces that the client has not taken yet. */
enum rpc_kind {
    RPC_KEEP,    /* nothing, and nothing replaces it */
    RPC_PASSING, /* an earlier passing one, and is replaced by a later passing one */
    RPC_SETTLED  /* an earlier passing one; is kept */
};
/* Send a message (taken; NULL: none could be made). Returns whether it superseded one. Does nothing
 * once the call was ended.                                                                       */
bool rpc_send(struct rpc_call *call, enum rpc_kind kind, grpc_byte_buffer *message);
/* The last message and the end, which then leave together. */
void rpc_answer(struct rpc_call *call, grpc_byte_buffer *message);
size_t rpc_backlog(const struct rpc_call *call); /* bytes not yet taken */
/* The same from any thread that holds a reference. A message that cannot be posted for want of
 * memory makes the call end with NOMEM rather than with a gap.                                   */
void rpc_post_message(struct rpc_call *call, enum rpc_kind kind, grpc_byte_buffer *message);

/* End the call after what was sent. Only the first end counts. retry_after_seconds <= 0: none is
 * told. */
void rpc_end(struct rpc_call *call);
void rpc_fail(struct rpc_call *call, enum auricle_error error, const char *sentence,
              double retry_after_seconds);
void rpc_fail_status(struct rpc_call *call, grpc_status_code status, enum auricle_error error,
                     const char *sentence, double retry_after_seconds);
bool rpc_ended(const struct rpc_call *call); /* ended by us, or over */

/* How often `tick` is called from now on. Until the first message it is rarely. */
void rpc_call_ticks(struct rpc_call *call, enum rpc_tick often);

/* A call that was routed: created by the server, given back by rpc_call_unref. */
struct rpc_call *rpc_call_create(struct rpc_server *server);
/* Wait for the next call with it. False: the server is shutting down. */
bool rpc_call_accept(struct rpc_call *call, grpc_server *server, grpc_completion_queue *queue);

/* ---- Server ---------------------------------------------------------------------------------- */

struct rpc_server {
    struct api_grpc_host host;
    struct api_grpc_config config; /* of its pointers only functions and their context */
    char *spool_folder;            /* NULL: the temporary one */
    grpc_server *core;
    grpc_completion_queue *queue;
    struct rpc_certificate *certificate; /* NULL: no TLS */
    int port;
    pthread_t poller, thread;

    /* Mailbox. */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* monotonic clock */
    struct rpc_event *first, **last;

    /* Of the gRPC thread. */
    struct rpc_call *calls; /* all of them */
    size_t n_calls, n_ticking[RPC_N_TICKS];
    atomic_size_t n_sharing[RPC_N_SHARES]; /* read by others, too */
    bool accepting;                        /* a call waits to be accepted */
    bool stopping, finished;               /* shutdown began; the C core has let go of everything */
    struct rpc_event stop, drain, shut_down;
    atomic_bool draining;
};

/* A certificate with its key, from PEM files that are read again at each renewal. Credentials
 * made of it borrow it. Errors: NOT_FOUND, IO, NOMEM. Any thread.                                */
struct rpc_certificate; /* opaque */
AURICLE_MUST_CHECK enum auricle_error rpc_certificate_create(const char *chain_path,
                                                             const char *key_path,
                                                             struct rpc_certificate **out,
                                                             struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error rpc_certificate_renew(struct rpc_certificate *certificate,
                                                            struct au_fault *fault);
grpc_server_credentials *rpc_certificate_credentials(struct rpc_certificate *certificate);
void rpc_certificate_destroy(struct rpc_certificate *certificate);

/* "": the whole server. UNKNOWN where there is no such service. */
enum rpc_serving { RPC_SERVING_UNKNOWN, RPC_SERVING, RPC_NOT_SERVING };
enum rpc_serving rpc_server_serving(struct rpc_server *server, const char *service);
/* Names of services, for health and reflection; NULL past the last. */
const char *rpc_server_service(size_t index);

/* Tells a method by its path; NULL: unknown. */
const struct rpc_method *rpc_server_method(const char *path, size_t n);

/* The call's life, told to the server: it keeps the list. */
void rpc_server_enter(struct rpc_server *server, struct rpc_call *call);
void rpc_server_leave(struct rpc_server *server, struct rpc_call *call);
/* Call `tick` of those that want it, or of all. */
void rpc_server_tick(struct rpc_server *server, bool all);

/* The pieces of a message, in a new array (au_free); they live as long as the message. */
struct rpc_piece;
struct rpc_piece *rpc_pieces(const grpc_byte_buffer *message, size_t *n);

/* ---- Messages -------------------------------------------------------------------------------- */

/* A message in its own memory, ready to be sent. Any thread. */
grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message);
grpc_byte_buffer *rpc_buffer(const void *bytes, size_t n);

/* Check and unpack a message of at most limit bytes; NULL with a fault (INVALID, NOMEM). Released
 * with protobuf_c_message_free_unpacked(message, rpc_memory()).                                 */
ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *message,
                             size_t limit, struct au_fault *fault);
ProtobufCMessage *rpc_unpack_bytes(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                                   size_t n, struct au_fault *fault);
ProtobufCAllocator *rpc_memory(void);

/* A status for an error of the program. Any thread. */
grpc_status_code rpc_status_of(enum auricle_error error);

#endif
