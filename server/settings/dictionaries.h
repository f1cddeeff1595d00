/* dictionaries.h - the dictionaries that the settings name, opened: for the start, and for --check-config.
 *
 * Thread safety: as registry.h; for one thread. */
#ifndef RASAED_SETTINGS_DICTIONARIES_H
#define RASAED_SETTINGS_DICTIONARIES_H

#include "serving/registry/registry.h"
#include "settings/settings.h"

/* `options` has what the settings do not say: backend, workspaces and device. *out is released with registry_free(),
 * also after a failure, when it may be NULL. Errors: those of registry_add() and registry_add_folder(). */
ra_status settings_open_dictionaries(const settings *chosen, registry_options options, registry **out,
                                     ra_error *err);

#endif
