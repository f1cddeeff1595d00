/* Loading, reloading and unloading dictionaries.
 *
 * A load of a file that does not open changes nothing, and the reply has the reason: 422 when the file cannot be served,
 * 409 when it cannot be read. Clients never learn where the file is: the registry keeps the reason without its folder.
 *
 * A load differs from a reload in one thing: it also brings back what was unloaded, and what never opened.
 */
#include "api/api.h"
#include "codec/json/requests.h"

#include <stdio.h>

/* PROBLEM_NONE: the ordinary one of the code. */
static problem_kind problem_of_file(ra_status reason) {
    switch (reason) {
    case RA_ERR_NOT_FOUND:
    case RA_ERR_IO:
    case RA_ERR_CHANGED:
        return PROBLEM_FILE_UNREADABLE;
    case RA_ERR_ARGUMENT:
    case RA_ERR_SETTING:
    case RA_ERR_SHAPE:
    case RA_ERR_DTYPE:
    case RA_ERR_FORMAT:
    case RA_ERR_NOT_FINITE:
    case RA_ERR_UNSUPPORTED:
        return PROBLEM_FILE_NOT_SERVABLE;
    default:
        return PROBLEM_NONE;
    }
}

/* The new generation becomes that of the call: the old one may be lost. */
static ra_status reply_loaded(api_call *call, const char *name, ra_error *err) {
    served *fresh = registry_acquire(call->server->dictionaries, name);
    if (!fresh)
        RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_NOT_LOADED, .where = "dictionary"),
                      "dictionary %s is not loaded any more", name);
    api_write_dictionary(call, api_json(call), fresh, atomic_load(fresh->requests), true);
    served_release(call->dictionary);
    call->dictionary = fresh;
    return RA_OK;
}

/* A load failed. If the generation that serves is lost, too, that is not why; the reply says why the load failed. */
static void leave_old(api_call *call) {
    ra_error why = {0};
    served *old = call->dictionary;
    if (old && ra_model_check(old->model, &why) != RA_OK)
        registry_lose(call->server->dictionaries, old, why.message);
    served_release(old);
    call->dictionary = NULL;
}

typedef ra_status load_function(registry *dictionaries, const char *name, uint64_t asked, ra_error *err);

static ra_status load(api_call *call, load_function *run, const char *what, ra_error *err) {
    ra_error why = {0};
    registry_status kept;
    char sentence[RA_ERROR_MESSAGE_SIZE + 128];
    const char *name = call->request->captures[0];
    RA_TRY(json_nothing_parse(call->request->body, call->request->body_size, err));
    ra_status status = run(call->server->dictionaries, name, call->request->stages.queued, &why);
    if (status == RA_OK) return reply_loaded(call, name, err);
    leave_old(call);
    if (!registry_status_of(call->server->dictionaries, name, &kept)) return api_fail_unknown(name, err);
    if (!problem_of_file(status)) RA_FAIL(err, status, "%s", why.message);
    snprintf(sentence, sizeof sentence, "dictionary %s was not %s and %s: %s", name, what,
             kept.ready ? "keeps serving" : "is not available", kept.reason);
    http_problem(call->request, call->response, problem_of_file(status), sentence, NULL);
    return RA_OK;
}

ra_status api_reload(api_call *call, ra_error *err) {
    return load(call, registry_reload_since, "reloaded", err);
}

ra_status api_load(api_call *call, ra_error *err) {
    return load(call, registry_load_since, "loaded", err);
}

void api_write_unavailable(text *out, const registry_status *known) {
    json_unavailable(out, &(unavailable_reply){.name = known->name,
                                               .state = known->unloaded ? "unloaded"
                                                        : known->lost   ? "changed"
                                                                        : "failed",
                                               .reason = known->unloaded ? NULL : known->reason,
                                               .loaded_at = known->loaded,
                                               .generation = known->generation});
}

ra_status api_unload(api_call *call, ra_error *err) {
    const char *name = call->request->captures[0];
    registry_status known = {0};
    RA_TRY(json_nothing_parse(call->request->body, call->request->body_size, err));
    if (registry_unload(call->server->dictionaries, name, err) != RA_OK) return api_fail_unknown(name, err);
    registry_status_of(call->server->dictionaries, name, &known);
    api_write_unavailable(api_json(call), &known);
    return RA_OK;
}
