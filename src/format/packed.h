/* Packed matrices kept on disk, so that the next start maps them instead of packing them again.
 *
 * A file holds the packed matrices of one set of weights for one set of kernels, in the order in
 * which a loader asks for them. Reading and writing are the same walk: the loader offers each
 * matrix in turn; when a file was found its bytes are handed back from the map, otherwise the
 * loader packs and the bytes are appended to a new file, which appears under its name when all is
 * done. Pages of a mapped file are shared by every process that uses it. A file's time is when it
 * was last opened; whoever has it open holds a lock on it.
 *
 * A cache never makes a load fail: whatever is wrong with the file (damaged, cut, of another
 * version), it is replaced; a folder that cannot be written is done without.
 * Owner: one loader at a time; a model keeps the object for as long as it uses the mapped bytes. */
#ifndef FORMAT_PACKED_H
#define FORMAT_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/weights.h"

struct format_packed; /* opaque */

/* A number that changes with the weights: sizes and times of their files; names, types, shapes
 * and a sample of every tensor. A copy of a file that keeps its time has the same.               */
uint64_t format_weights_fingerprint(const struct format_weights *weights);

/* Open the file for these weights and kernels (the ids of their layouts) in `folder`, or begin a
 * new one; the folder is made when it is missing. most_bytes: what a new file will hold at most, in
 * address space alone. NULL when neither works: do without.                                      */
struct format_packed *format_packed_open(const char *folder, uint64_t fingerprint,
                                         const char *kernels, size_t most_bytes);
void format_packed_close(struct format_packed *packed); /* unfinished files are removed */

/* The next matrix, [n, k] in `bytes` packed bytes: its bytes in the map (64-byte aligned, valid
 * until close), or NULL: pack it, then hand the bytes to format_packed_put. That returns where they
 * will lie in the new file, mapped: to be read from finish to close, so that a first start needs no
 * more memory than the next one; NULL when they could not be written.
 *   sparse  few places of it will ever be read                                                   */
const void *format_packed_take(struct format_packed *packed, size_t n, size_t k, size_t bytes);
const void *format_packed_put(struct format_packed *packed, size_t n, size_t k, const void *data,
                              size_t bytes, bool sparse);
/* All matrices have been taken or put: a new file gets its name, a file that did not fit goes.
 * False: the new file could not be completed, and nothing that was put may be relied on.         */
AURICLE_MUST_CHECK bool format_packed_finish(struct format_packed *packed);
/* Were all matrices taken from the map? */
bool format_packed_mapped(const struct format_packed *packed);

/* ---- The folder as a whole ------------------------------------------------------------------- */

#define FORMAT_PACKED_ENDING ".packed"

/* A folder that is not there is empty. */
struct format_packed_usage {
    size_t n_files;
    uint64_t bytes;
};
struct format_packed_usage format_packed_usage(const char *folder);
/* Whether files can be made in the folder, or it and they could be; the sentence says why not.
 * Nothing is made. Errors: IO, NOT_FOUND, NOMEM.                                                 */
AURICLE_MUST_CHECK enum auricle_error format_packed_check(const char *folder,
                                                          struct au_fault *fault);
/* Remove files, the one unused for longest first, until no more than most_bytes are left; and what
 * processes that died left unfinished. A file that a process has mapped or writes stays, whatever
 * the size. Returns the bytes removed. Any thread, any process.                                  */
uint64_t format_packed_trim(const char *folder, uint64_t most_bytes);

#endif
