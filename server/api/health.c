#include "api/api.h"

/* The process runs and answers. */
ra_status api_live(api_call *call, ra_error *err) {
    (void)err;
    json_state(api_json(call), "live", NULL);
    return RA_OK;
}

/* Requests are welcome: all dictionaries are loaded (nothing is answered before), no stop is under way, and
 * the device answers. */
ra_status api_ready(api_call *call, ra_error *err) {
    (void)err;
    const char *lost = device_watch_reason(&call->engine->device);
    bool draining = atomic_load(&call->engine->draining);
    json_state(api_json(call), lost ? "failed" : draining ? "draining" : "ready", lost);
    if (lost || draining) call->response->status = 503;
    return RA_OK;
}
