/* Packed matrices on disk. Layout, little-endian as every machine this runs on:
 *   struct header, padded to 128 bytes, written last
 *   for each matrix: struct part (64 bytes), then its bytes, padded to a multiple of 64
 * See packed.h.                                                                                  */
#include "format/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/store.h"

#define MAGIC        "auricle packed\n"
#define VERSION      2 /* of this layout and of the order in which loaders ask */
#define HEADER_BYTES 128
/* A file is written in whole large pages: only what is written at once, and lies so, does the
 * system keep and map as one. A decoder step of a model of 240 MB takes a ninth less time with
 * them. What is read in few places is written in small pieces, for a page there is read whole.   */
#define GATHER_BYTES ((size_t)2 << 20)
#define SPARSE_BYTES ((size_t)64 << 10)
#define KERNEL_BYTES 64

struct header {
    char magic[16];
    uint32_t version, n_parts;
    uint64_t file_bytes, fingerprint;
    char kernels[KERNEL_BYTES];
};

struct part {
    uint64_t index, n, k, bytes;
    uint64_t reserved[4]; /* up to AU_ALIGN bytes */
};
_Static_assert(sizeof(struct part) == AU_ALIGN, "matrices are aligned for the kernels");
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header fits its place");

struct format_packed {
    struct header wanted;
    char *path;

    int hold_fd;            /* -1, or keeps the file from being trimmed away */
    struct au_file_map map; /* reading */
    size_t at;              /* of the next part: in the map, or in the new file */
    uint64_t index;         /* of the next part */
    bool misfit;            /* reading: a part was not what was asked for */

    char *new_path;         /* writing */
    int fd;                 /* -1: not writing (any more) */
    struct au_file_map own; /* the new file; the map reaches beyond its end, which grows */
    uint8_t *gathered;      /* [GATHER_BYTES] its end, which is not written yet */
    size_t n_gathered;
    bool failed; /* something could not be written */
};

/* ---- Fingerprint ----------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * 0x100000001B3U; /* FNV-1a */
    return hash ^ (hash >> 29);
}

/* No pass over gigabytes: a file that was damaged, repaired or edited has another time, and other
 * weights in a file of the same size and time (some package managers give all files one) differ
 * everywhere, so also in the middle of each tensor.                                              */
uint64_t format_weights_fingerprint(const struct format_weights *weights)
{
    const size_t sample = 64;
    size_t n = format_weights_count(weights);
    uint64_t hash = mix(0xCBF29CE484222325U, &n, sizeof n);

    for (size_t i = 0; i < weights->n_maps; i++) {
        hash = mix(hash, &weights->maps[i].bytes, sizeof weights->maps[i].bytes);
        hash = mix(hash, &weights->maps[i].modified_ns, sizeof weights->maps[i].modified_ns);
    }
    for (size_t i = 0; i < n; i++) {
        const struct format_tensor *tensor = format_weights_at(weights, i);
        size_t from = tensor->bytes > sample ? tensor->bytes / 2 - sample / 2 : 0;
        hash = mix(hash, tensor->name, strlen(tensor->name) + 1);
        hash = mix(hash, &tensor->type, sizeof tensor->type);
        hash = mix(hash, tensor->shape, (size_t)tensor->n_dims * sizeof tensor->shape[0]);
        hash = mix(hash, tensor->data + from, tensor->bytes < sample ? tensor->bytes : sample);
    }
    return hash;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Keep an existing file, and note that it is used. False: there is none, or it is just going. Where
 * the file system has no locks or no times to set, nothing is lost but a place in the order.     */
static bool hold_existing(struct format_packed *packed)
{
    packed->hold_fd = open(packed->path, O_RDONLY | O_CLOEXEC);
    if (packed->hold_fd < 0 ||
        (flock(packed->hold_fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK))
        return false;
    (void)futimens(packed->hold_fd, NULL);
    return true;
}

static void let_go(struct format_packed *packed)
{
    if (packed->hold_fd >= 0)
        close(packed->hold_fd);
    packed->hold_fd = -1;
}

static bool map_existing(struct format_packed *packed)
{
    struct header found;

    if (!au_file_is_regular(packed->path) || !hold_existing(packed) ||
        au_file_map_open(packed->path, &packed->map, NULL)) {
        let_go(packed);
        return false;
    }
    if (packed->map.bytes >= HEADER_BYTES) {
        memcpy(&found, packed->map.data, sizeof found);
        packed->wanted.n_parts = found.n_parts;
        packed->wanted.file_bytes = packed->map.bytes;
        if (memcmp(&found, &packed->wanted, sizeof found) == 0) {
            au_file_map_keep(&packed->map);
            return true;
        }
    }
    au_file_map_close(&packed->map);
    let_go(packed);
    return false;
}

static void begin_new(struct format_packed *packed, size_t most_bytes)
{
    packed->new_path = au_sprintf("%s.tmp-%ld", packed->path, (long)getpid());
    packed->gathered = au_alloc_aligned(GATHER_BYTES);
    if (!packed->new_path || !packed->gathered)
        return;
    memset(packed->gathered, 0, HEADER_BYTES);
    packed->n_gathered = packed->at;
    /* Left by a process that died, with our number. */
    (void)unlink(packed->new_path);
    packed->fd = open(packed->new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (packed->fd < 0)
        return;
    (void)flock(packed->fd, LOCK_SH | LOCK_NB);
    void *data = mmap(NULL, most_bytes, PROT_READ, MAP_SHARED, packed->fd, 0);
    if (data != MAP_FAILED)
        packed->own = (struct au_file_map){.data = data, .bytes = most_bytes};
}

struct format_packed *format_packed_open(const char *folder, uint64_t fingerprint,
                                         const char *kernels, size_t most_bytes)
{
    struct format_packed *packed = au_calloc(1, sizeof *packed);

    if (!packed)
        return NULL;
    packed->fd = packed->hold_fd = -1;
    packed->at = HEADER_BYTES;
    memcpy(packed->wanted.magic, MAGIC, sizeof MAGIC);
    packed->wanted.version = VERSION;
    packed->wanted.fingerprint = fingerprint;
    snprintf(packed->wanted.kernels, KERNEL_BYTES, "%s", kernels);
    packed->path = au_sprintf("%s/%016llx-%s" FORMAT_PACKED_ENDING, folder,
                              (unsigned long long)fingerprint, packed->wanted.kernels);
    if (packed->path && au_dir_make(folder, NULL) == AURICLE_OK && !map_existing(packed))
        begin_new(packed, most_bytes);
    if (packed->map.data || packed->fd >= 0)
        return packed;
    format_packed_close(packed);
    return NULL;
}

/* Stop writing and leave nothing behind. */
static void give_up(struct format_packed *packed)
{
    if (packed->fd < 0)
        return;
    close(packed->fd);
    packed->fd = -1;
    (void)unlink(packed->new_path);
    packed->failed = true;
}

void format_packed_close(struct format_packed *packed)
{
    if (!packed)
        return;
    give_up(packed);
    let_go(packed);
    au_file_map_close(&packed->own);
    au_file_map_close(&packed->map);
    au_free(packed->gathered);
    au_free(packed->new_path);
    au_free(packed->path);
    au_free(packed);
}

/* ---- Parts ----------------------------------------------------------------------------------- */

const void *format_packed_take(struct format_packed *packed, size_t n, size_t k, size_t bytes)
{
    struct part want = {.index = packed->index, .n = n, .k = k, .bytes = bytes};

    if (!packed->map.data || packed->misfit)
        return NULL;
    size_t left = packed->map.bytes - packed->at;
    packed->misfit = left < sizeof want || left - sizeof want < bytes ||
                     memcmp(packed->map.data + packed->at, &want, sizeof want) != 0;
    if (packed->misfit)
        return NULL;
    const void *data = packed->map.data + packed->at + sizeof want;
    size_t step = sizeof want + au_round_up(bytes, AU_ALIGN);
    packed->at += step < left ? step : left;
    packed->index++;
    return data;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *data, size_t bytes, size_t at)
{
    const uint8_t *p = data;
    while (bytes > 0) {
        ssize_t n = pwrite(fd, p, bytes, (off_t)at);
        if (n <= 0)
            return false;
        p += n;
        at += (size_t)n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Bring what is gathered to the file, and start it on its way to the disk: that takes its time
 * while the next matrices are packed.                                                            */
static bool flush(struct format_packed *packed)
{
    size_t from = packed->at - packed->n_gathered;
    if (!write_all(packed->fd, packed->gathered, packed->n_gathered, from))
        return false;
    (void)sync_file_range(packed->fd, (off_t)from, (off_t)packed->n_gathered,
                          SYNC_FILE_RANGE_WRITE);
    packed->n_gathered = 0;
    return true;
}

/* Append, written in pieces that begin and end at multiples of `piece`. */
static bool append(struct format_packed *packed, const void *data, size_t bytes, size_t piece)
{
    const uint8_t *p = data;
    while (bytes > 0) {
        size_t left = piece - packed->at % piece, n = bytes < left ? bytes : left;
        memcpy(packed->gathered + packed->n_gathered, p, n);
        packed->n_gathered += n;
        packed->at += n;
        p += n;
        bytes -= n;
        if (packed->at % piece == 0 && !flush(packed))
            return false;
    }
    return true;
}

const void *format_packed_put(struct format_packed *packed, size_t n, size_t k, const void *data,
                              size_t bytes, bool sparse)
{
    static const uint8_t zeros[AU_ALIGN];
    struct part part = {.index = packed->index, .n = n, .k = k, .bytes = bytes};

    if (packed->fd < 0)
        return NULL;
    size_t from = packed->at + sizeof part, padding = au_round_up(bytes, AU_ALIGN) - bytes;
    const size_t piece = sparse ? SPARSE_BYTES : GATHER_BYTES;
    if (!append(packed, &part, sizeof part, piece) || !append(packed, data, bytes, piece) ||
        !append(packed, zeros, padding, piece)) {
        give_up(packed);
        return NULL;
    }
    packed->index++;
    return packed->at <= packed->own.bytes ? packed->own.data + from : NULL;
}

/* The header comes last and the data is on disk before the name: a file under its name is whole. */
static bool complete_new(struct format_packed *packed)
{
    struct header *header = &packed->wanted;

    header->n_parts = (uint32_t)packed->index;
    header->file_bytes = packed->at;
    return flush(packed) && write_all(packed->fd, header, sizeof *header, 0) &&
           fdatasync(packed->fd) == 0 && rename(packed->new_path, packed->path) == 0;
}

bool format_packed_finish(struct format_packed *packed)
{
    if (packed->map.data && !format_packed_mapped(packed))
        (void)unlink(packed->path); /* made anew at the next start */
    if (packed->fd >= 0 && complete_new(packed)) {
        packed->hold_fd = packed->fd; /* with its lock */
        packed->fd = -1;
    }
    give_up(packed);
    au_free(packed->gathered);
    packed->gathered = NULL;
    return !packed->failed;
}

bool format_packed_mapped(const struct format_packed *packed)
{
    return packed->map.data && !packed->misfit && packed->index == packed->wanted.n_parts;
}
