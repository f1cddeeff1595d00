/* signals.h - signals as ordinary code: the main thread waits for them.
 *
 *     signals_while_loading();        SIGTERM and SIGINT end the process, SIGHUP waits
 *     ...
 *     signals_while_serving();        all three wait for signals_wait()
 *     int signal = signals_wait();
 *
 * Thread safety: the main thread calls these; signals_request_stop() belongs to any thread.
 */
#ifndef RASAED_SIGNALS_H
#define RASAED_SIGNALS_H

#include <stdbool.h>

void signals_while_loading(void);
void signals_while_serving(void);

/* SIGHUP, SIGTERM or SIGINT. */
int signals_wait(void);

/* Waits ten milliseconds; true when SIGTERM or SIGINT comes within them. */
bool signals_pause(void);

/* The same as a SIGTERM from outside. */
void signals_request_stop(void);

#endif
