/* engine.h - what every handler works with: the dictionaries, the limits, the state of the server.
 *
 * Owned by main(), constant while requests run, except for what is atomic. */
#ifndef RASAED_ENGINE_ENGINE_H
#define RASAED_ENGINE_ENGINE_H

#include "engine/registry.h"

typedef struct engine {
    registry *dictionaries;
    size_t max_body;      /* bytes of a request body */
    size_t max_rows;      /* rows of a batch */
    atomic_bool draining; /* the server is about to stop: not ready, and connections end */
} engine;

#endif
