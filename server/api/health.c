#include "api/api.h"
#include "codec/oip_reply.h"

#include <string.h>

/* The process runs and answers. */
ra_status api_live(api_call *call, ra_error *err) {
    (void)err;
    json_state(api_json(call), "live", NULL);
    return RA_OK;
}

/* Requests are welcome: all dictionaries are loaded (nothing is answered before), no stop is under way, and
 * the device answers. Sets the status; *reason <- why it failed, or NULL. */
static const char *readiness(api_call *call, const char **reason) {
    *reason = device_watch_reason(&call->engine->device);
    const char *state = *reason ? "failed" : atomic_load(&call->engine->draining) ? "draining" : "ready";
    if (strcmp(state, "ready") != 0) call->response->status = 503;
    return state;
}

ra_status api_ready(api_call *call, ra_error *err) {
    (void)err;
    const char *reason, *state = readiness(call, &reason);
    json_state(api_json(call), state, reason);
    return RA_OK;
}

/* ---- the same for the Open Inference Protocol, whose clients look for a truth value ---------------------
 */

ra_status api_oip_live(api_call *call, ra_error *err) {
    (void)err;
    oip_put_health(api_json(call), "live", true);
    return RA_OK;
}

ra_status api_oip_server_ready(api_call *call, ra_error *err) {
    (void)err;
    const char *reason, *state = readiness(call, &reason);
    oip_put_health(api_json(call), "ready", strcmp(state, "ready") == 0);
    return RA_OK;
}
