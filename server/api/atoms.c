/* Atoms: one of them, a page, several by number, and the nearest neighbors of one. */
#include "api/fields.h"
#include "api/find.h"
#include "api/forms.h"
#include "api/limits.h"
#include "api/page.h"
#include "ra_memory.h"

enum { DEFAULT_LIMIT = 10, DEFAULT_NEIGHBORS = 10 };

/* ---- one atom ------------------------------------------------------------------------------------------ */

/* These are sent when they are asked for: the direction follows from the vector and would double the reply, as the
 * encoder's vector would, and the rows of quantiles are many. */
enum { USUAL_PARTS = ATOM_ALL_PARTS & ~(ATOM_DIRECTION | ATOM_QUANTILES | ATOM_ENCODER) };

/* A binary reply has the vectors, and the directions when `fields` names them. */
static ra_status start_fields(const api_call *call, unsigned fallback, atom_fields *fields, ra_error *err) {
    bool is_text = forms_reply_is_text(call);
    RA_TRY(fields_query(call, is_text ? fallback : ATOM_VECTOR, fields, err));
    if (is_text || fields->parts & (ATOM_VECTOR | ATOM_DIRECTION)) return RA_OK;
    RA_FAIL_FACTS(
        err, RA_ERR_ARGUMENT, (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "fields"),
        "fields leaves out vector and direction, but a binary reply has nothing else; ask for JSON");
}

/* atom < K */
static ra_status write_atom(atom_fields *fields, size_t atom, text *out, ra_error *err) {
    RA_TRY(fields_read(fields, atom, err));
    json_atom(out, fields->model, atom, fields->parts, &fields->numbers);
    return RA_OK;
}

/* One tensor of `count` atoms: those in `ids`, or when that is NULL the ones from `first` on. */
static ra_status copy_atoms(const atom_fields *fields, bool directions, const size_t *ids, size_t first,
                            size_t count, ra_tensor *tensor, float **copy, ra_error *err) {
    size_t d = ra_model_get_info(fields->model)->dimensions;
    *copy = ra_malloc(count * d, sizeof **copy);
    if (!*copy) RA_FAIL_MEMORY(err, "the vectors of a reply", count * d * sizeof **copy);
    tensor->data = *copy;
    for (size_t i = 0; i < count; i++)
        RA_TRY((directions ? ra_model_direction : ra_model_atom)(fields->model, ids ? ids[i] : first + i,
                                                                 *copy + i * d, err));
    return RA_OK;
}

/* The vectors, or the directions, or the former and then the latter. An f32 dictionary sends vectors that follow each
 * other from where they are. rank 1 sends single ones. */
static ra_status send_vectors(api_call *call, const atom_fields *fields, const size_t *ids, size_t first,
                              size_t count, int rank, ra_error *err) {
    const ra_tensor *D = ra_model_dictionary(fields->model);
    size_t d = D->shape[1];
    float *copies[2] = {NULL, NULL};
    ra_tensor empty = ra_tensor_2d(RA_F32, NULL, count, d);
    if (rank == 1) empty = ra_tensor_1d(RA_F32, NULL, d);
    tensor_list list = {0, {empty, empty}};
    if (D->dtype == RA_F32 && !ids && !(fields->parts & ATOM_DIRECTION)) {
        list.at[0].data = (const float *)D->data + first * d;
        return forms_reply_in_place(call, &list.at[0], err);
    }
    RA_TRY(api_check_size(count * d * sizeof(float), err)); /* before they are copied */
    ra_status status = RA_OK;
    for (int directions = 0; directions <= 1; directions++) {
        if (!(fields->parts & (directions ? ATOM_DIRECTION : ATOM_VECTOR))) continue;
        size_t i = list.count++;
        RA_TRY_OUT(status, copy_atoms(fields, directions, ids, first, count, &list.at[i], &copies[i], err));
    }
    RA_TRY_OUT(status, forms_reply_tensors(call, &list, err));
out:
    ra_free(copies[0]);
    ra_free(copies[1]);
    return status;
}

ra_status api_atom(api_call *call, ra_error *err) {
    atom_fields fields;
    RA_TRY(api_check_atom(call, call->index, err));
    RA_TRY(start_fields(call, USUAL_PARTS, &fields, err));
    call->response->cacheable = true;
    if (!forms_reply_is_text(call)) return send_vectors(call, &fields, NULL, call->index, 1, 1, err);
    return write_atom(&fields, call->index, api_json(call), err);
}

/* ---- several ------------------------------------------------------------------------------------------- */

/* `ids=1,5,9`, checked before anything is written. */
static ra_status query_ids(const api_call *call, size_t **ids, size_t *count, ra_error *err) {
    http_list list = {0};
    RA_TRY(scratch_ids(LIMIT_PAGE, ids, err));
    *count = 0;
    while (http_target_list(&call->request->target, "ids", &list)) {
        if (*count == LIMIT_PAGE)
            RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.where = "ids", PROBLEM_LIMIT(LIMIT_PAGE)),
                          "ids has more than %d numbers; a POST takes more", LIMIT_PAGE);
        size_t *id = &(*ids)[(*count)++];
        if (api_parse_index(list.entry, list.end, "ids", id, err) != RA_OK)
            return api_blame("ids", err, (ra_error_facts){.kind = PROBLEM_INVALID_VALUE});
        RA_TRY(api_check_listed_atom(call, *id, "ids", err));
    }
    return RA_OK;
}

/* Those in `ids`, or when that is NULL the ones from `first` on. Leaves the object of the reply open. */
static ra_status write_atoms(api_call *call, atom_fields *fields, const size_t *ids, size_t first,
                             size_t count, ra_error *err) {
    text *out = forms_list_begin(call, "atoms");
    for (size_t i = 0; i < count; i++) {
        RA_TRY(write_atom(fields, ids ? ids[i] : first + i, out, err));
        RA_TRY(forms_list_next(call, err));
    }
    forms_list_end(call, count);
    return RA_OK;
}

static ra_status send_atoms(api_call *call, atom_fields *fields, const size_t *ids, size_t count,
                            ra_error *err) {
    if (!forms_reply_is_text(call)) return send_vectors(call, fields, ids, 0, count, 2, err);
    RA_TRY(write_atoms(call, fields, ids, 0, count, err));
    json_object_end(&call->response->body);
    return RA_OK;
}

static ra_status atoms_by_query(api_call *call, atom_fields *fields, ra_error *err) {
    size_t *ids, count;
    if (http_target_parameter(&call->request->target, "offset") ||
        http_target_parameter(&call->request->target, "limit") || find_is_asked(call))
        RA_FAIL_FACTS(err, RA_ERR_ARGUMENT, (.kind = PROBLEM_CONFLICTING_PARAMETERS, .where = "ids"),
                      "ids cannot be combined with offset, limit, or a query of atoms");
    RA_TRY(query_ids(call, &ids, &count, err));
    return send_atoms(call, fields, ids, count, err);
}

/* For more numbers than a URL holds. */
ra_status api_atoms_by_ids(api_call *call, ra_error *err) {
    atom_fields fields;
    ids_request list;
    ra_status status;
    RA_TRY(json_ids_parse(call->request->body, call->request->body_size, LIMIT_IDS, &list, err));
    RA_TRY_OUT(status, start_fields(call, USUAL_PARTS, &fields, err));
    RA_TRY_OUT(status, api_check_list(call, "ids", list.ids, list.count, err));
    status = send_atoms(call, &fields, list.ids, list.count, err);
out:
    ids_request_release(&list);
    return status;
}

/* ---- those that a query finds -------------------------------------------------------------------------- */

static ra_status write_found(api_call *call, atom_fields *fields, const found_atoms *found, ra_error *err) {
    text *out = forms_list_begin(call, "atoms");
    for (size_t i = 0; i < found->count; i++) {
        RA_TRY(fields_read(fields, found->atoms[i], err));
        json_object(out, NULL);
        json_count(out, "atom", found->atoms[i]);
        if (found->kinds) json_text(out, "matched", find_kind_name(found->kinds[i]));
        json_atom_parts(out, fields->model, found->atoms[i], fields->parts, &fields->numbers);
        json_object_end(out);
        RA_TRY(forms_list_next(call, err));
    }
    forms_list_end(call, found->count);
    return RA_OK;
}

static ra_status atoms_found(api_call *call, atom_fields *fields, ra_error *err) {
    atom_query query;
    found_atoms found;
    page here;
    RA_TRY(page_query(call, DEFAULT_LIMIT, 0, &here, err));
    RA_TRY(find_query(call, &query, err));
    query.offset = here.offset;
    query.limit = here.limit;
    RA_TRY(find_atoms(call, &query, &found, err));
    here.total = found.total;
    here.end = here.offset + found.count;
    RA_TRY(page_link(call, &here, FIND_PARAMETERS " fields format", err));
    if (!forms_reply_is_text(call)) return send_vectors(call, fields, found.atoms, 0, found.count, 2, err);
    RA_TRY(write_found(call, fields, &found, err));
    page_members(&call->response->body, &here);
    json_object_end(&call->response->body);
    return RA_OK;
}

/* ---- pages -------------------------------------------------------------------------------------------- */

static ra_status atoms_by_page(api_call *call, atom_fields *fields, ra_error *err) {
    page here;
    RA_TRY(page_query(call, DEFAULT_LIMIT, api_info(call)->concepts, &here, err));
    RA_TRY(page_link(call, &here, "fields format", err));
    size_t count = here.end - here.offset, first = count ? here.offset : 0;
    if (!forms_reply_is_text(call)) return send_vectors(call, fields, NULL, first, count, 2, err);
    RA_TRY(write_atoms(call, fields, NULL, first, count, err));
    page_members(&call->response->body, &here);
    json_object_end(&call->response->body);
    return RA_OK;
}

ra_status api_atoms(api_call *call, ra_error *err) {
    atom_fields fields;
    bool by_ids = http_target_parameter(&call->request->target, "ids");
    RA_TRY(start_fields(call, USUAL_PARTS, &fields, err));
    call->response->cacheable = true;
    if (by_ids) return atoms_by_query(call, &fields, err);
    return find_is_asked(call) ? atoms_found(call, &fields, err) : atoms_by_page(call, &fields, err);
}

/* ---- neighbors ----------------------------------------------------------------------------------------- */

static ra_status find_neighbors(const api_call *call, size_t k, ra_similarity metric, size_t **ids,
                                float **scores, ra_error *err) {
    RA_TRY(scratch_ids(k, ids, err));
    RA_TRY(scratch_numbers(k, scores, err));
    if (k == 0) return RA_OK;
    computation wanted = {.kind = COMPUTE_NEIGHBORS,
                          .atom = call->index,
                          .k = k,
                          .metric = metric,
                          .ids = *ids,
                          .scores = *scores};
    RA_TRY(api_compute(call, &wanted, err));
    return api_check_finite("neighbors", *scores, k, err);
}

ra_status api_neighbors(api_call *call, ra_error *err) {
    RA_TRY(api_check_atom(call, call->index, err));
    size_t others = api_info(call)->concepts - 1, *ids, k;
    size_t fallback = others < DEFAULT_NEIGHBORS ? others : DEFAULT_NEIGHBORS;
    ra_similarity metric;
    atom_fields fields;
    float *scores;
    RA_TRY(fields_query(call, ATOM_LABEL, &fields, err));
    RA_TRY(api_query_count(call, "k", fallback, 1, SIZE_MAX, &k, err));
    if (k > others) k = others;
    RA_TRY(api_query_metric(call, RA_SIMILARITY_COSINE, &metric, err));
    RA_TRY(find_neighbors(call, k, metric, &ids, &scores, err));
    text *out = api_json(call);
    call->response->cacheable = true;
    json_object(out, NULL);
    json_count(out, "atom", call->index);
    json_text(out, "metric", metric_name(metric));
    json_array(out, "neighbors");
    for (size_t i = 0; i < k; i++) {
        RA_TRY(fields_read(&fields, ids[i], err));
        json_match(out, fields.model, ids[i], scores[i], fields.parts, &fields.numbers);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    if (metric == RA_SIMILARITY_DOT) json_units(out, fields.model);
    json_object_end(out);
    return RA_OK;
}
