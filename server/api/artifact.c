/* The file that a dictionary is served from, byte for byte as it was when it was loaded: from the memory or the mapping of
 * the generation that answers, never from the file that has its name by now.
 *
 * Its entity tag is the digest of all its bytes, which the load takes: that in the metadata may be missing, or not compared
 * yet. Two files of one revision may differ, in metadata that no answer depends on, and have one time of loading; so
 * there is no Last-Modified, which could not tell them apart. */
#include "api/forms.h"

#include <stdio.h>
#include <string.h>

static bool is_plain(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c);
}

/* RFC 6266: a name that every client reads, and behind it, if that is another one, the true one. Control characters and
 * what clients disagree about (quotes, backslashes, percent signs) are not in the first. */
static void write_disposition(text *out, const char *name) {
    bool other = false;
    text_format(out, "attachment; filename=\"");
    for (const unsigned char *at = (const unsigned char *)name; *at; at++) {
        bool kept = *at >= ' ' && *at < 0x7f && !strchr("\"\\%", *at);
        text_format(out, "%c", kept ? *at : '_');
        other |= !kept;
    }
    text_format(out, "\"");
    if (other && ra_utf8_valid(name, strlen(name))) {
        text_format(out, "; filename*=UTF-8''");
        for (const unsigned char *at = (const unsigned char *)name; *at; at++)
            text_format(out, is_plain(*at) ? "%c" : "%%%02X", *at);
    }
    text_append(out, "", 1);
}

ra_status api_artifact(api_call *call, ra_error *err) {
    http_response *response = call->response;
    ra_model_file file;
    text disposition = {0};
    if (!ra_model_get_file(api_model(call), &file))
        RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
                      "dictionary %s was opened from a checkpoint, whose file is not kept open; GET "
                      "/v1/dictionaries/%s/dictionary gives the model as an artifact",
                      call->dictionary->name, call->dictionary->name);
    const char *slash = strrchr(file.path, '/');
    write_disposition(&disposition, slash ? slash + 1 : file.path);
    if (disposition.failed) {
        text_release(&disposition);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the name of a file");
    }
    forms_reply_bytes(call, &file.bytes,
                      file.safetensors ? form_media_type(FORM_SAFETENSORS) : form_media_type(FORM_RAW));
    http_response_header(response, "Content-Disposition", disposition.data);
    text_release(&disposition);
    snprintf(response->tag, sizeof response->tag, "\"%s\"", file.digest);
    response->cacheable = response->ranges = response->undated = true;
    return RA_OK;
}
