/* log.h - the program's log: lines on standard error.
 *
 *     2025-11-23T08:15:00.123Z info  dictionary words: 4000 atoms of 384 dimensions
 *
 * log_start() installs it as the library's sink, so ra_log() is what everyone calls. Each line is one
 * write(), so lines of several threads never mix. Thread safety: log_start() is called once, early.
 */
#ifndef RASAED_ENGINE_LOG_H
#define RASAED_ENGINE_LOG_H

#include "ra_status.h"

/* Lines below this level are dropped. */
void log_start(ra_log_level level);

#endif
