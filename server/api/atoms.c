/* Atoms: one of them, a page, several by number, and the nearest neighbors of one. */
#include "api/forms.h"
#include "ra_memory.h"

#include <string.h>

enum { DEFAULT_LIMIT = 10, MAX_LIMIT = 1000, MAX_IDS = 65536, DEFAULT_NEIGHBORS = 10 };

/* ---- fields -------------------------------------------------------------------------------------------- */

static unsigned part_named(const char *name, size_t size) {
    for (unsigned i = 0; i < ATOM_PART_COUNT; i++)
        if (strlen(atom_part_names[i]) == size && strncmp(atom_part_names[i], name, size) == 0)
            return 1u << i;
    return 0;
}

/* `fields=norm,label`; the default is all of them. */
static ra_status query_fields(const api_call *call, unsigned *fields, ra_error *err) {
    const http_target *target = &call->request->target;
    http_list list = {0};
    *fields = http_target_parameter(target, "fields") ? 0 : ATOM_ALL_PARTS;
    while (http_target_list(target, "fields", &list)) {
        unsigned bit = part_named(list.entry, (size_t)(list.end - list.entry));
        if (!bit)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "fields has '%.*s', expected norm, label, archetypes, relaxation, trace, agreement, "
                    "statistics, layout or vector",
                    (int)(list.end - list.entry < 64 ? list.end - list.entry : 64), list.entry);
        *fields |= bit;
    }
    return RA_OK;
}

/* A binary reply has only the vectors. */
static ra_status check_binary_fields(const api_call *call, unsigned fields, ra_error *err) {
    if (call->request->reply_form == FORM_JSON || fields & ATOM_VECTOR) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "fields leaves out the vector, but a binary reply has nothing else; ask for JSON");
}

/* ---- one atom ------------------------------------------------------------------------------------------ */

/* Reads one atom after another. */
typedef struct atom_reader {
    const ra_model *model;
    const ra_model_info *info;
    unsigned fields;
    float *vector;
} atom_reader;

static ra_status reader_start(const api_call *call, atom_reader *reader, ra_error *err) {
    *reader = (atom_reader){.model = api_model(call), .info = api_info(call)};
    RA_TRY(query_fields(call, &reader->fields, err));
    RA_TRY(check_binary_fields(call, reader->fields, err));
    return scratch_numbers(reader->info->dimensions, &reader->vector, err);
}

/* atom < K */
static ra_status write_atom(const atom_reader *reader, size_t atom, text *out, ra_error *err) {
    if (reader->fields & ATOM_VECTOR) RA_TRY(ra_model_atom(reader->model, atom, reader->vector, err));
    json_atom(out, reader->model, atom, reader->fields, reader->vector);
    return RA_OK;
}

/* The vectors of `count` atoms: those in `ids`, or when that is NULL the ones from `first` on, which an f32
 * dictionary sends from where they are. rank 1 sends a single vector. */
static ra_status send_vectors(api_call *call, const atom_reader *reader, const size_t *ids, size_t first,
                              size_t count, int rank, ra_error *err) {
    const ra_tensor *D = ra_model_dictionary(reader->model);
    size_t d = reader->info->dimensions;
    ra_tensor vectors = ra_tensor_2d(RA_F32, NULL, count, d);
    if (rank == 1) vectors = ra_tensor_1d(RA_F32, NULL, d);
    if (D->dtype == RA_F32 && !ids) {
        vectors.data = (const float *)D->data + first * d;
        return forms_reply_in_place(call, &vectors, err);
    }
    ra_status status;
    float *copy = ra_malloc(count * d, sizeof *copy);
    if (!copy) RA_FAIL_MEMORY(err, "the vectors of a reply", count * d * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        RA_TRY_OUT(status, ra_model_atom(reader->model, ids ? ids[i] : first + i, copy + i * d, err));
    vectors.data = copy;
    RA_TRY_OUT(status, forms_reply_tensors(call, &(tensor_list){1, {vectors}}, err));
out:
    ra_free(copy);
    return status;
}

ra_status api_atom(api_call *call, ra_error *err) {
    atom_reader reader;
    RA_TRY(api_check_atom(call, call->index, err));
    RA_TRY(reader_start(call, &reader, err));
    call->response->cacheable = true;
    if (call->request->reply_form != FORM_JSON)
        return send_vectors(call, &reader, NULL, call->index, 1, 1, err);
    return write_atom(&reader, call->index, api_json(call), err);
}

/* ---- several ------------------------------------------------------------------------------------------- */

static text *open_list(api_call *call) {
    text *out = api_json(call);
    json_object(out, NULL);
    json_array(out, "atoms");
    return out;
}

/* `ids=1,5,9`, checked before anything is written. */
static ra_status query_ids(const api_call *call, size_t **ids, size_t *count, ra_error *err) {
    http_list list = {0};
    RA_TRY(scratch_ids(MAX_LIMIT, ids, err));
    *count = 0;
    while (http_target_list(&call->request->target, "ids", &list)) {
        if (*count == MAX_LIMIT) RA_FAIL(err, RA_ERR_ARGUMENT, "ids has more than %d numbers", MAX_LIMIT);
        size_t *id = &(*ids)[(*count)++];
        RA_TRY(api_parse_index(list.entry, list.end, "ids", id, err));
        RA_TRY(api_check_atom(call, *id, err));
    }
    return RA_OK;
}

static ra_status send_atoms(api_call *call, const atom_reader *reader, const size_t *ids, size_t count,
                            ra_error *err) {
    if (call->request->reply_form != FORM_JSON) return send_vectors(call, reader, ids, 0, count, 2, err);
    text *out = open_list(call);
    for (size_t i = 0; i < count; i++) {
        RA_TRY(write_atom(reader, ids[i], out, err));
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}

static ra_status atoms_by_query(api_call *call, const atom_reader *reader, ra_error *err) {
    size_t *ids, count;
    if (http_target_parameter(&call->request->target, "offset") ||
        http_target_parameter(&call->request->target, "limit"))
        RA_FAIL(err, RA_ERR_ARGUMENT, "ids cannot be combined with offset or limit");
    RA_TRY(query_ids(call, &ids, &count, err));
    return send_atoms(call, reader, ids, count, err);
}

/* For more numbers than a URL holds. */
ra_status api_atoms_by_ids(api_call *call, ra_error *err) {
    atom_reader reader;
    ids_request list;
    ra_status status;
    RA_TRY(json_ids_parse(call->request->body, call->request->body_size, MAX_IDS, &list, err));
    RA_TRY_OUT(status, reader_start(call, &reader, err));
    for (size_t i = 0; i < list.count; i++) RA_TRY_OUT(status, api_check_atom(call, list.ids[i], err));
    status = send_atoms(call, &reader, list.ids, list.count, err);
out:
    ids_request_release(&list);
    return status;
}

/* ---- pages: the header Link names the pages around this one -------------------------------------------- */

typedef struct page {
    size_t offset, limit, total;
} page;

static void add_link(const api_call *call, text *links, const char *relation, size_t offset, size_t limit) {
    static const char *const kept[] = {"fields", "format"}; /* valid by now, so they need no encoding */
    const http_target *target = &call->request->target;
    text_format(links, "%s<%s%s?offset=%zu&limit=%zu", links->size ? ", " : "",
                target->base ? target->base : "", target->path, offset, limit);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        http_list list = {0};
        for (size_t n = 0; http_target_list(target, kept[i], &list); n++) {
            if (n)
                text_append(links, ",", 1);
            else
                text_format(links, "&%s=", kept[i]);
            text_append(links, list.entry, (size_t)(list.end - list.entry));
        }
    }
    text_format(links, ">; rel=\"%s\"", relation);
}

/* Pages are counted from this one, so that a client that follows the links gets each atom once. */
static ra_status link_pages(api_call *call, const page *here, ra_error *err) {
    text links = {0};
    size_t left = here->total - here->offset, before = here->offset % here->limit;
    size_t last = here->offset + (left - 1) / here->limit * here->limit;
    add_link(call, &links, "first", 0, before && here->offset < here->limit ? before : here->limit);
    if (here->offset > 0)
        add_link(call, &links, "prev", here->offset > here->limit ? here->offset - here->limit : 0,
                 here->offset < here->limit ? here->offset : here->limit);
    if (left > here->limit) add_link(call, &links, "next", here->offset + here->limit, here->limit);
    add_link(call, &links, "last", last, here->limit);
    text_append(&links, "", 1);
    bool failed = links.failed;
    if (!failed) http_response_header(call->response, "Link", links.data);
    text_release(&links);
    if (failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the links of a page");
    return RA_OK;
}

static ra_status atoms_by_page(api_call *call, const atom_reader *reader, ra_error *err) {
    size_t offset = 0, limit = 0, total = reader->info->concepts;
    RA_TRY(api_query_count(call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, &limit, err));
    RA_TRY(api_query_count(call, "offset", 0, 0, SIZE_MAX, &offset, err));
    if (offset >= total)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "offset is %zu, but dictionary %s has %zu atoms", offset,
                call->dictionary->name, total);
    size_t end = limit < total - offset ? offset + limit : total;
    RA_TRY(link_pages(call, &(page){offset, limit, total}, err));
    if (call->request->reply_form != FORM_JSON)
        return send_vectors(call, reader, NULL, offset, end - offset, 2, err);
    text *out = open_list(call);
    for (size_t atom = offset; atom < end; atom++) {
        RA_TRY(write_atom(reader, atom, out, err));
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_count(out, "offset", offset);
    json_count(out, "limit", limit);
    json_count(out, "total", total);
    json_object_end(out);
    return RA_OK;
}

ra_status api_atoms(api_call *call, ra_error *err) {
    atom_reader reader;
    bool by_ids = http_target_parameter(&call->request->target, "ids");
    RA_TRY(reader_start(call, &reader, err));
    call->response->cacheable = true;
    return by_ids ? atoms_by_query(call, &reader, err) : atoms_by_page(call, &reader, err);
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
    float *scores;
    RA_TRY(api_query_count(call, "k", fallback, 1, others, &k, err));
    RA_TRY(api_query_metric(call, RA_SIMILARITY_COSINE, &metric, err));
    RA_TRY(find_neighbors(call, k, metric, &ids, &scores, err));
    text *out = api_json(call);
    call->response->cacheable = true;
    json_object(out, NULL);
    json_count(out, "atom", call->index);
    json_text(out, "metric", metric_name(metric));
    json_array(out, "neighbors");
    for (size_t i = 0; i < k; i++) json_match(out, api_model(call), ids[i], scores[i]);
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}
