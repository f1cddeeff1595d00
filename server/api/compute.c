/* Where a handler's arithmetic is done. On a compute thread it takes its turn in the batcher, with whatever
 * can be joined; on an I/O thread, which has only light work and must not wait, at once. */
#include "api/api.h"

ra_status api_compute(const api_call *call, computation *wanted, ra_error *err) {
    wanted->model = api_model(call);
    wanted->canceled = call->request->canceled;
    if (wanted->canceled && call->server->batcher) return batcher_run(call->server->batcher, wanted, err);
    scratch *mine = NULL;
    ra_status status = scratch_get(&mine, err);
    return status == RA_OK ? computation_run(wanted, mine->workspace, err) : status;
}
