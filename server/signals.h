/* signals.h - signals as ordinary code: the main thread waits for them.
 *
 *     signals_while_loading();        SIGTERM and SIGINT end the process, SIGHUP waits
 *     ...
 *     signals_while_serving();        all three wait for signals_wait()
 *     int signal = signals_wait();
 *     ...
 *     signals_while_stopping(status); SIGTERM and SIGINT end the process at once
 *
 * SIGUSR1, SIGUSR2 and SIGALRM, which tools send to reopen logs and the like, are ignored.
 *
 * Thread safety: the main thread calls these; signals_wake() belongs to any thread.
 */
#ifndef RASAED_SIGNALS_H
#define RASAED_SIGNALS_H

#include <stdbool.h>

void signals_while_loading(void);
void signals_while_serving(void);

/* From now on SIGTERM and SIGINT end the process with status(), whatever the main thread does, and one that came
 * before and was not yet taken does. status() runs in a signal handler. */
void signals_while_stopping(int (*status)(void));

enum { SIGNALS_WOKEN = 0 };

/* SIGHUP, SIGTERM, SIGINT, or SIGNALS_WOKEN. */
int signals_wait(void);

/* Waits ten milliseconds; SIGTERM or SIGINT when one of them comes within them, else SIGNALS_WOKEN. */
int signals_pause(void);

/* Lets signals_wait() return SIGNALS_WOKEN: there is news that is no signal. */
void signals_wake(void);

#endif
