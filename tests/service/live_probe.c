/* A server with /v1/stream and nothing else, on the bundled model, for test_live.py.
 *
 * Run as: live_probe PROGRAM MODEL; the program's command media-worker decodes containers.
 * Prints its port, serves until its standard input ends, and then stops in good order. The limit
 * on silence from a client is short, so that a test can wait for it.                             */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "api/live/live.h"
#include "base/log.h"
#include "service/service.h"

#define IDLE_SECONDS   1.5
#define RESUME_SECONDS 30
#define MAX_LIVE       8
#define DRAIN_STEPS    200
#define DRAIN_STEP_MS  50

static void *stop_at_end_of_input(void *context)
{
    char c;
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    http_server_stop(context);
    return NULL;
}

static int serve(struct service *service, struct au_fault *fault)
{
    struct api api = {.service = service,
                      .live_idle_seconds = IDLE_SECONDS,
                      .live_resume_seconds = RESUME_SECONDS};
    const struct http_server_config config = {
        .host = "localhost", .routes = api_live_routes, .refuse = api_refuse, .context = &api};
    struct http_server *server;
    pthread_t thread;
    enum auricle_error error = http_server_create(&config, &server, fault);
    if (error)
        return error;
    printf("%d\n", http_server_port(server));
    fflush(stdout);
    if (pthread_create(&thread, NULL, stop_at_end_of_input, server))
        return 1;
    error = http_server_run(server, fault);
    pthread_join(thread, NULL);
    http_server_destroy(server);
    return error;
}

int main(int argc, char **argv)
{
    const struct service_config config = {.engines = {.model = argc > 2 ? argv[2] : NULL,
                                                      .threads = 2,
                                                      .max_windows = 8,
                                                      .max_beams = 5},
                                          .media = {.program = argc > 1 ? argv[1] : NULL},
                                          .limits = {.max_live = MAX_LIVE}};
    struct service *service;
    struct au_fault fault = {0};
    int error;
    au_log_init(AU_LOG_WARN);
    signal(SIGPIPE, SIG_IGN);
    if (service_create(&config, &service, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    error = serve(service, &fault);
    if (error)
        fprintf(stderr, "%s\n", fault.text);
    service_drain(service);
    for (int i = 0; i < DRAIN_STEPS && service_active(service); i++)
        poll(NULL, 0, DRAIN_STEP_MS);
    service_destroy(service);
    return error != 0;
}
