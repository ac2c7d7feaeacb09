/* Putting models into the models folder and taking them out.
 *
 * A model that comes in is checked first, copied under a hidden name, and renamed: the folder holds
 * whole models at every moment. Main thread, or any one at a time.                               */
#ifndef SERVICE_INSTALL_H
#define SERVICE_INSTALL_H

#include "service/registry/digest.h"
#include "service/registry/inspect.h"

struct service_import {
    const char *from;            /* file or folder */
    const char *folder;          /* of models; made when missing */
    const char *name;            /* to be known by; NULL: after the source */
    bool link;                   /* a symbolic link in place of a copy */
    service_digest_watch *watch; /* bytes copied so far; NULL: none */
    void *context;
};

/* Copy or link a model. *installed is the path it has got, a new string. A Whisper file that wants
 * its texts beside it (safetensors, CTranslate2) brings the folder it lies in: its weights and
 * texts.
 * Errors: those of service_inspect; UNSUPPORTED (of no known family); INVALID (a name that cannot
 * be, or is taken); NO_SPACE, IO, CANCELLED, NOMEM.                                              */
AURICLE_MUST_CHECK enum auricle_error service_import(const struct service_import *import,
                                                     char **installed, struct au_fault *fault);

/* Delete an installed model: a file with its record, a folder, or the link to one. The caller has
 * made sure that it may. Errors: IO, NOMEM.                                                      */
AURICLE_MUST_CHECK enum auricle_error service_uninstall(const char *path, struct au_fault *fault);
/* Delete a folder and all that is in it, links unfollowed. Missing: OK. */
AURICLE_MUST_CHECK enum auricle_error service_remove_folder(const char *path,
                                                            struct au_fault *fault);

/* Bytes that may be written to the file system of folder, or of the first folder above it that is
 * there; UINT64_MAX where unknown. */
uint64_t service_free_bytes(const char *folder);
/* The path of a model of that name in folder, in any of its forms: new string; NULL when absent. */
char *service_installed(const char *folder, const char *name);

#endif
