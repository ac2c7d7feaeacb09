/* whisper.cpp's front door. */
#ifndef REST_WHISPERCPP_H
#define REST_WHISPERCPP_H

#include "api/rest/job.h"

extern const struct rest_door whispercpp_inference;

#endif
