/* Files and paths. See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define READ_STEP_BYTES ((size_t)64 << 10)

/* Open for reading and make sure that it is a regular file; a FIFO must not block us. */
static enum auricle_error open_regular(const char *path, int *out_fd, struct stat *out_status,
                                       struct au_fault *fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return au_fail_errno(fault, errno, "cannot open %s", path);
    enum auricle_error e = AURICLE_OK;
    if (fstat(fd, out_status) != 0)
        e = au_fail_errno(fault, errno, "cannot read %s", path);
    else if (S_ISDIR(out_status->st_mode))
        e = au_fail(fault, AURICLE_E_INVALID, "%s is a folder; a file is expected", path);
    else if (!S_ISREG(out_status->st_mode))
        e = au_fail(fault, AURICLE_E_INVALID, "%s is not a regular file", path);
    if (e) {
        close(fd);
        return e;
    }
    *out_fd = fd;
    return AURICLE_OK;
}

static enum auricle_error too_large(struct au_fault *fault, const char *path, size_t limit_bytes)
{
    return au_fail(fault, AURICLE_E_LIMIT, "%s is larger than the %zu bytes accepted here", path,
                   limit_bytes);
}

/* Read to the end, whatever fstat said: files in /proc have size 0, and files may grow. */
static enum auricle_error read_all(int fd, const char *path, size_t limit_bytes, struct au_buf *buf,
                                   struct au_fault *fault)
{
    for (;;) {
        size_t left = limit_bytes - buf->len;
        size_t room = buf->capacity > buf->len + 1 ? buf->capacity - buf->len - 1 : 0;
        size_t want = room > READ_STEP_BYTES ? room : READ_STEP_BYTES;
        want = want < left ? want : left + 1; /* the byte past the limit shows that it is passed */
        if (au_buf_reserve(buf, want))
            return au_fail(fault, AURICLE_E_NOMEM, "no memory to read %s", path);
        ssize_t n = read(fd, buf->data + buf->len, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return au_fail_errno(fault, errno, "cannot read %s", path);
        if (n == 0)
            return AURICLE_OK;
        if ((size_t)n > left)
            return too_large(fault, path, limit_bytes);
        buf->len += (size_t)n;
        buf->data[buf->len] = '\0';
    }
}

enum auricle_error au_file_read(const char *path, size_t limit_bytes, char **out, size_t *out_bytes,
                                struct au_fault *fault)
{
    int fd = -1;
    struct stat status;
    enum auricle_error e = open_regular(path, &fd, &status, fault);
    if (e)
        return e;
    struct au_buf buf;
    au_buf_init(&buf, 0);
    if ((uint64_t)status.st_size > limit_bytes)
        e = too_large(fault, path, limit_bytes);
    else if (au_buf_reserve(&buf, (size_t)status.st_size + 1))
        e = au_fail(fault, AURICLE_E_NOMEM, "no memory to read %s", path);
    else
        e = read_all(fd, path, limit_bytes, &buf, fault);
    close(fd);
    if (e) {
        au_buf_deinit(&buf);
        return e;
    }
    *out_bytes = buf.len;
    *out = au_buf_take(&buf); /* cannot fail: memory was reserved */
    return AURICLE_OK;
}

enum auricle_error au_file_map_open(const char *path, struct au_file_map *out,
                                    struct au_fault *fault)
{
    int fd = -1;
    struct stat status;
    enum auricle_error e = open_regular(path, &fd, &status, fault);
    if (e)
        return e;
    if (status.st_size == 0) {
        close(fd);
        return au_fail(fault, AURICLE_E_FORMAT, "%s is empty", path);
    }
    if ((uint64_t)status.st_size > SIZE_MAX) {
        close(fd);
        return too_large(fault, path, SIZE_MAX);
    }
    size_t bytes = (size_t)status.st_size;
    void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    int map_errno = errno;
    close(fd);
    if (data == MAP_FAILED)
        return au_fail_errno(fault, map_errno, "cannot map %s", path);
    (void)madvise(data, bytes, MADV_SEQUENTIAL); /* advice only */
    out->data = data;
    out->bytes = bytes;
    out->modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return AURICLE_OK;
}

void au_file_map_keep(const struct au_file_map *map)
{
    void *data = (void *)(uintptr_t)map->data;
    (void)madvise(data, map->bytes, MADV_NORMAL); /* advice only */
    (void)madvise(data, map->bytes, MADV_HUGEPAGE);
    (void)madvise(data, map->bytes, MADV_WILLNEED);
}

void au_file_map_sparse(const void *data, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = au_round_up((uintptr_t)data, page), end = (uintptr_t)data + bytes;
    if (end > from)
        (void)madvise((void *)from, (end - from) / page * page, MADV_NOHUGEPAGE); /* advice only */
}

void au_file_map_forget(const struct au_file_map *map)
{
    (void)madvise((void *)(uintptr_t)map->data, map->bytes, MADV_DONTNEED); /* advice only */
}

void au_file_map_close(struct au_file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (struct au_file_map){0};
}

static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* After a crash the folder must hold the new name too; some file systems refuse, which is fine. */
static void sync_folder_of(const char *path)
{
    const char *name = au_path_name(path);
    char *folder = name == path ? au_strdup(".") : au_strndup(path, (size_t)(name - path));
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    au_free(folder);
}

static int write_new_file(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST &&
        unlink(path) == 0) /* left by a crashed process of our number */
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int error = write_all(fd, data, bytes);
    if (!error && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    if (error)
        unlink(path);
    return error;
}

enum auricle_error au_file_write_atomic(const char *path, const void *data, size_t bytes,
                                        struct au_fault *fault)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return au_fail(fault, AURICLE_E_INVALID, "cannot write %s: it exists and is %s", path,
                       S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
    char *temporary = au_sprintf("%s.tmp-%ld", path, (long)getpid());
    if (!temporary)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory to write %s", path);
    int error = write_new_file(temporary, data, bytes);
    if (!error && rename(temporary, path) != 0) {
        error = errno;
        unlink(temporary);
    }
    au_free(temporary);
    if (error)
        return au_fail_errno(fault, error, "cannot write %s", path);
    sync_folder_of(path);
    return AURICLE_OK;
}

int au_file_open_nameless(const char *folder)
{
    const char *folders[] = {folder, getenv("TMPDIR"), "/var/tmp", "/tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!folders[i])
            continue;
        int fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
    }
    return memfd_create("auricle", MFD_CLOEXEC);
}

bool au_file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

bool au_file_is_dir(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool au_file_is_regular(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static enum auricle_error make_one_dir(const char *path, struct au_fault *fault)
{
    if (mkdir(path, 0777) == 0)
        return AURICLE_OK;
    int error = errno;
    if (au_file_is_dir(path))
        return AURICLE_OK;
    return au_fail_errno(fault, error, "cannot make folder %s", path);
}

enum auricle_error au_dir_make(const char *path, struct au_fault *fault)
{
    if (!*path)
        return au_fail(fault, AURICLE_E_INVALID, "the name of the folder is empty");
    char *part = au_strdup(path);
    if (!part)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory to make folder %s", path);
    enum auricle_error e = AURICLE_OK;
    for (char *slash = strchr(part + 1, '/'); slash && !e; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        e = make_one_dir(part, fault);
        *slash = '/';
    }
    if (!e)
        e = make_one_dir(part, fault);
    au_free(part);
    return e;
}

char *au_path_join(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    bool needs_slash = n > 0 && folder[n - 1] != '/';
    return au_sprintf("%s%s%s", folder, needs_slash ? "/" : "", name);
}

const char *au_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *au_path_executable_folder(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0 || (size_t)n >= sizeof path - 1)
        return NULL;
    path[n] = '\0';
    const char *name = au_path_name(path);
    size_t folder_length = (size_t)(name - path);
    return au_strndup(path, folder_length > 1 ? folder_length - 1 : folder_length);
}
