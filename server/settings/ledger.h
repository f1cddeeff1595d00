/* ledger.h - what is limited, and how it is shared out: threads, descriptors, connections, the memory of bodies.
 *
 * Everything that the system limits is divided here, once, before the first connection is accepted. What does not fit
 * is refused with a sentence, so that a server that starts can also be full without failing its watchdog, a reload
 * or the address for administration.
 *
 *     ledger shares;
 *     RA_TRY(ledger_settle(chosen, has_admin, &shares, err));
 *
 * Thread safety: settle it once; constant afterwards.
 */
#ifndef RASAED_SETTINGS_LEDGER_H
#define RASAED_SETTINGS_LEDGER_H

#include "settings/settings.h"

#include <stdio.h>

typedef struct ledger {
    size_t io_threads, compute_threads, pool_threads; /* pool: of the backend */
    size_t connections, admin_connections;
    size_t spares;          /* connections beyond these, for health and metrics on a full server */
    size_t descriptors;     /* of the process: connections and everything else */
    size_t requests, queue; /* at once; that wait for a computation */
    size_t body_bytes;      /* memory of request bodies at once */
} ledger;

/* The threads alone, which need nothing of the system to be known. */
ledger ledger_threads(const settings *chosen);

/* Raises the soft limit of open files as far as it must and the system allows. The descriptors that are open now stay
 * open. RA_ERR_SETTING says which setting does not fit. */
ra_status ledger_settle(const settings *chosen, bool has_admin, ledger *out, ra_error *err);

/* A line for each share: its name as in rasaed_resource_limit where that has it, and the number. */
void ledger_print(const ledger *shares, FILE *out);

#endif
