/* sandbox.h - after the start the daemon gives up what it does not need: --sandbox.
 *
 * What its settings name can be opened, and nothing else; no program can be started, no connection made. confine/confine.h says
 * how; this says which places the settings name. A file is replaced by renaming another over it, so the folder of each file is
 * what may be read, and where links lead to it, the folders that they lead to.
 *
 * device: a backend that is no CPU. Landlock would keep its driver from its files, and the filter of calls is wider. Both
 * functions say in the log what holds; RA_ERR_STATE if it does not and --sandbox is `require`.
 */
#ifndef RASAED_SANDBOX_H
#define RASAED_SANDBOX_H

#include "settings/settings.h"

/* Before dictionaries are read, and before there are threads, which would stay outside. */
ra_status sandbox_files(const settings *chosen, bool device, ra_error *err);

/* Before requests are read; holds for all threads. */
ra_status sandbox_calls(const settings *chosen, bool device, ra_error *err);

#endif
