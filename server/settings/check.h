/* check.h - everything that the settings name, looked at as a start would, without serving.
 *
 * Thread safety: one thread.
 */
#ifndef RASAED_SETTINGS_CHECK_H
#define RASAED_SETTINGS_CHECK_H

#include "settings/ledger.h"

/* The addresses, the key file, certificate and key, the device and the dictionaries; *shares <- how the resources are
 * shared out. The error is the first thing that is wrong. */
ra_status settings_check(const settings *chosen, ledger *shares, ra_error *err);

#endif
