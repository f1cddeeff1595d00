/* daemon.h - the server from start to stop. */
#ifndef RASAED_DAEMON_H
#define RASAED_DAEMON_H

#include "settings/settings.h"

enum { EXIT_USAGE = 2 }; /* stop.h has the others */

/* Serves until a signal or the device ends it; returns the exit status, with the reason of a failed start on
 * standard error. */
int daemon_run(const settings *chosen);

#endif
