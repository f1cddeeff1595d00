/* engine.h - what every handler works with: the dictionaries, the limits, the state of the server.
 *
 * Owned by main(), constant while requests run, except for what is atomic. */
#ifndef RASAED_RASAED_H
#define RASAED_RASAED_H

#include "serving/batcher.h"
#include "serving/compute.h"
#include "serving/device.h"
#include "serving/registry/registry.h"

typedef struct engine {
    registry *dictionaries;
    size_t max_body;                /* bytes of a request body */
    size_t max_rows;                /* rows of a batch */
    struct metrics *metrics;        /* metrics.h; NULL: nothing is counted */
    struct auth_keys *keys;         /* http/auth.h; NULL: no keys are asked for */
    const struct cors_policy *cors; /* http/cors.h; NULL: no page may read */
    int metrics_access;             /* auth_scope of AUTH_METRICS */
    compute *compute;               /* threads for heavy requests; NULL: all are answered in place */
    batcher *batcher;               /* joins what they compute; NULL: each computes for itself */
    device_watch device;            /* that of the dictionaries */
    bool has_admin;                 /* there is an address for administration: not on the main one then */
    atomic_bool draining;           /* the server is about to stop: not ready, and connections end */
} engine;

#endif
