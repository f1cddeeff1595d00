/* A file of the folder that --media names for a dictionary: what its rows were made of. The folder is the operator's, and
 * serving/media.h says what of it is served. A browser that opens such a file by itself runs nothing of it. */
#include "api/api.h"

#include <string.h>

/* The path below the folder: the segments behind .../media/. */
static ra_status join_path(const http_target *target, text *path, ra_error *err) {
    enum { BEFORE = 4 }; /* v1, dictionaries, {dictionary}, media */
    for (size_t i = BEFORE; i < target->segment_count; i++)
        text_format(path, "%s%s", i > BEFORE ? "/" : "", target->segments[i]);
    text_append(path, "", 1);
    if (path->failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the path of a file");
    return RA_OK;
}

ra_status api_media(api_call *call, ra_error *err) {
    const media_source *source = media_of(call->server->media, call->dictionary->name);
    http_response *response = call->response;
    media_file file;
    text path = {0};
    ra_status status;
    if (!source)
        RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_MEDIA, .where = "path"),
                      "there are no media of dictionary %s; rasaed --media %s=DIR shows those of a folder",
                      call->dictionary->name, call->dictionary->name);
    RA_TRY_OUT(status, join_path(&call->request->target, &path, err));
    RA_TRY_OUT(status, media_read(source, path.data, &response->body, &file, err));
    response->status = 200;
    response->content_type = file.type;
    response->modified = file.modified;
    response->cacheable = response->ranges = true;
    http_response_header(response, "X-Content-Type-Options", "nosniff");
    http_response_header(response, "Content-Security-Policy", "default-src 'none'; sandbox");
out:
    text_release(&path);
    return status;
}
