/* Rows of the data that the operator names for a dictionary (serving/rows.h), to explain them: a page of them. Not a part of
 * the dictionary, so its revision says nothing of them. */
#include "api/forms.h"
#include "api/page.h"
#include "ra_digest.h"
#include "ra_memory.h"
#include "serving/rows.h"

#include <stdio.h>

enum { DEFAULT_LIMIT = 10 };

static ra_status find(const api_call *call, const data_source **source, ra_error *err) {
    size_t d = api_info(call)->dimensions;
    const char *name = call->dictionary->name;
    *source = rows_of(call->server->rows, name);
    if (!*source)
        RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
                      "there are no data of dictionary %s here; rasaed --data %s=FILE shows their rows", name,
                      name);
    if (rows_dimensions(*source) != d)
        RA_FAIL_FACTS(err, RA_ERR_STATE,
                      (.kind = PROBLEM_NOT_HELD, PROBLEM_COUNTS(d, rows_dimensions(*source))),
                      "the data of dictionary %s have %zu dimensions, but the dictionary has %zu", name,
                      rows_dimensions(*source), d);
    return RA_OK;
}

static ra_status write(api_call *call, const page *here, const float *values, ra_error *err) {
    size_t d = api_info(call)->dimensions, count = here->end - here->offset;
    if (!forms_reply_is_text(call)) {
        tensor_list list = {1, {ra_tensor_2d(RA_F32, values, count, d)}};
        return forms_reply_tensors(call, &list, err);
    }
    const row_places places = api_row_places(call);
    text *out = forms_list_begin(call, "rows");
    for (size_t i = 0; i < count; i++) {
        json_object(out, NULL);
        json_count(out, "row", here->offset + i);
        json_row_item(out, &places, here->offset + i);
        json_row_media(out, &places, here->offset + i, NULL);
        json_floats(out, "vector", values + i * d, d);
        json_object_end(out);
        RA_TRY(forms_list_next(call, err));
    }
    forms_list_end(call, count);
    page_members(out, here);
    json_object_end(out);
    return RA_OK;
}

/* The tag is that of the page itself: the revision says nothing of the data. */
static void tag_page(http_response *response) {
    char digest[RA_DIGEST_SIZE];
    ra_digest(response->body.data, response->body.size, digest);
    snprintf(response->tag, sizeof response->tag, "\"%s\"", digest);
    response->cacheable = response->undated = true;
}

ra_status api_rows(api_call *call, ra_error *err) {
    const data_source *source;
    page here;
    RA_TRY(find(call, &source, err));
    RA_TRY(page_query(call, DEFAULT_LIMIT, rows_count(source), &here, err));
    RA_TRY(page_link(call, &here, "format", err));
    size_t d = rows_dimensions(source), count = here.end - here.offset;
    float *values = ra_malloc(count * d + 1, sizeof *values);
    if (!values) RA_FAIL_MEMORY(err, "rows of the data", count * d * sizeof *values);
    ra_status status = rows_read(source, here.offset, count, values, err);
    if (status == RA_OK) status = api_check_finite("a row of the data", values, count * d, err);
    if (status == RA_OK) status = write(call, &here, values, err);
    ra_free(values);
    if (status == RA_OK) tag_page(call->response);
    return status;
}
