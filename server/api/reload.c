/* A dictionary's file, opened anew. What cannot be opened changes nothing, and the reply says why: 422 when
 * the file is there but cannot be served, 409 when it cannot be read. Clients are not told where the file
 * lies: the registry keeps the reason without its folder. */
#include "api/api.h"

#include <stdio.h>

/* The status of each reason; 0: the ordinary one. */
static int status_of(ra_status reason) {
    switch (reason) {
    case RA_ERR_NOT_FOUND:
    case RA_ERR_IO:
        return 409;
    case RA_ERR_ARGUMENT:
    case RA_ERR_SETTING:
    case RA_ERR_SHAPE:
    case RA_ERR_DTYPE:
    case RA_ERR_FORMAT:
    case RA_ERR_NOT_FINITE:
    case RA_ERR_UNSUPPORTED:
        return 422;
    default:
        return 0;
    }
}

ra_status api_reload(api_call *call, ra_error *err) {
    ra_error why = {0};
    registry_status kept = {0};
    char sentence[RA_ERROR_MESSAGE_SIZE + 128];
    const char *name = call->dictionary->name;
    ra_status status = registry_reload(call->server->dictionaries, name, &why);
    if (status == RA_OK) {
        served *fresh = registry_acquire(call->server->dictionaries, name);
        if (!fresh) RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no dictionary named '%s' any more", name);
        json_dictionary(api_json(call), &(dictionary_reply){.name = fresh->name,
                                                            .generation = fresh->generation,
                                                            .requests = atomic_load(fresh->requests),
                                                            .info = ra_model_get_info(fresh->model),
                                                            .with_settings = true});
        served_release(fresh);
        return RA_OK;
    }
    if (!status_of(status)) RA_FAIL(err, status, "%s", why.message);
    registry_status_of(call->server->dictionaries, name, &kept);
    snprintf(sentence, sizeof sentence, "dictionary %s was not reloaded and goes on serving: %s", name,
             kept.reason);
    http_problem(call->request, call->response, status_of(status), sentence);
    return RA_OK;
}
