/* The directory of a zip archive in memory: names and where their bytes lie.
 *
 * As much of the format as torch.save writes: entries that are stored (not compressed, not
 * encrypted), with or without the 64-bit records. Nothing is copied or unpacked.
 * Source: PKWARE APPNOTE 6.3.9, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3.
 * Borrows the archive's bytes; read-only after opening.                                          */
#ifndef FORMAT_ZIP_H
#define FORMAT_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FORMAT_MAX_ZIP_ENTRIES 65536

struct format_zip_entry {
    const char *name; /* not terminated */
    size_t name_bytes;
    const uint8_t *data;
    size_t bytes;
};

struct format_zip; /* opaque */

/* Read and check the whole directory.
 * Errors: FORMAT, UNSUPPORTED (compressed, encrypted or split), LIMIT, NOMEM.                    */
AURICLE_MUST_CHECK enum auricle_error format_zip_open(const uint8_t *data, size_t bytes,
                                                      struct format_zip **out,
                                                      struct au_fault *fault);
void format_zip_close(struct format_zip *zip);

size_t format_zip_count(const struct format_zip *zip);
const struct format_zip_entry *format_zip_at(const struct format_zip *zip, size_t i);
/* NULL when absent. */
const struct format_zip_entry *format_zip_find(const struct format_zip *zip, const char *name,
                                               size_t name_bytes);

#endif
