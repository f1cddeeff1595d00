#include "api/api.h"

/* The process runs and answers. */
ra_status api_live(api_call *call, ra_error *err) {
    (void)err;
    json_state(api_json(call), "live");
    return RA_OK;
}

/* Requests are welcome: all dictionaries are loaded (nothing is answered before), and no stop is under way.
 */
ra_status api_ready(api_call *call, ra_error *err) {
    (void)err;
    bool draining = atomic_load(&call->engine->draining);
    json_state(api_json(call), draining ? "draining" : "ready");
    if (draining) call->response->status = 503;
    return RA_OK;
}
