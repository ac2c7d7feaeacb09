/* Ctrl-C: the first asks the program to stop at the next good place, the second ends it at once.
 *
 * The one mutable global of the program: a signal handler can reach nothing else.                */
#ifndef APP_INTERRUPT_H
#define APP_INTERRUPT_H

/* Watch SIGINT and SIGTERM; `note` is written to standard error at the first one (NULL: nothing).
 * It must be static. */
void app_interrupt_watch(const char *note);
/* Exit code for the signal that was seen (130, 143), or 0. */
int app_interrupted(void);

#endif
