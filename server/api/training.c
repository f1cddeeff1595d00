/* The course of the training, as the file has it: one number per bin of steps in each column. */
#include "api/forms.h"
#include "codec/binary/tensors.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

typedef struct chosen {
    ra_training_column at[RA_TRAINING_COLUMNS]; /* in the order in which they are sent */
    size_t count;
} chosen;

/* `columns=step,loss`; without it all. */
static ra_status query_columns(const api_call *call, chosen *columns, ra_error *err) {
    *columns = (chosen){.count = 0};
    for (http_list list = {0}; http_target_list(&call->request->target, "columns", &list);) {
        size_t size = (size_t)(list.end - list.entry), c = 0;
        while (c < RA_TRAINING_COLUMNS &&
               (strlen(ra_training_names[c]) != size || memcmp(ra_training_names[c], list.entry, size) != 0))
            c++;
        if (c == RA_TRAINING_COLUMNS)
            RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.where = "columns"),
                          "columns has '%.*s', which is no column; docs name them all",
                          (int)(size < 64 ? size : 64), list.entry);
        for (size_t i = 0; i < columns->count; i++)
            if (columns->at[i] == c)
                RA_FAIL_FACTS(err, RA_ERR_ARGUMENT,
                              (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "columns"),
                              "columns has '%s' twice", ra_training_names[c]);
        columns->at[columns->count++] = (ra_training_column)c;
    }
    if (columns->count) return RA_OK;
    while (columns->count < RA_TRAINING_COLUMNS) {
        columns->at[columns->count] = (ra_training_column)columns->count;
        columns->count++;
    }
    return RA_OK;
}

static void write_number(text *out, const float *bin, ra_training_column column) {
    bool whole = column == RA_TRAINING_STEP || column == RA_TRAINING_ROWS;
    if (whole)
        text_i64(out, (int64_t)bin[column]);
    else
        text_f32(out, bin[column]);
}

static void write_json(text *out, const chosen *columns, const float *bins, size_t count) {
    json_object(out, NULL);
    json_object(out, "columns");
    for (size_t i = 0; i < columns->count; i++) {
        json_array(out, ra_training_names[columns->at[i]]);
        for (size_t b = 0; b < count; b++) {
            const float *bin = bins + b * RA_TRAINING_COLUMNS;
            if (b) text_append(out, ",", 1);
            if (isfinite(bin[columns->at[i]]))
                write_number(out, bin, columns->at[i]);
            else
                text_append(out, "null", 4);
        }
        json_array_end(out);
    }
    json_object_end(out);
    json_count(out, "total", count);
    json_object_end(out);
}

/* What is unknown is empty. */
static void write_csv(text *out, const chosen *columns, const float *bins, size_t count) {
    for (size_t i = 0; i < columns->count; i++)
        text_format(out, "%s%s", i ? "," : "", ra_training_names[columns->at[i]]);
    text_string(out, "\r\n");
    for (size_t b = 0; b < count; b++) {
        const float *bin = bins + b * RA_TRAINING_COLUMNS;
        for (size_t i = 0; i < columns->count; i++) {
            if (i) text_append(out, ",", 1);
            if (isfinite(bin[columns->at[i]])) write_number(out, bin, columns->at[i]);
        }
        text_string(out, "\r\n");
    }
}

/* One array for each column, as GET .../table sends them. */
static ra_status write_npy(api_call *call, const chosen *columns, const float *bins, size_t count,
                           ra_error *err) {
    char names[RA_TRAINING_COLUMNS * 24] = "";
    float *values = ra_malloc(count, sizeof *values);
    ra_status status = RA_OK;
    if (!values) RA_FAIL_MEMORY(err, "a column of the training", count * sizeof *values);
    for (size_t i = 0; i < columns->count && status == RA_OK; i++) {
        const char *name = ra_training_names[columns->at[i]];
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? "," : "", name);
        for (size_t b = 0; b < count; b++) values[b] = bins[b * RA_TRAINING_COLUMNS + columns->at[i]];
        const ra_tensor tensor = ra_tensor_1d(RA_F32, values, count);
        status = tensors_append_npy(&call->response->body, &tensor, err);
    }
    ra_free(values);
    if (status == RA_OK) http_response_header(call->response, "X-Table-Columns", names);
    return status;
}

ra_status api_training(api_call *call, ra_error *err) {
    chosen columns;
    size_t count;
    form wanted = call->request->reply_form;
    const float *bins = ra_model_training(api_model(call), &count);
    RA_TRY(query_columns(call, &columns, err));
    if (!bins)
        RA_FAIL_FACTS(err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
                      "the file of dictionary %s does not have the course of its training; rasae fuse keeps "
                      "that of a checkpoint which rasae train wrote",
                      call->dictionary->name);
    call->response->cacheable = true;
    if (wanted == FORM_JSON) {
        write_json(api_json(call), &columns, bins, count);
        return RA_OK;
    }
    call->response->status = 200;
    call->response->content_type = form_media_type(wanted);
    if (wanted == FORM_NPY) return write_npy(call, &columns, bins, count, err);
    write_csv(&call->response->body, &columns, bins, count);
    return RA_OK;
}
