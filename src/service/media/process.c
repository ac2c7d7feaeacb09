/* Decoder processes. See process.h.
 *
 * posix_spawn, because the parent has threads: between fork and exec such a process may do next to
 * nothing. The new image holds nothing of the parent's memory: no keys, no other's recording.    */
#include "service/media/process.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* Descriptors: nothing to read, nowhere to write, and the socket. */
static int set_descriptors(posix_spawn_file_actions_t *actions, int socket)
{
    int status = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!status)
        status = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
#ifndef __SANITIZE_ADDRESS__ /* whose reports are worth having */
    if (!status)
        status = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#endif
    if (!status)
        status = posix_spawn_file_actions_adddup2(actions, socket, MEDIA_SOCKET_FD);
    if (!status)
        status = posix_spawn_file_actions_addclosefrom_np(actions, MEDIA_SOCKET_FD + 1);
    return status;
}

/* A group of its own, so that Ctrl-C at the terminal does not end decodings that a drain waits for;
 * signals as at the start of a program.                                                          */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int status = posix_spawnattr_setpgroup(attributes, 0);
    if (!status)
        status = posix_spawnattr_setsigmask(attributes, &none);
    if (!status)
        status = posix_spawnattr_setsigdefault(attributes, &all);
    if (!status)
        status = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return status;
}

/* The environment is empty but for a mark, and the way to libraries where there is a special
 * one. */
static int spawn(const char *program, int socket, pid_t *pid)
{
    const char *libraries = getenv("LD_LIBRARY_PATH");
    char *path = libraries ? au_sprintf("LD_LIBRARY_PATH=%s", libraries) : NULL;
    char mark[] = MEDIA_WORKER_MARK "=1", name[] = "auricle", word[] = MEDIA_WORKER_WORD;
    char *environment[] = {mark, path, NULL}, *arguments[] = {name, word, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int status = posix_spawn_file_actions_init(&actions);
    if (status)
        goto no_actions;
    status = posix_spawnattr_init(&attributes);
    if (status)
        goto no_attributes;
    status = set_descriptors(&actions, socket);
    if (!status)
        status = set_attributes(&attributes);
    if (!status)
        status = posix_spawn(pid, program ? program : "/proc/self/exe", &actions, &attributes,
                             arguments, environment);
    posix_spawnattr_destroy(&attributes);
no_attributes:
    posix_spawn_file_actions_destroy(&actions);
no_actions:
    au_free(path);
    return status;
}

/* The child's end must not be its number 3 by accident: dup2 onto itself would keep
 * close-on-exec. */
static bool make_sockets(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (ends[1] <= MEDIA_SOCKET_FD) {
        int higher = fcntl(ends[1], F_DUPFD_CLOEXEC, MEDIA_SOCKET_FD + 1);
        if (higher < 0) {
            close(ends[0]);
            close(ends[1]);
            return false;
        }
        close(ends[1]);
        ends[1] = higher;
    }
    return true;
}

enum auricle_error service_process_start(const char *program, const struct media_hello *hello,
                                         struct service_process *out, struct au_fault *fault)
{
    int ends[2];
    struct service_process process = {0};
    if (!make_sockets(ends))
        return au_fail_errno(fault, errno, "decoder process: socket pair");
    int status = spawn(program, ends[1], &process.pid);
    close(ends[1]);
    process.socket = ends[0];
    if (status) {
        close(ends[0]);
        return au_fail_errno(fault, status, "decoder process: %s cannot be started",
                             program ? program : "/proc/self/exe");
    }
    if (!service_wire_send(process.socket, hello, sizeof *hello, NULL, 0)) {
        status = errno;
        (void)service_process_end(&process);
        return au_fail_errno(fault, status, "decoder process: ended at once");
    }
    *out = process;
    return AURICLE_OK;
}

void service_process_allow_cpu(const struct service_process *process, double seconds)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return; /* it is gone */
    rlim_t end = (rlim_t)ceil((double)used.tv_sec + (double)used.tv_nsec * 1e-9 + seconds);
    struct rlimit limit;
    if (prlimit(process->pid, RLIMIT_CPU, NULL, &limit) == 0) {
        limit.rlim_cur = end < limit.rlim_max ? end : limit.rlim_max;
        (void)prlimit(process->pid, RLIMIT_CPU, &limit, NULL);
    }
}

void service_process_kill(const struct service_process *process)
{
    if (process->pid > 0)
        (void)kill(process->pid, SIGKILL);
}

int service_process_end(struct service_process *process)
{
    int status = 0;
    if (process->pid > 0) {
        service_process_kill(process); /* no effect on the status of one that has ended */
        while (waitpid(process->pid, &status, 0) < 0)
            if (errno != EINTR)
                break; /* somebody else reaped it */
    }
    if (process->socket >= 0)
        close(process->socket);
    *process = (struct service_process){.socket = -1};
    return status;
}
