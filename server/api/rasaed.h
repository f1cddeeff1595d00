/* rasaed.h - the state of the server: what every handler works with.
 *
 * daemon.c owns it. While requests run it does not change, except for what is atomic.
 */
#ifndef RASAED_API_RASAED_H
#define RASAED_API_RASAED_H

#include "http/auth.h"
#include "http/cors.h"
#include "http/server.h"
#include "serving/batcher.h"
#include "serving/compute.h"
#include "serving/device.h"
#include "serving/media.h"
#include "serving/rows.h"
#include "serving/registry/registry.h"
#include "serving/reloader.h"
#include "serving/replies.h"
#include "settings/ledger.h"
#include "telemetry/metrics.h"

typedef struct rasaed {
    registry *dictionaries;
    store *changes;       /* labels and lists that clients set; NULL: there is no state directory */
    size_t max_body;      /* bytes of a request body */
    size_t max_rows;      /* rows of a batch */
    http_capacity bodies; /* bytes of request bodies, of all addresses */
    const ledger *shares; /* the limits; NULL: unknown */
    http_tls *tls;        /* NULL: plain http */
    _Atomic(http_server *)
        servers[2];            /* the main address and that for administration; NULL until they serve */
    metrics *metrics;          /* NULL: nothing is counted */
    auth_keys *keys;           /* NULL: no key is required */
    const data_rows *rows;     /* of the data of the dictionaries; NULL: there are none */
    const media *media;        /* of the rows of the dictionaries; NULL: there are none */
    const cors_policy *cors;   /* NULL: no page of another origin may read replies */
    auth_scope metrics_access; /* the key that AUTH_METRICS stands for */
    compute *compute;          /* threads for heavy requests; NULL: I/O threads answer everything */
    reloader *reloader;        /* loads, unloads and frees; there when `compute` is */
    replies *replies;          /* memory of large replies; NULL: they are copied */
    batcher *batcher;          /* joins the computations of several requests; NULL: nothing is joined */
    device_watch device;       /* the device of the dictionaries */
    bool has_admin;            /* there is a second address, for administration */
    atomic_bool draining;      /* the server is about to stop: not ready, and replies end their connections */
} rasaed;

#endif
