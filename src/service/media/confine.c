/* Limits and a filter of system calls. See confine.h.
 *
 * Allowed are system calls by number and, where a number says too much, by argument: descriptors
 * are compared (job descriptors are the first free numbers after the socket's, and no more than
 * MEDIA_JOB_FDS can be open), memory is never executable. All other calls kill the process.      */
#include "service/media/confine.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/media/wire.h"

/* A sanitizer reserves terabytes of addresses, asks for its own call stacks and reports. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static enum auricle_error set_limit(int resource, const char *what, uint64_t value,
                                    struct au_fault *fault)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0)
        return au_fail_errno(fault, errno, "decoder process: limit on %s", what);
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > value)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(resource, &limit) != 0)
        return au_fail_errno(fault, errno, "decoder process: limit on %s", what);
    return AURICLE_OK;
}

/* Bytes of addresses in use: libraries count too, and FFmpeg brings many. */
static uint64_t mapped_bytes(void)
{
    unsigned long long pages = 0;
    char text[64] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fgets(text, sizeof text, file))
            for (const char *c = text; *c >= '0' && *c <= '9'; c++)
                pages = pages * 10 + (unsigned long long)(*c - '0');
        fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static enum auricle_error set_limits(const struct service_confinement *limits,
                                     struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (!SANITIZED)
        error = set_limit(RLIMIT_AS, "memory", mapped_bytes() + limits->max_memory_bytes, fault);
    if (!error)
        error = set_limit(RLIMIT_FSIZE, "file size", limits->max_file_bytes, fault);
    if (!error)
        error = set_limit(RLIMIT_CORE, "core dumps", 0, fault);
    if (!error)
        error = set_limit(RLIMIT_NPROC, "processes", 0, fault);
    if (!error)
        error = set_limit(RLIMIT_NOFILE, "descriptors",
                          (uint64_t)limits->socket_fd + 1 + MEDIA_JOB_FDS, fault);
    return error;
}

/* ---- The filter ------------------------------------------------------------------------------ */

/* Calls that touch nothing but the process itself. */
static const int harmless[] = {
    SCMP_SYS(futex),        SCMP_SYS(brk),
    SCMP_SYS(munmap),       SCMP_SYS(mremap),
    SCMP_SYS(madvise),      SCMP_SYS(clock_gettime),
    SCMP_SYS(sched_yield),  SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday), SCMP_SYS(exit),
    SCMP_SYS(exit_group),   SCMP_SYS(rt_sigreturn),
    SCMP_SYS(time),         SCMP_SYS(restart_syscall),
};

/* What the runtime of a sanitizer adds. */
static const int for_sanitizers[] = {
    SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid),      SCMP_SYS(gettid),         SCMP_SYS(prctl),
};

/* Reads and writes of what was handed over: descriptor numbers above the socket's. */
static int allow_descriptors(scmp_filter_ctx filter, int socket_fd)
{
    static const int calls[] = {SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(pwrite64)};
    struct scmp_arg_cmp ours = SCMP_A0(SCMP_CMP_GT, (scmp_datum_t)socket_fd, 0);
    int status = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1, ours);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(close), 1, ours);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(poll), 0);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ppoll), 0);
    struct scmp_arg_cmp speak = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)socket_fd, 0);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvmsg), 1, speak);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 1, speak);
    return status;
}

/* Memory without a file behind it, never executable. */
static int allow_memory(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    struct scmp_arg_cmp nameless = SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS);
    int status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, data, nameless);
    if (status == 0)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data);
    return status;
}

static int allow_calls(scmp_filter_ctx filter, const int *calls, size_t n)
{
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return status;
}

static enum auricle_error set_filter(int socket_fd, struct au_fault *fault)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "decoder process: this system cannot filter system calls (seccomp)");
    int status = allow_calls(filter, harmless, sizeof harmless / sizeof *harmless);
    if (status == 0 && SANITIZED) {
        size_t n = sizeof for_sanitizers / sizeof *for_sanitizers;
        struct scmp_arg_cmp complaint = SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO, 0);
        status = allow_calls(filter, for_sanitizers, n);
        if (status == 0)
            status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, complaint);
    }
    if (status == 0)
        status = allow_memory(filter);
    if (status == 0)
        status = allow_descriptors(filter, socket_fd);
    if (status == 0)
        status = seccomp_load(filter); /* sets "no new privileges" too */
    seccomp_release(filter);
    if (status == 0)
        return AURICLE_OK;
    return au_fail_errno(fault, -status,
                         "decoder process: the system refuses a filter of system calls (seccomp), "
                         "without which untrusted media are not decoded; a container's policy may "
                         "forbid it");
}

enum auricle_error service_confine(const struct service_confinement *limits, struct au_fault *fault)
{
    /* Files that may not grow are errors of write. */
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return au_fail_errno(fault, errno, "decoder process: signals");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return au_fail_errno(fault, errno, "decoder process: settings");
    if (close_range((unsigned)limits->socket_fd + 1, ~0u, 0) != 0)
        return au_fail_errno(fault, errno, "decoder process: descriptors");
    enum auricle_error error = set_limits(limits, fault);
    return error ? error : set_filter(limits->socket_fd, fault);
}
