/* The whole table of the atoms in one reply, by columns: for a page that draws all of them. Labels are texts, so a binary
 * reply, one array for each column, has none. */
#include "api/dinovision.h"
#include "api/find.h"
#include "codec/binary/tensors.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { MOST_COLUMNS = ATOM_COLUMNS + 1 + RA_CONTRASTS_MOST };

static const char contrast_prefix[] = "contrast:";

/* A column of all atoms, or the difference of energy of a contrast, or, where both are NULL, the label. */
typedef struct table_column {
    const atom_column *known;
    const ra_contrast *contrast;
} table_column;

/* What to send, in order. */
typedef struct columns {
    table_column at[MOST_COLUMNS];
    size_t count;
} columns;

static bool is_label(const table_column *column) {
    return !column->known && !column->contrast;
}

static void write_name(text *out, const table_column *column) {
    if (column->contrast)
        text_format(out, "%s%s", contrast_prefix, column->contrast->name);
    else
        text_string(out, column->known ? column->known->name : "label");
}

static double value_of(const table_column *column, const ra_model *model, size_t atom) {
    if (column->known) return column->known->value(model, atom);
    return column->contrast ? (double)ra_contrast_of(column->contrast, atom).energy.difference : (double)NAN;
}

static bool has(const columns *chosen, const table_column *column) {
    for (size_t i = 0; i < chosen->count; i++)
        if (chosen->at[i].known == column->known && chosen->at[i].contrast == column->contrast) return true;
    return false;
}

/* False: there is none of this name. */
static bool find_column(const api_call *call, const char *name, size_t size, table_column *column) {
    size_t before = sizeof contrast_prefix - 1;
    *column = (table_column){0};
    if (size == 5 && memcmp(name, "label", 5) == 0) return true;
    column->known = atom_column_named(name, size);
    if (size > before && memcmp(name, contrast_prefix, before) == 0)
        column->contrast = contrast_named(api_model(call), name + before, size - before);
    return column->known || column->contrast;
}

static ra_status fail_column(const char *name, int size, const char *why, problem_kind what, ra_error *err) {
    ra_error_set(err, RA_ERR_ARGUMENT, "columns has '%.*s'%s", size < 64 ? size : 64, name, why);
    return api_blame("columns", err, (ra_error_facts){.kind = what});
}

/* `columns=index,label,x`; without it all, the label second. */
static ra_status query_columns(const api_call *call, columns *chosen, ra_error *err) {
    const http_target *target = &call->request->target;
    bool labels = call->request->reply_form != FORM_NPY;
    http_list list = {0};
    *chosen = (columns){0};
    if (!http_target_parameter(target, "columns")) {
        for (size_t i = 0; i < ATOM_COLUMNS; i++) {
            chosen->at[chosen->count++] = (table_column){&atom_columns[i], NULL};
            if (i == 0 && labels) chosen->at[chosen->count++] = (table_column){NULL, NULL};
        }
        return RA_OK;
    }
    while (http_target_list(target, "columns", &list)) {
        int size = (int)(list.end - list.entry);
        table_column column;
        if (!find_column(call, list.entry, (size_t)size, &column))
            return fail_column(list.entry, size, ", which is no column; docs name them all",
                               PROBLEM_INVALID_VALUE, err);
        if (is_label(&column) && !labels)
            return fail_column(list.entry, size, ", which is text; npy has the numbers only",
                               PROBLEM_CONFLICTING_PARAMETERS, err);
        if (has(chosen, &column))
            return fail_column(list.entry, size, " twice", PROBLEM_CONFLICTING_PARAMETERS, err);
        chosen->at[chosen->count++] = column;
    }
    return RA_OK;
}

/* ---- as text ------------------------------------------------------------------------------------------- */

static void write_number(text *out, const table_column *column, double value) {
    if (column->known && column->known->whole)
        text_i64(out, (int64_t)value);
    else
        text_f32(out, (float)value);
}

static ra_status write_json(api_call *call, const columns *chosen, ra_error *err) {
    const ra_model *model = api_model(call);
    size_t count = api_info(call)->concepts;
    text *out = api_json(call);
    json_object(out, NULL);
    json_object(out, "columns");
    for (size_t i = 0; i < chosen->count; i++) {
        const table_column *column = &chosen->at[i];
        text name = {0};
        write_name(&name, column);
        text_append(&name, "", 1);
        if (name.failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the columns of a table");
        json_array(out, name.data);
        text_release(&name);
        for (size_t atom = 0; atom < count; atom++) {
            double value = value_of(column, model, atom);
            if (is_label(column)) {
                json_text(out, NULL, api_atom_label(call, atom));
                continue;
            }
            if (atom) text_append(out, ",", 1);
            if (isfinite(value))
                write_number(out, column, value);
            else
                text_append(out, "null", 4);
        }
        json_array_end(out);
        RA_TRY(api_check_reply(call, err));
    }
    json_object_end(out);
    json_count(out, "total", count);
    json_object_end(out);
    return RA_OK;
}

/* RFC 4180: quoted where it must be, quotes doubled. */
static void write_csv_text(text *out, const char *label) {
    if (!label[strcspn(label, "\",\r\n")]) {
        text_string(out, label);
        return;
    }
    text_append(out, "\"", 1);
    for (size_t size; *label; label += size) {
        size = strcspn(label, "\"");
        text_append(out, label, size);
        if (!label[size]) break;
        text_append(out, "\"\"", 2);
        size++;
    }
    text_append(out, "\"", 1);
}

/* What is unknown is empty. */
static ra_status write_csv(api_call *call, const columns *chosen, ra_error *err) {
    const ra_model *model = api_model(call);
    text *out = &call->response->body;
    for (size_t i = 0; i < chosen->count; i++) {
        write_name(out, &chosen->at[i]);
        text_string(out, i + 1 < chosen->count ? "," : "\r\n");
    }
    for (size_t atom = 0; atom < api_info(call)->concepts; atom++) {
        for (size_t i = 0; i < chosen->count; i++) {
            const table_column *column = &chosen->at[i];
            const char *label = is_label(column) ? api_atom_label(call, atom) : NULL;
            double value = value_of(column, model, atom);
            if (isfinite(value))
                write_number(out, column, value);
            else if (label)
                write_csv_text(out, label);
            text_string(out, i + 1 < chosen->count ? "," : "\r\n");
        }
        RA_TRY(api_check_reply(call, err));
    }
    return RA_OK;
}

/* ---- as arrays ----------------------------------------------------------------------------------------- */

/* Whole numbers as int64. int64 has no NaN, so a column that is unknown is float32. */
static ra_status write_array(api_call *call, const table_column *column, void *memory, ra_error *err) {
    const ra_model *model = api_model(call);
    size_t count = api_info(call)->concepts;
    bool whole = column->known && column->known->whole && count && isfinite(value_of(column, model, 0));
    for (size_t atom = 0; atom < count; atom++) {
        double value = value_of(column, model, atom);
        if (whole)
            ((int64_t *)memory)[atom] = (int64_t)value;
        else
            ((float *)memory)[atom] = (float)value;
    }
    const ra_tensor tensor = ra_tensor_1d(whole ? RA_I64 : RA_F32, memory, count);
    RA_TRY(tensors_append_npy(&call->response->body, &tensor, err));
    return api_check_reply(call, err);
}

static ra_status write_npy(api_call *call, const columns *chosen, ra_error *err) {
    size_t bytes = api_info(call)->concepts * sizeof(int64_t);
    ra_status status = RA_OK;
    text names = {0};
    void *memory = ra_malloc(bytes, 1);
    if (!memory) RA_FAIL_MEMORY(err, "a column of a table", bytes);
    for (size_t i = 0; i < chosen->count && status == RA_OK; i++) {
        if (i) text_append(&names, ",", 1);
        write_name(&names, &chosen->at[i]);
        status = write_array(call, &chosen->at[i], memory, err);
    }
    ra_free(memory);
    text_append(&names, "", 1);
    if (status == RA_OK && names.failed)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the columns of a table");
    if (status == RA_OK) http_response_header(call->response, "X-Table-Columns", names.data);
    text_release(&names);
    return status;
}

ra_status api_table(api_call *call, ra_error *err) {
    columns chosen;
    RA_TRY(query_columns(call, &chosen, err));
    call->response->cacheable = true;
    call->response->status = 200;
    call->response->content_type = form_media_type(call->request->reply_form);
    if (call->request->reply_form == FORM_DINOVISION) return write_dinovision(call, err);
    if (call->request->reply_form == FORM_CSV) return write_csv(call, &chosen, err);
    return call->request->reply_form == FORM_NPY ? write_npy(call, &chosen, err)
                                                 : write_json(call, &chosen, err);
}
