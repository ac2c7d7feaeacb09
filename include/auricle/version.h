/* Version of auricle: semantic versioning over the public headers in include/auricle. */
#ifndef AURICLE_VERSION_H
#define AURICLE_VERSION_H

#include "auricle/error.h"

#define AURICLE_VERSION_MAJOR 0
#define AURICLE_VERSION_MINOR 1
#define AURICLE_VERSION_PATCH 0
#define AURICLE_VERSION       "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the library that is linked at run time. Static storage. */
AURICLE_API const char *auricle_version(void);

#ifdef __cplusplus
}
#endif
#endif
