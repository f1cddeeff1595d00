/* Contrasts: what the dictionary does on one set of data against another, with intervals, as `rasae contrast` saved it in the
 * file (ra_contrast.h). A list in the order of a difference; as CSV and npy all atoms, by columns. */
#include "api/fields.h"
#include "api/find.h"
#include "api/forms.h"
#include "api/page.h"
#include "ra_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT = 20 };

/* ---- one latent as numbers ----------------------------------------------------------------------------- */

static double count_a(const ra_contrast_latent *latent) {
    return (double)latent->count[0];
}

static double count_b(const ra_contrast_latent *latent) {
    return (double)latent->count[1];
}

#define FIGURE(of, part)                                                                                     \
    static double of##_##part(const ra_contrast_latent *latent) {                                            \
        return (double)latent->of.part;                                                                      \
    }
FIGURE(energy, a)
FIGURE(energy, b)
FIGURE(energy, difference)
FIGURE(energy, low)
FIGURE(energy, high)
FIGURE(frequency, a)
FIGURE(frequency, b)
FIGURE(frequency, difference)
FIGURE(frequency, low)
FIGURE(frequency, high)

static double relative(const ra_contrast_latent *latent) {
    return (double)latent->relative;
}

/* The columns of CSV and npy, after that of the atom; those that a list can be sorted by have a name for it. */
static const struct contrast_column {
    const char *name, *sort;
    double (*value)(const ra_contrast_latent *latent);
    bool whole;
} contrast_columns[] = {
    {"count_a", NULL, count_a, true},
    {"count_b", NULL, count_b, true},
    {"energy_a", NULL, energy_a, false},
    {"energy_b", NULL, energy_b, false},
    {"energy_difference", "energy", energy_difference, false},
    {"energy_low", NULL, energy_low, false},
    {"energy_high", NULL, energy_high, false},
    {"frequency_a", NULL, frequency_a, false},
    {"frequency_b", NULL, frequency_b, false},
    {"frequency_difference", "frequency", frequency_difference, false},
    {"frequency_low", NULL, frequency_low, false},
    {"frequency_high", NULL, frequency_high, false},
    {"relative", "relative", relative, false},
};
enum { CONTRAST_COLUMNS = sizeof contrast_columns / sizeof *contrast_columns };

/* ---- which --------------------------------------------------------------------------------------------- */

const ra_contrast *contrast_named(const ra_model *model, const char *name, size_t size) {
    for (size_t i = 0; i < ra_model_contrast_count(model); i++) {
        const ra_contrast *contrast = ra_model_contrast(model, i);
        if (strlen(contrast->name) == size && memcmp(contrast->name, name, size) == 0) return contrast;
    }
    return NULL;
}

static ra_status find(const api_call *call, const ra_contrast **contrast, ra_error *err) {
    const char *name = call->request->captures[1];
    *contrast = contrast_named(api_model(call), name, strlen(name));
    if (*contrast) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_CONTRAST, .where = "contrast"),
                  "dictionary %s has no contrast named '%.64s'; rasae contrast saves them",
                  call->dictionary->name, name);
}

/* ---- order --------------------------------------------------------------------------------------------- */

typedef struct ranked {
    double value;
    size_t atom;
} ranked;

static int by_rising(const void *left, const void *right) {
    const ranked *a = left, *b = right;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->atom < b->atom ? -1 : a->atom > b->atom;
}

static int by_falling(const void *left, const void *right) {
    const ranked *a = left, *b = right;
    if (a->value != b->value) return a->value > b->value ? -1 : 1;
    return a->atom < b->atom ? -1 : a->atom > b->atom;
}

static ra_status query_order(const api_call *call, const struct contrast_column **column, bool *falling,
                             ra_error *err) {
    static const char *const sorts[] = {"energy", "frequency", "relative", "index", NULL};
    static const char *const orders[] = {"asc", "desc", NULL};
    int sort, order;
    RA_TRY(api_choose_name(call, "sort", sorts, -1, 0, &sort, err));
    RA_TRY(api_choose_name(call, "order", orders, -1, strcmp(sorts[sort], "index") != 0, &order, err));
    *falling = order == 1;
    *column = NULL;
    for (size_t i = 0; i < CONTRAST_COLUMNS; i++)
        if (contrast_columns[i].sort && strcmp(contrast_columns[i].sort, sorts[sort]) == 0)
            *column = &contrast_columns[i];
    return RA_OK;
}

/* *order [K] <- the atoms in the order that is asked for. */
static ra_status rank(const api_call *call, const ra_contrast *contrast, ranked **order, ra_error *err) {
    const struct contrast_column *column;
    bool falling;
    RA_TRY(query_order(call, &column, &falling, err));
    ranked *all = ra_malloc(contrast->concepts, sizeof *all);
    if (!all) RA_FAIL_MEMORY(err, "the order of a contrast", contrast->concepts * sizeof *all);
    for (size_t k = 0; k < contrast->concepts; k++) {
        ra_contrast_latent latent = ra_contrast_of(contrast, k);
        all[k] = (ranked){column ? column->value(&latent) : (double)k, k};
    }
    qsort(all, contrast->concepts, sizeof *all, falling ? by_falling : by_rising);
    *order = all;
    return RA_OK;
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static void write_side(text *out, const char *key, const char *name, const ra_contrast *contrast, int side) {
    json_object(out, key);
    json_text(out, "name", name);
    json_count(out, "rows", contrast->rows[side]);
    json_count(out, "units", contrast->units[side]);
    json_object_end(out);
}

static void write_head(text *out, const ra_contrast *contrast) {
    json_text(out, "name", contrast->name);
    write_side(out, "a", contrast->a, contrast, 0);
    write_side(out, "b", contrast->b, contrast, 1);
    json_float(out, "confidence", (float)contrast->confidence);
    json_count(out, "intervals", contrast->intervals);
}

static void write_figures(text *out, const char *key, const ra_contrast_figures *figures) {
    json_object(out, key);
    json_float(out, "a", figures->a);
    json_float(out, "b", figures->b);
    json_float(out, "difference", figures->difference);
    json_float(out, "low", figures->low);
    json_float(out, "high", figures->high);
    json_object_end(out);
}

ra_status api_contrasts(api_call *call, ra_error *err) {
    (void)err;
    const ra_model *model = api_model(call);
    size_t count = ra_model_contrast_count(model);
    text *out = api_json(call);
    call->response->cacheable = true;
    json_object(out, NULL);
    json_array(out, "contrasts");
    for (size_t i = 0; i < count; i++) {
        json_object(out, NULL);
        write_head(out, ra_model_contrast(model, i));
        json_object_end(out);
    }
    json_array_end(out);
    json_count(out, "total", count);
    json_object_end(out);
    return RA_OK;
}

static ra_status write_page(api_call *call, const ra_contrast *contrast, const ranked *order, ra_error *err) {
    page here;
    atom_fields fields;
    RA_TRY(fields_query(call, ATOM_LABEL, &fields, err));
    RA_TRY(page_query(call, DEFAULT_LIMIT, contrast->concepts, &here, err));
    RA_TRY(page_link(call, &here, "sort order fields format", err));
    text *out = api_json(call);
    json_object(out, NULL);
    write_head(out, contrast);
    json_array(out, "atoms");
    for (size_t i = here.offset; i < here.end; i++) {
        ra_contrast_latent latent = ra_contrast_of(contrast, order[i].atom);
        RA_TRY(fields_read(&fields, order[i].atom, err));
        json_object(out, NULL);
        json_count(out, "atom", order[i].atom);
        json_count(out, "count_a", latent.count[0]);
        json_count(out, "count_b", latent.count[1]);
        write_figures(out, "energy", &latent.energy);
        write_figures(out, "frequency", &latent.frequency);
        json_float(out, "relative", latent.relative);
        json_atom_parts(out, fields.model, order[i].atom, fields.parts, &fields.numbers);
        json_object_end(out);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    page_members(out, &here);
    json_object_end(out);
    return RA_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static ra_status write_csv(api_call *call, const ra_contrast *contrast, const ranked *order, ra_error *err) {
    text *out = &call->response->body;
    text_string(out, "index");
    for (size_t i = 0; i < CONTRAST_COLUMNS; i++) text_format(out, ",%s", contrast_columns[i].name);
    text_string(out, "\r\n");
    for (size_t i = 0; i < contrast->concepts; i++) {
        ra_contrast_latent latent = ra_contrast_of(contrast, order[i].atom);
        text_i64(out, (int64_t)order[i].atom);
        for (size_t c = 0; c < CONTRAST_COLUMNS; c++) {
            double value = contrast_columns[c].value(&latent);
            text_append(out, ",", 1);
            if (!isfinite(value)) continue; /* unknown */
            if (contrast_columns[c].whole)
                text_i64(out, (int64_t)value);
            else
                text_f32(out, (float)value);
        }
        text_string(out, "\r\n");
        RA_TRY(api_check_reply(call, err));
    }
    return RA_OK;
}

static ra_status write_npy(api_call *call, const ra_contrast *contrast, const ranked *order, ra_error *err) {
    size_t K = contrast->concepts;
    ra_status status = RA_OK;
    text names = {0};
    int64_t *memory = ra_malloc(K, sizeof *memory);
    if (!memory) RA_FAIL_MEMORY(err, "a column of a contrast", K * sizeof *memory);
    for (size_t c = 0; c <= CONTRAST_COLUMNS && status == RA_OK; c++) {
        const struct contrast_column *column = c ? &contrast_columns[c - 1] : NULL;
        bool whole = !column || column->whole;
        for (size_t i = 0; i < K; i++) {
            ra_contrast_latent latent = ra_contrast_of(contrast, order[i].atom);
            double value = column ? column->value(&latent) : (double)order[i].atom;
            if (whole)
                memory[i] = (int64_t)value;
            else
                ((float *)(void *)memory)[i] = (float)value;
        }
        const ra_tensor tensor = ra_tensor_1d(whole ? RA_I64 : RA_F32, memory, K);
        text_format(&names, "%s%s", c ? "," : "", column ? column->name : "index");
        status = tensors_append_npy(&call->response->body, &tensor, err);
        if (status == RA_OK) status = api_check_reply(call, err);
    }
    ra_free(memory);
    text_append(&names, "", 1);
    if (status == RA_OK && names.failed)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the columns of a contrast");
    if (status == RA_OK) http_response_header(call->response, "X-Table-Columns", names.data);
    text_release(&names);
    return status;
}

static ra_status write(api_call *call, const ra_contrast *contrast, const ranked *order, ra_error *err) {
    form wanted = call->request->reply_form;
    if (wanted == FORM_JSON) return write_page(call, contrast, order, err);
    for (const char *const *name = (const char *const[]){"offset", "limit", "fields", NULL}; *name; name++)
        if (http_target_parameter(&call->request->target, *name)) {
            ra_error_set(err, RA_ERR_ARGUMENT, "%s is for JSON; CSV and npy have all atoms and all columns",
                         *name);
            return api_blame(*name, err, (ra_error_facts){.kind = PROBLEM_CONFLICTING_PARAMETERS});
        }
    call->response->status = 200;
    call->response->content_type = form_media_type(wanted);
    return wanted == FORM_CSV ? write_csv(call, contrast, order, err) : write_npy(call, contrast, order, err);
}

ra_status api_contrast(api_call *call, ra_error *err) {
    const ra_contrast *contrast;
    ranked *order = NULL;
    RA_TRY(find(call, &contrast, err));
    RA_TRY(rank(call, contrast, &order, err));
    call->response->cacheable = true;
    ra_status status = write(call, contrast, order, err);
    ra_free(order);
    return status;
}
