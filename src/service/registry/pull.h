/* A model from the network into the models folder.
 *
 * Files are loaded into FOLDER/.pull-NAME, each checked by size and digest; when all are there and
 * the model opens, the folder is renamed to FOLDER/NAME. A pull that was stopped takes up where it
 * stopped. Two pulls of one model do not meet: the second is refused. Any thread.                */
#ifndef SERVICE_PULL_H
#define SERVICE_PULL_H

#include "service/registry/download.h"
#include "service/registry/registry.h"

struct service_pull {
    const struct service_model *model;
    const char *name;   /* to be known by here; NULL: the model's own */
    const char *folder; /* of models; made when missing */
    const char *base;   /* mirror; NULL: the model's own host */
    bool anew;          /* replace a model that is there */
    const struct service_net *net;
};

/* *installed is the path of the model, a new string. *already: it was there, nothing was loaded.
 * Errors: as service_download_run and service_inspect; STATE when another process pulls it.      */
AURICLE_MUST_CHECK enum auricle_error service_pull_run(const struct service_pull *pull,
                                                       char **installed, bool *already,
                                                       struct au_fault *fault);

#endif
