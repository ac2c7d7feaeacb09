/* What /proc, /sys and the environment say about this machine: for `auricle doctor`.
 *
 * Every answer may be missing (another kernel, a sandbox): unknown figures are 0, unknown texts
 * empty. Main thread only.                                                                       */
#ifndef APP_MACHINE_H
#define APP_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct app_machine {
    char processor[128]; /* "AMD EPYC 7B13" */
    char features[512];  /* of the instruction sets that matter here, separated by spaces */
    int n_processors;    /* online */
    uint64_t memory_bytes, available_bytes;
    uint64_t memory_limit_bytes; /* of the control group; 0: none */
    bool nvidia;                 /* a driver is loaded */
    char locale[64];             /* "de_DE.UTF-8"; "C" where none is set */
    bool utf8;                   /* the locale's characters are UTF-8 */
};

void app_machine_look(struct app_machine *out);

#endif
