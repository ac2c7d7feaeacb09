/* Zip directories. See zip.h. */
#include "format/zip.h"

#include "base/map.h"
#include "base/mem.h"
#include "format/bytes.h"

#define LOCAL_SIGNATURE     0x04034b50u
#define CENTRAL_SIGNATURE   0x02014b50u
#define END_SIGNATURE       0x06054b50u
#define END64_SIGNATURE     0x06064b50u
#define LOCATOR64_SIGNATURE 0x07064b50u

#define LOCAL_BYTES     30
#define CENTRAL_BYTES   46
#define END_BYTES       22
#define END64_BYTES     56
#define LOCATOR64_BYTES 20
#define MAX_COMMENT     65535

#define FLAG_ENCRYPTED 1u
#define EXTRA_64BIT    1u

struct format_zip {
    struct format_zip_entry *entries;
    size_t n_entries;
    struct au_map *index;
};

/* Where the directory says it is. */
struct directory {
    uint64_t n_entries, offset, bytes;
};

static enum auricle_error damaged(struct au_fault *fault, const char *what)
{
    return au_fail(fault, AURICLE_E_FORMAT, "the zip archive %s: the file is cut short or damaged",
                   what);
}

/* The end record is the last thing in the file, behind it only a comment of stated length. */
static const uint8_t *find_end(const uint8_t *data, size_t bytes)
{
    if (bytes < END_BYTES)
        return NULL;
    size_t last = bytes - END_BYTES;
    size_t first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t at = last + 1; at-- > first;)
        if (format_le32(data + at) == END_SIGNATURE && format_le16(data + at + 20) == last - at)
            return data + at;
    return NULL;
}

/* The 64-bit end record, where a locator stands before the plain one. */
static enum auricle_error read_end64(const uint8_t *data, size_t end_at, struct directory *out,
                                     struct au_fault *fault)
{
    if (end_at < LOCATOR64_BYTES ||
        format_le32(data + end_at - LOCATOR64_BYTES) != LOCATOR64_SIGNATURE)
        return AURICLE_OK;
    uint64_t at = format_le64(data + end_at - LOCATOR64_BYTES + 8);
    if (end_at < END64_BYTES || at > end_at - END64_BYTES ||
        format_le32(data + at) != END64_SIGNATURE)
        return damaged(fault, "has a 64-bit end record that is not where it should be");
    out->n_entries = format_le64(data + at + 32);
    out->bytes = format_le64(data + at + 40);
    out->offset = format_le64(data + at + 48);
    return AURICLE_OK;
}

static enum auricle_error find_directory(const uint8_t *data, size_t bytes, struct directory *out,
                                         struct au_fault *fault)
{
    const uint8_t *end = find_end(data, bytes);
    if (!end)
        return damaged(fault, "has no end record");
    if (format_le16(end + 4) != 0 && format_le16(end + 4) != UINT16_MAX)
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "the zip archive is split into several files");
    *out = (struct directory){format_le16(end + 10), format_le32(end + 16), format_le32(end + 12)};
    size_t end_at = (size_t)(end - data);
    enum auricle_error error = read_end64(data, end_at, out, fault);
    if (error)
        return error;
    if (out->offset > end_at || out->bytes > end_at - out->offset)
        return damaged(fault, "has a directory outside the file");
    if (out->n_entries > FORMAT_MAX_ZIP_ENTRIES)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "the zip archive has %llu entries, at most %d are read",
                       (unsigned long long)out->n_entries, FORMAT_MAX_ZIP_ENTRIES);
    if (out->n_entries > out->bytes / CENTRAL_BYTES)
        return damaged(fault, "claims more entries than its directory has room for");
    return AURICLE_OK;
}

/* Sizes and offsets of all ones stand in the 64-bit extra field, those that need it, in this
 * order. */
static bool widen(const uint8_t *extra, size_t n, uint64_t *const values[3])
{
    while (n >= 4) {
        size_t id = format_le16(extra), field = format_le16(extra + 2);
        extra += 4;
        n -= 4;
        if (field > n)
            return false;
        for (int i = 0, at = 0; id == EXTRA_64BIT && i < 3; i++) {
            if (*values[i] != UINT32_MAX)
                continue;
            if ((size_t)at + 8 > field)
                return false;
            *values[i] = format_le64(extra + at);
            at += 8;
        }
        extra += field;
        n -= field;
    }
    return true;
}

/* Where the data of the entry begins: behind its local header, whose lengths are its own. */
static bool find_data(const uint8_t *data, size_t bytes, uint64_t offset,
                      struct format_zip_entry *entry)
{
    if (bytes < LOCAL_BYTES || offset > bytes - LOCAL_BYTES ||
        format_le32(data + offset) != LOCAL_SIGNATURE)
        return false;
    size_t skip = (size_t)LOCAL_BYTES + format_le16(data + offset + 26) +
                  format_le16(data + offset + 28);
    if (skip > bytes - offset || entry->bytes > bytes - offset - skip)
        return false;
    entry->data = data + offset + skip;
    return true;
}

static enum auricle_error parse_entry(struct format_cursor *directory, const uint8_t *data,
                                      size_t bytes, struct format_zip_entry *out,
                                      struct au_fault *fault)
{
    const uint8_t *head, *name, *extra, *comment;
    if (!format_take(directory, CENTRAL_BYTES, &head) || format_le32(head) != CENTRAL_SIGNATURE)
        return damaged(fault, "has a directory that ends early");
    size_t name_bytes = format_le16(head + 28), extra_bytes = format_le16(head + 30);
    if (!format_take(directory, name_bytes, &name) ||
        !format_take(directory, extra_bytes, &extra) ||
        !format_take(directory, format_le16(head + 32), &comment))
        return damaged(fault, "has a directory that ends early");

    uint64_t packed = format_le32(head + 20), size = format_le32(head + 24);
    uint64_t offset = format_le32(head + 42);
    uint64_t *const wide[3] = {&size, &packed, &offset};
    if (!widen(extra, extra_bytes, wide))
        return damaged(fault, "has a damaged directory entry");
    int shown = name_bytes < 80 ? (int)name_bytes : 80;
    if (format_le16(head + 8) & FLAG_ENCRYPTED)
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "entry '%.*s' of the zip archive is encrypted",
                       shown, (const char *)name);
    if (format_le16(head + 10) != 0)
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "entry '%.*s' of the zip archive is compressed; torch.save stores its "
            "entries, so this archive was packed again: unpack it and pack it with zip -0",
            shown, (const char *)name);
    if (packed != size || size > bytes)
        return damaged(fault, "has a damaged directory entry");
    *out = (struct format_zip_entry){(const char *)name, name_bytes, NULL, (size_t)size};
    return find_data(data, bytes, offset, out)
               ? AURICLE_OK
               : damaged(fault, "names an entry that is not where it should be");
}

static enum auricle_error read_directory(struct format_zip *zip, const uint8_t *data, size_t bytes,
                                         const struct directory *where, struct au_fault *fault)
{
    struct format_cursor directory = {data + where->offset, (size_t)where->bytes, 0};
    zip->entries = au_alloc_array((size_t)where->n_entries, sizeof *zip->entries);
    enum auricle_error error = zip->entries ? au_map_create((size_t)where->n_entries, &zip->index)
                                            : AURICLE_E_NOMEM;
    if (error)
        return au_fail(fault, error, "out of memory for the directory of the zip archive");
    for (uint64_t i = 0; i < where->n_entries; i++) {
        struct format_zip_entry *entry = &zip->entries[zip->n_entries];
        union au_map_value value = {.integer = (int64_t)zip->n_entries};
        error = parse_entry(&directory, data, bytes, entry, fault);
        if (error)
            return error;
        if (format_zip_find(zip, entry->name, entry->name_bytes))
            return damaged(fault, "has two entries of one name");
        error = au_map_put(zip->index, entry->name, entry->name_bytes, value);
        if (error)
            return au_fail(fault, error, "out of memory for the directory of the zip archive");
        zip->n_entries++;
    }
    return AURICLE_OK;
}

enum auricle_error format_zip_open(const uint8_t *data, size_t bytes, struct format_zip **out,
                                   struct au_fault *fault)
{
    struct directory where = {0};
    enum auricle_error error = find_directory(data, bytes, &where, fault);
    if (error)
        return error;
    struct format_zip *zip = au_calloc(1, sizeof *zip);
    if (!zip)
        return au_fail(fault, AURICLE_E_NOMEM,
                       "out of memory for the directory of the zip archive");
    error = read_directory(zip, data, bytes, &where, fault);
    if (error) {
        format_zip_close(zip);
        return error;
    }
    *out = zip;
    return AURICLE_OK;
}

void format_zip_close(struct format_zip *zip)
{
    if (!zip)
        return;
    au_map_destroy(zip->index);
    au_free(zip->entries);
    au_free(zip);
}

size_t format_zip_count(const struct format_zip *zip)
{
    return zip->n_entries;
}

const struct format_zip_entry *format_zip_at(const struct format_zip *zip, size_t i)
{
    return i < zip->n_entries ? &zip->entries[i] : NULL;
}

const struct format_zip_entry *format_zip_find(const struct format_zip *zip, const char *name,
                                               size_t name_bytes)
{
    union au_map_value value;
    if (!au_map_get(zip->index, name, name_bytes, &value))
        return NULL;
    return &zip->entries[value.integer];
}
