/* Signals. See interrupt.h. */
#include "app/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t seen; /* the signal, 0 before */
static const char *volatile first_note;

static void on_signal(int number)
{
    if (seen)
        _exit(128 + number);
    seen = number;
    int saved = errno;
    const char *note = first_note;
    if (note && write(STDERR_FILENO, note, strlen(note)) < 0) {
        /* there is nowhere else to say it */
    }
    errno = saved;
}

void app_interrupt_watch(const char *note)
{
    first_note = note;
    /* No SA_RESTART: a wait for standard input comes back, and asks app_interrupted. */
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int app_interrupted(void)
{
    return seen ? 128 + seen : 0;
}
