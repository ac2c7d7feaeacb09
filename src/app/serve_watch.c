/* Signals of the server, and what the service manager is told. See serve.h.
 *
 * The signals are blocked everywhere and taken by one thread, which may therefore do what a signal
 * handler may not.                                                                               */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/serve.h"
#include "base/mem.h"

struct app_watch {
    struct app_watch_calls calls;
    pthread_t thread;
    bool running;
    atomic_bool stop;
};

static void our_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void app_watch_block(void)
{
    sigset_t set;
    our_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *run(void *context)
{
    struct app_watch *watch = context;
    bool ending = false;
    sigset_t set;
    our_signals(&set);
    for (;;) {
        int number = 0;
        if (sigwait(&set, &number) != 0)
            continue;
        if (atomic_load(&watch->stop))
            return NULL;
        if (number == SIGHUP) {
            watch->calls.reload(watch->calls.context);
        } else if (ending) {
            _exit(128 + number);
        } else {
            ending = true;
            watch->calls.end(watch->calls.context, number);
        }
    }
}

enum auricle_error app_watch_create(const struct app_watch_calls *calls, struct app_watch **out,
                                    struct au_fault *fault)
{
    struct app_watch *watch = au_calloc(1, sizeof *watch);
    if (!watch)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    watch->calls = *calls;
    watch->running = pthread_create(&watch->thread, NULL, run, watch) == 0;
    if (!watch->running) {
        app_watch_destroy(watch);
        return au_fail(fault, AURICLE_E_NOMEM, "no thread for signals");
    }
    *out = watch;
    return AURICLE_OK;
}

void app_watch_destroy(struct app_watch *watch)
{
    if (!watch)
        return;
    if (watch->running) {
        atomic_store(&watch->stop, true);
        pthread_kill(watch->thread, SIGHUP);
        pthread_join(watch->thread, NULL);
    }
    au_free(watch);
}

/* A name that begins with "@" stands for one outside the file system. */
void app_notify_manager(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || n >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(address.sun_path, name, n);
    if (name[0] == '@')
        address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, bytes) < 0)
        app_warn(false, "the service manager could not be told \"%s\"", state);
    close(fd);
}
