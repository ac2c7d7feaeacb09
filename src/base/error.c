/* Error sentences and status names. See error.h and auricle/error.h. */
#include "base/error.h"

const char *auricle_error_name(enum auricle_error code)
{
    switch (code) {
    case AURICLE_OK: return "OK";
    case AURICLE_E_NOMEM: return "NOMEM";
    case AURICLE_E_IO: return "IO";
    case AURICLE_E_NOT_FOUND: return "NOT_FOUND";
    case AURICLE_E_FORMAT: return "FORMAT";
    case AURICLE_E_UNSUPPORTED: return "UNSUPPORTED";
    case AURICLE_E_SHAPE: return "SHAPE";
    case AURICLE_E_INVALID: return "INVALID";
    case AURICLE_E_LIMIT: return "LIMIT";
    case AURICLE_E_CANCELLED: return "CANCELLED";
    case AURICLE_E_TIMEOUT: return "TIMEOUT";
    case AURICLE_E_STATE: return "STATE";
    case AURICLE_E_AGAIN: return "AGAIN";
    case AURICLE_E_NO_AUDIO: return "NO_AUDIO";
    case AURICLE_E_NO_SPACE: return "NO_SPACE";
    case AURICLE_E_CLOSED_PIPE: return "CLOSED_PIPE";
    }
    return "UNKNOWN";
}
