/* Messages with descriptors over a socket pair. See wire.h. */
#include "service/media/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(MEDIA_JOB_FDS * sizeof(int))];
};

bool service_wire_send(int socket, const void *message, size_t n, const int *fds, size_t n_fds)
{
    union control control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = n};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds > 0) {
        memset(&control, 0, sizeof control);
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof *fds);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(n_fds * sizeof *fds);
        memcpy(CMSG_DATA(rights), fds, n_fds * sizeof *fds);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)n;
}

ssize_t service_wire_receive(int socket, void *message, size_t n, int flags, int *fds,
                             size_t max_fds, size_t *n_fds)
{
    union control control;
    struct iovec part = {.iov_base = message, .iov_len = n};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (max_fds > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(max_fds * sizeof *fds);
    }
    ssize_t got;
    do
        got = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (n_fds)
        *n_fds = 0;
    if (got <= 0 || max_fds == 0)
        return got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
            *n_fds = count < max_fds ? count : max_fds;
            memcpy(fds, CMSG_DATA(c), *n_fds * sizeof *fds);
        }
    return got;
}
