/* Files: whole-file reads with a limit, read-only maps, atomic writes, paths.
 *
 * Every function takes a fault and names the path in its sentence.                              */
#ifndef AU_BASE_FILE_H
#define AU_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Read a regular file of at most limit bytes into a new zero-terminated block (au_free). */
AURICLE_MUST_CHECK enum auricle_error au_file_read(const char *path, size_t limit_bytes, char **out,
                                                   size_t *out_bytes, struct au_fault *fault);

/* Read-only private map of a whole regular file; an empty file is FORMAT. The map is advised for
 * sequential reading. A file that shrinks under the map is the caller's risk (SIGBUS): models are
 * trusted not to change while they load.                                                        */
struct au_file_map {
    const uint8_t *data;
    size_t bytes;
    int64_t modified_ns; /* when the file was last written, by its own record; since 1970 */
};
AURICLE_MUST_CHECK enum auricle_error au_file_map_open(const char *path, struct au_file_map *out,
                                                       struct au_fault *fault);
/* Advise that the whole map will be used again and again: read it now, keep it. */
void au_file_map_keep(const struct au_file_map *map);
/* Advise that few places of these bytes of a map will be read: small pages for them. */
void au_file_map_sparse(const void *data, size_t bytes);
/* Let go of the pages that were read: they no longer count as this process' memory, and come back
 * from the file when they are touched.                                                          */
void au_file_map_forget(const struct au_file_map *map);
void au_file_map_close(struct au_file_map *map); /* zeroed map is fine */

/* Write to "path.tmp-PID", flush to disk, rename over path: readers see the old or the new file. */
AURICLE_MUST_CHECK enum auricle_error au_file_write_atomic(const char *path, const void *data,
                                                           size_t bytes, struct au_fault *fault);

/* A new file that never has a name, for reading and writing, on disk where possible (memory is what
 * it is there to save): in `folder`, or where that is NULL or refuses in the system's folders for
 * temporary files, else in memory. The descriptor, or -1 with errno set.                         */
int au_file_open_nameless(const char *folder);

bool au_file_exists(const char *path); /* anything at that path */
bool au_file_is_dir(const char *path);
bool au_file_is_regular(const char *path);
AURICLE_MUST_CHECK enum auricle_error au_dir_make(const char *path,
                                                  struct au_fault *fault); /* with parents */

char *au_path_join(const char *folder, const char *name); /* new string; NULL when out of memory */
const char *au_path_name(const char *path);               /* part after the last '/', borrowed */
char *au_path_executable_folder(void);                    /* new string; NULL where unknown */

#endif
