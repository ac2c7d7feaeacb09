/* Settings: environment over configuration file (flags come first and are the options' business).
 *
 * A configuration file holds lines NAME=value; empty lines and lines that begin with "#" are
 * skipped, quotes around the value and "export " before the name are taken off. Only names the
 * program knows are kept. A name whose part of the program has not arrived is never accepted
 * silently: it is named in a warning. Owner: the main thread.                                    */
#ifndef SERVICE_SETTINGS_H
#define SERVICE_SETTINGS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define SERVICE_N_SETTINGS 48 /* room for every known name */

struct service_setting {
    const char *name; /* static; NULL ends the table */
    const char *part; /* what it belongs to where that has not arrived; NULL: it has */
    const char *help;
};

struct service_settings {
    char *values[SERVICE_N_SETTINGS];      /* by index of the known name; NULL: not set */
    char origins[SERVICE_N_SETTINGS][160]; /* "environment" or "FILE:LINE" */
    struct au_buf warnings;                /* lines, each ended by a line feed */
};

/* How a name of the environment is looked up (getenv, or a test's own). */
typedef const char *service_lookup(const char *name);

/* config_path NULL: no file. An empty value counts as not set. On failure *out is empty and must
 * not be used. Errors: of reading the file; INVALID for a line that is not NAME=value; NOMEM.    */
AURICLE_MUST_CHECK enum auricle_error service_settings_load(const char *config_path,
                                                            service_lookup *environment,
                                                            struct service_settings *out,
                                                            struct au_fault *fault);
void service_settings_deinit(struct service_settings *settings);

/* NULL when not set (or unknown); *origin, when wanted, says where it was set. Borrowed. */
const char *service_settings_get(const struct service_settings *settings, const char *name,
                                 const char **origin);
const struct service_setting *service_settings_known(size_t i); /* NULL past the last */

#endif
